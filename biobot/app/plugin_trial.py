"""Trying out one plugin on texts, beside all the bot's other filters."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from biobot.config import Config
from biobot.errors import PluginError
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.filters.scaffold import Trial, try_out
from biobot.model.registry import Registry
from biobot.worker.known import known_texts


def trial(config: Config, plugin: str, texts: Iterable[str], examples: int) -> Trial:
    """Run the plugin that `plugin` names, or the file at that path, on texts.

    Raises PluginError if there is no such filter, or it is off.
    """
    found = loader.load(config, require=False)
    name = plugin
    if plugin.endswith(".py"):
        if not Path(plugin).is_file():
            raise PluginError(f"there is no file {plugin}")
        own = loader.load_file(Path(plugin), config.settings.filters.tables.get(Path(plugin).stem))
        name = own.name
        found = loader.Plugins((*(each for each in found if each.name != name), own))
    known = [each.name for each, _ in found.with_hook("biobot_filter")]
    if name not in known:
        raise PluginError(f"there is no filter {name!r} that is on; these are: {', '.join(known)}")
    model = Registry(config.home).find(config.settings.model.name)
    judge = Judge(found, known_texts(config, model), config.settings.filters.timeout)
    return try_out(name, judge, texts, examples)


def samples(config: Config, count: int, temperature: float, seed: int) -> Iterator[str]:
    """Yield bios for a trial, unjudged."""
    from biobot.sampling.controls import Controls
    from biobot.worker.server import open_sampler, seeds

    sampler = open_sampler(config)
    return (each.text for each in sampler.draw(seeds(temperature, count, seed), Controls()))

"""`biobot plugins`: lists the plugins, tries out a filter, creates a new one."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

import click

from biobot.cli import Changing, Group, Options
from biobot.cli.common import say
from biobot.cli.completion_ import plugins as completed
from biobot.errors import PluginError

if TYPE_CHECKING:
    from biobot.worker.protocol import Loaded


@click.group(cls=Group)
def command() -> None:
    """List, test and create filter plugins."""


@command.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per plugin.")
@click.pass_obj
def list_(options: Options, as_json: bool) -> None:
    """List the plugins with their origin, hooks, and settings in biobot.toml."""
    from biobot.app import health
    from biobot.text.humanize import counted
    from biobot.text.terminal import clean
    from biobot.worker.client import Worker

    with health.open_outbox(options.config) as outbox:
        refused = outbox.refused()
    plugins = Worker(options.config).list_plugins(require=False)
    for plugin in plugins:
        count = refused.get(plugin.name, 0)
        if as_json:
            facts = {"name": plugin.name, "hooks": sorted(plugin.hooks), "from": plugin.origin}
            more = {"enabled": plugin.enabled, "refused": count, "settings": plugin.settings, "problem": plugin.problem}
            click.echo(json.dumps({**facts, **more}))
        else:
            required = plugin.name in options.config.settings.filters.required
            say(*map(clean, _lines(plugin, count, required=required)), hang=4)
    if broken := sum(bool(each.problem) for each in plugins):
        raise PluginError(f"{counted(broken, 'plugin')} cannot be loaded: see above")


def _lines(plugin: Loaded, refused: int, *, required: bool) -> Iterator[str]:
    marks = [*(["off"] if not plugin.enabled else []), *(["required"] if required else [])]
    marks += [f"refused {refused}"] if refused else []
    hooks = ", ".join(sorted(hook.removeprefix("biobot_") for hook in plugin.hooks)) or "-"
    more = f"  ({', '.join(marks)})" if marks else ""
    yield f"{plugin.name:12} {hooks:18} {plugin.origin}{more}"
    if plugin.problem:
        yield f"    {plugin.problem}"
    for line in plugin.about.strip().splitlines():
        yield f"    {line.strip()}" if line.strip() else ""
    for key, value in plugin.settings.items():
        yield f"    {key} = {json.dumps(value)}"


@command.command()
@click.argument("plugin", metavar="NAME|FILE", shell_complete=completed)
@click.option("--texts", type=click.Path(path_type=Path), help="A corpus file; by default, bios drawn from the model.")
@click.option("-n", "count", type=click.IntRange(1), default=300, show_default=True, help="The number of texts.")
@click.option("--temperature", type=click.FloatRange(0, 100), default=0.8, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option("--examples", type=click.IntRange(0), default=5, show_default=True)
@click.pass_obj
def test(
    options: Options, plugin: str, texts: Path | None, count: int, temperature: float, seed: int, examples: int
) -> None:
    """Run one filter on texts: what it refuses, how long it takes, what it changes."""
    from biobot.worker.client import Worker
    from biobot.worker.protocol import TryPlugin

    given = tuple(_read(texts, count)) if texts else ()
    drawn = 0 if texts else count
    request = TryPlugin(
        str(Path(plugin).absolute()) if plugin.endswith(".py") else plugin, given, examples, drawn, temperature, seed
    )
    (trial,) = Worker(options.config).near(request, foreign=plugin.endswith(".py"))
    if not trial.texts:
        raise click.UsageError(f"there are no texts in {texts}")
    seconds = sorted(trial.seconds) or [0.0]
    click.echo(f"refused   {trial.refused} of {trial.texts} ({trial.refused / trial.texts:.1%})")
    click.echo(f"changes   {trial.alone} that every other filter accepts")
    click.echo(f"time      {sum(seconds) / len(seconds) * 1e3:.3f} ms per text, at most {seconds[-1] * 1e3:.3f} ms")
    for reason, number in Counter(trial.reasons).most_common(10):
        click.echo(f"{number:7} × {reason}")
    for text, reason in trial.examples:
        click.echo(f"  ✗ {' '.join(text.split())}\n      {reason}")


@command.command(cls=Changing)
@click.argument("name")
@click.option("--network", is_flag=True, help="A network to post to, instead of a filter.")
@click.pass_obj
def new(options: Options, name: str, network: bool) -> None:
    """Create a filter, or a network, with settings, plugins/NAME.py, and its test, tests/test_NAME.py."""
    from biobot.app.installing import adding
    from biobot.filters import loader, scaffold

    config = options.seen  # as who called: a service's folder is not its own to write in
    folder, taken = config.folder if config.file else Path(), loader.origins(config)
    plugin, test_file = scaffold.write_new(name, folder, taken, network=network)
    click.echo(f"wrote  {plugin}\nwrote  {test_file}")
    click.echo(f"try it: biobot {f'networks check {name}' if network else f'plugins test {name}'}")
    click.echo(
        f"test it: {quote(sys.executable)} -m pytest {quote(str(test_file))}   (needs pytest: {adding(['pytest'])})"
    )


def _read(path: Path, count: int) -> Iterator[str]:
    from itertools import islice

    from biobot.corpus.readers import Bio, read

    return islice((each.text for each in read(path) if isinstance(each, Bio)), count)

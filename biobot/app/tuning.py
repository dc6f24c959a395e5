"""Finding temperatures that suit a model, and writing them into the bot's config."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biobot import config as settings
from biobot.config import Config
from biobot.errors import ConfigError, SampleError
from biobot.model.registry import Registry
from biobot.worker import server

if TYPE_CHECKING:
    from biobot.evaluation.tune import Row

ROWS = 256
"""Bios drawn at once: more are not faster."""


def sweep(
    config: Config,
    temperatures: Sequence[float],
    bios: int,
    model: str | None = None,
    tick: Callable[[float], object] = lambda _: None,
) -> Iterator[Row]:
    """Measure `bios` bios at each temperature, one row after another; `tick(temperature)` at each bio."""
    desk = server.Desk(config, model, rows=min(bios, ROWS))

    from biobot.evaluation import tune

    for temperature in temperatures:
        yield tune.row(desk.engine, temperature, bios, desk.seen, desk.judge, tick)


def draw(config: Config, rows: Sequence[Row], chosen: Sequence[float], file: Path, model: str | None = None) -> None:
    """Write the picture of what was measured to `file`, a PNG; SampleError if that cannot be."""
    from biobot.evaluation import plots

    name = Registry(config.home).find(model or config.settings.model.name).id
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(plots.png(plots.sweep(rows, chosen, name)))
    except OSError as error:
        raise SampleError(f"cannot write {file}: {error.strerror}") from None


def write(config: Config, temperatures: Sequence[float]) -> Path:
    """Put the temperatures into biobot.toml, the rest of which stays as it is; return the file.

    Raises ConfigError where there is no such file, or its `temperatures` are written in more than one line.
    """
    line = f"temperatures = [{', '.join(f'{each:g}' for each in temperatures)}]"
    if config.file is None:
        raise ConfigError(f"there is no biobot.toml to write to; `biobot init` makes one. The line: {line}")
    text = config.file.read_text(encoding="utf-8").rstrip("\n") + "\n"
    section = re.search(r"(?m)^\[sample\][^\n]*\n(?:(?!\[)[^\n]*\n)*", text)
    if section is None:
        changed = f"{text.rstrip()}\n\n[sample]\n{line}\n".lstrip()
    elif re.search(r"(?m)^\s*temperatures\s*=", section[0]):
        kept = r"(?m)^\s*temperatures\s*=\s*(?:\[[^\]\n]*\]|\{[^}\n]*\})"
        changed = text[: section.start()] + re.sub(kept, line, section[0], count=1) + text[section.end() :]
    else:
        at = text.index("\n", section.start()) + 1
        changed = f"{text[:at]}{line}\n{text[at:]}"
    half = config.file.with_name(f".{config.file.name}.{os.getpid()}.half")
    try:
        half.write_text(changed, encoding="utf-8")
        if not _says(half, temperatures):
            raise ConfigError(f"cannot change the temperatures of {config.file}; write them in one line: {line}")
        half.chmod(config.file.stat().st_mode & 0o777)
        half.replace(config.file)
    finally:
        half.unlink(missing_ok=True)
    return config.file


def _says(file: Path, temperatures: Sequence[float]) -> bool:
    try:
        return list(settings.read(file).sample.temperatures) == [float(f"{each:g}") for each in temperatures]
    except ConfigError:
        return False

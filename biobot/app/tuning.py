"""Finding the temperatures that suit a model, and writing them to biobot.toml."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from biobot.config import Config
from biobot.errors import ConfigError
from biobot.model.registry import Registry
from biobot.storage import atomic_write

if TYPE_CHECKING:
    from biobot.evaluation.tune import Row


def draw(config: Config, rows: Sequence[Row], chosen: Sequence[float], file: Path, model: str | None = None) -> None:
    """Plot what was measured and write it to `file`, a PNG; raises SampleError."""
    from biobot.evaluation import plots

    name = Registry(config.home).find(model or config.settings.model.name).id
    plots.save(plots.sweep(rows, chosen, name), file)


def write(config: Config, temperatures: Sequence[float]) -> Path:
    """Set `sample.temperatures` in biobot.toml, leaving the rest as it is, and return the file; raises ConfigError."""
    import tomlkit

    chosen = [float(f"{each:g}") for each in temperatures]
    if config.file is None:
        raise ConfigError(f"there is no biobot.toml to write `temperatures = {chosen}` to; make one with `biobot init`")
    try:
        document = tomlkit.parse(config.file.read_bytes().decode("utf-8-sig"))
        document.setdefault("sample", tomlkit.table())["temperatures"] = chosen
        with atomic_write(config.file, config.file.stat().st_mode & 0o777) as file:
            file.write(tomlkit.dumps(document).encode())
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot set `temperatures = {chosen}` in {config.file}: {error}") from None
    return config.file

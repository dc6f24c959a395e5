"""Settings as the TOML that they could have come from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from datetime import timedelta
from typing import Any

from biobot.settings import Settings
from biobot.text.humanize import duration


def lines(settings: Settings, only: str | None = None, *, changed: bool = False) -> Iterator[str]:
    """Yield the sections and keys; one at its default is a comment. `only` is the name of a section."""
    yield from _section("", settings, Settings(), only, changed)


def _section(name: str, found: Any, default: Any, only: str | None, changed: bool) -> Iterator[str]:
    keys: list[str] = []
    inner: list[tuple[str, Any, Any]] = []
    for key in fields(found):
        value, usual = getattr(found, key.name), getattr(default, key.name)
        place = f"{name}.{key.name}".lstrip(".")
        if is_dataclass(value):
            inner.append((place, value, usual))
        elif key.name == "tables":
            for table, values in value.items():
                place = f"{name}.{table}".lstrip(".")
                if only in (None, place, name):
                    keys_of = [f"{each} = {written(of)}" for each, of in values.items()]
                    inner.append((place, keys_of, None))
        elif value != usual or not changed:
            keys.append(f"{'# ' if value == usual else ''}{key.name} = {written(value)}" if value is not None else "")
    keys = [each for each in keys if each]
    if keys and only in (None, name, name.partition(".")[0]):
        yield from (f"[{name}]", *keys, "")
    for place, value, usual in inner:
        if isinstance(value, list):
            yield from (f"[{place}]", *value, "")
        else:
            yield from _section(place, value, usual, only, changed)


def written(value: Any) -> str:
    """Return a value as biobot.toml would have it."""
    if isinstance(value, timedelta):
        return f'"{duration(value)}"'
    if isinstance(value, Mapping):
        inside = ", ".join(f'"{key:g}" = {weight:g}' for key, weight in value.items())
        return f"[{', '.join(f'{key:g}' for key in value)}]" if set(value.values()) == {1.0} else f"{{{inside}}}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(written, value))}]"
    return json.dumps(value, ensure_ascii=False)

"""A bot's models with the figures in their cards, for `models list` and the console."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeGuard

from biobot.errors import ModelError
from biobot.model.registry import ModelFolder, Registry

_REPORT = ("temperature", "bios", "verbatim", "longest_copy", "repeated", "accepted")


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """One model: `error` says why its file cannot be read; a figure is None where the card has none, or nonsense."""

    id: str
    active: bool
    error: str | None = None
    created: datetime | None = None
    parameters: int = 0
    bytes: int = 0
    dev_bits_per_byte: float | None = None
    verbatim_rate: float | None = None
    real_verbatim_rate: float | None = None
    accepted: float | None = None
    """The share of bios at T = 0.8 that passed the filters."""
    training_bios: int | None = None
    curve: Sequence[Sequence[float]] = ()


def summaries(registry: Registry, active: str | None) -> Iterator[ModelSummary]:
    """Yield every model, the newest first; `active` is the id of the active one."""
    for folder in registry.list():
        try:
            yield _summary(folder, folder.id == active)
        except ModelError as error:
            yield ModelSummary(folder.id, folder.id == active, str(error))


def _summary(folder: ModelFolder, active: bool) -> ModelSummary:
    header = folder.header()
    card = header.card
    bios = _number(card, "corpus_bios")
    return ModelSummary(
        folder.id,
        active,
        created=created(card),
        parameters=header.parameters,
        bytes=header.size,
        dev_bits_per_byte=_number(card, "dev_bits_per_byte"),
        verbatim_rate=_number(card, "verbatim_rate"),
        real_verbatim_rate=_number(card, "real_verbatim_rate"),
        accepted=next((row["accepted"] for row in report(card) if row["temperature"] == 0.8), None),
        training_bios=None if bios is None else int(bios),
        curve=curve(card),
    )


def created(card: Mapping[str, Any]) -> datetime | None:
    """Return when a card says that its model was made."""
    try:
        moment = datetime.fromisoformat(card["created"])
    except (KeyError, TypeError, ValueError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def curve(card: Mapping[str, Any]) -> list[Sequence[float]]:
    """Return the points (step, bytes, train bits, dev bits) of the learning curve in a card."""
    points = card.get("curve")
    return [each for each in points if _is_point(each)] if isinstance(points, list) else []


def report(card: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the complete rows of the report in a card, one for each temperature."""
    rows = card.get("report")
    whole = (each for each in rows if isinstance(each, dict)) if isinstance(rows, list) else ()
    return [each for each in whole if all(_is_number(each.get(key)) for key in _REPORT)]


def _number(facts: Mapping[str, Any], key: str) -> float | None:
    value = facts.get(key)
    return float(value) if _is_number(value) else None


def _is_point(value: object) -> bool:
    return isinstance(value, list) and len(value) == 4 and _is_number(value[1]) and _is_number(value[3])


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15  # which NaN is not

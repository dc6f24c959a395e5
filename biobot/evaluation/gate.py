"""Whether a new model becomes the active one: no worse on held-out bios, and no copier of its training bios."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from biobot.text.humanize import counted

MAX_EXCESS_COPIES = 0.02
"""How much larger a model's share of copies may be than that of held-out real bios."""

MIN_COMPARED = 50
"""With fewer held-out bios two models cannot be compared."""

MIN_CORPUS = 20 * MIN_COMPARED
"""A corpus of this size has enough held-out bios, which are a twentieth of it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the new model becomes active, and why; when it does not, `why` also says how to overrule that."""

    promote: bool
    why: str


def decide(
    model: str,
    new: float,
    old: float | None,
    compared: int,
    verbatim: float,
    real_verbatim: float,
    memorised: str | None = None,
) -> Decision:
    """Return the decision on `model`, from its bits per byte and those of the active model (None: there is none).

    Both were measured on `compared` held-out bios, which are in neither model's index. `verbatim` is the share of
    copies among the model's own bios, `real_verbatim` that among real ones.
    `memorised` is why an audit refuses the model (None: it does not).
    """
    overrule = f"; `biobot models use {model}` makes it active all the same"
    limit = real_verbatim + MAX_EXCESS_COPIES
    if verbatim > limit:
        return Decision(False, f"{verbatim:.1%} of its bios are copies (limit {limit:.1%}){overrule}")
    if memorised is not None:
        return Decision(False, f"{memorised}{overrule}")
    if old is None:
        return Decision(True, f"there was no active model to compare it with ({new:.3f} bits per byte)")
    if compared < MIN_COMPARED:
        return Decision(
            False,
            f"{counted(compared, 'held-out bio')} {'is' if compared == 1 else 'are'} unlike what either model was "
            f"trained on, and a comparison with the active model takes {MIN_COMPARED}; a twentieth of the corpus is "
            f"held out, so import {MIN_CORPUS:,} bios or more that are not made after one pattern, or name a file "
            f"of others with --dev{overrule}",
        )
    if new > old:
        return Decision(False, f"{new:.3f} bits per byte, but the active model has {old:.3f}{overrule}")
    return Decision(True, f"{new:.3f} bits per byte; the model before it has {old:.3f}")


def beside(card: Mapping[str, Any], active: Mapping[str, Any], *, promote: bool) -> str:
    """Return in what else a model is worse than the active one, by their cards: copies, and bios that pass.

    It follows the reason for the decision to `promote` it or not.
    """
    copies, before = card.get("verbatim_rate"), active.get("verbatim_rate")
    worse = []
    if copies is not None and before is not None and copies > before:
        worse.append(f"it copies more ({copies:.1%}, the active model {before:.1%})")
    passing, passed = _passing(card), _passing(active)
    if passing is not None and passed is not None and passing < passed:
        worse.append(f"fewer of its bios pass the filters ({passing:.1%}, the active model {passed:.1%})")
    return f"; {'but' if promote else 'besides,'} {', and '.join(worse)}" if worse else ""


def _passing(card: Mapping[str, Any]) -> float | None:
    """Return the share of bios at T = 0.8 that pass the filters; None where the card does not say."""
    try:
        return next((float(row["accepted"]) for row in card["report"] if row["temperature"] == 0.8), None)
    except (KeyError, TypeError, ValueError):
        return None

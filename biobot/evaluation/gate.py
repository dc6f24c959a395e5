"""Whether a new model may speak: no worse on bios that nobody learnt, and no copyist."""

from __future__ import annotations

from dataclasses import dataclass

COPIES_ABOVE_REAL = 0.02
"""So much more often than held-out real bios do, a model's bios may resemble those that it learnt."""

FEWEST = 50
"""With fewer held-out bios two models cannot be compared."""

CORPUS = 20 * FEWEST
"""A corpus of so many bios has enough of them: a twentieth is held out."""


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether the new model goes live, and why, with the mend when it does not."""

    promote: bool
    why: str


def decide(model: str, new: float, old: float | None, compared: int, verbatim: float, real_verbatim: float) -> Decision:
    """Decide on `model`, from the bits per byte of it and of the current one (None: there is none).

    `compared` is the number of held-out bios, in neither model's index, that both were measured on;
    `verbatim` is the share of the model's own bios that are copies, `real_verbatim` that of real ones.
    """
    mend = f"; `biobot models use {model}` lets it speak all the same"
    bound = real_verbatim + COPIES_ABOVE_REAL
    if verbatim > bound:
        return Decision(False, f"{verbatim:.1%} of its bios are copies, {bound:.1%} may be{mend}")
    if old is None:
        return Decision(True, f"there was no model before it ({new:.3f} bits per byte)")
    if compared < FEWEST:
        return Decision(
            False,
            f"to compare it with the current model takes {FEWEST} bios that neither has learnt, and there "
            f"{'is' if compared == 1 else 'are'} {compared}; a twentieth of the corpus is kept apart for that, so "
            f"import {CORPUS:,} bios or more, or give others with --dev{mend}",
        )
    if new > old:
        return Decision(False, f"{new:.3f} bits per byte, the current model needs {old:.3f}{mend}")
    return Decision(True, f"{new:.3f} bits per byte, the model before it needs {old:.3f}")

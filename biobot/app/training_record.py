"""What came of the last training: one small file in the home, written by `train` and shown by `status`.

A training holds `training.lock` as long as it lives, so that one that was killed is told from one that runs,
and two never write into the same folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from biobot.model import checkpoint
from biobot.posting import locks
from biobot.posting.post import slot_key

FILE, LOCK = "training.json", "training.lock"

NEVER_TOLD = "its process was killed, or the machine went down"


Step = Literal["collect", "read bios", "learn", "measure", "promote"]


@dataclass
class Diary:
    """A training: when, which step it is at or ended in, and what came of it; times are UTC.

    `collected` is what collecting said before, if the config has it; `why` says more of the outcome. Without a
    home it is kept nowhere.
    """

    home: Path | None = None
    began: str = ""
    ended: str | None = None
    outcome: Literal["running", "promoted", "kept back", "failed", "interrupted"] = "running"
    step: Step = "collect"
    model: str | None = None
    why: str = ""
    collected: str | None = None

    def at(self, step: Step) -> None:
        """Note that the next step begins."""
        self.step = step
        self.write()

    def end(self, model: str, promoted: bool, why: str) -> None:
        """Note how the training ended, if nothing goes wrong any more."""
        self.outcome, self.model, self.why = "promoted" if promoted else "kept back", model, why

    def write(self) -> None:
        """Put this into the home, in one step."""
        if self.home is None:
            return
        facts = asdict(self)
        del facts["home"]
        half = self.home / f".{FILE}.{os.getpid()}.half"
        with suppress(OSError):  # a full disk stops a training where it matters, not here
            half.write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
            checkpoint.replace(half, self.home / FILE)


@contextmanager
def kept(home: Path, clock: Callable[[], datetime]) -> Iterator[Diary]:
    """Keep the diary of the training under the `with`, whatever it raises; LockHeld when another one runs here."""
    with locks.lock(home, LOCK, "another training", clock()):
        diary = Diary(home, slot_key(clock()))
        diary.write()
        try:
            yield diary
        except Exception as error:
            diary.outcome, diary.why = "failed", str(error) or type(error).__name__
            raise
        finally:
            if diary.outcome == "running":
                diary.outcome = "interrupted"
            diary.ended = slot_key(clock())
            diary.write()


def last(home: Path) -> dict[str, Any] | None:
    """Return the diary of the last training in this home, None when there was none; changes nothing."""
    try:
        found = json.loads((home / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if found["outcome"] == "running" and not locks.holder(home, LOCK):
        found |= {"outcome": "failed", "why": NEVER_TOLD}
    return dict(found)

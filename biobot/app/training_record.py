"""The outcome of the last training: one small file in the home, written by `train` and shown by `status`.

A training holds `training.lock` while it lives, so a killed one can be told from a running one, and two never
write into the same folder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from biobot.posting import locks
from biobot.posting.post import slot_key
from biobot.storage import atomic_write

FILE, LOCK = "training.json", "training.lock"

KILLED = "its process was killed, or the machine went down"

Step = Literal["check plugins", "collect", "read bios", "learn", "measure", "promote"]


@dataclass
class Record:
    """A training: when it ran, the step it is at or ended in, and its outcome; times are UTC.

    `collected` is the summary of the collecting before it, if the config has it; `why` explains the outcome;
    `progress` has step, steps, seen bytes, bytes per second, seconds to go, and bits per byte, while it learns.
    Without a home nothing is written.
    """

    home: Path | None = None
    began: str = ""
    ended: str | None = None
    outcome: Literal["running", "promoted", "kept back", "failed", "interrupted"] = "running"
    step: Step = "check plugins"
    model: str | None = None
    why: str = ""
    collected: str | None = None
    progress: dict[str, float | None] | None = None

    def at(self, step: Step) -> None:
        """Record that the next step begins."""
        self.step = step
        self.write()

    def end(self, model: str, promoted: bool, why: str) -> None:
        """Record the outcome."""
        self.outcome, self.model, self.why = "promoted" if promoted else "kept back", model, why

    def write(self) -> None:
        """Write this record into the home atomically."""
        if self.home is None:
            return
        facts = asdict(self)
        del facts["home"]
        # a full disk stops a training where it matters, not here
        with suppress(OSError), atomic_write(self.home / FILE) as file:
            file.write(json.dumps(facts, ensure_ascii=False).encode())


@contextmanager
def recorded(home: Path, clock: Callable[[], datetime]) -> Iterator[Record]:
    """Record the training under the `with`, whatever it raises; LockHeld if another one runs in this home."""
    with locks.lock(home, LOCK, "another training", clock()):
        record = Record(home, slot_key(clock()))
        record.write()
        try:
            yield record
        except Exception as error:
            record.outcome, record.why = "failed", str(error) or type(error).__name__
            raise
        finally:
            if record.outcome == "running":
                record.outcome = "interrupted"
            record.ended = slot_key(clock())
            record.write()


def last(home: Path) -> dict[str, Any] | None:
    """Return the record of the last training in this home, None if there was none; changes nothing."""
    try:
        found = dict(json.loads((home / FILE).read_text(encoding="utf-8")))
        running = found["outcome"] == "running"
    except (OSError, ValueError, TypeError, KeyError):
        return None
    if running and not locks.holder(home, LOCK):
        found |= {"outcome": "failed", "why": KILLED}
    return found

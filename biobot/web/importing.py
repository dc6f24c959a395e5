"""Importing a file of bios that a browser sends: received in pieces, read by `app.corpus`, and deleted."""

from __future__ import annotations

import asyncio
import re
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from threading import Event

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect

from biobot.app import corpus
from biobot.config import Config
from biobot.corpus.readers import Names, Skipped
from biobot.errors import BiobotError, CorpusError
from biobot.storage import make_folder
from biobot.web.middleware import BODY_TIMEOUT

SPARE = 1 << 30
"""Bytes of the disk that an upload leaves free."""

SHOWN = 5
"""Skipped lines that are shown."""


class Cancelled(Exception):
    """A person has cancelled the import, or the console stops."""


@dataclass
class Job:
    """One import: of `size` bytes `done` are received, then read."""

    name: str
    size: int
    began: float
    doing: str = "receiving"
    done: int = 0
    said: Sequence[str] = ()
    skipped: Sequence[Skipped] = ()
    result: corpus.Imported | None = None
    error: str = ""

    @property
    def active(self) -> bool:
        """Whether it is under way."""
        return self.doing != "over"

    @property
    def rate(self) -> float:
        """Return bytes per second since the present part of the work began."""
        return self.done / max(time.monotonic() - self.began, 0.001)

    @property
    def eta(self) -> timedelta | None:
        """Return how long the present part still takes."""
        return timedelta(seconds=(self.size - self.done) / self.rate) if self.done else None

    @property
    def why(self) -> Counter[str]:
        """Return how many lines were skipped, by reason."""
        return self.result.why if self.result else Counter()


class Importer:
    """Imports one file at a time, and remembers what became of the last."""

    def __init__(self, config: Config) -> None:
        self._folder = config.home / "web"
        self._stop = Event()
        self.job: Job | None = None
        for left in self._folder.glob("import-*"):  # by a console that was killed: people's bios
            shutil.rmtree(left, ignore_errors=True)

    def cancel(self) -> None:
        """End the import under way; what was stored by then stays."""
        self._stop.set()

    async def run(
        self, config: Config, name: str, size: int, pieces: AsyncIterator[bytes], names: Names, now: datetime
    ) -> None:
        """Receive a file and import it; raise BiobotError where that cannot begin. The outcome is in `job`."""
        if self.job and self.job.active:
            raise CorpusError(f"{self.job.name} is being imported; wait for it, or cancel it")
        make_folder(self._folder)
        if shutil.disk_usage(self._folder).free < size + SPARE:
            raise CorpusError(f"the disk is too full for {name}: free some space")
        self._stop.clear()
        job = self.job = Job(name, size, time.monotonic())
        folder = Path(tempfile.mkdtemp(prefix="import-", dir=self._folder))
        try:
            path = folder / (re.sub(r"[^\w. -]", "_", name).lstrip(".")[-100:] or "bios.txt")
            with path.open("wb") as file:
                while (piece := await _next(pieces)) is not None:
                    self._check()
                    file.write(piece)
                    job.done += len(piece)
                    if job.done > size:
                        raise CorpusError("the browser sent more than it had announced")
            if job.done < size:
                raise CorpusError("the upload was cut off; nothing was imported")
            job.doing, job.done, job.began = "importing", 0, time.monotonic()
            await run_in_threadpool(self._import, config, path, names, job, now)
        except Cancelled:
            job.error = "cancelled; what was stored by then stays, and importing the file again is harmless"
        except ClientDisconnect:
            job.error = "the upload was cut off; nothing was imported"
        except (BiobotError, OSError) as error:
            job.error = str(error).replace(f"{folder}/", "")
        finally:
            job.doing = "over"
            shutil.rmtree(folder, ignore_errors=True)

    def _check(self) -> None:
        if self._stop.is_set():
            raise Cancelled

    def _import(self, config: Config, path: Path, names: Names, job: Job, now: datetime) -> None:
        said: list[str] = []
        skipped: list[Skipped] = []
        total = corpus.Imported()

        def watch(done: int) -> None:
            self._check()
            job.done = done

        def skip(line: Skipped) -> None:
            if len(skipped) < SHOWN:
                skipped.append(line)

        with corpus.open_store(config) as store:
            corpus.import_file(store, path, now, total, names=names, watch=watch, note=said.append, skipped=skip)
        job.result, job.said, job.skipped = total, said, skipped
        if not total.found:
            job.error = "no bio was found"


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    """Return the next piece, None at the end; raise CorpusError when none comes for long."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT):
            return await anext(pieces)
    except StopAsyncIteration:
        return None
    except TimeoutError:
        raise CorpusError("the upload stalled; nothing was imported") from None

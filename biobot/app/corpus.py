"""The verbs around the corpus: import, export, forget."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO

from biobot.config import Config
from biobot.corpus import readers
from biobot.corpus.readers import Bio, Skipped
from biobot.corpus.store import Added, Gone, Store
from biobot.errors import CorpusError


def open_store(config: Config) -> Store:
    """Open the bot's corpus."""
    return Store(config.home / "corpus.db")


@dataclass
class Imported:
    """What became of files: what the store made of their bios, and the reasons of what was skipped."""

    stored: Added = field(default_factory=Added)
    why: Counter[str] = field(default_factory=Counter)

    @property
    def skipped(self) -> int:
        """Count the lines that gave no bio."""
        return self.why.total()


def import_file(
    store: Store,
    path: Path,
    now: datetime,
    total: Imported,
    *,
    name: str | None = None,
    watch: readers.Watch | None = None,
    skipped: Callable[[Skipped], None],
) -> None:
    """Add a file's bios and count into `total`; `skipped` is told of every line that gave none.

    `name` is the field that holds the bios.
    """

    def good() -> Iterator[Bio]:
        for each in readers.read(path, name, watch):
            if isinstance(each, Skipped) and each.why == readers.BLANK:
                continue
            if isinstance(each, Skipped):
                total.why[each.why] += 1
                skipped(each)
            else:
                yield each if each.source else Bio(each.text, each.author, each.handle, path.name)

    total.stored += store.add(good(), now)


def export(store: Store, file: IO[str]) -> int:
    """Write every stored row as a JSON line that `corpus import` reads back, and count them."""
    count = 0
    for bio in store.rows():
        count += 1
        record = {"bio": bio.text, "user_id": bio.author, "handle": bio.handle, "source": bio.source}
        file.write(json.dumps({key: value for key, value in record.items() if value is not None}, ensure_ascii=False))
        file.write("\n")
    return count


def forget(store: Store, who: Iterable[str], texts: Iterable[str], now: datetime) -> Gone:
    """Opt people (ids, or handles with their @) and texts out for good; ValueError names what is neither."""
    ids, handles = [], []
    for each in who:
        if re.fullmatch(r"@\w{1,50}", each):
            handles.append(each)
        elif re.fullmatch(r"[1-9]\d{0,18}", each) and int(each) < 1 << 63:
            ids.append(int(each))
        else:
            raise ValueError(f"{each!r} is neither an id nor a handle with its @")
    return store.forget(now, ids=ids, handles=handles, texts=texts)


def opt_outs(path: Path) -> list[str]:
    """Read a list of ids and @handles, one a line; what follows a # is a remark."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read {path}: {error}") from None
    return [who for line in lines if (who := line.partition("#")[0].strip())]

"""What commands do with the corpus: import, export, forget."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from biobot.config import Config
from biobot.corpus import readers
from biobot.corpus.files import opened
from biobot.corpus.opt_outs import FINGERPRINTS
from biobot.corpus.people import escape, handle, unescape
from biobot.corpus.readers import Bio, Skipped
from biobot.corpus.store import Added, Removed, Store
from biobot.errors import CorpusError
from biobot.taste.marks import Marks


def open_store(config: Config, *, read_only: bool = False) -> Store:
    """Open the bot's corpus."""
    return Store(config.home / "corpus.db", read_only=read_only)


def check_opt_outs(store: Store) -> None:
    """Raise CorpusError where there are texts of people who opted out, but it is not known who they are."""
    path = store.path.with_name(FINGERPRINTS)
    if store.fingerprints() is None and path.exists() and path.stat().st_size:
        raise CorpusError(
            f"{path} has texts of people who opted out, but {store.path} does not know who they are, and would take "
            "them in again: restore it from a backup, or forget those people again"
        )


@dataclass
class Imported:
    """What became of the files: of their bios in the store, and of the lines that were skipped, by reason.

    `unsigned` counts bios that came with neither id nor handle.
    """

    stored: Added = field(default_factory=Added)
    why: Counter[str] = field(default_factory=Counter)
    unsigned: int = 0

    @property
    def found(self) -> int:
        """Return how many bios were found, stored or not."""
        return self.stored.added + self.stored.duplicates + self.stored.forgotten

    @property
    def skipped(self) -> int:
        """Return how many lines held no bio."""
        return self.why.total()


def import_file(
    store: Store,
    path: Path,
    now: datetime,
    total: Imported,
    *,
    names: readers.Names = readers.ANY,
    watch: readers.Watch | None = None,
    note: Callable[[str], None],
    skipped: Callable[[Skipped], None],
) -> None:
    """Add a file's bios and count them in `total`; `skipped` is called with every line that held none.

    Character references such as &amp; are written out. `note` is called with each guess that was made.
    """

    check_opt_outs(store)
    source = "standard input" if str(path) == "-" else os.fsencode(path.name).decode(errors="replace")

    def good() -> Iterator[Bio]:
        for each in readers.read(path, names, watch, note):
            if isinstance(each, Skipped):
                total.why[each.why] += 1
                skipped(each)
            else:
                total.unsigned += each.author is None and each.handle is None
                yield Bio(unescape(each.text), each.author, each.handle, each.source or source)

    def count(added: Added) -> None:
        total.stored += added

    store.add(good(), now, count)


def export(store: Store, write: Callable[[str], object]) -> int:
    """Write every stored row as a JSON line that `corpus import` reads back; return how many."""
    count = 0
    for bio in store.rows():
        count += 1
        record = {"bio": escape(bio.text), "user_id": bio.author, "handle": bio.handle, "source": bio.source}
        write(json.dumps({key: value for key, value in record.items() if value is not None}, ensure_ascii=False))
        write("\n")
    return count


def forget(store: Store, who: Iterable[str], texts: Iterable[str], now: datetime) -> Removed:
    """Opt people (ids, or handles with their @) and texts out for good; raise ValueError for what is neither.

    The files that a training reads are deleted, too: the next one, or --resume, writes them again. So are marks of
    such a text.
    """
    ids, handles = [], []
    for each in who:
        if re.match(r"[@＠]|[\w.:/]*/", each) and (name := handle(each)):
            handles.append(name)
        elif each[:1].isdecimal() and (number := readers.user_id(each)):
            ids.append(number)
        else:
            raise ValueError(f"{each!r} is neither an id nor a handle with its @")
    from biobot.dedupe import known_texts

    path = store.path.with_name(FINGERPRINTS)
    known_texts.check_seal(path, known_texts.listed(path), store.fingerprints_seal())
    gone = store.forget(now, lambda words: known_texts.forget(path, words), ids=ids, handles=handles, texts=texts)
    store.note_seal(known_texts.seal(known_texts.listed(path)))
    discard_training_text(store)
    if (marked := store.path.with_name("taste.db")).exists():
        forgotten = store.forgotten()
        with Marks(marked) as marks:
            marks.forget(lambda text: forgotten.covers(Bio(text)))
    return gone


def discard_training_text(store: Store) -> None:
    """Delete the copies of bios that a training made; raise CorpusError if one cannot be deleted."""
    folder = store.path.with_name("training")
    for name in ("bios.bytes", "bios.ends", "dev.bytes", "dev.ends"):
        try:
            (folder / name).unlink(missing_ok=True)
        except OSError as error:
            raise CorpusError(f"delete {folder / name}, which holds bios that were removed: {error.strerror}") from None


def opt_outs(path: Path) -> list[str]:
    """Return the ids and @handles of a file, one per line; a # begins a comment."""
    with opened(path) as text:
        return [who for _, line in text.lines() if (who := line.partition("#")[0].strip())]

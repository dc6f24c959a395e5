"""The corpus on disk: bios with their authors, and who opted out, in one SQLite file.

A text is kept once, as it was found, however many people wrote it. Every batch is one transaction: what a killed
import has stored stays stored, and counts as duplicates the next time. Triggers keep the totals, so that counting
reads no text.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any

from biobot import storage
from biobot.corpus import clean
from biobot.corpus.opt_outs import Forgotten, handle_key, id_key, text_key
from biobot.corpus.people import Bio, unescape
from biobot.errors import CorpusError
from biobot.settings import TrainSettings
from biobot.text.humanize import counted

DAY = 86_400
"""Seconds; when an author was last seen is stored to the day, so that seeing everyone again writes little."""

BATCH = 20_000
"""Bios in a transaction: some 10 MB of memory, and the most that a kill can lose."""


@dataclass
class Added:
    """The result of `Store.add`: how many bios were added, known, changed or left out."""

    added: int = 0
    duplicates: int = 0
    forgotten: int = 0
    updated: int = 0
    """Known authors who have another bio now."""

    def __iadd__(self, other: Added) -> Added:
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))
        return self


@dataclass
class Stats:
    """The corpus in figures: `learnable` counts what `clean` keeps, `left_out` what it does not, by reason."""

    bios: int = 0
    authors: int = 0
    bytes: int = 0
    forgotten: int = 0
    learnable: int = 0
    learnable_bytes: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed: bios and authors; and how many new `keys` keep people and texts from coming back."""

    bios: int
    authors: int
    keys: int

    def __str__(self) -> str:
        bios, authors, keys = counted(self.bios, "bio"), counted(self.authors, "author"), counted(self.keys, "key")
        return f"{bios}, {authors} removed, {keys} added"


class Store:
    """The corpus in `path`, made if there is none; not for two threads.

    `read_only` changes no byte, and reads an empty corpus where there is none. Raises CorpusError for a file that
    cannot be opened, and for whatever SQLite says within `with`.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        with storage.errors_as(CorpusError, path):
            if read_only:
                self.db = storage.open_read_only(path, storage.migrations("corpus"))
            else:
                self.db = storage.open_read_write(path, storage.migrations("corpus"))
                self._prepare()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self.close()
        if isinstance(error, sqlite3.Error):
            with storage.errors_as(CorpusError, self.path):
                raise error

    def close(self) -> None:
        """Close the file."""
        self.db.close()

    def _prepare(self) -> None:
        # what is forgotten must not linger in the file's free pages
        for pragma in ("secure_delete = ON", "cache_size = -65536", "temp_store = MEMORY"):
            self.db.execute(f"PRAGMA {pragma}")
        self.db.execute(
            """CREATE TEMP TABLE incoming (
                hash INTEGER, text TEXT, source TEXT, bytes INTEGER, traits INTEGER, author INTEGER, handle TEXT)"""
        )
        if not self._traits_are_current():
            with self.transaction():
                for key, text in self._pages("SELECT id, text FROM bio WHERE id > ? ORDER BY id LIMIT 5000"):
                    self.db.execute("UPDATE bio SET traits = ? WHERE id = ?", (clean.traits(text), key))
                self.db.execute("INSERT OR REPLACE INTO fact VALUES ('rules', ?)", (str(clean.RULES),))

    def _traits_are_current(self) -> bool:
        rules = self.db.execute("SELECT value FROM fact WHERE name = 'rules'").fetchone()
        return bool(rules == (str(clean.RULES),))

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Do everything under the `with`, or nothing; raises CorpusError if the disk does not take it."""
        with storage.errors_as(CorpusError, self.path), storage.transaction(self.db):
            yield

    # -- adding ---------------------------------------------------------------------------------------

    def add(self, bios: Iterable[Bio], now: datetime, stored: Callable[[Added], object] = lambda _: None) -> Added:
        """Add bios in batches, each one transaction; known ones count as duplicates, forgotten ones stay out.

        An author who comes with another bio than before has changed it: the old one is deleted unless somebody
        else has it. If `bios` raises, what it yielded until then is kept; `stored` is told of each batch that is safe.
        """
        total = Added()
        bios = iter(bios)
        error: BaseException | None = None
        while error is None:
            batch: list[Bio] = []
            try:
                batch.extend(islice(bios, BATCH))
            except BaseException as raised:  # noqa: BLE001 - raised again below, after the batch is safe
                error = raised
            if not batch:
                break
            with self.transaction():
                added = self.add_batch(batch, now)
            total += added
            stored(added)
        if error is not None:
            raise error
        return total

    def add_batch(self, batch: list[Bio], now: datetime) -> Added:
        """Add some bios within a transaction of the caller's, who commits more with them."""
        forgotten = self.forgotten()
        kept = [bio for bio in batch if not forgotten.covers(bio)] if forgotten.keys else batch
        execute = self.db.execute
        execute("DELETE FROM incoming")
        self.db.executemany("INSERT INTO incoming VALUES (?, ?, ?, ?, ?, ?, ?)", map(_row, kept))
        seen = int(now.timestamp())
        last = self._one("SELECT coalesce(max(id), 0) FROM bio")
        added = execute(
            """INSERT OR IGNORE INTO bio (hash, text, source, seen, bytes, traits, unsigned)
               SELECT hash, text, source, ?, bytes, traits, author IS NULL FROM incoming""",
            (seen,),
        ).rowcount
        signed = any(bio.author or bio.handle for bio in kept)
        if signed or self._one("SELECT EXISTS (SELECT 1 FROM author)"):
            execute(
                """UPDATE bio SET unsigned = 1
                   WHERE NOT unsigned AND hash IN (SELECT hash FROM incoming WHERE author IS NULL)"""
            )
        updated = self._link_authors(seen, last) if signed else 0
        return Added(added, len(kept) - added, len(batch) - len(kept), updated)

    def _link_authors(self, seen: int, last: int) -> int:
        """Link the authors of `incoming` to their bios, delete bios that nobody has any more, count who changed.

        Bios with a higher id than `last` came with this batch.
        """
        execute = self.db.execute
        execute("CREATE TEMP TABLE IF NOT EXISTS left_behind (bio INTEGER, author INTEGER)")
        execute("DELETE FROM left_behind")
        execute(
            """INSERT INTO left_behind SELECT author.bio, author.id
               FROM incoming JOIN author ON author.id = incoming.author JOIN bio USING (hash)
               WHERE author.bio != bio.id"""
        )
        updated = self._one("SELECT count(DISTINCT author) FROM left_behind")
        # within the batch, too, an author's last bio is the one that counts
        execute(
            """INSERT INTO left_behind
               SELECT bio.id, NULL FROM incoming JOIN bio USING (hash) WHERE bio.id > ? AND NOT unsigned""",
            (last,),
        )
        execute(
            """INSERT INTO author SELECT author, handle, bio.id, incoming.source, ?
               FROM incoming JOIN bio USING (hash) WHERE author IS NOT NULL ORDER BY incoming.rowid
               ON CONFLICT (id) DO UPDATE SET bio = excluded.bio, source = excluded.source, seen = excluded.seen,
                                              handle = coalesce(excluded.handle, handle)
               WHERE author.bio != excluded.bio OR author.handle IS NOT excluded.handle
                  OR author.seen + ? < excluded.seen""",
            (seen, DAY),
        )
        self._delete_unsigned("SELECT bio FROM left_behind")
        return updated

    def _delete_unsigned(self, which: str, *values: int) -> int:
        """Delete those bios of the query `which` that have no author left and never came without one."""
        return self.db.execute(
            f"""DELETE FROM bio WHERE id IN ({which}) AND NOT unsigned
                AND NOT EXISTS (SELECT 1 FROM author WHERE author.bio = bio.id)""",
            values,
        ).rowcount

    # -- reading --------------------------------------------------------------------------------------

    def bios(self) -> Iterator[Bio]:
        """Yield every text once, in the order of arrival, without its authors; others may write meanwhile."""
        for _, text, source in self._pages("SELECT id, text, source FROM bio WHERE id > ? ORDER BY id LIMIT 5000"):
            yield Bio(text, source=source)

    def rows(self) -> Iterator[Bio]:
        """Yield every stored bio: a text once per author, and once more if it also came without an author."""
        page = """SELECT some.id, text, some.source, unsigned, author.id, handle, author.source
                  FROM (SELECT * FROM bio WHERE id > ? ORDER BY id LIMIT 5000) some
                  LEFT JOIN author ON author.bio = some.id ORDER BY some.id"""
        last = None
        for key, text, source, unsigned, author, handle, author_source in self._pages(page):
            if unsigned and key != last:
                yield Bio(text, source=source)
            if author is not None:
                yield Bio(text, author if author > 0 else None, handle, author_source)
            last = key

    def _pages(self, query: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a query page by page, so that no read lock is held while the caller works on one."""
        last = 0
        while rows := self.db.execute(query, (last,)).fetchall():
            yield from rows
            last = rows[-1][0]

    def authors(self, after: int, most: int) -> list[int]:
        """Return the next author ids, in ascending order."""
        query = "SELECT id FROM author WHERE id > ? ORDER BY id LIMIT ?"
        return [author for (author,) in self.db.execute(query, (max(after, 0), most))]

    def count_authors(self, after: int) -> int:
        """Count the known authors whose ids are higher than `after`."""
        return self._one("SELECT count(*) FROM author WHERE id > ?", max(after, 0))

    def knows(self, author: int) -> bool:
        """Return whether a bio of this author is stored."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM author WHERE id = ?)", author))

    def has_opted_out(self, author: int) -> bool:
        """Return whether this author opted out by id."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM forgotten WHERE key = ?)", id_key(author)))

    def forgotten(self) -> Forgotten:
        """Return who opted out."""
        return Forgotten(frozenset(key for (key,) in self.db.execute("SELECT key FROM forgotten")))

    # -- counting -------------------------------------------------------------------------------------

    def stats(self, policy: TrainSettings) -> Stats:
        """Count what is there, and what `clean` would leave out under this policy; reads no text.

        Only a corpus that an older biobot wrote, and that is open read-only, must be read for it.
        """
        stats = Stats(
            authors=self._one("SELECT count(*) FROM author"), forgotten=self._one("SELECT count(*) FROM forgotten")
        )
        for found, size, bios in self._tally():
            stats.bios += bios
            stats.bytes += size * bios
            if why := clean.reason(found, size, policy):
                stats.left_out[why] += bios
            else:
                stats.learnable += bios
                stats.learnable_bytes += size * bios
        return stats

    def _tally(self) -> Iterable[tuple[int, int, int]]:
        """Return (traits, bytes, how many bios have these)."""
        if self._traits_are_current():
            return self.db.execute("SELECT traits, bytes, bios FROM tally WHERE bios > 0")
        counts = Counter((clean.traits(bio.text), len(bio.text.encode())) for bio in self.bios())
        return [(*key, count) for key, count in counts.items()]

    def any_unsigned(self) -> bool:
        """Return whether bios are stored that came without an author."""
        return bool(self._one("SELECT EXISTS (SELECT 1 FROM bio WHERE unsigned)"))

    def fingerprints(self) -> int | None:
        """Return how many forgotten texts' fingerprints were saved, at least; None if nothing was ever forgotten."""
        query = "SELECT (SELECT value FROM fact WHERE name = 'fingerprints'), EXISTS (SELECT 1 FROM forgotten)"
        saved, any_forgotten = self.db.execute(query).fetchone()
        return int(saved or 0) if any_forgotten else None

    def fingerprints_seal(self) -> str:
        """Return what tells the list of their fingerprints from any other; "" if an older biobot wrote it."""
        found = self.db.execute("SELECT value FROM fact WHERE name = 'fingerprints_seal'").fetchone()
        return str(found[0]) if found else ""

    def note_seal(self, seal: str) -> None:
        """Keep what tells the list of fingerprints, as it is now, from any other."""
        with self.transaction():
            self.db.execute("INSERT OR REPLACE INTO fact VALUES ('fingerprints_seal', ?)", (seal,))

    # -- forgetting -----------------------------------------------------------------------------------

    def forget(
        self,
        now: datetime,
        save_fingerprints: Callable[[Iterable[str]], int],
        *,
        ids: Iterable[int] = (),
        handles: Iterable[str] = (),
        texts: Iterable[str] = (),
    ) -> Removed:
        """Opt people and texts out for good: their bios go at once, and never come back.

        Whoever is the only one known to have written a forgotten text is forgotten, too. `save_fingerprints` is
        given the texts before anything is deleted, so that none of them is ever posted, and returns how many texts'
        fingerprints there are now; if it raises, nothing is deleted.
        """
        with self.transaction():
            people = dict.fromkeys(ids, True)
            names = {handle.removeprefix("@").lower() for handle in handles}
            for name in names:
                people |= dict(self.db.execute("SELECT id, 1 FROM author WHERE handle = ?", (name,)))
            words = {text_key(unescape(text)): unescape(text) for text in texts}
            bios = self._written_by(people) | self._with_text(words)
            for bio in bios:
                writers = self.db.execute("SELECT id FROM author WHERE bio = ?", (bio,)).fetchall()
                if len(writers) == 1:
                    people[writers[0][0]] = True
            for (handle,) in self._query_each("SELECT handle FROM author WHERE id = ? AND handle IS NOT NULL", people):
                names.add(handle)
            words |= {text_key(text): text for (text,) in self._query_each("SELECT text FROM bio WHERE id = ?", bios)}
            # if this process dies before the commit, too much is refused for a while, never too little
            saved = max(save_fingerprints(words.values()), self.fingerprints() or 0)
            self.db.execute("INSERT OR REPLACE INTO fact VALUES ('fingerprints', ?)", (str(saved),))
            before = self._one("SELECT count(*) FROM forgotten")
            keys = [*words, *(id_key(author) for author in people if author > 0), *map(handle_key, names)]
            self.db.executemany(
                "INSERT OR IGNORE INTO forgotten VALUES (?, ?)", [(key, int(now.timestamp())) for key in keys]
            )
            authors = self._delete("DELETE FROM author WHERE id = ?", people)
            authors += self._delete("DELETE FROM author WHERE bio = ?", bios)
            removed = Removed(
                bios=self._delete("DELETE FROM bio WHERE id = ?", bios),
                authors=authors,
                keys=self._one("SELECT count(*) FROM forgotten") - before,
            )
            self._forget_collecting(people, names)
            self.note(now, f"forgot on request: {removed}")
        return removed

    def _forget_collecting(self, people: Collection[int], handles: Collection[str]) -> None:
        """Delete what collecting has noted of people: whose circles to read, who was paid for, where a recheck is."""
        rows = self.db.execute("SELECT number, root, depth, account, lower(target), kind, token FROM source").fetchall()
        for number, root, depth, account, target, kind, token in rows:
            if account in people or (target[:1] == "@" and target[1:] in handles):
                self.db.execute("DELETE FROM source WHERE number = ? OR (? = 0 AND root = ?)", (number, depth, root))
            elif kind == "recheck" and token and int(token) in people:
                self.db.execute("UPDATE source SET token = ? WHERE number = ?", (str(int(token) - 1), number))
        paid = {user for (user,) in self.db.execute("SELECT user FROM paid")}
        self._delete("DELETE FROM paid WHERE user = ?", paid.intersection(people))

    def remove(self, authors: Iterable[int], now: datetime, why: str) -> Removed:
        """Delete authors and what only they wrote; they may come back. For a transaction of the caller's."""
        people = list(authors)
        bios = self._written_by(people)
        count = self._delete("DELETE FROM author WHERE id = ?", people)
        removed = Removed(sum(self._delete_unsigned("VALUES (?)", bio) for bio in bios), count, keys=0)
        if count:
            self.note(now, f"{why}: {removed}")
        return removed

    def note(self, now: datetime, what: str) -> None:
        """Add a line to the audit: what happened, never anybody's words or name."""
        self.db.execute("INSERT INTO audit VALUES (?, ?)", (int(now.timestamp()), what))

    def _written_by(self, people: Iterable[int]) -> set[int]:
        return {bio for (bio,) in self._query_each("SELECT bio FROM author WHERE id = ?", people)}

    def _with_text(self, words: Mapping[bytes, str]) -> set[int]:
        if not words:
            return set()
        every = self._pages("SELECT id, text FROM bio WHERE id > ? ORDER BY id LIMIT 5000")
        return {bio for bio, text in every if text_key(unescape(text)) in words}

    def _query_each(self, query: str, keys: Iterable[int]) -> Iterator[tuple[Any, ...]]:
        for key in keys:
            yield from self.db.execute(query, (key,))

    def _delete(self, statement: str, keys: Iterable[int]) -> int:
        return sum(self.db.execute(statement, (key,)).rowcount for key in keys)

    def _one(self, query: str, *values: object) -> int:
        return int(self.db.execute(query, values).fetchone()[0])


def _row(bio: Bio) -> tuple[object, ...]:
    raw = bio.text.encode()
    digest = int.from_bytes(blake2b(raw, digest_size=8).digest(), "big", signed=True)
    handle = bio.handle.lower() if bio.handle else None
    author = bio.author or (_unknown_id(handle) if handle else None)
    return digest, bio.text, bio.source, len(raw), clean.traits(bio.text), author, handle


def _unknown_id(handle: str) -> int:
    """Return an id below 0 for an author of whom only the handle is known."""
    return -1 - (int.from_bytes(handle_key(handle)[:8], "big") >> 1)

"""What all SQLite files of the bot have in common: transactions, and tables that are brought up to date."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Do everything under the `with`, or nothing; for a connection with `isolation_level=None`."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def version(db: sqlite3.Connection) -> int:
    """Give the number of steps that a file's tables have come through."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def migrate(db: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Take those SQL scripts of `steps` that the file has not come through; for a transaction of the caller's.

    The version is read anew here: another process may have been faster.
    """
    for number in range(version(db), len(steps)):
        for statement in _statements(steps[number]):
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {number + 1}")


def _statements(script: str) -> Iterator[str]:
    """Cut a script into statements: `executescript` would commit before the first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""

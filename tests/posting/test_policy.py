"""The table of errors: row by row, and the same in the docs (F1, F17, F20, F42, F43)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from biobot.errors import NetworkError
from biobot.networks.errors import Kind, Refused, Unknown, Unsent
from biobot.posting.policy import TABLE, Then, decide, name
from biobot.posting.post import State
from biobot.rehearsal.faults import FAULTS

NOW = datetime(2026, 11, 22, 18, tzinfo=UTC)
DOCS = Path(__file__).parents[2] / "docs" / "errors.md"


def refused(kind: Kind, wait: timedelta | None = None) -> Refused:
    return Refused(kind, 403, "words", wait)


def test_every_kind_has_one_row() -> None:
    assert list(TABLE) == ["unsent", "unknown", *(kind.value for kind in Kind)]
    assert {name(refused(kind)) for kind in Kind} | {name(Unsent("")), name(Unknown(""))} == set(TABLE)


@pytest.mark.parametrize(
    ("error", "state", "then", "until"),
    [
        (Unsent(""), "approved", Then.WAIT, timedelta(minutes=1)),  # F42
        (Unknown(""), "unconfirmed", Then.GO_ON, None),  # F2
        (refused(Kind.DUPLICATE), "failed", Then.GO_ON, None),  # F20
        (refused(Kind.RATE_LIMIT, timedelta(minutes=10)), "approved", Then.WAIT, timedelta(minutes=10)),
        (refused(Kind.RATE_LIMIT, timedelta(seconds=1)), "approved", Then.WAIT, timedelta(minutes=1)),  # F1
        (refused(Kind.DAILY_LIMIT, timedelta(hours=5)), "approved", Then.WAIT, timedelta(hours=5)),
        (refused(Kind.CLOCK), "approved", Then.WAIT, timedelta(minutes=15)),  # F43
        (refused(Kind.USAGE_CAP), "approved", Then.BLOCK, None),  # F17 from here on
        (refused(Kind.NO_CREDITS), "approved", Then.BLOCK, None),
        (refused(Kind.SUSPENDED), "approved", Then.BLOCK, None),
        (refused(Kind.LOCKED), "approved", Then.BLOCK, None),
        (refused(Kind.REVOKED), "approved", Then.BLOCK, None),
        (refused(Kind.READ_ONLY), "approved", Then.BLOCK, None),
        (refused(Kind.NOT_ENROLLED), "approved", Then.BLOCK, None),
        (refused(Kind.APP_ONLY), "approved", Then.BLOCK, None),
        (refused(Kind.NOT_FOUND), "approved", Then.BLOCK, None),
        (refused(Kind.MOVED), "approved", Then.BLOCK, None),
        (refused(Kind.NOT_PERMITTED), "failed", Then.WAIT, timedelta(hours=1)),
        (refused(Kind.INVALID), "failed", Then.GO_ON, None),
        (refused(Kind.OTHER), "failed", Then.WAIT, timedelta(hours=1)),
    ],
    ids=lambda value: name(value) if isinstance(value, NetworkError) else "",
)
def test_each_row_decides(error: NetworkError, state: str, then: Then, until: timedelta | None) -> None:
    decision = decide(error, NOW)
    assert (decision.state, decision.then) == (state, then)
    assert decision.until == (None if until is None else NOW + until)
    assert decision.remedy


def test_waits_double_with_each_failure_up_to_the_longest() -> None:
    waits = [decide(Unsent(""), NOW, before=before).until for before in (0, 1, 2, 3, 4, 5, 1000)]
    assert [(wait - NOW).total_seconds() / 60 for wait in waits if wait] == [1, 2, 4, 8, 15, 15, 15]


@pytest.mark.parametrize("kind", [Kind.NOT_PERMITTED, Kind.INVALID, Kind.OTHER])
def test_what_goes_on_may_do_so_three_times_in_a_row(kind: Kind) -> None:
    then = [decide(refused(kind), NOW, before=before).then for before in range(4)]
    assert then[:2] == [TABLE[kind.value].then] * 2
    assert then[2:] == [Then.BLOCK] * 2


def test_an_unknown_fate_is_never_approved_again() -> None:
    for before in range(100):
        assert decide(Unknown(""), NOW, before=before).state is State.UNCONFIRMED


def test_the_docs_hold_this_very_table() -> None:
    text = DOCS.read_text(encoding="utf-8")
    for kind, rule in TABLE.items():
        then = rule.then.value + (f"; {rule.strikes} in a row: blocks" if rule.strikes else "")
        assert f"| `{kind}` | {rule.state} | {then} | {rule.remedy} |" in text
    for fault in FAULTS:
        assert f"`{fault}`" in text

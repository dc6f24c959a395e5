"""F1: how long a 429 makes us wait, whatever its headers say."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobot.networks.rate_limits import DEFAULT_WAIT, MAX_WAIT, MIN_WAIT, WINDOWS, wait

DATE = "Sun, 22 Nov 2026 18:00:00 GMT"
NOW = 1795370400


def headers(**windows: tuple[object, object]) -> dict[str, str]:
    named = {"rate": WINDOWS[0], "app": WINDOWS[1], "user": WINDOWS[2]}
    found = {"Date": DATE}
    for name, (remaining, reset) in windows.items():
        found |= {f"{named[name]}-remaining": str(remaining), f"{named[name]}-reset": str(reset)}
    return found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (headers(rate=(0, NOW + 600)), timedelta(minutes=10)),
        (headers(rate=(0, NOW - 5)), MIN_WAIT),
        (headers(rate=(0, 0)), MIN_WAIT),
        (headers(rate=(0, "soon")), DEFAULT_WAIT),
        (headers(rate=(0, "-1")), DEFAULT_WAIT),
        (headers(rate=(0, "9" * 400)), DEFAULT_WAIT),
        (headers(rate=(0, NOW + 10**9)), MAX_WAIT),
        ({"Date": DATE}, DEFAULT_WAIT),
        ({}, DEFAULT_WAIT),
        ({"Date": "yesterday", **dict(list(headers(rate=(0, NOW + 60)).items())[1:])}, DEFAULT_WAIT),
        (headers(rate=(0, NOW + 600), user=(0, NOW + 7200)), timedelta(hours=2)),
        (headers(rate=(50, NOW + 600), user=(0, NOW + 7200)), timedelta(hours=2)),
        (headers(rate=(0, NOW + 600), user=(3, NOW + 7200)), timedelta(minutes=10)),
        (headers(app=(0, NOW + 3600), user=(0, NOW + 7200)), timedelta(hours=2)),
        (headers(rate=(7, NOW + 600)), timedelta(minutes=10)),
    ],
)
def test_f1_waits_for_the_later_of_the_exhausted_windows_within_bounds(
    given: dict[str, str], expected: timedelta
) -> None:
    assert wait(given) == expected


def test_waits_by_the_servers_clock_not_by_ours() -> None:
    assert wait({**headers(rate=(0, NOW + 600)), "Date": "Sun, 22 Nov 2020 18:00:00 GMT"}) == MAX_WAIT


@given(
    st.dictionaries(
        st.sampled_from(["Date", *(f"{w}-{p}" for w in WINDOWS for p in ("remaining", "reset"))]), st.text()
    )
)
def test_f1_never_waits_less_than_the_floor_nor_more_than_the_ceiling(given: dict[str, str]) -> None:
    assert MIN_WAIT <= wait(given) <= MAX_WAIT

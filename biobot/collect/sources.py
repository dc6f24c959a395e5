"""Where people are found: the configured sources, how each kind is read page by page, and what that will cost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

from biobot.corpus import readers
from biobot.settings import CollectSettings, PaceSettings, PriceSettings

Kind = Literal["followers", "following", "friends", "lists", "search", "ids", "recheck"]
"""The keys of `[collect]` that name sources; `recheck` looks up those who are stored."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a kind of source is read: X's route for it (a key of `[collect.pace]`), and the people that a page holds."""

    route: str
    max_page: int
    min_page: int = 1


ENDPOINTS: dict[Kind, Endpoint] = {
    "followers": Endpoint("followers", 1000),
    "following": Endpoint("following", 1000),
    "friends": Endpoint("following", 1000),
    "lists": Endpoint("lists", 100),
    "search": Endpoint("search", 100, min_page=10),
    "ids": Endpoint("users", 100),
    "recheck": Endpoint("users", 100),
}


@dataclass(frozen=True, slots=True)
class Source:
    """One configured source of people."""

    kind: Kind
    target: str

    @property
    def root(self) -> str:
        """Return its name in the store."""
        return f"{self.kind}:{self.target}"


RECHECK = Source("recheck", "authors")


def configured(settings: CollectSettings) -> list[Source]:
    """Return the sources of the config in the order in which they are read: the surest, files of ids, first."""
    kinds: tuple[Kind, ...] = ("ids", "lists", "following", "followers", "friends", "search")
    return [Source(kind, target) for kind in kinds for target in getattr(settings, kind)]


def price(kind: Kind, people: int, prices: PriceSettings) -> float:
    """Return what a page of `people` costs at most, in dollars: in a search, X charges for the posts as well."""
    return people * (prices.read_user + (prices.read_post if kind == "search" else 0))


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a run will take at most: `sizes` is how many people each source has, None where only X knows."""

    sizes: dict[Source, int | None]
    people: int
    requests: int
    usd: float
    time: timedelta


def estimate(
    sources: Iterable[Source],
    sizes: dict[Source, int | None],
    *,
    limit: int,
    budget: float,
    prices: PriceSettings,
    pace: PaceSettings,
) -> Estimate:
    """Return an upper bound of a run: sources in their order until `limit` people or `budget` dollars are used up.

    A source of unknown size is taken to use up what is left.
    """
    requests: Counter[str] = Counter()
    people, usd = 0, 0.0
    for source in sources:
        endpoint = ENDPOINTS[source.kind]
        each = price(source.kind, 1, prices)
        affordable = math.floor((budget - usd) / each + 1e-9) if each else limit
        size = sizes.get(source)
        count = max(min(limit - people, affordable, limit if size is None else size), 0)
        people += count
        usd += count * each
        requests[endpoint.route] += math.ceil(count / endpoint.max_page)
        requests["users"] += source.target.startswith("@")
    # X counts in windows of 15 minutes: whatever exceeds the first of them waits for the next
    windows = max((math.ceil(count / getattr(pace, route)) for route, count in requests.items()), default=0)
    time = timedelta(minutes=15 * max(windows - 1, 0)) + timedelta(seconds=sum(requests.values()))
    return Estimate(sizes, people, sum(requests.values()), usd, time)


def count_ids(file: Path) -> int:
    """Count the ids of a file."""
    return sum(1 for _ in readers.ids(file))

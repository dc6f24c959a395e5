"""Drafts for slots: what is asked of the sampler, and the first accepted candidate of each request."""

from __future__ import annotations

import json
from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import accumulate
from typing import Any

from biobot.config import Config
from biobot.posting import schedule
from biobot.posting.post import Draft

Draw = Callable[[Sequence[Mapping[str, Any]]], Iterable[Mapping[str, Any]]]
"""What samples and judges: requests to candidates, as a worker process does."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What came of one request: a draft; or, with `draft` None, why there is none.

    `refused` counts, by filter, the candidates that came before it and were refused.
    """

    request: str
    draft: Draft | None
    reason: str = ""
    refused: Mapping[str, int] = field(default_factory=dict)


def request(config: Config, name: str, slot: datetime | None, *salt: object) -> dict[str, Any]:
    """Make the request for one draft: temperature and seed are a hash of the home and the slot.

    A run that is repeated after a crash asks for the same draft. `salt` tells the drafts of one slot apart.
    """
    weights = config.settings.sample.temperatures
    where = (str(config.home.resolve()), slot or name, *salt)
    totals = list(accumulate(weights.values()))
    drawn = bisect(totals, schedule.chance(*where, "temperature") * totals[-1])
    return {
        "id": name,
        "temperature": list(weights)[min(drawn, len(totals) - 1)],
        "seed": int(schedule.chance(*where, "seed") * 2**48),
        "n": config.settings.sample.max_tries,
    }


def drawn(requests: Sequence[Mapping[str, Any]], draw: Draw, slots: Mapping[str, datetime | None]) -> Iterator[Drawn]:
    """Have drafts drawn; give each request's first accepted one as it comes, or why there is none.

    A request that the sampler did not get to the end of is not given: it may be asked again.
    """
    tries = Counter[str]()
    objected: dict[str, Counter[str]] = {each["id"]: Counter() for each in requests}
    limits = {each["id"]: each["n"] for each in requests}
    done: set[str] = set()
    for found in draw(requests):
        name = found["request"]
        if name in done:
            continue
        tries[name] += 1
        if found["accepted"]:
            done.add(name)
            text, temperature, seed, model = (found[key] for key in ("text", "temperature", "seed", "model"))
            noted = {key: found[key] for key in ("bits", "bits_per_byte", "entropy") if key in found}
            controls = json.dumps({**found.get("controls", {}), **noted})
            draft = Draft(text, slots[name], temperature, seed, model, controls)
            yield Drawn(name, draft, refused=objected[name])
            continue
        objected[name].update({each["filter"] for each in found["objections"]})
        if tries[name] >= limits[name]:
            done.add(name)
            why = ", ".join(f"{by} {count}" for by, count in objected[name].most_common())
            yield Drawn(name, None, f"all {tries[name]} drafts were refused: {why}", objected[name])

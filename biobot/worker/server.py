"""Drafts: bios drawn and judged, in this process or in a child of it.

Nothing heavy is imported until something is drawn here: the daemon and the console use `spawn`, whose child
pays for torch, and ends. What the child prints is the contract of `biobot preview --json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from biobot.candidate import Candidate, Verdict
from biobot.config import Config
from biobot.errors import SampleError
from biobot.filters import loader
from biobot.filters.judge import Judge
from biobot.model import runtime
from biobot.model.registry import Registry
from biobot.sampling.controls import Controls, Request
from biobot.text.length import weighted_length
from biobot.worker import client
from biobot.worker.known import known_texts

if TYPE_CHECKING:
    from biobot.sampling.sampler import Sample


@dataclass(frozen=True, slots=True)
class Draft:
    """A bio that was drawn, and what the filters hold against it."""

    sample: Sample
    verdict: Verdict

    def as_dict(self, *, per_byte: bool = False) -> dict[str, Any]:
        """Return the object that `biobot preview --json` prints."""
        sample, verdict = self.sample, self.verdict
        found: dict[str, Any] = {
            "text": sample.text,
            "temperature": sample.temperature,
            "seed": sample.seed,
            "model": verdict.candidate.model,
            "bits": sample.bits,
            "bits_per_byte": sample.bits_per_byte,
            "entropy": sample.entropy,
            "weighted_length": weighted_length(sample.text),
            "accepted": verdict.accepted,
            "objections": [asdict(each) for each in verdict.objections],
        }
        if per_byte:
            columns = zip(sample.text.encode(), sample.probabilities, sample.entropies, strict=True)
            found["bytes"] = [{"byte": b, "probability": p, "entropy": e} for b, p, e in columns]
        return found


class Desk:
    """One model with the filters that judge it, ready to draft."""

    def __init__(
        self, config: Config, model: str | None = None, *, judge: bool = True, rows: int = 256, may_write: bool = False
    ) -> None:
        """Load the model that `model` (None: the config) names; `rows` is the most bios drawn at once.

        Only a process that draws for a post `may_write`: it then keeps what it computes for the next one.
        """
        # the filters come first: what is wrong with them is said before torch is imported
        folder = Registry(config.home).find(model or config.settings.model.name)
        self.model = folder.id
        self.seen = known_texts(config, folder, may_write=may_write)
        self._best_of = config.settings.sample.best_of
        self._judge = Judge(loader.load(config), self.seen, config.settings.filters.timeout) if judge else None

        runtime.load()
        from biobot.model import checkpoint
        from biobot.sampling.sampler import Sampler, device

        self.engine = Sampler(checkpoint.load(folder.weights, device(config.settings.model.device)), rows)

    def drafts(self, requests: Iterable[Request], controls: Controls) -> Iterator[Draft]:
        """Draw a bio for each request, in order, and judge it."""
        for sample in self.engine.draw(requests, controls):
            candidate = Candidate(sample.text, sample.temperature, sample.seed, sample.bits, sample.entropy, self.model)
            yield Draft(sample, self.judge(candidate))

    def judge(self, candidate: Candidate) -> Verdict:
        """Ask every filter about a candidate; without filters there are no objections."""
        return self._judge.judge(candidate) if self._judge else Verdict(candidate)

    @property
    def best_of(self) -> int:
        """How many accepted drafts an order's one is chosen from: one, unless a plugin scores them."""
        return self._best_of if self._judge and self._judge.scores else 1

    def score(self, draft: Draft) -> float:
        """Add up what the plugins think of a draft; raise PluginError if one cannot say."""
        return (self._judge.score(draft.verdict).score or 0.0) if self._judge else 0.0


def requests(temperatures: Iterable[float], count: int, seed: int) -> Iterator[Request]:
    """Ask for `count` bios of each temperature: bio i of each has the seed `seed` + i."""
    return (Request(seed + i, temperature) for temperature in temperatures for i in range(count))


@dataclass(frozen=True, slots=True)
class Order:
    """A draft that somebody needs: the first accepted of at most `n` bios, of the seeds from `seed` on."""

    id: str
    temperature: float
    seed: int
    n: int

    @classmethod
    def read(cls, line: str) -> Order:
        """Read a JSON line; SampleError says what is wrong with it."""
        try:
            found = json.loads(line)
            order = cls(str(found["id"]), float(found["temperature"]), int(found["seed"]), int(found["n"]))
        except (ValueError, TypeError, KeyError) as error:
            raise SampleError(
                f'{line.strip()!r} is no request such as {{"id": "1", "temperature": 0.8, "seed": 0, "n": 200}}: '
                f"{type(error).__name__} {error}"
            ) from None
        if order.n < 1:
            raise SampleError(f"the request {order.id} asks for {order.n} bios; ask for at least one")
        Request(order.seed, order.temperature)
        return order


def fill(desk: Desk, orders: Iterable[Order], controls: Controls) -> Iterator[dict[str, Any]]:
    """Yield the candidates of each order up to its first accepted one, as `preview --json --requests` prints them.

    Where plugins score and `sample.best_of` is above one, the accepted one is the best of so many (or of those
    that the order's `n` bios hold, the earliest of equals); the others are not given. Beside the keys of
    `preview --json` each has `request`, the order's id, and `controls`, all that a bio depends on besides model,
    seed and temperature.
    """
    facts = asdict(controls) | {"prefix": controls.prefix.decode(errors="replace"), "kind": desk.engine.kind}
    for order in orders:
        accepted = []
        for draft in desk.drafts(requests([order.temperature], order.n, order.seed), controls):
            if not draft.verdict.accepted:
                yield draft.as_dict() | {"request": order.id, "controls": facts}
                continue
            accepted.append(draft)
            if len(accepted) == desk.best_of:
                break
        if accepted:
            best = max(accepted, key=desk.score) if len(accepted) > 1 else accepted[0]
            yield best.as_dict() | {"request": order.id, "controls": facts}


def spawn(
    config: Config, orders: Iterable[Mapping[str, Any]], deadline: timedelta, model: str | None = None
) -> Iterator[dict[str, Any]]:
    """Have orders filled by a child process, and give its candidates as they come.

    An order is a mapping with the fields of `Order`. The child has none of this process's secrets, dies with
    it, and is killed when the iterator is closed. Raises SampleError when it is not done within `deadline`
    or fails.
    """
    command = [*(["--config", str(config.file)] if config.file else []), "--home", str(config.home)]
    command += ["preview", "--json", "--requests", "-", *(["--model", model] if model else [])]
    lines = "".join(json.dumps(dict(order)) + "\n" for order in orders)
    for line in client.run(command, lines, deadline, "drawing bios"):
        yield json.loads(line)

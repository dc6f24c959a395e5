"""A worker without a process, a model or plugins: for tests and rehearsals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from typing import Any, TypeVar

from biobot.candidate import Candidate, DraftRequest, DraftResult, Objection, Verdict
from biobot.config import Config
from biobot.worker import protocol
from biobot.worker.client import Call, Worker

A = TypeVar("A")


def numbered(temperature: float, seed: int) -> str:
    """Return a text that names its temperature and seed."""
    return f"draft {seed} at {temperature:g}"


class FakeWorker(Worker):
    """Answers requests itself: `write(temperature, seed)` makes a bio, `objections(text, row)` judges it."""

    def __init__(
        self,
        config: Config,
        write: Callable[[float, int], str] = numbered,
        objections: Callable[[str, str | None], Sequence[Objection]] = lambda _text, _row: (),
    ) -> None:
        super().__init__(config)
        self.write = write
        self.objections = objections

    def ask(self, request: protocol.Request[A], deadline: timedelta | None = None) -> Call[A]:  # noqa: ARG002
        """Return the answers, which are made as they are received."""
        return _FakeCall(self._answers(request))

    def _answers(self, request: Any) -> Iterator[Any]:
        match request:
            case protocol.Draw(requests):
                yield from map(self._draft, requests)
            case protocol.Judge(texts):
                yield from (self._verdict(Candidate(each.text), each.row) for each in texts)
            case protocol.Replay():
                yield self._bio(request.temperature, request.seed)
            case protocol.Choice():
                yield protocol.Chosen(())
            case protocol.LearnTaste():
                yield protocol.Learnt("The shipped taste is in use.")
            case protocol.Preview(temperatures, count, seed):
                yield from (self._verdict(self._bio(T, seed + i)) for T in temperatures for i in range(count))
            case protocol.Explain():
                yield protocol.Explanation(0.0, {})

    def _draft(self, request: DraftRequest) -> DraftResult:
        refused = Counter[str]()
        for tries in range(1, request.tries + 1):
            verdict = self._verdict(self._bio(request.temperature, request.seed + tries - 1))
            if verdict.accepted:
                return DraftResult(request.id, verdict, tries, refused)
            refused.update({each.filter for each in verdict.objections})
        return DraftResult(request.id, None, request.tries, refused)

    def _bio(self, temperature: float, seed: int) -> Candidate:
        return Candidate(self.write(temperature, seed), temperature, seed, model="made-up", numerics="made up")

    def _verdict(self, candidate: Candidate, row: str | None = None) -> Verdict:
        return Verdict(candidate, tuple(self.objections(candidate.text, row)))


class _FakeCall(Call[A]):
    def __init__(self, answers: Iterator[A]) -> None:
        self._answers = answers

    def receive(self) -> A | None:
        """Return the next answer, or None after the last one."""
        return next(self._answers, None)

    def close(self) -> None:
        """Make no more answers."""
        self._answers = iter(())

"""Draws bios: many at once, each as if it were alone.

Up to `rows` bios are drawn side by side. A bio that ends makes room for the next request at once; when there are
no more, the batch shrinks. A bio does not depend on its batch: it is a function of the model, its seed, its
temperature, the controls and the numeric kind, whatever is drawn beside it (F37).

At each byte the model's logits z become softmax(z / T) over the codes that the UTF-8 automaton allows,
restricted by min-p and top-p if asked; the bio's next uniform number picks from it through the inverse of its
cumulative sum.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import islice, pairwise
from typing import Literal

import torch
from torch import Tensor

from biobot.candidate import Candidate
from biobot.errors import SampleError
from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import STOP
from biobot.sampling.controls import Controls, Request
from biobot.sampling.counter_rng import uniforms
from biobot.sampling.side_by_side import Shared, side_by_side
from biobot.sampling.stepper import MIN_ROWS, NumericKind, Stepper, best_kind
from biobot.sampling.utf8 import NOTHING, Automaton
from biobot.text.graphemes import whole

_NEVER = -1e6
"""Added to a logit that must not be drawn: finite, so that multiplying it by 0 does not give NaN."""

MIN_SHARE = 16
"""The fewest bios that are worth a thread of their own: fewer take hardly less time."""

_Found = tuple[int, Candidate]
"""A bio, and its place in the order of the requests."""

_COLUMNS = ("code", "probability", "entropy", "bits", "lost")
"""What is recorded of each draw."""


def device(name: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """Return the device that the config names; SampleError if this machine has none."""
    found = torch.cuda.is_available()
    if name == "cuda" and not found:
        raise SampleError('there is no GPU that torch can use; set model.device to "auto" or "cpu"')
    return torch.device("cuda" if found and name != "cpu" else "cpu")


class Sampler:
    """Draws bios from a checkpoint."""

    def __init__(
        self, checkpoint: Checkpoint, rows: int = 256, kind: NumericKind | None = None, model: str | None = None
    ) -> None:
        """Lay out the weights of the model with the id `model`.

        `rows` is the most bios drawn at once, `kind` the number type (None: the fastest).
        """
        self.model = model
        self.device = checkpoint.model.linear.weight.device
        self.rows = max(MIN_ROWS, -(-rows // MIN_ROWS) * MIN_ROWS)
        self.codec = checkpoint.codec
        self.automaton = Automaton(checkpoint.codec)
        self._stepper = Stepper(checkpoint.model, MIN_ROWS, kind or best_kind(self.device))
        states, size = len(self.automaton.ways), self.codec.size
        mask = torch.full((states, size), _NEVER)
        after = torch.zeros((states, size), dtype=torch.int64)
        for state, ways in enumerate(self.automaton.ways):
            mask[state, self.automaton.allowed(state)] = 0.0
            for byte, to in ways.items():
                after[state, self.codec.encode(bytes([byte]))[0]] = to
        self._mask, self._after = mask.to(self.device), after.to(self.device)

    @cached_property
    def numerics(self) -> str:
        """The arithmetic by name: with another, the same seed may give another text."""
        isa = torch.cuda.get_device_name() if self.device.type == "cuda" else torch.backends.cpu.get_cpu_capability()
        return f"{self._stepper.kind}, {isa}, torch {torch.__version__}"

    def draw(self, requests: Iterable[Request], controls: Controls | None = None) -> Iterator[Candidate]:
        """Draw a bio for each request, in order, taking requests only as there is room for them.

        On a CPU the bios are shared out among threads, which draw a little ahead of what is taken from the iterator.
        Raises SampleError for a prefix that no bio can begin with, and for a model whose logits are not finite.
        """
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield from self._draw(requests, controls or Controls(), threads if self.device.type == "cpu" else 1)
        finally:
            torch.set_num_threads(threads)

    def _draw(self, requests: Iterable[Request], controls: Controls, threads: int) -> Iterator[Candidate]:
        source = Shared(enumerate(requests))
        first = list(islice(source, self.rows))
        count = max(1, min(threads, len(first) // MIN_SHARE))
        rows = -(-self.rows // (count * MIN_ROWS)) * MIN_ROWS
        draws = [_Draw(self, controls, rows).bios(first[k::count], source) for k in range(count)]
        done: dict[int, Candidate] = {}
        following = 0  # the index of the next bio to yield
        for place, candidate in draws[0] if count == 1 else side_by_side(draws, self.rows):
            done[place] = candidate
            while following in done:
                yield done.pop(following)
                following += 1


class _Draw:
    """What one thread does in a call of `draw`: the bios under way, one a row, the first `active` rows in use."""

    def __init__(self, sampler: Sampler, controls: Controls, rows: int) -> None:
        self.sampler, self.controls = sampler, controls
        self.stepper, device = sampler._stepper.fresh(rows), sampler.device
        self.limit = controls.max_bytes - len(controls.prefix) + 1  # draws for one bio, the stop's included
        width = self.limit + 1  # rows beyond the active ones go idly on, in the last column
        self.active = 0
        self.requests: list[tuple[int, Request]] = []  # of each active row: its place in the order, and what is asked
        self.code = torch.zeros(rows, dtype=torch.int64, device=device)
        self.state = torch.zeros(rows, dtype=torch.int64, device=device)
        self.drawn = torch.zeros(rows, dtype=torch.int64, device=device)
        self.temperature = torch.ones(rows, 1, device=device)
        self.uniforms = torch.zeros(rows, width, dtype=torch.float64, device=device)
        self.record = torch.zeros(rows, width, len(_COLUMNS), device=device)
        self.every = torch.arange(rows, device=device)
        self.start_code, self.start_state, self.start_bits = STOP, NOTHING, 0.0
        self.origin = [each[0] for each in self.stepper.state]

    def bios(self, first: list[tuple[int, Request]], others: Iterator[tuple[int, Request]]) -> Iterator[_Found]:
        """Yield bios as they end, with their places in the order: those of `first`, and others as there is room."""
        self.start()
        self.admit(first)
        while self.active:
            ended = self.step()
            found = [(self.requests[row][0], self.collect(row)) for row in ended]
            fresh = list(islice(others, len(ended)))
            self.admit(fresh, ended[: len(fresh)])
            for row in reversed(ended[len(fresh) :]):
                self.remove(row)
            yield from found

    @torch.inference_mode()
    def start(self) -> None:
        """Feed the stop code and all but the last byte of the prefix: the state that every bio starts from."""
        sampler, stepper, prefix = self.sampler, self.stepper, self.controls.prefix
        codes = [STOP, *sampler.codec.encode(prefix)]
        state = sampler.automaton.follow(prefix)
        bits = 0.0
        for code, following in pairwise(codes):
            logits = stepper.step(torch.full((MIN_ROWS,), code, device=sampler.device), 1)
            bits -= float(logits[0].log_softmax(0)[following]) / math.log(2)
        self.start_code, self.start_state, self.start_bits = codes[-1], state, bits
        self.origin = [each[0].clone() for each in stepper.state]

    @torch.inference_mode()
    def admit(self, fresh: list[tuple[int, Request]], rows: list[int] | None = None) -> None:
        """Begin the bios of `fresh`, in `rows` that ended (None: behind the active ones)."""
        if not fresh:
            return
        if rows is None:
            rows = list(range(self.active, self.active + len(fresh)))
            self.requests += fresh
            self.active += len(fresh)
        else:
            for row, each in zip(rows, fresh, strict=True):
                self.requests[row] = each
        device = self.sampler.device
        at = torch.tensor(rows, device=device)
        self.code[at], self.state[at], self.drawn[at] = self.start_code, self.start_state, 0
        self.temperature[at, 0] = torch.tensor([float(each.temperature) for _, each in fresh], device=device)
        self.uniforms[at] = uniforms([each.seed for _, each in fresh], self.limit + 1).to(device)
        for tensor, value in zip(self.stepper.state, self.origin, strict=True):
            tensor[at] = value

    @torch.inference_mode()
    def remove(self, row: int) -> None:
        """Release a row: the last active one takes its place."""
        self.active -= 1
        last = self.active
        if row != last:
            for each in (
                self.code, self.state, self.drawn, self.temperature, self.uniforms, self.record, *self.stepper.state
            ):  # fmt: skip
                each[row] = each[last]
            self.requests[row] = self.requests[last]
        self.requests.pop()

    @torch.inference_mode()
    def step(self) -> list[int]:
        """Draw one code for every active row; return the rows whose bio has ended."""
        n = max(MIN_ROWS, -(-self.active // MIN_ROWS) * MIN_ROWS)
        state, drawn = self.state[:n], self.drawn[:n]
        logits = self.stepper.step(self.code[:n], self.active)
        whole = logits.logsumexp(1, keepdim=True)
        if not bool(whole[: self.active].isfinite().all()):
            raise SampleError("the model's logits are not finite: its weights are damaged; fetch or train it again")
        codes, probability, entropy, lost = self._choose(logits, self.sampler._mask[state], n)
        bits = (whole - logits.gather(1, codes)).div_(math.log(2))
        self.record[self.every[:n], drawn] = torch.cat([codes, probability, entropy, bits, lost], dim=1)
        codes = codes.squeeze(1)
        self.code[:n] = codes
        self.state[:n] = self.sampler._after[state, codes]
        drawn.add_(1).clamp_(max=self.limit)
        ended = (codes == STOP).logical_or_(drawn == self.limit)[: self.active]
        rows: list[int] = ended.nonzero().flatten().tolist()
        return rows

    def _choose(self, logits: Tensor, mask: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Draw a code for each row; return codes, probabilities, entropies in bits, and the probability masked away."""
        temperature = self.temperature[:n]
        allowed = logits + mask
        best, argmax = allowed.max(dim=1, keepdim=True)
        # at T = 0 the division below is by one, and only the argmax is kept
        frozen = temperature == 0
        divisor = temperature.clamp(min=1e-6).masked_fill(frozen, 1.0)
        full = ((logits - best) / divisor).exp().sum(1, keepdim=True)
        scores = (allowed - best).div_(divisor).clamp_(min=-200.0)
        weights = scores.exp()
        lost = 1 - weights.sum(1, keepdim=True) / full
        if bool(frozen.any()):
            keep = torch.zeros_like(weights).scatter_(1, argmax, 1.0)
            weights = torch.where(frozen, keep, weights)
        if self.controls.min_p > 0:
            weights = weights * (weights >= self.controls.min_p)
        if self.controls.top_p < 1:
            weights = _top(weights, self.controls.top_p)
        sums = weights.cumsum(1, dtype=torch.float64)
        total = sums[:, -1:]
        target = self.uniforms[:n].gather(1, self.drawn[:n].unsqueeze(1)) * total
        codes = torch.searchsorted(sums, target, right=True)
        total = total.float()
        entropy = (total.log() - (weights * scores).sum(1, keepdim=True) / total).div_(math.log(2))
        return codes, weights.gather(1, codes) / total, entropy, lost

    @torch.inference_mode()
    def collect(self, row: int) -> Candidate:
        """Return the bio of a row that has ended."""
        count, request, prefix = int(self.drawn[row]), self.requests[row][1], self.controls.prefix
        codes, probabilities, entropies, bits, masked = self.record[row, :count].T.tolist()
        cut = codes[-1] != STOP  # if so, what was drawn instead of the stop is past the limit
        drawn = self.sampler.codec.decode(int(code) for code in codes[:-1])
        raw = whole(prefix + drawn).encode() if cut else prefix + drawn
        kept = max(len(raw) - len(prefix), 0) if cut else count
        text, probabilities, entropies = _one_line_end(
            raw, [1.0] * len(prefix) + probabilities[:kept], [0.0] * len(prefix) + entropies[:kept]
        )
        size = len(text)
        return Candidate(
            text.decode(),
            request.temperature,
            request.seed,
            bits=self.start_bits + sum(bits[:kept]),
            entropy=sum(entropies) / max(kept, 1),
            model=self.sampler.model,
            numerics=self.sampler.numerics,
            probabilities=tuple(probabilities[:size]),
            entropies=tuple(entropies[:size]),
            masked=sum(masked) / count,
            cut=cut,
        )


def _one_line_end(
    text: bytes, probabilities: list[float], entropies: list[float]
) -> tuple[bytes, list[float], list[float]]:
    """Turn `\\r\\n` and `\\r` into `\\n`; a pair becomes one byte with their joint probability and summed entropy."""
    if b"\r" not in text:
        return text, probabilities, entropies
    for at in range(len(text) - 2, -1, -1):
        if text[at : at + 2] == b"\r\n":
            probabilities[at : at + 2] = [probabilities[at] * probabilities[at + 1]]
            entropies[at : at + 2] = [entropies[at] + entropies[at + 1]]
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n"), probabilities, entropies


def _top(weights: Tensor, share: float) -> Tensor:
    """Keep the largest weights of each row that together reach `share` of their sum."""
    ordered, places = weights.sort(dim=1, descending=True, stable=True)
    before = ordered.cumsum(1, dtype=torch.float64) - ordered
    ordered = ordered.masked_fill(before >= share * weights.sum(1, keepdim=True, dtype=torch.float64), 0.0)
    return torch.zeros_like(weights).scatter_(1, places, ordered)

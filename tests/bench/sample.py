"""How fast bios are drawn: the engine, a plain loop like the blog's, and the products alone, in one run.

Each figure is the median of several blocks after a warm-up. The model is the blog's (4 layers of 512), made and
not trained, its weights tripled so that its distributions are far from even. `python tests/bench/sample.py`.
"""

from __future__ import annotations

import os
import resource
import statistics
import threading
import time
from collections.abc import Callable

from biobot.model import runtime

os.environ.update(runtime.SETTINGS | os.environ)

import torch
from torch import nn

from biobot.model.checkpoint import Checkpoint
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.shape import Shape
from biobot.sampling.controls import Controls, Request
from biobot.sampling.sampler import Sampler, _Draw
from biobot.sampling.stepper import MIN_ROWS

VALUES = bytes(each for each in range(256) if each not in (0xC0, 0xC1) and each < 0xF5)
LAYERS, HIDDEN = 4, 512
BLOCKS = 5
LEAST_BYTES = 1500


def blog_loop(size: int) -> Callable[[int], None]:
    """Make the plain way: one bio, a one-hot row a byte, float32, the whole LSTM called for each."""
    lstm, linear = nn.LSTM(size, HIDDEN, LAYERS, batch_first=True), nn.Linear(HIDDEN, size)

    def draw(count: int) -> None:
        row, state = torch.zeros(1, 1, size), None
        for _ in range(count):
            hidden, state = lstm(row, state)
            shares = torch.softmax(linear(hidden)[0, -1] / 0.8, dim=0)
            code = torch.multinomial(shares, 1).item()
            -(shares * shares.clamp(min=1e-12).log2()).sum().item()
            row = torch.zeros(1, 1, size)
            row[0, 0, int(code)] = 1

    return draw


def rate(block: Callable[[], int]) -> float:
    """Return the median bytes per second of BLOCKS blocks after one that warms up."""
    block()
    rates = []
    for _ in range(BLOCKS):
        start = time.perf_counter()
        count = block()
        rates.append(count / (time.perf_counter() - start))
    return statistics.median(rates)


def gemm_rate(rows: int, dtype: torch.dtype) -> float:
    """Return the bytes per second that the products alone would allow at this batch."""
    n = max(rows, MIN_ROWS)
    x, first = torch.randn(n, 2 * HIDDEN, dtype=dtype), torch.randn(HIDDEN, 4 * HIDDEN, dtype=dtype)
    weights = [torch.randn(2 * HIDDEN, 4 * HIDDEN, dtype=dtype) for _ in range(LAYERS - 1)]
    out = torch.empty(n, 4 * HIDDEN, dtype=dtype)

    def block() -> int:
        steps = max(4, LEAST_BYTES // n)
        for _ in range(steps):
            torch.mm(x[:, :HIDDEN], first, out=out)
            for weight in weights:
                torch.mm(x, weight, out=out)
        return steps * rows

    return rate(block)


def engine_rate(checkpoint: Checkpoint, rows: int) -> float:
    """Return the bytes per second of the engine with `rows` bios side by side, masks, entropies and chance included."""
    drawn = 0  # bios leave in order, so in bursts: bytes are counted where they are drawn
    step, lock = _Draw.step, threading.Lock()

    def counted(draw: _Draw) -> list[int]:
        nonlocal drawn
        with lock:
            drawn += draw.active
        return step(draw)

    _Draw.step = counted  # type: ignore[assignment, method-assign]
    samples = Sampler(checkpoint, rows).draw((Request(seed, 0.8) for seed in range(10**9)), Controls(max_bytes=120))

    def block() -> int:
        start = drawn
        while drawn - start < max(LEAST_BYTES, 10 * rows):
            next(samples)
        return drawn - start

    for _ in range(3 if rows > 64 else 1):
        block()  # until bios of every age are under way
    try:
        return rate(block)
    finally:
        samples.close()  # type: ignore[attr-defined]
        _Draw.step = step  # type: ignore[method-assign]


def alone_rate(checkpoint: Checkpoint) -> float:
    """Return the bytes per second of one bio after the other, each the only one under way."""
    engine = Sampler(checkpoint, 1)
    seeds = iter(range(10**9))

    def block() -> int:
        count = 0
        while count < LEAST_BYTES:
            for sample in engine.draw([Request(next(seeds), 0.8)], Controls(max_bytes=120)):
                count += len(sample.probabilities) + 1
        return count

    return rate(block)


def main() -> None:
    """Print the table."""
    torch.manual_seed(0)
    codec = Codec(VALUES)
    model = ByteLSTM(Shape(codec.size, 128, HIDDEN, LAYERS)).eval()
    with torch.inference_mode():
        for each in model.parameters():
            each.mul_(3)
    checkpoint = Checkpoint(model, codec, {})
    print(f"{LAYERS} x {HIDDEN}, {torch.get_num_threads()} threads, {Sampler(checkpoint).numerics}")
    with torch.inference_mode():
        plain = blog_loop(codec.size)

        def block() -> int:
            plain(LEAST_BYTES)
            return LEAST_BYTES

        blog = rate(block)
        print(f"the blog's loop: {blog:,.0f} bytes/s")
        print(f"{'batch':>6} {'engine B/s':>11} {'x blog':>7} {'bf16 GEMM':>10} {'share':>6} {'fp32 GEMM':>10}")
        for rows in (1, 64, 1024):
            limit, plainly = gemm_rate(rows, torch.bfloat16), gemm_rate(rows, torch.float32)
            ours = alone_rate(checkpoint) if rows == 1 else engine_rate(checkpoint, rows)
            print(
                f"{rows:>6} {ours:>11,.0f} {ours / blog:>7.1f} {limit:>10,.0f} {ours / limit:>6.0%} {plainly:>10,.0f}"
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"memory at its highest: {peak:,.0f} MB")


if __name__ == "__main__":
    main()

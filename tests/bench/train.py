"""How fast we learn: our engine, a plain nn.LSTM, the blog's loop, and what this machine can multiply, in one run.

    python tests/bench/train.py [--preset blog] [--steps 3] [--threads N] [--bits 5.5 --seconds 30]

All three learn made-up bios with the same sizes. The blog's loop is written from its description: packed
sequences of one-hot floats, batches of 64 bios as they come, Adam, and a Python loop that masks the padding.
First comes the rate, as the median over steps after a warm-up; ratios within a run hold better than the figures
do. Then the rate beside one and two busy processes, as shares of that alone, and the time until a bio costs so many
bits per byte, with the sizes of the preset `small`.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import cycle, islice
from pathlib import Path
from statistics import median

from biobot.model import runtime

os.environ.update(runtime.SETTINGS | os.environ)

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from biobot.model.batches import PADDING, batches, pack
from biobot.model.bytefile import ByteFile
from biobot.model.codec import Codec
from biobot.model.lstm import ByteLSTM
from biobot.model.recipe import PRESETS, Plan, Recipe
from biobot.model.training import Trainer
from biobot.model.training_state import Position

WARM_UP = 1

Step = Callable[[], tuple[int, float]]
"""Learns a batch; gives its bytes and what they cost before, in bits per byte."""


def bios(number: int = 8000) -> list[bytes]:
    """Make up bios of made-up words, some much more frequent, 106 bytes long on average."""
    draw = random.Random(1)
    letters = bytes(range(33, 238))
    words = [bytes(draw.choices(letters, k=draw.randint(2, 9))) for _ in range(1000)]
    weights = [1 / rank for rank in range(1, 1001)]
    return [b" ".join(draw.choices(words, weights, k=max(1, int(draw.gammavariate(2.4, 6.8))))) for _ in range(number)]


def rate(dtype: torch.dtype, size: int = 2048, tries: int = 7) -> float:
    """Measure the rate at which this machine multiplies two square matrices of `size`, in FLOP/s."""
    left, right = torch.ones(2, size, size, dtype=dtype)
    out = torch.empty_like(left)
    times = []
    for _ in range(tries):
        start = time.perf_counter()
        torch.mm(left, right, out=out)
        times.append(time.perf_counter() - start)
    return 2 * size**3 / min(times)


def pace(step: Step, steps: int) -> float:
    """Return the median of bytes a second over some steps, after a warm-up."""
    rates = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        count, _ = step()
        rates.append(count / (time.perf_counter() - start))
    return median(rates[WARM_UP:])


def beside(step: Step, busy: int, seconds: float) -> float:
    """Return the bytes a second of wall time beside some processes that keep a core busy each."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(busy)]
    try:
        step()
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            count += step()[0]
        return count / (time.perf_counter() - start)
    finally:
        for each in others:
            each.kill()
            each.wait()


def until(step: Step, bits: float, most: float) -> tuple[float, float]:
    """Learn until the last 10,000 bytes cost `bits` per byte, `most` seconds at most; give seconds and bits."""
    start, last = time.perf_counter(), deque[tuple[int, float]]()
    while True:
        last.append(step())
        while sum(count for count, _ in last) - last[0][0] >= 10_000:
            last.popleft()
        mean = sum(count * each for count, each in last) / sum(count for count, _ in last)
        seconds = time.perf_counter() - start
        if mean <= bits or seconds >= most:
            return seconds, mean


def ours(recipe: Recipe, text: ByteFile) -> Step:
    """Train with our engine."""
    trainer = Trainer.begin(Path("never-written"), text, text, recipe, clock=time.perf_counter)
    order = batches(text, 0, lambda _: recipe.batch[1], Position(), 0)

    def step() -> tuple[int, float]:
        bits, count = trainer.train_step(next(order)[0])
        trainer.state.step += 1
        return count, bits

    trainer.state.plan = Plan(trainer.state.recipe)  # the rate climbs, and stays
    return step


def plain(recipe: Recipe, text: ByteFile) -> Step:
    """Train nn.LSTM under bf16 autocast, on the same batches."""
    codec = Codec(text.values())
    model = ByteLSTM(replace(recipe.shape, vocabulary=codec.size), codec.values)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, fused=True)
    order = batches(text, 0, lambda _: recipe.batch[1], Position(), 0)

    def step() -> tuple[int, float]:
        into, out = pack(map(text.__getitem__, next(order)[0]), codec)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(into.t())[0]
        loss = functional.cross_entropy(logits.float().flatten(0, 1), out.t().flatten(), ignore_index=PADDING)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return int((out != PADDING).sum()), loss.item() / math.log(2)

    return step


def blog(recipe: Recipe, text: ByteFile) -> Step:
    """Train as the blog did."""
    codes = len(text.values()) + 1
    lstm = nn.LSTM(codes, recipe.shape.hidden, recipe.shape.layers, dropout=recipe.shape.dropout)
    linear = nn.Linear(recipe.shape.hidden, codes)
    optimizer = torch.optim.Adam([*lstm.parameters(), *linear.parameters()], lr=1e-3)
    codec = Codec(text.values())
    rows = cycle(text)

    def step() -> tuple[int, float]:
        some = [torch.tensor([0, *codec.encode(bio.tobytes()), 0]) for bio in islice(rows, 64)]
        some.sort(key=len, reverse=True)
        one_hot: list[Tensor] = [functional.one_hot(each[:-1], codes).float() for each in some]
        hidden, lengths = pad_packed_sequence(lstm(pack_sequence(one_hot))[0])
        logits = linear(hidden)
        loss = torch.zeros(())
        for place, each in enumerate(some):  # the padding behind a bio is masked bio by bio
            loss = loss + functional.cross_entropy(logits[: lengths[place], place], each[1:], reduction="sum")
        loss = loss / lengths.sum()
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return int(lengths.sum()), loss.item() / math.log(2)

    return step


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="blog")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--bits", type=float, default=5.5)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--beside", type=float, default=8, help="seconds of each measurement beside busy processes")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = replace(PRESETS[given.preset], batch=(12288, 12288))
    products = rate(torch.bfloat16), rate(torch.float32)
    print(f"products: bf16 {products[0] / 1e9:.0f}, fp32 {products[1] / 1e9:.0f} GFLOP/s, {given.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        text = ByteFile.build(Path(folder) / "bios", bios())
        sizes = ByteLSTM(replace(recipe.shape, vocabulary=len(text.values()) + 1), text.values())
        tables = ("embedding.weight", "ngram_embedding.weight")
        learnt = sum(each.numel() for name, each in sizes.named_parameters() if each.dim() == 2 and name not in tables)
        loops = (ours, plain, blog)
        steps = (given.steps, given.steps, max(1, given.steps // 2))  # a step of the blog's takes some 20 seconds
        rates = {loop.__name__: pace(loop(recipe, text), count) for loop, count in zip(loops, steps, strict=True)}
        limit = products[0] / (6 * learnt)
        for name, value in rates.items():
            print(
                f"{name:>6}: {value:>9,.0f} bytes/s  {value / limit:>6.1%} of the bf16 limit  "
                f"{value / rates['blog']:>6.1f} x the blog's loop"
            )
        base = ours(replace(PRESETS["base"], batch=(6144, 6144)), text)
        alone = beside(base, 0, given.beside)
        print(f"ours, base, batches of 6 KB: {alone:,.0f} bytes/s")
        for busy in (1, 2):
            print(f"  beside {busy} busy: {beside(base, busy, given.beside) / alone:.0%} of that")
        small = replace(PRESETS["small"], batch=(4096, 4096))
        for loop in loops:
            seconds, bits = until(loop(small, text), given.bits, given.seconds)
            print(f"{loop.__name__:>6}: {seconds:>5.1f} s until {bits:.2f} bits per byte (small)")


if __name__ == "__main__":
    main()

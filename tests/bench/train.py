"""How fast we learn: our engine, a plain nn.LSTM, the blog's loop, and what this machine can multiply, in one run.

    python tests/bench/train.py [--preset blog] [--steps 5] [--threads N]

All three learn made-up bios with the same sizes. The blog's loop is written from its description: packed
sequences of one-hot floats, batches of 64 bios as they come, Adam, and a Python loop that masks the padding.
Figures are medians over steps, after a warm-up; ratios within a run hold better than the figures do.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

from biobot.model.batches import PADDING, Position, batches, pack
from biobot.model.bytefile import ByteFile
from biobot.model.engine import rate
from biobot.model.lstm import ByteLSTM, Shape
from biobot.model.train import PRESETS, Recipe, Training

WARM_UP = 1


def bios(number: int = 4000) -> list[bytes]:
    """Make up bios whose lengths are spread like real ones: 106 bytes on average, some of 300."""
    draw = random.Random(1)
    letters = bytes(range(32, 238))
    return [bytes(draw.choices(letters, k=max(5, int(draw.gammavariate(2.4, 44))))) for _ in range(number)]


def pace(step: Callable[[], int], steps: int) -> float:
    """Give the median of bytes a second over some steps, after a warm-up."""
    rates = []
    for _ in range(WARM_UP + steps):
        start = time.perf_counter()
        count = step()
        rates.append(count / (time.perf_counter() - start))
    return median(rates[WARM_UP:])


def ours(recipe: Recipe, text: ByteFile, steps: int) -> float:
    """Train with our engine."""
    with tempfile.TemporaryDirectory() as folder:
        training = Training(Path(folder), text, text, recipe, clock=time.perf_counter)
        order = batches(text, 0, lambda _: recipe.batch[1], Position(), 0)
        return pace(lambda: training._step(next(order)[0])[1], steps)


def plain(recipe: Recipe, text: ByteFile, steps: int) -> float:
    """Train nn.LSTM under bf16 autocast, on the same batches."""
    with tempfile.TemporaryDirectory() as folder:
        codec = Training(Path(folder), text, text, recipe, clock=time.perf_counter).codec
    model = ByteLSTM(Shape(codec.size, recipe.embedding, recipe.hidden, recipe.layers, recipe.dropout))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    order = batches(text, 0, lambda _: recipe.batch[1], Position(), 0)

    def step() -> int:
        into, out = pack(map(text.__getitem__, next(order)[0]), codec)
        with torch.autocast("cpu", torch.bfloat16):
            logits = model(into.t())[0]
        loss = functional.cross_entropy(logits.float().flatten(0, 1), out.t().flatten(), ignore_index=PADDING)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return int((out != PADDING).sum())

    return pace(step, steps)


def blog(recipe: Recipe, text: ByteFile, steps: int) -> float:
    """Train as the blog did."""
    codes = recipe.embedding
    lstm = nn.LSTM(codes, recipe.hidden, recipe.layers, dropout=recipe.dropout)
    linear = nn.Linear(recipe.hidden, codes)
    optimizer = torch.optim.Adam([*lstm.parameters(), *linear.parameters()], lr=1e-3)
    rows = iter(text)

    def step() -> int:
        some = [torch.tensor([0, *(bio.astype(int) % codes), 0]) for bio in islice(rows, 64)]
        some.sort(key=len, reverse=True)
        one_hot: list[Tensor] = [functional.one_hot(each[:-1], codes).float() for each in some]
        hidden, lengths = pad_packed_sequence(lstm(pack_sequence(one_hot))[0])
        logits = linear(hidden)
        loss = torch.zeros(())
        for place, each in enumerate(some):  # the padding behind a bio is masked bio by bio
            loss = loss + functional.cross_entropy(logits[: lengths[place], place], each[1:], reduction="sum")
        optimizer.zero_grad()
        (loss / lengths.sum()).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        return int(lengths.sum())

    return pace(step, max(1, steps // 2))  # some 20 seconds each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", choices=PRESETS, default="blog")
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    recipe = replace(PRESETS[given.preset], batch=(12288, 12288))
    products = rate(torch.bfloat16, 2048), rate(torch.float32, 2048)
    print(f"products: bf16 {products[0] / 1e9:.0f}, fp32 {products[1] / 1e9:.0f} GFLOP/s, {given.threads} threads")
    with tempfile.TemporaryDirectory() as folder:
        text = ByteFile.build(Path(folder) / "bios", bios())
        sizes = ByteLSTM(Shape(len(text.values()) + 1, recipe.embedding, recipe.hidden, recipe.layers))
        learnt = sum(each.numel() for name, each in sizes.named_parameters() if each.dim() == 2 and "emb" not in name)
        rates = {name.__name__: name(recipe, text, given.steps) for name in (ours, plain, blog)}
    limit = products[0] / (6 * learnt)
    for name, value in rates.items():
        print(
            f"{name:>6}: {value:>9,.0f} bytes/s  {value / limit:>6.1%} of the bf16 limit  "
            f"{value / rates['blog']:>6.1f} x the blog's loop"
        )


if __name__ == "__main__":
    main()

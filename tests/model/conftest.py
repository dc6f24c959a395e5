"""Small corpora and trainings of seconds."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
import torch

from biobot.model import recipe
from biobot.model.bytefile import ByteFile
from biobot.model.recipe import Recipe
from biobot.model.shape import Shape
from biobot.model.training import Trainer

SMALL = Recipe(Shape(0, 8, 24, 2, 0.1), 1e-2, (400, 800), epochs=5)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Exactness is promised for one number of threads; more would only get in each other's way here."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def sentences(number: int, seed: int = 0) -> list[str]:
    """Invent bios of made-up words, no two of them alike."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvwy", k=draw.randint(2, 8))) for _ in range(300)]
    return [" ".join(draw.choices(words, k=draw.randint(4, 12))) + draw.choice(["", ".", " ✨"]) for _ in range(number)]


@pytest.fixture
def training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trainer]:
    """Begin a training in a folder of its own: the same bios each time, four evaluations, few saves."""
    monkeypatch.setattr(recipe, "EVALUATIONS", 4)
    bios = [each.encode() for each in sentences(130)]
    learnt = ByteFile.build(tmp_path / "bios", bios[:100])
    dev = ByteFile.build(tmp_path / "dev", bios[100:])

    def begin(name: str = "run", *, resume: bool = False, recipe: Recipe = SMALL, **more: object) -> Trainer:
        ticks = count()
        settings: dict[str, object] = {"clock": lambda: float(next(ticks)), "save_every": 100.0, **more}
        folder = tmp_path / name
        if resume:
            return Trainer.resume(folder, learnt, dev, **settings)  # type: ignore[arg-type]
        return Trainer.begin(folder, learnt, dev, recipe, **{"dtype": torch.float32, **settings})  # type: ignore[arg-type]

    return begin

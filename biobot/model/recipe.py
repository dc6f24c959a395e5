"""How a model is trained, and the plan of one training: what happens at a step, as a pure function of the step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from biobot.model.shape import Shape


@dataclass(frozen=True, slots=True)
class Recipe:
    """The sizes of a model and the hyperparameters of its training.

    A batch has `batch[0]` bytes at the first step and `batch[1]` at the last. The learning rate climbs to
    `rate` over `warm_up` steps, stays until the share `constant` of all steps, and then falls to zero.
    """

    shape: Shape
    rate: float
    batch: tuple[int, int]
    epochs: float
    constant: float = 0.3
    warm_up: int = 20
    decay: float = 0.01
    clip: float = 1.0

    @classmethod
    def parse(cls, facts: Mapping[str, Any], shape: Shape) -> Recipe:
        """Read the recipe in a state file; up to format 3 it held the fields of `shape`, too."""
        known = {each.name: facts[each.name] for each in fields(cls) if each.name in facts}
        return cls(**{**known, "shape": shape, "batch": tuple(facts["batch"])})


PRESETS = {
    "tiny": Recipe(Shape(0, 32, 96, 1), 1e-2, (2048, 4096), epochs=3),
    "small": Recipe(Shape(0, 64, 256, 2, skip=True), 8e-3, (2048, 6144), epochs=4),
    "base": Recipe(Shape(0, 64, 384, 2, skip=True), 8e-3, (2048, 6144), epochs=10),
    "blog": Recipe(Shape(0, 206, 512, 4, 0.5), 1e-3, (6144, 12288), epochs=30),
    "large": Recipe(Shape(0, 256, 1024, 3, 0.4, skip=True), 2e-3, (16384, 65536), epochs=40),
}
"""By name: a minute, some minutes, a CPU's default, the blog author's sizes, a GPU."""


EVALUATIONS = 20
"""How often a training evaluates its model on dev."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The schedule of a training: every method is a pure function of the step.

    `knots` are (step, share of the training that is done by then), the last share 1; in between the share grows
    linearly. Each change of plan adds a knot. There are none until the number of steps is known.
    """

    recipe: Recipe
    knots: tuple[tuple[int, float], ...] = ()

    @property
    def steps(self) -> int | None:
        """The number of steps, None until it is known."""
        return self.knots[-1][0] if self.knots else None

    def replanned(self, step: int, more: int) -> Plan:
        """Return the plan that keeps the steps before `step`, and has `more` after it."""
        kept = (knot for knot in self.knots if knot[0] < step)
        return Plan(self.recipe, (*kept, (step, self.share(step)), (step + more, 1.0)))

    def share(self, step: int) -> float:
        """Return the share of the training that is done after `step` steps."""
        for (start, low), (end, high) in pairwise(self.knots):
            if step <= end:
                return low + (high - low) * max(step - start, 0) / (end - start)
        return 1.0 if self.knots else 0.0

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step: linear warm-up, constant, linear decay to zero."""
        recipe = self.recipe
        warm_up = recipe.warm_up if self.steps is None else min(recipe.warm_up, 1 + self.steps // 10)
        return recipe.rate * min((step + 1) / warm_up, 1.0, (1 - self.share(step)) / (1 - recipe.constant))

    def batch_bytes(self, step: int) -> int:
        """Return the bytes of a batch at a step: small ones learn more early on, large ones later."""
        first, last = self.recipe.batch
        return int(first + (last - first) * self.share(step))

    def bytes_until(self, step: int) -> float:
        """Return the bytes of the first `step` batches, if each is exactly as large as it should be."""
        places = [0, *(knot for knot, _ in self.knots if 0 < knot < step), step]
        return sum((b - a) * (self.batch_bytes(a) + self.batch_bytes(b)) / 2 for a, b in pairwise(places))

    def evaluates_after(self, step: int) -> bool:
        """Return whether dev is evaluated after `step` steps: at equal shares of the training, and at its end."""
        before, now = (int(EVALUATIONS * self.share(each) + 1e-9) for each in (step - 1, step))
        return now != before

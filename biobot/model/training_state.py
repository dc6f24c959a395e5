"""Where a training stands, as its state file says; reading it needs no torch."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from biobot.errors import ModelError
from biobot.model import checkpoint
from biobot.model.recipe import Plan, Recipe
from biobot.model.shape import Shape

FILE = "state.safetensors"
"""The name of the state file in a training's folder."""


@dataclass(frozen=True, slots=True)
class Position:
    """Where in the order of batches a training is: `step` is the step at which the present chunk was cut."""

    epoch: int = 0
    chunk: int = 0
    batch: int = 0
    step: int = 0


@dataclass
class TrainingState:
    """What a state file holds beside tensors, all of it plain JSON.

    `corpus` is the digest of the bios, `seen` the bytes trained on so far, `seconds` the time spent, `best` the fewest
    bits per byte on dev, `train_bits` a moving average, and the points of `curve` are step, bytes, bits per byte in
    training and on dev.
    """

    seed: int
    plan: Plan
    corpus: str
    dtype: str
    step: int = 0
    position: Position = field(default_factory=Position)
    seen: int = 0
    seconds: float = 0.0
    best: float | None = None
    train_bits: float = math.nan
    curve: list[tuple[int, int, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        counts = (self.seed, self.step, self.seen, self.seconds, *(each for knot in self.plan.knots for each in knot))
        losses = (self.best or 0.0, self.train_bits, *(each for point in self.curve for each in point))
        numbers = all(type(each) in (int, float) for each in (*counts, *losses))
        if not (numbers and all(abs(each) < 1e18 for each in counts) and all(len(point) == 4 for point in self.curve)):
            raise ValueError("it has something else where a number belongs")

    @property
    def recipe(self) -> Recipe:
        """The sizes of the model and the hyperparameters."""
        return self.plan.recipe

    @property
    def steps(self) -> int | None:
        """The planned number of steps, None until it is known."""
        return self.plan.steps

    @property
    def finished(self) -> bool:
        """Whether every planned step is done."""
        return self.steps is not None and self.step >= self.steps

    def facts(self) -> dict[str, Any]:
        """Return this for the header of a state file, as `parse` reads it."""
        return {"state": asdict(self), "shape": self.recipe.shape.as_dict()}

    @classmethod
    def parse(cls, facts: dict[str, Any]) -> TrainingState:
        """Read the header of a state file of any format; raises KeyError, TypeError or ValueError."""
        if "where" in facts:  # up to format 3
            state = dict(facts["where"])
            recipe, steps = state.pop("recipe"), state.pop("steps")
            knots = [] if steps is None else [(0, 0.0), (steps, 1.0)]
        else:
            state = dict(facts["state"])
            recipe, knots = (state["plan"][name] for name in ("recipe", "knots"))
        return cls(
            **state
            | {
                "plan": Plan(
                    Recipe.parse(recipe, Shape.parse(facts["shape"])), tuple((n, share) for n, share in knots)
                ),
                "position": Position(**state["position"]),
                "curve": [tuple(each) for each in state["curve"]],
            }
        )


def read(folder: Path) -> TrainingState:
    """Read the state of the training in `folder`; ModelError if there is none or it is damaged."""
    path = folder / FILE
    if not path.exists():
        raise ModelError(f"there is no training to resume in {folder}; leave out --resume")
    facts = checkpoint.read_facts(path)
    if "values" in facts and not {"state", "where"} & facts.keys():
        raise ModelError(f"{path} is a model, not the state of a training; leave out --resume")
    try:
        return TrainingState.parse(facts)
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"{path} is damaged ({error!r}); train again without --resume") from None

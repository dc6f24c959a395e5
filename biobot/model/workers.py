"""Threads that compute parts of a batch side by side: they wait for each other once a step, not at every product."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

from biobot.model.lstm import ByteLSTM
from biobot.model.training_forward import TrainingForward

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """Threads that take tasks from a common list, each with a TrainingForward of its own on the same model.

    torch runs each operator in the thread that calls it, so what a task computes does not depend on how many threads
    there are, nor on how busy the machine is.
    """

    def __init__(self, count: int, model: ByteLSTM, dtype: torch.dtype) -> None:
        self._own = threading.local()
        self._model, self._dtype = model, dtype
        self._forwards: list[TrainingForward] = []
        self._pool = ThreadPoolExecutor(count, "training", self._start)

    def map(self, function: Callable[[TrainingForward, Task], Result], tasks: Iterable[Task]) -> list[Result]:
        """Return the results of `function` for each task, in order; raises what the first failing one raises."""
        return list(self._pool.map(lambda task: function(self._own.forward, task), tasks))

    def weights_changed(self) -> None:
        """Let every thread lay out the weights anew before its next task."""
        for each in self._forwards:
            each.stale = True

    def _start(self) -> None:
        torch.set_num_threads(1)
        self._own.forward = TrainingForward(self._model, self._dtype)
        self._forwards.append(self._own.forward)

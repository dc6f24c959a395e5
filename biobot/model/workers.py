"""Threads that compute parts of a batch side by side: they wait for each other once a step, not at every product."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import torch

Task = TypeVar("Task")
Result = TypeVar("Result")


class Workers:
    """Threads that take tasks from a common list.

    torch runs each operator in the thread that calls it, so what a task computes does not depend on how many threads
    there are, nor on how busy the machine is.
    """

    def __init__(self, count: int) -> None:
        self._pool = ThreadPoolExecutor(count, "worker", partial(torch.set_num_threads, 1))

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
        """Return the results of `function` for each task, in order; raises what the first failing one raises."""
        return list(self._pool.map(function, tasks))

"""Threads that compute parts of a batch side by side: they wait for each other once a step, not at every product."""

from __future__ import annotations

import time
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

    def __init__(
        self, count: int, wall: Callable[[], float] = time.perf_counter, cpu: Callable[[], float] = time.thread_time
    ) -> None:
        self._pool = ThreadPoolExecutor(count, "worker", partial(torch.set_num_threads, 1))
        self._wall, self._cpu = wall, cpu
        self.worked = self.on_core = 0.0
        """Seconds that all tasks took, and those of them on a core: fewer where something else wants the cores, too."""

    def map(self, function: Callable[[Task], Result], tasks: Iterable[Task]) -> list[Result]:
        """Return the results of `function` for each task, in order; raises what the first failing one raises."""

        def timed(task: Task) -> tuple[Result, float, float]:
            wall, cpu = self._wall(), self._cpu()
            return function(task), self._wall() - wall, self._cpu() - cpu

        done = list(self._pool.map(timed, tasks))
        self.worked += sum(wall for _, wall, _ in done)
        self.on_core += sum(cpu for *_, cpu in done)
        return [result for result, *_ in done]

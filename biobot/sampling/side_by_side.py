"""Iterators that run in threads of their own: they wait for nothing but to be taken from."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from queue import Queue
from typing import Generic, TypeVar

import torch

Item = TypeVar("Item")


class Shared(Generic[Item]):
    """An iterator that several threads may take from."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items, self._lock = iter(items), threading.Lock()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        with self._lock:
            return next(self._items)


def side_by_side(iterators: Sequence[Iterator[Item]], ahead: int) -> Iterator[Item]:
    """Yield what the iterators yield, as it comes; each has a thread, in which torch computes alone.

    They pause when `ahead` items wait to be taken, and have ended when this iterator is closed. Raises what the first
    failing one raises.
    """
    found: Queue[Item | _End] = Queue(ahead)
    closed = threading.Event()

    def run(iterator: Iterator[Item]) -> None:
        torch.set_num_threads(1)
        end = _End()
        try:
            for item in iterator:
                found.put(item)
                if closed.is_set():
                    break
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are taken
            end.error = error
        found.put(end)

    for each in iterators:
        threading.Thread(target=run, args=(each,), name="draw", daemon=True).start()
    running = len(iterators)
    try:
        while running:
            item = found.get()
            if not isinstance(item, _End):
                yield item
                continue
            running -= 1
            if item.error is not None:
                raise item.error
    finally:
        closed.set()
        while running:
            running -= isinstance(found.get(), _End)


class _End:
    """Stands behind the last item of an iterator, with what it raised."""

    error: BaseException | None = None

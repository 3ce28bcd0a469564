"""Reading, making ready and copying at the same time."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

#: Batches that may wait for the database while the next is read and checked; more would only cost memory.
_AHEAD = 1


class Pipeline:
    """Three things at once: a batch is read and checked here, the one before made ready, the one before that copied.

    Each of the two stages has a thread of its own, so that the database need not wait for work and batches stay in
    order; ``copy`` gets what ``prepare`` returned.
    """

    def __init__(self, prepare: Callable[..., Any], copy: Callable[[Any], None]) -> None:
        self._prepare, self._copy = prepare, copy
        self._preparing = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
        self._copying = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copy")
        self._waiting: deque[Future[None]] = deque()

    def put(self, *batch: object) -> None:
        """Send a batch on its way; waits while more than ``_AHEAD`` before it are not copied yet."""
        while len(self._waiting) > _AHEAD:
            self._waiting.popleft().result()
        prepared = self._preparing.submit(self._prepare, *batch)
        self._waiting.append(self._copying.submit(lambda: self._copy(prepared.result())))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            for pool in (self._preparing, self._copying):
                pool.shutdown(cancel_futures=True)

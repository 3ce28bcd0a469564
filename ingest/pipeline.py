"""Copying while the next rows are read and checked."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

#: Batches that may wait for the database while the next is read and checked; more would only cost memory.
_WAITING = 4


class Pipeline:
    """Copying in a thread of its own, so that the database need not wait for work; batches stay in order."""

    def __init__(self, copy: Callable[..., Any]) -> None:
        self._copy = copy
        self._copying = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copy")
        self._waiting: deque[Future[None]] = deque()

    def put(self, *batch: object) -> None:
        """Send a batch on its way; waits while more than ``_WAITING`` before it are not copied yet."""
        while len(self._waiting) > _WAITING:
            self._waiting.popleft().result()
        self._waiting.append(self._copying.submit(self._copy, *batch))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._waiting:
                self._waiting.popleft().result()
        finally:
            self._copying.shutdown(cancel_futures=True)

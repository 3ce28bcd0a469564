"""Runs COPY in a thread while the next rows are read and checked."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Self

#: Batches that may be queued for the database; more would only use memory.
_MAX_PENDING = 4


class CopyThread:
    """Copies batches in a thread of its own, in order, so that the database always has work."""

    def __init__(self, copy: Callable[..., Any]) -> None:
        self._copy = copy
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="copy")
        self._pending: deque[Future[None]] = deque()

    def put(self, *batch: object) -> None:
        """Queue a batch; blocks while more than ``_MAX_PENDING`` batches are queued."""
        while len(self._pending) > _MAX_PENDING:
            self._pending.popleft().result()
        self._pending.append(self._executor.submit(self._copy, *batch))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            while self._pending:
                self._pending.popleft().result()
        finally:
            self._executor.shutdown(cancel_futures=True)

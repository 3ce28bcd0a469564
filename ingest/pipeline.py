"""Reading, checking and copying at the same time, each in a thread of its own."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, Self, TypeVar

Item = TypeVar("Item")

#: Batches that may wait for the database while the next is read and checked; more would only cost memory.
_WAITING = 12
#: Items made before they are wanted.
_AHEAD = 2


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items, each made while those before it are used."""
    made: Queue[Item | BaseException | None] = Queue(_AHEAD)
    wanted = True

    def make() -> None:
        try:
            for item in items:
                made.put(item)
                if not wanted:
                    return
            made.put(None)
        except BaseException as error:  # noqa: BLE001 - it is raised where the items are used
            made.put(error)

    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="read") as pool:
        making = pool.submit(make)
        try:
            while (item := made.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            wanted = False
            while not making.done():
                with suppress(Empty):
                    made.get(timeout=0.1)


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

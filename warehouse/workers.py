"""Deliveries loaded side by side, each by a process of its own.

Row checks hold Python's lock most of the time, so threads would not help. A process costs seconds to start: it pays
from a few dozen deliveries on.
"""

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress

from ingest import pipeline
from ingest.barrier import Stopped
from ingest.errors import NotDecided
from ingest.ledger.ledger import Arrival
from ingest.pipeline import Gate, Outcome
from ingest.settings import Settings

#: Time in which a process has to leave what it works on in order, once the one that started it is gone.
SECONDS_TO_END = 30


def load(
    dsn: str, settings: Settings, arrivals: Iterable[Arrival], gate: Gate, on_start: Callable[[Arrival], None]
) -> Iterator[Outcome | NotDecided]:
    """Take arrivals to their decision, ``settings.load_processes`` at a time.

    Args:
        dsn: The warehouse.
        settings: Where the inbox and the key are.
        arrivals: In the order in which they are begun.
        gate: A function of a module (other processes import it).
        on_start: Called with each arrival when it is begun.

    Yields:
        What was decided, in the order in which it is; ``NotDecided`` for an arrival that a fault of ours, or the end of
        its process, kept from its decision. The others go on.
    """
    waiting = deque(arrivals)
    while waiting:
        running: dict[Future[Outcome], Arrival] = {}
        with ProcessPoolExecutor(
            settings.load_processes, multiprocessing.get_context("spawn"), initializer=_end_with_parent
        ) as pool:
            with suppress(BrokenProcessPool):  # raised by submit: the rest goes to a new pool
                while waiting or running:
                    while waiting and len(running) < settings.load_processes:
                        running[pool.submit(_load, dsn, settings, waiting[0].arrival_id, gate)] = waiting[0]
                        on_start(waiting.popleft())
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        yield _result(future, running.pop(future))
            for future, arrival in running.items():
                yield _result(future, arrival)


def _load(dsn: str, settings: Settings, arrival_id: int, gate: Gate) -> Outcome:
    """Decide about an arrival in a process of the pool, which ends when it is asked to: the pool would go on."""
    try:
        return pipeline.load(dsn, settings, arrival_id, gate)
    except Stopped:
        os._exit(128 + signal.SIGTERM)


def _result(future: Future[Outcome], arrival: Arrival) -> Outcome | NotDecided:
    """What became of one load."""
    try:
        return future.result()
    except NotDecided as fault:
        return fault
    except BrokenProcessPool:
        return NotDecided(arrival.name, "the process that loaded it, or one beside it, was ended")


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, however that ended.

    What it works on is left in order, so that the ledger does not take it for the cause.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None  # noqa: S101 - runs in worker processes alone

    def watch() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(SECONDS_TO_END)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()

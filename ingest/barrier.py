"""An error boundary around the work on a package, so that its errors do not stop the work on other packages."""

import math
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from ingest import shown
from ingest.errors import NotDecided, WarehouseError

#: Classes of SQLSTATE for a lost connection or a server that shuts down: no package can be processed then.
_CONNECTION_LOST = ("08", "57P")
#: After so many seconds a process that goes on is asked once more to stop.
SECONDS_TO_STOP = 15.0


@contextmanager
def barrier(package: str) -> Iterator[None]:
    """Convert any exception into ``NotDecided``, so that the work on other packages continues.

    Not only subclasses of ``Exception``: a panic of a library written in Rust derives from ``BaseException``. Requests
    to stop this process and the loss of the database connection are raised unchanged.

    Args:
        package: its name, or its location in the inbox if the name is not known.

    Raises:
        NotDecided: for all other exceptions. Reason and trace contain no data of the package, because they are stored.
    """
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit, NotDecided):
        raise
    except BaseException as error:
        if _must_propagate(error):
            raise
        raise NotDecided(package, _reason(error), _trace(error)) from error


class Stopped(KeyboardInterrupt):
    """This process was asked to stop by a signal."""


@contextmanager
def stopped_in_order() -> Iterator[None]:
    """Turn requests to stop (SIGTERM, SIGHUP) into ``Stopped``, so that a package is left in order, as by Ctrl-C.

    The exception is raised again while the block goes on: Python drops one that comes up in a finaliser, and a library
    may catch it. Without a handler Python would end at once without unwinding, which the ledger could not tell from a
    crash. Airflow's tasks ignore the first request, and are killed for it. Does nothing outside of the main thread,
    where signals cannot be handled.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    handled = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    left, raised_at = threading.Event(), [-math.inf]

    def repeat(number: int) -> None:
        while not left.wait(SECONDS_TO_STOP):
            os.kill(os.getpid(), number)

    def stop(number: int, _frame: object) -> None:
        first = raised_at[0] == -math.inf
        if time.monotonic() - raised_at[0] < SECONDS_TO_STOP / 2:
            return  # a second request does not disturb the answer to the first
        raised_at[0] = time.monotonic()
        if first:
            threading.Thread(target=repeat, args=(number,), daemon=True).start()
        raise Stopped(number)

    for number in handled:
        signal.signal(number, stop)
    try:
        yield
    finally:
        left.set()
        for number, handler in handled.items():
            signal.signal(number, handler)


def is_panic(error: BaseException) -> bool:
    """Whether an exception is a panic of a library written in Rust; each library defines its own class."""
    return type(error).__name__ == "PanicException"


@contextmanager
def quiet_panics() -> Iterator[None]:
    """Suppress the message that a panic writes to standard error, for calls whose panics are handled.

    Panics write to file descriptor 2 whatever ``sys.stderr`` is. Only for short calls: all output to it is lost.
    """
    try:
        stderr = os.dup(2)
    except OSError:  # standard error is closed
        yield
        return
    try:
        devnull = os.open(os.devnull, os.O_WRONLY)
        os.dup2(devnull, 2)
        os.close(devnull)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _must_propagate(error: BaseException) -> bool:
    if isinstance(error, psycopg.OperationalError):
        return error.sqlstate is None or error.sqlstate.startswith(_CONNECTION_LOST)
    # Airflow stops a task, or ends it after its timeout, by raising exceptions that do not derive from Exception.
    return not isinstance(error, Exception) and type(error).__module__.partition(".")[0] == "airflow"


def _reason(error: BaseException) -> str:
    """What happened, without messages of libraries, which may quote data of the package."""
    if isinstance(error, WarehouseError):
        return str(error).rstrip(".")
    if isinstance(error, MemoryError):
        return "there is not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f" ({shown.file(os.fsdecode(error.filename))})" if error.filename else "")
    kind = type(error).__name__
    if isinstance(error, psycopg.Error):
        return f"the database did not take it ({kind}, SQLSTATE {error.sqlstate})"
    return f"the program failed ({kind} in {_trace(error)[-1]})"


def _trace(error: BaseException) -> tuple[str, ...]:
    """The stack: module, line and function, innermost last."""
    return tuple(
        f"{frame.f_globals.get('__name__')}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    )

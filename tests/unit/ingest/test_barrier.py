"""The error boundary around a package: which errors it converts, which it raises, and its messages."""

import asyncio
import errno
import os
import signal
import sys
import time

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from ingest import barrier as module
from ingest.barrier import Stopped, barrier, quiet_panics, stopped_in_order
from ingest.errors import DeliveryRefused, NotDecided, WarehouseError


class PanicException(BaseException):
    """As libraries written in Rust have one, each its own."""


SECRET = "张三 110101199001011237"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (PanicException(SECRET), "the program failed (PanicException in tests.unit.ingest.test_barrier:"),
        (KeyError(SECRET), "the program failed (KeyError in tests.unit.ingest.test_barrier:"),
        (asyncio.CancelledError(SECRET), "the program failed (CancelledError in tests.unit.ingest.test_barrier:"),
        (DeliveryRefused(), "the program failed (DeliveryRefused in tests.unit.ingest.test_barrier:"),
        (RecursionError(SECRET), "the program failed (RecursionError in tests.unit.ingest.test_barrier:"),
        (MemoryError(SECRET), "there is not enough memory for it"),
        (OSError(errno.ENOSPC, "No space left on device", "/x"), "No space left on device (/x)"),
        (OSError(SECRET), "the program failed (OSError in tests.unit.ingest.test_barrier:"),
        (psycopg.errors.NumericValueOutOfRange(SECRET), "the database did not take it (NumericValueOutOfRange, SQLSTATE 22003)"),
        (psycopg.errors.ProgramLimitExceeded(SECRET), "the database did not take it (ProgramLimitExceeded, SQLSTATE 54000)"),
        (psycopg.errors.DeadlockDetected(SECRET), "the database did not take it (DeadlockDetected, SQLSTATE 40P01)"),
        (WarehouseError("There is no inbox at /x."), "There is no inbox at /x"),
    ],
)  # fmt: skip
def test_errors_become_not_decided(error: BaseException, reason: str) -> None:
    with pytest.raises(NotDecided) as caught, barrier("odd"):
        raise error
    fault = caught.value
    assert fault.package == "odd"
    assert fault.reason.startswith(reason)
    assert str(fault) == f"odd is not decided: {fault.reason}. The next pass tries it again."
    assert fault.__cause__ is error, "Airflow's log shows all of it"
    assert fault.trace[-1].startswith("tests.unit.ingest.test_barrier:")
    assert not any(part in f"{fault} {fault.trace}" for part in SECRET.split()), "what it says is kept in the ledger"


@pytest.mark.parametrize(
    "error",
    [
        KeyboardInterrupt(),
        SystemExit(1),
        GeneratorExit(),
        AirflowTaskTimeout(),
        psycopg.OperationalError("consuming input failed: server closed the connection unexpectedly"),
        psycopg.errors.AdminShutdown(),
        psycopg.errors.ConnectionFailure(),
        NotDecided("another", "it is inside"),
    ],
)
def test_requests_to_stop_are_raised(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, barrier("odd"):
        raise error
    assert caught.value is error


def test_messages_of_panics_are_suppressed(capfd: pytest.CaptureFixture[str]) -> None:
    def panic() -> None:
        with quiet_panics():
            os.write(2, b"thread '<unnamed>' panicked at")
            raise PanicException

    with pytest.raises(PanicException):
        panic()
    os.write(2, b"heard")
    sys.stderr.write(" again")
    assert capfd.readouterr().err == "heard again"


def test_a_request_to_stop_that_was_dropped_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python drops an exception that a handler raises within a finaliser."""
    monkeypatch.setattr(module, "SECONDS_TO_STOP", 0.2)

    def work() -> None:
        with stopped_in_order():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
            except Stopped:
                pass
            for _ in range(100):
                time.sleep(0.05)

    before = signal.getsignal(signal.SIGTERM)
    started = time.monotonic()
    with pytest.raises(Stopped):
        work()
    assert time.monotonic() - started < 3
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_request_does_not_disturb_the_answer_to_the_first() -> None:
    answered = []

    def work() -> None:
        with stopped_in_order():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(5)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.1)
                answered.append(True)

    with pytest.raises(Stopped):
        work()
    assert answered == [True]

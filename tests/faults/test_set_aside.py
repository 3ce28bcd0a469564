"""A package that ends the process that works on it: after two times it is set aside, and the others are loaded."""

import os
import signal
import time
from pathlib import Path

import psycopg
import pytest

from ingest import pipeline
from ingest.errors import Finding, NotDecided, SetAside, WarehouseError
from ingest.ledger import ledger
from ingest.pipeline import GateRequest, Outcome
from ingest.settings import Settings
from tests.faults.test_kills import start
from tests.packages import enrolment, write
from warehouse import explanation, operations, workers


@pytest.fixture
def inbox(settings: Settings, tmp_path: Path) -> tuple[Settings, Path]:
    place = tmp_path / "inbox"
    for number, name in enumerate(("a", "b")):
        rows = [enrolment(10 * number + row) for row in range(3)]
        write(place, name, {"enrolment": rows}, sender=f"{number + 1}10000")
    return settings.model_copy(update={"inbox": str(place)}), place


def one_pass(settings: Settings) -> tuple[list[tuple[str, str]], list[NotDecided]]:
    outcomes: list[Outcome] = []
    faults: list[NotDecided] = []
    operations.load_all(settings, outcomes.append, faults.append)
    return [(one.name, one.status) for one in outcomes], faults


def killed(settings: Settings, place: Path, times: int) -> None:
    """A process that is killed by SIGKILL when it has staged the first package."""
    for _ in range(times):
        assert start(settings, place, "staged").wait(120) == -signal.SIGKILL


def test_the_third_pass_sets_it_aside(inbox: tuple[Settings, Path], warehouse: psycopg.Connection) -> None:
    settings, place = inbox
    killed(settings, place, 2)
    outcomes, (fault,) = one_pass(settings)
    assert outcomes == [("b", "accepted")]
    assert isinstance(fault, SetAside)
    assert str(fault) == (
        "a is set aside: the process that worked on it was killed or crashed, 2 times. `warehouse retry a` tries it"
        " again."
    )
    # shown, told once, and no longer tried: the others are published without it
    assert [one.name for one in operations.set_aside(settings)] == ["a"]
    assert one_pass(settings) == ([], [])
    assert operations.unpublished(settings)
    found = explanation.explain(warehouse, "a")
    assert found.status == "set_aside"
    assert "warehouse retry" in found.next_step.en
    assert found.not_decided == "the process that worked on it was killed or crashed, 2 times"
    told = warehouse.execute("SELECT en, details FROM ops.notification WHERE kind = 'set_aside'").fetchall()
    assert len(told) == 1
    assert told[0][1] == ["warehouse explain a", "warehouse retry a"]

    pipeline.retry(warehouse, "a")
    assert one_pass(settings) == ([("a", "accepted")], [])
    with pytest.raises(WarehouseError, match="No package named 'a' is set aside"):
        pipeline.retry(warehouse, "a")


def test_another_file_is_tried(inbox: tuple[Settings, Path], warehouse: psycopg.Connection) -> None:
    settings, place = inbox
    killed(settings, place, 2)
    one_pass(settings)
    write(place, "a", {"enrolment": [enrolment(99)]}, sender="110000")
    assert one_pass(settings) == ([("a", "accepted")], [])
    # the first one has no name to wait for any more
    pipeline.retry(warehouse, "a")
    assert one_pass(settings) == ([("a", "refused")], [])


def test_one_kill_is_none_too_many(inbox: tuple[Settings, Path], warehouse: psycopg.Connection) -> None:
    settings, place = inbox
    killed(settings, place, 1)
    assert one_pass(settings) == ([("a", "accepted"), ("b", "accepted")], [])
    assert warehouse.execute(
        "SELECT sum(attempts_broken_off), count(attempt_begun_at) FROM ops.arrival"
    ).fetchone() == (
        0,
        0,
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stop_in_order_counts_for_nothing(
    inbox: tuple[Settings, Path], warehouse: psycopg.Connection, number: signal.Signals
) -> None:
    settings, _ = inbox
    arrival = operations.register(settings)[0]

    def stopped(request: GateRequest) -> list[Finding]:
        os.kill(os.getpid(), number)
        return []

    before = signal.getsignal(number)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            pipeline.load(operations.server.ensure_running(settings), settings, arrival.arrival_id, stopped)
        begun = warehouse.execute("SELECT attempt_begun_at, attempts_broken_off FROM ops.arrival WHERE name = 'a'")
        assert begun.fetchone() == (None, 0)
    assert signal.getsignal(number) is before
    assert one_pass(settings) == ([("a", "accepted"), ("b", "accepted")], [])


def test_a_server_that_was_started_since_ended_the_attempt(
    inbox: tuple[Settings, Path], warehouse: psycopg.Connection
) -> None:
    """Then the machine, or all of it, was stopped: no package is to blame."""
    settings, _ = inbox
    arrival = operations.register(settings)[0]
    for _ in range(3):
        assert ledger.begin_attempt(warehouse, arrival.arrival_id, 2)
        warehouse.execute("UPDATE ops.arrival SET attempt_begun_at = pg_postmaster_start_time() - interval '1 s'")
    assert one_pass(settings) == ([("a", "accepted"), ("b", "accepted")], [])


def kill_own_process(request: GateRequest) -> list[Finding]:
    """A gate that kills its process at one of two deliveries once the other one is under way, which waits for that.

    It waits for a while only: a pool notices the end of the process that it started last with the next result alone.
    """
    awaited = {
        "a": "SELECT FROM ops.arrival WHERE name = 'b' AND (attempt_begun_at IS NOT NULL OR decided_at IS NOT NULL)",
        "b": "SELECT FROM ops.arrival WHERE name = 'a' AND set_aside_at IS NOT NULL",
    }[request.manifest.name]
    until = time.monotonic() + 10
    with psycopg.connect(request.dsn, autocommit=True) as conn:
        while conn.execute(awaited).fetchone() is None and time.monotonic() < until:
            time.sleep(0.05)
    if request.manifest.name == "a":
        os.kill(os.getpid(), signal.SIGKILL)
    return []


@pytest.mark.timeout(600)
def test_processes_beside_it_are_not_blamed(inbox: tuple[Settings, Path], warehouse: psycopg.Connection) -> None:
    """The pool ends all its processes when one is gone."""
    settings, _ = inbox
    settings = settings.model_copy(update={"load_processes": 2})
    dsn = operations.server.ensure_running(settings)
    operations.register(settings)
    faults = []
    while arrivals := operations.pending(settings):
        found = workers.load(dsn, settings, arrivals, kill_own_process, lambda _: None)
        faults += [one for one in found if isinstance(one, NotDecided)]
    assert [one.package for one in faults if isinstance(one, SetAside)] == ["a"]
    assert warehouse.execute("SELECT name, status, attempts_broken_off FROM ops.arrival ORDER BY 1").fetchall() == [
        ("a", "staged", 2),
        ("b", "accepted", 0),
    ]

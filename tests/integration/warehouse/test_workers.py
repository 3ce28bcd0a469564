"""Deliveries loaded side by side by processes."""

import os
import signal
from pathlib import Path

import psycopg
import pytest

from ingest import pipeline
from ingest.errors import Finding, NotDecided
from ingest.pipeline import GateRequest, Outcome
from ingest.settings import Settings
from tests.packages import enrolment, write
from warehouse import operations, workers

NAMES = ("a", "b", "c", "d", "e")


@pytest.fixture
def crowded(settings: Settings, tmp_path: Path) -> Settings:
    """An inbox of a few deliveries, and two processes for them."""
    inbox = tmp_path / "inbox"
    for number, name in enumerate(NAMES):
        rows = [enrolment(10 * number + row) for row in range(3)]
        write(inbox, name, {"enrolment": rows}, sender=f"{number + 1}10000")
    return settings.model_copy(update={"inbox": str(inbox), "load_processes": 2})


def end_process(request: GateRequest) -> list[Finding]:
    """A gate that kills its process at one of the deliveries."""
    if request.manifest.name == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return []


@pytest.mark.timeout(180)
def test_many_deliveries_are_loaded_side_by_side(
    crowded: Settings, warehouse: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MANY", len(NAMES))
    outcomes: list[Outcome] = []
    faults: list[NotDecided] = []
    started: list[tuple[str, int, int]] = []
    new = operations.load_all(crowded, outcomes.append, faults.append, lambda *arguments: started.append(arguments))
    assert (new, faults) == (len(NAMES), [])
    assert started == [(name, number, len(NAMES)) for number, name in enumerate(NAMES, start=1)]
    assert {outcome.name: outcome.status for outcome in outcomes} == dict.fromkeys(NAMES, "accepted")
    assert warehouse.execute("SELECT count(*) FROM landing.training_enrolment").fetchone() == (3 * len(NAMES),)


@pytest.mark.timeout(180)
def test_a_process_that_ends_keeps_no_other_delivery_from_its_decision(
    crowded: Settings, warehouse: psycopg.Connection, database_dsn: str
) -> None:
    arrivals = pipeline.register(warehouse, crowded)
    found = list(workers.load(database_dsn, crowded, arrivals, end_process, lambda _: None))
    undecided = {fault.package for fault in found if isinstance(fault, NotDecided)}
    decided = {outcome.name for outcome in found if isinstance(outcome, Outcome)}
    assert "b" in undecided
    assert len(undecided) <= crowded.load_processes
    assert decided | undecided == set(NAMES)
    assert decided & undecided == set()
    # The next pass decides what stood beside it.
    for arrival in pipeline.pending(warehouse):
        assert pipeline.load(database_dsn, crowded, arrival.arrival_id).status == "accepted"

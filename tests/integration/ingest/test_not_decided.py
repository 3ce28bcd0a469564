"""A fault of ours with one package: the others are decided, it is noted, and the next pass tries it again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import pipeline
from ingest.delivery import integrity
from ingest.errors import NotDecided
from ingest.ledger import ledger
from ingest.pipeline import Outcome
from ingest.settings import Settings
from tests.packages import enrolment, write
from warehouse import operations
from warehouse.local import server


class PanicException(BaseException):
    """As a library written in Rust raises it: no Exception."""


@pytest.fixture
def inbox(settings: Settings, tmp_path: Path) -> tuple[Settings, Path]:
    """Three packages in an inbox, of which the second is not the first of its name."""
    place = tmp_path / "inbox"
    for name in ("a", "b", "c"):
        write(place, name, {"enrolment": [enrolment(number) for number in range(3)]})
    write(place, "b", {"enrolment": [enrolment(7)]}, location="b-again")
    return settings.model_copy(update={"inbox": str(place)}), place


@pytest.fixture
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[BaseException | None], None]:
    """Makes the check of the package at ``b`` fail in a way that a library may, or no longer."""
    check = integrity.check
    raised: list[BaseException | None] = [None]

    def checked(local: Path, *others: Any) -> Any:
        if local.name == "b" and raised[0] is not None:
            raise raised[0]
        return check(local, *others)

    monkeypatch.setattr(integrity, "check", checked)

    def set_error(error: BaseException | None) -> None:
        raised[0] = error

    return set_error


def one_pass(settings: Settings) -> tuple[list[tuple[str, str, list[str]]], list[str]]:
    outcomes: list[Outcome] = []
    faults: list[NotDecided] = []
    operations.load_all(settings, outcomes.append, faults.append)
    return [(one.name, one.status, one.codes) for one in outcomes], [fault.package for fault in faults]


@pytest.mark.parametrize("error", [PanicException("wild"), RuntimeError("odd"), OSError(5, "Input/output error")])
def test_the_others_are_decided(
    inbox: tuple[Settings, Path], fails: Callable[[BaseException | None], None], error: BaseException
) -> None:
    settings, _ = inbox
    fails(error)
    # the second of its name has to wait for the first, which keeps the name
    assert one_pass(settings) == ([("a", "accepted", []), ("c", "accepted", [])], ["b", "b"])
    with operations.open_warehouse(settings) as conn:
        assert [arrival.location for arrival in pipeline.pending(conn)] == ["b", "b-again"]
        noted = conn.execute("SELECT detail->>'reason' FROM ops.step WHERE step = %s", [ledger.NOT_DECIDED]).fetchall()
        assert len(noted) == 2, "each attempt"
    assert one_pass(settings) == ([], ["b", "b"])
    fails(None)
    assert one_pass(settings) == ([("b", "accepted", []), ("b", "refused", ["D_NAME_REUSED"])], [])


def test_a_build_is_woken_without_it(
    inbox: tuple[Settings, Path], fails: Callable[[BaseException | None], None]
) -> None:
    """Loads wake no build where nothing was decided, so whoever looks at the ledger does, whatever waits there."""
    settings, place = inbox
    (place / "b-again" / "datapackage.json").unlink()
    fails(PanicException())
    one_pass(settings)
    assert operations.unpublished(settings)
    write(place, "d", {"enrolment": [enrolment(9)]})
    operations.register(settings)
    assert not operations.unpublished(settings), "a load is about to begin"


def test_the_loss_of_the_database_is_nobodys_fault(inbox: tuple[Settings, Path]) -> None:
    settings, _ = inbox
    arrival = operations.register(settings)[0]

    def gate(request: pipeline.GateRequest) -> list[Any]:
        with psycopg.connect(request.dsn, autocommit=True) as conn:
            conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        return []

    with pytest.raises(psycopg.OperationalError):
        pipeline.load(server.ensure_running(settings), settings, arrival.arrival_id, gate)
    assert one_pass(settings)[1] == []


def test_a_package_that_cannot_be_written_down(inbox: tuple[Settings, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    settings, _ = inbox
    receive = ledger.receive

    def received(conn: psycopg.Connection, location: str, *others: Any) -> Any:
        if location == "b":
            raise PanicException
        return receive(conn, location, *others)

    monkeypatch.setattr(ledger, "receive", received)
    faults: list[NotDecided] = []
    assert [arrival.location for arrival in operations.register(settings, faults.append)] == ["a", "b-again", "c"]
    assert [fault.package for fault in faults] == ["b"]
    with pytest.raises(NotDecided):
        operations.register(settings, only="b")
    monkeypatch.undo()
    operations.register(settings, only="b")
    assert "b" in [arrival.location for arrival in operations.pending(settings)]

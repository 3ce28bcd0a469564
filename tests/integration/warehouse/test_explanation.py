"""What is said of a delivery: the reason with its place, what to do, and nothing that was not found."""

from pathlib import Path

import psycopg
import pytest

from expectations import gate
from ingest import pipeline
from ingest.errors import DeliveryCode, Finding, WarehouseError
from tests.packages import enrolment, register_of, write
from warehouse import explanation


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


def test_a_refused_delivery_says_why_where_and_what_to_do(
    warehouse: psycopg.Connection, load_inbox, inbox: Path
) -> None:
    row = enrolment(1)
    del row["started_on"]
    write(inbox, "bad", {"enrolment": [row]})
    load_inbox(inbox)
    found = explanation.explain(warehouse, "bad")
    assert found.status == "refused"
    [reason] = found.reasons
    assert (reason.code, reason.path) == ("D_HEADER", "enrolment.csv")
    assert "started_on" in reason.found
    text = explanation.as_text(found)
    assert "D_HEADER [enrolment.csv]: the required column started_on" in text
    assert "必备列缺失或重复" in text
    assert "Add the column to the header" in text
    assert "under a new name" in text
    assert explanation.as_line(found).startswith("D_HEADER [enrolment.csv]: ")


def test_what_does_not_hold_its_name_may_keep_it(warehouse: psycopg.Connection, load_inbox, inbox: Path) -> None:
    write(inbox, "short", {"enrolment": [enrolment(1)]}, resources={"enrolment": {"rows": 2}})
    load_inbox(inbox)
    found = explanation.explain(warehouse, "short")
    assert [reason.code for reason in found.reasons] == ["D_ROWS"]
    assert "it may keep its name" in found.next_step.en


def test_rejected_rows_are_counted_by_reason_with_the_first_line(
    warehouse: psycopg.Connection, load_inbox, inbox: Path
) -> None:
    rows = [enrolment(n) for n in range(1, 100)]
    rows[10]["result"] = rows[20]["result"] = "?"
    rows[30]["started_on"] = "x"
    write(inbox, "some", {"enrolment": rows})
    load_inbox(inbox)
    found = explanation.explain(warehouse, "some")
    assert (found.status, found.rows_read, found.rows_rejected) == ("accepted", 99, 3)
    assert [(one.code, one.column, one.rows, one.line) for one in found.rejected] == [
        ("E_CODE", "result", 2, 12),
        ("E_TYPE", "started_on", 1, 32),
    ]
    assert found.rejected[0].column_label in explanation.as_text(found)
    assert "warehouse rejects" in found.next_step.en
    assert explanation.as_line(found) == ""


def test_failed_expectations_say_what_was_allowed_and_what_was_found(
    warehouse: psycopg.Connection, load_inbox, inbox: Path
) -> None:
    register = register_of(["A1"], range(1, 301), joined_on="2026-08-01")
    write(inbox, "m", register, source="membership", mode="snapshot", created="2026-08-01T00:00:00Z")
    load_inbox(inbox, gate=gate.validate)
    found = explanation.explain(warehouse, "m")
    assert [reason.code for reason in found.reasons] == ["D_EXPECTATION"]
    critical = [one for one in found.expectations if one.severity == "critical"]
    assert len(critical) == 1
    assert "30%" in critical[0].allowed.en
    assert critical[0].allowed.zh
    assert critical[0].observed
    [reason] = found.reasons  # the text of the finding, which notifications and lists show, is in both languages too
    assert reason.found.endswith(f": {critical[0].allowed.en} {critical[0].allowed.zh}")


def test_the_place_in_the_inbox_does_as_well(warehouse: psycopg.Connection, load_inbox, inbox: Path) -> None:
    (inbox / "folder-without-manifest").mkdir()
    (inbox / "folder-without-manifest" / "datapackage.json").write_text("{")
    load_inbox(inbox)
    found = explanation.explain(warehouse, "folder-without-manifest")
    assert [reason.code for reason in found.reasons] == ["D_MANIFEST"]


def test_an_unknown_name_is_told_with_those_alike(warehouse: psycopg.Connection, load_inbox, inbox: Path) -> None:
    write(inbox, "training-440000", {"enrolment": [enrolment(1)]})
    load_inbox(inbox)
    with pytest.raises(WarehouseError, match=r"knows no delivery named 'training-44000'\. Is it training-440000"):
        explanation.explain(warehouse, "training-44000")


def test_what_was_refused_twice_has_each_reason_once_and_what_is_accepted_has_none(
    warehouse: psycopg.Connection, load_inbox, settings, database_dsn: str, inbox: Path
) -> None:
    write(inbox, "m", register_of(["A1"], range(1, 301), joined_on="2026-08-01"), source="membership", mode="snapshot")
    [outcome] = load_inbox(inbox, gate=lambda _: [Finding(DeliveryCode.EXPECTATION, "no")])
    here = settings.model_copy(update={"inbox": str(inbox)})
    pipeline.load(database_dsn, here, outcome.arrival_id, lambda _: [Finding(DeliveryCode.EXPECTATION, "still no")])
    assert [reason.found for reason in explanation.explain(warehouse, "m").reasons] == ["still no"]
    pipeline.load(database_dsn, here, outcome.arrival_id, lambda _: [])
    found = explanation.explain(warehouse, "m")
    assert (found.status, found.reasons) == ("accepted", [])

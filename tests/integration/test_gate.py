"""The gate on staged batches: which facts refuse a delivery, what is stored, and what never is."""

import gc
import re
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from expectations import docs, gate
from ingest import contracts
from ingest.load import GateRequest

ARRIVAL = 7
CREATED = date(2026, 10, 3)
PERSON = uuid.UUID("00000000-0000-0000-0000-00000000000a")


@pytest.fixture
def conn(database: str) -> Any:
    from ingest import database as module

    with module.connect(database) as connection:
        module.migrate(connection, contracts.load())
        connection.execute(
            """
            INSERT INTO ops.arrival (arrival_id, location, fingerprint, name, source, sender, period, holds_name)
            VALUES (%s, 'x', 'x', 'batch', 'membership', '440000', '2026-09', true)
            """,
            [ARRIVAL],
        )
        connection.commit()
        yield connection


def stage(conn: psycopg.Connection, table: str, rows: Sequence[dict[str, Any]]) -> str:
    name = f"landing.{table}_{ARRIVAL}"
    conn.execute(f"CREATE TABLE {name} (LIKE landing.{table})")
    for number, row in enumerate(rows):
        row = {"delivery_id": ARRIVAL, "file_no": 0, "line_number": number, "content_hash": number, **row}
        conn.execute(
            f"INSERT INTO {name} ({', '.join(row)}) VALUES ({', '.join(['%s'] * len(row))})", list(row.values())
        )
    conn.commit()
    return name


def member(number: int, org_code: str = "A", joined_on: date = date(2020, 1, 1)) -> dict[str, Any]:
    return {
        "person_key": uuid.UUID(int=PERSON.int + number),
        "member_id": f"M{number}",
        "org_code": org_code,
        "cert_type": "01",
        "joined_on": joined_on,
        "status": "1",
        "sex": "1",
    }


def organisation(code: str) -> dict[str, Any]:
    return {"org_code": code, "org_name": "x", "org_level": "90", "org_type": "1", "admdvs": "440100", "status": "1"}


def settlement(number: int, setl_time: datetime) -> dict[str, Any]:
    return {"setl_id": f"S{number}", "setl_time": setl_time, "medfee_sumamt": 1, "fund_pay_sumamt": 1, "psn_pay": 0}


def request(dsn: str, source: str, tables: dict[str, str], mode: str = "snapshot", **rows: int) -> GateRequest:
    manifest = SimpleNamespace(
        name="batch",
        source=source,
        sender="440000",
        mode=mode,
        period="2026-09",
        month=date(2026, 9, 1),
        created=datetime(2026, 10, 3, tzinfo=UTC),
        created_date=CREATED,
    )
    return GateRequest(
        dsn=dsn,
        contracts=contracts.load(),
        arrival_id=ARRIVAL,
        manifest=manifest,  # type: ignore[arg-type]
        tables=tables,
        rows_loaded=rows,
    )


def membership(conn: psycopg.Connection, dsn: str, members: list[dict[str, Any]], mode: str = "snapshot") -> list[str]:
    tables = {
        "organisation": stage(conn, "membership_organisation", [organisation("A")]),
        "member": stage(conn, "membership_member", members),
    }
    found = gate.validate(request(dsn, "membership", tables, mode, organisation=1, member=len(members)))
    return [finding.message.partition(":")[0] for finding in found]


@pytest.mark.parametrize(("orphans", "refused"), [(4, False), (5, True)])
def test_orphans_refuse_above_forty_percent(
    conn: psycopg.Connection, database: str, orphans: int, refused: bool
) -> None:
    members = [member(number, "B" if number < orphans else "A") for number in range(10)]
    expected = ["members_belong_to_delivered_organisations"] if refused else []
    assert membership(conn, database, members) == expected


def test_orphans_of_a_delta_do_not_matter(conn: psycopg.Connection, database: str) -> None:
    assert membership(conn, database, [member(number, "B") for number in range(10)], mode="delta") == []


@pytest.mark.parametrize(("rows", "filled_in", "refused"), [(200, 60, False), (200, 61, True), (199, 199, False)])
def test_joined_on_the_export_day(
    conn: psycopg.Connection, database: str, rows: int, filled_in: int, refused: bool
) -> None:
    members = [member(number, joined_on=CREATED if number < filled_in else date(2020, 1, 1)) for number in range(rows)]
    assert membership(conn, database, members) == (["joined_on_is_not_the_export_day"] if refused else [])


@pytest.mark.parametrize(("rows", "ahead", "refused"), [(100, 50, False), (100, 51, True), (99, 99, False)])
def test_settlements_after_the_period(
    conn: psycopg.Connection, database: str, rows: int, ahead: int, refused: bool
) -> None:
    last, next_day = datetime(2026, 9, 30, 23, 59, 59), datetime(2026, 10, 1)
    table = stage(
        conn,
        "medical_settlement",
        [settlement(number, next_day if number < ahead else last) for number in range(rows)],
    )
    found = gate.validate(request(database, "medical", {"settlement": table}, "delta", settlement=rows))
    assert [finding.code for finding in found] == (["D_EXPECTATION"] if refused else [])


def verdicts(conn: psycopg.Connection, name: str) -> list[bool]:
    return [
        success
        for (success,) in conn.execute(
            "SELECT success FROM ops.validation_result WHERE expectation = %s ORDER BY run_at", [name]
        )
    ]


@pytest.mark.parametrize(("reversed_", "fine"), [(20, True), (21, False)])
def test_reversals_up_to_a_fifth_are_usual(conn: psycopg.Connection, database: str, reversed_: int, fine: bool) -> None:
    rows = [settlement(number, datetime(2026, 9, 1)) for number in range(100)]
    for row in rows[:reversed_]:
        row["init_setl_id"] = "S0"
    table = stage(conn, "medical_settlement", rows)
    assert gate.validate(request(database, "medical", {"settlement": table}, "delta", settlement=100)) == []
    assert verdicts(conn, "few_reversals") == [fine]


def test_a_feed_without_a_row_is_fine(conn: psycopg.Connection, database: str) -> None:
    table = stage(conn, "medical_settlement", [])
    assert gate.validate(request(database, "medical", {"settlement": table}, "delta", settlement=0)) == []
    for name in ("key_is_unique", "few_reversals", "settled_inside_the_period"):
        assert verdicts(conn, name) == [True], name


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize(("twin", "fine"), [({"setl_id": "S90"}, True), ({"setl_id": "S5"}, False)])
def test_a_key_that_stands_twice_is_seen(
    conn: psycopg.Connection, database: str, twin: dict[str, Any], fine: bool, order: int
) -> None:
    rows = [settlement(number, datetime(2026, 9, 1)) for number in range(10)][::order]
    table = stage(conn, "medical_settlement", [*rows, {**rows[0], **twin}])
    assert gate.validate(request(database, "medical", {"settlement": table}, "delta", settlement=11)) == []
    assert verdicts(conn, "key_is_unique") == [fine]


def test_results_are_stored_without_personal_values(conn: psycopg.Connection, database: str, tmp_path: Path) -> None:
    members = [{**member(number), "sex": "7", "birth_date": date(1984, 3, 5 + number)} for number in range(3)]
    membership(conn, database, members)
    stored = conn.execute(
        'SELECT expectation, "column", severity, success, observed::text FROM ops.validation_result WHERE arrival_id = %s',
        [ARRIVAL],
    ).fetchall()
    domain = next(row for row in stored if row[:2] == ("expect_column_values_to_be_in_set", "sex"))
    assert domain[2:4] == ("warning", False)
    assert '"unexpected_count": 3' in domain[4]
    text = " ".join(row[4] for row in stored)
    assert not re.search(r"M[0-9]|0000-00000000000|1984", text)
    page = docs.build(database, tmp_path / "docs")
    everything = "".join(path.read_text() for path in page.parent.glob("*.html"))
    assert "membership_member" in everything
    assert not re.search(r"https?://|<script", everything), "the pages must need no network"


def test_a_second_judgement_replaces_the_first(conn: psycopg.Connection, database: str) -> None:
    table = stage(conn, "membership_organisation", [organisation("A")])
    for _ in range(2):
        gate.validate(request(database, "membership", {"organisation": table}, organisation=1))
    (repeated,) = conn.execute(
        """
        SELECT count(*) FROM (
            SELECT 1 FROM ops.validation_result GROUP BY suite, expectation, "column" HAVING count(*) > 1
        ) AS repeated
        """
    ).fetchone() or (None,)
    assert repeated == 0


def test_a_connection_is_left_for_nobody(conn: psycopg.Connection, database: str) -> None:
    table = stage(conn, "membership_organisation", [organisation("A")])
    gate.validate(request(database, "membership", {"organisation": table}, organisation=1))
    for _ in range(50):  # a server process takes a moment to end
        others = conn.execute(
            """
            SELECT application_name, state, query FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
            """
        ).fetchall()
        if not others:
            break
        time.sleep(0.1)
    assert others == []


def test_one_connection_serves_every_table(conn: psycopg.Connection, database: str) -> None:
    from expectations import runner
    from expectations.base import base_suite

    stage(conn, "membership_organisation", [organisation("A")])
    suite = base_suite(contracts.load().feeds["membership", "organisation"])
    with runner.connected(database) as engine:
        processes = set()
        for _ in range(3):
            results = runner.run(engine, "landing", f"membership_organisation_{ARRIVAL}", "suite", suite)
            assert not [result for result in results if "error" in result.observed]
            gc.collect()  # what the library leaves behind must not close it
            with engine.connect() as connection:
                processes.add(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar())
    assert len(processes) == 1


def test_what_cannot_be_evaluated_is_not_the_senders_fault(conn: psycopg.Connection, database: str) -> None:
    from expectations import runner
    from expectations.own import no_rows

    stage(conn, "membership_organisation", [organisation("A")])
    broken = no_rows("SELECT no_such_column FROM batch", name="broken", description="", severity="critical")
    with runner.connected(database) as engine, pytest.raises(RuntimeError, match="could not be evaluated"):
        runner.run(engine, "landing", f"membership_organisation_{ARRIVAL}", "suite", [broken])

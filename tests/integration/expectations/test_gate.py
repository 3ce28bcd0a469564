"""The gate on staged batches: which context refuse a delivery, what is stored, and what never is."""

import re
import time
import uuid
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from expectations import gate, report
from ingest import contracts
from ingest.pipeline import GateRequest

ARRIVAL = 7
CREATED = date(2026, 10, 3)
PERSON = uuid.UUID("00000000-0000-0000-0000-00000000000a")


@pytest.fixture
def conn(database: str) -> Any:
    from ingest import database as module

    with module.connect(database) as connection:
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


#: An amount of a budget that is out of proportion, and one that is just not.
APART = {"budget": 1, "actual": Decimal("100.01")}
NEAR = {"budget": 1, "actual": 100}


@pytest.mark.parametrize(
    ("table", "bad", "good", "rows", "most", "expected"),
    [
        (
            "employment_social_insurance_month",
            {"month": date(2026, 10, 1)},
            {"month": date(2026, 9, 1)},
            100,
            50,
            "months_inside_the_period",
        ),
        (
            "rights_dispute_case",
            {"closed_on": CREATED},
            {"closed_on": date(2026, 9, 1)},
            100,
            30,
            "closed_on_is_not_the_export_day",
        ),
        (
            "services_service_record",
            {"served_on": date(2026, 10, 1)},
            {"served_on": date(2026, 9, 30)},
            100,
            50,
            "served_inside_the_period",
        ),
        ("funds_fund_budget", APART, NEAR, 20, 10, "budget_and_actual_are_in_one_unit"),
        (
            "funds_fund_budget",
            {"budget": Decimal("1000.01"), "actual": 1},
            {"budget": 1000, "actual": 1},
            20,
            10,
            "budget_and_actual_are_in_one_unit",
        ),
    ],
)
@pytest.mark.parametrize("more", [{}, {"enough": False}, {"over": 1}, {"over": 1, "enough": False}])
def test_signs_of_a_broken_export(
    conn: psycopg.Connection,
    database: str,
    table: str,
    bad: dict[str, Any],
    good: dict[str, Any],
    rows: int,
    most: int,
    expected: str,
    more: dict[str, Any],
) -> None:
    """More than the share refuses, of at least so many rows; rows that the sign does not concern are not counted."""
    source, _, feed = table.partition("_")
    wrong, all_ = most + more.get("over", 0), rows if more.get("enough", True) else rows - 1
    told = [bad] * wrong + [good] * (all_ - wrong)
    others = [{"budget": 0, "actual": 5}] * 30 if source == "funds" else []
    others += [{"org_code": "A"}] * 30 if source == "rights" else []
    staged = stage(conn, table, told + others)
    found = gate.validate(request(database, source, {feed: staged}, "delta", **{feed: len(told + others)}))
    refused = wrong > most and more.get("enough", True)
    assert [finding.message.partition(":")[0] for finding in found] == ([expected] if refused else [])


@pytest.mark.parametrize(
    ("table", "bad", "good", "expected"),
    [
        (
            "rights_collective_contract",
            {"valid_from": date(2024, 1, 1), "valid_to": date(2027, 1, 2)},
            {"valid_from": date(2024, 1, 1), "valid_to": date(2027, 1, 1)},
            "term_of_at_most_three_years",
        ),
        (
            "honours_honour",
            {"status": "1", "revoked_on": CREATED},
            {"status": "0", "revoked_on": CREATED},
            "revoked_honours_are_not_valid",
        ),
        (
            "funds_fund_budget",
            {"year": 2026, "as_of": date(2025, 12, 31)},
            {"year": 2026, "as_of": date(2026, 1, 1)},
            "as_of_not_before_its_year",
        ),
    ],
)
@pytest.mark.parametrize("fine", [True, False])
def test_a_single_odd_row_is_remarked_upon(
    conn: psycopg.Connection,
    database: str,
    table: str,
    bad: dict[str, Any],
    good: dict[str, Any],
    expected: str,
    fine: bool,
) -> None:
    source, _, feed = table.partition("_")
    staged = stage(conn, table, [good] * 30 + ([] if fine else [bad]))
    assert gate.validate(request(database, source, {feed: staged}, "delta", **{feed: 30 + (not fine)})) == []
    assert verdicts(conn, expected) == [fine]


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


def test_results_are_stored_without_personal_values(conn: psycopg.Connection, database: str) -> None:
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
    shown = " ".join(str(one.model_dump()) for one in report.of_delivery(conn, ARRIVAL))
    assert "membership_member" in shown
    assert not re.search(r"M[0-9]|0000-00000000000|1984", shown)


def test_a_delivery_is_compared_with_the_senders_previous_one(conn: psycopg.Connection, database: str) -> None:
    deliveries = [  # arrival, sender, mode, period, rows, sum
        (1, "440000", "delta", "2026-07", 7, 7.0),
        (2, "440000", "delta", "2026-08", 100, 1000.0),
        (3, "110000", "delta", "2026-08", 9, 9.0),
        (4, "440000", "snapshot", "2026-08", 9, 9.0),
        (5, "440000", "delta", "2026-10", 9, 9.0),
    ]
    for arrival, sender, mode, period, rows, total in deliveries:
        conn.execute(
            "INSERT INTO ops.arrival (arrival_id, location, fingerprint, name, source, sender, period, mode, created,"
            " holds_name, status) VALUES (%s, %s, '', %s, 'medical', %s, %s, %s, '2026-09-01Z', true, 'accepted')",
            [arrival, str(arrival), f"earlier-{arrival}", sender, period, mode],
        )
        conn.execute(
            "INSERT INTO ops.file (arrival_id, file_no, path, feed, rows_read, rows_loaded, rows_rejected,"
            " rows_skipped, bytes, hash) VALUES (%s, 0, 'x', 'settlement', %s, %s, 0, 0, 1, 'x')",
            [arrival, rows, rows],
        )
        conn.execute(
            'INSERT INTO ops.validation_result (arrival_id, suite, expectation, "column", severity, success, observed)'
            " VALUES (%s, 'medical_settlement', 'sum_against_previous', 'medfee_sumamt', 'warning', true,"
            " jsonb_build_object('observed_value', %s::float8))",
            [arrival, total],
        )
    table = stage(conn, "medical_settlement", [settlement(number, datetime(2026, 9, 1)) for number in range(100)])
    assert gate.validate(request(database, "medical", {"settlement": table}, "delta", settlement=100)) == []
    found = conn.execute(
        'SELECT expectation, "column", success FROM ops.validation_result'
        " WHERE arrival_id = %s AND expectation LIKE '%%_against_previous' ORDER BY 1, 2",
        [ARRIVAL],
    ).fetchall()
    assert found == [
        ("sum_against_previous", "fund_pay_sumamt", True),  # nothing to compare it with
        ("sum_against_previous", "medfee_sumamt", False),
        ("volume_against_previous", None, True),
    ]
    page = "\n".join(
        f"{one.allowed.en} {one.allowed.zh} {', '.join(f'{label.zh}: {value}' for label, value in one.found)}"
        for one in report.of_delivery(conn, ARRIVAL)
    )
    for text in (
        "50 to 200 rows: 50% to 200% of the 100 of",
        "行数在 50 至 200 之间",
        "lies between 300.00 and 3000.00: 30% to 300% of the 1000.00 of",
        "medfee_sumamt 合计在 300.00 至 3000.00 之间",
        "实测: 100.0",
    ):
        assert text in page
    assert "expect_" not in page, "names of the library say nothing to a reader"


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

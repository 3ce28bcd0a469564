"""Deliveries of one fault each (tests/data/cases): what a sender's export gets wrong, and what must become of it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import pipeline
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests.worlds import Builds

CASES = Path(__file__).parents[2] / "data" / "cases"


@pytest.fixture
def outcomes(
    warehouse: psycopg.Connection, load_inbox: Callable[..., list[pipeline.Outcome]]
) -> dict[str, pipeline.Outcome]:
    """All of them loaded, in the order of their names."""
    return {outcome.name: outcome for outcome in load_inbox(CASES)}


def counts(conn: psycopg.Connection, name: str) -> list[tuple[Any, ...]]:
    return conn.execute(
        "SELECT feed, rows_read, rows_loaded, rows_rejected FROM ops.delivery_file WHERE delivery_name = %s ORDER BY 1",
        [name],
    ).fetchall()


def rejected(conn: psycopg.Connection, settings: Settings, name: str) -> list[tuple[Any, ...]]:
    rows = pipeline.rejects(conn, Keyring.from_settings(settings), name)
    return [(row["line_number"], row["reasons"], row["raw"]) for row in rows]


def text_of(name: str) -> list[str]:
    return (CASES / name / "member.csv").read_text("utf-8").splitlines()


def test_what_is_decided(outcomes: dict[str, pipeline.Outcome]) -> None:
    names = {json.loads(path.read_text())["name"] for path in CASES.glob("*/datapackage.json")}
    codes = {name: [] for name in names} | {"x10-error-cells": ["D_TOLERANCE"]}  # two rows of thirty are too many
    assert {name: outcome.codes for name, outcome in outcomes.items()} == codes


@pytest.mark.usefixtures("outcomes")
def test_two_joined_exports_are_one_register(warehouse: psycopg.Connection, builds: Builds) -> None:
    assert counts(warehouse, "u04-bom-mid-quoted") == [("member", 60, 60, 0), ("organisation", 1, 1, 0)]
    keys = [key for (key,) in warehouse.execute("SELECT member_id FROM landing.membership_member").fetchall()]
    assert not [key for key in keys if not key.isalnum()]
    warehouse.execute(
        "INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)"
        " SELECT 'build_a', 'input', arrival_id, name, source, sender, (period || '-01')::date, mode, created"
        " FROM ops.arrival"
    )
    builds.run("build_a", "--full-refresh", models=["member_month"])
    months = warehouse.execute(
        "SELECT to_char(month, 'YYYY-MM'), count(*) FROM build_a.member_month WHERE sender = '530000' GROUP BY 1 ORDER BY 1"
    ).fetchall()
    assert months == [("2026-09", 60), ("2026-10", 59)]


@pytest.mark.usefixtures("outcomes")
def test_a_quote_that_is_never_closed_costs_one_row(warehouse: psycopg.Connection, settings: Settings) -> None:
    name = "u01-unclosed-200-of-300"
    assert counts(warehouse, name) == [("member", 300, 299, 1), ("organisation", 1, 1, 0)]
    assert rejected(warehouse, settings, name) == [(201, ["E_COLUMNS"], text_of(name)[200])]


@pytest.mark.usefixtures("outcomes")
def test_a_workbook_counts_days_in_its_own_system(warehouse: psycopg.Connection) -> None:
    days = warehouse.execute(
        "SELECT DISTINCT m.joined_on::text FROM landing.membership_member AS m"
        " INNER JOIN ops.arrival AS a ON m.delivery_id = a.arrival_id WHERE a.name = 's03-1904-general'"
    ).fetchall()
    assert days == [("2020-01-15",)]


@pytest.mark.usefixtures("outcomes")
def test_errors_of_cells_are_of_no_type(warehouse: psycopg.Connection, settings: Settings) -> None:
    found = rejected(warehouse, settings, "x10-error-cells")
    assert [(line, reasons) for line, reasons, _ in found] == [(5, ["E_TYPE:change_reason"]), (6, ["E_TYPE:name"])]
    assert ["#REF!" in found[0][2], "#VALUE!" in found[1][2]] == [True, True]


@pytest.mark.usefixtures("outcomes")
def test_rows_of_blanks_are_not_counted(warehouse: psycopg.Connection) -> None:
    assert counts(warehouse, "x22-blankish-rows") == [("member", 20, 20, 0)]


@pytest.mark.usefixtures("outcomes")
def test_a_number_that_a_spreadsheet_damaged_is_shown_as_it_came(
    warehouse: psycopg.Connection, settings: Settings
) -> None:
    found = rejected(warehouse, settings, "x11-sci-id")
    assert [(line, reasons, raw.split("\t")[4]) for line, reasons, raw in found] == [
        (5, ["E_SCI:certno"], "4.4990119600115E+17"),
        (6, ["E_SCI:certno"], "4.4990119600115E+17"),
        (7, ["E_SCI:certno"], "4.49901E+17"),
    ]

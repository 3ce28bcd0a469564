"""The fast path says of every suite what the library says by its public interface."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from great_expectations.expectations.expectation import Expectation

from expectations import private_gx, runner
from expectations.building_blocks import no_rows
from expectations.suites import figures, suite_of
from ingest import contracts
from tests.suite_contexts import context_of

MODELS = Path(__file__).parents[3] / "dbt_project" / "models"


@pytest.fixture
def conn(database_dsn: str) -> Any:
    with psycopg.connect(database_dsn, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA build_x")
        yield connection


def fill(conn: psycopg.Connection, table: str, rows: int) -> None:
    """Rows of any values that the columns can hold, a quarter of them missing, with dates around the period's end."""
    values = {
        "uuid": "md5((random() * 200)::int::text)::uuid",
        "date": "DATE '2026-07-01' + (random() * 120)::int",
        "timestamp without time zone": "TIMESTAMP '2026-09-30' + (random() - 0.7) * INTERVAL '10 days'",
        "timestamp with time zone": "TIMESTAMPTZ '2026-09-30' + (random() - 0.7) * INTERVAL '10 days'",
        "boolean": "random() < 0.5",
        "text": "(ARRAY['0', '1', '2', '01', '90', 'amber', 'M' || n])[1 + (random() * 6)::int]",
        "text[]": "ARRAY['x']",
    }
    columns = conn.execute(
        "SELECT attname, format_type(atttypid, NULL), attnotnull FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0",
        [table],
    ).fetchall()
    chosen = [
        f"CASE WHEN {required} OR random() < 0.75 THEN ({values.get(kind, '(random() * 9)::int - 1')})::{kind} END"
        for _, kind, required in columns
    ]
    conn.execute("SELECT setseed(0.5)")
    statement = f"INSERT INTO {table} SELECT {', '.join(chosen)} FROM generate_series(1, {rows}) AS n"
    conn.execute(statement.encode())


def compare(conn: psycopg.Connection, table: str, suite: Sequence[Expectation]) -> list[runner.Result]:
    assert private_gx.verdicts(conn, table, suite, runner.RESULT_FORMAT) is not None, "the fast path was not taken"
    fast, public = runner.run(conn, table, "suite", suite), runner.run_public(conn, table, "suite", suite)
    ordered = [
        sorted(results, key=lambda result: (result.expectation, result.column or "", result.description))
        for results in (fast, public)
    ]
    assert ordered[0] == ordered[1]
    return fast


@pytest.mark.parametrize("rows", [0, 300])
def test_both_ways_judge_deliveries_alike(conn: psycopg.Connection, rows: int) -> None:
    known = contracts.load()
    for feed in known.feeds.values():
        conn.execute(f"CREATE TABLE landing.{feed.table}_1 (LIKE landing.{feed.table})".encode())
        fill(conn, f"landing.{feed.table}_1", rows)
    seen = set()
    for feed in known.feeds.values():
        suite = suite_of(context_of(feed, rows_loaded=rows))
        seen |= {result.success for result in compare(conn, f"landing.{feed.table}_1", suite)}
    assert seen == {True, False}


@pytest.mark.parametrize("rows", [0, 300])
def test_both_ways_judge_figures_alike(conn: psycopg.Connection, rows: int) -> None:
    described = {
        model["name"]: model["columns"]
        for path in MODELS.rglob("*.yml")
        for model in yaml.safe_load(path.read_text(encoding="utf-8")).get("models", ())
        if "columns" in model
    }
    for name, suite in figures.suites().items():
        columns = ", ".join(f'"{column["name"]}" {column["data_type"]}' for column in described[name])
        conn.execute(f"CREATE TABLE build_x.{name} ({columns})".encode())
        fill(conn, f"build_x.{name}", rows)
        results = compare(conn, f"build_x.{name}", suite)
        assert rows == 0 or not all(result.success for result in results), name


def test_a_suite_of_queries_alone_is_judged_without_rows(conn: psycopg.Connection) -> None:
    conn.execute("CREATE TABLE build_x.empty (a integer)")
    suite = [no_rows("SELECT a FROM batch WHERE a < 0", name="none", description="No row.", zh="无行。")]
    assert compare(conn, "build_x.empty", suite)[0].success


def test_a_suite_of_queries_alone_on_an_empty_table(conn: psycopg.Connection) -> None:
    compare(conn, "landing.training_fund", [no_rows("SELECT FROM batch", name="none", description="", zh="")])


def test_another_release_goes_the_public_way(conn: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_gx, "VERSION", "0")
    suite = suite_of(context_of(contracts.load().feeds["training", "fund"], rows_loaded=0))
    results = runner.run(conn, "landing.training_fund", "suite", suite)
    assert len(results) == len(suite)
    assert not [result for result in results if "error" in result.observed]


def test_what_cannot_be_evaluated(conn: psycopg.Connection) -> None:
    """A query that the database refuses: a warning is recorded beside the others, a critical one is no sender's fault."""
    fine = no_rows("SELECT FROM batch WHERE false", name="fine", description="", zh="")
    broken = no_rows("SELECT no_such_column FROM batch", name="broken", description="", zh="")
    results = runner.run(conn, "landing.training_fund", "suite", [broken, fine])
    assert {result.expectation: (result.success, "error" in result.observed) for result in results} == {
        "fine": (True, False),
        "broken": (False, True),
    }
    critical = no_rows("SELECT no_such_column FROM batch", name="broken", description="", zh="", severity="critical")
    with pytest.raises(RuntimeError, match="could not be evaluated"):
        runner.run(conn, "landing.training_fund", "suite", [critical])


def test_the_public_way_leaves_no_connection(conn: psycopg.Connection) -> None:
    suite = suite_of(context_of(contracts.load().feeds["training", "fund"]))
    runner.run_public(conn, "landing.training_fund", "suite", suite)
    others: list[Any] = []
    for _ in range(50):  # a server process takes a moment to end
        others = conn.execute(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        ).fetchall()
        if not others:
            break
        time.sleep(0.1)
    assert others == []

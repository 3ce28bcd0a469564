"""Builds with a dbt project of three nodes: new deliveries, failures, rebuilt months."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.errors import WarehouseError
from ingest.settings import Settings
from tests import tiny_project
from tests.tiny_project import decide
from warehouse import operations
from warehouse.build import dbt, planning


@pytest.fixture
def conn(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A warehouse whose dbt project is the tiny one, without an audit."""
    tiny_project.use(tmp_path / "project", monkeypatch)
    with operations.open_warehouse(settings) as conn:
        yield conn


def build_all(settings: Settings) -> bool:
    """Run a build; returns whether anything was new."""
    return operations.build_and_publish(settings, lambda *_: None)[0] is not None


def held(conn: psycopg.Connection) -> set[str]:
    return {name for (name,) in conn.execute("SELECT name FROM marts.held")}


def kinds(conn: psycopg.Connection) -> set[str]:
    return {kind for (kind,) in conn.execute("SELECT kind FROM marts.held")}


def current(conn: psycopg.Connection) -> str:
    row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
    assert row is not None
    return str(row[0])


def test_an_empty_ledger_builds_nothing(conn: psycopg.Connection, settings: Settings) -> None:
    assert not build_all(settings)


def test_builds_alternate_and_stop_when_nothing_is_new(
    conn: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(conn, "first")
    assert build_all(settings)
    assert (current(conn), held(conn), kinds(conn)) == ("build_a", {"first"}, {"full"})
    with monkeypatch.context() as patch:
        patch.setattr(dbt, "invoke", lambda *_, **__: pytest.fail("dbt was started"))
        assert not build_all(settings)
        decide(conn, "first", "duplicate")
        assert not build_all(settings)  # a duplicate changes nothing
    decide(conn, "second")
    assert build_all(settings)
    # what nobody has built yet begins as a copy of what is published
    assert (current(conn), held(conn), kinds(conn)) == ("build_b", {"first", "second"}, {"part"})
    decide(conn, "broken", "refused")  # the scorecard lists it
    assert build_all(settings)
    assert (current(conn), held(conn), kinds(conn)) == ("build_a", {"first", "second"}, {"part"})
    rows = conn.execute("SELECT build, deliveries, row_counts FROM ops.publication ORDER BY publication_id").fetchall()
    assert rows[1] == ("build_b", ["first", "second"], {"marts.months": 0, "marts.held": 2})


def test_marts_are_read_by_index_only_scans(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "first")
    assert build_all(settings)
    pages = "SELECT relkind, relpages, relallvisible FROM pg_class WHERE oid = 'build_a.held'::regclass"
    assert conn.execute(pages).fetchone() == ("r", 1, 1)


def test_what_the_build_is_given(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "register", period="2026-07")
    decide(conn, "change", mode="delta")
    decide(conn, "events", source="training")
    decide(conn, "bureau", source="medical")
    decide(conn, "old", "superseded")
    decide(conn, "gone", "withdrawn")
    decide(conn, "bad", "refused")
    plan = operations.plan_build(settings)
    assert plan is not None
    assert plan["deliveries"] == ["bureau", "change", "events", "register"]
    rows = conn.execute("SELECT name, mode, month::text FROM ops.build_delivery WHERE state = 'input' ORDER BY name")
    assert rows.fetchall() == [
        ("bureau", "delta", "2026-08-01"),
        ("change", "delta", "2026-08-01"),
        ("events", "delta", "2026-08-01"),
        ("register", "snapshot", "2026-07-01"),
    ]


def test_a_failed_test_publishes_nothing_and_the_next_build_mends_it(
    conn: psycopg.Connection, settings: Settings
) -> None:
    decide(conn, "first")
    build_all(settings)
    decide(conn, "forbidden-1")
    with pytest.raises(WarehouseError, match="nothing_forbidden"):
        build_all(settings)
    assert (current(conn), held(conn)) == ("build_a", {"first"})
    results = conn.execute(
        "SELECT resource_type, status, failures FROM ops.dbt_result WHERE build = 'build_b' ORDER BY 1, 2"
    )
    assert results.fetchall() == [("model", "success", None), ("model", "success", None), ("test", "fail", 1)]
    with pytest.raises(WarehouseError, match="no previous publication"):  # half-built
        operations.publish_previous(settings)
    conn.execute("UPDATE ops.arrival SET status = 'withdrawn' WHERE name = 'forbidden-1'")
    assert build_all(settings)
    assert (current(conn), held(conn)) == ("build_b", {"first"})


def test_publications_and_a_failure_are_told(
    conn: psycopg.Connection, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "warehouse.notifications")
    decide(conn, "first")
    build_all(settings)
    decide(conn, "forbidden-1")
    with pytest.raises(WarehouseError, match="nothing_forbidden"):
        build_all(settings)
    conn.execute("UPDATE ops.arrival SET status = 'withdrawn' WHERE name = 'forbidden-1'")
    build_all(settings)
    operations.publish_previous(settings)
    told = conn.execute(
        "SELECT kind, en, details FROM ops.notification WHERE sent_at IS NOT NULL ORDER BY notification_id"
    ).fetchall()
    assert [kind for kind, _, _ in told] == ["published", "failed", "published", "published"]
    assert "Publication 1 (build_a): 2 relations, 1 rows" in told[0][1]
    assert told[1][1].startswith("build_b failed at the step dbt")
    assert [name.rpartition(".")[2] for name in told[1][2]] == ["nothing_forbidden: fail"]
    assert "Publication 2 (build_b)" in told[2][1]
    assert "Publication 3 (build_a)" in told[3][1]
    levels = [record.levelname for record in caplog.records if record.name == "warehouse.notifications"]
    assert levels == ["INFO", "ERROR", "INFO", "INFO"]


def test_a_failed_audit_publishes_nothing(
    conn: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(conn, "first")

    def refuse(*_: object) -> None:
        raise WarehouseError("shares above one")

    with monkeypatch.context() as patch:
        patch.setattr(operations, "audit", refuse)
        with pytest.raises(WarehouseError, match="shares above one"):
            build_all(settings)
    assert conn.execute("SELECT FROM ops.publication").fetchone() is None
    assert build_all(settings)
    assert held(conn) == {"first"}


def test_changed_code_causes_a_full_build(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "first")
    build_all(settings)
    decide(conn, "second")
    build_all(settings)
    (dbt.PROJECT / "models/months.sql").write_text("select 1 as added")
    (dbt.PROJECT / "models/more.sql").write_text("select 1 as x")
    (dbt.PROJECT / "models/months.sql").unlink()
    plan, result = operations.build_and_publish(settings, lambda *_: None)
    assert plan is not None
    assert plan["full_refresh"]
    assert result is not None
    assert result.abandoned == ("marts.months",)
    assert conn.execute("SELECT x FROM marts.more").fetchall() == [(1,)]
    # The view of a removed model stays, with the views that use it, also when its schema is built from scratch.
    conn.execute("CREATE VIEW public.mine AS SELECT * FROM marts.months")
    for name in ("third", "four"):
        decide(conn, name)
        build_all(settings)
    assert conn.execute("SELECT * FROM public.mine").fetchall() == []
    # … and when the model comes back in the very schema where they still read it
    (dbt.PROJECT / "models/months.sql").write_text(tiny_project.PROJECT["models/months.sql"])
    build_all(settings)
    assert current(conn) == "build_b"
    assert conn.execute("SELECT * FROM public.mine").fetchall() == []


def test_a_changed_suite_causes_a_build_that_is_audited_with_it_and_computes_nothing_anew(
    conn: psycopg.Connection, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suites = tmp_path / "expectations"
    (suites / "suites").mkdir(parents=True)
    (suites / "suites" / "figures.py").write_text("LIMIT = 2")
    monkeypatch.setattr(planning, "EXPECTATIONS", suites)
    decide(conn, "first")
    assert build_all(settings)
    assert not build_all(settings)
    (suites / "suites" / "figures.py").write_text("LIMIT = 1")
    audited = list[str]()
    monkeypatch.setattr(operations, "audit", lambda _, plan: audited.append(plan["build"]))
    assert operations.is_new(settings)
    assert build_all(settings)
    assert audited == ["build_b"]
    assert (current(conn), kinds(conn)) == ("build_b", {"part"})
    assert not operations.is_new(settings)


def test_a_requested_month_is_rebuilt_once_in_each_schema(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "first")
    build_all(settings)
    plan = operations.plan_build(settings, month="2026-08")
    assert plan is not None
    assert plan["months"] == ["2026-08-01"]
    build_all(settings)  # the first plan broke off: it is still due
    assert [str(month) for (month,) in conn.execute("SELECT month FROM marts.months")] == ["2026-08-01"]
    assert not build_all(settings)
    decide(conn, "second")
    build_all(settings)  # the other schema gets it with its next build
    assert [str(month) for (month,) in conn.execute("SELECT month FROM marts.months")] == ["2026-08-01"]
    decide(conn, "third")
    build_all(settings)
    assert conn.execute("SELECT month FROM marts.months").fetchall() == []
    with pytest.raises(WarehouseError, match="not a month"):
        operations.plan_build(settings, month="2026-13")


def test_models_of_unchanged_sources_are_left_out(conn: psycopg.Connection, settings: Settings) -> None:
    (dbt.PROJECT / "models/landed.yml").write_text(
        "sources: [{name: honours, schema: landing, tables: [{name: honours_honour}]}]"
    )
    (dbt.PROJECT / "models/honours.sql").write_text(
        "select '{{ invocation_id }}' as run, count(*) as honours from {{ source('honours', 'honours_honour') }}"
    )

    def run_of_model() -> str:
        row = conn.execute("SELECT run FROM marts.honours").fetchone()
        assert row is not None
        return str(row[0])

    runs = {}
    for name, source in (("first", "honours"), ("second", "membership")):
        decide(conn, name, source=source)
        build_all(settings)
        runs[current(conn)] = run_of_model()
    for name in ("third", "fourth"):
        decide(conn, name)
        build_all(settings)
        assert name in held(conn)  # made of no source: always built
        assert run_of_model() == runs[current(conn)]
    decide(conn, "fifth")
    assert operations.plan_build(settings) is not None  # and no more: the schema may hold anything
    build_all(settings)
    assert run_of_model() != runs.pop(current(conn))
    operations.plan_build(settings, month="2026-08")
    with conn.transaction():  # as if that plan had not begun: the month alone is new
        conn.execute("UPDATE ops.build SET completed_at = now() WHERE completed_at IS NULL")
    build_all(settings)
    assert run_of_model() != runs.pop(current(conn))
    last = run_of_model()
    decide(conn, "sixth", source="honours")
    build_all(settings)
    assert run_of_model() != last


@pytest.mark.parametrize("month", ["2019-01", "2026-07", "2026-09", "9999-12"])
def test_a_month_without_data_is_not_built(conn: psycopg.Connection, settings: Settings, month: str) -> None:
    with pytest.raises(WarehouseError, match="no delivery is accepted yet"):
        operations.plan_build(settings, month=month)
    decide(conn, "first")  # of 2026-08
    build_all(settings)
    with pytest.raises(WarehouseError, match=f"no data of {month} .* reach from 2026-08 to 2026-08"):
        operations.plan_build(settings, month=month)
    assert operations.plan_build(settings) is None


def test_return_to_the_previous_publication_lasts_until_something_comes(
    conn: psycopg.Connection, settings: Settings
) -> None:
    with pytest.raises(WarehouseError, match="no previous publication"):
        operations.publish_previous(settings)
    decide(conn, "first")
    build_all(settings)
    decide(conn, "second")
    operations.build_and_publish(settings, lambda *_: None, "2026-08")
    operations.publish_previous(settings)
    assert (current(conn), held(conn)) == ("build_a", {"first"})
    assert not build_all(settings)
    assert not operations.unpublished(settings)
    decide(conn, "third")
    assert operations.unpublished(settings)
    assert build_all(settings)
    assert (current(conn), held(conn)) == ("build_b", {"first", "second", "third"})


def test_a_check_tests_what_is_published_and_changes_nothing(conn: psycopg.Connection, settings: Settings) -> None:
    assert operations.check_published(settings) is None
    decide(conn, "first")
    build_all(settings)
    assert operations.check_published(settings) == "build_a"
    conn.execute("UPDATE build_a.held SET name = 'forbidden by hand'")
    with pytest.raises(WarehouseError, match="nothing_forbidden"):
        operations.check_published(settings)
    statuses = conn.execute("SELECT status FROM ops.dbt_result WHERE resource_type = 'test' ORDER BY run_at").fetchall()
    assert statuses == [("pass",), ("pass",), ("fail",)]
    assert not build_all(settings)


def test_an_overtaken_build_publishes_nothing(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "first")
    first = operations.plan_build(settings)
    second = operations.plan_build(settings)
    assert first is not None
    assert second is not None
    for step in (operations.run_dbt, operations.publish):
        with pytest.raises(WarehouseError, match="taken build_a over"):
            step(settings, first)
    operations.run_dbt(settings, second)
    operations.publish(settings, second)
    assert held(conn) == {"first"}


def test_another_key_stops_every_command(conn: psycopg.Connection, settings: Settings) -> None:
    other = settings.model_copy(update={"key": settings.key.__class__("another-key-" + "1" * 32)})  # type: ignore[union-attr]
    for step in (operations.register, operations.pending, operations.plan_build, operations.publish_previous):
        with pytest.raises(WarehouseError, match="key"):
            step(other)


def test_dbt_finds_the_warehouse_with_all_that_a_dsn_says(settings: Settings) -> None:
    found = dbt.environment(
        "postgresql://me:p%40ss@db.example:6432/wh?sslmode=verify-full&sslrootcert=/ca.pem", settings
    )
    assert {name: found[name] for name in found if not name.startswith("DBT_")} == {
        "WAREHOUSE_DBT_HOST": "db.example",
        "WAREHOUSE_DBT_PORT": "6432",
        "WAREHOUSE_DBT_USER": "me",
        "WAREHOUSE_DBT_PASSWORD": "p@ss",
        "WAREHOUSE_DBT_DBNAME": "wh",
        "WAREHOUSE_DBT_THREADS": "4",
        "WAREHOUSE_DBT_CALLER": "warehouse",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
    }


def test_a_build_of_many_rows_is_planned_without_nested_loops(
    conn: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "LARGE_ROWS", 100)
    (dbt.PROJECT / "models" / "planned.sql").write_text("select current_setting('enable_nestloop') as nested_loops")

    def planned() -> str:
        assert build_all(settings)
        return str(conn.execute("SELECT nested_loops FROM marts.planned").fetchone()[0])  # type: ignore[index]

    def rows(name: str, count: int) -> None:
        conn.execute(
            "INSERT INTO ops.file (arrival_id, file_no, path, feed, rows_read, rows_loaded, rows_rejected, rows_skipped,"
            " bytes, hash) SELECT arrival_id, 0, 'f.csv', 'member', %s, %s, 0, 0, 0, '' FROM ops.arrival WHERE name = %s",
            [count, count, name],
        )

    # GIVEN a hundred rows in all, WHEN everything is built
    decide(conn, "a")
    rows("a", 60)
    decide(conn, "b")
    rows("b", 40)
    assert planned() == "off"
    # WHEN only few of them are new, to a copy of it or to the schema itself
    decide(conn, "c")
    rows("c", 10)
    assert planned() == "on"
    decide(conn, "d")
    rows("d", 10)
    assert planned() == "on"
    # WHEN they are many, but few of all
    monkeypatch.setattr(planning, "LARGE_SHARE", 0.9)
    decide(conn, "e")
    rows("e", 150)
    assert planned() == "on"


def test_a_thread_reuses_its_connection(conn: psycopg.Connection, settings: Settings) -> None:
    models = [f"process_{number}" for number in range(3 * settings.dbt_threads)]
    for name in models:
        (dbt.PROJECT / "models" / f"{name}.sql").write_text("select pg_backend_pid() as pid")
    decide(conn, "a")
    assert build_all(settings)
    pids = {conn.execute(f"SELECT pid FROM marts.{name}").fetchone() for name in models}
    assert len(pids) <= settings.dbt_threads
    # WHEN a node fails in the middle, the ones after it still get their work done
    (dbt.PROJECT / "models" / "process_1.sql").write_text("select 1 / 0 as pid")
    decide(conn, "b")
    with pytest.raises(WarehouseError, match="1 failed: process_1: division by zero"):
        build_all(settings)
    (last,) = conn.execute(
        "SELECT count(*) FROM ops.dbt_result WHERE status = 'success' AND node LIKE '%process%'"
        " AND run_at = (SELECT max(run_at) FROM ops.dbt_result)"
    ).fetchone()
    assert last == len(models) - 1

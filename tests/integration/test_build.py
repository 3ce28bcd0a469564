"""Builds with a dbt project of three nodes: what is new, what breaks off, what is rebuilt."""

import textwrap
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import dbt, passes, plans

PROJECT = {
    "dbt_project.yml": """
        name: tiny
        version: "1.0"
        profile: warehouse
        vars: {build: build_a}
        models:
          tiny:
            +materialized: table
            +meta: {publish: marts}
        data_tests:
          +schema: staging
        """,
    "macros/schema.sql": """
        {% macro generate_schema_name(name, node) %}{{ var('build') if name is none else var('build') ~ '_' ~ name }}{% endmacro %}
        """,
    "models/held.sql": """
        select name, month, '{{ "full" if flags.FULL_REFRESH else "part" }}' as kind from ops.build_delivery
        where build = '{{ var("build") }}' and state = 'input'
        """,
    "models/asked.sql": "select unnest(months_asked) as month from ops.build where build = '{{ var(\"build\") }}'",
    "tests/nothing_forbidden.sql": "select * from {{ ref('held') }} where name like 'forbidden%'",
}


@pytest.fixture
def conn(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[psycopg.Connection]:
    """A warehouse whose dbt project is the tiny one, without an audit."""
    profile = (dbt.PROJECT / "profiles.yml").read_text()
    project = tmp_path / "project"
    for name, text in {**PROJECT, "profiles.yml": profile}.items():
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.setattr(dbt, "PROJECT", project)
    monkeypatch.setattr(passes, "audit", lambda *_: None)
    with passes.opened(settings) as conn:
        yield conn


def decide(conn: psycopg.Connection, name: str, status: str = "accepted", **other: str) -> None:
    """A delivery in the ledger, as loading leaves it."""
    values = {"source": "membership", "mode": "snapshot", "period": "2026-08", **other}
    conn.execute(
        "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, mode, created, content_hash,"
        " status, holds_name, decided_at) VALUES (%s, '', %s, %s, '440000', %s, %s, '2026-09-03T08:00+08', %s, %s,"
        " %s, now())",
        [
            f"{name}-{status}",
            name,
            values["source"],
            values["period"],
            values["mode"],
            f"hash of {name}",
            status,
            status not in ("refused", "duplicate"),
        ],
    )


def build_all(settings: Settings) -> bool:
    """One build; whether there was anything to do."""
    return passes.build_and_publish(settings, lambda *_: None)[0] is not None


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
    decide(conn, "one")
    assert build_all(settings)
    assert (current(conn), held(conn), kinds(conn)) == ("build_a", {"one"}, {"full"})
    with monkeypatch.context() as patch:
        patch.setattr(dbt, "invoke", lambda *_, **__: pytest.fail("dbt was started"))
        assert not build_all(settings)
        decide(conn, "one", "duplicate")
        assert not build_all(settings)  # a duplicate changes nothing
    decide(conn, "two")
    assert build_all(settings)
    # what nobody has built yet begins as a copy of what is published
    assert (current(conn), held(conn), kinds(conn)) == ("build_b", {"one", "two"}, {"part"})
    decide(conn, "broken", "refused")  # the scorecard lists it
    assert build_all(settings)
    assert (current(conn), held(conn), kinds(conn)) == ("build_a", {"one", "two"}, {"part"})
    rows = conn.execute("SELECT build, deliveries, row_counts FROM ops.publication ORDER BY publication_id").fetchall()
    assert rows[1] == ("build_b", ["one", "two"], {"marts.asked": 0, "marts.held": 2})


def test_marts_can_be_read_out_of_an_index_alone(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "one")
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
    plan = passes.plan_build(settings)
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
    decide(conn, "one")
    build_all(settings)
    decide(conn, "forbidden-1")
    with pytest.raises(WarehouseError, match="nothing_forbidden"):
        build_all(settings)
    assert (current(conn), held(conn)) == ("build_a", {"one"})
    results = conn.execute(
        "SELECT resource_type, status, failures FROM ops.dbt_result WHERE build = 'build_b' ORDER BY 1, 2"
    )
    assert results.fetchall() == [("model", "success", None), ("model", "success", None), ("test", "fail", 1)]
    with pytest.raises(WarehouseError, match="no previous publication"):  # half-built
        passes.publish_previous(settings)
    conn.execute("UPDATE ops.arrival SET status = 'withdrawn' WHERE name = 'forbidden-1'")
    assert build_all(settings)
    assert (current(conn), held(conn)) == ("build_b", {"one"})


def test_a_failed_audit_publishes_nothing(
    conn: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide(conn, "one")

    def refuse(*_: object) -> None:
        raise WarehouseError("shares above one")

    with monkeypatch.context() as patch:
        patch.setattr(passes, "audit", refuse)
        with pytest.raises(WarehouseError, match="shares above one"):
            build_all(settings)
    assert conn.execute("SELECT FROM ops.publication").fetchone() is None
    assert build_all(settings)
    assert held(conn) == {"one"}


def test_changed_code_builds_everything_anew(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "one")
    build_all(settings)
    decide(conn, "two")
    build_all(settings)
    (dbt.PROJECT / "models/asked.sql").write_text("select 1 as added")
    (dbt.PROJECT / "models/more.sql").write_text("select 1 as x")
    (dbt.PROJECT / "models/asked.sql").unlink()
    plan, moved = passes.build_and_publish(settings, lambda *_: None)
    assert plan is not None
    assert plan["full_refresh"]
    assert moved is not None
    assert moved.abandoned == ("marts.asked",)
    assert conn.execute("SELECT x FROM marts.more").fetchall() == [(1,)]
    # the view of what is gone stays at its last state, with the views upon it, also when its schema is filled anew
    conn.execute("CREATE VIEW public.mine AS SELECT * FROM marts.asked")
    for name in ("three", "four"):
        decide(conn, name)
        build_all(settings)
    assert conn.execute("SELECT * FROM public.mine").fetchall() == []
    # … and when the model comes back in the very schema where they still read it
    (dbt.PROJECT / "models/asked.sql").write_text(PROJECT["models/asked.sql"])
    build_all(settings)
    assert current(conn) == "build_b"
    assert conn.execute("SELECT * FROM public.mine").fetchall() == []


def test_a_month_asked_for_is_rebuilt_once_in_each_schema(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "one")
    build_all(settings)
    plan = passes.plan_build(settings, month="2026-08")
    assert plan is not None
    assert plan["months"] == ["2026-08-01"]
    build_all(settings)  # the first plan broke off: it is still due
    assert [str(month) for (month,) in conn.execute("SELECT month FROM marts.asked")] == ["2026-08-01"]
    assert not build_all(settings)
    decide(conn, "two")
    build_all(settings)  # the other schema gets it with its next build
    assert [str(month) for (month,) in conn.execute("SELECT month FROM marts.asked")] == ["2026-08-01"]
    decide(conn, "three")
    build_all(settings)
    assert conn.execute("SELECT month FROM marts.asked").fetchall() == []
    with pytest.raises(WarehouseError, match="not a month"):
        passes.plan_build(settings, month="2026-13")


def test_return_to_the_previous_publication_lasts_until_something_comes(
    conn: psycopg.Connection, settings: Settings
) -> None:
    with pytest.raises(WarehouseError, match="no previous publication"):
        passes.publish_previous(settings)
    decide(conn, "one")
    build_all(settings)
    decide(conn, "two")
    passes.build_and_publish(settings, lambda *_: None, "2026-08")
    passes.publish_previous(settings)
    assert (current(conn), held(conn)) == ("build_a", {"one"})
    assert not build_all(settings)
    assert not passes.unpublished(settings)
    decide(conn, "three")
    assert passes.unpublished(settings)
    assert build_all(settings)
    assert (current(conn), held(conn)) == ("build_b", {"one", "two", "three"})


def test_a_check_tests_what_is_published_and_changes_nothing(conn: psycopg.Connection, settings: Settings) -> None:
    assert passes.check_published(settings) is None
    decide(conn, "one")
    build_all(settings)
    assert passes.check_published(settings) == "build_a"
    conn.execute("UPDATE build_a.held SET name = 'forbidden by hand'")
    with pytest.raises(WarehouseError, match="nothing_forbidden"):
        passes.check_published(settings)
    statuses = conn.execute("SELECT status FROM ops.dbt_result WHERE resource_type = 'test' ORDER BY run_at").fetchall()
    assert statuses == [("pass",), ("pass",), ("fail",)]
    assert not build_all(settings)


def test_an_overtaken_build_publishes_nothing(conn: psycopg.Connection, settings: Settings) -> None:
    decide(conn, "one")
    first = passes.plan_build(settings)
    second = passes.plan_build(settings)
    assert first is not None
    assert second is not None
    for step in (passes.run_dbt, passes.publish):
        with pytest.raises(WarehouseError, match="taken build_a over"):
            step(settings, first)
    passes.run_dbt(settings, second)
    passes.publish(settings, second)
    assert held(conn) == {"one"}


def test_another_key_stops_every_command(conn: psycopg.Connection, settings: Settings) -> None:
    other = settings.model_copy(update={"key": settings.key.__class__("another-key-" + "1" * 32)})  # type: ignore[union-attr]
    for step in (passes.register, passes.pending, passes.plan_build, passes.publish_previous):
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
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/ca.pem",
    }


def test_a_build_of_many_rows_is_planned_without_nested_loops(
    conn: psycopg.Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plans, "LARGE_ROWS", 100)
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
    monkeypatch.setattr(plans, "LARGE_SHARE", 0.9)
    decide(conn, "e")
    rows("e", 150)
    assert planned() == "on"


def test_a_thread_keeps_its_connection_from_node_to_node(conn: psycopg.Connection, settings: Settings) -> None:
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

"""Publication on hand-made builds: columns, comments, grants, analysts' own views, return to the previous one."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ingest.database import connect
from ingest.errors import WarehouseError
from warehouse.access.divisions import EVERYONE
from warehouse.build import publish
from warehouse.build.publish import PublicationResult, Relation

A, B = Relation("marts", "alpha", EVERYONE), Relation("casework", "beta", EVERYONE)


def silent(conn: psycopg.Connection, result: PublicationResult) -> None:
    """Record nothing."""


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as conn:
        make_builds(conn)
        yield conn


def make_builds(conn: psycopg.Connection) -> None:
    for build in ("build_a", "build_b"):
        conn.execute(f"CREATE SCHEMA {build}")
        conn.execute(f"CREATE TABLE {build}.alpha AS SELECT 1 AS id, '{build}' AS build, 1.5::numeric(18, 2) AS amount")
        conn.execute(f"CREATE TABLE {build}.beta AS SELECT '{build}' AS build")
        conn.execute(f"COMMENT ON TABLE {build}.alpha IS 'Figures of {build}. 数字。'")
        conn.execute(f"COMMENT ON COLUMN {build}.alpha.amount IS '金额 (元)'")


def scalar(conn: psycopg.Connection, query: str) -> object:
    row = conn.execute(query).fetchone()
    assert row is not None
    return row[0]


def test_views_move_with_comments_and_counts(conn: psycopg.Connection) -> None:
    result = publish.move(conn, "build_a", [A, B], silent)
    assert result.row_counts == {"casework.beta": 1, "marts.alpha": 1}
    publish.move(conn, "build_b", [A, B], silent)
    assert scalar(conn, "SELECT build FROM marts.alpha") == "build_b"
    assert scalar(conn, "SELECT obj_description('marts.alpha'::regclass)") == "Figures of build_b. 数字。"
    assert scalar(conn, "SELECT col_description('marts.alpha'::regclass, 3)") == "金额 (元)"


def test_a_column_is_gained_at_the_end_wherever_the_table_has_it(conn: psycopg.Connection) -> None:
    publish.move(conn, "build_a", [A], silent)
    conn.execute("DROP TABLE build_b.alpha")
    conn.execute(
        "CREATE TABLE build_b.alpha AS SELECT 'new' AS label, 1.5::numeric(18, 2) AS amount, 1 AS id, 'b' AS build"
    )
    publish.move(conn, "build_b", [A], silent)
    cursor = conn.execute("SELECT * FROM marts.alpha")
    assert [column.name for column in cursor.description or ()] == ["id", "build", "amount", "label"]
    assert cursor.fetchone() == (1, "b", pytest.approx(1.5), "new")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("DROP COLUMN amount", "marts.alpha.amount is gone"),
        ("RENAME COLUMN amount TO sum", "marts.alpha.amount is gone"),
        (
            "ALTER COLUMN amount TYPE numeric(20, 2)",
            r"marts.alpha.amount changed from numeric\(18,2\) to numeric\(20,2\)",
        ),
        ('ALTER COLUMN build TYPE text COLLATE "POSIX"', "marts.alpha.build changed its collation"),
    ],
)
def test_a_missing_or_changed_column_publishes_nothing(conn: psycopg.Connection, change: str, words: str) -> None:
    publish.move(conn, "build_a", [A, B], silent)
    conn.execute(f"ALTER TABLE build_b.alpha {change}")
    with pytest.raises(WarehouseError, match=words):
        publish.move(conn, "build_b", [A, B], silent)
    assert scalar(conn, "SELECT build FROM casework.beta") == "build_a"


def test_a_missing_table_publishes_nothing(conn: psycopg.Connection) -> None:
    with pytest.raises(WarehouseError, match=r"build_a\.gamma does not exist"):
        publish.move(conn, "build_a", [A, Relation("marts", "gamma", EVERYONE)], silent)
    assert publish.published(conn) == []


def test_a_view_the_build_no_longer_has_is_reported_and_stays(conn: psycopg.Connection) -> None:
    publish.move(conn, "build_a", [A, B], silent)
    assert publish.move(conn, "build_b", [A], silent).abandoned == ("casework.beta",)
    assert scalar(conn, "SELECT build FROM casework.beta") == "build_a"


def test_analysts_own_views_survive(conn: psycopg.Connection) -> None:
    publish.move(conn, "build_a", [A, B], silent)
    conn.execute("SET ROLE analyst")
    conn.execute("CREATE VIEW workspace.mine AS SELECT build, amount FROM marts.alpha")
    conn.execute("RESET ROLE")
    publish.move(conn, "build_b", [A, B], silent)
    conn.execute("SET ROLE analyst")
    assert scalar(conn, "SELECT build FROM workspace.mine") == "build_b"


def test_a_failing_note_publishes_nothing(conn: psycopg.Connection) -> None:
    publish.move(conn, "build_a", [A, B], silent)

    def fail(conn: psycopg.Connection, result: PublicationResult) -> None:
        raise WarehouseError("overtaken")

    with pytest.raises(WarehouseError, match="overtaken"):
        publish.move(conn, "build_b", [A, B], fail)
    assert scalar(conn, "SELECT build FROM marts.alpha") == "build_a"


def test_return_to_an_older_build_with_fewer_columns_and_tables(conn: psycopg.Connection) -> None:
    publish.move(conn, "build_a", [A], silent)
    conn.execute("ALTER TABLE build_b.alpha ADD COLUMN label text DEFAULT 'new'")
    conn.execute("CREATE TABLE build_b.gamma AS SELECT 1 AS x")
    gamma = Relation("core", "gamma", EVERYONE)
    publish.move(conn, "build_b", [A, gamma], silent)
    publish.move(conn, "build_a", (), silent, backwards=True)
    assert conn.execute("SELECT build, label FROM marts.alpha").fetchall() == [("build_a", None)]
    assert conn.execute("SELECT x FROM core.gamma").fetchall() == []
    publish.move(conn, "build_b", [A, gamma], silent)
    assert conn.execute("SELECT build, label FROM marts.alpha").fetchall() == [("build_b", "new")]


def test_who_may_read_what(conn: psycopg.Connection) -> None:
    conn.execute("CREATE TABLE build_a.gamma AS SELECT 1 AS x")
    publish.move(conn, "build_a", [A, B, Relation("core", "gamma", EVERYONE)], silent)
    for role, query, allowed in (
        ("bi_reader", "SELECT * FROM marts.alpha", True),
        ("bi_reader", "SELECT * FROM core.gamma", False),
        ("bi_reader", "SELECT * FROM casework.beta", False),
        ("bi_reader", "SELECT * FROM build_a.alpha", False),
        ("analyst", "SELECT * FROM marts.alpha", True),
        ("analyst", "SELECT * FROM core.gamma", True),
        ("analyst", "SELECT * FROM casework.beta", False),
        ("analyst", "SELECT * FROM ops.arrival", False),
        ("analyst", "SELECT * FROM vault.person", False),
        ("analyst", "SELECT * FROM landing.membership_member", False),
        ("analyst", "SELECT vault.ask_for_person(gen_random_uuid(), 'curious', 'aid')", False),
        ("analyst", "SELECT vault.open_person(1)", False),
        ("analyst", "CREATE TABLE marts.own (x int)", False),
        ("caseworker", "SELECT * FROM casework.beta", True),
        ("caseworker", "SELECT * FROM marts.alpha", True),
        ("caseworker", "SELECT * FROM core.gamma", True),
        ("caseworker", "SELECT * FROM vault.person", False),
        ("caseworker", "SELECT * FROM vault.recent", False),
        ("caseworker", "SELECT * FROM vault.folded", False),
        ("caseworker", "SELECT * FROM vault.access", False),
        ("caseworker", "SELECT * FROM audit.entry", False),
        ("caseworker", "SELECT audit.append(NULL)", False),
        ("caseworker", "SELECT audit.open_for_share('{}', 'x', 'x', 'x')", False),
        ("caseworker", "SELECT vault.ask_for_person(gen_random_uuid(), 'case 7', 'aid')", True),
    ):
        conn.execute(f"SET ROLE {role}")
        try:
            conn.execute(query)
            outcome = True
        except psycopg.errors.InsufficientPrivilege:
            outcome = False
        conn.execute("RESET ROLE")
        assert outcome is allowed, (role, query)


def test_readers_have_time_limits(conn: psycopg.Connection) -> None:
    for role in ("bi_reader", "analyst", "caseworker"):
        limits = scalar(conn, f"SELECT setconfig::text FROM pg_db_role_setting WHERE setrole = '{role}'::regrole")
        assert "statement_timeout=60s" in str(limits)
        assert "idle_in_transaction_session_timeout=60s" in str(limits)


def test_a_reader_with_a_lock_is_named_in_the_error(conn: psycopg.Connection, database: str) -> None:
    publish.move(conn, "build_a", [A, B], silent)
    with psycopg.connect(database) as reader:
        reader.execute("SELECT * FROM marts.alpha")
        with pytest.raises(WarehouseError, match=f"pid {reader.info.backend_pid}"):
            publish.move(conn, "build_b", [A, B], silent, max_wait=0.5)
    assert scalar(conn, "SELECT build FROM casework.beta") == "build_a"


def test_relations_come_from_the_manifest(tmp_path: Path) -> None:
    def node(name: str, kind: str = "model", **config: object) -> dict[str, object]:
        settings = {"materialized": "table", **config}
        return {"resource_type": kind, "name": name, "alias": name, "config": settings, "columns": {"sender": {}}}

    manifest = tmp_path / "manifest.json"
    nodes = [
        node("z", meta={"publish": "marts"}),
        node("a", meta={"publish": "marts"}),
        node("c", meta={"publish": "core"}),
        node("hidden", meta={}),
        node("inline", materialized="ephemeral", meta={"publish": "core"}),
        node("check", kind="test", meta={"publish": "core"}),
    ]
    manifest.write_text(json.dumps({"nodes": {str(number): node for number, node in enumerate(nodes)}, "sources": {}}))
    assert [str(relation) for relation in publish.relations(manifest)] == ["core.c", "marts.a", "marts.z"]
    manifest.write_text(json.dumps({"nodes": {"x": node("x", meta={"publish": "ops"})}, "sources": {}}))
    with pytest.raises(WarehouseError, match=r"meta\.publish"):
        publish.relations(manifest)


def test_a_relation_that_does_not_say_whose_its_rows_are_is_not_published(
    conn: psycopg.Connection, tmp_path: Path
) -> None:
    manifest = tmp_path / "manifest.json"
    node = {"resource_type": "model", "name": "x", "alias": "x", "columns": {"id": {}}, "config": {}}
    node["config"] = {"materialized": "table", "meta": {"publish": "marts"}}
    manifest.write_text(json.dumps({"nodes": {"x": node}, "sources": {}}))
    with pytest.raises(WarehouseError, match=r"x has none of the columns admdvs, .* meta\.division"):
        publish.relations(manifest)
    with pytest.raises(WarehouseError, match=r"nothing says whose the rows are of marts\.alpha"):
        publish.move(conn, "build_a", [Relation("marts", "alpha"), B], silent)
    assert publish.published(conn) == []

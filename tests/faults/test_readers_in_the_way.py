"""No reader keeps a publication, a build or a load away, whatever limits he lifts and whatever locks he takes."""

import logging
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest import locks
from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.ledger import ledger
from ingest.settings import Settings
from warehouse.access import roles
from warehouse.access.divisions import EVERYONE
from warehouse.build import blocking, planning, publish
from warehouse.build.publish import Relation
from warehouse.local import server

RELATIONS = [
    Relation("core", "zulu", EVERYONE),
    Relation("marts", "alpha", EVERYONE),
    *(Relation("marts", f"more_{n}", EVERYONE) for n in range(8)),
]
#: Seconds that a publication waits in these tests, and what it may take besides on a busy machine.
PATIENCE, SLACK = 1.0, 20.0
READERS = ("bi_reader", "analyst", "caseworker", "her_login")


@pytest.fixture
def conn(database_dsn: str) -> Iterator[psycopg.Connection]:
    with connect(database_dsn) as conn:
        roles.ensure(conn)
        for build in ("build_a", "build_b"):
            conn.execute(f"CREATE SCHEMA {build}")
            for relation in RELATIONS:
                conn.execute(f"CREATE TABLE {build}.{relation.name} AS SELECT '{build}' AS build")
        # A login as an administrator gives it to a person: the owner of the warehouse is no member of it.
        conn.execute("CREATE ROLE her_login LOGIN PASSWORD 'made-up' IN ROLE analyst")
        publish.move(conn, "build_a", RELATIONS, lambda *_: None)
        yield conn
        conn.execute("DROP ROLE her_login")


def reader(server_settings: Settings, database: str, role: str) -> psycopg.Connection:
    """A session of a reader who has lifted all his limits."""
    name = str(conninfo_to_dict(database)["dbname"])
    if role == "her_login":
        dsn = make_conninfo(database, user=role, password="made-up")
    else:
        dsn = server.database_dsn(server_settings, name, role=role)
    conn = psycopg.connect(dsn, application_name=f"notebook of {role}")
    conn.autocommit = True
    for limit in ("idle_in_transaction_session_timeout", "statement_timeout", "transaction_timeout"):
        conn.execute(sql.SQL("SET {} = 0").format(sql.Identifier(limit)))
    conn.autocommit = False
    return conn


def publish_within_patience(conn: psycopg.Connection, build: str) -> None:
    start = time.monotonic()
    publish.move(conn, build, RELATIONS, lambda *_: None, max_wait=PATIENCE)
    assert time.monotonic() - start < PATIENCE + SLACK
    assert conn.execute("SELECT build FROM marts.alpha").fetchone() == (build,)


def ended(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    return conn.execute("SELECT login, pid, application, build FROM ops.ended_session ORDER BY login").fetchall()


@pytest.mark.parametrize("role", READERS)
def test_an_idle_transaction_on_a_view_is_ended(
    conn: psycopg.Connection, database: str, server_settings: Settings, role: str, caplog: pytest.LogCaptureFixture
) -> None:
    with closing(reader(server_settings, database, role)) as holder, caplog.at_level(logging.WARNING):
        pid = holder.info.backend_pid
        holder.execute("SELECT * FROM marts.alpha")
        publish_within_patience(conn, "build_b")
        with pytest.raises(psycopg.OperationalError):
            holder.execute("SELECT 1")
    assert ended(conn) == [(role, pid, f"notebook of {role}", "build_b")]
    assert conn.execute("SELECT count(*) FROM ops.ended_session WHERE transaction_since < ended_at").fetchone() == (1,)
    guide = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
    (query,) = re.findall(r"```sql\n(SELECT [^`]* FROM ops\.ended_session [^`]*)```", guide)
    assert conn.execute(query).fetchone()[1:3] == (role, f"notebook of {role}")  # type: ignore[index]
    assert f"{role} (pid {pid}, application 'notebook of {role}', in a transaction since" in caplog.text


def test_an_old_snapshot_is_ended(conn: psycopg.Connection, database: str, server_settings: Settings) -> None:
    with closing(reader(server_settings, database, "her_login")) as holder:
        pid = holder.info.backend_pid
        holder.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        holder.execute("SELECT 1 FROM pg_class")
        publish_within_patience(conn, "build_b")
    assert ended(conn) == [("her_login", pid, "notebook of her_login", "build_b")]


def test_a_long_statement_gets_its_time_and_is_ended_then(
    conn: psycopg.Connection, database: str, server_settings: Settings
) -> None:
    def read(seconds: float) -> None:
        started = time.monotonic()
        with closing(reader(server_settings, database, "analyst")) as session:
            try:
                session.execute("SELECT pg_sleep(%s) FROM marts.alpha", [seconds])
                outcomes[seconds] = ("read", time.monotonic() - started)
            except psycopg.errors.AdminShutdown:
                outcomes[seconds] = ("ended", time.monotonic() - started)

    outcomes: dict[float, tuple[str, float]] = {}
    patience = 4.0
    threads = [threading.Thread(target=read, args=[seconds]) for seconds in (2.0, 600.0)]
    for thread in threads:
        thread.start()
    while conn.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'").fetchone() != (2,):
        time.sleep(0.02)
    publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=patience)
    for thread in threads:
        thread.join()
    assert outcomes[2.0][0] == "read"
    assert outcomes[600.0][0] == "ended"
    assert outcomes[600.0][1] >= patience
    assert [login for login, *_ in ended(conn)] == ["analyst"]


def test_several_readers_who_hold_different_views_are_all_ended(
    conn: psycopg.Connection, database: str, server_settings: Settings
) -> None:
    with ExitStack() as stack:
        for role, view in (("her_login", "core.zulu"), ("bi_reader", "marts.alpha"), ("analyst", "marts.more_7")):
            holder = stack.enter_context(closing(reader(server_settings, database, role)))
            holder.execute(f"SELECT * FROM {view}")
        # Who has no transaction open is left alone.
        idle = stack.enter_context(closing(reader(server_settings, database, "caseworker")))
        publish_within_patience(conn, "build_b")
        assert idle.execute("SELECT build FROM core.zulu").fetchone() == ("build_b",)
    assert [login for login, *_ in ended(conn)] == ["analyst", "bi_reader", "her_login"]


def test_readers_who_come_back_at_once_do_not_keep_a_publication_away(
    conn: psycopg.Connection, database: str, server_settings: Settings
) -> None:
    """Two sessions that open a new transaction on all views whenever one was ended."""
    stop = threading.Event()

    def occupy(order: list[Relation]) -> None:
        while not stop.is_set():
            with closing(reader(server_settings, database, "her_login")) as session:
                try:
                    for relation in order:
                        session.execute(f"SELECT * FROM {relation}")
                    started.release()
                    while not stop.wait(0.02):
                        session.execute("SELECT 1")
                except psycopg.OperationalError:
                    pass

    started = threading.Semaphore(0)
    threads = [threading.Thread(target=occupy, args=[order]) for order in (RELATIONS, RELATIONS[::-1])]
    for thread in threads:
        thread.start()
    try:
        for _ in threads:
            started.acquire()
        publish_within_patience(conn, "build_b")
        publish_within_patience(conn, "build_a")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert len(ended(conn)) >= 2


def test_sessions_of_the_owner_are_never_ended(conn: psycopg.Connection, database: str) -> None:
    with psycopg.connect(database) as load:
        load.execute("SELECT * FROM marts.alpha")
        with pytest.raises(
            WarehouseError, match=rf"not of readers.*\(pid {load.info.backend_pid}\): idle in transaction"
        ):
            publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=PATIENCE)
        blocking.end(conn, "build_b", [load.info.backend_pid])
        assert load.execute("SELECT build FROM marts.alpha").fetchone() == ("build_a",)
    assert ended(conn) == []


@pytest.fixture
def without_right_to_end_sessions(server_settings: Settings) -> Iterator[None]:
    layout = server._layout(server_settings)
    with server._as_superuser(layout, "postgres") as admin:
        admin.execute("REVOKE pg_signal_backend FROM warehouse")
        yield
        admin.execute("GRANT pg_signal_backend TO warehouse WITH ADMIN OPTION")


@pytest.mark.usefixtures("without_right_to_end_sessions")
@pytest.mark.parametrize("level", [psycopg.IsolationLevel.READ_COMMITTED, psycopg.IsolationLevel.REPEATABLE_READ])
def test_an_owner_who_may_not_end_sessions_is_told_what_to_do(
    conn: psycopg.Connection, database: str, server_settings: Settings, level: psycopg.IsolationLevel
) -> None:
    start = time.monotonic()
    with closing(reader(server_settings, database, "her_login")) as holder:
        holder.isolation_level = level
        holder.execute("SELECT * FROM marts.alpha")
        with pytest.raises(WarehouseError, match='GRANT pg_signal_backend TO "warehouse";'):
            publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=PATIENCE)
        assert holder.execute("SELECT build FROM marts.alpha").fetchone() == ("build_a",)
    assert time.monotonic() - start < PATIENCE + SLACK
    publish_within_patience(conn, "build_b")


def test_a_reader_cannot_take_the_locks_of_builds_and_loads(
    conn: psycopg.Connection, database: str, server_settings: Settings
) -> None:
    attempts = (
        "LOCK TABLE ops.build_lock IN ACCESS SHARE MODE",
        "SELECT * FROM ops.build_lock",
        "SELECT * FROM ops.lock FOR UPDATE",
        "INSERT INTO ops.lock (key) VALUES ('migration')",
    )
    for role in READERS:
        with closing(reader(server_settings, database, role)) as session:
            for attempt in attempts:
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(attempt)
                session.rollback()


def test_advisory_locks_of_a_reader_keep_nothing_away(
    conn: psycopg.Connection, database: str, server_settings: Settings
) -> None:
    """Whichever number he guesses: no code of the warehouse waits for one."""
    with closing(reader(server_settings, database, "bi_reader")) as session:
        session.execute("SELECT pg_advisory_lock(n) FROM generate_series(7301001, 7301003) AS n")
        session.execute(
            "SELECT pg_advisory_lock(hashtextextended(k, 0)) FROM unnest(%s::text[]) AS k", [["delivery a", "a"]]
        )
        done = threading.Event()

        def work() -> None:
            with planning.exclusive(database), ledger.name_locked(conn, "a") as locked:
                assert locked
            with locks.migrating(conn):
                pass
            done.set()

        threading.Thread(target=work, daemon=True).start()
        assert done.wait(SLACK)


def test_no_code_uses_advisory_locks() -> None:
    root = Path(__file__).parents[2]
    files = [path for room in ("ingest", "warehouse", "dags", "dbt_project") for path in (root / room).rglob("*")]
    code = [path for path in files if path.suffix in (".py", ".sql")]
    assert len(code) > 200
    assert [path for path in code if re.search("pg_(try_)?advisory", path.read_text(encoding="utf-8"))] == []


def test_a_lock_over_several_transactions_excludes_others(conn: psycopg.Connection, database: str) -> None:
    with connect(database) as second:
        with locks.held(conn, "delivery a"):
            with conn.transaction():
                conn.execute("SELECT 1")
            with locks.held(second, "delivery a", wait=False) as locked:
                assert not locked
            with locks.held(second, "delivery b", wait=False) as locked:
                assert locked
        with locks.held(second, "delivery a", wait=False) as locked:
            assert locked


def test_a_build_does_not_hold_vacuum_back(conn: psycopg.Connection, database: str) -> None:
    """The session with the build's lock neither counts as writing nor keeps a snapshot."""
    with planning.exclusive(database):
        assert conn.execute(
            "SELECT backend_xid, backend_xmin FROM pg_stat_activity"
            " WHERE application_name = 'warehouse build lock' AND datname = current_database()"
        ).fetchall() == [(None, None)]


def test_readers_cannot_take_the_last_connections(
    conn: psycopg.Connection, database: str, server_settings: Settings
) -> None:
    refusals = []
    with ExitStack() as stack:
        for role in [*["bi_reader"] * (server.READER_CONNECTIONS + 1), *["her_login"] * 120]:
            try:
                stack.enter_context(closing(reader(server_settings, database, role)))
            except psycopg.OperationalError as error:
                refusals.append(str(error))
        assert 'too many connections for role "bi_reader"' in refusals[0]
        assert "remaining connection slots are reserved" in refusals[-1]
        with connect(database) as loader:
            assert loader.execute("SELECT 1").fetchone() == (1,)

"""Logins of people: made, changed, removed; on a server whose administrator is no superuser, too."""

import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest import contracts
from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.settings import Settings
from tests.integration.warehouse.access.conftest import Logins
from tests.integration.warehouse.cli.conftest import Runner
from warehouse.access import roles, users
from warehouse.local import server
from warehouse.schema import migrate

ROOT = Path(__file__).parents[4]


@pytest.fixture
def conn(database_dsn: str) -> Iterator[psycopg.Connection]:
    with connect(database_dsn) as conn:
        roles.ensure(conn)
        yield conn


@pytest.fixture
def logins(database_dsn: str) -> Iterator[Logins]:
    made = Logins(database_dsn)
    yield made
    made.drop()


@pytest.fixture
def command(
    conn: psycopg.Connection,
    settings: Settings,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Runner:
    return Runner(settings, capsys, monkeypatch)


def as_superuser(settings: Settings, dbname: str = "postgres") -> psycopg.Connection:
    return server._as_superuser(server._layout(settings), dbname)


def changes(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    return conn.execute(
        "SELECT login, change, roles, divisions, by FROM ops.login_change ORDER BY change_id"
    ).fetchall()


def test_a_login_carries_the_limits_of_readers_and_a_hash_of_4096_rounds(
    conn: psycopg.Connection, logins: Logins, server_settings: Settings
) -> None:
    logins.add("li_hua", ["analyst", "caseworker"], ["44"])
    with as_superuser(server_settings) as admin:
        verifier, settings = admin.execute(
            "SELECT a.rolpassword, s.setconfig FROM pg_authid AS a LEFT JOIN pg_db_role_setting AS s ON s.setrole = a.oid"
            " WHERE a.rolname = 'li_hua'"
        ).fetchone() or ("", [])
    assert verifier.startswith("SCRAM-SHA-256$4096:")
    assert logins.passwords["li_hua"] not in verifier
    assert settings == [
        "statement_timeout=60s",
        "idle_in_transaction_session_timeout=60s",
        "search_path=casework, marts, core, workspace",
    ]
    with logins("li_hua") as reader:
        assert reader.execute("SHOW statement_timeout").fetchone() == ("1min",)


def test_other_divisions_hold_from_the_next_query_on(conn: psycopg.Connection, logins: Logins) -> None:
    conn.execute("CREATE TABLE workspace.place (code text)")
    conn.execute("INSERT INTO workspace.place VALUES ('440103'), ('350203')")
    conn.execute(
        "CREATE VIEW marts.place AS SELECT code FROM workspace.place WHERE code ^@ ANY"
        " ((SELECT divisions FROM ops.login_division WHERE login = session_user)::text[])"
    )
    conn.execute("GRANT SELECT ON marts.place TO bi_reader")
    logins.add("wang_wei", ["bi"], ["44"])
    with logins("wang_wei") as reader:
        assert reader.execute("SELECT code FROM marts.place").fetchall() == [("440103",)]
        users.change_divisions(conn, "wang_wei", ["35"], "tester")
        assert reader.execute("SELECT code FROM marts.place").fetchall() == [("350203",)]
    assert changes(conn) == [
        ("wang_wei", "added", ["bi"], ["44"], "tester"),
        ("wang_wei", "changed", ["bi"], ["35"], "tester"),
    ]


def test_a_removed_login_loses_everything_at_once_and_may_be_given_back(
    conn: psycopg.Connection, logins: Logins
) -> None:
    logins.add("chen_jie", ["analyst"], ["44"])
    old, first = logins("chen_jie"), logins.passwords["chen_jie"]
    old.execute("CREATE TABLE workspace.of_chen AS SELECT 1 AS x")
    assert users.remove(conn, "chen_jie", "tester") == 1
    with pytest.raises(psycopg.OperationalError):
        old.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError):
        logins("chen_jie")
    assert conn.execute("SELECT FROM ops.login_division WHERE login = 'chen_jie'").fetchone() is None
    assert conn.execute("SELECT pg_has_role('chen_jie', 'analyst', 'MEMBER')").fetchone() == (False,)
    assert conn.execute("SELECT x FROM workspace.of_chen").fetchall() == [(1,)]
    with pytest.raises(WarehouseError, match="no login chen_jie"):
        users.remove(conn, "chen_jie", "tester")

    logins.add("chen_jie", ["bi"], ["35"])
    assert logins.passwords["chen_jie"] != first
    with logins("chen_jie") as reader:
        assert reader.execute("SELECT pg_has_role('analyst', 'MEMBER')").fetchone() == (False,)
    assert [change for _, change, *_ in changes(conn)] == ["added", "removed", "added"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("user add Li --role analyst --divisions 44", "'Li' cannot be the name of a login"),
        ("user add pg_li --role analyst --divisions 44", "'pg_li' cannot be the name of a login"),
        ("user add li --role owner --divisions 44", "'owner' is no role of people"),
        ("user add li --role analyst --divisions 99", "'99' is no division"),
        ("user add analyst --role bi --divisions 44", "There is a role analyst already"),
        ("user remove analyst", "There is no login analyst that was made here"),
        ("user remove nobody", "There is no login nobody that was made here"),
        ("user divisions nobody 44", "There is no login nobody"),
    ],
)
def test_what_cannot_be_done_is_said(command: Runner, conn: psycopg.Connection, arguments: str, words: str) -> None:
    code, _, error = command(*arguments.split())
    assert code == 1
    assert words in error
    assert changes(conn) == []


def test_a_password_goes_to_the_terminal_or_to_a_private_file_and_nowhere_else(
    command: Runner, logins: Logins, server_settings: Settings, tmp_path: Path
) -> None:
    code, out, error = command("user", "add", "zhao_min", "--role", "bi", "--divisions", "44")
    assert (code, error) == (0, "")
    (shown,) = [line.removeprefix("password: ") for line in out.splitlines() if line.startswith("password: ")]
    logins.passwords["zhao_min"] = shown
    logins("zhao_min").close()

    path = tmp_path / "password"
    made = ("user", "add", "qian_yi", "--role", "bi", "--divisions", "44", "--password-file", str(path))
    code, out, _ = command(*made)
    assert code == 0
    logins.passwords["qian_yi"] = path.read_text().strip()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert logins.passwords["qian_yi"] not in out
    logins("qian_yi").close()
    code, _, error = command("user", "add", "sun_er", "--role", "bi", "--divisions", "44", "--password-file", str(path))
    assert code == 1
    assert "exists already" in error
    refused = command("user", "add", "qian_yi", "--role", "bi", "--divisions", "44", "--password-file", f"{path}2")
    assert refused[0] == 1
    assert not Path(f"{path}2").exists()

    log = (server_settings.root / "postgres" / "run" / "postgres.log").read_text(errors="replace")
    assert not any(password in log for password in logins.passwords.values())


def test_the_commands_of_the_guide(command: Runner, logins: Logins, conn: psycopg.Connection) -> None:
    """As the page on security shows them, one after another."""
    guide = (ROOT / "docs/security.md").read_text("utf-8")
    lines = [line for line in guide.splitlines() if line.startswith(".venv/bin/warehouse user ")]
    assert len(lines) >= 4
    for line in lines:
        code, out, error = command(*shlex.split(line)[1:])
        assert (code, error) == (0, ""), line
        if " add " in line:
            logins.passwords[shlex.split(line)[3]] = out.partition("password: ")[2].split("\n")[0]
    assert {change for _, change, *_ in changes(conn)} == {"added", "changed", "removed"}


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Settings]]:
    """DSN of a database whose owner may create roles and nothing more, on a server of its own without our roles."""
    settings = Settings(home=tmp_path_factory.mktemp("foreign"), dsn=None)
    server.ensure_running(settings)
    with as_superuser(settings) as admin:
        admin.execute("DROP ROLE bi_reader, analyst, caseworker")
        admin.execute("CREATE ROLE dba LOGIN CREATEROLE PASSWORD 'of-a-test'")
        admin.execute("CREATE DATABASE union_data OWNER dba")
    known = conninfo_to_dict(server.database_dsn(settings, "union_data"))
    yield make_conninfo(**{**known, "user": "dba", "password": "of-a-test"}), settings
    server.stop(settings)


def test_an_owner_who_only_may_create_roles_makes_and_removes_logins(foreign: tuple[str, Settings]) -> None:
    dsn, _ = foreign
    with connect(dsn) as conn:
        migrate(conn, contracts.load())
        roles.ensure(conn)
        assert conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
        logins = Logins(dsn)
        for role in roles.GROUPS:
            logins.add(f"of_{role}", [role], ["44"])
        with logins("of_steward") as reader:
            assert reader.execute("SELECT count(*) FROM ops.delivery").fetchone() == (0,)
        with logins("of_analyst") as reader:
            reader.execute("CREATE TABLE workspace.own AS SELECT 1 AS x")
            assert users.remove(conn, "of_analyst", "tester") == 1
        assert {one.login for one in users.listed(conn)} >= {"dba", "bi_reader", "of_bi"}


def test_an_owner_who_may_not_give_roles_says_what_the_administrator_should_run(
    foreign: tuple[str, Settings],
) -> None:
    """GIVEN groups that somebody else made WHEN a login is made THEN nothing of it is left, and the message mends it."""
    dsn, settings = foreign
    with connect(dsn) as first:
        migrate(first, contracts.load())
        roles.ensure(first)
    with as_superuser(settings) as admin:
        admin.execute("CREATE ROLE other LOGIN CREATEROLE PASSWORD 'of-a-test'")
        admin.execute("CREATE DATABASE second OWNER other")
    second = make_conninfo(**{**conninfo_to_dict(dsn), "user": "other", "dbname": "second"})
    with connect(second) as conn:
        with pytest.raises(WarehouseError, match='GRANT vault_log TO "other"'):
            migrate(conn, contracts.load())
        with as_superuser(settings) as admin:
            admin.execute('GRANT vault_log TO "other"')
        migrate(conn, contracts.load())
        roles.ensure(conn)
        with pytest.raises(WarehouseError, match='GRANT bi TO "other" WITH ADMIN OPTION') as failed:
            users.add(conn, "zhou_li", ["bi"], ["44"], "tester")
        assert conn.execute("SELECT FROM pg_roles WHERE rolname = 'zhou_li'").fetchone() is None
        assert conn.execute("SELECT FROM ops.login_division WHERE login = 'zhou_li'").fetchone() is None
        with as_superuser(settings) as admin:
            for statement in str(failed.value).split("\n")[1:]:
                admin.execute(statement)
        users.add(conn, "zhou_li", ["bi"], ["44"], "tester")

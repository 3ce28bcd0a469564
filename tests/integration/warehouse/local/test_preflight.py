"""A configuration that cannot work is refused in one line before a command does anything; all others work."""

import os
import pwd
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.settings import Settings
from tests.conftest import drop_database
from tests.serving import temporary_home
from warehouse import cli, operations
from warehouse.local import preflight, server, services

Refused = Callable[[Path, str | None, str], None]

#: Debian keeps it where only root looks.
PGBOUNCER = shutil.which("pgbouncer", path=os.pathsep.join([os.defpath, "/usr/sbin"]))


def warehouse(home: Path, *arguments: str, dsn: str | None = None) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAREHOUSE_")}
    environment |= {"WAREHOUSE_HOME": str(home), **({"WAREHOUSE_DSN": dsn} if dsn else {})}
    command = [Path(sys.executable).with_name("warehouse"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=400)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Asserts that every command fails with one line that contains ``words``."""

    def run(home: Path, dsn: str | None, words: str) -> None:
        monkeypatch.setenv("WAREHOUSE_HOME", str(home))
        if dsn is not None:
            monkeypatch.setenv("WAREHOUSE_DSN", dsn)
        for arguments in (["run"], ["load"], ["status"], ["rebuild", "--month", "2026-08"], ["check"]):
            monkeypatch.setattr(sys, "argv", ["warehouse", *arguments])
            with pytest.raises(SystemExit) as exit_:
                cli.main()
            output = capsys.readouterr()
            assert exit_.value.code == 1, arguments
            assert output.err.startswith("error: "), arguments
            assert output.err.count("\n") == 1, (arguments, output.err)
            assert words in output.err, arguments
        assert "no  " in output.out  # of `check`

    return run


def is_empty(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        return conn.execute("SELECT to_regnamespace('ops') IS NULL").fetchone() == (True,)


# --- the home --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("character", ["$HOME", "{", "}", "%", "\n", "\x7f"])
def test_characters_that_airflow_interprets_are_refused(refused: Refused, tmp_path: Path, character: str) -> None:
    home = tmp_path / f"a{character}b"
    refused(home, None, "WAREHOUSE_HOME is")
    assert not home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a server as another user")
def test_the_server_of_another_user_is_refused(refused: Refused) -> None:
    """Root does not use the server of another user, nor another user that of root."""
    other_user = pwd.getpwnam("nobody")
    with temporary_home() as home:
        settings = Settings(home=home)
        server.ensure_running(settings)
        for folder in (home, home / "postgres"):
            folder.chmod(0o755)
        os.seteuid(other_user.pw_uid)
        try:
            with pytest.raises(WarehouseError, match="is root's: run this as root"):
                preflight.require_home(settings)
            with pytest.raises(WarehouseError, match="cannot be entered"):
                preflight.require_home(Settings(home=Path("/root")))
        finally:
            os.seteuid(0)
        assert server.is_running(settings)
        server.stop(settings)
        data = home / "postgres/data"
        uid, gid = data.stat().st_uid, data.stat().st_gid
        os.chown(data, other_user.pw_uid, other_user.pw_gid)
        try:
            refused(home, None, "is nobody's: run this as nobody")
            assert "run this as nobody" in warehouse(home, "down").stderr
        finally:
            os.chown(data, uid, gid)


# --- the database ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_CN"])
def test_a_database_without_unicode_is_refused(
    refused: Refused, server_settings: Settings, tmp_path: Path, encoding: str
) -> None:
    name = f"narrow_{encoding.lower()}"
    dsn = server.database_dsn(server_settings, name)
    statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE_PROVIDER libc LOCALE 'C'").format(
        sql.Identifier(name), sql.Literal(encoding)
    )
    with psycopg.connect(server.database_dsn(server_settings, "warehouse"), autocommit=True) as conn:
        drop_database(conn, name)
        conn.execute(statement)
        try:
            refused(tmp_path, dsn, f"keeps text as {encoding}")
            assert is_empty(dsn)
        finally:
            drop_database(conn, name)


@pytest.mark.parametrize("setting", ["quote_all_identifiers", "default_transaction_read_only"])
def test_a_harmful_setting_is_refused_with_the_statement_that_corrects_it(
    refused: Refused, bare_database: str, tmp_path: Path, setting: str
) -> None:
    name = psycopg.conninfo.conninfo_to_dict(bare_database)["dbname"]
    with psycopg.connect(bare_database, autocommit=True) as conn:
        conn.execute(sql.SQL("ALTER DATABASE {} SET {} = on").format(sql.Identifier(name), sql.SQL(setting)))
    refused(tmp_path, bare_database, f"The setting {setting} is on")
    assert is_empty(bare_database)
    message = warehouse(tmp_path, "serve", "--once", dsn=bare_database).stderr
    statement = message[message.index("ALTER ROLE") :].strip().rstrip(".")
    with connect(bare_database, options="-c default_transaction_read_only=off") as conn:
        conn.execute(sql.SQL(statement))
    preflight.require(Settings(home=tmp_path, dsn=SecretStr(bare_database)))
    with operations.open_warehouse(Settings(home=tmp_path, dsn=SecretStr(bare_database))):
        assert not is_empty(bare_database)


def test_the_database_of_airflow_is_accepted(server_settings: Settings) -> None:
    with psycopg.connect(server.database_dsn(server_settings, "airflow")) as conn:
        services.ensure_database(conn)


@contextmanager
def bouncer(dsn: str, folder: Path, *lines: str) -> Iterator[str]:
    """Starts PgBouncer in front of a database; yields its DSN."""
    info = psycopg.conninfo.conninfo_to_dict(dsn)
    port = server._free_port()
    (folder / "users").write_text(f'"{info["user"]}" "{info["password"]}"\n')
    conf = [
        "[databases]",
        f"* = host={info['host']} port={info['port']}",
        "[pgbouncer]",
        *(f"listen_addr = {server.HOST}", f"listen_port = {port}", "unix_socket_dir ="),
        *("auth_type = plain", f"auth_file = {folder / 'users'}", f"logfile = {folder / 'log'}", *lines),
    ]
    (folder / "conf").write_text("\n".join(conf) + "\n")
    assert PGBOUNCER is not None
    user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
    if user is not None:
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
    command = [PGBOUNCER, "--quiet", *(["--user", user.pw_name] if user else []), folder / "conf"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(100):
                if not server.port_is_free(port):
                    break
                time.sleep(0.1)
            yield psycopg.conninfo.make_conninfo(dsn, port=port)
        finally:
            process.terminate()


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """A folder that another user can enter, unlike those of pytest."""
    with TemporaryDirectory(prefix="warehouse-test-") as folder:
        yield Path(folder)


needs_bouncer = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer (Debian's package pgbouncer) is not installed")


@needs_bouncer
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["pool_mode = transaction", "ignore_startup_parameters = options"], "for a transaction only"),
        (["pool_mode = transaction", "server_round_robin = 1", "min_pool_size = 3"], "for a transaction only"),
        (["pool_mode = statement"], "has no transactions"),
        (["pool_mode = session"], "drops the settings"),
        (["pool_mode = session", "ignore_startup_parameters = options"], "drops the settings"),
    ],
)
def test_a_pooler_is_refused(
    bare_database: str, tmp_path: Path, public_folder: Path, lines: list[str], words: str
) -> None:
    with bouncer(bare_database, public_folder, *lines) as dsn:
        settings = Settings(home=tmp_path, dsn=SecretStr(dsn))
        for _ in range(3):
            with pytest.raises(WarehouseError, match=words):
                preflight.require(settings)
        result = warehouse(tmp_path, "run", dsn=dsn)
        assert (result.returncode, result.stderr.count("\n")) == (1, 1), result.stderr
        assert words in result.stderr
    assert is_empty(bare_database)

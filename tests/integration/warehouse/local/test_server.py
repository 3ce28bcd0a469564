"""The embedded PostgreSQL."""

import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse.local import server


@pytest.fixture
def own() -> Iterator[Settings]:
    """A server of the test's own, below a path too long for a Unix socket."""
    with TemporaryDirectory(prefix="warehouse-test-") as folder:
        settings = Settings(home=Path(folder) / ("long-" * 20) / "home", dsn=None)
        yield settings
        server.stop(settings)


def postmaster(settings: Settings) -> int:
    return int((settings.root / "postgres/data/postmaster.pid").read_text().splitlines()[0])


def test_starts_once_stops_and_keeps_its_port(own: Settings) -> None:
    with ThreadPoolExecutor(3) as pool:  # several commands at the same time
        dsns = set(pool.map(lambda _: server.ensure_running(own), range(3)))
    assert len(dsns) == 1
    dsn = dsns.pop()
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE kept (x int)")
    first = postmaster(own)
    server.ensure_running(own)
    assert postmaster(own) == first
    assert server.is_running(own)
    assert server.stop(own)
    assert not server.stop(own)
    assert not server.is_running(own)
    assert server.ensure_running(own) == dsn
    with psycopg.connect(dsn) as conn:
        conn.execute("SELECT x FROM kept")


def test_killed_server_starts_again(own: Settings) -> None:
    dsn = server.ensure_running(own)
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE kept (x int)")
    os.kill(postmaster(own), signal.SIGKILL)
    while server.is_running(own):  # a kill takes its time
        time.sleep(0.01)
    assert server.ensure_running(own) == dsn
    with psycopg.connect(dsn) as conn:
        conn.execute("SELECT x FROM kept")


def test_stale_pid_file_of_another_program(own: Settings) -> None:
    """GIVEN a pid file left by a kill WHEN its number belongs to another program by now THEN the server starts."""
    dsn = server.ensure_running(own)
    pid_file = own.root / "postgres/data/postmaster.pid"
    lines = pid_file.read_text().splitlines()
    server.stop(own)
    # A child of another user would be let pass by PostgreSQL itself; one of its own user would not.
    user = server._server_user()
    with psutil.Popen(["/bin/sleep", "60"], user=user.pw_uid if user else None) as other:
        pid_file.write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert not server.is_running(own)
        assert server.ensure_running(own) == dsn
        assert other.is_running()
        other.kill()


def test_taken_port_is_exchanged(own: Settings) -> None:
    server.ensure_running(own)
    port = psycopg.conninfo.conninfo_to_dict(server.database_dsn(own, "warehouse"))["port"]
    server.stop(own)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind((server.HOST, int(port)))
        squatter.listen()
        with psycopg.connect(server.ensure_running(own)) as conn:
            assert conn.info.port != int(port)


def test_no_way_in_without_password(server_settings: Settings) -> None:
    info = psycopg.conninfo.conninfo_to_dict(server.database_dsn(server_settings, "warehouse"))
    for host in (server.HOST, str(server.socket_dir(server_settings))):
        for user in ("postgres", "warehouse"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(host=host, port=info["port"], user=user, dbname="warehouse")
        with psycopg.connect(
            host=host, port=info["port"], user=info["user"], password=info["password"], dbname="warehouse"
        ):
            pass
    pgpass = server_settings.root / "postgres/pgpass"
    assert stat.S_IMODE(pgpass.stat().st_mode) == 0o600


def test_owner_is_no_superuser_and_airflow_is_apart(server_settings: Settings) -> None:
    with psycopg.connect(server.database_dsn(server_settings, "warehouse")) as conn:
        assert conn.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone() == (False,)
    with psycopg.connect(server.database_dsn(server_settings, "airflow")) as conn:
        conn.execute("CREATE TABLE public.probe (x int)")
        conn.rollback()
    with pytest.raises(psycopg.OperationalError, match="permission denied"):
        psycopg.connect(server.database_dsn(server_settings, "airflow", role="analyst"))


def test_rows_stay_out_of_the_log(server_settings: Settings, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute("CREATE TABLE t (number int)")
        with pytest.raises(psycopg.errors.InvalidTextRepresentation), conn.cursor().copy("COPY t FROM STDIN") as copy:
            copy.write("SECRET-IN-A-ROW\n")
        with pytest.raises(psycopg.errors.UndefinedColumn):
            conn.execute("SELECT 'SECRET-IN-A-STATEMENT', nothing FROM t")
    time.sleep(0.1)
    log = (server_settings.root / "postgres/run/postgres.log").read_text()
    assert "ERROR" in log
    assert "SECRET-IN-A-STATEMENT" not in log
    assert "COPY t, line 1" not in log


def test_own_database_starts_nothing(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, dsn=SecretStr("postgresql://me:word@db.example/warehouse?sslmode=require"))
    assert server.ensure_running(settings) == "postgresql://me:word@db.example/warehouse?sslmode=require"
    assert server.database_dsn(settings, "airflow") == "postgresql://me:word@db.example/airflow?sslmode=require"
    assert not server.stop(settings)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(WarehouseError):
        server.database_dsn(settings, "warehouse", role="analyst")

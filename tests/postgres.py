"""PostgreSQL servers of any version beside the embedded one: started from a folder of programs, gone after the test."""

import os
import pwd
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from warehouse.local import server

SUPERUSER, PASSWORD = "postgres", "of-a-test"
#: Folders of programs of further servers, divided as in PATH.
FURTHER = "WAREHOUSE_TEST_SERVERS"


@dataclass(frozen=True)
class Server:
    """A running server, whose superuser is ``SUPERUSER``."""

    port: int
    programs: Path

    def dsn(self, dbname: str = "postgres", user: str = SUPERUSER, password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"postgresql://{user}:{password}@{server.HOST}:{self.port}/{dbname}"


def installed() -> dict[int, Path]:
    """Version -> programs of the servers that this machine has: the embedded one, Debian's, and those of ``FURTHER``."""
    debian = {
        int(path.parent.name): path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "initdb").exists()
    }
    further = [Path(folder) for folder in os.environ.get(FURTHER, "").split(os.pathsep) if folder]
    return dict(sorted({18: server.bin_dir(), **debian, **{_version(path): path for path in further}}.items()))


def _version(programs: Path) -> int:
    """The major version of a server's programs."""
    said = subprocess.run([programs / "postgres", "--version"], check=True, capture_output=True, text=True).stdout
    return int(said.split()[2].partition(".")[0])


@contextmanager
def running(
    programs: Path, *settings: str, initdb: tuple[str, ...] = ("--locale=C", "--encoding=UTF8")
) -> Iterator[Server]:
    """Start a server with its default settings and these (``name=value``)."""
    user = pwd.getpwnam(server.OS_USER) if os.geteuid() == 0 else None
    with TemporaryDirectory(prefix="warehouse-test-") as folder:
        Path(folder).chmod(0o755)  # the server's user enters it
        (Path(folder) / "password").write_text(PASSWORD)
        if user is not None:
            for path in (folder, f"{folder}/password"):
                os.chown(path, user.pw_uid, user.pw_gid)
        port, data = server._free_port(), f"{folder}/data"

        def run(program: str, *arguments: str) -> None:
            subprocess.run(
                [programs / program, "--pgdata", data, *arguments],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=folder,
                env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
                user=user.pw_uid if user else None,
                group=user.pw_gid if user else None,
                extra_groups=[] if user else None,
            )

        run("initdb", f"--username={SUPERUSER}", f"--pwfile={folder}/password", "--auth=scram-sha-256", *initdb)
        options = [
            f"port={port}",
            f"listen_addresses={server.HOST}",
            f"unix_socket_directories={folder}",
            "fsync=off",
            *settings,
        ]
        with (Path(data) / "postgresql.conf").open("a") as conf:
            conf.writelines(f"{name} = '{value}'\n" for name, value in (option.split("=", 1) for option in options))
        run("pg_ctl", "start", "--wait", f"--log={folder}/log")
        try:
            yield Server(port, programs)
        finally:
            run("pg_ctl", "stop", "--mode=immediate")


def make_owner(on: Server, dbname: str = "warehouse") -> str:
    """A database with an owner as the engineers' guide asks for one: no superuser; returns its address."""
    with psycopg.connect(on.dsn(), autocommit=True) as conn:
        conn.execute("CREATE ROLE warehouse LOGIN CREATEROLE CREATEDB PASSWORD 'of-the-owner'")
        conn.execute(f"CREATE DATABASE {dbname} OWNER warehouse")
        conn.execute("GRANT pg_monitor, pg_signal_backend TO warehouse")
    return on.dsn(dbname, "warehouse", "of-the-owner")

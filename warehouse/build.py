"""Builds: bring the build schema that nobody reads up to date, with dbt, from what the ledger says.

Two schemas alternate. ``plan`` freezes the ledger for the one that is not published (``ops.build_delivery``, state
``input``); dbt compares it with what the schema held when it was last complete (state ``done``) and rebuilds what that
difference touches; ``complete`` makes ``input`` the new ``done``, in the transaction that publishes. A build that
breaks off in between leaves ``done`` as it was, and the next one finds at least the same difference.

A schema whose last state is of no use, because it has none or other code made it, begins as a copy of the published one
(``copies``); only where that is of other code too, everything is built anew.
"""

import hashlib
import json
import os
import secrets
import shutil
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

import psycopg
from psycopg import IsolationLevel, pq, sql

from ingest import contracts
from ingest.contracts.model import Contracts
from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import copies, publish, server

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"
CONTRACTS = Path(contracts.__file__).resolve().parent
BUILDS = ("build_a", "build_b")
#: What dbt keeps of a parse, for the next one with the same variables and environment.
PARSED = "partial_parse.msgpack"
#: dbt's unit tests look at the code, not at the data: `make test` runs them.
DBT_FLAGS = ("--exclude-resource-type", "unit_test")

#: Tests of keys that a table's unique index refuses to break; a full build and the weekly run ask them all the same.
GUARDED_BY_INDEX = ("test_name:unique", "test_name:unique_combination_of_columns")

#: A build of so many changed rows, and such a share of all, is planned without nested loops: PostgreSQL knows nothing
#: about the size of a step within a query and guesses a handful of rows; a nested loop over a hundred thousand of them
#: takes hours. Where little of much changes, nested loops over indexes are what spares reading the rest.
LARGE_ROWS = 20_000
LARGE_SHARE = 0.01
LARGE_OPTIONS = "-c enable_nestloop=off"

#: Advisory lock of the one build at a time.
_LOCK = 7_301_002
#: Another build's wait for the lock, in seconds.
_LOCK_SECONDS = 3 * 3600
_ENVIRONMENT = threading.Lock()
#: Setting that counts how often a month was asked for: a further time makes a build due.
_MONTHS_ASKED = "months_asked"

#: Told (node, finished, all) as dbt goes on.
OnNode = Callable[[str, int, int], None]
#: Told (unique id, dbt's status) of every node that is finished, tests too; called from dbt's threads.
OnResult = Callable[[str, str], None]


class BuildPlan(TypedDict):
    """What one build is to do; plain JSON, so that it may travel between tasks."""

    build: str
    token: str
    ledger_hash: str
    code_hash: str
    full_refresh: bool
    copy_of: str | None  # the build whose tables are taken over first
    large: bool  # much of what there is came or went since the schema was built (``LARGE_ROWS``)
    months: list[str]  # YYYY-MM-01, rebuilt whatever changed
    deliveries: list[str]
    vars: dict[str, Any]


# --- one build at a time ---------------------------------------------------------------------------------------------

_held: ContextVar[bool] = ContextVar("build_lock_held", default=False)


@contextmanager
def exclusive(dsn: str) -> Iterator[None]:
    """Hold the build lock, on a connection of its own; whoever comes second waits. May be nested.

    The lock ends with its holder, however that dies.
    """
    if _held.get():
        yield
        return
    with connect(dsn, application_name="warehouse build lock") as conn:
        conn.execute(f"SET lock_timeout = '{_LOCK_SECONDS}s'")
        try:
            conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
        except psycopg.errors.LockNotAvailable as error:
            raise WarehouseError("Another build has been running for hours; this one gave up waiting.") from error
        mark = _held.set(True)
        try:
            yield
        finally:
            _held.reset(mark)


def check(conn: psycopg.Connection, plan: BuildPlan) -> None:
    """Raise WarehouseError when another build has been planned since."""
    row = conn.execute("SELECT token FROM ops.build WHERE build = %s", [plan["build"]]).fetchone()
    if row != (plan["token"],):
        raise WarehouseError(f"Another build has taken {plan['build']} over; this one stops.")


# --- what is new -----------------------------------------------------------------------------------------------------


def code_hash() -> str:
    """Hash of everything that decides what dbt builds: its project, the contracts and code lists."""
    digest = hashlib.sha256()
    files = [
        *(path for ending in ("sql", "yml", "yaml", "csv") for path in PROJECT.rglob(f"*.{ending}")),
        *(path for ending in ("yaml", "csv") for path in CONTRACTS.rglob(f"*.{ending}")),
    ]
    made = {PROJECT / "target", PROJECT / "logs"}
    for path in sorted(path for path in files if made.isdisjoint(path.parents)):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ledger_hash(conn: psycopg.Connection, code: str) -> str:
    """Hash of what there is to publish: every decided delivery, the months asked for, the code.

    Equal hashes: nothing is new.
    """
    decided = conn.execute(
        "SELECT name, status, codes, content_hash FROM ops.delivery"
        " WHERE status IN ('accepted', 'refused', 'superseded', 'withdrawn') ORDER BY name COLLATE \"C\""
    ).fetchall()
    asked = conn.execute("SELECT value FROM ops.setting WHERE name = %s", [_MONTHS_ASKED]).fetchone()
    return hashlib.sha256(json.dumps([code, decided, asked]).encode()).hexdigest()


def is_new(conn: psycopg.Connection) -> bool:
    """Whether a build would find something to do."""
    published = conn.execute("SELECT ledger_hash FROM ops.publication WHERE is_current").fetchone()
    if published is None:
        return conn.execute("SELECT FROM ops.delivery WHERE decided_at IS NOT NULL LIMIT 1").fetchone() is not None
    return bool(published[0] != ledger_hash(conn, code_hash()))


def ask_month(conn: psycopg.Connection, month: date) -> None:
    """Have a month rebuilt whatever changed: by the next build, which is due now, and in the other schema later."""
    with conn.transaction():
        conn.execute(
            "INSERT INTO ops.setting AS s (name, value) VALUES (%s, '1')"
            " ON CONFLICT (name) DO UPDATE SET value = (s.value::integer + 1)::text",
            [_MONTHS_ASKED],
        )
        for build in BUILDS:
            conn.execute(
                "INSERT INTO ops.build AS b (build, months_asked) VALUES (%s, ARRAY[%s::date])"
                " ON CONFLICT (build) DO UPDATE SET months_asked = array_append(b.months_asked, %s::date)"
                " WHERE NOT %s::date = ANY(b.months_asked)",
                [build, month, month, month],
            )


def plan(dsn: str, known: Contracts) -> BuildPlan | None:
    """Freeze the ledger for the unpublished build; None when nothing is new."""
    with exclusive(dsn), connect(dsn) as conn:
        # One snapshot for the question and for what is frozen: a delivery accepted meanwhile belongs to the next build.
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            if not is_new(conn):
                return None
            row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
            build = BUILDS[1] if row == (BUILDS[0],) else BUILDS[0]
            return _freeze(conn, build, known)


def _freeze(conn: psycopg.Connection, build: str, known: Contracts) -> BuildPlan:
    code = code_hash()
    conn.execute("INSERT INTO ops.build (build) VALUES (%s) ON CONFLICT DO NOTHING", [build])
    outdated, months = conn.execute(  # type: ignore[misc]
        "SELECT code_hash IS DISTINCT FROM %s, months_asked FROM ops.build WHERE build = %s", [code, build]
    ).fetchone()
    copy_of = _to_copy(conn, code) if outdated else None
    full_refresh = outdated and copy_of is None
    token = secrets.token_hex(8)
    conn.execute(
        "UPDATE ops.build SET started_at = clock_timestamp(), completed_at = NULL, token = %s WHERE build = %s",
        [token, build],
    )
    conn.execute("DELETE FROM ops.build_delivery WHERE build = %s AND state = 'input'", [build])
    if outdated:
        # If it breaks off, the next one does not trust what it finds either.
        conn.execute("UPDATE ops.build SET code_hash = NULL, ledger_hash = NULL WHERE build = %s", [build])
        conn.execute("DELETE FROM ops.build_delivery WHERE build = %s", [build])
    if copy_of is not None:
        conn.execute(
            "INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)"
            " SELECT %s, state, delivery_id, name, source, sender, month, mode, created"
            " FROM ops.build_delivery WHERE build = %s AND state = 'done'",
            [build, copy_of],
        )
    # Only where a feed of the source is a register that must come whole is a snapshot read as one.
    registers = [name for name in known.sources if any(feed.required_in_snapshot for feed in known.of_source(name))]
    names = conn.execute(
        """
        INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)
        SELECT %s, 'input', delivery_id, name, source, sender, (period || '-01')::date,
            CASE WHEN source = ANY(%s) THEN mode ELSE 'delta' END, created
        FROM ops.delivery WHERE status = 'accepted'
        RETURNING name
        """,
        [build, registers],
    ).fetchall()
    return BuildPlan(
        build=build,
        token=token,
        ledger_hash=ledger_hash(conn, code),
        code_hash=code,
        full_refresh=full_refresh,
        copy_of=copy_of,
        large=_is_large(conn, build),
        months=[str(month) for month in months],
        deliveries=sorted(name for (name,) in names),
        vars={"build": build},
    )


def _to_copy(conn: psycopg.Connection, code: str) -> str | None:
    """The published build, if this code made it."""
    row = conn.execute(
        "SELECT build FROM ops.publication AS p INNER JOIN ops.build AS b USING (build)"
        " WHERE p.is_current AND b.code_hash = %s AND b.completed_at IS NOT NULL",
        [code],
    ).fetchone()
    return row[0] if row else None


def _is_large(conn: psycopg.Connection, build: str) -> bool:
    """Whether the deliveries in which a schema's input differs from what it holds are much of them all."""
    changed, rows = conn.execute(  # type: ignore[misc]
        """
        SELECT coalesce(sum(d.rows) FILTER (WHERE d.states = 1), 0)::bigint, coalesce(sum(d.rows), 0)::bigint
        FROM (
            SELECT b.states, f.rows_loaded AS rows
            FROM (
                SELECT delivery_id, count(*) AS states FROM ops.build_delivery WHERE build = %s GROUP BY delivery_id
            ) AS b
            INNER JOIN ops.file AS f ON f.arrival_id = b.delivery_id
        ) AS d
        """,
        [build],
    ).fetchone()
    return changed >= max(LARGE_ROWS, LARGE_SHARE * rows)


def complete(conn: psycopg.Connection, plan: BuildPlan) -> None:
    """Write down that the build holds its input. Belongs in the transaction that publishes it."""
    check(conn, plan)
    build = plan["build"]
    conn.execute("DELETE FROM ops.build_delivery WHERE build = %s AND state = 'done'", [build])
    conn.execute(
        "INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)"
        " SELECT build, 'done', delivery_id, name, source, sender, month, mode, created"
        " FROM ops.build_delivery WHERE build = %s AND state = 'input'",
        [build],
    )
    conn.execute(
        "UPDATE ops.build SET ledger_hash = %s, code_hash = %s, completed_at = clock_timestamp(),"
        # a month asked for since the plan is still to come
        " months_asked = ARRAY(SELECT unnest(months_asked) EXCEPT SELECT unnest(%s::date[]) ORDER BY 1)"
        " WHERE build = %s",
        [plan["ledger_hash"], plan["code_hash"], plan["months"], build],
    )


# --- dbt -------------------------------------------------------------------------------------------------------------


def environment(dsn: str, settings: Settings) -> dict[str, str]:
    """Environment variables with which dbt finds the warehouse (see ``dbt_project/profiles.yml``). Holds a password."""
    options = {option.keyword.decode(): option for option in pq.Conninfo.parse(dsn.encode())}
    given = {name: option.val.decode() for name, option in options.items() if option.val}
    result = {
        "WAREHOUSE_DBT_HOST": given.pop("host", "") or given.get("hostaddr", "localhost"),
        "WAREHOUSE_DBT_PORT": given.pop("port", "5432"),
        "WAREHOUSE_DBT_USER": given.pop("user", ""),
        "WAREHOUSE_DBT_PASSWORD": given.pop("password", ""),
        "WAREHOUSE_DBT_DBNAME": given.pop("dbname", ""),
        "WAREHOUSE_DBT_THREADS": str(settings.dbt_threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    # Whatever else the DSN says (sslmode, certificates, …) libpq takes from its own variables.
    for name, value in given.items():
        if variable := options[name].envvar:
            result[variable.decode()] = value
    return result


def dbt_environment(settings: Settings) -> dict[str, str]:
    """``environment`` of the warehouse of these settings, its server started where needed."""
    return environment(server.ensure_running(settings), settings)


def target(settings: Settings, build: str) -> Path:
    """Dbt's target folder for a build. One each: a changed variable makes dbt parse the whole project anew."""
    return settings.root / "dbt" / build


def manifest_path(settings: Settings) -> Path:
    """Where dbt's last manifest lies; it need not be there, nor of the code as it is now."""
    return settings.root / "dbt" / "manifest.json"


def manifest(settings: Settings) -> Path:
    """Dbt's manifest of the project as it is now; parsed where the last one is older than the code."""
    path = manifest_path(settings)
    mark = path.with_name("manifest.code")
    if not (path.exists() and mark.exists() and mark.read_text() == code_hash()):
        folder = target(settings, "parse")
        # Parsing connects to nothing, but what it has parsed serves the first build only with the same environment.
        there = settings.dsn is not None or server.is_running(settings)
        dsn = server.ensure_running(settings) if there else "host=localhost port=5432 user=nobody dbname=none"
        _invoke(["parse"], folder, environment(dsn, settings), variables={"build": BUILDS[0]})
        _keep_manifest(settings, folder)
    return path


def _keep_manifest(settings: Settings, folder: Path) -> None:
    path = manifest_path(settings)
    part = path.with_name(f"manifest.{os.getpid()}.part")
    part.write_bytes((folder / "manifest.json").read_bytes())
    part.replace(path)
    path.with_name("manifest.code").write_text(code_hash())


def run(
    dsn: str,
    settings: Settings,
    plan: BuildPlan,
    on_node: OnNode | None = None,
    on_result: OnResult | None = None,
) -> None:
    """Run ``dbt build`` for a plan, in this process, and store how every node fared.

    Raises:
        WarehouseError: A model or a test failed, or dbt could not start. Nothing is published then.
    """
    folder = target(settings, plan["build"])
    command = ["build", *DBT_FLAGS, "--threads", str(settings.dbt_threads)]
    if plan["full_refresh"]:
        command.append("--full-refresh")
    else:
        # The code is the one that built this schema: seeds, views and calendars stand as they were. A copy lacks views.
        static = [] if plan["copy_of"] is not None else ["tag:static"]
        command += ["--indirect-selection", "cautious", "--exclude", "tag:weekly", *GUARDED_BY_INDEX, *static]
    results = folder / "run_results.json"
    results.unlink(missing_ok=True)
    parsed = target(settings, "parse") / PARSED
    if plan["build"] == BUILDS[0] and parsed.exists() and not (folder / PARSED).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parsed, folder / PARSED)
    with exclusive(dsn):
        with connect(dsn) as conn:
            check(conn, plan)
            if plan["copy_of"] is not None:
                copies.copy(conn, plan["copy_of"], plan["build"])
        try:
            listeners = [
                *([_listener(on_node)] if on_node else []),
                *([_result_listener(on_result)] if on_result else []),
            ]
            variables = environment(dsn, settings)
            if plan["large"]:
                variables["PGOPTIONS"] = f"{variables.get('PGOPTIONS', '')} {LARGE_OPTIONS}".strip()
            _invoke(command, folder, variables, variables=plan["vars"], listeners=listeners)
        except WarehouseError as error:
            raise WarehouseError(f"Nothing is published. {error}") from error
        finally:
            if results.exists():
                with connect(dsn) as conn:
                    record(conn, plan["build"], plan["token"], results)
        _keep_manifest(settings, folder)
        with connect(dsn) as conn:
            _vacuum_marts(conn, plan["build"], folder / "manifest.json")


def _vacuum_marts(conn: psycopg.Connection, build: str, manifest: Path) -> None:
    """Note that everybody sees the marts' rows: dashboards add up many rows of few columns, out of an index alone then.

    After the build, for while other models are being built their transactions might not see them.
    """
    for relation in publish.relations(manifest):
        if relation.schema == "marts":
            conn.execute(sql.SQL("VACUUM {}").format(sql.Identifier(build, relation.name)))


def check_published(dsn: str, settings: Settings, on_node: OnNode | None = None) -> str | None:
    """Run all data tests over everything that is published, not only over what changed; changes nothing.

    Returns:
        The build that was tested, None when nothing is published.

    Raises:
        WarehouseError: A test failed (results stand in ``ops.dbt_result``).
    """
    # Holding the lock, so that no build begins in the schema under test.
    with exclusive(dsn), connect(dsn) as conn:
        row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
        if row is None:
            return None
        build, token = str(row[0]), secrets.token_hex(8)
        folder = target(settings, f"check_{build}")
        variables = {"build": build, "full_tests": True}
        listeners = [_listener(on_node)] if on_node else []
        results = folder / "run_results.json"
        results.unlink(missing_ok=True)
        try:
            command = ["test", *DBT_FLAGS, "--threads", str(settings.dbt_threads)]
            _invoke(command, folder, environment(dsn, settings), variables=variables, listeners=listeners)
        finally:
            if results.exists():
                record(conn, build, token, results)
        return build


def document(dsn: str, settings: Settings, build: str) -> Path:
    """Have dbt write its documentation of a build as one page, and return it."""
    folder = target(settings, build)
    _invoke(["docs", "generate", "--static"], folder, environment(dsn, settings), variables={"build": build})
    return folder / "static_index.html"


def _invoke(
    command: list[str],
    folder: Path,
    variables_of_environment: dict[str, str],
    *,
    variables: dict[str, Any],
    listeners: Sequence[Callable[[Any], None]] = (),
) -> None:
    """Call dbt in this process. Its log goes to a file below ``folder``."""
    # 2 s to import: only where dbt really runs
    from dbt.cli.main import dbtRunner

    from warehouse import connections

    connections.keep()
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        *command,
        *("--project-dir", str(PROJECT)),
        *("--profiles-dir", str(PROJECT)),
        *("--target-path", str(folder)),
        *("--log-path", str(folder / "logs")),
        *("--vars", json.dumps(variables)),
        *("--log-level", "none"),
        *("--log-level-file", "info"),
    ]
    runner = dbtRunner(callbacks=list(listeners))
    with _ENVIRONMENT, warnings.catch_warnings():
        # types are declared for the columns of all code lists; not every list has each of them
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="agate")
        before = {name: os.environ.get(name) for name in variables_of_environment}
        os.environ.update(variables_of_environment)
        try:
            result = runner.invoke(arguments)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
    if result.success:
        return
    if result.exception is not None:
        raise WarehouseError(f"dbt could not do its work: {result.exception}") from result.exception
    failed = [
        f"{one.node.name}: {_brief(one.message) or one.status}"
        for one in result.result.results
        if one.status in ("error", "fail", "runtime error")
    ]
    shown = " | ".join(failed[:8]) + (f" | and {len(failed) - 8} more" if len(failed) > 8 else "")
    raise WarehouseError(f"dbt: {len(failed)} failed: {shown} (log: {folder / 'logs'})")


def _brief(message: str | None) -> str | None:
    """What went wrong in one line; the further lines of a database error may quote a row."""
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    if lines and " Error in " in lines[0]:  # "Database Error in model …": which node, the caller knows
        lines = lines[1:] or lines
    return lines[0][:500] if lines else None


def _listener(on_node: OnNode) -> Callable[[Any], None]:
    """Turn dbt's events into calls of ``on_node``."""
    # Name of the event -> the field that holds how many nodes there are.
    totals = {"LogModelResult": "total", "LogSeedResult": "total", "LogTestResult": "num_models"}

    def listen(event: Any) -> None:
        if field := totals.get(event.info.name):
            on_node(event.data.node_info.node_name, event.data.index, getattr(event.data, field))

    return listen


def _result_listener(on_result: OnResult) -> Callable[[Any], None]:
    """Turn dbt's events into calls of ``on_result``."""

    def listen(event: Any) -> None:
        if event.info.name == "NodeFinished":
            on_result(event.data.node_info.unique_id, event.data.run_result.status)

    return listen


def record(conn: psycopg.Connection, build: str, token: str, results: Path) -> None:
    """Store dbt's ``run_results.json`` in ``ops.dbt_result``, under the token of its run."""
    content = json.loads(results.read_text(encoding="utf-8"))
    rows = [
        (
            build,
            token,
            one["unique_id"],
            one["unique_id"].split(".", 1)[0],
            one["status"],
            one.get("failures"),
            one["execution_time"],
            _brief(one.get("message")),
            content["metadata"]["generated_at"],
        )
        for one in content["results"]
    ]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("DELETE FROM ops.dbt_result WHERE token = %s", [token])
        cursor.executemany(
            "INSERT INTO ops.dbt_result (build, token, node, resource_type, status, failures, seconds, message, run_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )

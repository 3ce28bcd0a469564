"""Plans builds from the ledger.

Two schemas alternate. ``create`` freezes the ledger for the unpublished one (``ops.build_delivery``, state ``input``).
dbt compares it with the deliveries that the schema had when it was last complete (state ``done``) and computes what the
difference affects. ``complete`` makes ``input`` the new ``done``, in the transaction that publishes. A build that fails
in between leaves ``done`` unchanged, so the next build finds at least the same difference.

A schema that has never been complete, or was built by other code, starts as a copy of the published one
(``clone_schema``). Where that was built by other code too, everything is built from scratch.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from pathlib import Path
from typing import Any, TypedDict

import psycopg
from psycopg import IsolationLevel
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

import expectations
from ingest import locks
from ingest.contracts.model import Contracts
from ingest.database import connect
from ingest.errors import WarehouseError
from warehouse.build import clone_schema
from warehouse.build.dbt import BUILDS, code_hash, hash_files

#: With at least this many changed rows, and this share of all rows, a build runs without nested loops. PostgreSQL
#: estimates a handful of rows for a CTE, and a nested loop over a hundred thousand takes hours. Smaller builds need
#: nested loops over indexes, which save reading unchanged rows.
LARGE_ROWS = 20_000
LARGE_SHARE = 0.01

#: What the audit of a build asks of the figures.
EXPECTATIONS = Path(expectations.__file__).resolve().parent
#: Longest wait for another build to end.
_MAX_WAIT_SECONDS = 3 * 3600
#: Setting that counts requests to rebuild a month: each new request makes a build due.
_MONTH_REQUESTS = "months_asked"
#: Setting that counts erasures of persons: each makes a build due.
_ERASURES = "erasures"


class BuildPlan(TypedDict):
    """The plan of one build. It is plain JSON, so that Airflow's tasks can pass it on."""

    build: str
    token: str
    ledger_hash: str
    code_hash: str
    full_refresh: bool
    copy_of: str | None  # the build whose tables are copied first
    large: bool  # many rows were added or withdrawn since the schema was built (``LARGE_ROWS``)
    months: list[str]  # YYYY-MM-01; rebuilt even if nothing has changed
    changed_sources: list[str] | None  # all that can differ from the schema as it is; None: anything can
    deliveries: list[str]
    vars: dict[str, Any]


# --- one build at a time ---------------------------------------------------------------------------------------------

_lock_is_held: ContextVar[bool] = ContextVar("build_lock_held", default=False)


@contextmanager
def exclusive(dsn: str) -> Iterator[None]:
    """Hold the build lock, on a connection of its own; a second build waits for it. May be nested.

    The lock ends with the session, so also when the process is killed.

    Raises:
        WarehouseError: Another build has held the lock for hours.
    """
    if _lock_is_held.get():
        yield
        return
    with connect(dsn, application_name="warehouse build lock") as conn:
        locks.lift_time_limits(conn)
        retrying = Retrying(
            retry=retry_if_result(lambda acquired: not acquired),
            wait=wait_fixed(0.2),
            stop=stop_after_delay(_MAX_WAIT_SECONDS),
        )
        try:
            retrying(_try_lock, conn)
        except RetryError as error:
            raise WarehouseError("Another build has been running for hours; this one gave up waiting.") from error
        context = _lock_is_held.set(True)
        try:
            yield
        finally:
            _lock_is_held.reset(context)


def _try_lock(conn: psycopg.Connection) -> bool:
    """Take the build lock in a transaction that stays open; returns false, without one, where another session has it.

    Nothing waits for the lock in the database, and nothing asks within the transaction: both would hold an old
    snapshot, and publication waits for those.
    """
    row = conn.execute(
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'ops.build_lock'::regclass AND mode = %s"
        " AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))",
        ["ShareUpdateExclusiveLock"],
    ).fetchone()
    if row != (False,):
        return False  # the attempt would be an error in the server's log, five times a second
    conn.execute("BEGIN")
    try:
        conn.execute("LOCK TABLE ops.build_lock IN SHARE UPDATE EXCLUSIVE MODE NOWAIT")
    except psycopg.errors.LockNotAvailable:
        conn.rollback()
        return False
    return True


def check(conn: psycopg.Connection, plan: BuildPlan) -> None:
    """Raise WarehouseError when another build has been planned since."""
    row = conn.execute("SELECT token FROM ops.build WHERE build = %s", [plan["build"]]).fetchone()
    if row != (plan["token"],):
        raise WarehouseError(f"Another build has taken {plan['build']} over; this one stops.")


# --- new decisions ----------------------------------------------------------------------------------------------------


def ledger_hash(conn: psycopg.Connection, code: str) -> str:
    """Hash of every decided delivery, the requests to rebuild months, erasures, the code and the suites of the audit.

    Equal hashes: nothing is new. A changed suite makes a build due, which is audited with it, but does not make the
    tables outdated: they do not depend on it, so ``code_hash`` leaves the suites out.
    """
    decided = conn.execute(
        "SELECT name, status, codes, content_hash FROM ops.delivery"
        " WHERE status IN ('accepted', 'refused', 'superseded', 'withdrawn') ORDER BY name COLLATE \"C\""
    ).fetchall()
    requests = conn.execute("SELECT value FROM ops.setting WHERE name = %s", [_MONTH_REQUESTS]).fetchone()
    erasures = conn.execute("SELECT value FROM ops.setting WHERE name = %s", [_ERASURES]).fetchone()
    suites = hash_files(EXPECTATIONS.rglob("*.py"))
    counted = [code, suites, decided, requests, *([erasures] if erasures else [])]
    return hashlib.sha256(json.dumps(counted).encode()).hexdigest()


def is_new(conn: psycopg.Connection) -> bool:
    """Whether a build would find something to do."""
    published = conn.execute("SELECT ledger_hash FROM ops.publication WHERE is_current").fetchone()
    if published is None:
        return conn.execute("SELECT FROM ops.delivery WHERE decided_at IS NOT NULL LIMIT 1").fetchone() is not None
    return bool(published[0] != ledger_hash(conn, code_hash()))


def request_month(conn: psycopg.Connection, month: date) -> None:
    """Request that both build schemas rebuild a month even if nothing has changed. Makes a build due.

    Args:
        conn: Outside of a transaction.
        month: First day of the month.

    Raises:
        WarehouseError: The month is before the first or after the last month with an accepted delivery.
    """
    with conn.transaction():
        first, last = conn.execute(  # type: ignore[misc]
            "SELECT min(period), max(period) FROM ops.delivery WHERE status = 'accepted'"
        ).fetchone()
        if first is None or not first <= f"{month:%Y-%m}" <= last:
            available = f"accepted deliveries reach from {first} to {last}" if first else "no delivery is accepted yet"
            raise WarehouseError(f"There is no data of {month:%Y-%m} to build again: {available}.")
        conn.execute(
            "INSERT INTO ops.setting AS s (name, value) VALUES (%s, '1')"
            " ON CONFLICT (name) DO UPDATE SET value = (s.value::integer + 1)::text",
            [_MONTH_REQUESTS],
        )
        for build in BUILDS:
            conn.execute(
                "INSERT INTO ops.build AS b (build, months_asked) VALUES (%s, ARRAY[%s::date])"
                " ON CONFLICT (build) DO UPDATE SET months_asked = array_append(b.months_asked, %s::date)"
                " WHERE NOT %s::date = ANY(b.months_asked)",
                [build, month, month, month],
            )


def take_out(conn: psycopg.Connection, numbers: Mapping[int, int]) -> None:
    """Let the next build find that rows of deliveries were taken out, as if they had been deliveries of their own.

    The published build holds, instead of each delivery, only what was taken out of it: so the delivery arrives again,
    and what was taken out is gone. Makes a build due. Must run in a transaction with the build lock.

    Args:
        conn: The owner's.
        numbers: Of the rows that were taken out, with the delivery that brought them (``vault.taken_out``).
    """
    conn.execute(
        "INSERT INTO ops.setting AS s (name, value) VALUES (%s, '1')"
        " ON CONFLICT (name) DO UPDATE SET value = (s.value::integer + 1)::text",
        [_ERASURES],
    )
    conn.cursor().executemany(
        """
        INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)
        SELECT DISTINCT ON (d.build)
            d.build, 'done', %(number)s, d.name || ' erased ' || %(number)s, d.source, d.sender, d.month, d.mode,
            d.created
        FROM ops.build_delivery AS d
        INNER JOIN ops.publication AS p ON p.is_current AND d.build = p.build
        LEFT JOIN vault.taken_out AS t ON d.delivery_id = t.delivery_id
        WHERE d.state = 'done' AND coalesce(t.origin_id, d.delivery_id) = %(origin)s
        """,
        [{"number": number, "origin": origin} for number, origin in numbers.items()],
    )
    conn.execute(
        "DELETE FROM ops.build_delivery AS d USING ops.publication AS p"
        " WHERE p.is_current AND d.build = p.build AND d.state = 'done' AND d.delivery_id = ANY(%s)",
        [list(numbers.values())],
    )


def built(conn: psycopg.Connection) -> set[int]:
    """The deliveries of which the published build has rows, those of which rows were taken out included."""
    rows = conn.execute(
        "SELECT d.delivery_id FROM ops.build_delivery AS d INNER JOIN ops.publication AS p"
        " ON p.is_current AND d.build = p.build AND d.state = 'done'"
        " UNION SELECT origin_id FROM vault.taken_out"
    ).fetchall()
    return {number for (number,) in rows}


def empty(conn: psycopg.Connection, build: str) -> None:
    """Drop all tables of a build that is not published; the next build of it begins as a copy of the published one.

    A build of it that is under way stops at its next step. Must run in a transaction with the build lock.
    """
    conn.execute(
        "UPDATE ops.build SET code_hash = NULL, ledger_hash = NULL, completed_at = NULL, token = NULL WHERE build = %s",
        [build],
    )
    conn.execute("DELETE FROM ops.build_delivery WHERE build = %s", [build])
    clone_schema.drop(conn, build)


def create(dsn: str, contracts: Contracts) -> BuildPlan | None:
    """Freeze the ledger for the unpublished build; None when nothing is new."""
    with exclusive(dsn), connect(dsn) as conn:
        # One snapshot for all queries: a delivery that is accepted meanwhile belongs to the next build.
        conn.isolation_level = IsolationLevel.REPEATABLE_READ
        with conn.transaction():
            if not is_new(conn):
                return None
            row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
            build = BUILDS[1] if row == (BUILDS[0],) else BUILDS[0]
            return _freeze(conn, build, contracts)


def _freeze(conn: psycopg.Connection, build: str, contracts: Contracts) -> BuildPlan:
    code = code_hash()
    conn.execute("INSERT INTO ops.build (build) VALUES (%s) ON CONFLICT DO NOTHING", [build])
    outdated, is_complete, months = conn.execute(  # type: ignore[misc]
        "SELECT code_hash IS DISTINCT FROM %s, completed_at IS NOT NULL, months_asked FROM ops.build WHERE build = %s",
        [code, build],
    ).fetchone()
    copy_of = _build_to_copy(conn, code) if outdated else None
    full_refresh = outdated and copy_of is None
    token = secrets.token_hex(8)
    conn.execute(
        "UPDATE ops.build SET started_at = clock_timestamp(), completed_at = NULL, token = %s WHERE build = %s",
        [token, build],
    )
    conn.execute("DELETE FROM ops.build_delivery WHERE build = %s AND state = 'input'", [build])
    if outdated:
        # If this build fails, the next one must not rely on the state of the schema either.
        conn.execute("UPDATE ops.build SET code_hash = NULL, ledger_hash = NULL WHERE build = %s", [build])
        conn.execute("DELETE FROM ops.build_delivery WHERE build = %s", [build])
    if copy_of is not None:
        conn.execute(
            "INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)"
            " SELECT %s, state, delivery_id, name, source, sender, month, mode, created"
            " FROM ops.build_delivery WHERE build = %s AND state = 'done'",
            [build, copy_of],
        )
    registers = [name for name in contracts.sources if contracts.has_snapshots(name)]
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
    _hold_origins(conn, build)
    return BuildPlan(
        build=build,
        token=token,
        ledger_hash=ledger_hash(conn, code),
        code_hash=code,
        full_refresh=full_refresh,
        copy_of=copy_of,
        large=_is_large(conn, build),
        months=[str(month) for month in months],
        changed_sources=changed_sources(conn, build) if is_complete and not outdated and not months else None,
        deliveries=sorted(name for (name,) in names),
        vars={"build": build},
    )


def _hold_origins(conn: psycopg.Connection, build: str) -> None:
    """Let ``done`` have deliveries of which rows were taken out (``take_out``) where they do not arrive again.

    They were withdrawn or superseded since, so that all their rows have to go.
    """
    conn.execute(
        """
        INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)
        SELECT DISTINCT ON (a.arrival_id)
            d.build, 'done', a.arrival_id, a.name, d.source, d.sender, d.month, d.mode, d.created
        FROM ops.build_delivery AS d
        INNER JOIN vault.taken_out AS t ON d.delivery_id = t.delivery_id
        INNER JOIN ops.arrival AS a ON t.origin_id = a.arrival_id
        WHERE d.build = %(build)s AND d.state = 'done' AND NOT EXISTS (
            SELECT FROM ops.build_delivery AS i
            WHERE i.build = %(build)s AND i.state = 'input' AND i.delivery_id = a.arrival_id
        )
        ON CONFLICT DO NOTHING
        """,
        {"build": build},
    )


def _build_to_copy(conn: psycopg.Connection, code: str) -> str | None:
    """The published build, if the current code has built it."""
    row = conn.execute(
        "SELECT build FROM ops.publication AS p INNER JOIN ops.build AS b USING (build)"
        " WHERE p.is_current AND b.code_hash = %s AND b.completed_at IS NOT NULL",
        [code],
    ).fetchone()
    return row[0] if row else None


def _is_large(conn: psycopg.Connection, build: str) -> bool:
    """Whether the deliveries in which ``input`` and ``done`` differ have many rows (see ``LARGE_ROWS``)."""
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


def changed_sources(conn: psycopg.Connection, build: str) -> list[str]:
    """The sources of the deliveries in which ``input`` and ``done`` differ."""
    rows = conn.execute(
        """
        SELECT DISTINCT source
        FROM (
            SELECT source FROM ops.build_delivery WHERE build = %s
            GROUP BY delivery_id, name, source, sender, month, mode, created HAVING count(*) = 1
        ) AS difference
        ORDER BY source
        """,
        [build],
    ).fetchall()
    return [source for (source,) in rows]


def complete(conn: psycopg.Connection, plan: BuildPlan) -> None:
    """Record that the build is complete. Call it in the transaction that publishes the build."""
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
        # a month that was requested after the plan is rebuilt by the next build
        " months_asked = ARRAY(SELECT unnest(months_asked) EXCEPT SELECT unnest(%s::date[]) ORDER BY 1)"
        " WHERE build = %s",
        [plan["ledger_hash"], plan["code_hash"], plan["months"], build],
    )

"""What a build is to do, from what the ledger says.

Two schemas alternate. ``make`` freezes the ledger for the one that is not published (``ops.build_delivery``, state
``input``); dbt compares it with what the schema held when it was last complete (state ``done``) and rebuilds what that
difference touches; ``complete`` makes ``input`` the new ``done``, in the transaction that publishes. One that breaks
off in between leaves ``done`` as it was, and the next one finds at least the same difference.

A schema whose last state is of no use, because it has none or other code made it, begins as a copy of the published one
(``copies``); only where that is of other code too, everything is built anew.
"""

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import date
from typing import Any, TypedDict

import psycopg
from psycopg import IsolationLevel
from tenacity import RetryError, Retrying, retry_if_result, stop_after_delay, wait_fixed

from ingest.contracts.model import Contracts
from ingest.database import connect
from ingest.errors import WarehouseError
from warehouse.dbt import BUILDS, code_hash

#: A build of so many changed rows, and such a share of all, is planned without nested loops: PostgreSQL knows nothing
#: about the size of a step within a query and guesses a handful of rows; a nested loop over a hundred thousand of them
#: takes hours. Where little of much changes, nested loops over indexes are what spares reading the rest.
LARGE_ROWS = 20_000
LARGE_SHARE = 0.01

#: Advisory lock of the one build at a time.
_LOCK = 7_301_002
#: Another build's wait for the lock, in seconds.
_LOCK_SECONDS = 3 * 3600
#: Setting that counts how often a month was asked for: a further time makes a build due.
_MONTHS_ASKED = "months_asked"


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
        # Asked again and again: whoever waits within a statement sees rows as they were when it began, and publication
        # waits for all who do.
        retrying = Retrying(
            retry=retry_if_result(lambda row: row != (True,)),
            wait=wait_fixed(0.2),
            stop=stop_after_delay(_LOCK_SECONDS),
        )
        try:
            retrying(lambda: conn.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone())
        except RetryError as error:
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


def make(dsn: str, known: Contracts) -> BuildPlan | None:
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

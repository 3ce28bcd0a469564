"""Checks of the home folder and the database, which a command makes before it does anything.

So a configuration that cannot work is refused in one sentence, and not by a build after deliveries were accepted.
``warehouse check`` prints every check.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse.build.runner import LARGE_OPTIONS
from warehouse.local import server

OLDEST_SERVER = 15
#: Characters that Airflow's settings interpret in a path, and control characters.
_NOT_IN_HOME = re.compile(r"[${}%\x00-\x1f\x7f]")
#: Characters that a shell interprets within quotes: PostgreSQL's programs call one another through a shell.
_NOT_IN_PROJECT = re.compile(r"[$`\"\\\x00-\x1f\x7f]")
#: How often two sessions are compared: a pooler may give each of them a server process of its own by chance.
_COMPARISONS = 5

#: Subject of a check, and a message about what is wrong with it, or None.
Finding = tuple[str, str | None]


def require(settings: Settings) -> None:
    """Raise WarehouseError with the first problem. Starts the embedded server where needed."""
    for _, problem in findings(settings):
        if problem is not None:
            raise WarehouseError(problem)


def findings(settings: Settings) -> Iterator[Finding]:
    """Make every check in order; ends after a problem that makes the next checks meaningless."""
    problem = _home_problem(settings)
    yield f"home {settings.home.absolute()}", problem
    if problem is not None:
        return
    dsn = server.ensure_running(settings)
    with connect(dsn) as conn:
        problem = _database_problem(conn)
        yield f"database {conn.info.dbname}", problem
    if problem is None and settings.dsn is not None:
        yield "connections", _pooler_problem(dsn)


# --- the home --------------------------------------------------------------------------------------------------------


def require_home(settings: Settings) -> None:
    """Raise WarehouseError when the path of the home cannot be used or its server is another user's. Starts nothing."""
    problem = _home_problem(settings)
    if problem is not None:
        raise WarehouseError(problem)


def _home_problem(settings: Settings) -> str | None:
    for subject, path, forbidden in (
        ("WAREHOUSE_HOME is", settings.home.absolute(), _NOT_IN_HOME),
        ("The programs lie in", Path(__file__).resolve().parents[2], _NOT_IN_PROJECT),
    ):
        if found := forbidden.search(str(path)):
            return f"{subject} {str(path)!r}: its path must not hold {found.group()!r}. Choose another folder."
    return None if settings.dsn is not None else server.ownership_problem(settings)


# --- the database ----------------------------------------------------------------------------------------------------


def require_database(conn: psycopg.Connection[Any]) -> None:
    """Raise WarehouseError when the warehouse cannot use this database. One short query."""
    problem = _database_problem(conn)
    if problem is not None:
        raise WarehouseError(problem)


def _database_problem(conn: psycopg.Connection[Any]) -> str | None:
    name = conn.info.dbname
    if conn.info.server_version // 10000 < OLDEST_SERVER:
        return f"The server is a PostgreSQL {conn.info.server_version // 10000}; {OLDEST_SERVER} or newer is needed."
    if (encoding := conn.info.parameter_status("server_encoding")) != "UTF8":
        return (
            f"The database {name} keeps text as {encoding}, which lacks characters that names have. Make one with: "
            "CREATE DATABASE … ENCODING 'UTF8' LOCALE 'C' TEMPLATE template0."
        )
    row = conn.execute(
        "SELECT pg_is_in_recovery(), current_setting('default_transaction_read_only'),"
        " current_setting('quote_all_identifiers')"
    ).fetchone()
    is_standby, read_only, quote_all = row or (False, "off", "off")
    if is_standby:
        return f"The server of {name} is a standby, which only reads: give the address of the primary."
    for setting, value in (("default_transaction_read_only", read_only), ("quote_all_identifiers", quote_all)):
        if value == "on":
            return (
                f"The setting {setting} is on in {name}, and the warehouse needs it off for its own role: "
                f'ALTER ROLE "{conn.info.user}" IN DATABASE "{name}" SET {setting} = off.'
            )
    return None


def _pooler_problem(dsn: str) -> str | None:
    """A message where a connection is not a session of its own in PostgreSQL, with the settings that it asks for."""
    advice = "Give WAREHOUSE_DSN the address of PostgreSQL itself; readers may go on using the pooler."
    try:
        with connect(dsn) as first, connect(dsn) as second:
            # A pooler reports a process id of its own when a client connects.
            is_pooled = first.info.backend_pid != _server_process(first)
            if is_pooled and any(_share_processes(first, second) for _ in range(_COMPARISONS)):
                return (
                    "WAREHOUSE_DSN leads to a pooler (PgBouncer) that gives a server process for a transaction only: "
                    f"the locks of a session do not hold there. {advice}"
                )
    except psycopg.DatabaseError as error:
        if "statement pooling" not in str(error):
            raise
        return f"WAREHOUSE_DSN leads to a pooler (PgBouncer) that has no transactions. {advice}"
    try:
        with connect(dsn, options=f"{_options(dsn)} {LARGE_OPTIONS}".strip()) as conn:
            has_options = conn.execute("SHOW enable_nestloop").fetchone() == ("off",)
    except psycopg.OperationalError as error:
        if "options" not in str(error):
            raise
        has_options = False
    if not has_options:
        return f"WAREHOUSE_DSN leads to a pooler (PgBouncer) that drops the settings of a connection. {advice}"
    return None


def _options(dsn: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(dsn).get("options") or "")


def _server_process(conn: psycopg.Connection[Any]) -> int:
    row = conn.execute("SELECT pg_backend_pid()").fetchone()
    return int(row[0]) if row else 0


def _share_processes(first: psycopg.Connection[Any], second: psycopg.Connection[Any]) -> bool:
    """Whether one server process serves both connections, or several processes serve the first one."""
    process = _server_process(first)
    with second.transaction():
        return process in (_server_process(second), 0) or _server_process(first) != process

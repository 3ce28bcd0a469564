"""Publication: moves all stable views to one build, in one transaction.

Readers use only the views in ``core``, ``marts`` and ``casework``. A view is never dropped, because analysts' own views
depend on it. Its columns keep name, type and order; new ones are added at the end.
"""

import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
    wait_random_exponential,
)
from tenacity.stop import stop_base

from ingest.database import APPLICATION_NAME, LOCK_ERRORS
from ingest.errors import WarehouseError
from warehouse.access import divisions, roles
from warehouse.access.divisions import DivisionRule
from warehouse.build import blocking, dbt_graph

STABLE = tuple(roles.READERS)
#: Longest wait for readers with locks on the views or with old snapshots (their statements end after 60 s). Who is
#: still in the way then, has lifted his limits, and his session is ended.
MAX_WAIT_SECONDS = 900
#: Longest wait, after that, for sessions that were told to end, and for those that are not of readers.
_ENDING_SECONDS = 10
#: Time for all locks when who blocks them is ended, and how often that is tried.
_LAST_LOCK_TIMEOUT_SECONDS = 10
_LAST_ATTEMPTS = 3
#: Least time in which one attempt must get the locks of all views; longer where readers have older transactions.
MIN_LOCK_TIMEOUT_SECONDS = 0.05


@dataclass(frozen=True, order=True)
class Relation:
    """A published relation: its stable schema, its name there and in the build, and whose its rows are."""

    schema: str
    name: str
    rule: DivisionRule | None = field(default=None, compare=False)  # None: not known

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Column:
    """A column as CREATE OR REPLACE VIEW compares it: type with its size, and collation."""

    name: str
    type: str
    collation: int


@dataclass(frozen=True)
class PublicationResult:
    """The result of a publication."""

    row_counts: dict[str, int]
    abandoned: tuple[str, ...]  # views whose relation the build does not have; they stay at their last build


def relations(manifest: Path) -> list[Relation]:
    """The relations that dbt's manifest publishes, in name order: nodes whose ``meta.publish`` is a stable schema.

    Raises:
        WarehouseError: ``meta.publish`` is another schema, or relations do not say whose their rows are.
    """
    found: list[Relation] = []
    problems: list[str] = []
    for node in dbt_graph.read(manifest).nodes.values():
        schema = node.meta.get("publish")
        if schema is None or not node.is_relation:
            continue
        if schema not in STABLE:
            raise WarehouseError(f"{node.name}: meta.publish is {schema!r}, not one of {', '.join(STABLE)}.")
        try:
            found.append(Relation(schema, node.alias, divisions.rule_of(node.name, node.meta, node.columns)))
        except WarehouseError as error:
            problems.append(str(error))
    if problems:
        raise WarehouseError(f"Nothing was published: {' '.join(problems)}")
    return sorted(found)


def published(conn: psycopg.Connection) -> list[Relation]:
    """The existing stable views, in name order."""
    rows = conn.execute(
        "SELECT schemaname, viewname FROM pg_views WHERE schemaname = ANY(%s) AND viewowner = current_user",
        [list(STABLE)],
    )
    return sorted(Relation(*row) for row in rows)


def count_rows(conn: psycopg.Connection, build: str, to_publish: Iterable[Relation]) -> dict[str, int]:
    """Number of rows of each relation in a build."""
    counts: dict[str, int] = {}
    for relation in to_publish:
        row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(build, relation.name))).fetchone()
        counts[str(relation)] = row[0] if row else 0
    return counts


def move(
    conn: psycopg.Connection,
    build: str,
    to_publish: Sequence[Relation],
    note: Callable[[psycopg.Connection, PublicationResult], None],
    *,
    backwards: bool = False,
    max_wait: float = MAX_WAIT_SECONDS,
) -> PublicationResult:
    """Move the stable views to a build; readers see all of them move at the same time.

    Args:
        conn: In autocommit mode, as the owner of the views.
        build: The build schema.
        to_publish: The relations to publish.
        note: Called in the same transaction, to record the publication.
        backwards: Return to an older build: columns and relations that it lacks become NULL and empty views. Otherwise
            they are errors. Rows of a relation without a rule are for logins that see the whole country.
        max_wait: Seconds to wait for readers; afterwards the sessions that are in the way are ended.

    Raises:
        WarehouseError: A column of a view is missing or has changed, a table or the rule of a relation is missing, or
            sessions that are not of readers, or may not be ended, have held the views for ``max_wait``. Nothing has
            been changed then.
    """
    deadline = time.monotonic() + max_wait
    existing = published(conn)
    columns = _columns(conn, [build, *STABLE])
    to_publish = sorted({*to_publish, *existing} if backwards else to_publish)
    definitions = _definitions(build, to_publish, columns, backwards=backwards)
    present = [relation for relation in to_publish if (build, relation.name) in columns]
    result = PublicationResult(
        count_rows(conn, build, present), tuple(str(relation) for relation in existing if relation not in to_publish)
    )
    if not backwards:  # no open transaction is older than the previous build
        _wait_for_old_snapshots(conn, build, max_wait)

    def replace_all(lock_timeout: float) -> None:
        with conn.transaction():
            _replace(conn, [definitions[relation] for relation in to_publish], lock_timeout)
            for relation in to_publish:
                _grant(conn, relation)
            _comment(conn, build, present)
            note(conn, result)

    try:
        _replace_when_unlocked(conn, replace_all, deadline)
    except RetryError as error:
        _insist(conn, build, replace_all, max_wait, error)
    return result


def _replace_when_unlocked(conn: psycopg.Connection, replace_all: Callable[[float], None], deadline: float) -> None:
    """Replace the views as soon as readers leave a chance to lock them all.

    Raises:
        RetryError: They have left none until the deadline.
    """
    for attempt in _attempts_to_lock(stop_after_delay(max(0, deadline - time.monotonic()))):
        lock_timeout = _wait_for_lock_chance(conn, max(0, deadline - time.monotonic()))
        with attempt:
            replace_all(lock_timeout)


def _attempts_to_lock(stop: stop_base) -> Retrying:
    """Attempts until the views could be locked, or until ``stop``."""
    return Retrying(
        retry=retry_if_exception_type(LOCK_ERRORS),
        wait=wait_random_exponential(multiplier=0.01, max=0.5),
        stop=stop,
    )


def _insist(
    conn: psycopg.Connection, build: str, replace_all: Callable[[float], None], max_wait: float, cause: Exception
) -> None:
    """Replace the views while the sessions of readers that block this are ended."""
    # Without a lock, so that no reader waits with it: an export by the owner may be about to end.
    leaving = Retrying(
        retry=retry_if_result(bool),
        wait=wait_fixed(0.1),
        stop=stop_after_delay(min(_ENDING_SECONDS, max_wait)),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else "",
    )
    if others := leaving(lambda: blocking.named(conn, _holders(conn), only_others=True)):
        raise WarehouseError(
            f"The published views have been held for {max_wait:g} seconds by sessions that are not of readers, so "
            f"nothing was published: {others}"
        ) from cause
    with blocking.ended_while_waiting(conn, build) as watch:
        try:
            for attempt in _attempts_to_lock(stop_after_attempt(_LAST_ATTEMPTS)):
                with attempt:
                    replace_all(_LAST_LOCK_TIMEOUT_SECONDS)
        except (RetryError, psycopg.errors.QueryCanceled) as error:
            raise watch.problem or WarehouseError(
                f"The published views have been held for {max_wait:g} seconds, so nothing was published: "
                f"{blocking.named(conn, _holders(conn)) or 'their holders have left just now'}"
            ) from error


def _wait_for_lock_chance(conn: psycopg.Connection, max_wait: float) -> float:
    """Wait until an attempt to lock the views can succeed; returns its timeout in seconds.

    New readers queue behind the attempt, so its timeout is short: twice the age of the oldest transaction that reads a
    view, because most have ended by then. If that transaction is older than the longest timeout, wait for it first,
    without a lock, but not for ever.

    The longest timeout is below the server's ``deadlock_timeout``. A reader of several views may wait for one that is
    locked here while this session waits for another of his; a deadlock, which might be reported to him, must not be
    detected.
    """

    def oldest_and_longest() -> tuple[float, float]:
        """Age of the oldest transaction with a lock on a view, and the longest timeout, in seconds."""
        return conn.execute(
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::float,"
            " 0.8 * extract(epoch FROM current_setting('deadlock_timeout')::interval)::float"
            " FROM pg_locks AS l INNER JOIN pg_class AS c ON l.relation = c.oid"
            " INNER JOIN pg_stat_activity AS a USING (pid)"
            " WHERE l.granted AND c.relkind = 'v' AND c.relnamespace = ANY(%s::regnamespace[])"
            " AND l.pid <> pg_backend_pid()",
            [list(STABLE)],
        ).fetchone() or (0, 0)

    oldest, longest = oldest_and_longest()
    deadline = time.monotonic() + min(5 * longest, max_wait)
    while oldest > longest and time.monotonic() < deadline:
        time.sleep(MIN_LOCK_TIMEOUT_SECONDS)
        oldest, longest = oldest_and_longest()
    return min(max(MIN_LOCK_TIMEOUT_SECONDS, 2 * oldest), longest)


def _replace(conn: psycopg.Connection, definitions: Iterable[sql.Composed], lock_timeout: float) -> None:
    """Replace the views in this order, with ``lock_timeout`` seconds for all locks together."""
    deadline = time.monotonic() + lock_timeout
    for definition in definitions:
        milliseconds = max(1, int(1000 * (deadline - time.monotonic())))
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{milliseconds}ms"])
        conn.execute(definition)


def _wait_for_old_snapshots(conn: psycopg.Connection, build: str, max_wait: float) -> None:
    """Wait until every transaction has ended whose snapshot is older than the end of the build.

    A ``REPEATABLE READ`` transaction sees the rows of its first statement, but the current definitions of views. Behind
    a view that has moved it would see the tables of an incomplete build. After ``max_wait`` seconds the sessions of
    readers that are left are ended.
    """

    def open_transactions() -> set[tuple[int, object]]:
        return set(
            conn.execute(
                "SELECT a.pid, a.xact_start FROM pg_stat_activity AS a"
                " WHERE a.datname = current_database()"
                # NULL where the owner may not see it
                " AND coalesce(a.backend_type, 'client backend') = 'client backend'"
                " AND a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.application_name <> %s"
                # only of those who can read the views
                " AND (a.usename IN (SELECT login FROM ops.share_login) OR EXISTS (SELECT FROM pg_namespace AS n"
                " WHERE n.nspname = ANY(%s) AND has_schema_privilege(a.usesysid, n.oid, 'USAGE')))",
                [APPLICATION_NAME, list(STABLE)],
            ).fetchall()
        )

    before = open_transactions()

    def wait(seconds: float) -> bool:
        retrying = Retrying(
            retry=retry_if_result(bool),
            wait=wait_fixed(0.1),
            stop=stop_after_delay(seconds),
            retry_error_callback=lambda _: True,
        )
        return not retrying(lambda: before & open_transactions())

    if wait(max_wait):
        return
    blocking.end(conn, build, [pid for pid, _ in before & open_transactions()])
    others = blocking.named(conn, [pid for pid, _ in before & open_transactions()], only_others=True)
    if others or not wait(_ENDING_SECONDS):
        raise WarehouseError(
            f"Transactions older than the build have stayed open for {max_wait:g} seconds, so nothing was published: "
            f"{others or blocking.named(conn, [pid for pid, _ in before]) or 'they have ended just now'}"
        )


def _columns(conn: psycopg.Connection, schemas: list[str]) -> dict[tuple[str, str], list[Column]]:
    """Columns of tables and views by (schema, relation), in order."""
    found: dict[tuple[str, str], list[Column]] = {}
    for schema, relation, name, type_, collation in conn.execute(
        """
        SELECT n.nspname, c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attcollation::bigint
        FROM pg_class AS c
        INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        INNER JOIN pg_attribute AS a ON a.attrelid = c.oid
        WHERE n.nspname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY n.nspname, c.relname, a.attnum
        """,
        [schemas],
    ):
        found.setdefault((schema, relation), []).append(Column(name, type_, collation))
    return found


def _definitions(
    build: str,
    to_publish: Sequence[Relation],
    columns: Mapping[tuple[str, str], list[Column]],
    *,
    backwards: bool,
) -> dict[Relation, sql.Composed]:
    """A CREATE OR REPLACE VIEW for each relation; raises WarehouseError with every problem."""
    unruled = [str(relation) for relation in to_publish if relation.rule is None]
    if unruled and not backwards:
        raise WarehouseError(f"Nothing was published, for nothing says whose the rows are of {', '.join(unruled)}.")
    problems: list[str] = []
    definitions: dict[Relation, sql.Composed] = {}
    for relation in to_publish:
        view_columns = columns.get((relation.schema, relation.name), [])
        table = columns.get((build, relation.name))
        if table is None and not backwards:
            problems.append(f"{build}.{relation.name} does not exist, but {relation} is to be published")
            continue
        table_columns = {column.name: column for column in table or ()}
        items: list[sql.Composable] = []
        for column in view_columns:
            now = table_columns.get(column.name)
            if now == column:
                items.append(sql.Identifier(column.name))
            elif now is None and backwards:
                items.append(sql.SQL("NULL::{} AS {}").format(sql.SQL(column.type), sql.Identifier(column.name)))
            elif now is None:
                problems.append(f"{relation}.{column.name} is gone")
            elif now.type == column.type:
                problems.append(f"{relation}.{column.name} changed its collation")
            else:
                problems.append(f"{relation}.{column.name} changed from {column.type} to {now.type}")
        names = {column.name for column in view_columns}
        items.extend(sql.Identifier(column.name) for column in table or () if column.name not in names)
        definitions[relation] = _definition(relation, items, build if table else None, table_columns)
    if problems:
        raise WarehouseError(
            "Published columns are a promise to their readers, so nothing was published: "
            + "; ".join(problems)
            + ". Bring the columns back (new ones may come beside them), or drop the view yourself first."
        )
    return definitions


def _definition(
    relation: Relation, items: Sequence[sql.Composable], build: str | None, table_columns: Collection[str]
) -> sql.Composed:
    """A CREATE OR REPLACE VIEW that shows each login its rows; without a build it is empty.

    Only as a security barrier it keeps functions that a reader writes from seeing other rows before they are hidden.
    """
    view = sql.Identifier(relation.schema, relation.name)
    selected = sql.SQL(", ").join(items)
    if build is None:
        return sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} WHERE false").format(view, selected)
    table = sql.Identifier(build, relation.name)
    condition = divisions.condition(relation.rule or divisions.WHOLE_COUNTRY, table_columns)
    if condition is None:
        return sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} FROM {}").format(view, selected, table)
    return sql.SQL("CREATE OR REPLACE VIEW {} WITH (security_barrier) AS SELECT {} FROM {} WHERE {}").format(
        view, selected, table, condition
    )


def _grant(conn: psycopg.Connection, relation: Relation) -> None:
    view = sql.Identifier(relation.schema, relation.name)
    for role in roles.READERS[relation.schema]:
        row = conn.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", [role, view.as_string(conn)]).fetchone()
        if row == (False,):
            conn.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, sql.Identifier(role)))


def _comment(conn: psycopg.Connection, build: str, to_publish: Sequence[Relation]) -> None:
    """Copy comments of tables and columns to the views where they differ."""
    comments = conn.execute(
        """
        SELECT w.schema, w.name, a.attname, d.description
        FROM unnest(%s::text[], %s::text[]) AS w (schema, name)
        INNER JOIN pg_class AS t ON t.oid = to_regclass(format('%%I.%%I', %s::text, w.name))
        INNER JOIN pg_class AS v ON v.oid = to_regclass(format('%%I.%%I', w.schema, w.name))
        INNER JOIN pg_description AS d ON d.objoid = t.oid AND d.classoid = 'pg_class'::regclass
        LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.objsubid AND d.objsubid > 0
        LEFT JOIN pg_attribute AS va ON va.attrelid = v.oid AND va.attname = a.attname
        LEFT JOIN pg_description AS vd
            ON vd.objoid = v.oid AND vd.classoid = 'pg_class'::regclass AND vd.objsubid = coalesce(va.attnum, 0)
        WHERE d.description IS DISTINCT FROM vd.description
        ORDER BY w.schema, w.name, d.objsubid
        """,
        [[relation.schema for relation in to_publish], [relation.name for relation in to_publish], build],
    ).fetchall()
    for schema, name, column, text in comments:
        if column is None:
            target = sql.SQL("VIEW {}").format(sql.Identifier(schema, name))
        else:
            target = sql.SQL("COLUMN {}").format(sql.Identifier(schema, name, column))
        conn.execute(sql.SQL("COMMENT ON {} IS {}").format(target, sql.Literal(text)))


def _holders(conn: psycopg.Connection) -> list[int]:
    """Processes with locks on the stable views."""
    rows = conn.execute(
        "SELECT DISTINCT l.pid FROM pg_locks AS l"
        " INNER JOIN pg_class AS c ON l.relation = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid"
        " WHERE l.granted AND n.nspname = ANY(%s) AND l.pid <> pg_backend_pid()",
        [list(STABLE)],
    ).fetchall()
    return [pid for (pid,) in rows]

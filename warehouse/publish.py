"""Publication: all stable views moved to one build, in one transaction.

Readers know only the views in ``core``, ``marts`` and ``casework``. A view is never dropped: analysts' own views stand
on it. Its columns stay, in name, type and order; new ones come at the end.
"""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from tenacity import (
    RetryError,
    Retrying,
    retry_if_exception_type,
    retry_if_result,
    stop_after_delay,
    wait_fixed,
    wait_random_exponential,
)

from ingest.database import APPLICATION
from ingest.errors import WarehouseError
from warehouse import roles

STABLE = tuple(roles.READERS)
#: Readers who hold on to a view, or to the rows of an earlier moment, are waited for this long (their statements end
#: after 60 s).
PATIENCE_SECONDS = 900
#: A turn at the locks of the views lasts at least this long, and longer where readers take longer.
TURN_SECONDS = 0.05


@dataclass(frozen=True, order=True)
class Relation:
    """A published relation: its stable schema, and its name there and in the build."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True)
class Column:
    """A column as CREATE OR REPLACE VIEW compares it: type with its size, and collation."""

    name: str
    type: str
    collation: int


@dataclass(frozen=True)
class Moved:
    """What a publication did."""

    row_counts: dict[str, int]
    abandoned: tuple[str, ...]  # views that the build no longer has; they stay where they are


def relations(manifest: Path) -> list[Relation]:
    """What dbt publishes, from its manifest: nodes whose ``meta.publish`` names a stable schema, in name order."""
    found: list[Relation] = []
    for node in json.loads(manifest.read_text(encoding="utf-8"))["nodes"].values():
        schema = (node["config"].get("meta") or {}).get("publish")
        if schema is None or node["resource_type"] not in ("model", "seed", "snapshot"):
            continue
        if node["config"].get("materialized") == "ephemeral":
            continue
        if schema not in STABLE:
            raise WarehouseError(f"{node['name']}: meta.publish is {schema!r}, not one of {', '.join(STABLE)}.")
        found.append(Relation(schema, node["alias"]))
    return sorted(found)


def published(conn: psycopg.Connection) -> list[Relation]:
    """The stable views that stand."""
    rows = conn.execute(
        "SELECT schemaname, viewname FROM pg_views WHERE schemaname = ANY(%s) AND viewowner = current_user",
        [list(STABLE)],
    )
    return sorted(Relation(*row) for row in rows)


def count_rows(conn: psycopg.Connection, build: str, wanted: Iterable[Relation]) -> dict[str, int]:
    """Rows of each relation in a build."""
    counts: dict[str, int] = {}
    for relation in wanted:
        row = conn.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(build, relation.name))).fetchone()
        counts[str(relation)] = row[0] if row else 0
    return counts


def move(
    conn: psycopg.Connection,
    build: str,
    wanted: Sequence[Relation],
    note: Callable[[psycopg.Connection, Moved], None],
    *,
    backwards: bool = False,
    patience: float = PATIENCE_SECONDS,
) -> Moved:
    """Move the stable views to a build; readers see all of them move at one instant.

    Args:
        conn: In autocommit mode, as the owner of the views.
        build: The build schema.
        wanted: What is published from it.
        note: Called inside the transaction, to write down what was published.
        backwards: Return to an older build: columns and relations it does not have yet are shown as missing values
            and empty views, instead of being refused.
        patience: Seconds to wait for readers.

    Raises:
        WarehouseError: A column of a view is gone or changed, a table is missing, or readers do not let go. Nothing
            has been changed then.
    """
    standing = published(conn)
    columns = _columns(conn, [build, *STABLE])
    wanted = sorted({*wanted, *standing} if backwards else wanted)
    definitions = _definitions(build, wanted, columns, backwards=backwards)
    present = [relation for relation in wanted if (build, relation.name) in columns]
    moved = Moved(
        count_rows(conn, build, present), tuple(str(relation) for relation in standing if relation not in wanted)
    )
    if not backwards:  # the older build was ready before the current one came
        _outlast_old_snapshots(conn, patience)
    retrying = Retrying(
        retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
        wait=wait_random_exponential(multiplier=0.01, max=0.5),
        stop=stop_after_delay(patience),
    )
    try:
        for attempt in retrying:
            seconds = _turn(conn, patience)
            with attempt, conn.transaction():
                _replace(conn, [definitions[relation] for relation in wanted], seconds)
                for relation in wanted:
                    _grant(conn, relation)
                _comment(conn, build, present)
                note(conn, moved)
    except RetryError as error:
        raise WarehouseError(
            f"Readers have held the published views for {patience:g} seconds, so nothing was published: "
            f"{_holders(conn)}"
        ) from error
    return moved


def _turn(conn: psycopg.Connection, patience: float) -> float:
    """How many seconds the next turn at the locks is worth, once it is worth any.

    New readers queue behind us meanwhile, so a turn is twice as long as anyone has been reading: most will be gone by
    then. Where someone has read for longer than a turn can last, we wait for him first, without a lock, for some time.

    A reader who has the views in another order may wait for a view of ours while we wait for one of his. That must end
    before the server takes it for a deadlock, which might become his error.
    """

    def times() -> tuple[float, float]:
        return conn.execute(
            "SELECT coalesce(max(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::float,"
            " 0.8 * extract(epoch FROM current_setting('deadlock_timeout')::interval)::float"
            " FROM pg_locks AS l INNER JOIN pg_class AS c ON l.relation = c.oid"
            " INNER JOIN pg_stat_activity AS a USING (pid)"
            " WHERE l.granted AND c.relkind = 'v' AND c.relnamespace = ANY(%s::regnamespace[])"
            " AND l.pid <> pg_backend_pid()",
            [list(STABLE)],
        ).fetchone() or (0, 0)

    oldest, longest = times()
    end = time.monotonic() + min(5 * longest, patience)
    while oldest > longest and time.monotonic() < end:
        time.sleep(TURN_SECONDS)
        oldest, longest = times()
    return min(max(TURN_SECONDS, 2 * oldest), longest)


def _replace(conn: psycopg.Connection, definitions: Iterable[sql.Composed], seconds: float) -> None:
    """Replace the views in the order given, all of them within some seconds."""
    end = time.monotonic() + seconds
    for definition in definitions:
        left = max(1, int(1000 * (end - time.monotonic())))
        conn.execute("SELECT set_config('lock_timeout', %s, true)", [f"{left}ms"])
        conn.execute(definition)


def _outlast_old_snapshots(conn: psycopg.Connection, patience: float) -> None:
    """Wait until nobody is left who sees rows as they were before the build ended.

    A ``REPEATABLE READ`` transaction keeps the rows of its first statement, but the definitions of views are those of
    the moment they are asked: turning to the views after they moved, it would find the build half made.
    """

    def old() -> set[tuple[str, int, object]]:
        return set(
            conn.execute(
                "SELECT usename, pid, xact_start FROM pg_stat_activity"
                " WHERE datname = current_database() AND backend_type = 'client backend' AND backend_xmin IS NOT NULL"
                " AND pid <> pg_backend_pid() AND application_name <> %s",
                [APPLICATION],
            ).fetchall()
        )

    left = old()
    retrying = Retrying(retry=retry_if_result(bool), wait=wait_fixed(0.1), stop=stop_after_delay(patience))
    try:
        retrying(lambda: left & old())
    except RetryError:
        who = ", ".join(sorted(f"{user} (pid {pid})" for user, pid, _ in left & old()))
        raise WarehouseError(
            f"Transactions older than the build have stayed open for {patience:g} seconds, so nothing was published: "
            f"{who or 'they have ended just now'}"
        ) from None


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
    wanted: Sequence[Relation],
    columns: Mapping[tuple[str, str], list[Column]],
    *,
    backwards: bool,
) -> dict[Relation, sql.Composed]:
    """One CREATE OR REPLACE VIEW a relation, or an error that names everything that stands against it."""
    problems: list[str] = []
    definitions: dict[Relation, sql.Composed] = {}
    for relation in wanted:
        shown = columns.get((relation.schema, relation.name), [])
        table = columns.get((build, relation.name))
        if table is None and not backwards:
            problems.append(f"{build}.{relation.name} does not exist, but {relation} is to be published")
            continue
        has = {column.name: column for column in table or ()}
        items: list[sql.Composable] = []
        for column in shown:
            now = has.get(column.name)
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
        known = {column.name for column in shown}
        items.extend(sql.Identifier(column.name) for column in table or () if column.name not in known)
        definitions[relation] = sql.SQL("CREATE OR REPLACE VIEW {} AS SELECT {} {}").format(
            sql.Identifier(relation.schema, relation.name),
            sql.SQL(", ").join(items),
            sql.SQL("FROM {}").format(sql.Identifier(build, relation.name)) if table else sql.SQL("WHERE false"),
        )
    if problems:
        raise WarehouseError(
            "Published columns are a promise to their readers, so nothing was published: "
            + "; ".join(problems)
            + ". Bring the columns back (new ones may come beside them), or drop the view yourself first."
        )
    return definitions


def _grant(conn: psycopg.Connection, relation: Relation) -> None:
    view = sql.Identifier(relation.schema, relation.name)
    for role in roles.READERS[relation.schema]:
        row = conn.execute("SELECT has_table_privilege(%s, %s, 'SELECT')", [role, view.as_string(conn)]).fetchone()
        if row == (False,):
            conn.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, sql.Identifier(role)))


def _comment(conn: psycopg.Connection, build: str, wanted: Sequence[Relation]) -> None:
    """Copy the comments of tables and columns to the views, where they differ."""
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
        [[relation.schema for relation in wanted], [relation.name for relation in wanted], build],
    ).fetchall()
    for schema, name, column, text in comments:
        if column is None:
            target = sql.SQL("VIEW {}").format(sql.Identifier(schema, name))
        else:
            target = sql.SQL("COLUMN {}").format(sql.Identifier(schema, name, column))
        conn.execute(sql.SQL("COMMENT ON {} IS {}").format(target, sql.Literal(text)))


def _holders(conn: psycopg.Connection) -> str:
    """Who holds the stable views, for the error message."""
    rows = conn.execute(
        "SELECT DISTINCT a.usename, a.pid, a.state FROM pg_locks AS l"
        " INNER JOIN pg_class AS c ON l.relation = c.oid INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid"
        " INNER JOIN pg_stat_activity AS a USING (pid)"
        " WHERE l.granted AND n.nspname = ANY(%s) AND l.pid <> pg_backend_pid()",
        [list(STABLE)],
    ).fetchall()
    return ", ".join(f"{user} (pid {pid}, {state})" for user, pid, state in rows) or "they have left just now"

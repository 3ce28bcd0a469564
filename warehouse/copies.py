"""What becomes of a build's tables before dbt comes: a copy of the other build's, or out of its way.

A schema that has nothing of use begins as a copy of the published build, which the same code made, and is brought up to
date from there; that is less work than building everything again. Where other code made that too, all is built anew.
"""

import psycopg
from psycopg import sql

#: A build has two schemas: what is published, and the rest.
_PARTS = ("", "_staging")


def copy(conn: psycopg.Connection, origin: str, build: str) -> None:
    """Replace the tables of ``build`` by those of ``origin``: rows in their order, indexes, comments. All or nothing.

    Views are left to dbt, which makes them in a moment. Tables that only ``build`` has stay as they are, and so do
    those that views outside of the builds still read: what was published of a model that the code no longer has.

    Args:
        conn: In autocommit mode.
        origin: The build to copy; nobody writes to it meanwhile.
        build: The build that nobody reads.
    """
    with conn.transaction():
        for part in _PARTS:
            conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(build + part)))
            read = _read_from_outside(conn, build, part)
            tables = [name for name in _names(conn, origin + part, "r") if name not in read]
            for kind, word in (("v", "VIEW"), ("r", "TABLE")):
                for name in _names(conn, build + part, kind):
                    if name in tables:  # IF EXISTS: it may have gone with another one
                        here = sql.Identifier(build + part, name)
                        conn.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(word), here))
            for name in tables:
                _copy_table(conn, origin + part, build + part, name)


def set_aside(conn: psycopg.Connection, build: str, mark: str) -> None:
    """Rename the tables of ``build`` that views outside of the builds still read: a full build begins without them.

    Theirs are models that the code had lost. Where it has them again, dbt would drop the table and all views upon it.

    Args:
        conn: In autocommit mode.
        build: The build that nobody reads.
        mark: Ends the new names.
    """
    with conn.transaction():
        for part in _PARTS:
            for name in _read_from_outside(conn, build, part):
                table, aside = sql.Identifier(build + part, name), sql.Identifier(f"{name[:40]}_{mark}")
                conn.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(table, aside))


def _read_from_outside(conn: psycopg.Connection, build: str, part: str) -> set[str]:
    """Tables of a part of a build that views outside of the build read."""
    rows = conn.execute(
        """
        SELECT DISTINCT t.relname
        FROM pg_depend AS d
        INNER JOIN pg_class AS t ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
        INNER JOIN pg_rewrite AS r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
        INNER JOIN pg_class AS v ON r.ev_class = v.oid
        INNER JOIN pg_namespace AS n ON v.relnamespace = n.oid
        WHERE t.relnamespace = to_regnamespace(%s) AND t.relkind = 'r' AND n.nspname <> ALL(%s)
        """,
        [build + part, [build + one for one in _PARTS]],
    )
    return {name for (name,) in rows.fetchall()}


def _names(conn: psycopg.Connection, schema: str, kind: str) -> list[str]:
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = %s ORDER BY relname",
        [schema, kind],
    )
    return [name for (name,) in rows.fetchall()]


def _copy_table(conn: psycopg.Connection, origin: str, schema: str, name: str) -> None:
    old, new = sql.Identifier(origin, name), sql.Identifier(schema, name)
    conn.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)").format(new, old))
    # Into a table of the same transaction, and before its indexes stand: the cheapest way there is.
    conn.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(new, old))
    for (definition,) in conn.execute(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s ORDER BY indexname", [origin, name]
    ).fetchall():
        conn.execute(sql.SQL(definition.replace(f" ON {origin}.", f" ON {schema}.", 1)))
    comment = conn.execute("SELECT obj_description(%s::regclass, 'pg_class')", [f'{origin}."{name}"']).fetchone()
    if comment and comment[0]:
        conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(new, sql.Literal(comment[0])))
    conn.execute(sql.SQL("ANALYZE {}").format(new))

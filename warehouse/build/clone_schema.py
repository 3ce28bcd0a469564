"""Prepares a build schema for dbt: copies the tables of the other build, or renames tables that views still use.

A schema whose tables were built by other code starts as a copy of the published build, if that was built by the current
code, and is updated from there: less work than a full build.
"""

import psycopg
from psycopg import sql

#: A build has two schemas, named with these suffixes: published tables, and all others.
_SUFFIXES = ("", "_staging")


def copy(conn: psycopg.Connection, origin: str, build: str) -> None:
    """Replace the tables of ``build`` by copies of those of ``origin``, in one transaction.

    Copied are rows in their order, indexes and comments. Views are not: dbt creates them in a moment. Tables that only
    ``build`` has stay, and so do tables that views outside of the builds still use: of models that were removed.

    Args:
        conn: In autocommit mode.
        origin: The build to copy; nothing may write to it meanwhile.
        build: The unpublished build.
    """
    with conn.transaction():
        for schema_suffix in _SUFFIXES:
            conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(build + schema_suffix)))
            in_use = _tables_in_use(conn, build, schema_suffix)
            tables = [name for name in _names(conn, origin + schema_suffix, "r") if name not in in_use]
            for kind, keyword in (("v", "VIEW"), ("r", "TABLE")):
                for name in _names(conn, build + schema_suffix, kind):
                    if name in tables:  # IF EXISTS: CASCADE may have dropped it with another one
                        relation = sql.Identifier(build + schema_suffix, name)
                        conn.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(keyword), relation))
            for name in tables:
                _copy_table(conn, origin + schema_suffix, build + schema_suffix, name)


def rename_referenced_tables(conn: psycopg.Connection, build: str, suffix: str) -> None:
    """Rename the tables of ``build`` that views outside of the builds still use, before a full build.

    They belong to models that were removed. If such a model is added again, dbt would drop its table with all views.

    Args:
        conn: In autocommit mode.
        build: The unpublished build.
        suffix: End of the new names.
    """
    with conn.transaction():
        for schema_suffix in _SUFFIXES:
            for name in _tables_in_use(conn, build, schema_suffix):
                table, new_name = sql.Identifier(build + schema_suffix, name), sql.Identifier(f"{name[:40]}_{suffix}")
                conn.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(table, new_name))


def drop(conn: psycopg.Connection, build: str) -> None:
    """Drop all tables and views of a build that is not published.

    Tables of models that were removed, which views outside of the builds still use, stay without their rows.
    """
    with conn.transaction():
        for schema_suffix in _SUFFIXES:
            schema, in_use = build + schema_suffix, _tables_in_use(conn, build, schema_suffix)
            for kind, keyword in (("v", "VIEW"), ("r", "TABLE")):
                for name in _names(conn, schema, kind):
                    relation = sql.Identifier(schema, name)
                    if name in in_use:
                        conn.execute(sql.SQL("TRUNCATE {}").format(relation))
                    else:  # IF EXISTS: CASCADE may have dropped it with another one
                        conn.execute(sql.SQL("DROP {} IF EXISTS {} CASCADE").format(sql.SQL(keyword), relation))


def _tables_in_use(conn: psycopg.Connection, build: str, schema_suffix: str) -> set[str]:
    """Tables of one schema of a build that views outside of the build use."""
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
        [build + schema_suffix, [build + suffix for suffix in _SUFFIXES]],
    )
    return {name for (name,) in rows.fetchall()}


def _names(conn: psycopg.Connection, schema: str, kind: str) -> list[str]:
    rows = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = %s ORDER BY relname",
        [schema, kind],
    )
    return [name for (name,) in rows.fetchall()]


def _copy_table(conn: psycopg.Connection, origin: str, schema: str, name: str) -> None:
    source, target = sql.Identifier(origin, name), sql.Identifier(schema, name)
    conn.execute(sql.SQL("CREATE TABLE {} (LIKE {} INCLUDING ALL EXCLUDING INDEXES)").format(target, source))
    # Cheapest into a table that was created in the same transaction (no WAL), before its indexes exist.
    conn.execute(sql.SQL("INSERT INTO {} SELECT * FROM {}").format(target, source))
    for (definition,) in conn.execute(
        "SELECT indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s ORDER BY indexname", [origin, name]
    ).fetchall():
        conn.execute(sql.SQL(definition.replace(f" ON {origin}.", f" ON {schema}.", 1)))
    comment = conn.execute("SELECT obj_description(%s::regclass, 'pg_class')", [f'{origin}."{name}"']).fetchone()
    if comment and comment[0]:
        conn.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(target, sql.Literal(comment[0])))
    conn.execute(sql.SQL("ANALYZE {}").format(target))

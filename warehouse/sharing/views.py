"""Shares that are served as a view: schema, group role and the view behind the gate."""

from collections.abc import Iterable

import psycopg
from psycopg import sql

from warehouse.sharing import filters, names, release
from warehouse.sharing.declaration import Declaration
from warehouse.sharing.lineage import PublishedRelation

GATE = sql.SQL("FUNCTION share.gate(text)")
#: The common table expression with the rows of the resource.
_RESOURCE = sql.Identifier("resource")


def create(conn: psycopg.Connection, declared: Declaration, relation: PublishedRelation) -> None:
    """Create the schema, role and view of a share, or put the view of a new version in place of the old one."""
    name = names.schema(declared.name)
    schema, view, role = sql.Identifier(name), sql.Identifier(name, names.VIEW), sql.Identifier(name)
    if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(role))
    conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(schema))
    conn.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(view))
    conn.execute(
        sql.SQL("CREATE VIEW {} WITH (security_barrier) AS {}").format(view, _definition(conn, declared, relation))
    )
    conn.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(relation.description)))
    for column in declared.columns:
        conn.execute(
            sql.SQL("COMMENT ON COLUMN {} IS {}").format(
                sql.Identifier(name, names.VIEW, column), sql.Literal(relation.by_name[column].description)
            )
        )
    conn.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, role))
    conn.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view, role))
    # A function in a view runs with its reader's privileges. Without USAGE on the schema he cannot call it himself.
    conn.execute(sql.SQL("GRANT EXECUTE ON {} TO {}").format(GATE, role))


def _definition(conn: psycopg.Connection, declared: Declaration, relation: PublishedRelation) -> sql.Composable:
    """The query of the view. The scalar subquery makes the gate a condition that is evaluated once, before any row."""
    used = [*declared.columns, *(row.column for row in declared.rows if row.column not in declared.columns)]
    condition, parameters = filters.compile_all(declared.rows, relation.by_name, _RESOURCE)
    query = sql.SQL(
        "WITH {resource} AS NOT MATERIALIZED ({rows}) SELECT {columns} FROM {resource}"
        " WHERE (SELECT share.gate({share})) AND {condition}"
    ).format(
        resource=_RESOURCE,
        rows=rows(relation, dict.fromkeys(used)),
        columns=sql.SQL(", ").join(map(sql.Identifier, declared.columns)),
        share=sql.Literal(declared.name),
        condition=condition,
    )
    # The definition of a view takes no parameters: the driver writes them as literals.
    return sql.SQL(psycopg.ClientCursor(conn).mogrify(query, parameters))


def rows(relation: PublishedRelation, columns: Iterable[str]) -> sql.Composed:
    """A query of columns of the published rows; of a mart with suppressed cells, of the rows that shares may show."""
    if relation.hides_small_cells:
        return release.rows(relation, columns)
    schema, _, name = relation.relation.partition(".")
    return sql.SQL("SELECT {} FROM {}").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)), sql.Identifier(schema, name)
    )


def remove(conn: psycopg.Connection, share: str) -> None:
    """Drop the view, schema and group role of a share, if there are any."""
    name = names.schema(share)
    conn.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(name, names.VIEW)))
    conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {}").format(sql.Identifier(name)))
    if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchone() is None:
        return
    conn.execute(sql.SQL("REVOKE ALL ON {} FROM {}").format(GATE, sql.Identifier(name)))
    try:
        with conn.transaction():
            conn.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
    except psycopg.errors.DependentObjectsStillExist:
        pass  # another database of this server has a share of the same name

"""The roles of the people who read the warehouse, and what each of them may do.

``bi_reader`` reads ``marts``, in which small numbers of persons are suppressed. ``analyst`` and ``caseworker`` are its
members and read ``core`` as well, which has a row a person. ``analyst`` has a schema of its own, ``workspace``, for
views and tables on top of what is published. ``caseworker`` also reads ``casework`` and may open a person through
functions that write the access down first. Nobody is given anything on ``landing``, ``ops``,
``vault``'s tables or the build schemas: the stable views are read with their owner's rights.
"""

import psycopg
from psycopg import sql

from ingest.errors import WarehouseError

#: Stable schema -> the roles that read all views in it.
READERS = {"core": ("analyst", "caseworker"), "marts": ("bi_reader",), "casework": ("caseworker",)}
ROLES = ("bi_reader", "analyst", "caseworker")
WORKSPACE = "workspace"

#: Settings take effect on the role that logs in, not on the groups it is in. A query without end would hold the locks
#: that publication needs, an idle transaction even longer.
_SESSION = {
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "search_path": "marts, core, workspace",
}
_LIMITS = {
    "bi_reader": {**_SESSION, "search_path": "marts"},
    "analyst": _SESSION,
    "caseworker": {**_SESSION, "search_path": "casework, marts, core"},
}
#: What a case worker may call.
_FUNCTIONS = ("vault.ask_for_person(uuid, text)", "vault.open_person(bigint)")


def ensure(conn: psycopg.Connection) -> None:
    """Make roles, stable schemas and grants that are missing.

    Args:
        conn: In autocommit mode, as the owner of the database. On a server of your own it either may make roles
            (CREATEROLE), or its administrator has made them.

    Raises:
        WarehouseError: Roles are missing and may not be made; the message is what the administrator should run.
    """
    statements = [sql.SQL(text) for text in _role_statements(conn)]
    try:
        for statement in statements:
            conn.execute(statement)
    except psycopg.errors.DuplicateObject:
        ensure(conn)  # roles belong to the server: another database's command made them a moment ago
        return
    except psycopg.errors.InsufficientPrivilege as error:
        wanted = ";\n".join(statement.as_string(conn) for statement in statements)
        raise WarehouseError(
            f"The roles of the readers are not complete, and {conn.info.user} may not make them. "
            f"Let the server's administrator run:\n{wanted};"
        ) from error
    _schemas(conn)


def _role_statements(conn: psycopg.Connection) -> list[str]:
    """What is still to be done about the roles; nothing when they stand."""
    settings = {
        str(role): {str(entry).split("=", 1)[0] for entry in entries or ()}
        for role, entries in conn.execute(
            "SELECT r.rolname, s.setconfig FROM pg_roles AS r"
            " LEFT JOIN pg_db_role_setting AS s ON s.setrole = r.oid AND s.setdatabase = 0"
            " WHERE r.rolname = ANY(%s)",
            [list(ROLES)],
        )
    }
    members = {
        str(name)
        for (name,) in conn.execute(
            "SELECT m.member::regrole::text FROM pg_auth_members AS m WHERE m.roleid = to_regrole('bi_reader')"
        )
    }
    return [
        *(f"CREATE ROLE {role} NOLOGIN" for role in ROLES if role not in settings),
        *(f"GRANT bi_reader TO {role}" for role in ("analyst", "caseworker") if role not in members),
        *(
            f"ALTER ROLE {role} SET {name} = {value if name == 'search_path' else repr(value)}"
            for role, limits in _LIMITS.items()
            for name, value in limits.items()
            if name not in settings.get(role, ())
        ),
    ]


def _schemas(conn: psycopg.Connection) -> None:
    rights = {**dict.fromkeys(READERS, "USAGE"), WORKSPACE: "USAGE, CREATE"}
    readers = {**READERS, WORKSPACE: ("analyst",)}
    for schema, role in ((schema, role) for schema, several in readers.items() for role in several):
        # has_schema_privilege of a missing schema is an error, of a null one it is null
        (stands,) = conn.execute(
            "SELECT coalesce(has_schema_privilege(%s, to_regnamespace(%s)::oid, 'USAGE'), false)", [role, schema]
        ).fetchone() or (False,)
        if not stands:
            conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
            grant = sql.SQL("GRANT {} ON SCHEMA {} TO {}").format(
                sql.SQL(rights[schema]), sql.Identifier(schema), sql.Identifier(role)
            )
            conn.execute(grant)
    (may_open,) = conn.execute(
        "SELECT bool_and(coalesce(has_function_privilege('caseworker', to_regprocedure(name), 'EXECUTE'), true))"
        " FROM unnest(%s::text[]) AS f (name)",
        [list(_FUNCTIONS)],
    ).fetchone() or (True,)
    if not may_open:
        conn.execute("GRANT USAGE ON SCHEMA vault TO caseworker")
        conn.execute(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO caseworker").format(sql.SQL(", ".join(_FUNCTIONS))))

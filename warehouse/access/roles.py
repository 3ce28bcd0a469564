"""Roles of the people who read the warehouse, and their privileges.

``bi_reader`` reads ``marts``, in which small numbers of persons are suppressed. ``analyst`` and ``caseworker`` are its
members and also read ``core``, which has one row a person. ``analyst`` may create views and tables in the schema
``workspace``. ``caseworker`` also reads ``casework``, and may read a person's identity through functions that log the
access first; the log belongs to a role of its own (``ingest.privacy.access_log``). ``bi`` is ``bi_reader`` for logins
of people, ``steward`` also reads what the ledger says of deliveries, ``engineer`` the whole ledger but whose rows were
shared, ``auditor`` the whole ledger and who opened which person, and no figures. No role has privileges on ``landing``,
the other tables of ``vault`` or the build schemas: the stable views are read with the privileges of their owner, and
show each login its divisions (``warehouse.access.divisions``).
"""

from collections.abc import Iterable

import psycopg
from psycopg import sql
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random

from ingest import locks
from ingest.errors import WarehouseError
from warehouse.access import divisions

#: Stable schema -> the roles that read all views in it.
READERS = {"core": ("analyst", "caseworker"), "marts": ("bi_reader",), "casework": ("caseworker",)}
#: Roles that tools and people of one place log in with; they see the whole country.
ROLES = ("bi_reader", "analyst", "caseworker")
#: The roles that a login of a person is given (``warehouse.access.users``).
GROUPS = ("engineer", "steward", "analyst", "bi", "caseworker", "auditor")
#: Those that are members of ``bi_reader``.
_READ_MARTS = ("analyst", "caseworker", "bi", "engineer", "steward")
WORKSPACE = "workspace"

#: Settings of the login roles; a role does not inherit those of its groups. The timeouts limit how long a query or an
#: idle transaction can hold the locks that a publication needs.
_SESSION = {
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
    "search_path": "marts, core, workspace",
}
#: Role -> the schemas in its search path, for the logins that have it.
_SEARCH_PATH = {
    "caseworker": ("casework", "marts", "core"),
    "analyst": ("marts", "core", WORKSPACE),
    "bi": ("marts",),
    "steward": ("marts", "ops"),
    "engineer": ("marts", "ops"),
    "auditor": ("ops",),
}
_LIMITS = {
    "bi_reader": {**_SESSION, "search_path": "marts"},
    "analyst": _SESSION,
    "caseworker": {**_SESSION, "search_path": "casework, marts, core"},
}
#: What the ledger says of deliveries.
_OF_DELIVERIES = (
    *("arrival", "file", "step", "rejection", "warning", "delivery", "delivery_file", "delivery_step", "rejected_row"),
    *("row_warning", "missing_delivery", "validation_result", "publication"),
)
#: Whose rows an extract of a share has: persons, for auditors alone.
_OF_PERSONS = ("share_extract_person",)
#: Missing privileges on tables and views: role, schema, name.
_UNGRANTED = """
SELECT r.role, c.relnamespace::regnamespace::text, c.relname
FROM pg_class AS c
INNER JOIN (VALUES ('engineer'), ('steward'), ('auditor')) AS r (role) ON CASE
    WHEN c.relnamespace = to_regnamespace('vault') THEN r.role = 'auditor' AND c.relname = 'access'
    WHEN r.role = 'steward' THEN c.relname = ANY(%(of_deliveries)s)
    WHEN r.role = 'engineer' THEN c.relname <> ALL(%(of_persons)s)
    ELSE true
END
WHERE c.relnamespace = ANY(ARRAY[to_regnamespace('ops'), to_regnamespace('vault')]::oid[])
    AND c.relkind IN ('r', 'p', 'v') AND pg_has_role(c.relowner, 'USAGE')
    AND NOT (has_table_privilege(r.role, c.oid, 'SELECT') AND has_schema_privilege(r.role, c.relnamespace, 'USAGE'))
ORDER BY 1, 2, 3
"""
#: Functions that case workers may call.
_FUNCTIONS = (
    "vault.ask_for_person(uuid, text, text, text, text)",
    "vault.ask_in_emergency(uuid, text, text)",
    "vault.open_person(bigint, text)",
    "vault.open_texts(bigint)",
)


#: Errors when a command on another database of the server creates the same role: the lock below is of one database.
_CONCURRENT_CREATION = (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation, psycopg.errors.InternalError_)


@retry(
    retry=retry_if_exception_type(_CONCURRENT_CREATION),
    stop=stop_after_attempt(10),
    wait=wait_random(0, 0.3),
    reraise=True,
)
def ensure(conn: psycopg.Connection) -> None:
    """Create missing roles, stable schemas and grants. Several commands may call it at the same time.

    Args:
        conn: In autocommit mode, as the owner of the database.

    Raises:
        WarehouseError: Roles are missing and the owner may not create them (CREATEROLE). The message has the statements
            for the server's administrator.
    """
    if not _role_statements(conn) and not _schema_statements(conn):
        return
    with locks.migrating(conn):  # concurrent commands wait here and then find nothing missing
        statements = _role_statements(conn)
        try:
            for statement in statements:
                conn.execute(sql.SQL(statement))
        except psycopg.errors.InsufficientPrivilege as error:
            script = ";\n".join(statements)
            raise WarehouseError(
                f"The roles of the readers are not complete, and {conn.info.user} may not make them. "
                f"Let the server's administrator run:\n{script};"
            ) from error
        for grant in _schema_statements(conn):
            conn.execute(grant)


def _role_statements(conn: psycopg.Connection) -> list[str]:
    """Statements that create missing roles, memberships and settings; none when all exist."""
    settings = {
        str(role): {str(entry).split("=", 1)[0] for entry in entries or ()}
        for role, entries in conn.execute(
            "SELECT r.rolname, s.setconfig FROM pg_roles AS r"
            " LEFT JOIN pg_db_role_setting AS s ON s.setrole = r.oid AND s.setdatabase = 0"
            " WHERE r.rolname = ANY(%s)",
            [[*ROLES, *GROUPS]],
        )
    }
    members = {
        str(name)
        for (name,) in conn.execute(
            "SELECT m.member::regrole::text FROM pg_auth_members AS m WHERE m.roleid = to_regrole('bi_reader')"
        )
    }
    return [
        *(f"CREATE ROLE {role} NOLOGIN" for role in dict.fromkeys((*ROLES, *GROUPS)) if role not in settings),
        *(f"GRANT bi_reader TO {role}" for role in _READ_MARTS if role not in members),
        *(
            f"ALTER ROLE {role} SET {name} = {value if name == 'search_path' else repr(value)}"
            for role, limits in _LIMITS.items()
            for name, value in limits.items()
            if name not in settings.get(role, ())
        ),
    ]


def _schema_statements(conn: psycopg.Connection) -> list[sql.SQL | sql.Composed]:
    """Statements that create missing schemas and grants, given that all roles exist; none when all is granted."""
    rights = {**dict.fromkeys(READERS, "USAGE"), WORKSPACE: "USAGE, CREATE"}
    readers = {**READERS, WORKSPACE: ("analyst",)}
    statements: list[sql.SQL | sql.Composed] = []
    for schema, role in ((schema, role) for schema, schema_roles in readers.items() for role in schema_roles):
        # has_schema_privilege raises an error for a missing schema, and returns null for a null one.
        (is_granted,) = conn.execute(
            "SELECT coalesce(has_schema_privilege(%s, to_regnamespace(%s)::oid, 'USAGE'), false)", [role, schema]
        ).fetchone() or (False,)
        if not is_granted:
            statements += [
                sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)),
                sql.SQL("GRANT {} ON SCHEMA {} TO {}").format(
                    sql.SQL(rights[schema]), sql.Identifier(schema), sql.Identifier(role)
                ),
            ]
    (may_open,) = conn.execute(
        "SELECT bool_and(coalesce(has_function_privilege('caseworker', to_regprocedure(name), 'EXECUTE'), true))"
        " FROM unnest(%s::text[]) AS f (name)",
        [list(_FUNCTIONS)],
    ).fetchone() or (True,)
    if not may_open:
        statements += [
            sql.SQL("GRANT USAGE ON SCHEMA vault TO caseworker"),
            sql.SQL("GRANT EXECUTE ON FUNCTION {} TO caseworker").format(sql.SQL(", ".join(_FUNCTIONS))),
        ]
    return [*statements, *_ledger_statements(conn), *_country_statements(conn)]


def _ledger_statements(conn: psycopg.Connection) -> list[sql.SQL | sql.Composed]:
    """Grants on the ledger that are missing: a migration may have made new tables."""
    ungranted = conn.execute(
        _UNGRANTED, {"of_deliveries": list(_OF_DELIVERIES), "of_persons": list(_OF_PERSONS)}
    ).fetchall()
    schemas = dict.fromkeys((role, schema) for role, schema, _ in ungranted)
    return [
        *(sql.SQL("GRANT USAGE ON SCHEMA {1} TO {0}").format(*map(sql.Identifier, pair)) for pair in schemas),
        *(
            sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(schema, name), sql.Identifier(role))
            for role, schema, name in ungranted
        ),
    ]


def _country_statements(conn: psycopg.Connection) -> list[sql.SQL | sql.Composed]:
    """Let the logins of before, and the owner, see the whole country where nothing says which divisions they see."""
    unknown = conn.execute(
        "SELECT login FROM unnest(%s::text[] || session_user::text) AS l (login)"
        " WHERE login NOT IN (SELECT login FROM ops.login_division)",
        [list(ROLES)],
    ).fetchall()
    return [
        sql.SQL("INSERT INTO ops.login_division (login, divisions) VALUES ({}, {}) ON CONFLICT DO NOTHING").format(
            sql.Literal(login), sql.Literal([divisions.COUNTRY])
        )
        for (login,) in unknown
    ]


def session_settings(groups: Iterable[str]) -> dict[str, str]:
    """Settings of a login that is a member of groups: it does not inherit theirs."""
    chosen = set(groups)
    path = dict.fromkeys(schema for group in _SEARCH_PATH if group in chosen for schema in _SEARCH_PATH[group])
    return {**_SESSION, "search_path": ", ".join(path)}

"""Logins of people: roles of the database with membership in groups and with divisions of which they see the rows.

A login is never dropped, because tables in ``workspace`` may be its own; one that was removed may no longer log in.
"""

import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from ingest.errors import WarehouseError
from warehouse.access import roles

#: Names that need no quotes anywhere; PostgreSQL keeps those that begin with pg_ for itself.
_NAME = re.compile(r"(?!pg_)[a-z][a-z0-9_]{0,62}", re.ASCII)


@dataclass(frozen=True)
class User:
    """A login that was made here: its groups and divisions."""

    login: str
    roles: list[str]
    divisions: list[str]


def add(conn: psycopg.Connection, login: str, groups: Sequence[str], divisions: Sequence[str], by: str) -> str:
    """Make a login, or give one back that was removed, with a new password.

    Args:
        conn: In autocommit mode, as the owner of the warehouse, who may create roles.
        login: Its name.
        groups: One or more of ``roles.GROUPS``.
        divisions: Beginnings of division codes (``divisions.parse``).
        by: Who makes it, for the ledger.

    Returns:
        The password, which is kept nowhere.

    Raises:
        WarehouseError: The name or a group is none, a role of that name exists, or the owner may not do this.
    """
    _check_groups(groups)
    if not _NAME.fullmatch(login):
        raise WarehouseError(
            f"{login!r} cannot be the name of a login: write small letters, digits and _, a letter first, 63 at most."
        )
    password = secrets.token_urlsafe(24)
    # The hash is computed here (SCRAM, 4096 iterations), so that the password reaches no log of the server.
    verifier = conn.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
    role = sql.Identifier(login)
    with _allowed(conn, groups), conn.transaction():
        exists = conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone() is not None
        if exists and _last_change(conn, login) != "removed":
            raise WarehouseError(
                f"There is a role {login} already: choose another name, or `warehouse user remove {login}` first."
            )
        verb = sql.SQL("ALTER" if exists else "CREATE")
        conn.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, role, sql.Literal(verifier)))
        conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))  # who removes it may end its sessions
        for group in groups:
            conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), role))
        for name, value in roles.session_settings(groups).items():
            shown = sql.SQL(value) if name == "search_path" else sql.Literal(value)
            conn.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(name), shown))
        conn.execute(
            "INSERT INTO ops.login_division (login, divisions) VALUES (%s, %s)"
            " ON CONFLICT (login) DO UPDATE SET divisions = excluded.divisions",
            [login, list(divisions)],
        )
        _note(conn, login, "added", groups, divisions, by)
    return password


def change_divisions(conn: psycopg.Connection, login: str, divisions: Sequence[str], by: str) -> None:
    """Let a login see other divisions, from its next query on.

    Any role of the server may be named, so that logins whose passwords are kept elsewhere have divisions too.

    Raises:
        WarehouseError: There is no such role.
    """
    with conn.transaction():
        if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone() is None:
            raise WarehouseError(f"There is no login {login}: `warehouse user list` shows those there are.")
        conn.execute(
            "INSERT INTO ops.login_division (login, divisions) VALUES (%s, %s)"
            " ON CONFLICT (login) DO UPDATE SET divisions = excluded.divisions",
            [login, list(divisions)],
        )
        _note(conn, login, "changed", _groups_of(conn, login), divisions, by)


def remove(conn: psycopg.Connection, login: str, by: str) -> int:
    """Take everything from a login that was made here, and end its sessions; returns of how many.

    Raises:
        WarehouseError: It was not made here, or was removed before.
    """
    if _last_change(conn, login, made_here=True) in (None, "removed"):
        raise WarehouseError(f"There is no login {login} that was made here: `warehouse user list` shows them.")
    role, groups = sql.Identifier(login), _groups_of(conn, login)
    with _allowed(conn, groups), conn.transaction():
        if conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [login]).fetchone() is not None:
            conn.execute(sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(role))
            for group in groups:
                conn.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), role))
        conn.execute("DELETE FROM ops.login_division WHERE login = %s", [login])
        _note(conn, login, "removed", (), (), by)
    row = conn.execute(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE usename = %s", [login]
    ).fetchone()
    return int(row[0]) if row else 0


def listed(conn: psycopg.Connection) -> list[User]:
    """The logins that have divisions, by name, with the groups that each is a member of."""
    with conn.cursor(row_factory=class_row(User)) as cursor:
        cursor.execute(
            """
            SELECT d.login::text, d.divisions, ARRAY(
                SELECT g.rolname::text FROM pg_auth_members AS m
                INNER JOIN pg_roles AS g ON m.roleid = g.oid INNER JOIN pg_roles AS l ON m.member = l.oid
                WHERE l.rolname = d.login AND g.rolname = ANY(%s) ORDER BY g.rolname
            ) AS roles
            FROM ops.login_division AS d ORDER BY d.login
            """,
            [[*roles.ROLES, *roles.GROUPS]],
        )
        return cursor.fetchall()


def _check_groups(groups: Sequence[str]) -> None:
    unknown = [group for group in groups if group not in roles.GROUPS]
    if unknown or not groups:
        named = ", ".join(map(repr, unknown)) or "Nothing"
        raise WarehouseError(f"{named} is no role of people: name {', '.join(roles.GROUPS)} with --role.")


def _groups_of(conn: psycopg.Connection, login: str) -> list[str]:
    rows = conn.execute(
        "SELECT DISTINCT g.rolname::text FROM pg_auth_members AS m INNER JOIN pg_roles AS g ON m.roleid = g.oid"
        " INNER JOIN pg_roles AS l ON m.member = l.oid WHERE l.rolname = %s AND g.rolname = ANY(%s) ORDER BY 1",
        [login, list(roles.GROUPS)],
    )
    return [name for (name,) in rows.fetchall()]


def _last_change(conn: psycopg.Connection, login: str, *, made_here: bool = False) -> str | None:
    """The last change of a login, None for none. ``made_here``: none, too, where it was never added."""
    row = conn.execute(
        "SELECT change, bool_or(change = 'added') OVER () FROM ops.login_change WHERE login = %s"
        " ORDER BY change_id DESC LIMIT 1",
        [login],
    ).fetchone()
    return None if row is None or (made_here and not row[1]) else str(row[0])


def _note(
    conn: psycopg.Connection, login: str, change: str, groups: Sequence[str], divisions: Sequence[str], by: str
) -> None:
    conn.execute(
        "INSERT INTO ops.login_change (login, change, roles, divisions, by) VALUES (%s, %s, %s, %s, %s)",
        [login, change, list(groups), list(divisions), by],
    )


@contextmanager
def _allowed(conn: psycopg.Connection, groups: Sequence[str]) -> Iterator[None]:
    """Turn the server's refusal into a sentence with what its administrator should run."""
    try:
        yield
    except psycopg.errors.InsufficientPrivilege as error:
        owner = conn.info.user
        raise WarehouseError(
            f"{owner} may not give roles to logins. Let the server's administrator run:\n"
            f'ALTER ROLE "{owner}" CREATEROLE;\nGRANT {", ".join(groups)} TO "{owner}" WITH ADMIN OPTION;'
        ) from error

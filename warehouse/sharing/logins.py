"""The logins of a share: roles of the database, made for a recipient and ended with the share."""

import secrets
from datetime import date, timedelta

import psycopg
from psycopg import sql

from warehouse.access import divisions, roles
from warehouse.sharing import names

CONNECTION_LIMIT = 4
#: Settings of a login. Not default_transaction_read_only: the gate notes the access.
_SESSION = {"statement_timeout": "60s", "idle_in_transaction_session_timeout": "60s"}


def create(conn: psycopg.Connection, share: str, version: int, until: date, by: str) -> tuple[str, str]:
    """Make a login that may read the view of a share until its end; returns its name and password."""
    login = _free_name(conn, share)
    role, group, password = sql.Identifier(login), names.schema(share), secrets.token_urlsafe(24)
    with conn.transaction():
        _deny_temporary_tables(conn)
        # The hash is computed here, so that the password reaches no log of the server.
        verifier = conn.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
        conn.execute(
            sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} VALID UNTIL {} CONNECTION LIMIT {} IN ROLE {}").format(
                role,
                sql.Literal(verifier),
                sql.Literal(_end(until)),
                sql.Literal(CONNECTION_LIMIT),
                sql.Identifier(group),
            )
        )
        # Whoever looks after the shares may end its sessions.
        conn.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
        for name, value in {**_SESSION, "search_path": group}.items():
            conn.execute(sql.SQL("ALTER ROLE {} SET {} = {}").format(role, sql.Identifier(name), sql.Literal(value)))
        # The view of the share chooses its rows itself.
        conn.execute("INSERT INTO ops.login_division (login, divisions) VALUES (%s, %s)", [login, [divisions.COUNTRY]])
        conn.execute(
            "INSERT INTO ops.share_login (login, name, version, created_by) VALUES (%s, %s, %s, %s)",
            [login, share, version, by],
        )
    return login, password


def prolong(conn: psycopg.Connection, share: str, until: date) -> None:
    """Let the logins of a share last as long as its new version."""
    for login in _open(conn, share):
        conn.execute(sql.SQL("ALTER ROLE {} VALID UNTIL {}").format(sql.Identifier(login), sql.Literal(_end(until))))


def end(conn: psycopg.Connection, share: str) -> None:
    """Let nobody log in for a share any more."""
    for login in _open(conn, share):
        conn.execute(sql.SQL("ALTER ROLE {} NOLOGIN").format(sql.Identifier(login)))
        conn.execute("DELETE FROM ops.login_division WHERE login = %s", [login])
    conn.execute(
        "UPDATE ops.share_login SET ended_at = clock_timestamp() WHERE name = %s AND ended_at IS NULL", [share]
    )


def end_sessions(conn: psycopg.Connection, share: str) -> int:
    """End the sessions of all logins that a share ever had; returns of how many."""
    row = conn.execute(
        "SELECT count(pg_terminate_backend(a.pid, 5000)) FROM pg_stat_activity AS a"
        " INNER JOIN ops.share_login AS l ON a.usename = l.login WHERE l.name = %s AND a.datname = current_database()",
        [share],
    ).fetchone()
    return int(row[0]) if row else 0


def _open(conn: psycopg.Connection, share: str) -> list[str]:
    rows = conn.execute(
        "SELECT l.login FROM ops.share_login AS l INNER JOIN pg_roles AS r ON r.rolname = l.login"
        " WHERE l.name = %s AND l.ended_at IS NULL ORDER BY l.login",
        [share],
    )
    return [login for (login,) in rows.fetchall()]


def _free_name(conn: psycopg.Connection, share: str) -> str:
    """The first name that no role of the server has: another database may have a share of the same name."""
    number = 1
    while conn.execute("SELECT FROM pg_roles WHERE rolname = %s", [names.login(share, number)]).fetchone() is not None:
        number += 1
    return names.login(share, number)


def _end(until: date) -> str:
    """The first instant after a day in China, which has no summer time."""
    return f"{until + timedelta(days=1)} 00:00:00+08"


def _deny_temporary_tables(conn: psycopg.Connection) -> None:
    """Temporary tables are for the roles of this house; PostgreSQL allows them to everybody."""
    row = conn.execute(
        "SELECT current_database(), EXISTS (SELECT FROM pg_database AS d,"
        " aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS a"
        " WHERE d.datname = current_database() AND a.grantee = 0 AND a.privilege_type = 'TEMPORARY')"
    ).fetchone()
    if row is None or not row[1]:
        return
    database = sql.Identifier(row[0])
    conn.execute(
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(
            database, sql.SQL(", ").join(map(sql.Identifier, roles.ROLES))
        )
    )
    conn.execute(sql.SQL("REVOKE TEMPORARY ON DATABASE {} FROM PUBLIC").format(database))

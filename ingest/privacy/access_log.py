"""The access log of the vault: entries that are only added, chained by hashes.

It belongs to the role ``vault_log``, which nobody logs in as: neither who opens persons nor the owner of the warehouse,
who loads and builds, can change or remove an entry. Members of the role ``auditor`` read it.
"""

import csv
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from ingest.errors import WarehouseError

OWNER, READER = "vault_log", "auditor"
_PACKAGE = resources.files("ingest.privacy")


@dataclass(frozen=True)
class Purpose:
    """A purpose for which a person may be opened, or a ground on which one may be erased."""

    code: str
    label_en: str
    label_zh: str


@dataclass(frozen=True)
class Entry:
    """An entry of the log as people read it."""

    entry_id: int
    event: str
    at: datetime
    login: str
    os_user: str | None
    client: object
    person_key: UUID | None
    case_number: str | None
    purpose: str | None
    note: str | None
    is_emergency: bool
    request_id: int | None


@dataclass(frozen=True)
class Head:
    """The last entry of the log, as it was at some time."""

    entry_id: int
    hash: str  # hexadecimal


def purposes() -> list[Purpose]:
    """The purposes, from ``purposes.csv``."""
    return _listed("purposes.csv")


def erasure_grounds() -> list[Purpose]:
    """The legal grounds on which a person may be erased, from ``erasure_grounds.csv``."""
    return _listed("erasure_grounds.csv")


def _listed(name: str) -> list[Purpose]:
    lines = _PACKAGE.joinpath(name).read_text(encoding="utf-8").splitlines()
    return [Purpose(**row) for row in csv.DictReader(lines)]


# --- its place in the database ---------------------------------------------------------------------------------------


def definition() -> str:
    """What the schema is made of; another text is another version."""
    return repr((_PACKAGE.joinpath("access_log.sql").read_text(encoding="utf-8"), purposes()))


def migrate(conn: psycopg.Connection) -> None:
    """Bring the log's schema to this version; does nothing where it is.

    Args:
        conn: The owner of the warehouse, in a transaction. He acts as ``vault_log`` for this transaction only.

    Raises:
        WarehouseError: He may not create the roles or act as one; the message has the administrator's statements.
    """
    version = hashlib.sha256(definition().encode()).hexdigest()
    if _version(conn) == version:
        return
    (user,) = conn.execute("SELECT current_user::text").fetchone()  # type: ignore[misc]
    builder = sql.Identifier(user)
    was_granted = _ensure_roles(conn, builder)
    conn.execute(f"CREATE SCHEMA IF NOT EXISTS audit AUTHORIZATION {OWNER}")
    conn.execute(f"SET LOCAL ROLE {OWNER}")
    conn.execute(_PACKAGE.joinpath("access_log.sql").read_bytes())
    conn.execute("DELETE FROM audit.purpose")
    conn.cursor().executemany(
        "INSERT INTO audit.purpose (code, label_en, label_zh) VALUES (%s, %s, %s)",
        [(purpose.code, purpose.label_en, purpose.label_zh) for purpose in purposes()],
    )
    conn.execute(
        "INSERT INTO audit.setting (name, value) VALUES ('version', %s)"
        " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        [version],
    )
    for grant in (
        "USAGE ON SCHEMA audit",
        "SELECT ON ALL TABLES IN SCHEMA audit",
        "EXECUTE ON FUNCTION audit.digest, audit.request, audit.request_in_emergency, audit.open,"
        " audit.open_for_share, audit.erasure, audit.openings_per_day, audit.set_openings_per_day",
    ):
        conn.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(grant), builder))
    conn.execute("SET LOCAL ROLE NONE")
    if was_granted:
        conn.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(OWNER), builder))


def _version(conn: psycopg.Connection) -> str | None:
    if conn.execute("SELECT to_regclass('audit.setting')").fetchone() == (None,):
        return None
    row = conn.execute("SELECT value FROM audit.setting WHERE name = 'version'").fetchone()
    return row[0] if row else None


def _ensure_roles(conn: psycopg.Connection, user: sql.Identifier) -> bool:
    """Create missing roles and see that the user can act as the log's owner; whether that had to be granted."""
    try:
        for role in (OWNER, READER):
            if conn.execute("SELECT to_regrole(%s)", [role]).fetchone() == (None,):
                # a command on another database of the server may create it at the same time
                with suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation), conn.transaction():
                    conn.execute(f"CREATE ROLE {role} NOLOGIN")
        if _can_act_as_owner(conn):
            return False
        conn.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(OWNER), user))
    except psycopg.errors.InsufficientPrivilege as error:
        name = user.as_string(None)
        raise WarehouseError(
            f"The access log of the vault belongs to the role {OWNER}, and {name} may not make or act as it. "
            f"Let the server's administrator run, as far as the roles are missing:\nCREATE ROLE {OWNER} NOLOGIN;\n"
            f"CREATE ROLE {READER} NOLOGIN;\nGRANT {OWNER} TO {name};\n"
            f"then run the command again, and then: REVOKE {OWNER} FROM {name};"
        ) from error
    return True


def _can_act_as_owner(conn: psycopg.Connection) -> bool:
    try:
        with conn.transaction():
            conn.execute(f"SET LOCAL ROLE {OWNER}")
            conn.execute("SET LOCAL ROLE NONE")
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def ensure_limit(conn: psycopg.Connection, openings: int, os_user: str) -> None:
    """Set how many persons a login may open on a day; a change is an entry of the log."""
    if conn.execute("SELECT audit.openings_per_day()").fetchone() != (openings,):
        conn.execute("SELECT audit.set_openings_per_day(%s, %s)", [openings, os_user])


# --- reading and checking --------------------------------------------------------------------------------------------


def entries(conn: psycopg.Connection, person_key: UUID | None = None, last: int = 50) -> list[Entry]:
    """The last entries, of one person or all, oldest first."""
    with conn.cursor(row_factory=class_row(Entry)) as cursor:
        found = cursor.execute(
            "SELECT entry_id, event, at, login, os_user, client, person_key, case_number, purpose, note, is_emergency,"
            " request_id FROM audit.entry WHERE %s::uuid IS NULL OR person_key = %s ORDER BY entry_id DESC LIMIT %s",
            [person_key, person_key, last],
        ).fetchall()
    return found[::-1]


def first_fault(conn: psycopg.Connection, noted: Head | None = None) -> str | None:
    """What is wrong with the log, by its first broken entry; None where the chain is whole.

    Args:
        conn: Who may read the log.
        noted: The head at an earlier check, kept outside the database. Only it shows that the last entries were cut
            off, or that all were written anew.
    """
    row = conn.execute(
        """
        SELECT entry_id, number, previous <> before, hash <> computed FROM (
            SELECT e.entry_id, row_number() OVER chain AS number, e.previous, e.hash, audit.digest(e) AS computed,
                lag(e.hash, 1, '') OVER chain AS before
            FROM audit.entry AS e WINDOW chain AS (ORDER BY e.entry_id)
        ) AS linked
        WHERE entry_id <> number OR previous <> before OR hash <> computed
        ORDER BY entry_id LIMIT 1
        """
    ).fetchone()
    if row is not None:
        entry, number, is_unlinked, is_changed = row
        if entry != number:
            return f"entry {number} is missing"
        if is_changed:
            return f"entry {entry} was changed"
        if is_unlinked:
            return f"entry {entry} does not follow entry {entry - 1}, which was changed"
    if noted is not None:
        found = conn.execute("SELECT encode(hash, 'hex') FROM audit.entry WHERE entry_id = %s", [noted.entry_id])
        here = found.fetchone()
        if here is None:
            return f"entry {noted.entry_id} is missing: it was the last one at the check before"
        if here[0] != noted.hash:
            return f"entry {noted.entry_id} is not the one that it was at the check before"
    return None


def head(conn: psycopg.Connection) -> Head | None:
    """The last entry; None while there is none."""
    row = conn.execute(
        "SELECT entry_id, encode(hash, 'hex') FROM audit.entry ORDER BY entry_id DESC LIMIT 1"
    ).fetchone()
    return Head(*row) if row else None


def read_head(path: Path) -> Head | None:
    """The head that an earlier check has noted in a file; None before the first.

    Raises:
        WarehouseError: The file is not one that a check has written.
    """
    try:
        return Head(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise WarehouseError(
            f"{path} does not hold an entry and its hash. Put back the file, or move it away and check anew."
        ) from None

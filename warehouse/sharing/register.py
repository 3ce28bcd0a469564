"""The register of shares in the ledger: rows of ``ops.share``, and every step in ``ops.share_step``."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from warehouse.sharing.codes import ShareCode, ShareFinding
from warehouse.sharing.declaration import Declaration, DeclarationFile, parse

#: States in which a version may still be served or become so.
LIVE = ("declared", "approved", "open", "refused", "changed")
#: States that nothing ends but a new version.
ENDED = ("expired", "revoked")
#: The step that a change to a state is. Approvals are steps of their own (``approve``).
_STEPS = {"open": "opened", "refused": "refused", "changed": "changed", "expired": "expired", "revoked": "revoked"}
#: Columns of ops.share that come from the declaration; empty where it cannot be read.
_DECLARED = (
    *("recipient", "uscc", "admdvs", "purpose", "basis", "attribute", "resource", "columns", "rows", "persons"),
    *("valid_from", "valid_until", "serve", "declaration"),
)
ZONE = "Asia/Shanghai"


@dataclass(frozen=True)
class ShareRow:
    """One version of a share as the ledger has it. ``declared_on`` is the day of the last declaration."""

    name: str
    version: int
    state: str
    file_hash: str
    codes: list[str]
    valid_from: date | None
    valid_until: date | None
    content: dict[str, Any] | None
    declared_on: date

    @property
    def declaration(self) -> Declaration | None:
        """What was declared; None where it could not be read."""
        return parse(self.content) if self.content is not None else None


@dataclass(frozen=True)
class Approval:
    """Somebody approved a file."""

    by: str
    document: str


def today(conn: psycopg.Connection) -> date:
    """The day by the database's clock, in China."""
    row = conn.execute("SELECT (clock_timestamp() AT TIME ZONE %s)::date", [ZONE]).fetchone()
    assert row is not None  # noqa: S101 a query without FROM has one row
    day: date = row[0]
    return day


def rows(conn: psycopg.Connection, name: str | None = None) -> list[ShareRow]:
    """The versions of one share, or of all, by name and version."""
    with conn.cursor(row_factory=class_row(ShareRow)) as cursor:
        cursor.execute(
            """
            SELECT s.name, s.version, s.state, s.file_hash, s.codes, s.valid_from, s.valid_until,
                s.declaration AS content, d.declared_on
            FROM ops.share AS s
            CROSS JOIN LATERAL (
                SELECT max((t.at AT TIME ZONE %(zone)s)::date) AS declared_on FROM ops.share_step AS t
                WHERE t.name = s.name AND t.version = s.version AND t.step = 'declared'
            ) AS d
            WHERE %(name)s::text IS NULL OR s.name = %(name)s
            ORDER BY s.name, s.version
            """,
            {"zone": ZONE, "name": name},
        )
        return cursor.fetchall()


def declare(conn: psycopg.Connection, file: DeclarationFile, version: int, by: str) -> None:
    """Write a declaration down, or its draft again: a version that nobody has approved yet may still be changed."""
    values: dict[str, Any] = dict.fromkeys(_DECLARED) | {"name": file.name, "version": version, "file_hash": file.hash}
    if (declared := file.declaration) is not None:
        values |= {
            "recipient": declared.recipient.name,
            "uscc": declared.recipient.uscc,
            "admdvs": declared.recipient.admdvs,
            "purpose": declared.purpose,
            "basis": Jsonb(declared.content["basis"]),
            "attribute": declared.attribute,
            "resource": declared.resource,
            "columns": list(declared.columns),
            "rows": Jsonb(declared.content["rows"]),
            "persons": declared.persons,
            "valid_from": declared.valid_from,
            "valid_until": declared.valid_until,
            "serve": Jsonb(declared.content["serve"]),
            "declaration": Jsonb(declared.content),
        }
    conn.execute(
        """
        INSERT INTO ops.share (name, version, recipient, uscc, admdvs, purpose, basis, attribute, resource,
            columns, rows, persons, valid_from, valid_until, serve, declaration, file_hash, state)
        VALUES (%(name)s, %(version)s, %(recipient)s, %(uscc)s, %(admdvs)s, %(purpose)s, %(basis)s, %(attribute)s,
            %(resource)s, %(columns)s, %(rows)s, %(persons)s, %(valid_from)s, %(valid_until)s, %(serve)s,
            %(declaration)s, %(file_hash)s, 'declared')
        ON CONFLICT (name, version) DO UPDATE SET recipient = excluded.recipient, uscc = excluded.uscc,
            admdvs = excluded.admdvs, purpose = excluded.purpose, basis = excluded.basis,
            attribute = excluded.attribute, resource = excluded.resource, columns = excluded.columns,
            rows = excluded.rows, persons = excluded.persons, valid_from = excluded.valid_from,
            valid_until = excluded.valid_until, serve = excluded.serve, declaration = excluded.declaration,
            file_hash = excluded.file_hash, state = excluded.state
        """,
        values,
    )
    add_step(conn, file.name, version, "declared", by, {"file_hash": file.hash})


def add_step(
    conn: psycopg.Connection,
    name: str,
    version: int,
    step: str,
    by: str,
    detail: dict[str, Any] | None = None,
    document: str | None = None,
) -> None:
    """Write down that something happened to a share."""
    conn.execute(
        "INSERT INTO ops.share_step (name, version, step, by, document, detail) VALUES (%s, %s, %s, %s, %s, %s)",
        [name, version, step, by, document, Jsonb(detail or {})],
    )


def set_state(
    conn: psycopg.Connection,
    row: ShareRow,
    state: str,
    findings: Sequence[ShareFinding],
    by: str,
    detail: dict[str, Any] | None = None,
) -> None:
    """Set the state and codes of a version; a change of state is a step."""
    codes = sorted({finding.code.value for finding in findings})
    conn.execute(
        "UPDATE ops.share SET state = %s, codes = %s WHERE name = %s AND version = %s"
        " AND (state, codes) IS DISTINCT FROM (%s, %s::text[])",
        [state, codes, row.name, row.version, state, codes],
    )
    if state != row.state and state in _STEPS:
        add_step(conn, row.name, row.version, _STEPS[state], by, {"codes": codes, **(detail or {})})


def approvals(conn: psycopg.Connection, name: str, version: int, file_hash: str | None = None) -> list[Approval]:
    """Who has approved a version, of one content or of any, in the order of time."""
    found = conn.execute(
        "SELECT by, document FROM ops.share_step WHERE name = %s AND version = %s AND step = 'approved'"
        " AND (%s::text IS NULL OR detail ->> 'file_hash' = %s) ORDER BY step_id",
        [name, version, file_hash, file_hash],
    )
    return [Approval(by, document or "") for by, document in found]


def declarer(conn: psycopg.Connection, name: str, version: int) -> str:
    """Who declared the content of a version that stands."""
    row = conn.execute(
        "SELECT by FROM ops.share_step WHERE name = %s AND version = %s AND step = 'declared'"
        " ORDER BY step_id DESC LIMIT 1",
        [name, version],
    ).fetchone()
    return row[0] if row else ""


def missing_approval(declared: Declaration, approved: Sequence[Approval], declared_by: str) -> ShareFinding | None:
    """What is missing of the approvals of a declaration, None if nothing is."""
    persons = {approval.by.strip().casefold() for approval in approved}
    others = persons - {declared_by.strip().casefold()}
    message = None
    if declared.persons == "identified":
        if len(persons) < 2:
            message = f"identified: two different persons approve it, {len(persons)} did"
    elif not persons:
        message = "nobody has approved it"
    elif declared.attribute == "conditional" and not others:
        message = f"conditional: another person than {declared_by}, who declared it, approves it"
    return ShareFinding(ShareCode.APPROVAL, message) if message else None

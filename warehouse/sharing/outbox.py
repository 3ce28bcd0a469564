"""The outbox: extracts in the ledger and as files, until they are fetched and the share ends."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import psycopg
from cryptography.hazmat.primitives.hashes import SM3, Hash
from psycopg import sql
from psycopg.rows import class_row

from warehouse import whole_file
from warehouse.sharing import register
from warehouse.sharing.declaration import Declaration

MANIFEST = "datapackage.json"
#: A recipient's transfer service leaves a file of this name beside the package when it has been fetched.
FETCHED = "fetched"
CHINA = ZoneInfo(register.ZONE)


@dataclass(frozen=True)
class Extract:
    """An extract as the ledger has it."""

    name: str
    version: int
    publication: int
    path: str
    rows: int
    persons: int
    bytes: int
    sha256: str
    sm3: str


def find(conn: psycopg.Connection, declared: Declaration, publication: int) -> Extract | None:
    """The extract of a share version and publication, None where none was written or it was removed."""
    with conn.cursor(row_factory=class_row(Extract)) as cursor:
        return cursor.execute(
            "SELECT name, version, publication, path, rows, persons, bytes, sha256, sm3 FROM ops.share_extract"
            " WHERE name = %s AND version = %s AND publication = %s AND removed_at IS NULL",
            [declared.name, declared.version, publication],
        ).fetchone()


def may_be_written(conn: psycopg.Connection, declared: Declaration) -> bool:
    """Whether today is one of the days of a share that is served as extracts."""
    return declared.serve_as == "extract" and declared.valid_from <= register.today(conn) <= declared.valid_until


def is_due(conn: psycopg.Connection, declared: Declaration) -> bool:
    """Whether an extract is to be written today: the first of its month or quarter, or the only one."""
    if not may_be_written(conn, declared):
        return False
    begin = {
        "month": "date_trunc('month', clock_timestamp() AT TIME ZONE %(zone)s)",
        "quarter": "date_trunc('quarter', clock_timestamp() AT TIME ZONE %(zone)s)",
        "once": "'-infinity'::timestamp",
    }[str(declared.every)]
    row = conn.execute(
        sql.SQL(
            "SELECT EXISTS (SELECT FROM ops.share_extract WHERE name = %(name)s AND version = %(version)s"
            " AND written_at AT TIME ZONE %(zone)s >= {})"
        ).format(sql.SQL(begin)),
        {"zone": register.ZONE, "name": declared.name, "version": declared.version},
    ).fetchone()
    return row == (False,)


def digests(path: Path) -> tuple[str, str]:
    """SHA-256 and SM3 of a file."""
    sha256, sm3 = hashlib.sha256(), Hash(SM3())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha256.update(block)
            sm3.update(block)
    return sha256.hexdigest(), sm3.finalize().hex()


def record(conn: psycopg.Connection, extract: Extract, persons: Sequence[UUID], by: str) -> None:
    """Write the extract and its persons to the ledger, before its files appear."""
    with conn.transaction():
        conn.execute(
            "INSERT INTO ops.share_extract AS e"
            " (name, version, publication, path, rows, persons, bytes, sha256, sm3)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (name, version, publication) DO UPDATE"
            " SET path = excluded.path, rows = excluded.rows, persons = excluded.persons, bytes = excluded.bytes,"
            " sha256 = excluded.sha256, sm3 = excluded.sm3, written_at = clock_timestamp(), removed_at = NULL",
            list(vars(extract).values()),
        )
        conn.execute(
            "INSERT INTO ops.share_extract_person (name, version, publication, person_key)"
            " SELECT %s, %s, %s, w.person_key FROM unnest(%s::uuid[]) AS w (person_key) ON CONFLICT DO NOTHING",
            [extract.name, extract.version, extract.publication, list(persons)],
        )
        detail = {"publication": extract.publication, "rows": extract.rows, "path": extract.path}
        register.add_step(conn, extract.name, extract.version, "written", by, detail)


def move_into_place(folder: Path, part: Path, manifest: dict[str, Any]) -> None:
    """Give the data its name, and write the manifest last: without it a package is not complete."""
    (folder / MANIFEST).unlink(missing_ok=True)
    part.replace(folder / manifest["resources"][0]["path"])
    whole_file.write_text(folder / MANIFEST, json.dumps(manifest, ensure_ascii=False, indent=2) + "\n")


def is_intact(folder: Path, extract: Extract) -> bool:
    """Whether the files of an extract are there as they were written."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        data = folder / manifest["resources"][0]["path"]
        return manifest["version"] == str(extract.version) and digests(data)[0] == extract.sha256
    except (OSError, ValueError, KeyError):
        return False


def remove_ended(conn: psycopg.Connection, outbox: Path) -> list[str]:
    """Take the extracts of ended shares out of the outbox; returns their paths."""
    rows = conn.execute(
        "SELECT e.name, e.version, e.publication, e.path FROM ops.share_extract AS e"
        " INNER JOIN ops.share AS s USING (name, version)"
        " WHERE s.state = ANY(%s) AND e.removed_at IS NULL ORDER BY e.path",
        [list(register.ENDED)],
    ).fetchall()
    for name, version, publication, path in rows:
        _remove(outbox / path, version)
        conn.execute(
            "UPDATE ops.share_extract SET removed_at = clock_timestamp()"
            " WHERE name = %s AND version = %s AND publication = %s",
            [name, version, publication],
        )
    return [path for *_, path in rows]


def remove(conn: psycopg.Connection, outbox: Path, extracts: Sequence["Affected"]) -> None:
    """Take extracts out of the outbox. An open share writes its next one when it is due, or when it is asked for."""
    for extract in extracts:
        _remove(outbox / extract.path, extract.version)
        conn.execute(
            "UPDATE ops.share_extract SET removed_at = clock_timestamp()"
            " WHERE name = %s AND version = %s AND publication = %s AND removed_at IS NULL",
            [extract.name, extract.version, extract.publication],
        )


def _remove(folder: Path, version: int) -> None:
    """Delete the files of an extract, the manifest first; not those of another version that took the folder over."""
    manifest = folder / MANIFEST
    if manifest.exists() and json.loads(manifest.read_text(encoding="utf-8")).get("version") != str(version):
        return
    manifest.unlink(missing_ok=True)
    for path in sorted(folder.glob("*")):
        if path.is_file():
            path.unlink()
    for empty in (folder, folder.parent):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def note_fetched(conn: psycopg.Connection, outbox: Path) -> int:
    """Write down which extracts have been fetched since, by the files that tell it; returns of how many."""
    rows = conn.execute(
        "SELECT name, version, publication, path FROM ops.share_extract WHERE fetched_at IS NULL AND removed_at IS NULL"
    ).fetchall()
    count = 0
    for name, version, publication, path in rows:
        marker = outbox / path / FETCHED
        if marker.is_file():
            at = datetime.fromtimestamp(marker.stat().st_mtime, tz=CHINA)
            conn.execute(
                "UPDATE ops.share_extract SET fetched_at = %s WHERE name = %s AND version = %s AND publication = %s",
                [at, name, version, publication],
            )
            count += 1
    return count


@dataclass(frozen=True)
class Affected:
    """An extract that holds data of a delivery or a person, and who has it."""

    name: str
    version: int
    publication: int
    recipient: str
    uscc: str
    path: str
    written_at: datetime
    retained_until: date


def affected(conn: psycopg.Connection, delivery: str | None, person: UUID | None) -> list[Affected]:
    """The extracts to be called back because a delivery was withdrawn or a person erased.

    Of a delivery: those of publications with it whose resource draws on its source. Of a person: those with his rows.
    """
    with conn.cursor(row_factory=class_row(Affected)) as cursor:
        cursor.execute(
            """
            SELECT e.name, e.version, e.publication, s.recipient, s.uscc, e.path, e.written_at,
                (e.written_at AT TIME ZONE %(zone)s)::date + (s.declaration ->> 'retention_days')::integer
                    AS retained_until
            FROM ops.share_extract AS e
            INNER JOIN ops.share AS s USING (name, version)
            WHERE EXISTS (
                SELECT FROM ops.share_extract_person AS p
                WHERE p.name = e.name AND p.version = e.version AND p.publication = e.publication
                    AND p.person_key = %(person)s::uuid
            ) OR EXISTS (
                SELECT FROM ops.publication AS p
                INNER JOIN ops.publication_relation AS r USING (publication_id)
                INNER JOIN ops.delivery AS d ON d.source = ANY(r.sources)
                WHERE p.publication_id = e.publication AND r.relation = s.resource
                    AND d.name = %(delivery)s AND d.name = ANY(p.deliveries)
            )
            ORDER BY s.recipient, e.name, e.publication
            """,
            {"zone": register.ZONE, "person": person, "delivery": delivery},
        )
        return cursor.fetchall()

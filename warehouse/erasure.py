"""Erases a person from everything that the warehouse has of him: records, landed rows, builds, extracts.

The records and rows go at once (``ingest.privacy.erasure``). What was computed with them goes with the next
publication: the build that nobody reads is emptied at once, the published one when the next build, without the person,
has taken its place. Then the erasure is complete.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from psycopg import sql

from ingest.contracts.model import Contracts
from ingest.database import LOCK_ERRORS, bounded_lock_wait
from ingest.errors import WarehouseError
from ingest.privacy import access_log, erasure
from ingest.privacy.keyring import Keyring
from warehouse.build import planning
from warehouse.build.dbt import BUILDS
from warehouse.sharing import outbox
from warehouse.sharing.outbox import Affected


@dataclass(frozen=True)
class Receipt:
    """What an erasure did, without saying whom it was about.

    Attributes:
        rows: Erased rows by table; of builds, of each relation with persons as it was published.
        digest: SHA-256 of all other fields but ``completed_at``, hexadecimal.
    """

    erasure_id: int
    erased_at: datetime
    completed_at: datetime | None
    ground: str
    log_entry: int
    rows: dict[str, int]
    digest: str


@dataclass(frozen=True)
class Preview:
    """What an erasure would take away.

    Attributes:
        rows: Rows by table.
        packages: Packages of the inbox that brought rows of the person: the warehouse does not change them.
        extracts: Extracts that hold the person; their recipients have to be told.
    """

    rows: dict[str, int]
    packages: list[str]
    extracts: list[Affected]


def require_ground(ground: str) -> None:
    """Raise WarehouseError where a ground is not one of the list."""
    known = [one.code for one in access_log.erasure_grounds()]
    if ground not in known:
        raise WarehouseError(f"{ground!r} is no ground on which a person may be erased; there are {', '.join(known)}.")


def preview(conn: psycopg.Connection, contracts: Contracts, keyring: Keyring, person_key: UUID) -> Preview:
    """What there is of a person; changes nothing."""
    return _preview(conn, erasure.find(conn, contracts, keyring, person_key), person_key)


def erase(
    conn: psycopg.Connection,
    contracts: Contracts,
    keyring: Keyring,
    folder: Path,
    person_key: UUID,
    *,
    case_number: str,
    ground: str,
    os_user: str,
) -> tuple[Receipt, Preview]:
    """Erase a person; the next publication completes it. Once erased, the receipt of then is given again.

    Args:
        conn: The owner's, in no transaction, with the build lock.
        contracts: All feeds.
        keyring: Of the vault.
        folder: The outbox: extracts with the person are taken out of it.
        person_key: The person.
        case_number: Of the request; kept in the access log.
        ground: Of ``access_log.erasure_grounds``.
        os_user: The user of this machine.

    Raises:
        WarehouseError: The ground is none, or there is nothing of such a person.
    """
    require_ground(ground)
    earlier = erasure.of_person(conn, person_key)
    with conn.transaction() as transaction:
        done = erasure.begin(
            conn,
            contracts,
            keyring,
            person_key,
            case_number=case_number,
            ground=ground,
            os_user=os_user,
            built=planning.built(conn),
        )
        number, was = done.erasure_id, _preview(conn, done.found, person_key)
        if earlier is not None and not any(done.found.counts.values()):
            number = earlier
            raise psycopg.Rollback(transaction)
        if not any(was.rows.values()):
            raise WarehouseError("There is nothing of such a person: neither in the vault nor in any table.")
        conn.execute("DELETE FROM ops.share_extract_person WHERE person_key = %s", [person_key])
        erasure.record_counts(conn, number, was.rows)
        planning.take_out(conn, done.taken_out)
        for build in _unpublished(conn):
            planning.empty(conn, build)
        if not _published(conn):
            erasure.finish(conn, contracts, list(done.taken_out))
        # Before the commit: where this is interrupted, nothing was erased, and the next call finds the extracts again.
        outbox.remove(conn, folder, was.extracts)
    return receipts(conn, number)[0], was


def finish(conn: psycopg.Connection, contracts: Contracts) -> list[int]:
    """Complete the erasures of which the published build has no rows any more; returns their numbers.

    Call it after a publication, with the build lock. Where somebody still reads the build before, it is left for the
    next time.
    """
    numbers = list(erasure.taken_out(conn))
    waiting = conn.execute("SELECT EXISTS (SELECT FROM vault.erasure WHERE completed_at IS NULL)").fetchone()
    held = conn.execute(
        "SELECT EXISTS (SELECT FROM ops.build_delivery AS d INNER JOIN ops.publication AS p USING (build)"
        " WHERE p.is_current AND d.delivery_id = ANY(%s))",
        [numbers],
    ).fetchone()
    if waiting != (True,) or held == (True,):
        return []
    try:
        with bounded_lock_wait(conn):
            for build in _unpublished(conn):
                planning.empty(conn, build)
            _delete_changed_keys(conn)
            return erasure.finish(conn, contracts, numbers)
    except LOCK_ERRORS:
        return []


def _delete_changed_keys(conn: psycopg.Connection) -> None:
    """Delete erased persons from the tables of changed keys: the build that took them out has noted them there."""
    columns = conn.execute(
        "SELECT n.nspname, c.relname, a.attname FROM pg_class AS c"
        " INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid"
        " INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname LIKE '%%person_key' AND NOT a.attisdropped"
        " WHERE n.nspname = ANY(%s) AND c.relkind = 'r'",
        [[schema for build in BUILDS for schema in (build, f"{build}_staging")]],
    ).fetchall()
    for schema, table, column in columns:
        conn.execute(
            sql.SQL("DELETE FROM {} WHERE {} IN (SELECT key_hash FROM vault.erased)").format(
                sql.Identifier(schema, table), sql.Identifier(column)
            )
        )


def receipts(conn: psycopg.Connection, erasure_id: int | None = None) -> list[Receipt]:
    """The receipts of one erasure or all."""
    return [Receipt(**row, digest=_digest(row)) for row in erasure.receipts(conn, erasure_id)]


def _digest(row: dict[str, Any]) -> str:
    fields = {name: value for name, value in row.items() if name != "completed_at"}
    fields["erased_at"] = row["erased_at"].timestamp()
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def _preview(conn: psycopg.Connection, found: erasure.Found, person_key: UUID) -> Preview:
    numbers = sorted({place.delivery_id for place in found.places})
    packages = conn.execute("SELECT location FROM ops.arrival WHERE arrival_id = ANY(%s) ORDER BY 1", [numbers])
    rows = {**found.counts, **_built_rows(conn, person_key)}
    listed = conn.execute("SELECT count(*) FROM ops.share_extract_person WHERE person_key = %s", [person_key])
    rows["ops.share_extract_person"] = int((listed.fetchone() or (0,))[0])
    return Preview(
        {table: count for table, count in sorted(rows.items()) if count},
        [location for (location,) in packages.fetchall()],
        outbox.affected(conn, None, person_key),
    )


def _built_rows(conn: psycopg.Connection, person_key: UUID) -> dict[str, int]:
    """Rows of the person in each relation that readers see."""
    counts = {}
    for schema, name in _relations_with_persons(conn):
        row = conn.execute(
            sql.SQL("SELECT count(*) FROM {} WHERE person_key = %s").format(sql.Identifier(schema, name)), [person_key]
        ).fetchone()
        counts[f"{schema}.{name}"] = int(row[0]) if row else 0
    return counts


def _relations_with_persons(conn: psycopg.Connection) -> Sequence[tuple[str, str]]:
    return conn.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid"
        " INNER JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'person_key' AND NOT a.attisdropped"
        " WHERE n.nspname IN ('core', 'casework', 'marts') AND c.relkind = 'v' ORDER BY 1, 2"
    ).fetchall()


def _published(conn: psycopg.Connection) -> bool:
    return conn.execute("SELECT EXISTS (SELECT FROM ops.publication WHERE is_current)").fetchone() == (True,)


def _unpublished(conn: psycopg.Connection) -> list[str]:
    rows = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchall()
    return [build for build in BUILDS if (build,) not in rows]

"""Writes extracts: Data Packages. The same share version and publication give the same bytes."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg

from ingest.errors import WarehouseError
from ingest.privacy import vault
from ingest.privacy.keyring import Keyring
from warehouse.sharing import catalogue, extract_rows, outbox, register
from warehouse.sharing.declaration import Declaration
from warehouse.sharing.extract_rows import Publication, Source
from warehouse.sharing.lifecycle import Verdict
from warehouse.sharing.outbox import CHINA, Extract
from warehouse.sharing.protection import ExtractCipher
from warehouse.sharing.tables import OutputColumn

_MEDIA_TYPES = {"csv": "text/csv", "parquet": "application/vnd.apache.parquet"}


def require_extract(conn: psycopg.Connection, verdict: Verdict) -> Declaration:
    """The declaration of a share that may be written today.

    Raises:
        WarehouseError: It is not open, has not begun, or is served as a view.
    """
    declared = verdict.declaration
    if declared is None or verdict.state != "open" or verdict.findings:
        raise WarehouseError(f"{verdict.name} is not open: " + "; ".join(map(str, verdict.findings)))
    if declared.serve_as != "extract":
        raise WarehouseError(f"{verdict.name} is served as a view: warehouse share login.")
    if (day := register.today(conn)) < declared.valid_from:
        raise WarehouseError(f"S_VALID: {declared.name} begins on {declared.valid_from}, today is {day}.")
    return declared


def write(
    conn: psycopg.Connection, folder: Path, keyring: Keyring, verdict: Verdict, by: str, number: int | None = None
) -> Extract:
    """Write the extract of a share and publication, unless it is there already.

    Args:
        conn: As the owner, in no transaction. No build runs (``planning.exclusive``), so that tables stay as they are.
        folder: The outbox.
        keyring: For pseudonyms, identities and encryption.
        verdict: What a check has just said of the share.
        by: Who writes.
        number: The publication; None: the current one.

    Raises:
        WarehouseError: The share may not be written, or the tables of the publication are gone.
    """
    declared = require_extract(conn, verdict)
    publication = extract_rows.find_publication(conn, number)
    package = folder / declared.recipient.admdvs / declared.name / str(publication.number)
    present = outbox.find(conn, declared, publication.number)
    if present is not None and outbox.is_intact(package, present):
        return present
    source = extract_rows.open_source(conn, declared, publication)
    persons, columns = extract_rows.persons_of(conn, source), extract_rows.output_columns(source)
    identities = _identities(conn, keyring, source, publication, persons, by)
    package.mkdir(parents=True, exist_ok=True)
    part, encryption = package / "data.part", None
    if identities is None:
        with part.open("wb") as file:
            rows = extract_rows.write(conn, source, keyring, columns, persons, {}, file)
    else:  # names never lie on the disk in readable form
        buffer = io.BytesIO()
        rows = extract_rows.write(conn, source, keyring, columns, persons, identities, buffer)
        encryption = _write_encrypted(part, buffer.getvalue(), keyring, declared, publication)
    extract = Extract(
        declared.name,
        declared.version,
        publication.number,
        str(package.relative_to(folder)),
        rows,
        len(persons),
        part.stat().st_size,
        *outbox.digests(part),
    )
    manifest = _manifest(declared, publication, _resource(declared, extract, columns, encryption))
    manifest["catalogue"] = catalogue.elements(conn, publication.number, declared)
    outbox.record(conn, extract, persons, by)
    outbox.move_into_place(package, part, manifest)
    return extract


def _write_encrypted(
    path: Path, content: bytes, keyring: Keyring, declared: Declaration, publication: Publication
) -> dict[str, Any]:
    """Write content that is encrypted for the recipient; returns how, for the manifest."""
    cipher = ExtractCipher(keyring, declared.name, declared.version)
    associated = f"{declared.name} {declared.version} {publication.number}"
    path.write_bytes(cipher.encrypt(content, associated))
    return cipher.description(associated)


def _identities(
    conn: psycopg.Connection,
    keyring: Keyring,
    source: Source,
    publication: Publication,
    persons: Sequence[UUID],
    by: str,
) -> dict[UUID, dict[str, Any]] | None:
    """Who the persons are, where the share names them; each is an access that is written down first.

    Its case is the share with its approvals.
    """
    declared = source.declared
    if declared.persons != "identified":
        return None
    reason = f"{by}: share {declared.name} version {declared.version}, publication {publication.number}"
    case_number = f"share {declared.name} version {declared.version}"
    hashes = {row.version: row.file_hash for row in register.rows(conn, declared.name)}
    approved = register.approvals(conn, declared.name, declared.version, hashes.get(declared.version))
    documents = ", ".join(dict.fromkeys(approval.document for approval in approved))
    return vault.open_for_share(conn, keyring, persons, f"{case_number}, approved by {documents}", reason, by)


def _resource(
    declared: Declaration, extract: Extract, columns: Sequence[OutputColumn], encryption: dict[str, Any] | None
) -> dict[str, Any]:
    """The entry of the data file in the manifest."""
    format_ = str(declared.format)
    resource: dict[str, Any] = {
        "name": "data",
        "title": declared.title_zh,
        "path": f"data.{format_}" + (".aes" if encryption else ""),
        "format": format_,
        "mediatype": "application/octet-stream" if encryption else _MEDIA_TYPES[format_],
        "bytes": extract.bytes,
        "hash": f"sha256:{extract.sha256}",
        "hash_sm3": f"sm3:{extract.sm3}",
        "rows": extract.rows,
        "schema": {"fields": [column.field() for column in columns], "missingValues": [""]},
    }
    if format_ == "csv":
        resource |= {"encoding": "utf-8", "dialect": {"delimiter": ",", "lineTerminator": "\r\n", "quoteChar": '"'}}
    if encryption:
        resource["encryption"] = encryption
    return resource


def _manifest(declared: Declaration, publication: Publication, resource: dict[str, Any]) -> dict[str, Any]:
    """The manifest without the elements of the catalogue."""
    return {
        "$schema": "https://datapackage.org/profiles/2.0/datapackage.json",
        "name": declared.name,
        "id": f"{declared.name}-{declared.version}-{publication.number}",
        "title": declared.title_zh,
        "description": f"{declared.title_en}. {declared.title_zh}。",
        "created": publication.published_at.astimezone(CHINA).isoformat(timespec="seconds"),
        "version": str(declared.version),
        "share": declared.name,
        "publication": publication.number,
        **{key: declared.content[key] for key in ("recipient", "purpose", "basis", "valid")},
        "retention_days": declared.retention_days,
        "onward": False,
        "resources": [resource],
    }

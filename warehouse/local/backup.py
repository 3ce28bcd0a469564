"""Backup and restore of the embedded server.

A backup is a folder: ``data``, the cluster with the hashes of its files (``backup_manifest``, by PostgreSQL),
``pgpass``, the passwords of its login roles, and ``backup.json``. The key of the warehouse is never in it: whoever has
both can read identities.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import whole_file
from warehouse.local import server


def backup(settings: Settings, folder: Path, key_file: Path | None) -> None:
    """Copy the embedded server, which goes on working, into a new folder, and the key into a file elsewhere.

    Args:
        settings: Which warehouse; with ``wal_archive``.
        folder: Does not exist yet; is there only once the backup is whole and every hash has been checked.
        key_file: Where a copy of ``home/key`` is written; None: none is made.

    Raises:
        WarehouseError: The server is not the embedded one, the folder exists, the key would lie in the backup, or
            PostgreSQL could not copy the cluster.
    """
    _require_embedded(settings)
    folder = folder.absolute()
    if folder.exists():
        raise WarehouseError(f"{folder} exists: name a new folder for each backup.")
    if key_file is not None:
        _require_apart(key_file.absolute(), folder)
        _copy_key(_key(settings), key_file.absolute())
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(mode=0o700, parents=True)
    try:
        server.copy_cluster(settings, part)
        _verify(part / "data")
        description = {"completed_at": datetime.now(UTC).isoformat(), "pgpass_sha256": _sha256(part / "pgpass")}
        whole_file.write_text(part / "backup.json", json.dumps(description))
        part.rename(folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def restore(settings: Settings, folder: Path, key_file: Path | None, until: datetime | None = None) -> None:
    """Bring a backup back into a home that has no warehouse; the server runs afterwards.

    Args:
        settings: Of the new home. With ``wal_archive`` all changes since the backup are brought back too.
        folder: A backup.
        key_file: The copy of the key; None where ``WAREHOUSE_KEY`` is set, or the home has it.
        until: With a time zone: only what was committed by then is brought back. Needs ``wal_archive``.

    Raises:
        WarehouseError: The home has a warehouse or another key, there is no key, a file of the backup is not as it was,
            the time is before the backup, or the server does not start from it. The home has no warehouse then.
    """
    _require_embedded(settings)
    folder = folder.absolute()
    if (settings.root / "postgres" / "data").exists():
        raise WarehouseError(f"{settings.root} has a warehouse, which is not overwritten: name another WAREHOUSE_HOME.")
    if not (folder / "backup.json").is_file():
        raise WarehouseError(f"{folder} is no backup: it has no backup.json.")
    description = json.loads((folder / "backup.json").read_text(encoding="utf-8"))
    if description["pgpass_sha256"] != _sha256(folder / "pgpass"):
        raise WarehouseError(f"{folder / 'pgpass'} is not as the backup wrote it.")
    _verify(folder / "data")
    if until is not None:
        _require_reachable(settings, until, datetime.fromisoformat(description["completed_at"]))
    if settings.key is None:
        key = settings.root / "key"
        if key_file is not None:
            _copy_key(key_file.read_text(encoding="utf-8"), key)
        elif not key.exists():
            raise WarehouseError("The key is not in the backup: give the file with its copy (--key).")
    server.bring_back(settings, folder, until)


def _require_embedded(settings: Settings) -> None:
    if settings.dsn is not None:
        raise WarehouseError(
            "WAREHOUSE_DSN points to a server of your own: its administrator backs it up (pg_basebackup, pg_dump). "
            "Keep a copy of the key (WAREHOUSE_KEY or home/key) apart from it."
        )


def _require_apart(key_file: Path, folder: Path) -> None:
    if key_file.resolve().is_relative_to(folder.resolve()):
        raise WarehouseError("The key must not lie in the backup: whoever has both can read identities.")


def _require_reachable(settings: Settings, until: datetime, completed_at: datetime) -> None:
    if settings.wal_archive is None:
        raise WarehouseError("To return to a time, set WAREHOUSE_WAL_ARCHIVE to the folder of the write-ahead log.")
    if until < completed_at:
        raise WarehouseError(f"This backup is of {completed_at.isoformat()}: a time before needs an older backup.")


def _key(settings: Settings) -> str:
    """The secret, from wherever the warehouse takes it."""
    if settings.key is not None:
        return settings.key.get_secret_value()
    path = settings.root / "key"
    if not path.exists():
        raise WarehouseError(f"There is no key in {settings.root}: nothing was ever loaded there.")
    return path.read_text(encoding="utf-8")


def _verify(data: Path) -> None:
    """Compare every file with its hash in ``backup_manifest``, and that with its own.

    The write-ahead log is not in it: PostgreSQL checks each record when it replays it. (``pg_verifybackup`` of
    the embedded server's binaries crashes.)
    """
    content = (data / "backup_manifest").read_bytes()
    manifest = json.loads(content)
    head = content[: content.rindex(b'"Manifest-Checksum"')]
    if hashlib.sha256(head).hexdigest() != manifest["Manifest-Checksum"]:
        raise WarehouseError(f"{data / 'backup_manifest'} is not as the backup wrote it.")
    for entry in manifest["Files"]:
        path = data / (entry.get("Path") or os.fsdecode(bytes.fromhex(entry["Encoded-Path"])))
        if not path.is_file() or _sha256(path) != entry["Checksum"]:
            raise WarehouseError(f"{path} is missing or not as the backup wrote it. Take another backup.")


def _copy_key(key: str, target: Path) -> None:
    """Write a key, for its owner alone; a file that has another one stays as it is."""
    if target.exists():
        if target.read_text(encoding="utf-8").strip() != key.strip():
            raise WarehouseError(f"{target} has another key, which is not overwritten.")
        return
    whole_file.write_text(target, key)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""The database remembers which key it was made with."""

from pathlib import Path

import pytest

from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.privacy.keyring import Keyring, ensure_fingerprint
from ingest.settings import Settings


def test_another_or_a_missing_key_is_refused(database: str, tmp_path: Path) -> None:
    with connect(database) as conn:
        keyring = Keyring("k" * 40)
        ensure_fingerprint(conn, keyring)
        ensure_fingerprint(conn, keyring)
        with pytest.raises(WarehouseError, match="another key"):
            ensure_fingerprint(conn, Keyring("x" * 40))


def test_a_key_created_for_an_existing_warehouse_is_deleted(database: str, tmp_path: Path) -> None:
    """Otherwise the file would look like the warehouse's key, and the right one might never be looked for."""
    with connect(database) as conn:
        ensure_fingerprint(conn, Keyring("k" * 40))
        made = Keyring.from_settings(Settings(home=tmp_path, key=None))
        assert (tmp_path / "key").exists()
        with pytest.raises(WarehouseError, match="missing"):
            ensure_fingerprint(conn, made)
        assert not (tmp_path / "key").exists()
        own = Keyring.from_settings(Settings(home=tmp_path, key=None))
        reread = Keyring.from_settings(Settings(home=tmp_path, key=None))
        assert own.fingerprint == reread.fingerprint
        with pytest.raises(WarehouseError):
            ensure_fingerprint(conn, reread)
        assert (tmp_path / "key").exists()  # a file that was there before is never touched

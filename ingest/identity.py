"""The keyring: everything made from the one secret of an installation.

The secret lies outside the database (environment or ``home/key``), its fingerprint inside. From it come three keys, by
HKDF: one for person keys, one for sealing, one for the fingerprint.
"""

import os
import secrets
import stat
from pathlib import Path

import polars as pl
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ingest.errors import WarehouseError
from ingest.settings import Settings

#: Shortest secret that is accepted, in characters.
SHORTEST = 32
_NONCE = 12
_SEALED_V1 = b"\x01"
#: Person keys remembered in each of two generations (about 250 bytes each).
_REMEMBERED = 1 << 17


class Keyring:
    """Person keys, seals and the fingerprint of one secret."""

    def __init__(self, secret: str, made: Path | None = None) -> None:
        """``made``: the key file, where this very process has just made it."""
        if len(secret) < SHORTEST:
            raise WarehouseError(f"The warehouse key has fewer than {SHORTEST} characters.")
        self._made = made
        self._hmac = HMAC(_derive(secret, b"person key"), SM3())
        self._cipher = AESGCM(_derive(secret, b"seal"))
        self.fingerprint = _derive(secret, b"fingerprint").hex()[:32]
        self._recent: dict[str, str] = {}
        self._older: dict[str, str] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "Keyring":
        """The keyring of ``WAREHOUSE_KEY``, or of ``home/key``, which is made when there is none.

        Raises:
            WarehouseError: the secret is too short, or others may read its file.
        """
        if settings.key is not None:
            return cls(settings.key.get_secret_value())
        path = settings.root / "key"
        made = _make(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise WarehouseError(f"{path} can be read by others. Make it yours alone: chmod 600 {path}")
        return cls(path.read_text(encoding="utf-8").strip(), path if made else None)

    def person_keys(self, persons: pl.Series) -> pl.Series:
        """Keys of persons given as ``class|number``: the first 128 bits of an HMAC-SM3, as UUID text.

        Null stays null. Keys are remembered, a bounded number of them: persons return often in a delivery.
        """
        known = self._recent.get
        keys = [known(person) or (person and self._key(person)) for person in persons.to_list()]
        return pl.Series("person_key", keys, dtype=pl.String)

    def _key(self, person: str) -> str:
        key = self._older.get(person)
        if key is None:
            mac = self._hmac.copy()
            mac.update(person.encode())
            text = mac.finalize().hex()
            key = f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:32]}"
        if len(self._recent) >= _REMEMBERED:
            self._older, self._recent = self._recent, {}
        self._recent[person] = key
        return key

    def seal(self, content: bytes) -> bytes:
        """Encrypt and authenticate (AES-256-GCM): one byte of version, nonce, ciphertext."""
        nonce = os.urandom(_NONCE)
        return _SEALED_V1 + nonce + self._cipher.encrypt(nonce, content, _SEALED_V1)

    def open(self, sealed: bytes) -> bytes:
        """Undo ``seal``.

        Raises:
            WarehouseError: another key sealed it, or it was changed.
        """
        if sealed[:1] != _SEALED_V1:
            raise WarehouseError("Sealed data of an unknown form.")
        try:
            return self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _SEALED_V1)
        except InvalidTag:
            raise WarehouseError("Sealed data does not open with this key, or was changed.") from None

    def forget_made(self) -> None:
        """Remove the key file if this process made it: a new secret is of no use to a warehouse that has one."""
        if self._made is not None:
            self._made.unlink(missing_ok=True)


def ensure_fingerprint(conn: psycopg.Connection, keyring: Keyring) -> None:
    """Bind the database to the key: the first one is noted, any other is refused.

    Raises:
        WarehouseError: the database was filled with another key.
    """
    conn.execute(
        "INSERT INTO ops.setting (name, value) VALUES ('key_fingerprint', %s) ON CONFLICT (name) DO NOTHING",
        [keyring.fingerprint],
    )
    row = conn.execute("SELECT value FROM ops.setting WHERE name = 'key_fingerprint'").fetchone()
    if row is not None and row[0] != keyring.fingerprint:
        keyring.forget_made()
        raise WarehouseError(
            "This warehouse was made with another key, or its key is missing. Put back the key (WAREHOUSE_KEY, or the "
            "file named key in WAREHOUSE_HOME); with a different one persons could not be recognised nor opened."
        )


def _derive(secret: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=b"union-data-warehouse", info=purpose).derive(secret.encode())


def _make(path: Path) -> bool:
    """Make a key file unless there is one; complete when it appears, whoever else makes one at the same time."""
    if path.exists():
        return False
    draft = path.with_name(f".key-{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True

"""The keyring: the keys that are derived from the secret of an installation.

The secret is stored outside the database (environment or ``home/key``), its fingerprint inside. Four keys are derived
from it with HKDF: for person keys, for texts that are replaced by a hash, for encryption, and for the fingerprint; a
fifth is the root of the keys of shares.
"""

import base64
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import psycopg
import pyarrow as pa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from numpy.typing import NDArray

from ingest.errors import WarehouseError
from ingest.kernels import Buffer, Offsets
from ingest.kernels.byte_column import ByteColumn, Matrix, among, from_matrix, integers
from ingest.kernels.interning import IntInterner, TextInterner
from ingest.kernels.values import RESIDENT_SIZE, format_resident_numbers
from ingest.settings import Settings

#: Length of the shortest accepted secret.
MIN_SECRET_CHARACTERS = 32
_SALT = b"union-data-warehouse"
_NONCE = 12
#: The first byte of encrypted data: the content alone is authenticated, or with it whose content it is.
_FORMAT_V1, _FORMAT_OWNED = b"\x01", b"\x02"
_DIGEST = 16
#: The form of what lands instead of a text that names a person, for Python and PostgreSQL.
REPLACED_PATTERN = "^#[a-z2-7]{26}$"
#: Prefix of a resident number in the form ``class|number``.
_RESIDENT = b"CN|"
#: Cached person keys of residents, 24 bytes each.
_MAX_CACHED_RESIDENTS = 1 << 19
#: Cached person keys of other persons, some 60 bytes each.
_MAX_CACHED_OTHERS = 1 << 16


class Keyring:
    """Person keys, encryption and the fingerprint of a secret."""

    def __init__(self, secret: str, created_file: Path | None = None) -> None:
        """``created_file``: the key file, if this process has just created it."""
        if len(secret) < MIN_SECRET_CHARACTERS:
            raise WarehouseError(f"The warehouse key has fewer than {MIN_SECRET_CHARACTERS} characters.")
        self._created_file = created_file
        self._hmac = HMAC(_derive(secret, b"person key"), SM3())
        self._text_hmac = HMAC(_derive(secret, b"replaced text"), SM3())
        self._cipher = AESGCM(_derive(secret, b"seal"))
        self._share_root = _derive(secret, b"share")
        self.fingerprint = _derive(secret, b"fingerprint").hex()[:32]
        self.clear_cache()

    def clear_cache(self) -> None:
        """Free the memory of cached person keys."""
        self._residents, self._keys = IntInterner(), _KeyTable()
        self._others: dict[str, tuple[TextInterner, _KeyTable]] = {}

    @classmethod
    def from_settings(cls, settings: Settings) -> "Keyring":
        """The keyring of ``WAREHOUSE_KEY``, or of ``home/key``, which is created if it does not exist.

        Raises:
            WarehouseError: the secret is too short, or its file is readable by other users.
        """
        if settings.key is not None:
            return cls(settings.key.get_secret_value())
        path = settings.root / "key"
        created = _create_key_file(path)
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise WarehouseError(f"{path} can be read by others. Make it yours alone: chmod 600 {path}")
        return cls(path.read_text(encoding="utf-8").strip(), path if created else None)

    def person_keys(self, persons: pl.Series) -> pl.Series:
        """Keys of persons given as ``class|number``: the first 128 bits of an HMAC-SM3, the 16 bytes of a UUID.

        Null stays null. Keys are cached up to a limit, because the same persons occur often.
        """
        content = ByteColumn(persons.fill_null("") if persons.null_count() else persons)
        rows = np.flatnonzero(content.lengths == len(_RESIDENT) + 18)
        codes = _resident_codes(content.matrix(rows, len(_RESIDENT) + 18))
        rows, codes = rows[codes >= 0], codes[codes >= 0]
        table, ids = self.resident_keys(codes)
        keys = from_matrix(table[ids], pa.large_binary())
        if len(rows) == len(persons):
            return keys.alias("person_key")
        others = np.flatnonzero(~among(rows, len(persons)))
        rest = from_matrix(self.other_keys("", content.data, *content.bounds(others)), pa.large_binary())
        rest = rest.set(persons.gather(others).is_null(), None)
        nulls = pl.Series("person_key", [None], dtype=pl.Binary).new_from_index(0, len(persons))
        return nulls.scatter(np.concatenate([rows, others]), pl.concat([keys, rest]))

    def resident_keys(self, codes: NDArray[np.int64]) -> tuple[Matrix, NDArray[np.int64]]:
        """Keys of residents: the cached keys, (n, 16) bytes, and the index of the key of each code.

        Args:
            codes: From ``kernels.values.read_identity_numbers``; a code of -1 (no resident) gets the index -1.
        """
        if self._residents.count > _MAX_CACHED_RESIDENTS:
            self._residents = IntInterner()
        before = self._residents.count
        ids, first_seen = self._residents.ids(codes, codes >= 0)
        offsets = np.arange(np.count_nonzero(first_seen) + 1) * RESIDENT_SIZE
        new_keys = self._digests(_RESIDENT, format_resident_numbers(codes[first_seen]), offsets[:-1], offsets[1:])
        return self._keys.store(before, new_keys), ids

    def other_keys(self, document_class: str, buffer: Buffer, starts: Offsets, ends: Offsets) -> Matrix:
        """Keys, (n, 16) bytes, of persons with other document numbers, all of the same class of document."""
        if sum(interner.count for interner, _ in self._others.values()) > _MAX_CACHED_OTHERS:
            self._others = {}
        interner, keys = self._others.setdefault(document_class, (TextInterner(), _KeyTable()))
        before = interner.count
        ids = interner.ids(buffer, starts, ends)
        new_keys = self._digests(f"{document_class}|".encode() if document_class else b"", *interner.slices(before))
        table: Matrix = keys.store(before, new_keys)[ids]
        return table

    def _digests(self, prefix: bytes, buffer: Buffer, starts: NDArray[Any], ends: NDArray[Any]) -> Matrix:
        """The digest of ``prefix`` and each slice of a buffer."""
        prefixed_mac, data, digests = self._hmac.copy(), buffer.tobytes(), []
        prefixed_mac.update(prefix)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            mac = prefixed_mac.copy()
            mac.update(data[start:end])
            digests.append(mac.finalize())
        return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, SM3.digest_size)[:, :_DIGEST]

    def replaced(self, texts: pl.Series) -> pl.Series:
        """What lands instead of texts that name a person: ``REPLACED_PATTERN``, 128 bits of an HMAC-SM3 in base 32.

        Equal texts are replaced by the same in all columns and deliveries. Null stays null.
        """
        known = {text: self._replaced(text) for text in texts.unique().drop_nulls()}
        return texts.replace_strict(known, default=None, return_dtype=pl.String)

    def _replaced(self, text: str) -> str:
        mac = self._text_hmac.copy()
        mac.update(text.encode())
        return "#" + base64.b32encode(mac.finalize()[:_DIGEST]).decode().rstrip("=").lower()

    def encrypt(self, content: bytes) -> bytes:
        """Encrypt and authenticate (AES-256-GCM): one byte of version, nonce, ciphertext."""
        nonce = os.urandom(_NONCE)
        return _FORMAT_V1 + nonce + self._cipher.encrypt(nonce, content, _FORMAT_V1)

    def encrypt_owned(self, contents: Sequence[bytes], owners: Sequence[bytes]) -> list[bytes]:
        """Encrypt each of several contents, bound to its owner: it cannot be decrypted as that of another one."""
        random, encrypt = os.urandom(_NONCE * len(contents)), self._cipher.encrypt
        nonces = [random[position : position + _NONCE] for position in range(0, len(random), _NONCE)]
        return [
            _FORMAT_OWNED + nonce + encrypt(nonce, content, _FORMAT_OWNED + owner)
            for nonce, content, owner in zip(nonces, contents, owners, strict=True)
        ]

    def decrypt(self, encrypted: bytes, owner: bytes = b"") -> bytes:
        """Undo ``encrypt``, or with an owner ``encrypt_owned``; what an earlier version wrote for him is not bound.

        Raises:
            WarehouseError: it was encrypted with another key or for another owner, or it was changed.
        """
        version = encrypted[:1]
        if version not in (_FORMAT_V1, _FORMAT_OWNED):
            raise WarehouseError("Encrypted data of an unknown format.")
        associated = version + owner if version == _FORMAT_OWNED else version
        try:
            return self._cipher.decrypt(encrypted[1 : 1 + _NONCE], encrypted[1 + _NONCE :], associated)
        except InvalidTag:
            raise WarehouseError(
                "Encrypted data cannot be decrypted with this key, belongs to another person, or was changed."
            ) from None

    def share_key(self, share: str, version: int, use: str) -> bytes:
        """A key, 32 bytes, of one version of a share for one use; no two of them are related."""
        info = f"{use} {share} {version}".encode()
        return HKDF(algorithm=SHA256(), length=32, salt=_SALT, info=info).derive(self._share_root)

    def delete_created_key(self) -> None:
        """Delete the key file if this process created it: a new secret cannot open an existing warehouse."""
        if self._created_file is not None:
            self._created_file.unlink(missing_ok=True)


class _KeyTable:
    """Cached person keys, by the id of the identity number."""

    def __init__(self) -> None:
        self._keys = np.zeros((1, _DIGEST), dtype=np.uint8)

    def store(self, first: int, keys: Matrix) -> Matrix:
        """Store the keys of the ids from ``first`` on; returns the table, which may have unused rows at its end."""
        if first + len(keys) > len(self._keys):
            grown = np.empty(((first + len(keys)) * 5 // 4, _DIGEST), dtype=np.uint8)
            grown[:first] = self._keys[:first]
            self._keys = grown
        self._keys[first : first + len(keys)] = keys
        return self._keys


def ensure_fingerprint(conn: psycopg.Connection, keyring: Keyring) -> None:
    """Bind the database to the key: the fingerprint of the first key is stored, any other key is refused.

    Raises:
        WarehouseError: the database was filled with another key.
    """
    conn.execute(
        "INSERT INTO ops.setting (name, value) VALUES ('key_fingerprint', %s) ON CONFLICT (name) DO NOTHING",
        [keyring.fingerprint],
    )
    row = conn.execute("SELECT value FROM ops.setting WHERE name = 'key_fingerprint'").fetchone()
    if row is not None and row[0] != keyring.fingerprint:
        keyring.delete_created_key()
        raise WarehouseError(
            "This warehouse was made with another key, or its key is missing. Put back the key (WAREHOUSE_KEY, or the "
            "file named key in WAREHOUSE_HOME); with a different one persons could not be recognised nor opened."
        )


def _resident_codes(matrix: Matrix) -> NDArray[np.int64]:
    """The code of each ``CN|`` and 18 characters (see ``read_identity_numbers``); -1 for anything else."""
    offsets = np.ascontiguousarray(matrix.T)
    start = len(_RESIDENT)
    digit_rows = offsets[start:] - np.uint8(ord("0"))
    check = np.where(offsets[-1] == ord("X"), 10, digit_rows[17])
    valid = (digit_rows[:17].max(axis=0, initial=0) < 10) & (check < 11)
    for position, byte in zip(offsets, _RESIDENT, strict=False):
        valid &= position == byte
    body = integers(digit_rows[:9]).astype(np.int64) * 10**8 + integers(digit_rows[9:17])
    return np.where(valid, body * 11 + check, -1)


def _derive(secret: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=_SALT, info=purpose).derive(secret.encode())


def _create_key_file(path: Path) -> bool:
    """Create a key file unless it exists, atomically, so that concurrent processes agree on its content."""
    if path.exists():
        return False
    temporary = path.with_name(f".key-{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True

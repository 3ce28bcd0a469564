"""The keyring: everything made from the one secret of an installation.

The secret lies outside the database (environment or ``home/key``), its fingerprint inside. From it come three keys, by
HKDF: one for person keys, one for sealing, one for the fingerprint.
"""

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

from ingest import numbers
from ingest.columns import Bytes, Matrix, among, from_matrix
from ingest.compiled import Block, Places
from ingest.compiled.values import RESIDENT_SIZE, residents
from ingest.distinct import Distinct, Numbered
from ingest.errors import WarehouseError
from ingest.settings import Settings

#: Shortest secret that is accepted, in characters.
SHORTEST = 32
_NONCE = 12
_SEALED_V1 = b"\x01"
_DIGEST = 16
#: How a resident number begins where a person is given as ``class|number``.
_RESIDENT = b"CN|"
#: Digests of residents remembered, 24 bytes each.
_REMEMBERED = 1 << 19
#: Digests of other persons remembered, some 60 bytes each.
_REMEMBERED_OTHERS = 1 << 16


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
        self.forget()

    def forget(self) -> None:
        """Free the memory of keys that have been made; they are made again where they are asked for."""
        self._residents, self._keys = Numbered(), _Kept()
        self._others: dict[str, tuple[Distinct, _Kept]] = {}

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
        """Keys of persons given as ``class|number``: the first 128 bits of an HMAC-SM3, the 16 bytes of a UUID.

        Null stays null. Keys are remembered, a bounded number of them: persons return often.
        """
        content = Bytes(persons.fill_null("") if persons.null_count() else persons)
        rows = np.flatnonzero(content.lengths == len(_RESIDENT) + 18)
        codes = _resident_codes(content.matrix(rows, len(_RESIDENT) + 18))
        rows, codes = rows[codes >= 0], codes[codes >= 0]
        kept, found = self.of_residents(codes)
        keys = from_matrix(kept[found], pa.large_binary())
        if len(rows) == len(persons):
            return keys.alias("person_key")
        others = np.flatnonzero(~among(rows, len(persons)))
        rest = from_matrix(self.of_others("", content.data, *content.bounds(others)), pa.large_binary())
        rest = rest.set(persons.gather(others).is_null(), None)
        blank = pl.Series("person_key", [None], dtype=pl.Binary).new_from_index(0, len(persons))
        return blank.scatter(np.concatenate([rows, others]), pl.concat([keys, rest]))

    def of_residents(self, codes: NDArray[np.int64]) -> tuple[Matrix, NDArray[np.int64]]:
        """Keys of persons given by codes of resident numbers: (n, 16) bytes, and which of them is each code's.

        Args:
            codes: As ``ingest.compiled.values.identities`` gives them; -1 for nobody, whose key has the number -1.
        """
        if self._residents.count > _REMEMBERED:
            self._residents = Numbered()
        before = self._residents.count
        found, fresh = self._residents.numbers(codes, codes >= 0)
        places = np.arange(np.count_nonzero(fresh) + 1) * RESIDENT_SIZE
        made = self._digests(_RESIDENT, residents(codes[fresh]), places[:-1], places[1:])
        return self._keys.put(before, made), found

    def of_others(self, of_class: str, block: Block, starts: Places, ends: Places) -> Matrix:
        """Keys of persons given by the texts of other numbers, all of one class: (n, 16) bytes."""
        if sum(known.count for known, _ in self._others.values()) > _REMEMBERED_OTHERS:
            self._others = {}
        known, keys = self._others.setdefault(of_class, (Distinct(), _Kept()))
        before = known.count
        found = known.numbers(block, starts, ends)
        made = self._digests(f"{of_class}|".encode() if of_class else b"", *known.pieces(before))
        kept: Matrix = keys.put(before, made)[found]
        return kept

    def _digests(self, beginning: bytes, block: Block, starts: NDArray[Any], ends: NDArray[Any]) -> Matrix:
        """Digests of pieces of a block, with the same bytes before each."""
        begun, data, digests = self._hmac.copy(), block.tobytes(), []
        begun.update(beginning)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            mac = begun.copy()
            mac.update(data[start:end])
            digests.append(mac.finalize())
        return np.frombuffer(b"".join(digests), dtype=np.uint8).reshape(-1, SM3.digest_size)[:, :_DIGEST]

    def seal(self, content: bytes) -> bytes:
        """Encrypt and authenticate (AES-256-GCM): one byte of version, nonce, ciphertext."""
        return self.seal_all([content])[0]

    def seal_all(self, contents: Sequence[bytes]) -> list[bytes]:
        """The same for each of several."""
        random, encrypt = os.urandom(_NONCE * len(contents)), self._cipher.encrypt
        nonces = [random[place : place + _NONCE] for place in range(0, len(random), _NONCE)]
        return [
            _SEALED_V1 + nonce + encrypt(nonce, content, _SEALED_V1)
            for nonce, content in zip(nonces, contents, strict=True)
        ]

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


class _Kept:
    """Keys by the numbers of what they are of."""

    def __init__(self) -> None:
        self._keys = np.zeros((1, _DIGEST), dtype=np.uint8)

    def put(self, first: int, keys: Matrix) -> Matrix:
        """Keep keys from number ``first`` on; returns all that are kept, and some room."""
        if first + len(keys) > len(self._keys):
            room = np.empty(((first + len(keys)) * 5 // 4, _DIGEST), dtype=np.uint8)
            room[:first] = self._keys[:first]
            self._keys = room
        self._keys[first : first + len(keys)] = keys
        return self._keys


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


def _resident_codes(matrix: Matrix) -> NDArray[np.int64]:
    """A number for each ``CN|`` and 18 characters, one to one; -1 for anything else."""
    places = np.ascontiguousarray(matrix.T)
    start = len(_RESIDENT)
    figures = places[start:] - np.uint8(ord("0"))
    check = np.where(places[-1] == ord("X"), 10, figures[17])
    fit = (figures[:17].max(axis=0, initial=0) < 10) & (check < 11)
    for place, byte in zip(places, _RESIDENT, strict=False):
        fit &= place == byte
    body = numbers.integers(figures[:9]).astype(np.int64) * 10**8 + numbers.integers(figures[9:17])
    return np.where(fit, body * 11 + check, -1)


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

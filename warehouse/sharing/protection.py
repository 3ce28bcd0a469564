"""What protects persons in extracts: pseudonyms, and the encryption of files that name them."""

import base64
import hashlib
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256, SM3
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ingest.privacy.keyring import Keyring

#: Cost of the key's derivation from the passphrase; a recipient needs 32 MiB for it.
SCRYPT = {"n": 2**15, "r": 8, "p": 1}
_NONCE = 12
_PASSPHRASE_BYTES = 20


class Pseudonyms:
    """Replaces person keys by keys of one version of one share: the first 128 bits of an HMAC-SM3."""

    def __init__(self, keyring: Keyring, share: str, version: int) -> None:
        self._hmac = HMAC(keyring.share_key(share, version, "pseudonym"), SM3())

    def of(self, person_key: UUID) -> UUID:
        """The pseudonym of a person."""
        mac = self._hmac.copy()
        mac.update(person_key.bytes)
        return UUID(bytes=mac.finalize()[:16])


class ExtractCipher:
    """Encrypts the extracts of one version of a share (AES-256-GCM), so that equal content gives equal bytes.

    A file is a nonce of 12 bytes, then the ciphertext with its tag of 16 bytes. The nonce is a keyed hash of the
    content, so that it occurs again with the same content only. The key is derived from a passphrase (scrypt).
    """

    def __init__(self, keyring: Keyring, share: str, version: int) -> None:
        self.passphrase = passphrase(keyring, share, version)
        self._salt = f"{share} {version}"
        self._key = Scrypt(salt=self._salt.encode(), length=32, **SCRYPT).derive(self.passphrase.encode())

    def encrypt(self, content: bytes, associated: str) -> bytes:
        """The encrypted file; ``associated`` is authenticated with it and not secret."""
        mac = HMAC(self._key, SHA256())
        mac.update(hashlib.sha256(content).digest() + associated.encode())
        nonce = mac.finalize()[:_NONCE]
        return nonce + AESGCM(self._key).encrypt(nonce, content, associated.encode())

    def description(self, associated: str) -> dict[str, Any]:
        """What a recipient needs beside the passphrase, for the manifest."""
        return {
            "algorithm": "AES-256-GCM",
            "layout": "nonce (12 bytes), ciphertext, tag (16 bytes)",
            "associated_data": associated,
            "key_derivation": {"algorithm": "scrypt", "salt": self._salt, **SCRYPT},
            "key_fingerprint": f"sha256:{hashlib.sha256(self._key).hexdigest()}",
        }


def decrypt(file: bytes, passphrase: str, encryption: dict[str, Any]) -> bytes:
    """Undo ``ExtractCipher.encrypt`` with a passphrase and the ``encryption`` of the manifest."""
    derivation = encryption["key_derivation"]
    cost = {name: derivation[name] for name in SCRYPT}
    scrypt = Scrypt(salt=derivation["salt"].encode(), length=32, **cost)
    cipher = AESGCM(scrypt.derive(passphrase.encode()))
    return cipher.decrypt(file[:_NONCE], file[_NONCE:], encryption["associated_data"].encode())


def passphrase(keyring: Keyring, share: str, version: int) -> str:
    """The passphrase of a version of a share, in groups of four letters and digits."""
    key = keyring.share_key(share, version, "passphrase")[:_PASSPHRASE_BYTES]
    text = base64.b32encode(key).decode().lower()
    return "-".join(text[start : start + 4] for start in range(0, len(text), 4))

"""The keyring: person keys, encryption, and the key file."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.hashes import SM3
from cryptography.hazmat.primitives.hmac import HMAC
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from ingest.errors import WarehouseError
from ingest.privacy import keyring as keyring_module
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings

SECRET = "k" * 40


def test_a_person_key_is_the_first_half_of_an_hmac_sm3() -> None:
    mac = HMAC(keyring_module._derive(SECRET, b"person key"), SM3())
    mac.update(b"CN|11010519491231002X")
    keys = Keyring(SECRET).person_keys(pl.Series(["CN|11010519491231002X", None]))
    assert keys.to_list() == [mac.finalize()[:16], None]


def test_keys_differ_by_class_number_and_secret() -> None:
    keyring = Keyring(SECRET)
    keys = keyring.person_keys(pl.Series(["CN|1234", "08|1234", "CN|1235"])).to_list()
    keys += Keyring("x" * 40).person_keys(pl.Series(["CN|1234"])).to_list()
    assert len(set(keys)) == 4


def reference(person: str) -> bytes:
    mac = HMAC(keyring_module._derive(SECRET, b"person key"), SM3())
    mac.update(person.encode())
    return mac.finalize()[:16]


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.from_regex(r"CN\|[0-9]{17}[0-9X]", fullmatch=True),
            st.sampled_from(["CN|11010519491231002X", "CN|110105194912310021", "CN|00000000000000000X"]),
            st.text(min_size=1, max_size=24),
            st.none(),
        ),
        max_size=20,
    ),
    st.integers(1, 12),
)
def test_cached_keys_equal_computed_keys(persons: list[str | None], bound: int) -> None:
    expected = [person and reference(person) for person in persons]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keyring_module, "_MAX_CACHED_RESIDENTS", bound)
        patch.setattr(keyring_module, "_MAX_CACHED_OTHERS", bound)
        keyring = Keyring(SECRET)
        for _ in range(3):
            assert keyring.person_keys(pl.Series(persons, dtype=pl.String)).to_list() == expected
            persons.reverse()
            expected.reverse()
        keyring.clear_cache()
        assert keyring.person_keys(pl.Series(persons, dtype=pl.String)).to_list() == expected


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "_MAX_CACHED_RESIDENTS", 8)
    keyring = Keyring(SECRET)
    for start in range(10):
        keyring.person_keys(pl.Series([f"CN|{start * 5 + number:018}" for number in range(5)]))
        assert keyring._residents.count <= 8 + 5, "what is remembered, and one batch"


def test_memory_of_other_persons_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keyring_module, "_MAX_CACHED_OTHERS", 8)
    keyring = Keyring(SECRET)
    for start in range(10):
        persons = [f"E{start}{number}" for number in range(5)]
        text = np.frombuffer("".join(persons).encode(), dtype=np.uint8)
        bounds = np.arange(6, dtype=np.int32) * 3
        for of_class in ("08", "09"):
            keys = keyring.other_keys(of_class, text, bounds[:-1], bounds[1:])
            assert [key.tobytes() for key in keys] == [reference(f"{of_class}|{person}") for person in persons]
        assert sum(known.count for known, _ in keyring._others.values()) <= 8 + 10


def test_decryption_needs_the_same_key_and_unchanged_data() -> None:
    keyring = Keyring(SECRET)
    encrypted = keyring.encrypt("张三".encode())
    assert keyring.decrypt(encrypted) == "张三".encode()
    assert "张三".encode() not in encrypted
    assert keyring.encrypt("张三".encode()) != encrypted  # a nonce of its own
    with pytest.raises(WarehouseError):
        Keyring("x" * 40).decrypt(encrypted)
    for changed in (encrypted[:-1] + bytes([encrypted[-1] ^ 1]), b"\x02" + encrypted[1:], b"\x03" + encrypted[1:], b""):
        with pytest.raises(WarehouseError):
            keyring.decrypt(changed)


def test_what_is_bound_to_an_owner_opens_as_his_alone() -> None:
    keyring = Keyring(SECRET)
    one, other = b"1" * 16, b"2" * 16
    encrypted = keyring.encrypt_owned([b"x", b"y"], [one, other])
    assert [keyring.decrypt(encrypted[0], one), keyring.decrypt(encrypted[1], other)] == [b"x", b"y"]
    for swapped, owner in ((encrypted[1], one), (encrypted[0], other), (encrypted[0], b"")):
        with pytest.raises(WarehouseError, match="another person"):
            keyring.decrypt(swapped, owner)
        with pytest.raises(WarehouseError):  # nor as one of an earlier version
            keyring.decrypt(b"\x01" + swapped[1:], owner)
    assert keyring.decrypt(keyring.encrypt(b"x"), one) == b"x"  # a record of an earlier version


def test_the_fingerprint_tells_secrets_apart_and_does_not_give_them_away() -> None:
    assert Keyring(SECRET).fingerprint == Keyring(SECRET).fingerprint
    assert Keyring(SECRET).fingerprint != Keyring("x" * 40).fingerprint
    assert SECRET not in Keyring(SECRET).fingerprint


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(WarehouseError, match="32"):
        Keyring("k" * 31)


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    keyring = Keyring.from_settings(Settings(home=tmp_path, key=SecretStr(SECRET)))
    assert keyring.fingerprint == Keyring(SECRET).fingerprint
    assert not (tmp_path / "key").exists()


def test_the_first_run_makes_a_private_key_file_and_the_next_reads_it(tmp_path: Path) -> None:
    home = Settings(home=tmp_path, key=None)
    first = Keyring.from_settings(home)
    path = tmp_path / "key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(path.read_text().strip()) >= 32
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
    assert Keyring.from_settings(home).fingerprint == first.fingerprint


def test_processes_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    home = Settings(home=tmp_path, key=None)
    with ThreadPoolExecutor(8) as pool:
        rings = list(pool.map(lambda _: Keyring.from_settings(home).fingerprint, range(16)))
    assert len(set(rings)) == 1


def test_a_key_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    home = Settings(home=tmp_path, key=None)
    Keyring.from_settings(home)
    (tmp_path / "key").chmod(0o640)
    with pytest.raises(WarehouseError, match="chmod 600"):
        Keyring.from_settings(home)

"""Extracts: equal bytes, pseudonyms, what a spreadsheet would run, who was named, what is called back."""

import csv
import hashlib
import io
import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pyarrow.parquet as pq
import pytest
from dplib.models import Package

from ingest.errors import WarehouseError
from ingest.privacy import access_log
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import shares
from warehouse.local import server
from warehouse.sharing import extracts, lifecycle, outbox, protection, register


@pytest.fixture
def box(tmp_path: Path) -> Path:
    return tmp_path / "outbox"


def opened(conn: psycopg.Connection, folder: Path, **changes: Any) -> lifecycle.Verdict:
    content = shares.payout(**changes)
    shares.save(folder, content)
    verdict = shares.approve(conn, folder, content["share"])
    assert (verdict.state, verdict.codes) == ("open", [])
    return verdict


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def table(content: bytes) -> list[dict[str, str]]:
    assert content.startswith(b"\xef\xbb\xbf")
    return list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))


def test_the_same_publication_gives_the_same_bytes(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    """GIVEN an extract that was lost WHEN it is written again, from rows in another order THEN its bytes are the same."""
    verdict = opened(conn, folder)
    extract = extracts.write(conn, box, keyring, verdict, "me")
    package = box / "440000" / "payout" / str(extract.publication)
    first = files(package)
    assert set(first) == {"data.csv", "datapackage.json"}
    for path in package.iterdir():
        path.unlink()
    conn.execute("CREATE TABLE reversed AS SELECT * FROM build_a.entitlement ORDER BY note")
    conn.execute("TRUNCATE build_a.entitlement")
    conn.execute("INSERT INTO build_a.entitlement SELECT * FROM reversed")
    extracts.write(conn, box, keyring, verdict, "me")
    assert files(package) == first
    row = conn.execute("SELECT rows, persons, bytes, sha256 FROM ops.share_extract").fetchone()
    assert row == (2, 2, len(first["data.csv"]), hashlib.sha256(first["data.csv"]).hexdigest())


def test_a_package_says_what_it_is(conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring) -> None:
    extract = extracts.write(conn, box, keyring, opened(conn, folder), "me")
    manifest = json.loads((box / extract.path / "datapackage.json").read_text("utf-8"))
    Package.from_dict(manifest)
    assert (manifest["share"], manifest["version"], manifest["publication"]) == ("payout", "1", extract.publication)
    assert manifest["onward"] is False
    assert manifest["retention_days"] == 90
    content = shares.payout()
    assert {key: manifest[key] for key in ("recipient", "purpose", "basis", "valid")} == {
        key: content[key] for key in ("recipient", "purpose", "basis", "valid")
    }
    (resource,) = manifest["resources"]
    assert resource["hash"] == f"sha256:{extract.sha256}"
    assert resource["hash_sm3"] == f"sm3:{extract.sm3}"
    assert (resource["rows"], resource["bytes"]) == (2, extract.bytes)
    assert [(field["name"], field["type"]) for field in resource["schema"]["fields"]] == [
        ("scheme_code", "string"),
        ("person_key", "string"),
        ("aid_amount", "number"),
        ("note", "string"),
    ]
    assert resource["schema"]["fields"][0]["title"] == "scheme_code的名称"


def test_no_pseudonym_is_common_to_two_shares_versions_or_core(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    keys: list[set[str]] = [set(shares.PERSONS)]
    for changes in ({}, {"share": "payout-2"}, {"share": "payout-2", "version": 2}):
        extract = extracts.write(conn, box, keyring, opened(conn, folder, **changes), "me")
        rows = table((box / extract.path / "data.csv").read_bytes())
        keys.append({row["person_key"] for row in rows})
        assert len(keys[-1]) == 2
    assert len(set.union(*keys)) == sum(map(len, keys))


def test_rows_come_in_the_order_of_what_is_written(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    """Were they in the order of the person keys, two shares could be joined line by line."""
    for build in ("build_a", "build_b"):
        conn.execute(
            f"INSERT INTO {build}.entitlement SELECT 'second-claim', gen_random_uuid(), 1, 'x' FROM generate_series(1, 50)"
        )
    extract = extracts.write(conn, box, keyring, opened(conn, folder, columns=["person_key"]), "me")
    written = [row["person_key"] for row in table((box / extract.path / "data.csv").read_bytes())]
    assert written == sorted(written)


def test_cells_that_a_spreadsheet_would_run_are_defused(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    conn.execute("UPDATE build_a.entitlement SET aid_amount = -aid_amount")
    extract = extracts.write(conn, box, keyring, opened(conn, folder), "me")
    rows = table((box / extract.path / "data.csv").read_bytes())
    assert {(row["aid_amount"], row["note"]) for row in rows} == {("-10.50", '\'=HYPERLINK("x")'), ("-20.00", "'-3")}


def test_parquet_has_types(conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring) -> None:
    verdict = opened(conn, folder, serve={"as": "extract", "format": "parquet", "every": "once"})
    extract = extracts.write(conn, box, keyring, verdict, "me")
    first = (box / extract.path / "data.parquet").read_bytes()
    rows = pq.read_table(io.BytesIO(first)).to_pylist()
    assert sorted(row["aid_amount"] for row in rows) == [Decimal("10.50"), Decimal("20.00")]
    (box / extract.path / "data.parquet").unlink()
    extracts.write(conn, box, keyring, verdict, "me")
    assert (box / extract.path / "data.parquet").read_bytes() == first


def test_an_identified_extract_is_encrypted_and_each_person_is_an_access(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    shares.fill_vault(conn, keyring)
    verdict = opened(conn, folder, persons="identified", valid={"from": "2026-11-01", "until": "2027-01-31"})
    extract = extracts.write(conn, box, keyring, verdict, "me")
    found = files(box / extract.path)
    assert set(found) == {"data.csv.aes", "datapackage.json"}
    assert "测试0".encode() not in b"".join(found.values())
    access = conn.execute(
        "SELECT person_key::text, case_number, reason, os_user, opened_at = at FROM vault.access ORDER BY 1"
    ).fetchall()
    case = "share payout version 1, approved by DOC-li, DOC-wang"
    reason = f"me: share payout version 1, publication {extract.publication}"
    assert access == [(person, case, reason, "me", True) for person in shares.PERSONS[:2]]
    assert access_log.first_fault(conn) is None
    encryption = json.loads(found["datapackage.json"])["resources"][0]["encryption"]
    phrase = protection.passphrase(keyring, "payout", 1)
    assert phrase.encode() not in b"".join(found.values())
    rows = table(protection.decrypt(found["data.csv.aes"], phrase, encryption))
    assert list(rows[0]) == ["scheme_code", "person_key", "name", "certno", "aid_amount", "note"]
    assert {(row["name"], row["certno"]) for row in rows} == {
        ("测试0", "110101199001010000"),
        ("测试1", "110101199001010001"),
    }
    assert {row["person_key"] for row in rows}.isdisjoint(shares.PERSONS)
    (box / extract.path / "data.csv.aes").unlink()
    extracts.write(conn, box, keyring, verdict, "me")
    assert files(box / extract.path) == found


def test_an_access_that_cannot_be_noted_writes_nothing(
    server_settings: Settings, conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    shares.fill_vault(conn, keyring)
    verdict = opened(conn, folder, persons="identified", valid={"from": "2026-11-01", "until": "2027-01-31"})
    with server._as_superuser(server._layout(server_settings), conn.info.dbname) as admin:
        admin.execute("REVOKE EXECUTE ON FUNCTION audit.open_for_share FROM warehouse")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        extracts.write(conn, box, keyring, verdict, "me")
    assert not box.exists()


def test_the_publication_before_can_still_be_written_and_no_older_one(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    verdict = opened(conn, folder)
    first = lifecycle.current_publication(conn)
    assert first is not None
    expected = extracts.write(conn, box / "one", keyring, verdict, "me")
    conn.execute("UPDATE build_b.entitlement SET aid_amount = 1")
    shares.publish_build(conn, folder, "build_b")
    again = extracts.write(conn, box / "two", keyring, verdict, "me", first)
    assert again == expected
    assert files(box / "two" / again.path) == files(box / "one" / expected.path)
    shares.publish_build(conn, folder, "build_a")
    with pytest.raises(WarehouseError, match="no longer there"):
        extracts.write(conn, box / "three", keyring, verdict, "me", first)


def test_a_view_is_not_written_nor_a_refused_share(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    shares.save(folder, shares.declared())
    with pytest.raises(WarehouseError, match="served as a view"):
        extracts.write(conn, box, keyring, shares.approve(conn, folder, "coverage-gd"), "me")
    shares.save(folder, shares.payout())
    with pytest.raises(WarehouseError, match="S_APPROVAL"):
        extracts.write(conn, box, keyring, shares.approve(conn, folder, "payout", ["declarer"]), "me")


def test_ended_shares_leave_the_outbox(conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring) -> None:
    extract = extracts.write(conn, box, keyring, opened(conn, folder), "me")
    kept = extracts.write(conn, box, keyring, opened(conn, folder, share="kept"), "me")
    (box / extract.path / "fetched").touch()
    assert outbox.note_fetched(conn, box) == 1
    lifecycle.revoke(conn, "payout", "over", "me")
    assert outbox.remove_ended(conn, box) == [extract.path]
    assert not (box / "440000" / "payout").exists()
    assert (box / kept.path / "data.csv").exists()
    row = conn.execute(
        "SELECT fetched_at IS NOT NULL, removed_at IS NOT NULL FROM ops.share_extract ORDER BY name"
    ).fetchall()
    assert row == [(False, False), (True, True)]


@pytest.mark.parametrize(
    ("every", "written", "due"),
    [("month", 0, False), ("month", 32, True), ("quarter", 93, True), ("quarter", 0, False), ("once", 400, False)],
)
def test_an_extract_is_due_once_in_its_time(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring, every: str, written: int, due: bool
) -> None:
    verdict = opened(conn, folder, serve={"as": "extract", "format": "csv", "every": every})
    assert verdict.declaration is not None
    assert outbox.is_due(conn, verdict.declaration)
    extracts.write(conn, box, keyring, verdict, "me")
    conn.execute("UPDATE ops.share_extract SET written_at = now() - make_interval(days => %s)", [written])
    assert outbox.is_due(conn, verdict.declaration) == due
    assert outbox.may_be_written(conn, verdict.declaration)


def test_what_holds_a_person_or_a_delivery_is_called_back(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    extract = extracts.write(conn, box, keyring, opened(conn, folder), "me")
    today = register.today(conn)
    found = outbox.affected(conn, "medical-440000-2026-07", None)
    assert [(one.name, one.recipient, one.uscc, one.path) for one in found] == [
        ("payout", "某局", shares.USCC, extract.path)
    ]
    assert found[0].retained_until == today + timedelta(days=90)
    training = shares.deliver(conn, "training", "440000", "2026-07")
    shares.publish_build(conn, folder, "build_b")
    assert outbox.affected(conn, training, None) == []
    assert [one.name for one in outbox.affected(conn, None, UUID(shares.PERSONS[0]))] == ["payout"]
    assert outbox.affected(conn, None, UUID(shares.PERSONS[2])) == []


def test_before_its_first_day_nothing_is_written(
    conn: psycopg.Connection, folder: Path, box: Path, keyring: Keyring
) -> None:
    tomorrow: date = register.today(conn) + timedelta(days=1)
    verdict = opened(conn, folder, valid={"from": str(tomorrow), "until": str(tomorrow)})
    assert verdict.declaration is not None
    assert not outbox.may_be_written(conn, verdict.declaration)
    with pytest.raises(WarehouseError, match="begins on"):
        extracts.write(conn, box, keyring, verdict, "me")

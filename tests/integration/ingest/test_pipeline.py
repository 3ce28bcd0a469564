"""The life of a delivery: what is decided, what is kept, and what a second look changes."""

import json
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import contracts, database, pipeline, staging
from ingest.errors import DeliveryCode, Finding, NotDecided, WarehouseError
from ingest.landing import staging_tables
from ingest.landing import tables as landing
from ingest.privacy import vault
from ingest.readers import text
from ingest.settings import Settings
from ingest.validation import rules
from tests import packages, state
from tests.packages import enrolment, member, organisation, snapshot, write
from warehouse import schema

CASE = vault.Request("case 7", "aid")


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    place = tmp_path / "inbox"
    place.mkdir()
    return place


def decided(conn, name: str) -> tuple[str, list[str]]:
    return conn.execute("SELECT status, codes FROM ops.delivery WHERE name = %s", [name]).fetchone()


def landed(conn, table: str = "training_enrolment", column: str = "enrolment_id") -> list[tuple[str, str]]:
    return conn.execute(
        f"SELECT d.name, l.{column} FROM landing.{table} AS l INNER JOIN ops.delivery AS d USING (delivery_id)"
        " ORDER BY 1, 2"
    ).fetchall()


def only(outcomes: list[pipeline.Outcome]) -> pipeline.Outcome:
    (outcome,) = outcomes
    return outcome


# --- acceptance ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("fast_path", "checked"), [("true", 1), ("false", 40)])
def test_without_the_fast_path_every_row_takes_the_full_check(
    warehouse, load_inbox, inbox, settings, monkeypatch, fast_path, checked
):
    monkeypatch.setenv("WAREHOUSE_FAST_PATH", fast_path)
    chosen = Settings(home=settings.home, dsn=settings.dsn, key=settings.key)
    full_check, rows = rules.check, []

    def counted(batch, *arguments):
        rows.append(batch.frame.height)
        return full_check(batch, *arguments)

    monkeypatch.setattr(rules, "check", counted)
    monkeypatch.setattr(staging, "_MAX_SHORT_BATCH_ROWS", 0)
    write(inbox, "t-1", {"enrolment": [enrolment(1, started_on="2026/6/1"), *map(enrolment, range(2, 41))]})
    assert only(load_inbox(inbox, chosen=chosen)).status == "accepted"
    assert sum(rows) == checked
    assert len(landed(warehouse)) == 40


def test_an_accepted_delivery(warehouse, load_inbox, inbox, keyring):
    write(inbox, "t-1", {"enrolment": [enrolment(1), enrolment(2, result="x"), *map(enrolment, range(3, 41))]})
    outcome = only(load_inbox(inbox))
    assert (outcome.status, outcome.codes, outcome.source, outcome.sender) == ("accepted", [], "training", "440000")
    assert len(landed(warehouse)) == 39
    counts = warehouse.execute("SELECT rows_read, rows_loaded, rows_rejected FROM ops.delivery_file").fetchall()
    assert counts == [(40, 39, 1)]
    (rejected,) = pipeline.rejects(warehouse, keyring, "t-1")
    assert rejected["line_number"] == 3
    assert rejected["reasons"] == ["E_CODE:result"]
    assert rejected["raw"].startswith("E2,测试2,01,")
    assert rejected["raw"].endswith(",x")
    steps = [step for (step,) in warehouse.execute("SELECT step FROM ops.delivery_step ORDER BY at")]
    assert steps == ["received", "checked", "staged", "validated", "accepted"]
    assert staging_tables.orphaned_tables(warehouse) == []


def test_direct_identifiers_are_in_the_vault_only(warehouse, load_inbox, inbox, keyring, database_dsn):
    write(inbox, "t-1", {"enrolment": [enrolment(1), enrolment(2, result="x", name="被拒绝")]})
    load_inbox(inbox)
    write(inbox, "t-2", {"enrolment": [enrolment(n) for n in range(10, 40)]})
    load_inbox(inbox)
    secret = packages.certno(10)
    everything = []
    tables = warehouse.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('ops', 'landing', 'vault')"
    ).fetchall()
    for (table,) in tables:
        everything += warehouse.execute(f"SELECT t::text FROM {table} AS t").fetchall()
    text = "\n".join(row for (row,) in everything)
    assert "测试10" not in text
    assert "被拒绝" not in text
    assert secret not in text
    (key,) = warehouse.execute(
        "SELECT person_key FROM landing.training_enrolment WHERE enrolment_id = 'E10'"
    ).fetchone()
    record = vault.open_person(warehouse, keyring, key, CASE, "me")
    assert (record["name"], record["certno"], record["cert_type"]) == ("测试10", secret, "01")
    assert warehouse.execute("SELECT person_key, case_number FROM vault.access").fetchall() == [(key, "case 7")]


def test_the_vault_keeps_the_record_of_the_latest_delivery(warehouse, load_inbox, inbox, keyring):
    def name_in_vault() -> Any:
        (key,) = warehouse.execute("SELECT person_key FROM vault.person").fetchone()
        return vault.open_person(warehouse, keyring, key, CASE, "me")["name"]

    write(inbox, "b", {"enrolment": [enrolment(1, name="乙")]}, created="2026-08-02T00:00:00Z")
    write(inbox, "c", {"enrolment": [enrolment(1, name="丙")]}, created="2026-08-02T00:00:00Z")
    write(inbox, "z", {"enrolment": [enrolment(1, name="丁")]}, created="2026-08-01T00:00:00Z")
    load_inbox(inbox, order=["c", "b", "z"])
    assert name_in_vault() == "丙"


def test_of_several_records_in_one_delivery_the_vault_keeps_the_last(warehouse, load_inbox, inbox, keyring):
    numbers = range(20)
    common = {"skill_level": "3", "issued_on": "2025-01-02", "status": "1"}
    certificates = [
        {"certificate_no": f"Y{n:021}", **packages.person(n), "name": f"丙{n}", **common} for n in reversed(numbers)
    ]
    enrolments = [enrolment(n, name=f"乙{n}") for n in numbers]
    write(inbox, "t", {"enrolment": enrolments, "certificate": certificates})
    load_inbox(inbox)
    assert warehouse.execute("SELECT count(*) FROM vault.recent").fetchone() == (40,)
    for _ in range(2):
        keys = [key for key, *_ in vault_of(warehouse)]
        names = {vault.open_person(warehouse, keyring, key, CASE, "me")["name"] for key in keys}
        assert names == {f"丙{n}" for n in numbers}
        vault.compact(warehouse)


def vault_of(warehouse: psycopg.Connection) -> list[Any]:
    return warehouse.execute(
        "SELECT person_key, sealed, created, delivery_name FROM vault.person ORDER BY person_key"
    ).fetchall()


def test_folding_changes_nothing_that_is_seen(warehouse, load_inbox, inbox):
    names = []
    for half in ((("b", 1, range(3, 9)), ("a", 3, range(5))), (("d", 4, range(8, 12)), ("c", 2, range(7)))):
        for name, day, numbers in half:
            rows = [enrolment(n, name=f"{name}{n}") for n in numbers]
            write(inbox, name, {"enrolment": rows}, created=f"2026-08-0{day}T00:00:00Z")
            names.append(name)
        load_inbox(inbox, order=names)
        before = vault_of(warehouse)
        assert vault.compact(warehouse) == 2
        assert vault_of(warehouse) == before
    assert {name for *_, name in before} == {"a", "b", "c", "d"}
    assert vault.compact(warehouse) == 0
    assert warehouse.execute("SELECT count(*) FROM vault.folded").fetchone() == (12,)
    assert staging_tables.orphaned_tables(warehouse) == []


def test_a_fold_waits_for_no_reader_longer_than_it_may(warehouse, load_inbox, inbox, database_dsn, monkeypatch):
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 1)
    write(inbox, "a", {"enrolment": [enrolment(1)]})
    load_inbox(inbox)
    before = vault_of(warehouse)
    with psycopg.connect(database_dsn) as reader:
        reader.execute("SELECT FROM vault.recent")
        assert vault.compact(warehouse) == 0
    assert vault_of(warehouse) == before
    assert vault.compact(warehouse) == 1


def test_nobody_is_opened_by_an_old_snapshot(warehouse, load_inbox, inbox):
    """A fold beside it would make the person disappear, or an older record come back."""
    write(inbox, "a", {"enrolment": [enrolment(1)]})
    load_inbox(inbox)
    ((key, *_),) = vault_of(warehouse)
    (asked,) = warehouse.execute("SELECT vault.ask_for_person(%s, 'case 7', 'aid')", [key]).fetchone()
    with warehouse.transaction(force_rollback=True):
        warehouse.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with pytest.raises(psycopg.errors.RaiseException, match="read committed"):
            warehouse.execute("SELECT vault.open_person(%s)", [asked])
    assert warehouse.execute("SELECT vault.open_person(%s) IS NOT NULL", [asked]).fetchone() == (True,)


def test_two_folds_at_once_share_the_work(warehouse, load_inbox, inbox, database_dsn):
    for name in "abcd":
        write(inbox, name, {"enrolment": [enrolment(n, name=name) for n in range(3)]})
    load_inbox(inbox)
    before = vault_of(warehouse)
    with database.connect(database_dsn) as one, database.connect(database_dsn) as two, ThreadPoolExecutor() as pool:
        assert sum(pool.map(vault.compact, (one, two))) == 4
    assert vault_of(warehouse) == before


def test_a_vault_of_one_table_is_carried_over(warehouse, load_inbox, inbox, keyring):
    write(inbox, "a", {"enrolment": [enrolment(1, name="乙")]})
    load_inbox(inbox)
    vault.compact(warehouse)
    warehouse.execute("DROP VIEW vault.person")
    warehouse.execute("ALTER TABLE vault.folded RENAME TO person")
    warehouse.execute("DROP TABLE vault.recent")
    warehouse.execute("DELETE FROM ops.setting WHERE name = 'schema'")
    schema.migrate(warehouse, contracts.load())
    ((key, *_),) = vault_of(warehouse)
    assert vault.open_person(warehouse, keyring, key, CASE, "me")["name"] == "乙"


def test_a_delivery_of_several_feeds_is_one(warehouse, load_inbox, inbox):
    good, bad = [organisation("A1")], [member(1, joined_on="never"), member(2)]
    write(inbox, "m", {"organisation": good, "member": bad}, source="membership", mode="snapshot")
    assert only(load_inbox(inbox)).codes == ["D_TOLERANCE"]
    assert landed(warehouse, "membership_organisation", "org_code") == []
    assert landed(warehouse, "membership_member", "member_id") == []
    # what was wrong with it is kept, and so are the counts
    assert warehouse.execute("SELECT count(*) FROM ops.rejected_row").fetchone() == (1,)
    assert warehouse.execute("SELECT sum(rows_loaded) FROM ops.delivery_file").fetchone() == (2,)


def test_an_unknown_column_is_told(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [{**enrolment(1), "'; DROP SCHEMA ops; --": "1"}]})
    assert only(load_inbox(inbox)).status == "accepted"
    warning = warehouse.execute("SELECT line_number, codes FROM ops.row_warning").fetchall()
    assert warning == [(0, ["W_UNKNOWN_COLUMN:'; DROP SCHEMA ops; --"])]
    assert warehouse.execute("SELECT unknown_columns FROM ops.file").fetchone() == (["'; DROP SCHEMA ops; --"],)


# --- names and contents ----------------------------------------------------------------------------------------------


def test_same_name_same_content_is_a_duplicate(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    write(inbox, "t", {"enrolment": [enrolment(1)]}, location="u", zipped=True)
    assert [outcome.status for outcome in load_inbox(inbox)] == ["accepted", "duplicate"]
    assert len(landed(warehouse)) == 1


def test_same_name_other_content_is_refused(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    write(inbox, "t", {"enrolment": [enrolment(2)]}, location="u")
    # the later one is asked for first; still the one received first keeps the name
    outcomes = load_inbox(inbox, order=["u", "t"])
    assert sorted((outcome.status, outcome.codes) for outcome in outcomes) == [
        ("accepted", []),
        ("refused", ["D_NAME_REUSED"]),
    ]
    assert landed(warehouse) == [("t", "E1")]
    assert decided(warehouse, "t") == ("accepted", [])


def test_a_refused_delivery_keeps_its_name(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1, result="x")]})
    write(inbox, "t", {"enrolment": [enrolment(1)]}, location="u")
    write(inbox, "t", {"enrolment": [enrolment(1, result="x")]}, location="v")
    codes = [(outcome.status, outcome.codes) for outcome in load_inbox(inbox)]
    assert codes == [("refused", ["D_TOLERANCE"]), ("refused", ["D_NAME_REUSED"]), ("duplicate", [])]
    assert decided(warehouse, "t") == ("refused", ["D_TOLERANCE"])


@pytest.mark.parametrize(
    ("broken", "code"),
    [({"hash": "sha256:" + "0" * 64}, "D_HASH"), ({"bytes": 1}, "D_BYTES"), ({"rows": 7}, "D_ROWS")],
)
def test_a_broken_package_does_not_take_its_name(warehouse, load_inbox, inbox, broken, code):
    write(inbox, "t", {"enrolment": [enrolment(1)]}, location="a", resources={"enrolment": broken})
    write(inbox, "t", {"enrolment": [enrolment(1)]}, location="b")
    assert [(one.status, one.codes) for one in load_inbox(inbox)] == [("refused", [code]), ("accepted", [])]
    assert decided(warehouse, "t") == ("accepted", [])


def test_a_name_refused_for_its_feed_is_taken(warehouse, load_inbox, inbox):
    write(inbox, "t", {"lottery": [enrolment(1)]}, location="a")
    write(inbox, "t", {"enrolment": [enrolment(1)]}, location="b")
    write(inbox, "t", {"lottery": [enrolment(1)]}, location="c")
    codes = [(one.status, one.codes) for one in load_inbox(inbox)]
    assert codes == [("refused", ["D_FEED"]), ("refused", ["D_NAME_REUSED"]), ("duplicate", [])]


def test_changed_content_at_a_known_place_is_a_new_arrival(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]}, resources={"enrolment": {"rows": 9}})
    assert only(load_inbox(inbox)).codes == ["D_ROWS"]
    write(inbox, "t", {"enrolment": [enrolment(1), enrolment(2)]})
    assert only(load_inbox(inbox)).status == "accepted"
    assert load_inbox(inbox) == []


def test_a_package_replaced_before_it_was_read(warehouse, settings, database_dsn, inbox):
    here = settings.model_copy(update={"inbox": str(inbox)})
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    (first,) = pipeline.register(warehouse, here)
    write(inbox, "t", {"enrolment": [enrolment(1), enrolment(2)]})
    (second,) = pipeline.register(warehouse, here)
    # the first content was never seen: it takes no name
    assert pipeline.load(database_dsn, here, second.arrival_id).status == "accepted"
    assert pipeline._outcome(warehouse, pipeline.ledger.arrival(warehouse, first.arrival_id)).codes == [
        "D_MISSING_FILE"
    ]


# --- codes of the staging step ---------------------------------------------------------------------------------------


def test_all_codes_of_a_step_are_listed(warehouse, load_inbox, inbox):
    write(
        inbox,
        "t",
        {
            "enrolment": [enrolment(1, result="x")],
            "certificate": "什么\n",
            "fund": b"\xff\xfe\xfa".decode("latin-1"),
            "more": [enrolment(1)],
        },
        feeds={"more": "enrolment"},
        resources={"more": {"rows": 3}},
    )
    assert only(load_inbox(inbox)).codes == ["D_HEADER", "D_ROWS", "D_TOLERANCE"]
    # files that were read to their end have their counts, the others have none
    assert warehouse.execute("SELECT path FROM ops.file ORDER BY 1").fetchall() == [("enrolment.csv",), ("more.csv",)]


@pytest.fixture
def small_batches(monkeypatch) -> None:
    """A few rows each."""
    monkeypatch.setattr(text, "BATCH_BYTES", 2048)


@pytest.mark.usefixtures("small_batches")
def test_a_file_of_many_batches(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(n, result="x" if n == 70 else "1") for n in range(100)]})
    assert only(load_inbox(inbox)).status == "accepted"
    assert [number for _, number in landed(warehouse)] == sorted(f"E{n}" for n in range(100) if n != 70)
    assert warehouse.execute("SELECT count(*) FROM vault.person").fetchone() == (99,)
    assert reasons(warehouse) == {("enrolment.csv", 72): ["E_CODE:result"]}


@pytest.mark.usefixtures("small_batches")
def test_a_file_that_breaks_off_in_its_middle(warehouse, load_inbox, inbox):
    """What has been copied of it goes again, and the next file is read all the same."""
    rows = [enrolment(number, provider_name="A", ended_on="1900-01-01") for number in range(100)]
    write(
        inbox,
        "t",
        {"first": [*rows, enrolment(100, provider_name="€")], "second": [*rows, enrolment(-1, provider_name="€")]},
        feeds={"first": "enrolment", "second": "enrolment"},
        resources={"first": {"encoding": "gb18030"}},
    )
    assert only(load_inbox(inbox)).codes == ["D_ENCODING"]
    files = warehouse.execute("SELECT path, rows_read, rows_rejected FROM ops.file").fetchall()
    assert files == [("second.csv", 101, 0)]
    told = warehouse.execute("SELECT path, count(*) FROM ops.row_warning GROUP BY path").fetchall()
    assert told == [("second.csv", 100)]
    assert staging_tables.orphaned_tables(warehouse) == []


def test_equal_to_the_tolerance_is_accepted(warehouse, load_inbox, inbox):
    rows = [enrolment(n) for n in range(57)]
    wrong = [enrolment(n, result="x") for n in range(57, 61)]
    write(inbox, "at", {"enrolment": rows + wrong[:3]})  # 3 of 60 is 5 %
    write(inbox, "above", {"enrolment": rows[:-1] + wrong[:3]})
    load_inbox(inbox)
    assert decided(warehouse, "at") == ("accepted", [])
    assert decided(warehouse, "above") == ("refused", ["D_TOLERANCE"])


def test_tolerance_counts_all_files_of_a_feed(warehouse, load_inbox, inbox):
    files = {"one": [enrolment(1, result="x")], "two": [enrolment(n) for n in range(2, 41)]}
    write(inbox, "t", files, feeds=dict.fromkeys(files, "enrolment"))
    assert only(load_inbox(inbox)).status == "accepted"


def test_a_snapshot_without_members_is_empty_a_delta_is_not(warehouse, load_inbox, inbox):
    header = packages.text([member(1)]).splitlines()[0] + "\n"
    files = {"organisation": [organisation("A1")], "member": header}
    write(inbox, "s", files, source="membership", mode="snapshot")
    write(inbox, "d", files, source="membership", mode="delta")
    load_inbox(inbox)
    assert decided(warehouse, "s") == ("refused", ["D_EMPTY"])
    assert decided(warehouse, "d") == ("accepted", [])


# --- keys that stand twice -------------------------------------------------------------------------------------------


def reasons(conn) -> dict[tuple[str, int], list[str]]:
    return {
        (path, line): found
        for path, line, found in conn.execute("SELECT path, line_number, reasons FROM ops.rejected_row")
    }


def test_repeats_and_contradictions_over_the_whole_delivery(warehouse, load_inbox, inbox, keyring):
    many = [enrolment(n) for n in range(100, 200)]
    files = {
        "one": [enrolment(1), enrolment(2), enrolment(3, score="80"), *many],
        # 1: equal; 2: another content; 3: equal but for blanks; 4: stands once
        "two": [enrolment(1), enrolment(2, score="1"), enrolment(3, score=" 80.0 "), enrolment(4), enrolment(1)],
    }
    write(inbox, "t", files, feeds=dict.fromkeys(files, "enrolment"))
    assert only(load_inbox(inbox)).status == "accepted"
    assert reasons(warehouse) == {
        ("one.csv", 3): ["E_KEY_DUPLICATE"],
        ("two.csv", 2): ["E_REPEAT"],
        ("two.csv", 3): ["E_KEY_DUPLICATE"],
        ("two.csv", 4): ["E_REPEAT"],
        ("two.csv", 6): ["E_REPEAT"],
    }
    counts = warehouse.execute("SELECT rows_read, rows_loaded, rows_rejected FROM ops.file ORDER BY path").fetchall()
    assert counts == [(103, 102, 1), (5, 1, 4)]
    assert ("t", "E2") not in landed(warehouse)
    assert len(landed(warehouse)) == 103
    raws = {(row["path"], row["line_number"]): row["raw"] for row in pipeline.rejects(warehouse, keyring, "t")}
    lines = packages.text(files["two"]).splitlines()
    assert raws["two.csv", 4] == lines[3]
    # nobody is in the vault of whom no row landed
    assert warehouse.execute("SELECT count(*) FROM vault.person").fetchone() == (103,)


@pytest.mark.parametrize("twin", [{}, {"org_name": "别的工会"}], ids=["equal", "different"])
def test_keys_of_a_feed_without_persons_stand_twice(warehouse, load_inbox, inbox, twin):
    rows = [organisation(f"A{n}") for n in range(100)]
    write(inbox, "o", {"organisation": [*rows, rows[7] | twin]}, source="membership", mode="delta")
    assert only(load_inbox(inbox)).status == "accepted"
    both = {("organisation.csv", line): ["E_KEY_DUPLICATE"] for line in (9, 102)}
    assert reasons(warehouse) == (both if twin else {("organisation.csv", 102): ["E_REPEAT"]})


def test_a_rejected_row_counts_among_the_repeated(warehouse, load_inbox, inbox):
    many = [enrolment(n) for n in range(100, 200)]
    write(inbox, "t", {"enrolment": [enrolment(1, result="x"), enrolment(1), *many, enrolment(1, result="y")]})
    load_inbox(inbox)
    # a wrong value is no value: rows 2 and 104 are equal, row 3 is not
    assert reasons(warehouse) == {
        ("enrolment.csv", 2): ["E_CODE:result", "E_KEY_DUPLICATE"],
        ("enrolment.csv", 3): ["E_KEY_DUPLICATE"],
        ("enrolment.csv", 104): ["E_CODE:result", "E_KEY_DUPLICATE"],
    }


def test_wrong_number_of_fields_or_no_key_is_not_compared(warehouse, load_inbox, inbox):
    many = [enrolment(n) for n in range(100, 200)]
    lines = packages.text([enrolment(1), *many, enrolment(2, enrolment_id=""), enrolment(2, enrolment_id="")])
    write(inbox, "t", {"enrolment": lines + "E1,one field\n"})
    load_inbox(inbox)
    found = reasons(warehouse)
    assert found["enrolment.csv", 105] == ["E_COLUMNS"]
    assert not any("E_REPEAT" in one or "E_KEY_DUPLICATE" in one for one in found.values())


# --- snapshots, withdrawal -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["a", "b"], ["b", "a"]])
def test_the_last_snapshot_of_a_period_counts(warehouse, load_inbox, inbox, order):
    snapshot(inbox, "a", [1], created="2026-08-01T00:00:00Z")
    snapshot(inbox, "b", [1, 2], created="2026-08-01T08:00:01+08:00")
    load_inbox(inbox, order=order)
    assert decided(warehouse, "a") == ("superseded", [])
    assert decided(warehouse, "b") == ("accepted", [])
    # its rows stay, for audit
    assert len(landed(warehouse, "membership_member", "member_id")) == 3


def test_a_tie_goes_to_the_greater_name_by_code_point(warehouse, load_inbox, inbox):
    for name in ("a_1", "a-2", "a1"):
        snapshot(inbox, name, [1])
    load_inbox(inbox)
    assert [decided(warehouse, name)[0] for name in ("a-2", "a1", "a_1")] == ["superseded", "superseded", "accepted"]


def test_others_do_not_supersede(warehouse, load_inbox, inbox):
    snapshot(inbox, "a", [1])
    snapshot(inbox, "other-period", [1], period="2026-06")
    snapshot(inbox, "other-sender", [1], sender="350000")
    write(inbox, "delta", {"member": [member(1)]}, source="membership", created="2026-09-01T00:00:00Z")
    snapshot(inbox, "refused", [1, 1], created="2026-09-01T00:00:00Z", sender="440000")
    write(inbox, "refused", packages.register_of(["A1"], [1], joined_on="x"), source="membership", mode="snapshot")
    # for a source of events the word snapshot says nothing
    write(inbox, "t1", {"enrolment": [enrolment(1)]}, mode="snapshot")
    write(inbox, "t2", {"enrolment": [enrolment(2)]}, mode="snapshot")
    load_inbox(inbox)
    states = dict(warehouse.execute("SELECT name, status FROM ops.delivery").fetchall())
    assert states.pop("refused") == "refused"
    assert set(states.values()) == {"accepted"}


def test_withdrawal_brings_back_what_was_superseded(warehouse, load_inbox, inbox):
    snapshot(inbox, "a", [1], created="2026-08-01T00:00:00Z")
    snapshot(inbox, "b", [1], created="2026-08-02T00:00:00Z")
    load_inbox(inbox)
    assert pipeline.withdraw(warehouse, "b", "sent by mistake").status == "withdrawn"
    assert decided(warehouse, "a")[0] == "accepted"
    assert pipeline.withdraw(warehouse, "b", "again").status == "withdrawn"  # changes nothing
    reasons = warehouse.execute("SELECT detail FROM ops.delivery_step WHERE step = 'withdrawn'").fetchall()
    assert reasons == [({"reason": "sent by mistake"},)]
    # what comes later finds it gone
    snapshot(inbox, "c", [1], created="2026-08-01T12:00:00Z")
    load_inbox(inbox)
    assert [decided(warehouse, name)[0] for name in "abc"] == ["superseded", "withdrawn", "accepted"]
    # and its name stays taken
    snapshot(inbox, "b", [1, 2], location="b2")
    assert only(load_inbox(inbox)).codes == ["D_NAME_REUSED"]


def test_a_superseded_delivery_can_be_withdrawn_too(warehouse, load_inbox, inbox):
    snapshot(inbox, "a", [1], created="2026-08-01T00:00:00Z")
    snapshot(inbox, "b", [1], created="2026-08-02T00:00:00Z")
    load_inbox(inbox)
    pipeline.withdraw(warehouse, "a", "wrong")
    pipeline.withdraw(warehouse, "b", "wrong too")
    assert [decided(warehouse, name)[0] for name in "ab"] == ["withdrawn", "withdrawn"]


def test_only_an_accepted_delivery_can_be_withdrawn(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1, result="x")]})
    load_inbox(inbox)
    for name in ("t", "unheard-of"):
        with pytest.raises(WarehouseError, match=name):
            pipeline.withdraw(warehouse, name, "x")
    assert decided(warehouse, "t")[0] == "refused"


# --- again -----------------------------------------------------------------------------------------------------------


def test_loading_again_changes_nothing(warehouse, load_inbox, settings, database_dsn, inbox, keyring):
    snapshot(inbox, "a", [1], created="2026-08-01T00:00:00Z")
    snapshot(inbox, "b", [1], created="2026-08-02T00:00:00Z")
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    write(inbox, "t", {"enrolment": [enrolment(1)]}, location="u")
    load_inbox(inbox)
    pipeline.withdraw(warehouse, "b", "wrong")
    before = state.of(warehouse, contracts.load(), keyring), warehouse.execute("SELECT * FROM ops.step").fetchall()
    here = settings.model_copy(update={"inbox": str(inbox)})
    for (arrival_id,) in warehouse.execute("SELECT arrival_id FROM ops.arrival").fetchall():
        pipeline.load(database_dsn, here, arrival_id)
    assert pipeline.register(warehouse, here) == []
    after = state.of(warehouse, contracts.load(), keyring), warehouse.execute("SELECT * FROM ops.step").fetchall()
    assert before == after


def test_a_refused_delivery_is_judged_again(warehouse, load_inbox, settings, database_dsn, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1, result="x"), *map(enrolment, range(2, 42))]})
    here = settings.model_copy(update={"inbox": str(inbox)})

    def against(request: pipeline.GateRequest) -> list[Finding]:
        return [Finding(DeliveryCode.EXPECTATION, "no")]

    outcome = only(load_inbox(inbox, gate=against))
    assert outcome.codes == ["D_EXPECTATION"]
    assert landed(warehouse) == []
    assert len(reasons(warehouse)) == 1
    assert staging_tables.orphaned_tables(warehouse) == []
    again = pipeline.load(database_dsn, here, outcome.arrival_id, against)
    assert again == outcome
    assert len(reasons(warehouse)) == 1
    assert pipeline.load(database_dsn, here, outcome.arrival_id).status == "accepted"
    assert len(landed(warehouse)) == 40
    assert len(reasons(warehouse)) == 1
    assert decided(warehouse, "t") == ("accepted", [])


def test_the_gate_sees_the_staged_rows_and_others_do_not(warehouse, load_inbox, inbox, database_dsn):
    snapshot(inbox, "m", [1, 2])
    seen = {}

    def look(request: pipeline.GateRequest) -> list[Finding]:
        with database.connect(request.dsn) as conn:
            for feed, table in request.tables.items():
                seen[feed] = conn.execute(f"SELECT count(*) FROM {table}").fetchone()[0], request.rows_loaded[feed]
            assert landed(conn, "membership_member", "member_id") == []
            assert conn.execute("SELECT count(*) FROM ops.delivery").fetchone() == (0,)
        return []

    assert only(load_inbox(inbox, gate=look)).status == "accepted"
    assert seen == {"organisation": (1, 1), "member": (2, 2)}


def test_a_fault_between_staging_and_decision_leaves_nothing(warehouse, load_inbox, settings, database_dsn, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]})

    def broken(request: pipeline.GateRequest) -> list[Finding]:
        raise OSError("disk")

    with pytest.raises(NotDecided) as caught:
        load_inbox(inbox, gate=broken)
    assert isinstance(caught.value.__cause__, OSError)
    assert landed(warehouse) == []
    assert warehouse.execute("SELECT count(*) FROM ops.delivery").fetchone() == (0,)
    assert warehouse.execute("SELECT count(*) FROM vault.person").fetchone() == (0,)
    (arrival,) = pipeline.pending(warehouse)
    assert arrival.status == "staged"
    here = settings.model_copy(update={"inbox": str(inbox)})
    assert pipeline.load(database_dsn, here, arrival.arrival_id).status == "accepted"
    assert len(landed(warehouse)) == 1
    assert staging_tables.orphaned_tables(warehouse) == []


def test_remarks_of_an_interrupted_judgement_are_not_told(warehouse, load_inbox, settings, database_dsn, inbox):
    def remarks() -> list[tuple[int, list[str]]]:
        return warehouse.execute("SELECT line_number, codes FROM ops.row_warning").fetchall()

    def broken(request: pipeline.GateRequest) -> list[Finding]:
        raise OSError("disk")

    first = write(inbox, "t", {"enrolment": [enrolment(1), enrolment(2, ended_on="1900-01-01")]})
    write(inbox, "u", {"enrolment": [enrolment(3, ended_on="1900-01-01")]})
    here = settings.model_copy(update={"inbox": str(inbox)})
    t, u = pipeline.register(warehouse, here)
    for arrival in (t, u):
        with pytest.raises(NotDecided):
            pipeline.load(database_dsn, here, arrival.arrival_id, gate=broken)
    assert remarks() == []
    shutil.rmtree(first)
    assert pipeline.load(database_dsn, here, t.arrival_id).codes == ["D_MISSING_FILE"]
    assert remarks() == []
    assert pipeline.load(database_dsn, here, u.arrival_id).status == "accepted"
    assert remarks() == [(2, ["W_PLACEHOLDER_DATE:ended_on"])]


def test_leftovers_of_a_killed_second_judgement_are_swept(warehouse, load_inbox, settings, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1, result="x")]})
    outcome = only(load_inbox(inbox))
    batch = staging_tables.StagingTable(warehouse, contracts.load().feeds["training", "enrolment"], outcome.arrival_id)
    with warehouse.transaction():
        batch.create()
    assert len(staging_tables.orphaned_tables(warehouse)) == 2
    pipeline.register(warehouse, settings.model_copy(update={"inbox": str(inbox)}))
    assert staging_tables.orphaned_tables(warehouse) == []


def test_steps_are_told(warehouse, settings, database_dsn, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    here = settings.model_copy(update={"inbox": str(inbox)})
    (arrival,) = pipeline.register(warehouse, here)
    told: list[str] = []
    pipeline.load(database_dsn, here, arrival.arrival_id, on_step=lambda step, detail: told.append(step))
    assert told == ["checked", "staged", "validated", "accepted"]


# --- several at once -------------------------------------------------------------------------------------------------


def test_workers_on_the_same_arrival(warehouse, settings, database_dsn, inbox):
    write(inbox, "t", {"enrolment": [enrolment(n) for n in range(2000)]})
    here = settings.model_copy(update={"inbox": str(inbox)})
    (arrival,) = pipeline.register(warehouse, here)
    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(lambda _: pipeline.load(database_dsn, here, arrival.arrival_id), range(4)))
    assert {outcome.status for outcome in outcomes} == {"accepted"}
    assert len(landed(warehouse)) == 2000
    assert warehouse.execute("SELECT count(*) FROM ops.step WHERE step = 'accepted'").fetchone() == (1,)


def test_workers_on_snapshots_of_one_period(warehouse, settings, database_dsn, inbox):
    for day in range(1, 7):
        snapshot(inbox, f"s{day}", [1, 2], created=f"2026-08-0{day}T00:00:00Z")
    here = settings.model_copy(update={"inbox": str(inbox)})
    arrivals = pipeline.register(warehouse, here)
    start = threading.Barrier(3)

    def work(worker: int) -> None:
        start.wait()
        for arrival in arrivals[worker::3]:
            pipeline.load(database_dsn, here, arrival.arrival_id)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    states = dict(warehouse.execute("SELECT name, status FROM ops.delivery").fetchall())
    assert states.pop("s6") == "accepted"
    assert set(states.values()) == {"superseded"}


def test_two_acceptances_that_bring_the_same_person(warehouse, settings, database_dsn, inbox, keyring):
    for name, day in (("a", 2), ("b", 1)):
        write(inbox, name, {"enrolment": [enrolment(1, name=name)]}, created=f"2026-08-0{day}T00:00:00Z")
    here = settings.model_copy(update={"inbox": str(inbox)})
    first, second = pipeline.register(warehouse, here)
    with ThreadPoolExecutor(1) as pool:
        other = []

        def accepted_but_not_committed(step: str, _: object) -> None:
            """Let the other one go on until it waits for us."""
            if step != "accepted":
                return
            other.append(pool.submit(pipeline.load, database_dsn, here, second.arrival_id))
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            )
            for _attempt in range(600):
                if other[0].done() or warehouse.execute(waiting).fetchone() != (0,):
                    return
                time.sleep(0.05)

        pipeline.load(database_dsn, here, first.arrival_id, on_step=accepted_but_not_committed)
        assert other[0].result(60).status == "accepted"
    (key,) = warehouse.execute("SELECT person_key FROM vault.person").fetchone()
    assert vault.open_person(warehouse, keyring, key, CASE, "me")["name"] == "a"


def test_readers_of_landing_are_not_in_the_way(warehouse, load_inbox, database_dsn, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    with database.connect(database_dsn, autocommit=False) as reader:
        reader.execute("SELECT count(*) FROM landing.training_enrolment")  # holds its lock until the end
        outcome = []
        worker = threading.Thread(target=lambda: outcome.extend(load_inbox(inbox)))
        worker.start()
        worker.join(20)
        assert [one.status for one in outcome] == ["accepted"]


def test_clock_columns_follow_the_run_nothing_else_does(warehouse, load_inbox, inbox):
    write(inbox, "t", {"enrolment": [enrolment(1)]})
    load_inbox(inbox)
    created, decided_at = warehouse.execute("SELECT created, decided_at FROM ops.delivery").fetchone()
    assert created == datetime(2026, 8, 3, tzinfo=UTC)
    assert (datetime.now(UTC) - decided_at).total_seconds() < 60
    manifest = warehouse.execute("SELECT manifest FROM ops.arrival").fetchone()[0]
    written = json.loads((inbox / "t" / "datapackage.json").read_text())
    (kept,), (listed,) = manifest.pop("resources"), written.pop("resources")
    assert manifest == written
    assert (kept["feed"], kept["path"], kept["hash"]) == (listed["name"], listed["path"], listed["hash"])


def test_more_files_than_a_small_number_counts(warehouse, load_inbox, inbox):
    names = [f"f{n}" for n in range(40)]
    files = {name: [enrolment(n)] for n, name in enumerate(names)}
    write(inbox, "t", files, feeds=dict.fromkeys(names, "enrolment"))
    assert only(load_inbox(inbox)).status == "accepted"
    assert landing.PROVENANCE["file_no"] == "integer"  # a manifest may list a hundred thousand files
    assert len(landed(warehouse)) == 40

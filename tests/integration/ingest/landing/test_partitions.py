"""Deliveries of closed months share a partition; nobody who reads notices."""

import psycopg
import pytest

from ingest import contracts, database, pipeline
from ingest.landing import partitions
from tests import packages
from tests.packages import enrolment


@pytest.fixture
def inbox(tmp_path, load_inbox):
    for month in range(1, 6):
        for sender in ("350000", "440000"):
            packages.write(
                tmp_path / "inbox",
                f"training-{sender}-{month}",
                {"enrolment": [enrolment(month)]},
                sender=sender,
                period=f"2026-{month:02d}",
                created="2026-09-03T08:00:00+08:00",
            )
    assert {outcome.status for outcome in load_inbox(tmp_path / "inbox")} == {"accepted"}
    return tmp_path / "inbox"


def parts(warehouse: psycopg.Connection) -> list[str]:
    query = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'landing.training_enrolment'::regclass"
    return sorted(name for (name,) in warehouse.execute(query))


def rows(warehouse: psycopg.Connection) -> list[tuple]:
    return sorted(warehouse.execute("SELECT * FROM landing.training_enrolment").fetchall(), key=repr)


def test_deliveries_of_closed_months_share_a_partition(warehouse, inbox):
    before = rows(warehouse)
    assert len(parts(warehouse)) == 10
    merged = partitions.merge(warehouse, contracts.load())
    assert set(merged.values()) == {2}
    assert len(merged) == 2  # January and February; the newest three are open
    assert len(parts(warehouse)) == 8
    assert rows(warehouse) == before
    assert partitions.merge(warehouse, contracts.load()) == {}


def test_a_late_delivery_joins_its_month(warehouse, inbox, load_inbox):
    partitions.merge(warehouse, contracts.load())
    packages.write(inbox, "late", {"enrolment": [enrolment(77)]}, period="2026-01", created="2026-09-09T08:00:00+08:00")
    assert [outcome.status for outcome in load_inbox(inbox)] == ["accepted"]
    before = rows(warehouse)
    (merged,) = partitions.merge(warehouse, contracts.load()).values()
    assert merged == 2
    assert rows(warehouse) == before
    pipeline.withdraw(warehouse, "late", "a test")
    assert rows(warehouse) == before


def test_a_month_with_readers_is_left_for_the_next_run(warehouse, inbox, database_dsn, monkeypatch):
    monkeypatch.setattr(database, "LOCK_TIMEOUT_SECONDS", 0.2)
    with psycopg.connect(database_dsn) as reader:
        reader.execute("SELECT count(*) FROM landing.training_enrolment")
        assert partitions.merge(warehouse, contracts.load()) == {}
    assert len(parts(warehouse)) == 10
    assert len(partitions.merge(warehouse, contracts.load())) == 2

"""How much of a delivery is read and kept that cannot be accepted, or that expands far."""

import hashlib
import json
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest

from ingest.pipeline import Outcome
from ingest.settings import Settings
from tests.integration.conftest import Loader
from tests.packages import Row, enrolment, manifest_of, text, write
from warehouse import explanation


def wrong(number: int) -> Row:
    return enrolment(number, result="?")


def counts(conn: psycopg.Connection) -> tuple[Any, ...]:
    """Rows read, loaded and rejected, the rejected rows that are kept, and what the decision says of the others."""
    row = conn.execute(
        "SELECT rows_read, rows_loaded, rows_rejected, (SELECT count(*) FROM ops.rejection),"
        " (SELECT detail -> 'rejected_rows_not_kept' FROM ops.step WHERE step IN ('accepted', 'refused')) FROM ops.file"
    ).fetchone()
    assert row is not None
    return row


@pytest.fixture
def load(load_inbox: Loader, settings: Settings, tmp_path: Path) -> Any:
    def loaded(content: str | list[Row], **limits: int) -> Outcome:
        write(tmp_path / "inbox", "p", {"enrolment": content})
        (outcome,) = load_inbox(tmp_path / "inbox", chosen=settings.model_copy(update=limits))
        return outcome

    return loaded


GOOD = [enrolment(number) for number in range(96)]


def test_below_the_limit_all_are_kept(load: Any, warehouse: psycopg.Connection) -> None:
    assert load([*GOOD, *(wrong(100 + n) for n in range(4))], kept_rejected_rows=4).status == "accepted"
    assert counts(warehouse) == (100, 96, 4, 4, None)


@pytest.mark.parametrize("limits", [{"kept_rejected_rows": 2}, {"kept_rejected_bytes": 150}])
def test_beyond_the_limit_they_are_counted(load: Any, warehouse: psycopg.Connection, limits: dict[str, int]) -> None:
    assert load([*GOOD, *(wrong(100 + n) for n in range(4))], **limits).status == "accepted"
    assert counts(warehouse) == (100, 96, 4, 2, {"E_CODE:result": 2})
    told = explanation.as_text(explanation.explain(warehouse, "p"))
    assert "of erased persons): 只计数未留存的剔除行（超出上限，或属于已删除个人）： 2" in told


def test_a_row_that_is_not_kept_still_repeats_a_key(load: Any, warehouse: psycopg.Connection) -> None:
    rows = [*GOOD, wrong(100), {**wrong(101), "enrolment_id": "E7"}]
    assert load(rows, kept_rejected_rows=1).status == "accepted"
    assert counts(warehouse) == (98, 95, 3, 1, {"E_CODE:result": 1, "E_KEY_DUPLICATE": 2})


def test_what_cannot_be_accepted_any_more_is_not_read_on(load: Any, warehouse: psycopg.Connection) -> None:
    lines = 300_000
    outcome = load(text(GOOD) + "x\n" * lines, kept_rejected_rows=500)
    assert (outcome.status, outcome.codes) == ("refused", ["D_TOLERANCE"])
    assert "the rest was not read, because it could not change that" in outcome.reason
    read, loaded, rejected, kept, others = counts(warehouse)
    assert loaded == 96
    assert read == loaded + rejected
    assert 500 < rejected < lines
    assert (kept, others) == (500, {"E_COLUMNS": rejected - 500})


def test_what_may_still_be_accepted_is_read_on(load: Any, warehouse: psycopg.Connection) -> None:
    rows = [*(wrong(n) for n in range(40)), *(enrolment(100 + n) for n in range(960))]
    assert load(rows, kept_rejected_rows=5).status == "accepted"
    assert counts(warehouse) == (1000, 960, 40, 5, {"E_CODE:result": 35})


def test_a_parquet_file_that_expands_far(
    load_inbox: Loader, warehouse: psycopg.Connection, settings: Settings, tmp_path: Path
) -> None:
    """Five million equal rows are a few bytes of their file."""
    folder = tmp_path / "inbox" / "p"
    folder.mkdir(parents=True)
    place = folder / "enrolment.parquet"
    row = enrolment(1)
    pl.select(**{name: pl.repeat(value, 5_000_000) for name, value in row.items()}).write_parquet(place)
    assert place.stat().st_size < 1024**2
    entry = {
        "name": "enrolment",
        "path": place.name,
        "hash": f"sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}",
    }
    (folder / "datapackage.json").write_text(json.dumps(manifest_of("p", [entry])))
    (outcome,) = load_inbox(tmp_path / "inbox")
    assert (outcome.status, outcome.codes) == ("refused", ["D_ARCHIVE"])
    assert "expands to more than" in outcome.reason

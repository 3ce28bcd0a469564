"""Synthetic deliveries against the engine: tidy ones lose no row, untidy ones show every row code and no more."""

from pathlib import Path

import psycopg
import pytest

from ingest import synthetic
from ingest.errors import RowCode

SIZE = {"members": 900, "settlements": 1_500, "provinces": ("350000", "440000"), "months": ("2026-07", "2026-08")}

STATUSES = """SELECT status, array_agg(name ORDER BY name) FROM ops.delivery GROUP BY 1"""
COUNTS = """SELECT sum(rows_read), sum(rows_loaded), sum(rows_rejected) FROM ops.delivery_file"""
CODES = """SELECT DISTINCT split_part(reason, ':', 1) FROM ops.rejected_row, unnest(reasons) AS reason"""
WARNINGS = """SELECT DISTINCT split_part(code, ':', 1) FROM ops.row_warning, unnest(codes) AS code"""


def test_tidy_deliveries_lose_no_row(warehouse: psycopg.Connection, load_inbox, tmp_path: Path) -> None:
    made = synthetic.generate(tmp_path / "inbox", seed=5, dirty=False, **SIZE)  # type: ignore[arg-type]
    outcomes = load_inbox(tmp_path / "inbox")
    assert {one.status for one in outcomes} == {"accepted"}
    assert len(outcomes) == len(made)
    read, loaded, rejected = warehouse.execute(COUNTS).fetchone()  # type: ignore[misc]
    assert read == loaded > 4_000
    assert rejected == 0


#: The synthetic senders write nothing of persons into texts and keys; tests/unit/ingest/validation/test_identifiers.py does.
OF_PERSONS_IN_OTHER_COLUMNS = {RowCode.FREE_TEXT, RowCode.IDENTIFIER, RowCode.IDENTIFIER_COLUMN}


@pytest.mark.parametrize("seed", [5])
def test_untidy_deliveries_show_every_row_code(
    warehouse: psycopg.Connection, load_inbox, tmp_path: Path, seed: int
) -> None:
    synthetic.generate(tmp_path / "inbox", seed=seed, **SIZE)  # type: ignore[arg-type]
    load_inbox(tmp_path / "inbox")
    statuses = dict(warehouse.execute(STATUSES).fetchall())
    assert statuses["refused"] == ["fault-archive", "fault-hash", "fault-header", "fault-path"]
    assert statuses["superseded"] == ["membership-350000-2026-08.early"]
    assert set(statuses) == {"accepted", "refused", "superseded"}
    assert {code for (code,) in warehouse.execute(CODES)} == {code for code in RowCode if code.startswith("E_")}
    warned = {code for (code,) in warehouse.execute(WARNINGS)}
    assert warned == {code for code in RowCode if code.startswith("W_")} - OF_PERSONS_IN_OTHER_COLUMNS
    read, loaded, rejected = warehouse.execute(COUNTS).fetchone()  # type: ignore[misc]
    assert read == loaded + rejected
    assert 0.01 < rejected / read < 0.05

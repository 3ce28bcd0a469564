"""Published tables as files: types, labels, what stays hidden, and what a spreadsheet must not run."""

import csv
import datetime as dt
import stat
import zipfile
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import python_calamine

from tests.integration.warehouse.cli.conftest import Runner

TABLES = """
CREATE TABLE build_a.figure (
    month date, sender text, is_net boolean, persons integer, amount numeric(18, 2), share numeric, at timestamptz,
    tags text[]
);
INSERT INTO build_a.figure VALUES
    ('2026-08-01', '=1+1', true, 12, 10.50, 0.25, '2026-08-01 09:30+08', '{a,b}'),
    ('2026-07-01', '440000', false, NULL, NULL, NULL, NULL, NULL);
CREATE VIEW marts.figure AS SELECT * FROM build_a.figure;
COMMENT ON COLUMN marts.figure.month IS 'First day of the month. 月份首日。';
COMMENT ON COLUMN marts.figure.sender IS 'Sender: six digits. 报送单位（六位）。';
COMMENT ON COLUMN marts.figure.persons IS 'Persons; empty for 1 to 10. 人数；1 至 10 人时为空。';
COMMENT ON COLUMN marts.figure.amount IS 'Persons. 人数。';
CREATE VIEW casework.beta AS SELECT * FROM build_a.figure;
CREATE VIEW core.figure AS SELECT month FROM build_a.figure;
GRANT SELECT ON marts.figure TO bi_reader;
GRANT SELECT ON core.figure TO analyst, caseworker;
GRANT SELECT ON casework.beta TO caseworker
"""


@pytest.fixture
def export(command: Runner) -> Runner:
    """The command, with some tables published."""
    assert command("up")[0] == 0
    with psycopg.connect(command("dsn")[1].strip(), autocommit=True) as conn:
        conn.execute("CREATE SCHEMA IF NOT EXISTS build_a")
        for statement in TABLES.split(";\n"):
            conn.execute(statement)
    return command


def test_csv_with_chinese_labels(export: Runner, tmp_path: Path) -> None:
    path = tmp_path / "figure.csv"
    code, out, _ = export("export", "marts.figure", "--format", "csv", "--out", str(path), "--labels", "zh")
    assert (code, out) == (0, f"marts.figure: 2 rows in {path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    header, *rows = csv.reader(path.open(encoding="utf-8-sig", newline=""))
    # Two columns share a label, so that their names stand behind it; three have no description.
    assert header == ["月份首日", "报送单位", "is_net", "人数 persons", "人数 amount", "share", "at", "tags"]
    assert rows == [
        ["2026-07-01", "440000", "false", "", "", "", "", ""],
        ["2026-08-01", "'=1+1", "true", "12", "10.50", "0.25", "2026-08-01 09:30:00+08", "{a,b}"],
    ]


def test_parquet_has_types(export: Runner, tmp_path: Path) -> None:
    path = tmp_path / "figure.parquet"
    assert export("export", "figure", "--out", str(path), "--labels", "en")[0] == 0
    table = pq.read_table(path)
    assert table.column_names[:2] == ["First day of the month", "Sender"]
    assert [table.schema.field(position).type for position in range(6)] == [
        *(pa.date32(), pa.string(), pa.bool_(), pa.int32(), pa.decimal128(18, 2), pa.float64())
    ]
    assert list(table.to_pylist()[1].values())[:6] == [dt.date(2026, 8, 1), "=1+1", True, 12, Decimal("10.50"), 0.25]
    assert table.to_pylist()[0]["Persons persons"] is None


def test_a_workbook_has_types_and_runs_nothing(export: Runner, tmp_path: Path) -> None:
    path = tmp_path / "figure.xlsx"
    assert export("export", "marts.figure", "--out", str(path))[0] == 0
    header, first, second = python_calamine.load_workbook(path).get_sheet_by_name("figure").to_python()
    assert header == ["month", "sender", "is_net", "persons", "amount", "share", "at", "tags"]
    assert first == [dt.date(2026, 7, 1), "440000", False, "", "", "", "", ""]
    instant = dt.datetime(2026, 8, 1, 9, 30)
    assert second == [dt.date(2026, 8, 1), "=1+1", True, 12.0, 10.5, 0.25, instant, "{a,b}"]
    with zipfile.ZipFile(path) as archive:
        assert "<f>" not in archive.read("xl/worksheets/sheet1.xml").decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["marts.figures"], "no published table 'marts.figures'. Is it marts.figure"),
        (["ops.delivery"], "no published table 'ops.delivery'"),
        (["casework.beta"], "casework.beta is not for the role analyst: --role caseworker"),
        (["core.figure", "--role", "bi_reader"], "core.figure is not for the role bi_reader"),
        (["marts.figure", "--role", "warehouse"], "'warehouse' is no role"),
    ],
)
def test_what_may_not_be_read_is_refused_in_words(
    export: Runner, tmp_path: Path, arguments: list[str], words: str
) -> None:
    code, _, error = export("export", *arguments, "--out", str(tmp_path / "x.csv"))
    assert (code, error.count("\n")) == (1, 1)
    assert words in error
    assert list(tmp_path.glob("x.csv*")) == []


def test_casework_is_for_case_workers(export: Runner, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    assert export("export", "casework.beta", "--role", "caseworker", "--out", str(path))[0] == 0
    assert path.exists()


def test_a_login_that_is_no_member_of_the_role_is_told_how_to_become_one(
    export: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner = export("dsn")[1].strip()
    with psycopg.connect(owner, autocommit=True) as conn:
        conn.execute("DROP ROLE IF EXISTS nobody_of_the_roles")
        conn.execute("CREATE ROLE nobody_of_the_roles LOGIN PASSWORD 'nothing'")
    try:
        other = psycopg.conninfo.make_conninfo(owner, user="nobody_of_the_roles", password="nothing")
        monkeypatch.setenv("WAREHOUSE_DSN", other)
        code, _, error = export("export", "marts.figure", "--out", str(tmp_path / "x.csv"))
        assert (code, error.count("\n")) == (1, 1)
        assert "GRANT analyst TO nobody_of_the_roles" in error
    finally:
        with psycopg.connect(owner, autocommit=True) as conn:
            conn.execute("DROP ROLE nobody_of_the_roles")

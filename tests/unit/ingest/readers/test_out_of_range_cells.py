"""Numbers outside the range of dates and durations: their rows reach the checks, and other rows are read."""

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter

from ingest.readers import RawBatch, Table
from tests.unit.ingest.readers.test_sheet import HEADER, old_workbook, only, opened

NUMBER = 1.5  # written by the library that makes the workbook, and replaced afterwards
SHEET = "xl/worksheets/sheet1.xml"


def replaced(path: Path, numbers: dict[float, str]) -> Path:
    """Replace numbers in a workbook by numbers that xlsxwriter would refuse."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for before, after in numbers.items():
        assert parts[SHEET].count(b"<v>%r</v>" % before) == 1
        parts[SHEET] = parts[SHEET].replace(b"<v>%r</v>" % before, f"<v>{after}</v>".encode())
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def out_of_range_cell(
    path: Path, table: Sequence[Sequence[Any]], cell: tuple[int, int], number: str, kind: str
) -> Path:
    """A sheet with one number, as it is written, in a format that cannot show it; ``cell``: row and column from 0."""
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet()
        for at, row in enumerate(table):
            page.write_row(at, 0, row)
        page.write_number(*cell, NUMBER, book.add_format({"num_format": kind}))
    return replaced(path, {NUMBER: number})


def workbook(path: Path, cells: dict[int, tuple[str, str]], rows: int = 5, column: int = 2) -> Path:
    """A sheet with a date in every row; ``cells``: row from 0 -> (number as it is written, its format)."""
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet("名册")
        date = book.add_format({"num_format": "yyyy-mm-dd"})
        page.write_row(0, 0, HEADER)
        for row in range(rows):
            page.write_row(row + 1, 0, [f"A{row}", "1"])
            page.write_number(row + 1, 2, 32874, date)
            if row in cells:
                page.write_number(row + 1, column, NUMBER + row, book.add_format({"num_format": cells[row][1]}))
    return replaced(path, {NUMBER + row: number for row, (number, _) in cells.items()})


def read(table: Table) -> RawBatch:
    """The only batch, read twice as the rejection of repeated keys does."""
    first, again = only(table), only(table)
    assert first.frame.equals(again.frame)
    return again


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        ("-1e17", "yyyy-mm-dd", "-100000000000000000"),
        ("-1e12", "yyyy-mm-dd hh:mm:ss", "-1000000000000"),
        ("-1e17", "h:mm", "-100000000000000000"),
        ("1e17", "[h]:mm:ss", "100000000000000000"),
        ("-1e9", "[h]:mm:ss", "-1000000000"),
        ("1e400", "[h]:mm:ss", "Infinity"),
    ],
)
@pytest.mark.parametrize("row", [0, 4])
def test_a_number_outside_the_range_of_its_format(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], number: str, kind: str, text: str, row: int
) -> None:
    batch = read(opened(workbook(tmp_path / "a.xlsx", {row: (number, kind)})))
    born = ["1990-01-01"] * 5
    born[row] = text
    assert batch.frame["born"].to_list() == born
    assert batch.line.to_list() == [2, 3, 4, 5, 6]
    displayed = f"{float(number):.15G}" if abs(float(number)) >= 10**15 else text  # as a spreadsheet displays it
    assert batch.raw([row]) == [f"A{row}\t1\t{displayed}\t\t\t"]
    assert capfd.readouterr().err == "", "what the library says of its own failure is nothing for the screen"


def test_other_cells_of_the_row_are_unchanged(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", {1: ("1e17", "[h]:mm:ss"), 3: ("-1e17", "yyyy-mm-dd")}, column=4)
    frame = read(opened(path)).frame
    assert frame["born"].to_list() == ["1990-01-01"] * 5
    assert frame["amount"].to_list() == ["", "100000000000000000", "", "-100000000000000000", ""]


def test_many_in_a_long_sheet(tmp_path: Path) -> None:
    wild = dict.fromkeys((0, 999, 1000, 1001, 2499), ("-1e17", "yyyy-mm-dd"))
    frame = read(opened(workbook(tmp_path / "a.xlsx", wild, rows=2500))).frame
    assert frame["code"].to_list() == [f"A{row}" for row in range(2500)]
    assert frame.with_row_index().filter(pl.col("born") != "1990-01-01")["index"].to_list() == list(wild)


def test_an_old_workbook(tmp_path: Path) -> None:
    """Its formats cannot be left out, so the row as a whole cannot be read; an error in every cell rejects it."""
    path = tmp_path / "a.xls"
    path.write_bytes(old_workbook([list(HEADER), ["甲", "1", 32874.0], ["乙", "1", -1e17]], number_format=14))
    frame = read(opened(path, format="xls")).frame
    assert frame.rows() == [("甲", "1", "1990-01-01", "", "", ""), ("#NUM!",) * 6]


FAR = 2**63 - 1


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        (pa.array([0, FAR, None, -FAR]).cast(pa.timestamp("us")), ["1970-01-01 00:00:00", f"{FAR} us", "", f"-{FAR} us"]),
        (pa.array([0, FAR, None, -FAR]).cast(pa.timestamp("ms", "UTC")), ["1970-01-01 00:00:00", f"{FAR} ms", "", f"-{FAR} ms"]),
        (pa.array([0, 2**31 - 1, None], pa.int32()).view(pa.date32()), ["1970-01-01", "2147483647 d", ""]),
        (pa.array([0, FAR, None]).view(pa.duration("us")), ["0:00:00", f"{FAR} us", ""]),
    ],
)  # fmt: skip
def test_a_time_out_of_range(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], values: pa.Array, texts: list[str]
) -> None:
    codes = [f"A{row}" for row in range(len(values))]
    pq.write_table(pa.table({"code": codes, "certno": codes, "born": values}), tmp_path / "a.parquet")
    batch = read(opened(tmp_path / "a.parquet", format="parquet"))
    assert batch.frame["born"].to_list() == texts
    assert batch.raw([1]) == [f"A1\tA1\t{texts[1]}"]
    assert capfd.readouterr().err == ""

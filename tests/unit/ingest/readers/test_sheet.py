"""Sheets as people make them, and Parquet: what counts as a row, and the text of a cell."""

import datetime as dt
import decimal
import io
import math
import struct
import tempfile
import uuid
import zipfile
import zlib
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.contracts.model import Column, Feed, Kind
from ingest.delivery.manifest import Dialect, Resource
from ingest.errors import DeliveryRefused
from ingest.readers import RawBatch, Table, biff, open_table, sheet
from ingest.readers.parquet import _floats_as_text
from ingest.settings import Settings
from ingest.stripping import ERROR_WORDS

FEED = Feed(
    source="membership",
    name="thing",
    label="东西",
    kind="register",
    versions=(1,),
    columns=(
        Column("code", "编码", Kind.IDENTIFIER, required=True, key=True),
        Column("certno", "证件号码", Kind.CERTNO, required=True, personal=True),
        Column("born", "出生日期", Kind.DATE),
        Column("seen", "时间", Kind.DATETIME),
        Column("amount", "金额", Kind.MONEY),
        Column("note", "备注", Kind.TEXT),
    ),
    dropped=frozenset({"addr", "住址"}),
)
HEADER = ["编码", "证件号码", "出生日期", "时间", "金额", "备注"]
ROW = ["A", "1", "", "", "", ""]
UUID = uuid.UUID(int=2**127 + 1)
NO_HEADER = {"dialect": Dialect(header=False, header_rows=())}
#: An image of one pixel.
PIXEL = b"\x89PNG\r\n\x1a\n" + b"".join(
    struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    for kind, content in (
        (b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"\0\0")),
        (b"IEND", b""),
    )
)


def workbook(
    path: Path,
    rows: list[list[Any]],
    *,
    name: str = "Sheet1",
    merges: list[str] = [],  # noqa: B006
    since_1904: bool = False,
) -> Path:
    with xlsxwriter.Workbook(path, {"default_date_format": "yyyy-mm-dd", "date_1904": since_1904}) as book:
        page = book.add_worksheet(name)
        for cell_range in merges:
            page.merge_range(cell_range, "")
        for number, row in enumerate(rows):
            for column, cell in enumerate(row):
                if isinstance(cell, dt.datetime):
                    page.write_datetime(number, column, cell, book.add_format({"num_format": "yyyy-mm-dd hh:mm:ss"}))
                elif cell != "":
                    page.write(number, column, cell)
    return path


def opened(path: Path, limits: Settings | None = None, **properties: Any) -> Table:
    properties = {"format": "xlsx", "dialect": Dialect(header_rows=()), **properties}
    limits = limits or Settings(home=path.parent)
    return open_table(path, Resource("thing", "thing", path.name, **properties), FEED, limits)


def only(table: Table) -> RawBatch:
    (batch,) = table.batches()
    return batch


# --- what is a row -----------------------------------------------------------------------------------------------


def test_title_total_and_notes_are_no_rows(tmp_path: Path) -> None:
    table = opened(
        workbook(
            tmp_path / "a.xlsx",
            [
                ["名册"], [], ["填报单位：某省", "", "单位：元"], HEADER, ["A", "1"], [], ["B", "2"], ["小计", "", "", "", 2],
                ["C", "3"], ["合 计：", 9], ["", "总计", "", "", 3], ["填表说明：一"], ["二、不要合并"],
            ],
        )
    )  # fmt: skip
    batch = only(table)
    assert batch.frame["code"].to_list() == ["A", "B", "C"]
    assert batch.line.to_list() == [5, 7, 9]
    assert table.rows_skipped == 2 + 3 + 2
    assert only(table).frame.equals(batch.frame), "a table can be read again"
    assert table.rows_skipped == 7


def test_words_of_totals_inside_a_row_are_data(tmp_path: Path) -> None:
    rows = [HEADER, ["A", "1", "", "", "", "合计"], ["B", "累计数不明"], ["累计A", "3"]]
    assert only(opened(workbook(tmp_path / "a.xlsx", rows))).frame.height == 3


def test_header_under_groups(tmp_path: Path) -> None:
    groups = ["基本信息", "", "其他信息", "", "", ""]
    batch = only(opened(workbook(tmp_path / "a.xlsx", [["题"], groups, HEADER, ROW], merges=["A2:B2", "C2:F2"])))
    assert batch.frame["code"].to_list() == ["A"]
    assert batch.line.to_list() == [4]


@pytest.mark.parametrize("merged", [True, False])
def test_header_over_two_rows(tmp_path: Path, merged: bool) -> None:
    upper = ["编码", "个人", "", "时间", "金额", "联系方式"]
    lower = ["", "证件号码", "出生日期", "", "", "备注"]
    rows = [["题"], upper, lower, ["A", "1", "2001-01-01", "", "3", "x"]]
    table = opened(workbook(tmp_path / "a.xlsx", rows, merges=["A2:A3", "B2:C2"] if merged else []))
    assert table.columns == ("code", "certno", "born", "seen", "amount", "note")
    assert table.unknown_columns == ()
    assert only(table).frame.rows() == [("A", "1", "2001-01-01", "", "3", "x")]


def test_an_unknown_header_below_a_group(tmp_path: Path) -> None:
    rows = [["编码", "证件号码", "其他", ""], ["", "", "金额", "备注栏"], ["A", "1", "2", "x"]]
    table = opened(workbook(tmp_path / "a.xlsx", rows, merges=["A1:A2", "B1:B2", "C1:D1"]))
    assert table.unknown_columns == ("备注栏",)
    assert only(table).frame.rows() == [("A", "1", "2")]


def test_an_unknown_header_above_nothing(tmp_path: Path) -> None:
    rows = [["序号", "编码", "个人", ""], ["", "", "证件号码", "备注"], ["1", "A", "1", "x"]]
    table = opened(workbook(tmp_path / "a.xlsx", rows))
    assert table.unknown_columns == ("序号",)
    assert only(table).frame.rows() == [("A", "1", "x")]


def test_required_headers_above_a_row_of_optional_ones(tmp_path: Path) -> None:
    rows = [["编码", "证件号码", "其他", ""], ["", "", "金额", "备注"], ["A", "1", "2", "x"]]
    table = opened(workbook(tmp_path / "a.xlsx", rows))
    assert only(table).frame.rows() == [("A", "1", "2", "x")]


def test_named_sheet_and_named_header_row(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("说明").write(0, 0, "数据在第二张表")
        page = book.add_worksheet("数据")
        for number, row in enumerate([["题", "", ""], HEADER, ROW]):
            page.write_row(number, 0, row)
    assert only(opened(path, sheet="数据")).line.to_list() == [3]
    assert only(opened(path, sheet="数据", dialect=Dialect(header_rows=(2,)))).line.to_list() == [3]
    for wrong in ("别的", None):
        with pytest.raises(DeliveryRefused) as refused:
            opened(path, sheet=wrong)
        assert refused.value.codes == ["D_HEADER"]


def test_without_header_columns_go_by_position(tmp_path: Path) -> None:
    table = opened(workbook(tmp_path / "a.xlsx", [ROW]), dialect=Dialect(header=False, header_rows=()))
    assert only(table).frame.row(0)[:2] == ("A", "1")
    assert only(table).line.to_list() == [1]


def test_a_sheet_that_does_not_begin_in_its_corner(tmp_path: Path) -> None:
    rows = [[], [], ["", "", *HEADER], ["", "", *ROW]]
    batch = only(opened(workbook(tmp_path / "a.xlsx", rows)))
    assert batch.line.to_list() == [4]
    assert batch.frame["code"].to_list() == ["A"]
    by_number = opened(tmp_path / "a.xlsx", dialect=Dialect(header_rows=(3,)))
    assert only(by_number).frame["certno"].to_list() == ["1"]


def test_doubled_required_header(tmp_path: Path) -> None:
    with pytest.raises(DeliveryRefused) as refused:
        opened(workbook(tmp_path / "a.xlsx", [[*HEADER, "编码"], ROW]))
    assert refused.value.codes == ["D_HEADER"]


def test_unknown_and_dropped_columns(tmp_path: Path) -> None:
    table = opened(workbook(tmp_path / "a.xlsx", [[*HEADER, "ADDR", "序号"], [*ROW[:5], "n", "secret", 7]]))
    assert table.unknown_columns == ("序号",)
    assert only(table).raw([0]) == ["A\t1\t\t\t\tn\t7"]


# --- the text of a cell ------------------------------------------------------------------------------------------


def test_cells_become_the_text_that_cleaning_expects(tmp_path: Path) -> None:
    rows = [
        HEADER,
        [7, "44010119900101001X", dt.date(1990, 1, 1), dt.datetime(2026, 9, 1, 10, 0, 5), 0.1 + 0.2, True],
        [7.5, "x", 32874, 46266.417, 1e-7, 12345678901.25],
        ["007", "x", "32874", "2026/9/1", -3, " b "],
        ["8", "x", 20260901, 46266, 1234567, ""],
    ]
    batch = only(opened(workbook(tmp_path / "a.xlsx", rows)))
    assert batch.frame.rows() == [
        ("7", "44010119900101001X", "1990-01-01", "2026-09-01 10:00:05", "0.3", "1"),
        ("7.5", "x", "1990-01-01", "2026-09-01 10:00:29", "0.0000001", "12345678901.25"),
        ("007", "x", "1990-01-01", "2026/9/1", "-3", " b "),
        ("8", "x", "20260901", "2026-09-01", "1234567", ""),
    ]


@pytest.mark.parametrize(
    ("serial", "day"), [(1, "1900-01-01"), (59, "1900-02-28"), (61, "1900-03-01"), (2958465, "9999-12-31")]
)
def test_serial_numbers_of_days(serial: int, day: str) -> None:
    assert sheet.cell_text(float(serial), FEED.by_name["born"]) == day


DAYS_1904 = {0: "1904-01-01", 1: "1904-01-02", 60: "1904-03-01", 42383: "2020-01-15", 2957003: "9999-12-31"}
FORMATS = ["General", "0", "0.00", "@", "yyyy-mm-dd", "m/d/yy", "h:mm", "[h]:mm:ss", "0%"]


@pytest.mark.parametrize("number_format", FORMATS)
def test_serial_numbers_of_days_since_1904_in_cells_of_any_format(tmp_path: Path, number_format: str) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path, {"date_1904": True}) as book:
        page, style = book.add_worksheet(), book.add_format({"num_format": number_format})
        page.write_row(0, 0, HEADER)
        for number, serial in enumerate(DAYS_1904, 1):
            page.write_row(number, 0, ["A", "1"])
            page.write_number(number, 2, serial, style)
            page.write_number(number, 3, serial + 0.25, style)
    batch = only(opened(path))
    assert batch.frame["born"].to_list() == list(DAYS_1904.values())
    later = [f"{day} 06:00:00" for serial, day in DAYS_1904.items() if serial]
    assert batch.frame["seen"].to_list()[1:] == later


def test_serial_numbers_in_text_and_dates_of_a_workbook_since_1904(tmp_path: Path) -> None:
    rows = [HEADER, ["A", "1", "42383", dt.datetime(2020, 1, 15, 6)], ["B", "1", dt.date(2020, 1, 15), 20200115]]
    rows += [["C", "1", -1, 2957004]]
    batch = only(opened(workbook(tmp_path / "a.xlsx", rows, since_1904=True)))
    assert batch.frame["born"].to_list() == ["2020-01-15", "2020-01-15", "-1"]
    assert batch.frame["seen"].to_list() == ["2020-01-15 06:00:00", "20200115", "2957004"]


@pytest.mark.parametrize(("attribute", "day"), [("1", "2020-01-15"), ("true", "2020-01-15"), ("0", "2016-01-14")])
def test_how_a_workbook_says_that_it_counts_from_1904(tmp_path: Path, attribute: str, day: str) -> None:
    path = workbook(tmp_path / "a.xlsx", [HEADER, ["A", "1", 42383]])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    book = parts["xl/workbook.xml"].replace(b"<workbookPr ", f"<workbookPr date1904='{attribute}' ".encode())
    assert book != parts["xl/workbook.xml"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, book if name == "xl/workbook.xml" else content)
    assert only(opened(path)).frame["born"].to_list() == [day]


def test_long_numbers_are_shown_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    rows = [HEADER, ["A", 4.4990119600115e17], ["B", 449901196001150000], ["C", 123456789012345, "", "", -1e15, "1e15"]]
    batch = only(opened(workbook(tmp_path / "a.xlsx", rows)))
    assert [text.strip("\t") for text in batch.raw(range(3))] == [
        "A\t4.4990119600115E+17",
        "B\t4.4990119600115E+17",
        "C\t123456789012345\t\t\t-1E+15\t1e15",
    ]


def test_rows_of_what_is_stripped_are_blank_in_sheets(tmp_path: Path) -> None:
    blank = [" ", "\t", "\u00a0", "\u3000", "\u200b", "\ufeff", "'", ' =""', "' \u3000"]
    rows: list[list[Any]] = [[text] * 6 for text in blank]
    data: list[list[Any]] = [["-", " ", " "], ["NULL"], ["\u3000", "", "", "", 0], ["\u200b", "", "", "", "", "x"]]
    table = opened(
        workbook(tmp_path / "a.xlsx", [["\u3000"], ["名册", " "], HEADER, *rows, *data, ["说明：", "\u3000"]])
    )
    batch = only(table)
    assert batch.line.to_list() == [13, 14, 15, 16]
    assert table.rows_skipped == 2


def test_long_numbers_in_an_identity_column_are_marked(tmp_path: Path) -> None:
    rows = [HEADER, ["A", 440101199001010010], ["B", "440101199001010010"], [440101199001010010, 123456789012345]]
    batch = only(opened(workbook(tmp_path / "a.xlsx", rows)))
    assert {name: marks.to_list() for name, marks in batch.imprecise.items()} == {"certno": [True, False, False]}
    assert batch.frame["certno"].to_list()[2] == "123456789012345"


def record(kind: int, content: bytes) -> bytes:
    """A record of BIFF8."""
    return struct.pack("<HH", kind, len(content)) + content


def begin(kind: int) -> bytes:
    """The record that begins the workbook or a sheet."""
    return record(0x0809, struct.pack("<HHHHII", 0x0600, kind, 0, 1997, 0, 6))


def cell_record(row: int, column: int, cell: str | float | bytes) -> bytes:
    """The record of a cell; see ``old_workbook``."""
    cell_range = struct.pack("<HHH", row, column, 0)
    if isinstance(cell, bytes) and len(cell) == 1:
        return record(0x0205, cell_range + cell + b"\1")
    if isinstance(cell, bytes):
        return record(0x0006, cell_range + b"\2\0" + cell[:1] + bytes(3) + b"\xff\xff" + bytes(8))
    if isinstance(cell, str):
        return record(0x0204, cell_range + struct.pack("<HB", len(cell), 1) + cell.encode("utf-16-le"))
    return record(0x0203, cell_range + struct.pack("<d", cell))


def old_workbook(
    rows: list[list[str | float | bytes]], number_format: int = 0, *, since_1904: bool = False, sheets: int = 1
) -> bytes:
    """A workbook as Excel 97 wrote it: records (BIFF8) in a stream of a compound file.

    ``rows`` stand in the last one of its sheets; bytes are the code of an error, two of them that of a formula.
    ``number_format`` is that of every cell, by its number among those that are built in (0 general, 14 a date).
    """

    cells = b"".join(
        cell_record(number, column, cell) for number, row in enumerate(rows) for column, cell in enumerate(row)
    )
    ends = record(0x000A, b"")
    formats = record(0x00E0, struct.pack("<HH", 0, number_format) + bytes(16)) if number_format else b""
    names = [f"名册{number}".encode("utf-16-le") for number in range(sheets)]
    mode = record(0x0022, struct.pack("<H", since_1904)) + formats
    pages = [begin(0x10) + (cells if number == sheets - 1 else b"") + ends for number in range(sheets)]
    at = len(begin(5)) + len(mode) + sum(4 + 8 + len(name) for name in names) + len(ends)
    book = begin(5) + mode
    for name, page in zip(names, pages, strict=True):
        book += record(0x0085, struct.pack("<IBBBB", at, 0, 0, len(name) // 2, 1) + name)
        at += len(page)
    return compound_file(book + ends + b"".join(pages))


def compound_file(stream: bytes) -> bytes:
    """A compound file (OLE 2) with one stream, that of a workbook."""
    stream = stream.ljust(4096, b"\0")
    stream = stream.ljust(-(-len(stream) // 512) * 512, b"\0")
    sectors = len(stream) // 512
    chain = [-3, -2, *range(3, 2 + sectors), -2]
    table = struct.pack("<128i", *chain, *[-1] * (128 - len(chain)))

    def entry(title: str, kind: int, child: int, start: int, size: int) -> bytes:
        text = title.encode("utf-16-le")
        links = struct.pack("<HBBiii", len(text) + 2, kind, 1, -1, -1, child)
        return text.ljust(64, b"\0") + links + bytes(36) + struct.pack("<iQ", start, size)

    folder = entry("Root Entry", 5, 1, -2, 0) + entry("Workbook", 2, -1, 2, len(stream)) + bytes(256)
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    head += struct.pack("<IIiIIiIiI", 0, 1, 1, 0, 4096, -2, 0, -2, 0) + struct.pack("<109i", 0, *[-1] * 108)
    return head + table + folder + stream


def test_xls(tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(
        old_workbook([["名册"], list(HEADER), ["甲", 4.4e17, 32874.0, "", 1.5], ["合计", "", "", "", 1.5]])
    )
    table = opened(path, format="xls")
    batch = only(table)
    assert batch.frame.rows() == [("甲", "440000000000000000", "1990-01-01", "", "1.5", "")]
    assert batch.line.to_list() == [3]
    assert batch.imprecise["certno"].to_list() == [True]
    assert table.rows_skipped == 2


@pytest.mark.parametrize(("since_1904", "day"), [(True, "2020-01-15"), (False, "2016-01-14")])
def test_days_since_1904_in_an_xls(tmp_path: Path, since_1904: bool, day: str) -> None:
    path = tmp_path / "a.xls"
    path.write_bytes(old_workbook([list(HEADER), ["A", "1", 42383.0]], since_1904=since_1904))
    assert only(opened(path, format="xls")).frame["born"].to_list() == [day]


def test_errors_in_an_xls(tmp_path: Path) -> None:
    path = tmp_path / "a.xls"
    codes = {0x00: "#NULL!", 0x07: "#DIV/0!", 0x0F: "#VALUE!", 0x17: "#REF!", 0x1D: "#NAME?", 0x24: "#NUM!"}
    codes |= {0x2A: "#N/A", 0x2B: "#GETTING_DATA"}
    rows: list[list[str | float | bytes]] = [["A", "1", "", "", bytes([code]), bytes([code, 0])] for code in codes]
    path.write_bytes(old_workbook([[], list(HEADER), *rows], sheets=3))
    batch = only(opened(path, format="xls", sheet="名册2"))
    assert batch.frame["amount"].to_list() == batch.frame["note"].to_list() == list(codes.values())
    assert batch.line.to_list() == list(range(3, 11))
    assert list(opened(path, format="xls", dialect=Dialect(header=False, header_rows=())).batches()) == []


@settings(deadline=None)
@given(st.binary(min_size=1, max_size=600), st.integers(0, 6000))
def test_a_damaged_xls_raises_no_error(noise: bytes, at: int) -> None:
    content = old_workbook([list(HEADER), ["A", "1", "", "", b"\x17"]], since_1904=True)
    with tempfile.NamedTemporaryFile() as file:
        file.write(content[:at] + noise + content[at + len(noise) :])
        file.flush()
        _, found = biff.read_sheet_details(Path(file.name), 0)
    assert {text for *_, text in found} <= set(sheet.ERRORS)


# --- what is no workbook -----------------------------------------------------------------------------------------


def test_what_is_no_workbook(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    whole = workbook(tmp_path / "b.xlsx", [HEADER, ROW]).read_bytes()
    for content in (b"", b"code,certno\n", whole[: len(whole) // 2], b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600):
        path.write_bytes(content)
        for kind in ("xlsx", "xls"):
            with pytest.raises(DeliveryRefused) as refused:
                opened(path, format=kind)
            assert refused.value.codes == ["D_ARCHIVE"]
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme", "x")
    with pytest.raises(DeliveryRefused) as refused:
        opened(path)
    assert refused.value.codes == ["D_ARCHIVE"]


def test_a_workbook_whose_parts_are_damaged(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [HEADER, ROW])
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for name in parts:
        for content in (b"", b"<", parts[name][: len(parts[name]) // 2], b"<a/>"):
            with zipfile.ZipFile(path, "w") as archive:
                for other, kept in parts.items():
                    archive.writestr(other, content if other == name else kept)
            codes = []
            try:
                list(opened(path).batches())
            except DeliveryRefused as refused:
                codes = refused.codes
            assert set(codes) <= {"D_ARCHIVE", "D_HEADER"}


def test_a_workbook_that_expands_too_far(tmp_path: Path) -> None:
    path = workbook(tmp_path / "a.xlsx", [HEADER, *[["A", "1", "", "", "", f"{i}" + "x" * 30_000] for i in range(100)]])
    assert path.stat().st_size < 100_000
    with pytest.raises(DeliveryRefused) as refused:
        opened(path, Settings(home=tmp_path, archive_bytes=100_000))
    assert refused.value.codes == ["D_ARCHIVE"]


def test_two_cells_far_apart_take_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet()
        page.write_row(0, 0, HEADER)
        page.write(1_048_575, 16_383, "x")
    with pytest.raises(DeliveryRefused) as refused:
        opened(path)
    assert refused.value.codes == ["D_ARCHIVE"]


@pytest.mark.parametrize("attachment", ["link", "image", "comment", "table"])
def test_attachments_of_a_sheet_are_not_cells(tmp_path: Path, attachment: str) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet()
        for number, row in enumerate([HEADER, *[[f"A{i}", "1"] for i in range(5_300)]]):
            page.write_row(number, 0, row)
        if attachment == "link":
            page.write_url(0, 8, "https://example.org/")
        elif attachment == "image":
            page.insert_image(0, 8, "x.png", {"image_data": io.BytesIO(PIXEL)})
        elif attachment == "comment":
            page.write_comment(0, 0, "x")
        else:
            page.add_table(0, 0, 5_300, 5, {"columns": [{"header": text} for text in HEADER]})
    assert sum(batch.frame.height for batch in opened(path).batches()) == 5_300


def test_tags_of_styles_and_strings_are_not_cells(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        page = book.add_worksheet()
        for number, color in enumerate(["#808080", "#C65911", "#D9D9D9"]):
            page.write_row(number, 0, HEADER if number == 0 else ROW, book.add_format({"font_color": color}))
        page.write_string(3, 0, '="GD440000"')
        page.write(4, 0, '<c r="XFD1048576"/>')
    assert only(opened(path)).frame["code"].to_list() == ["A", "A", '="GD440000"', '<c r="XFD1048576"/>']


NAMESPACE = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'


def with_cells(path: Path, rows: str, root: str = NAMESPACE, prefix: str = "") -> Path:
    """A workbook whose sheet holds these rows."""
    workbook(path, [HEADER, ROW])
    sheet_part = f"<{prefix}worksheet {root}><{prefix}sheetData>{rows}</{prefix}sheetData></{prefix}worksheet>"
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, sheet_part if name.endswith("sheet1.xml") else content)
    return path


def unplaced(text: str, prefix: str) -> str:
    return f'<{prefix}c t="str"><{prefix}v>{text}</{prefix}v></{prefix}c>'


@pytest.mark.parametrize(
    "far",
    [
        '<c r="XFD1048576"><v>1</v></c>',
        "<c r='XFD1048576'><v>1</v></c>",
        '<c s="1" r="XFD1048576"><v>1</v></c>',
        '<c s=">" r="XFD1048576"><v>1</v></c>',
        '<c\n\n r   =   "xfd1048576"><v>1</v></c>',
        f'<c {" " * 9_000_000}r="XFD1048576"><v>1</v></c>',
        '<x:c xmlns:x="y" r="XFD1048576"><v>1</v></x:c>',
        '<c r="B4294967295"><v>1</v></c>',
        '<c r="B00000000004294967295"><v>1</v></c>',
        '<c r="ZZZZ1"><v>1</v></c>',
        '<c r="A0" t="e"><v>#N/A</v></c>',
        '</row><row r="0"><c t="e"><v>#N/A</v></c>',
        '<c r="XFD1" t="e"><v>#N/A</v></c><c t="e"><v>#N/A</v></c>',
        '</row><row r="4294967295"><c><v>1</v></c><c><v>1</v></c>',
        "<c><v>1</v></c>" * 20_000 + '</row><row r="1048576"><c><v>1</v></c>',
        '<c r="XFC1"><v>1</v></c><c><v>1</v></c></row><row r="1048576"><c><v>1</v></c>',
    ],
)
def test_cells_far_apart_however_they_are_written(tmp_path: Path, far: str) -> None:
    path = with_cells(tmp_path / "a.xlsx", f'<row r="1"><c r="A1"><v>1</v></c></row><row r="2">{far}</row>')
    with pytest.raises(DeliveryRefused) as refused:
        opened(path, Settings(home=tmp_path, archive_ratio=100_000))
    assert refused.value.codes == ["D_ARCHIVE"]


def test_a_cell_reference_across_chunks_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = "".join(f'<row r="{i}"><c r="A{i}"><v>1</v></c></row>' for i in range(1, 40))
    near = with_cells(tmp_path / "near.xlsx", rows)
    far = with_cells(tmp_path / "far.xlsx", rows + '<row r="1048576"><c r="XFD1048576"><v>1</v></c></row>')
    limits = Settings(home=tmp_path, archive_ratio=10_000)
    for size in range(70, 110):
        with monkeypatch.context() as patch:
            patch.setattr(sheet, "CHUNK_BYTES", size)
            with pytest.raises(DeliveryRefused):
                opened(far, limits, **NO_HEADER)
            patch.setattr(sheet.SheetTable, "_scan_cells", lambda *_: pytest.fail("no cell is far"))
            opened(near, limits, **NO_HEADER)


def test_errors_are_values(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for name in ("other", "Sheet1"):
            page = book.add_worksheet(name)
            page.write_row(1, 2, HEADER)
            for number, text in enumerate(
                ["#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?"] if name == "Sheet1" else []
            ):
                page.write_row(2 + number, 2, ["A", "1"])
                page.write_formula(2 + number, 6, '=1/0&"#REF!"', None, text)
    batch = only(opened(path, sheet="Sheet1"))
    assert batch.frame["amount"].to_list() == ["#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?"]
    assert batch.line.to_list() == [3, 4, 5, 6, 7]
    assert batch.raw([1]) == ["\t\tA\t1\t\t\t#DIV/0!\t"]
    assert list(opened(path).batches()) == [], "the other sheet has none"


@pytest.mark.parametrize("kind", ['t="e"', "t='e'", "t = 'e'", 's="0" t="e"'])
def test_errors_however_they_are_written(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    head = "".join(unplaced(title, "") for title in HEADER)
    cells = "".join(f"<row><c t='str'><v>A</v></c><c {kind}><f>1/0</f><v>{text}</v></c></row>" for text in ERROR_WORDS)
    path = with_cells(tmp_path / "a.xlsx", f"<row>{head}</row>{cells}")
    for size in (sheet.CHUNK_BYTES, *range(70, 90)):
        monkeypatch.setattr(sheet, "CHUNK_BYTES", size)
        limits = Settings(home=tmp_path, archive_ratio=100_000)
        assert only(opened(path, limits)).frame["certno"].to_list() == list(ERROR_WORDS)


def test_a_chart_is_no_first_sheet(tmp_path: Path) -> None:
    path = tmp_path / "a.xlsx"
    with xlsxwriter.Workbook(path) as book:
        chart = book.add_chart({"type": "bar"})
        book.add_chartsheet("图").set_chart(chart)
        page = book.add_worksheet("数据")
        page.write_row(0, 0, HEADER)
        page.write_row(1, 0, ["A", "1", "", "", 2])
        chart.add_series({"values": "=数据!$E$2:$E$2"})
    assert only(opened(path)).frame["code"].to_list() == ["A"]
    with pytest.raises(DeliveryRefused, match="has no sheet"):
        opened(path, sheet="图")


@pytest.mark.parametrize("prefix", ["", "x:"])
def test_cells_without_references(tmp_path: Path, prefix: str) -> None:
    cells = ["".join(unplaced(text, prefix) for text in row) for row in (HEADER, ROW)]
    rows = "".join(f"<{prefix}row>{row}</{prefix}row>" for row in cells)
    root = NAMESPACE.replace("xmlns", "xmlns:x") if prefix else NAMESPACE
    path = with_cells(tmp_path / "a.xlsx", rows, root, prefix)
    assert only(opened(path)).frame["code"].to_list() == ["A"]


def test_a_wide_sheet_within_bounds(tmp_path: Path) -> None:
    rows = [[*HEADER, *[f"more {i}" for i in range(100)]], [*ROW, *["x"] * 100]]
    assert only(opened(workbook(tmp_path / "a.xlsx", rows))).frame["code"].to_list() == ["A"]


# --- Parquet -----------------------------------------------------------------------------------------------------


def parquet(path: Path, table: pa.Table, **options: Any) -> Path:
    pq.write_table(table, path, **options)
    return path


def test_parquet_types_become_text(tmp_path: Path) -> None:
    moment = dt.datetime(2026, 9, 1, 10, 0, 5, 999)
    table = pa.table(
        {
            "CODE": pa.array([1, None, 3], pa.int64()),
            "证件号码": pa.array(["x", "", None], pa.string()),
            "born": pa.array([dt.date(1990, 1, 1), None, None], pa.date32()),
            "seen": pa.array([moment, None, None], pa.timestamp("us")),
            "amount": pa.array([decimal.Decimal("1.50"), None, decimal.Decimal("-2.00")], pa.decimal128(18, 2)),
            "note": pa.array([True, None, False]),
            "other": pa.array([1.0, None, 2.5]),
        }
    )
    opened_ = opened(parquet(tmp_path / "a", table), format="parquet")
    batch = only(opened_)
    assert batch.frame.rows() == [
        ("1", "x", "1990-01-01", "2026-09-01 10:00:05", "1.50", "1"),
        ("3", "", "", "", "-2.00", "0"),
    ]
    assert batch.line.to_list() == [1, 3], "the second row is blank: it is no row, but it is counted"
    assert batch.raw([1]) == ["3\t\t\t\t-2.00\t0\t2.5"]
    assert opened_.unknown_columns == ("other",)


@pytest.mark.parametrize(
    ("values", "kind", "texts"),
    [
        ([1.0, 1.5, 1e16, float("nan")], pa.float64(), ["1", "1.5", "10000000000000000", "NaN"]),
        ([0.1, 2.0, 12.34, 1e20, 1e-7], pa.float32(), ["0.1", "2", "12.34", "100000000000000000000", "0.0000001"]),
        ([85.1], pa.float16(), ["85.1"]),
        ([0.1 + 0.2, 1.1 * 3, 1e-7], pa.float64(), ["0.3", "3.3", "0.0000001"]),
        ([decimal.Decimal("85.50"), None], pa.decimal256(50, 4), ["85.5000", ""]),
        ([UUID.bytes], pa.uuid(), [str(UUID)]),
        ([b"abc"], pa.binary_view(), ["abc"]),
        (["a", "b"], pa.large_string(), ["a", "b"]),
        (["a", "b"], pa.string_view(), ["a", "b"]),
        ([b"\xe4\xb8\xad"], pa.binary(), ["中"]),
        (["a", "a"], pa.dictionary(pa.int32(), pa.string()), ["a", "a"]),
        ([dt.datetime(2026, 9, 1, 2, tzinfo=dt.UTC)], pa.timestamp("ms", "Asia/Shanghai"), ["2026-09-01 10:00:00"]),
        ([dt.time(10, 30)], pa.time32("s"), ["10:30:00"]),
        ([200], pa.uint8(), ["200"]),
        ([None], pa.null(), [""]),
    ],
)
def test_parquet_values(tmp_path: Path, values: list[Any], kind: pa.DataType, texts: list[str]) -> None:
    table = pa.table({"code": ["k"] * len(values), "certno": ["c"] * len(values), "note": pa.array(values, kind)})
    batch = only(opened(parquet(tmp_path / "a", table), format="parquet"))
    assert batch.frame["note"].to_list() == texts
    shown = [row.split("\t")[-1] for row in batch.raw(range(len(values)))]
    long = {"10000000000000000": "1E+16", "100000000000000000000": "1E+20"}  # digits that never came
    assert shown == [long.get(text, text) for text in texts], "rejected rows show the same"


NUMBERS = (
    st.floats(width=32)
    | st.floats(-1e12, 1e12)
    | st.sampled_from([0.1 + 0.2, 1.1 * 3, 12.34, 1e16, 1e-7, math.nan, math.inf])
)


@settings(deadline=None)
@given(st.lists(NUMBERS, min_size=2, max_size=8), st.sampled_from([pa.float32(), pa.float64()]))
def test_the_text_of_a_number_does_not_depend_on_other_rows(values: list[float], kind: pa.DataType) -> None:
    column = pa.array(values, kind)
    alone = [
        text for cell_range in range(len(values)) for text in _floats_as_text(column.slice(cell_range, 1)).to_list()
    ]
    assert _floats_as_text(column).to_list() == alone
    for text, value in zip(alone, column.to_pylist(), strict=True):
        assert "e" not in text.lower()
        assert float(text) == pytest.approx(value, rel=1e-6 if kind == pa.float32() else 1e-14, nan_ok=True)


def test_columns_that_are_no_text_are_shown_as_far_as_they_go(tmp_path: Path) -> None:
    table = pa.table(
        {
            "code": pa.array(["A", ""], pa.string_view()),
            "certno": pa.array(["中".encode(), b""], pa.binary_view()),
            "photo": pa.array([b"\xff\xfe", b""]),
            "fixed": pa.array([b"\xff\xfe", None], pa.binary(2)),
            "list": pa.array([["a"], None], pa.list_(pa.string_view())),
            "broken": pa.Array.from_buffers(pa.string(), 2, pa.array([b"\xff", b""]).buffers()),
        }
    )
    batch = only(opened(parquet(tmp_path / "a", table), format="parquet"))
    assert batch.frame.rows() == [("A", "中")]
    assert batch.raw([0]) == ["A\t中\t\\xff\\xfe\t\\xff\\xfe\t['a']\t\\xff"]


def test_rows_of_what_is_stripped_are_blank_in_parquet(tmp_path: Path) -> None:
    texts = [" ", "\u3000", "", None, '=""', "-", "'", "\ufeff\u200b", " ", " "]
    other = ["", "\t", None, "\u00a0", "", "", "'", "", "x", ""]
    table = pa.table(
        {
            "code": texts,
            "certno": pa.array([text and text.encode() for text in texts]),
            "other": other,
            "number": pa.array([*[None] * 9, 0]),
        }
    )
    batch = only(opened(parquet(tmp_path / "a", table), format="parquet"))
    assert batch.line.to_list() == [6, 9, 10]
    assert batch.raw([1]) == [" \t \tx\t"]


def test_long_numbers_of_parquet_are_shown_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    table = pa.table({"code": ["A", "B"], "certno": [4.4990119600115e17, 12345.0]})
    assert only(opened(parquet(tmp_path / "a", table), format="parquet")).raw([0, 1]) == [
        "A\t4.4990119600115E+17",
        "B\t12345",
    ]


def test_parquet_identity_numbers_in_floating_point(tmp_path: Path) -> None:
    table = pa.table({"code": ["A", "B", "C"], "certno": [4.4010119900101e17, 12345.0, None]})
    batch = only(opened(parquet(tmp_path / "a", table), format="parquet"))
    assert batch.imprecise["certno"].to_list() == [True, False, False]


def test_parquet_bounds_and_damage(tmp_path: Path) -> None:
    table = pa.table({"code": [str(i) for i in range(1000)], "certno": ["c"] * 1000})
    path = parquet(tmp_path / "a", table)
    content = path.read_bytes()
    with pytest.raises(DeliveryRefused, match="row group") as refused:
        opened(path, Settings(home=tmp_path, row_group_bytes=1000), format="parquet")
    assert refused.value.codes == ["D_ARCHIVE"]
    for broken in (
        b"",
        b"PAR1",
        content[:-20],
        content[:200] + bytes(200) + content[400:],
        b"PAR1" + bytes(50) + b"PAR1",
    ):
        path.write_bytes(broken)
        with pytest.raises(DeliveryRefused) as refused:
            list(opened(path, format="parquet").batches())
        assert refused.value.codes == ["D_ARCHIVE"]


def test_parquet_columns_that_cannot_be_text(tmp_path: Path) -> None:
    table = pa.table({"code": [["a"]], "certno": ["c"]})
    with pytest.raises(DeliveryRefused) as refused:
        opened(parquet(tmp_path / "a", table), format="parquet")
    assert refused.value.codes == ["D_HEADER"]
    invalid = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xff"]).buffers())
    with pytest.raises(DeliveryRefused) as refused:
        list(opened(parquet(tmp_path / "b", pa.table({"code": invalid, "certno": ["c"]})), format="parquet").batches())
    assert refused.value.codes == ["D_ENCODING"]


def test_a_nul_is_a_wrong_row_in_any_format(tmp_path: Path) -> None:
    table = pa.table({"code": ["A", "B\0", "C"], "certno": ["1", "2", "3"]})
    batch = only(opened(parquet(tmp_path / "a", table), format="parquet"))
    assert batch.frame["code"].to_list() == ["A", "C"]
    assert batch.line.to_list() == [1, 3]
    assert batch.ragged == [(2, "B\\0\t2")]
    assert batch.raw([1]) == ["C\t3"]


def test_batches_of_parquet_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.readers.parquet.BATCH_ROWS", 400)
    table = pa.table({"code": [str(i) for i in range(1000)], "certno": ["c"] * 1000})
    batches = list(opened(parquet(tmp_path / "a", table, row_group_size=300), format="parquet").batches())
    assert max(batch.frame.height for batch in batches) <= 400
    assert pl.concat([batch.line for batch in batches]).to_list() == list(range(1, 1001))

"""Text files: the rows are those of Python's csv module, whatever the way that read them."""

import csv
import io
import itertools
import resource
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest.contracts.model import Column, Feed, Kind
from ingest.errors import DeliveryRefused
from ingest.manifest import Dialect, Resource
from ingest.readers import open_table, text
from ingest.readers.text import RowEnd
from ingest.settings import Settings

FEED = Feed(
    source="membership",
    name="thing",
    label="东西",
    kind="register",
    versions=(1,),
    columns=(
        Column("code", "编码", Kind.IDENTIFIER, aliases=("thing_code",), required=True, key=True),
        Column("label", "名称", Kind.TEXT, required=True),
        Column("note", "备注", Kind.TEXT),
    ),
    dropped=frozenset({"addr", "地址"}),
)
LIMITS = Settings(home=Path("unused"))


def read(
    path: Path, content: bytes, encoding: str = "utf-8", feed: Feed = FEED, **dialect: object
) -> tuple[list[tuple[int, tuple[str, ...], str]], list[tuple[int, str]]]:
    """The rows (line, fields, raw text) and the ragged rows of a file with this content."""
    path.write_bytes(content)
    described = Resource("thing", "thing", "thing.csv", "csv", encoding=encoding, dialect=Dialect(**dialect))
    table = open_table(path, described, feed, LIMITS)
    rows, ragged = [], []
    for batch in (some.whole() for some in table.batches()):
        raw = batch.raw(range(batch.frame.height))
        rows += list(zip(batch.line.to_list(), batch.frame.rows(), raw, strict=True))
        ragged += batch.ragged
    return rows, ragged


# --- the same rows as csv.reader ---------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        "a",
        "bc",
        "中",
        "鿫",
        "龥",
        "é",
        " ",
        "\0",
        "\ufeff",
        "\n",
        "\n",
        "\r\n",
        "\r",
        "D",
        "D",
        "D",
        "Q",
        "Q",
        "QQ",
        "|",
        ",",
        "'",
        '"',
    ]
)
#: Rows as files have them, so that the fast way is taken too.
FIELD = st.sampled_from(["", "a", "b c", "中文", "QQ", "QaQ", "Qa\nbQ", "QaQQbQ", "QDQ", "QQQQ", "Q\r\nQ", "Q中DéQ"])
ROW = st.lists(FIELD, min_size=3, max_size=3).map("D".join)
LINES = st.lists(st.one_of(ROW, ROW, ROW, st.lists(PARTS, max_size=8).map("".join)), max_size=12)


def expected(
    content: str, delimiter: str, quote: str, width: int, longest: int, encoding: str
) -> tuple[list[tuple[int, tuple[str, ...], str]], list[int]]:
    lines = list(io.StringIO(content, newline=""))
    reader = csv.reader(iter(lines), delimiter=delimiter, quotechar=quote)
    rows, ragged, before = [], [], 0
    for fields in reader:
        raw = "".join(lines[before : reader.line_num])
        if len(list(csv.reader(io.StringIO(raw + "x", newline=""), delimiter=delimiter, quotechar=quote))) > 1:
            raw = raw.rstrip("\r\n")  # the line end ends the row: no quote is left open
        line, before = before + 1, reader.line_num
        if len(raw.encode(encoding)) > longest:
            ragged.append(line)
        elif not any(fields):
            continue
        elif "\0" in raw or len(fields) != width:
            ragged.append(line)
        else:
            rows.append((line, tuple(fields), raw))
    return rows, ragged


def trimmed(row: tuple[int, tuple[str, ...], str]) -> tuple[int, tuple[str, ...], str]:
    """A row whose fields have no blanks and tabs around them, which reading may leave out: cleaning does so anyway."""
    return row[0], tuple(field.strip(" \t") for field in row[1]), row[2]


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        LINES.map("\n".join), LINES.map("\r\n".join), LINES.map("\r".join), st.lists(PARTS, max_size=60).map("".join)
    ),
    st.sampled_from([",", "\t", "|", "，", "5"]),
    st.sampled_from(['"', "'", "~"]),
    st.sampled_from(["utf-8", "gb18030", "utf-16"]),
    st.integers(8, 200),
    st.integers(8, 64),
    st.sampled_from([12, 40, 10_000]),
)
@example("aDbDc\nQaDb\nx", ",", '"', "utf-8", 64, 64, 10_000)
@example("Q\n", ",", '"', "utf-8", 8, 8, 12)
@example("\ufeffaDbDc\nQQDQQDQQ\n", ",", '"', "gb18030", 8, 8, 10_000)
def test_rows_are_those_of_the_csv_module(
    tmp_path: Path, content: str, delimiter: str, quote: str, encoding: str, piece: int, slow: int, longest: int
) -> None:
    content = content.replace("D", delimiter).replace("Q", quote)
    data = content.encode("utf-16" if encoding == "utf-16" else encoding)
    content = content.removeprefix("\ufeff") if encoding != "utf-16" else content
    width = len(FEED.columns)
    measure = "utf-16-le" if encoding == "utf-16" else encoding
    sizes = {"BATCH": piece, "SLOW": slow, "LINE_BYTES": longest, "HELD": longest * 3 // 2, "PLACES": 24, "ODD": 3}
    with mock.patch.multiple(text, **sizes):
        rows, ragged = read(
            tmp_path / "f", data, encoding, delimiter=delimiter, quote_char=quote, header=False, header_rows=()
        )
    wanted, wanted_ragged = expected(content, delimiter, quote, width, longest, measure)
    assert sorted(map(trimmed, rows)) == list(map(trimmed, wanted))
    assert sorted(line for line, _ in ragged) == wanted_ragged
    assert not any("\0" in kept for _, kept in ragged)


@settings(max_examples=200, deadline=None)
@given(st.lists(PARTS, max_size=30).map("".join), st.lists(st.integers(0, 60), max_size=4))
def test_row_end_does_not_depend_on_the_blocks(content: str, cuts: list[int]) -> None:
    data = content.replace("D", ",").replace("Q", '"').encode()
    whole = RowEnd(b",", b'"').find(data, 0, True)
    finder, bounds = RowEnd(b",", b'"'), sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})
    for start, end in itertools.pairwise(bounds):
        found = finder.find(data[start:end], 0, end == len(data))
        if found >= 0:
            assert start + found == whole
            break
    else:
        assert data == b""


# --- what the specification says of text files -------------------------------------------------------------------


def test_header_by_name_label_or_alias_in_any_case(tmp_path: Path) -> None:
    for header in ("code,label,note", " CODE\t,\t名称 ,Note", "Thing_Code,名称,备注"):
        rows, _ = read(tmp_path / "f", f"{header}\nA,b,c\n".encode())
        assert rows == [(2, ("A", "b", "c"), "A,b,c")]


def test_columns_in_any_order_and_unknown_ones_reported(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("备注,x,编码,名称,\n1,2,3,4,\n".encode())
    table = open_table(path, Resource("thing", "thing", "f", "csv"), FEED, LIMITS)
    assert table.unknown_columns == ("x",)
    (batch,) = (some.whole() for some in table.batches())
    assert batch.frame.to_dicts() == [{"code": "3", "label": "4", "note": "1"}]
    assert table.columns == ("code", "label", "note")
    assert [found.whole().frame.rows() for found in table.batches()] == [batch.frame.rows()], (
        "a table can be read again"
    )


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("code,note", "label"),
        ("code,label,thing_code", "code"),
        ("", "code"),
        ("code;DROP TABLE x--,label", "code"),
    ],
)
def test_missing_or_doubled_required_column_refuses(tmp_path: Path, header: str, told: str) -> None:
    with pytest.raises(DeliveryRefused, match=told) as refused:
        read(tmp_path / "f", f"{header}\n1,2\n".encode())
    assert refused.value.codes == ["D_HEADER"]


def test_doubled_optional_column_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes("code,label,note,备注\n1,2,3,4\n".encode())
    table = open_table(path, Resource("thing", "thing", "f", "csv"), FEED, LIMITS)
    assert table.unknown_columns == ("备注",)
    assert next(table.batches()).whole().frame["note"].to_list() == ["3"]


def test_header_rows_and_title(tmp_path: Path) -> None:
    rows, _ = read(tmp_path / "f", "某表,,\n编码,名称,\n\nA,b,c\n".encode(), header_rows=(2,))
    assert rows == [(4, ("A", "b"), "A,b,c")]
    rows, _ = read(tmp_path / "f", "编码,组,组\n,名称,备注\nA,b,c\n".encode(), header_rows=(1, 2))
    assert rows == [(3, ("A", "b", "c"), "A,b,c")], "of two header rows the lower cell that is not empty counts"


def test_blank_rows_are_not_read_but_counted_as_lines(tmp_path: Path) -> None:
    rows, ragged = read(tmp_path / "f", b'code,label,note\n\n,,\n"","",\n,,,,,\nA,b,c\n\n')
    assert (rows, ragged) == ([(6, ("A", "b", "c"), "A,b,c")], [])


def test_line_numbers_over_quoted_lines(tmp_path: Path) -> None:
    content = b'code,label,note\r\nA,"x\ny\r\nz",\rB,"q""q",\n\nC,d\nE,f,g'
    rows, ragged = read(tmp_path / "f", content)
    assert [(line, fields) for line, fields, _ in sorted(rows)] == [
        (2, ("A", "x\ny\r\nz", "")),
        (5, ("B", 'q"q', "")),
        (8, ("E", "f", "g")),
    ]
    assert ragged == [(7, "C,d")]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
@pytest.mark.parametrize("quote", ["", '"'])
def test_rows_with_a_wrong_number_of_fields(tmp_path: Path, encoding: str, quote: str) -> None:
    content = f"code,label,note\nA,中,{quote}c{quote}\n短,x\nB,b,c\n长,1,2,3\n"
    rows, ragged = read(tmp_path / "f", content.encode(encoding), encoding)
    assert [line for line, *_ in rows] == [2, 4]
    assert ragged == [(3, "短,x"), (5, "长,1,2,3")]


@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("utf-8", "中,文,x".encode("utf-8-sig")),
        ("gb18030", "中,文,x".encode("gb18030")),
        ("gb18030", "\ufeff中,文,x".encode("gb18030")),
        ("utf-16", "中,文,x".encode("utf-16")),
        ("utf-16", b"\xfe\xff" + "中,文,x".encode("utf-16-be")),
        ("utf-16", "中,文,x".encode("utf-16-le")),
    ],
)
def test_encodings_and_byte_order_marks(tmp_path: Path, encoding: str, content: bytes) -> None:
    rows, _ = read(tmp_path / "f", content, encoding, header=False, header_rows=())
    assert rows == [(1, ("中", "文", "x"), "中,文,x")]


def test_a_delimiter_that_is_a_second_byte_in_gb18030(tmp_path: Path) -> None:
    character = b"\x81|".decode("gb18030")  # its second byte is the delimiter
    content = f"{character}|b|c".encode("gb18030")
    rows, _ = read(tmp_path / "f", content, "gb18030", delimiter="|", header=False, header_rows=())
    assert rows == [(1, (character, "b", "c"), f"{character}|b|c")]


@pytest.mark.parametrize("place", ["header", "first", "ragged", "unknown", "last"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_undecodable_bytes_refuse_wherever_they_stand(tmp_path: Path, encoding: str, place: str) -> None:
    rows = {
        "header": "code,label,note,more",
        "first": "a,b,c,d",
        "ragged": "a",
        "unknown": "a,b,c,d",
        "last": "a,b,c,d",
    }
    wrong = b"\x00\xd8\x41\x00" if encoding == "utf-16" else b"\xff\xff"
    data = b""
    for name, row in rows.items():
        text_ = row.encode(encoding.replace("utf-16", "utf-16-le"))
        data += text_ + (wrong if name == place else b"") + "\n".encode(encoding.replace("utf-16", "utf-16-le"))
    with pytest.raises(DeliveryRefused) as refused:
        read(tmp_path / "f", data, encoding)
    assert refused.value.codes == ["D_ENCODING"]


@pytest.mark.parametrize("size", [1_100_000, 2_000_000, 2_500_000])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_undecodable_bytes_refuse_in_a_long_line_too(tmp_path: Path, encoding: str, size: int) -> None:
    for field in (b"\xff\xff" + b"a" * size, b"a" * size + b"\xff\xff"):
        with pytest.raises(DeliveryRefused) as refused:
            read(tmp_path / "f", b"code,label,note\n" + b"a,b,c\n" * 300 + b"d,e," + field + b"\n", encoding)
        assert refused.value.codes == ["D_ENCODING"]


@pytest.mark.filterwarnings("error")  # what a callback raises is told as a warning, or on the screen
def test_undecodable_bytes_in_a_row_that_does_not_fit_are_told_to_the_sender_alone(tmp_path: Path) -> None:
    with pytest.raises(DeliveryRefused) as refused:
        read(tmp_path / "f", b"code,label,note\na,b,c\nd,e,\xff\xff,zz\n")
    assert refused.value.codes == ["D_ENCODING"]


def test_a_file_cut_inside_a_character_is_undecodable(tmp_path: Path) -> None:
    for encoding in ("utf-8", "gb18030", "utf-16"):
        with pytest.raises(DeliveryRefused) as refused:
            read(tmp_path / "f", "code,label,note\na,b,中".encode(encoding)[:-1], encoding)
        assert refused.value.codes == ["D_ENCODING"]


def test_dropped_columns_leave_with_their_values(tmp_path: Path) -> None:
    content = b'code,ADDR,label,note\nA,secret,b,c\nB,secret,x\nC,y,secret,2,3\n"D,secret\n",secret\n'
    rows, ragged = read(tmp_path / "f", content)
    assert rows == [(2, ("A", "b", "c"), "A,b,c")]
    assert [line for line, _ in ragged] == [3, 4, 5]
    assert "secret" not in str(rows) + str([kept for line, kept in ragged if line != 5])
    assert open_table(tmp_path / "f", Resource("t", "thing", "f", "csv"), FEED, LIMITS).unknown_columns == ()


# --- lines without end -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_a_line_over_one_mebibyte_is_rejected_and_its_text_cut(tmp_path: Path, encoding: str) -> None:
    unit = 2 if encoding == "utf-16" else 1
    fits, too_long = "A,b," + "x" * (1024 * 1024 // unit - 4), "B,c," + "y" * (1024 * 1024 // unit - 3)
    content = f"code,label,note\n{fits}\n{too_long}\nC,d,e\n"
    rows, ragged = read(tmp_path / "f", content.encode(encoding), encoding)
    assert [line for line, *_ in rows] == [2, 4]
    assert ragged == [(3, too_long[: 64 * 1024])]


@pytest.mark.parametrize("quote", ["", '"'])
def test_memory_is_bounded_for_any_line(tmp_path: Path, quote: str) -> None:
    path = tmp_path / "long"
    with path.open("wb") as stream:
        stream.write(f"code,label,note\nA,b,{quote}".encode())
        for _ in range(160):
            stream.write(b"12345678\r\n34567\r" * 65536 if quote else b"1234567812345678" * 65536)
        stream.write(f"{quote}\nB,c,d\n".encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table = open_table(path, Resource("thing", "thing", "f", "csv"), FEED, LIMITS)
    rows, ragged = [], []
    for batch in (some.whole() for some in table.batches()):
        rows += [(line, *row) for line, row in zip(batch.line, batch.frame.rows(), strict=True)]
        ragged += batch.ragged
    path.unlink()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [line for line, _ in ragged] == [2]
    assert len(ragged[0][1]) == 64 * 1024
    inner = 160 * 65536 * 2 if quote else 0
    assert rows == [(3 + inner, "B", "c", "d")]
    assert after - before < 100 * 1024, "kilobytes"


def test_nul_is_rejected_and_written_out(tmp_path: Path) -> None:
    rows, ragged = read(tmp_path / "f", b"code,label,note\nA,b\0,c\nB,\0\nC,d,e\n")
    assert [line for line, *_ in rows] == [4]
    assert ragged == [(2, r"A,b\0,c"), (3, r"B,\0")]


def test_raw_text_costs_only_the_rows_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"code,label,note\n" + b"A,b,c\n" * 50_000)
    table = open_table(path, Resource("thing", "thing", "f", "csv"), FEED, LIMITS)
    batch: Iterator = table.batches()
    with mock.patch.object(table, "kept_text", side_effect=lambda kept: kept) as kept_text:
        first = next(batch).whole()
        assert first.raw([0, 7]) == ["A,b,c", "A,b,c"]
    assert kept_text.call_count == 2

"""Text files: the rows are those of Python's csv module, whatever the way that read them."""

import csv
import io
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ingest.contracts.model import Column, Feed, Kind
from ingest.delivery.manifest import Dialect, Resource
from ingest.errors import DeliveryRefused
from ingest.readers import open_table, text
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
    properties = Resource("thing", "thing", "thing.csv", "csv", encoding=encoding, dialect=Dialect(**dialect))
    table = open_table(path, properties, feed, LIMITS)
    rows, ragged = [], []
    for batch in (some.to_raw() for some in table.batches()):
        raw = batch.raw(range(batch.frame.height))
        rows += list(zip(batch.line.to_list(), batch.frame.rows(), raw, strict=True))
        ragged += batch.ragged
    return rows, ragged


# --- the same rows as a simple reader ----------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        *("a", "bc", "中", "鿫", "龥", "é", " ", "\0", "\ufeff", "\n", "\n", "\r\n", "\r"),
        *("D", "D", "D", "Q", "Q", "QQ", "|", ",", "'", '"', "\u3000", "\u00a0", "\u200b", '="', "-"),
    ]
)
#: Rows as files have them, so that the fast way is taken too.
FIELD = st.sampled_from(
    [
        *("", "a", "b c", "中文", "QQ", "QaQ", "Qa\nbQ", "QaQQbQ", "QDQ", "QQQQ", "Q\r\nQ", "Q中DéQ", "Qa\rb\nc\r\ndQ"),
        *("\ufeff", "\ufeffa", "\ufeff\ufeffQaQ", "Q\ufeffaQ", " \ufeffQaQ", "Qa\n", "aQ", "Q", "Q\nDQ"),
    ]
)
BLANK = st.sampled_from(
    ["", " ", "\t", "\u00a0", "\u3000", "\u200b", "\ufeff", "'", '=""', '="\u3000"', "Q Q", "\ufeffQ\u3000Q"]
)
ROW = st.lists(FIELD, min_size=3, max_size=3).map("D".join)
BLANK_ROW = st.lists(BLANK, min_size=1, max_size=4).map("D".join)
LINES = st.lists(st.one_of(ROW, ROW, ROW, BLANK_ROW, st.lists(PARTS, max_size=8).map("".join)), max_size=12)


def stripped(text: str) -> str:
    """A text without what the specification has stripped (and line ends)."""
    before = None
    while text != before:
        before, text = text, text.strip(" \t\r\n\u00a0\u3000\u200b\ufeff").lstrip("'")
        if len(text) > 2 and text.startswith('="') and text.endswith('"'):
            text = text[2:-1]
    return text


def line_end(content: str, at: int) -> int:
    """Where the line ends that goes on at ``at``."""
    while at < len(content):
        if content[at] in "\r\n":
            return at + (2 if content[at : at + 2] == "\r\n" else 1)
        at += 1
    return at


def row_at(content: str, at: int, delimiter: str, quote: str) -> tuple[list[str], int, int, bool]:
    """The fields of the row that begins at ``at``, its end, its line ends inside quotes, whether all is well with it."""
    fields, breaks, well = [], 0, True
    while True:
        field, quoted = "", False
        while content[at : at + 1] == "\ufeff":
            at += 1
        if content[at : at + 1] == quote:
            at, quoted = at + 1, True
            while content[at : at + 1] != quote or content[at + 1 : at + 2] == quote:
                if at >= len(content):
                    return fields, at, breaks, False
                breaks += content[at] == "\n" or (content[at] == "\r" and content[at + 1 : at + 2] != "\n")
                field += content[at]
                at += 2 if content[at] == quote else 1
            at += 1
        while at < len(content) and content[at] not in (delimiter, "\r", "\n"):
            well = well and not (quoted and content[at] == quote)
            field += content[at]
            at += 1
        fields.append(field)
        if content[at : at + 1] != delimiter:
            return fields, line_end(content, at), breaks, well or breaks == 0
        at += 1


def expected(
    content: str, delimiter: str, quote: str, width: int, max_line: int, max_breaks: int, encoding: str
) -> tuple[list[tuple[int, tuple[str, ...], str]], list[tuple[int, str]]]:
    """The rows of a file, and the lines and texts of those that are wrong."""
    rows, ragged, at, line = [], [], 0, 1
    while at < len(content):
        fields, end, breaks, closed = row_at(content, at, delimiter, quote)
        size = len(content[at:end].rstrip("\r\n").encode(encoding))
        torn = not closed or (breaks > 0 and (breaks > max_breaks or len(fields) != width or size > max_line))
        if torn:
            end, breaks = line_end(content, at), 0
        text = content[at:end].rstrip("\r\n")
        if torn or size > max_line:
            ragged.append((line, text))
        elif any(map(stripped, fields)):
            if "\0" in text or len(fields) != width:
                ragged.append((line, text))
            else:
                rows.append((line, tuple(fields), text))
        at, line = end, line + breaks + 1
    return rows, ragged


def trimmed(row: tuple[int, tuple[str, ...], str]) -> tuple[int, tuple[str, ...], str]:
    """A row whose fields have no blanks and tabs around them, which reading may leave out: cleaning does so anyway."""
    return row[0], tuple(field.strip(" \t") for field in row[1]), row[2]


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.one_of(
        LINES.map("\n".join), LINES.map("\r\n".join), LINES.map("\r".join), st.lists(PARTS, max_size=60).map("".join)
    ),
    st.sampled_from([",", "\t", "|", "，", "5"]),
    st.sampled_from(['"', "'", "~", "“"]),
    st.sampled_from(["utf-8", "gb18030", "utf-16"]),
    st.integers(8, 200),
    st.integers(8, 64),
    st.sampled_from([12, 40, 10_000]),
    st.integers(1, 4),
)
@example("aDbDc\nQaDb\nx", ",", '"', "utf-8", 64, 64, 10_000, 20)
@example("Q\n", ",", '"', "utf-8", 8, 8, 12, 20)
@example("\ufeffaDbDc\nQQDQQDQQ\n", ",", '"', "gb18030", 8, 8, 10_000, 20)
@example('="\r"D=""D \'', ",", '"', "utf-8", 8, 8, 10_000, 20)
def test_rows_are_those_of_a_simple_reader(
    tmp_path: Path,
    content: str,
    delimiter: str,
    quote: str,
    encoding: str,
    batch_bytes: int,
    csv_bytes: int,
    max_line: int,
    max_breaks: int,
) -> None:
    content = content.replace("D", delimiter).replace("Q", quote)
    data = content.encode("utf-16" if encoding == "utf-16" else encoding)
    content = content.removeprefix("\ufeff") if encoding != "utf-16" else content
    width = len(FEED.columns)
    measure = "utf-16-le" if encoding == "utf-16" else encoding
    limits = {
        "BATCH_BYTES": batch_bytes,
        "CSV_SCAN_BYTES": csv_bytes,
        "MAX_LINE_BYTES": max_line,
        "MAX_BUFFERED_ROW_BYTES": max_line * 3 // 2,
        "MAX_OFFSETS": 24,
        "MAX_CSV_ROWS": 3,
        "MAX_QUOTED_LINE_ENDS": max_breaks,
    }
    with mock.patch.multiple(text, **limits):
        rows, ragged = read(
            tmp_path / "f", data, encoding, delimiter=delimiter, quote_char=quote, header=False, header_rows=()
        )
    expected_rows, expected_ragged = expected(content, delimiter, quote, width, max_line, max_breaks, measure)
    assert sorted(map(trimmed, rows)) == list(map(trimmed, expected_rows))
    assert sorted(line for line, _ in ragged) == [line for line, _ in expected_ragged]
    if max_line == 10_000:
        assert sorted(ragged) == [(line, raw.replace("\0", "\\0")) for line, raw in expected_ragged]


@settings(deadline=None)
@given(st.lists(FIELD, min_size=1, max_size=6), st.sampled_from(["\n", "\r\n", "\r"]))
def test_the_simple_reader_reads_like_the_csv_module_where_all_is_well(fields: list[str], end: str) -> None:
    content = "D".join(fields).replace("D", ",").replace("Q", '"') + end
    found, stop, _, closed = row_at(content, 0, ",", '"')
    if closed and "\ufeff" not in content:
        assert found == (next(csv.reader(io.StringIO(content[:stop], newline=""))) or [""])


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
    (batch,) = (some.to_raw() for some in table.batches())
    assert batch.frame.to_dicts() == [{"code": "3", "label": "4", "note": "1"}]
    assert table.columns == ("code", "label", "note")
    assert [found.to_raw().frame.rows() for found in table.batches()] == [batch.frame.rows()], (
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
    assert next(table.batches()).to_raw().frame["note"].to_list() == ["3"]


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


@pytest.mark.parametrize("position", ["header", "first", "ragged", "unknown", "last"])
@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
def test_undecodable_bytes_refuse_at_any_position(tmp_path: Path, encoding: str, position: str) -> None:
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
        data += text_ + (wrong if name == position else b"") + "\n".encode(encoding.replace("utf-16", "utf-16-le"))
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
def test_undecodable_bytes_in_a_malformed_row_are_reported_only_to_the_sender(tmp_path: Path) -> None:
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
    assert [line for line, _ in ragged] == [3, 4, 5, 6]
    assert "secret" not in str(rows) + str(ragged)
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
            stream.write(b"1234567812345678" * 65536)
        stream.write(f"{quote}\nB,c,d\n".encode())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    table = open_table(path, Resource("thing", "thing", "f", "csv"), FEED, LIMITS)
    rows, ragged = [], []
    for batch in (some.to_raw() for some in table.batches()):
        rows += [(line, *row) for line, row in zip(batch.line, batch.frame.rows(), strict=True)]
        ragged += batch.ragged
    path.unlink()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert [line for line, _ in ragged] == [2]
    assert len(ragged[0][1]) == 64 * 1024
    assert rows == [(3, "B", "c", "d")]
    assert after - before < 100 * 1024, "kilobytes"


# --- marks, quotes and blank rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030", "utf-16"])
@pytest.mark.parametrize(("delimiter", "quote"), [(",", '"'), ("|", "'"), ("，", '"'), (";", "“")])
def test_a_byte_order_mark_before_a_quote_is_skipped(tmp_path: Path, encoding: str, delimiter: str, quote: str) -> None:
    lines = ["MMQcodeQDQlabelQDnote", "MQAQDQb,DQQcQDd", "QBQDMQeQDM", "MQM", "MCDMMQf\ngQDMh", "QDQDMQMQ"]
    content = "\r\n".join(lines).replace("D", delimiter).replace("Q", quote).replace("M", "\ufeff")
    rows, ragged = read(
        tmp_path / "f", content.encode(encoding), encoding, delimiter=delimiter, quote_char=quote, header_rows=(1,)
    )
    assert [(line, *fields) for line, fields, _ in sorted(rows)] == [
        (2, "A", f"b,{delimiter}{quote}c", "d"),
        (3, "B", "e", ""),
        (5, "C", "f\ng", "h"),
    ]
    assert [line for line, _ in sorted(ragged)] == [4, 7]


ENDS = pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
DIALECTS = pytest.mark.parametrize(("delimiter", "quote"), [(",", '"'), ("\t", "~"), ("，", "'")])


@ENDS
@DIALECTS
@pytest.mark.parametrize("position", [0, 1, 150, 299])
@pytest.mark.parametrize("field", [0, 1, 2])
def test_a_quote_that_is_never_closed_swallows_nothing(
    tmp_path: Path, end: str, delimiter: str, quote: str, position: int, field: int
) -> None:
    lines = [[f"A{number}", "b", "c"] for number in range(300)]
    lines[position][field] = quote + lines[position][field]
    texts = [delimiter.join(some) for some in [["code", "label", "note"], *lines]]
    for last in ("", end):
        content = (end.join(texts) + last).encode()
        rows, ragged = read(tmp_path / "f", content, delimiter=delimiter, quote_char=quote, header_rows=(1,))
        assert ragged == [(2 + position, texts[1 + position])]
        assert sorted(line for line, *_ in rows) == [2 + number for number in range(300) if number != position]


@ENDS
@DIALECTS
def test_a_row_has_at_most_twenty_line_ends_inside_quotes(tmp_path: Path, end: str, delimiter: str, quote: str) -> None:
    for breaks in (20, 21):
        field = end.join(["a"] * 10) + quote + delimiter + quote + end.join(["b"] * (breaks - 8))
        content = end.join(["x", f"A{delimiter}{quote}{field}{quote}", delimiter.join("Bcd")])
        rows, ragged = read(
            tmp_path / "f", content.encode(), delimiter=delimiter, quote_char=quote, header=False, header_rows=()
        )
        whole = [(2, breaks + 1)] if breaks == 20 else []
        assert [(line, sum(text.count(end) for text in fields) + 1) for line, fields, _ in sorted(rows)] == [
            *whole,
            (breaks + 3, 1),
        ]
        assert (2, f"A{delimiter}{quote}a") in ragged or breaks == 20
        assert len(ragged) == (1 if breaks == 20 else breaks + 2), "the first line, and each of the others by itself"


@ENDS
@DIALECTS
def test_the_quotes_of_the_next_row_close_nothing(tmp_path: Path, end: str, delimiter: str, quote: str) -> None:
    for missing in ("c", "ac"):
        lines = [
            delimiter.join(f"{quote}{text}{number}{quote}" if text in missing else text for text in "abc")
            for number in range(9)
        ]
        lines[4] = lines[4].removesuffix(quote)
        rows, ragged = read(
            tmp_path / "f",
            end.join(lines).encode(),
            delimiter=delimiter,
            quote_char=quote,
            header=False,
            header_rows=(),
        )
        assert ragged == [(5, lines[4])]
        assert sorted(line for line, *_ in rows) == [1, 2, 3, 4, 6, 7, 8, 9]


def test_a_row_over_lines_with_a_wrong_number_of_fields_is_its_first_line(tmp_path: Path) -> None:
    rows, ragged = read(tmp_path / "f", b'code,label,note\nA,"x\ny"\nB,"x\ny",z,,\nC,d,e\n')
    assert rows == [(6, ("C", "d", "e"), "C,d,e")]
    assert sorted(ragged) == [(2, 'A,"x'), (3, 'y"'), (4, 'B,"x'), (5, 'y",z,,')]


def test_dropped_columns_are_removed_from_unclosed_rows(tmp_path: Path) -> None:
    lines = [
        '"A,secret,b,c',
        'A,"secret,b,c',
        'A,secret,"b,c',
        'A,secret,b,"c',
        '"A,x",secret,b,"c',
        '"A""",secret,b,"',
    ]
    rows, ragged = read(tmp_path / "f", "\n".join(["code,addr,label,note", *lines]).encode())
    assert (rows, len(ragged)) == ([], len(lines))
    assert "secret" not in str(ragged)


@pytest.mark.parametrize(
    "line",
    ['"', '"x', 'x","', '"a""', ',"', '""', '"' * 41 + "x" * 40_000, '"' + "x" * 50_000, '""' * 30_000],
)
@pytest.mark.parametrize("delimiter", [",", "，"])
def test_hostile_quotes_take_linear_time_and_bounded_memory(tmp_path: Path, line: str, delimiter: str) -> None:
    line = line.replace(",", delimiter)
    count = 1_000_000 if line == '"' and delimiter == "," else min(50_000, 8_000_000 // len(line))
    path = tmp_path / "f"
    path.write_bytes(("code,label,note\n".replace(",", delimiter) + (line + "\n") * count).encode())
    properties = Resource("thing", "thing", "f", "csv", dialect=Dialect(delimiter=delimiter))
    table = open_table(path, properties, FEED, LIMITS)
    begun, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    lines = sum(len(batch.ragged) + batch.frame.height for batch in (some.to_raw() for some in table.batches()))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024, "kilobytes"
    assert time.process_time() - begun < 30
    assert lines == (0 if line == '""' else count)


@pytest.mark.parametrize("delimiter", [",", "，"])
def test_rows_of_what_is_stripped_are_blank(tmp_path: Path, delimiter: str) -> None:
    blank = [" ", "\t", "\u00a0", "\u3000", "\u200b", "\ufeff", "'", '=""', '"=""　"""', "' \u3000\u200b", '" \n"']
    lines = [delimiter.join([text] * 3) for text in blank] + [delimiter.join(blank[:6]), "\u3000", "  "]
    data = [["-", "-", "-"], ["", "NULL", ""], ["\u3000", "", "x"], ["\u3000", "無", ""]]
    texts = ["code,label,note".replace(",", delimiter), *lines, *map(delimiter.join, data)]
    rows, ragged = read(tmp_path / "f", "\n".join(texts).encode(), delimiter=delimiter)
    assert ragged == []
    assert [[field.strip(" ") for field in fields] for _, fields, _ in sorted(rows)] == data


def test_nul_is_rejected_and_written_out(tmp_path: Path) -> None:
    rows, ragged = read(tmp_path / "f", b"code,label,note\nA,b\0,c\nB,\0\nC,d,e\n")
    assert [line for line, *_ in rows] == [4]
    assert ragged == [(2, r"A,b\0,c"), (3, r"B,\0")]


def test_raw_text_is_made_for_requested_rows_only(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"code,label,note\n" + b"A,b,c\n" * 50_000)
    table = open_table(path, Resource("thing", "thing", "f", "csv"), FEED, LIMITS)
    batch: Iterator = table.batches()
    with mock.patch.object(table, "raw_text", side_effect=lambda raw: raw) as raw_text:
        first = next(batch).to_raw()
        assert first.raw([0, 7]) == ["A,b,c", "A,b,c"]
    assert raw_text.call_count == 2

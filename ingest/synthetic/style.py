"""How a sender writes: encodings, headers, dates, names of codes. Rows become the text that a file will hold."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import polars as pl

from ingest.contracts.model import Column, Feed, Kind
from ingest.synthetic import numbering
from ingest.synthetic.draws import Draws, Index
from ingest.synthetic.world import Rows, choose
from ingest.validation.constants import PLACEHOLDER_DATES

T = TypeVar("T")

#: Ways to write a day, by chrono's format.
DATES = ("%Y-%m-%d", "%Y%m%d", "%Y/%-m/%-d", "%Y.%-m.%-d", "%Y年%-m月%-d日")
_TIMES = {"%Y%m%d": "%Y%m%d%H%M%S", "%Y/%-m/%-d": "%Y/%m/%d %H:%M:%S", "%Y.%-m.%-d": "%Y-%m-%dT%H:%M:%S"}
_FLAGS = (("0", "1"), ("否", "是"), ("N", "Y"), ("false", "true"))
#: What senders write where there is no value; the empty text has two chances.
_EMPTY = ("", "", "null", "NULL", "-", "无", "#N/A")
#: Larger feeds are sent as a sheet only by senders that know no other format.
_SHEET_CELLS = 8_000
_OLD_NUMBER = r"^([0-9]{6})19([0-9]{9})[0-9X]$"


@dataclass(frozen=True)
class Style:
    """How one file is written."""

    format: str = "csv"  # csv | txt | xlsx | parquet
    encoding: str = "utf-8"
    bom: bool = False
    header: str = "name"  # name | upper | label | alias | none
    delimiter: str = ","
    quote: str = '"'
    title: bool = False  # a line above the header
    empty: str = ""
    dates: str = DATES[0]
    flags: Sequence[str] = _FLAGS[0]
    labels: bool = False  # codes by their Chinese names
    wanyuan: bool = False  # amounts in 10,000 yuan
    thousands: bool = False
    untidy: bool = False  # with blanks, marks and forms that cleaning removes
    more: Sequence[str] = field(default=())  # columns that no contract knows, or drops
    hash: str = "sha256"

    @property
    def typed(self) -> bool:
        """Whether the format has types, so that values need no text form."""
        return self.format == "parquet"


def style_of(draws: Draws, file: str, feed: Feed, rows: int, formats: Sequence[str], *, dirty: bool) -> Style:
    """The style of a file (``file``: its delivery, feed and number); senders that are not ``dirty`` write UTF-8."""

    def pick(purpose: str, options: Sequence[T]) -> T:
        at = draws.below(f"style/{file}/{purpose}", np.zeros(1, dtype=np.uint64), len(options))
        return options[int(at[0])]

    usable = [name for name in formats if name != "xlsx" or rows * len(feed.columns) <= _SHEET_CELLS]
    kind = pick("format", usable or formats)
    hashed = pick("hash", ("sha256", "sm3"))
    if kind == "parquet":
        return Style(format=kind, header=pick("header", ("name", "label", "alias")), hash=hashed)
    if not dirty:
        return Style(format=kind, delimiter="\t" if kind == "txt" else ",", hash=hashed)
    encoding = pick("encoding", ("utf-8", "utf-8", "gb18030", "gbk", "utf-16")) if kind != "xlsx" else "utf-8"
    money = any(column.kind is Kind.MONEY for column in feed.columns)
    header = pick(
        "header", ("name", "upper", "label", "alias", "label", "name") + (("none",) if kind != "xlsx" else ())
    )
    more = () if header == "none" else pick("more", ((), (), ("备注",), tuple(sorted(feed.dropped))[:1]))
    return Style(
        format=kind,
        encoding=encoding,
        bom=encoding == "utf-8" and pick("bom", (True, False)),
        header=header,
        delimiter="\t" if kind == "txt" else pick("delimiter", (",", ",", "|", ";")),
        quote=pick("quote", ('"', '"', "'")),
        title=kind == "xlsx" or (header != "none" and pick("title", (True, False, False, False))),
        empty=pick("empty", _EMPTY),
        dates=pick("dates", DATES),
        flags=pick("flags", _FLAGS),
        labels=pick("labels", (True, False)),
        wanyuan=money and kind != "xlsx" and pick("unit", (True, False, False)),
        thousands=money and kind != "txt" and pick("thousands", (True, False, False, False)),
        untidy=True,
        more=more,
        hash=hashed,
    )


def headers(feed: Feed, style: Style) -> list[str]:
    """The header cells, further columns included."""
    return [_header(column, style.header) for column in feed.columns] + list(style.more)


def _header(column: Column, how: str) -> str:
    match how:
        case "upper":
            return f" {column.name.upper()}\t"
        case "label":
            return column.label
        case "alias":
            return next((alias for alias in column.aliases if alias.isascii() and alias.islower()), column.name)
        case _:
            return column.name


def render(feed: Feed, rows: Rows, draws: Draws, style: Style) -> pl.DataFrame:
    """The text of every cell: one String column per contract column, then the further ones.

    Raises:
        KeyError: The contract takes a value that the rows do not have.
    """
    values = {column.name: _value(column, rows, draws) for column in feed.columns}
    if style.untidy:
        loose = _loose(feed)
        # A placeholder date counts as no value, which is an error beside columns that must be given together with it.
        tied = {name for rule in feed.together for name in rule.columns}
        values |= {
            column.name: _doubtful(column, values[column.name], rows.index, draws, loose=column.name in loose)
            for column in feed.columns
            if column.name not in tied
        }
    frame = pl.DataFrame(values)
    frame = frame.select(
        *(_text(column, frame.schema[column.name], style) for column in feed.columns),
        *(pl.lit("x").alias(name) for name in style.more),
    )
    return _untidy(feed, frame, rows.index, draws, style) if style.untidy else frame


def _value(column: Column, rows: Rows, draws: Draws) -> pl.Series:
    """A column's values: from the rows where the contract says so, else drawn from what the column allows."""
    index = rows.index
    if column.name in rows.columns:
        return rows.columns[column.name]
    if isinstance(column.sample, str):
        return rows.values[column.sample]
    if rows.bare and not column.required:
        return pl.Series([None] * len(index), dtype=pl.String)
    drawn = _drawn(column, index, draws)
    if column.required or column.sample is not None:
        return drawn
    return drawn.set(pl.Series(draws.share(f"{column.name}/none", index) < 0.08), None)


def weights_of(column: Column) -> Mapping[str, float]:
    """How often each code of a column comes ("": none); empty for what is no code."""
    if isinstance(column.sample, Mapping):
        return column.sample
    return dict.fromkeys(column.code_list.codes, 1.0) if column.code_list is not None else {}


def _drawn(column: Column, index: Index, draws: Draws) -> pl.Series:
    purpose = f"column/{column.name}"
    if weights := weights_of(column):
        drawn = choose(list(weights), draws.weighted(purpose, index, list(weights.values())))
        drawn = drawn.set(drawn == "", None)
        return drawn == "1" if column.kind is Kind.FLAG else drawn
    match column.kind:
        case Kind.FLAG:
            return pl.Series(draws.share(purpose, index) < 0.6)
        case Kind.DATE:
            return pl.Series(np.datetime64("1990-01-01", "D") + draws.below(purpose, index, 12_000)).cast(pl.Date)
        case Kind.MONTH:
            return pl.Series((np.datetime64("1990-01", "M") + draws.below(purpose, index, 400)).astype("datetime64[D]"))
        case Kind.INTEGER | Kind.NUMBER | Kind.MONEY:
            most = min(float(column.maximum or 300), 300.0)
            drawn = pl.Series(draws.below(purpose, index, int(most) + 1))
            return drawn.cast(pl.Float64) if column.kind is Kind.NUMBER else drawn
        case _:
            text = numbering.padded(f"{column.name}-", index.astype(np.int64) % 10_000_000, 7)
            return text.str.head(column.max_length or 40)


def _loose(feed: Feed) -> set[str]:
    """A column for each soft sum that may be changed without the row becoming wrong."""
    held = {name for rule in feed.sums if rule.hard for name in (*rule.left, *rule.right)}
    soft = [rule for rule in feed.sums if not rule.hard and rule.op == "="]
    return {name for rule in soft for name in [name for name in rule.right if name not in held][:1]}


def _doubtful(column: Column, value: pl.Series, index: Index, draws: Draws, *, loose: bool) -> pl.Series:
    """Make a few values cause a warning: against the identity number or a sum, a placeholder date, a wrong phone."""
    if loose:
        other = value + 100 * (value > 0).cast(pl.Int64)  # not the amounts of a reversal
    elif column.sample == "person.sex":
        other = value.replace({"1": "2", "2": "1"})
    elif column.sample == "person.birth":
        other = value.dt.offset_by("1d")
    elif column.kind is Kind.MOBILE:
        other = value.str.replace("^1", "2")
    elif column.kind is Kind.DATE and not column.required and value.dtype == pl.Date:
        other = pl.Series([PLACEHOLDER_DATES[0]]).new_from_index(0, len(value))
    else:
        return value
    often = 0.03 if column.kind is Kind.MOBILE else 0.01
    some = pl.Series(draws.share(f"doubtful/{column.name}", index) < often) & value.is_not_null()
    return other.zip_with(some, value)


def _text(column: Column, kind: pl.DataType, style: Style) -> pl.Expr:
    """The text of a column of values."""
    value = pl.col(column.name)
    if kind != pl.String:
        value = _WRITERS.get(column.kind, _as_text)(value, style)
    elif style.labels and column.kind is Kind.CODE and column.code_list is not None and column.code_match == "exact":
        value = value.replace(dict(column.code_list.codes))
    return value.fill_null("" if style.typed else style.empty).alias(column.name)


def _as_text(value: pl.Expr, style: Style) -> pl.Expr:  # noqa: ARG001 - all writers have the same arguments
    return value.cast(pl.String)


def _date(value: pl.Expr, style: Style) -> pl.Expr:
    return value.dt.strftime(style.dates)


def _time(value: pl.Expr, style: Style) -> pl.Expr:
    return value.dt.strftime(_TIMES.get(style.dates, "%Y-%m-%d %H:%M:%S"))


def _month(value: pl.Expr, style: Style) -> pl.Expr:
    return value.dt.strftime("%Y年%-m月" if style.dates == DATES[-1] else "%Y%m")


def _flag(value: pl.Expr, style: Style) -> pl.Expr:
    no, yes = style.flags
    return pl.when(value).then(pl.lit(yes)).when(value.is_not_null()).then(pl.lit(no))


def _money(value: pl.Expr, style: Style) -> pl.Expr:
    scale = 6 if style.wanyuan else 2
    size = value.abs()
    whole = (size // 10**scale).cast(pl.String)
    if style.thousands:
        for _ in range(4):
            whole = whole.str.replace(r"(\d)(\d{3})(,|$)", "${1},${2}${3}")
    part = (size % 10**scale).cast(pl.String).str.zfill(scale)
    return pl.concat_str(pl.when(value < 0).then(pl.lit("-")).otherwise(pl.lit("")), whole, pl.lit("."), part)


_WRITERS: dict[Kind, Callable[[pl.Expr, Style], pl.Expr]] = {
    Kind.DATE: _date,
    Kind.MONTH: _month,
    Kind.DATETIME: _time,
    Kind.FLAG: _flag,
    Kind.MONEY: _money,
}


# --- what cleaning removes -------------------------------------------------------------------------------------------

_MARKS: list[Callable[[str], str]] = [
    lambda text: f" {text}　",
    lambda text: f"\u200b{text}",
    lambda text: f"\ufeff{text}\u00a0",
    lambda text: f"'{text}",
    lambda text: f'="{text}"',
    lambda text: f"{text}\t",
]
_WIDE = {ord(char): chr(ord(char) + 0xFEE0) for char in "0123456789"}


def _untidy(feed: Feed, frame: pl.DataFrame, index: Index, draws: Draws, style: Style) -> pl.DataFrame:
    """Old numbers of 15 digits, other dots in names, and here and there a cell with blanks, marks or wide digits."""
    changed = []
    for column in feed.columns:
        text = frame[column.name]
        if column.kind is Kind.CERTNO:
            old = text.str.replace(_OLD_NUMBER, "${1}${2}")
            some = draws.share(f"untidy/old/{column.name}", index) < 0.05
            changed.append(old.zip_with(pl.Series(some) & _resident_card(feed, frame), text))
        elif column.kind is Kind.NAME and column.personal:
            changed.append(text.str.replace("·", "•", literal=True).zip_with(pl.Series(index % 2 == 0), text))
    frame = frame.with_columns(changed)
    marks = [mark for mark in _MARKS if style.delimiter != "\t" or "\t" not in mark("")]
    height, width = frame.height, len(feed.columns)
    if not height:
        return frame
    cells = max(height // 100, 1)
    which = np.arange(cells, dtype=np.uint64) + index[0]
    rows = draws.below("untidy/row", which, height)
    columns = draws.below("untidy/column", which, width)
    for position in {int(position) for position in columns}:
        column = feed.columns[position]
        values = frame[column.name].to_list()
        for row in rows[columns == position]:
            if column.kind in {Kind.CODE, Kind.DATE, Kind.MONEY, Kind.CERTNO} and row % 3 == 0:
                values[row] = values[row].translate(_WIDE)
            else:
                values[row] = marks[int(row) % len(marks)](values[row])
        frame = frame.with_columns(pl.Series(column.name, values))
    return frame


def _resident_card(feed: Feed, frame: pl.DataFrame) -> pl.Series:
    kind = feed.first(Kind.CERT_TYPE)
    return frame[kind.name] == "01" if kind is not None else pl.Series([False]).new_from_index(0, frame.height)

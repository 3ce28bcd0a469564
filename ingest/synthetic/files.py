"""Files and packages, written as a stream: of any number of rows, a single batch is in memory."""

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

from ingest.contracts.model import Feed, Kind
from ingest.synthetic.style import Style, headers

#: Files carry no clock: the same seed gives the same bytes.
_MADE = datetime(2026, 1, 1, tzinfo=UTC)
_ENDINGS = {"csv": "csv", "txt": "txt", "xlsx": "xlsx", "parquet": "parquet"}
_ARROW = {
    Kind.DATE: pa.date32(),
    Kind.DATETIME: pa.timestamp("s"),
    Kind.INTEGER: pa.int64(),
    Kind.NUMBER: pa.float64(),
    Kind.MONEY: pa.decimal128(18, 2),
}


class Writer(Protocol):
    """Takes the frames of one file."""

    def write(self, frame: pl.DataFrame) -> None:
        """Writes rows."""

    def raw(self, cells: Iterable[str]) -> None:
        """Writes a row of any number of cells; only text files can."""


@dataclass
class _Text:
    file: io.BufferedWriter
    style: Style

    def write(self, frame: pl.DataFrame) -> None:
        buffer = io.BytesIO()
        frame.write_csv(
            buffer,
            include_header=False,
            separator=self.style.delimiter,
            quote_char=self.style.quote,
            quote_style="necessary",
        )
        if self.style.encoding == "utf-8":
            self.file.write(buffer.getbuffer())
        else:
            self._encode(buffer.getvalue().decode())

    def raw(self, cells: Iterable[str]) -> None:
        quote = self.style.quote
        special = {self.style.delimiter, quote, "\n"}
        texts = (f"{quote}{cell.replace(quote, quote * 2)}{quote}" if special & set(cell) else cell for cell in cells)
        self._encode(self.style.delimiter.join(texts) + "\n")

    def _encode(self, text: str) -> None:
        # what is declared as GBK holds names that only GB18030 has, as real exports do
        codec = {"gbk": "gb18030", "utf-16": "utf-16-le"}.get(self.style.encoding, self.style.encoding)
        self.file.write(text.encode(codec))

    def begin(self, feed: Feed) -> None:
        if self.style.bom:
            self.file.write(b"\xef\xbb\xbf")
        elif self.style.encoding == "utf-16":
            self.file.write(b"\xff\xfe")
        if self.style.title:
            self._encode(f"{feed.label} 仅供共享\n")
        if self.style.header != "none":
            self.raw(headers(feed, self.style))


@dataclass
class _Sheet:
    book: xlsxwriter.Workbook
    feed: Feed
    style: Style
    row: int = 0
    rows: int = 0

    def __post_init__(self) -> None:
        self.sheet = self.book.add_worksheet("数据")
        self.day = self.book.add_format({"num_format": "yyyy-mm-dd"})
        if self.style.title:
            self.sheet.write_string(0, 0, f"{self.feed.label}（样例）")
            self.row = 2
        for column, text in enumerate(headers(self.feed, self.style)):
            self.sheet.write_string(self.row, column, text)
        self.row += 1

    def write(self, frame: pl.DataFrame) -> None:
        kinds = [column.kind for column in self.feed.columns] + [Kind.TEXT] * len(self.style.more)
        for cells in frame.iter_rows():
            for column, (kind, text) in enumerate(zip(kinds, cells, strict=True)):
                self._cell(column, kind, text)
            self.row += 1
            self.rows += 1

    def _cell(self, column: int, kind: Kind, text: str) -> None:
        if kind in {Kind.MONEY, Kind.NUMBER, Kind.INTEGER}:
            with suppress(ArithmeticError):  # not a number: as it is
                self.sheet.write_number(self.row, column, float(Decimal(text)))
                return
        if kind is Kind.DATE:
            with suppress(ValueError):
                day = date.fromisoformat(text)
                if day.year >= 1900:  # a sheet knows no day before
                    self.sheet.write_datetime(self.row, column, day, self.day)
                    return
        if text:
            self.sheet.write_string(self.row, column, text)

    def raw(self, cells: Iterable[str]) -> None:
        raise NotImplementedError("a sheet's rows have no number of fields of their own")

    def end(self) -> None:
        self.sheet.write_string(self.row, 0, "合计")
        self.sheet.write_number(self.row, 1, self.rows)
        self.sheet.write_string(self.row + 1, 0, "填表说明：本表为样例数据。")


@dataclass
class _Parquet:
    writer: pq.ParquetWriter
    feed: Feed
    names: list[str]

    def write(self, frame: pl.DataFrame) -> None:
        arrays = []
        for column in self.feed.columns:
            text = frame[column.name]
            text = text.set(text == "", None)
            kind = _ARROW.get(column.kind, pa.string())
            arrays.append(_typed(text, column.kind).to_arrow().cast(kind))
        self.writer.write_table(pa.table(arrays, names=self.names))

    def raw(self, cells: Iterable[str]) -> None:
        raise NotImplementedError("a row of Parquet has the fields of its schema")


def _typed(text: pl.Series, kind: Kind) -> pl.Series:
    match kind:
        case Kind.DATE:
            return text.str.to_date("%Y-%m-%d")
        case Kind.DATETIME:
            return text.str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="ms")
        case Kind.INTEGER:
            return text.cast(pl.Int64)
        case Kind.NUMBER:
            return text.cast(pl.Float64)
        case Kind.MONEY:
            return text.cast(pl.Decimal(18, 2))
        case _:
            return text


@contextmanager
def open_file(path: Path, feed: Feed, style: Style) -> Iterator[Writer]:
    """A data file to write frames of text to; header, title and closing rows come with it."""
    match style.format:
        case "xlsx":
            book = xlsxwriter.Workbook(path, {"constant_memory": True, "strings_to_numbers": False})
            book.set_properties({"created": _MADE.replace(tzinfo=None)})
            sheet = _Sheet(book, feed, style)
            yield sheet
            sheet.end()
            book.close()
        case "parquet":
            names = headers(feed, style)
            kinds = [_ARROW.get(column.kind, pa.string()) for column in feed.columns]
            with pq.ParquetWriter(path, pa.schema(list(zip(names, kinds, strict=True)))) as writer:
                yield _Parquet(writer, feed, names)
        case _:
            with path.open("wb") as file:
                text = _Text(file, style)
                text.begin(feed)
                yield text


def resource(folder: Path, name: str, feed: Feed, style: Style, rows: int) -> dict[str, Any]:
    """The manifest's entry for a file just written, with its hash."""
    path = folder / file_name(name, style)
    described: dict[str, Any] = {"name": name}
    if name != feed.name:
        described["feed"] = feed.name
    described["path"] = path.name
    if style.format in {"csv", "txt"}:
        described["encoding"] = style.encoding
        dialect: dict[str, Any] = {}
        if style.delimiter != {"csv": ",", "txt": "\t"}[style.format]:
            dialect["delimiter"] = style.delimiter
        if style.quote != '"':
            dialect["quoteChar"] = style.quote
        if style.header == "none":
            dialect["header"] = False
        if style.title:
            dialect["headerRows"] = [2]
        if dialect:
            described["dialect"] = dialect
    if style.format == "xlsx":
        described["sheet"] = "数据"
    if style.wanyuan:
        described["amount_unit"] = "wanyuan"
    described |= {"bytes": path.stat().st_size, "rows": rows, "hash": f"{style.hash}:{digest(path, style.hash)}"}
    return described


def file_name(name: str, style: Style) -> str:
    """File of a resource."""
    return f"{name}.{_ENDINGS[style.format]}"


def digest(path: Path, algorithm: str) -> str:
    """Hash of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm)).hexdigest()


def finish(folder: Path, manifest: dict[str, Any], *, zipped: bool) -> Path:
    """Writes the manifest, last of all; as a zip the package gets its name only when it is whole."""
    text = json.dumps(manifest, ensure_ascii=False, indent=1)
    if not zipped:
        (folder / "datapackage.json").write_text(text, "utf-8")
        return folder
    part, whole = folder.with_name(folder.name + ".zip.part"), folder.with_name(folder.name + ".zip")
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            with path.open("rb") as source, archive.open(_entry(path.name), "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target, 1 << 20)
        with archive.open(_entry("datapackage.json"), "w") as target:
            target.write(text.encode())
    shutil.rmtree(folder)
    part.rename(whole)
    return whole


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _MADE.timetuple()[:6])
    entry.compress_type = zipfile.ZIP_DEFLATED
    return entry

"""Return files: the rejected rows of a delivery in their sender's own columns, with what is wrong and what to do."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any, BinaryIO

import psycopg
from psycopg.rows import dict_row
from xlsxwriter.format import Format
from xlsxwriter.workbook import Workbook
from xlsxwriter.worksheet import Worksheet

from ingest import code_texts
from ingest.contracts import Contracts, Feed
from ingest.contracts.model import header_key
from ingest.delivery import manifest
from ingest.delivery.manifest import FORMATS, Resource
from ingest.errors import WarehouseError
from ingest.readers.base import column_by_header
from warehouse import explanation
from warehouse.cli.files import MAX_CELL_CHARACTERS, MAX_SHEET_ROWS, new_workbook
from warehouse.sharing.tables import BOM, defused

CSV_HEADER = ("file", "line", "reasons", "row")
#: Headers of the columns of a sheet before those of the sender.
SHEET_HEADER = ("行号 line", "原因 reasons")
#: Name of the sheet that counts and explains the codes.
REASONS_SHEET = "原因 reasons"
_REASONS_HEADER = (
    "代码 code",
    "列 column",
    "名称 label",
    "行数 rows",
    "含义",
    "meaning",
    "处理",
    "what to do",
    "工作表 sheet",
)
#: The property of a workbook that holds the name of its delivery.
DELIVERY_PROPERTY = "delivery"
#: A spreadsheet becomes slow with more comments than this; the column of reasons has all codes.
_MAX_COMMENTS = 10_000

Row = Mapping[str, Any]


@dataclass(frozen=True)
class DeliveredFile:
    """A file of a delivery that has rejected rows.

    Attributes:
        number: Its index in the manifest's list.
        resource: Its entry in the manifest.
        feed: Its contract; None where there is none any more.
        header: Its header as delivered, without columns that are never stored; None where the ledger does not have it.
    """

    number: int
    resource: Resource
    feed: Feed | None
    header: tuple[str, ...] | None

    @property
    def contract(self) -> Feed:
        """The contract of its feed.

        Raises:
            WarehouseError: There is none any more.
        """
        if self.feed is None:
            raise WarehouseError(
                f"There is no feed {self.resource.feed} any more: {self.resource.path} has no contract."
            )
        return self.feed

    @property
    def sheet(self) -> str:
        """The name of its sheet in the workbook: at most 31 characters, among them none that such names exclude."""
        label = self.feed.label if self.feed is not None else self.resource.feed
        return re.sub(r"[][:*?/\\']", " ", f"{self.number + 1} {label}")[:31].rstrip()

    @cached_property
    def positions(self) -> dict[str, int]:
        """Where each contract column stands among the fields of a row."""
        names = column_by_header(self.feed) if self.feed is not None else {}
        positions: dict[str, int] = {}
        for position, cell in enumerate(self.header or ()):
            if (name := names.get(header_key(cell))) is not None:
                positions.setdefault(name, position)
        return positions

    def fields(self, raw: str) -> list[str]:
        """The fields of a row's text as the ledger keeps it."""
        if self.resource.format not in ("csv", "tsv", "txt"):
            return raw.split("\t")
        dialect = self.resource.dialect
        reader = csv.reader(io.StringIO(raw, newline=""), delimiter=dialect.delimiter, quotechar=dialect.quote_char)
        return next(reader, [])

    def cells(self, raw: str) -> list[str]:
        """The fields below the header; all in the first cell where their number is another one."""
        fields = self.fields(raw)
        return fields if self.header is None or len(fields) == len(self.header) else [raw]


@dataclass(frozen=True)
class Delivery:
    """A delivery with its files that have rejected rows, by their number."""

    name: str
    source: str | None
    sender: str | None
    period: str | None
    status: str
    files: Mapping[int, DeliveredFile]


def find(conn: psycopg.Connection[Any], contracts: Contracts, name: str) -> Delivery:
    """A delivery of the ledger.

    Raises:
        WarehouseError: The ledger does not know the name.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        found = cursor.execute(
            "SELECT d.delivery_id, d.source, d.sender, d.period, d.status, a.manifest FROM ops.delivery AS d"
            " INNER JOIN ops.arrival AS a ON d.delivery_id = a.arrival_id WHERE d.name = %s",
            [name],
        ).fetchone()
        if found is None:
            raise WarehouseError(explanation.unknown_delivery(conn, name))
        rows = cursor.execute(
            "SELECT DISTINCT r.file_no, r.path, r.feed, f.header FROM ops.rejection AS r LEFT JOIN ops.file AS f"
            " ON r.arrival_id = f.arrival_id AND r.file_no = f.file_no WHERE r.arrival_id = %s ORDER BY r.file_no",
            [found.pop("delivery_id")],
        ).fetchall()
    resources = _resources(contracts, found.pop("manifest"))
    files = {}
    for row in rows:
        number, path = row["file_no"], row["path"]
        resource = resources.get(number) or Resource(
            row["feed"], row["feed"], path, FORMATS.get(PurePosixPath(path).suffix[1:].casefold(), "csv")
        )
        feed = contracts.feeds.get((found["source"], row["feed"]))
        files[number] = DeliveredFile(number, resource, feed, None if row["header"] is None else tuple(row["header"]))
    return Delivery(name, files=files, **found)


def _resources(contracts: Contracts, stored: Any) -> dict[int, Resource]:
    """The entries of a stored manifest by their number; none of one that is not valid."""
    valid, _, _ = manifest.read(stored or {}, list(contracts.sources), datetime.now(UTC))
    return {resource.index: resource for resource in valid.resources} if valid is not None else {}


def write_csv(target: BinaryIO, rows: Iterable[Row], *, bom: bool = True) -> int:
    """Write rejected rows with their text as delivered; returns their number."""
    target.write(BOM if bom else b"")
    text = io.TextIOWrapper(target, encoding="utf-8", newline="")
    writer, count = csv.writer(text), 0
    writer.writerow(CSV_HEADER)
    for count, row in enumerate(rows, 1):  # noqa: B007  the last one is the number of rows
        writer.writerow(
            [defused(row["path"]), row["line_number"], defused(" ".join(row["reasons"])), defused(row["raw"])]
        )
    text.flush()
    text.detach()
    return count


def write_workbook(target: BinaryIO, delivery: Delivery, rows: Iterable[Row]) -> int:
    """Write a sheet for each file and one that explains the codes; returns the number of rejected rows.

    Args:
        target: Where.
        delivery: Of which the rows are.
        rows: Rejected rows, those of one file together (``pipeline.rejects``).
    """
    counts: Counter[tuple[int, str]] = Counter()
    total, cut = 0, []
    with new_workbook(target) as book:
        book.set_custom_property(DELIVERY_PROPERTY, delivery.name)
        styles = _Styles(book)
        files = delivery.files
        sheets = {number: _Sheet(book.add_worksheet(file.sheet), styles, file) for number, file in files.items()}
        for number, group in itertools.groupby(rows, lambda row: int(row["file_no"])):
            count = sheets[number].write(_counted(group, number, counts))
            total += count
            if count >= MAX_SHEET_ROWS:
                cut.append(files[number].sheet)
        _write_reasons(book.add_worksheet(REASONS_SHEET), styles, delivery, counts, cut)
    return total


def _counted(rows: Iterable[Row], number: int, counts: Counter[tuple[int, str]]) -> Iterator[Row]:
    """The rows of a file; ``counts`` grows by file and reason."""
    for row in rows:
        counts.update((number, reason) for reason in row["reasons"])
        yield row


class _Styles:
    """How cells look. All are text, so that what is typed into them keeps its leading zeros and all its digits."""

    def __init__(self, book: Workbook) -> None:
        self.text: Format = book.add_format({"num_format": "@"})
        self.wrong: Format = book.add_format({"num_format": "@", "bg_color": "#FFC7CE", "font_color": "#9C0006"})
        self.head: Format = book.add_format({"num_format": "@", "bold": True, "bg_color": "#D9E1F2"})
        self.wrapped: Format = book.add_format({"text_wrap": True, "valign": "top"})


class _Sheet:
    """The sheet of a file: line, reasons, and the columns of the sender."""

    def __init__(self, sheet: Worksheet, styles: _Styles, file: DeliveredFile) -> None:
        self._sheet, self._styles, self._file = sheet, styles, file
        self._comments = 0
        sheet.set_column(0, 0, 10, styles.text)
        sheet.set_column(1, 1, 28, styles.text)
        sheet.freeze_panes(1, len(SHEET_HEADER))

    def write(self, rows: Iterable[Row]) -> int:
        """Write the rows that fit; returns the number of all."""
        count = 0
        for count, row in enumerate(rows, 1):
            cells = self._file.cells(row["raw"])
            if count == 1:
                self._write_header(len(cells))
            if count < MAX_SHEET_ROWS:
                self._write_row(count, row, cells)
        return count

    def _write_header(self, width: int) -> None:
        header = self._file.header or [f"第 {number} 列 column {number}" for number in range(1, width + 1)]
        self._sheet.set_column(len(SHEET_HEADER), len(SHEET_HEADER) + len(header), 18, self._styles.text)
        for position, text in enumerate((*SHEET_HEADER, *header)):
            self._sheet.write_string(0, position, text, self._styles.head)

    def _write_row(self, number: int, row: Row, cells: Sequence[str]) -> None:
        wrong = self._reasons_by_cell(row["reasons"])
        padded = [*cells, *[""] * (len(self._file.header or ()) - len(cells))]
        texts = [str(row["line_number"]), " ".join(row["reasons"]), *padded]
        for position, text in enumerate(texts):
            if text or position in wrong:
                style = self._styles.wrong if position in wrong else self._styles.text
                self._sheet.write_string(number, position, text[:MAX_CELL_CHARACTERS], style)
        for position, reasons in wrong.items():
            if self._comments < _MAX_COMMENTS:
                self._comments += 1
                text = "\n".join(self._explanation(reason) for reason in reasons)
                size = {"x_scale": 3, "y_scale": 1.5 * len(reasons), "author": ""}
                self._sheet.write_comment(number, position, text, size)

    def _reasons_by_cell(self, reasons: Iterable[str]) -> dict[int, list[str]]:
        """The reasons of a row by the position of the cell they are about: that of the reasons, if of no other."""
        found: dict[int, list[str]] = {}
        for reason in reasons:
            position = self._file.positions.get(reason.partition(":")[2])
            cell = len(SHEET_HEADER) + (-1 if position is None else position)
            found.setdefault(cell, []).append(reason)
        return found

    def _explanation(self, reason: str) -> str:
        code_text = code_texts.load()[reason.partition(":")[0]]
        meaning, remedy = code_text.meaning, code_text.remedy
        return f"{reason}\n{meaning.zh}\n{meaning.en}\n处理：{remedy.zh}\nWhat to do: {remedy.en}"


def _write_reasons(
    sheet: Worksheet, styles: _Styles, delivery: Delivery, counts: Counter[tuple[int, str]], cut: Sequence[str]
) -> None:
    """Each code and column with its number of rows, the most frequent first, its meaning and remedy."""
    for position, text in enumerate(_REASONS_HEADER):
        sheet.write_string(0, position, text, styles.head)
    sheet.set_column(0, 3, 18)
    sheet.set_column(4, 7, 48, styles.wrapped)
    number = 0
    most_rows_first = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    for number, ((file_no, reason), rows) in enumerate(most_rows_first, 1):
        file, (code, _, column) = delivery.files[file_no], reason.partition(":")
        code_text = code_texts.load()[code]
        known = file.feed.by_name.get(column) if file.feed is not None else None
        meaning, remedy = code_text.meaning, code_text.remedy
        texts = [meaning.zh, meaning.en, remedy.zh, remedy.en, file.sheet]
        for position, text in enumerate((code, column, known.label if known else "")):
            sheet.write_string(number, position, text)
        sheet.write_number(number, 3, rows)
        for position, text in enumerate(texts, 4):
            sheet.write_string(number, position, text)
    for name in cut:
        number += 1
        sheet.write_string(
            number, 0, f"{name}: 行数过多，全部行见 CSV 退回文件。 Too many rows for a sheet: the CSV has all."
        )

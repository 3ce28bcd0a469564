"""Spreadsheets: xlsx and xls, as people make them, with titles, merged headers, totals and notes.

A sheet is held in memory, bounded by what a sheet can hold. An xlsx is a zip, and its sheets may claim any size, so
both are measured before the library opens it.
"""

import datetime as dt
import re
import zipfile
from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NoReturn
from xml.parsers import expat

import numpy as np
import polars as pl
import python_calamine
from numpy.typing import NDArray

from ingest.contracts.model import Column, Feed, Kind, header_key
from ingest.errors import DeliveryCode, DeliveryRefused, refused
from ingest.manifest import Resource
from ingest.readers.base import Header, RawBatch, Table, cut, known_headers, shown
from ingest.settings import Settings

ROWS = 20_000  # of a batch
CELLS = 64_000_000  # a full sheet of 60 columns; a library holds the rectangle, however few cells are filled
EXPANDED = 4 * 1024**3  # bytes of an xlsx unpacked
SEARCHED = 200  # rows in which the header is looked for
CHUNK = 4 * 1024 * 1024
#: A cell that may lie beyond what a full sheet of 61 columns (to BI) holds, or that does not say where it lies in the
#: way that nearly all programs do. Nothing but a tag looks like it: in text "<" is written "&lt;".
UNUSUAL = re.compile(rb"""[<:]c(?=[\s/>])(?!\sr="(?:[A-Z]|A[A-Z]|B[A-I])[0-9]{1,6}")""")
OVERLAP = 64  # bytes of a chunk that are looked at again with the next one: more than UNUSUAL looks at
#: What a cell shows that could not be computed. The library reads it as an empty one.
ERRORS = ("#N/A", "#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#GETTING_DATA")
CELL = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})")
COLUMNS = 16_384  # of any sheet

TOTAL = re.compile(r"(本页|本表|本月|本年)?(合计|小计|总计|共计|累计)([:：(（].*)?")
NOTES = re.compile(r"(填表说明|填报说明|填写说明)|(说明|注|备注)[:：]")
SERIAL_TEXT = re.compile(r"[0-9]{5}(\.[0-9]+)?")
SERIALS = (1, 2_958_466)  # 1900-01-01 to the day after 9999-12-31
FIRST_DAY = dt.datetime(1899, 12, 30)  # noqa: DTZ001  a spreadsheet knows no offset
SPREADSHEET_DIGITS = 10**15

Cells = Sequence[Any]


class SheetTable(Table):
    """One sheet of a workbook."""

    def __init__(self, path: Path, resource: Resource, feed: Feed, limits: Settings) -> None:
        self.path = path
        self.resource = resource
        self.feed = feed
        self.limits = limits
        self.rows_skipped = 0
        self.errors: dict[str, NDArray[np.uint64]] = {}  # see _Cells, by part of the workbook
        self.sheet = self._sheet()
        self.part = self._part(self.sheet.name) if self.errors else ""
        head = [list(row) for _, row in zip(range(SEARCHED), self._rows(), strict=False)]
        self.first, cells = self._find_header(head, _vertical_merges(self.sheet))
        if resource.dialect.header:
            self.header = Header.read(feed, cells, resource.path)
        else:
            self.header = Header.by_position(feed)
        self.columns = tuple(self.header.places)
        self.unknown_columns = self.header.unknown
        self.titles = sum(any(text_of(cell) for cell in row) for row in head[: max(self.first - 1, 0)])

    # --- opening -----------------------------------------------------------------------------------------------

    def _refuse(self, reason: str, code: DeliveryCode = DeliveryCode.ARCHIVE) -> NoReturn:
        raise refused(code, reason, self.resource.path)

    def _sheet(self) -> python_calamine.CalamineSheet:
        if zipfile.is_zipfile(self.path):
            self._measure()
        elif self.resource.format == "xlsx":
            self._refuse("the file is no xlsx workbook (or it is protected by a password)")
        try:
            with self.path.open("rb") as stream:
                workbook = python_calamine.load_workbook(stream)
            name = self.resource.sheet
            kinds = python_calamine.SheetTypeEnum
            names = [sheet.name for sheet in workbook.sheets_metadata if sheet.typ is not kinds.ChartSheet]
            if name is not None and name not in names:
                text = f"the workbook has no sheet {name!r:.60}; it has: {', '.join(names)[:200]}"
                self._refuse(text, DeliveryCode.HEADER)
            if not names:
                self._refuse("the workbook has no sheet")
            return workbook.get_sheet_by_name(names[0] if name is None else name)
        except DeliveryRefused:
            raise
        except python_calamine.PasswordError:
            self._refuse("the workbook is protected by a password")
        except OSError as error:
            if error.errno is not None:
                raise
            self._refuse(f"the workbook cannot be read ({str(error)[:100]}); save it again")
        except python_calamine.CalamineError as error:
            self._refuse(f"the workbook cannot be read ({str(error)[:100]}); save it again")
        except BaseException as error:
            # what the library did not foresee comes as a panic, which is no Exception
            if type(error).__name__ != "PanicException":
                raise
            self._refuse("the workbook is damaged; save it again")

    def _measure(self) -> None:
        """Refuse a workbook that would expand beyond bounds, before the library tries."""
        limit = min(
            max(self.path.stat().st_size * self.limits.archive_ratio, CHUNK), EXPANDED, self.limits.archive_bytes
        )
        expanded = 0
        try:
            with zipfile.ZipFile(self.path) as archive:
                names = archive.namelist()
                if not any(name.endswith("workbook.xml") for name in names):
                    self._refuse("the file is no xlsx workbook")
                for entry in archive.infolist():
                    if expanded + entry.file_size > limit:
                        self._refuse("the workbook expands to more than is allowed")
                    expanded += self._measure_part(archive, entry, limit - expanded)
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, EOFError) as error:
            self._refuse(f"the workbook is damaged ({str(error)[:100]}); save it again")
        except Exception as error:
            if type(error).__module__ not in ("zlib", "struct"):
                raise
            self._refuse("the workbook is damaged; save it again")

    def _measure_part(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> int:
        """The true size of a part; refuses one whose cells span too big a rectangle."""
        size, is_sheet, look, seen = 0, False, False, b""
        with archive.open(entry) as stream:
            while chunk := stream.read(CHUNK):
                size += len(chunk)
                if size > limit:
                    self._refuse("the workbook expands to more than is allowed")
                seen += chunk
                is_sheet = is_sheet or b"sheetData" in seen
                look = look or b't="e"' in seen
                if not look and (found := UNUSUAL.search(seen)):
                    look = found.start() < len(seen) - OVERLAP  # what stands at the end may be half a tag
                seen = seen[-OVERLAP:]
        if is_sheet and (look or UNUSUAL.search(seen)):
            with archive.open(entry) as stream:
                self.errors[entry.filename] = self._look(stream)
        return size

    def _look(self, stream: IO[bytes]) -> NDArray[np.uint64]:
        """Read the cells of a sheet as the library will; refuse them when they span too big a rectangle."""
        cells = _Cells()
        try:
            while chunk := stream.read(CHUNK):
                cells.feed(chunk)
                if cells.columns > COLUMNS or cells.rows * cells.columns > CELLS:
                    self._refuse(
                        f"the sheet spans {cells.rows} rows and {cells.columns} columns; delete the empty ones"
                    )
            cells.feed(b"", last=True)
        except expat.ExpatError as error:
            self._refuse(f"the workbook is damaged ({error}); save it again")
        return np.sort(np.array(cells.errors, dtype=np.uint64))

    def _part(self, name: str) -> str:
        """The part of the workbook that holds a sheet; empty when that cannot be told."""
        with zipfile.ZipFile(self.path) as archive:
            parts = {part.casefold(): part for part in archive.namelist()}
            workbook = next(part for part in parts if part.endswith("workbook.xml"))
            folder = workbook.removesuffix("workbook.xml")
            try:
                ids = {
                    value
                    for sheet in _tags(archive, parts[workbook], "sheet")
                    for key, value in sheet.items()
                    if sheet.get("name") == name and key.rpartition(":")[2] == "id"
                }
                for link in _tags(archive, parts[f"{folder}_rels/workbook.xml.rels"], "Relationship"):
                    if link.get("Id") in ids:
                        target = link.get("Target", "").casefold()
                        return parts[target[1:] if target.startswith("/") else folder + target]
            except (KeyError, expat.ExpatError):
                pass
        return ""

    def _rows(self) -> Iterator[Cells]:
        """The rows from row 1 of the sheet on, each from column A on."""
        if self.sheet.start is None:
            return
        errors, at = self.errors.get(self.part, np.empty(0, dtype=np.uint64)), 0
        left = [""] * self.sheet.start[1]  # the library gives the empty rows above the first cell, not the columns
        for number, cells in enumerate(self.sheet.iter_rows()):
            row = left + cells if left else cells
            while at < len(errors) and (error := int(errors[at])) >> 20 == number:
                at += 1
                column, kind = divmod(error & 0xFFFFF, 16)
                if column < len(row) and row[column] == "":
                    row[column] = ERRORS[kind]
            yield row

    # --- the header --------------------------------------------------------------------------------------------

    def _find_header(self, head: list[list[Any]], merges: set[tuple[int, int]]) -> tuple[int, list[str]]:
        """The number of rows up to and with the header, and its cells."""
        dialect = self.resource.dialect
        if not dialect.header:
            return 0, []
        texts = [[text_of(cell) for cell in row] for row in head]
        if dialect.header_rows:
            cells: list[str] = []
            for number in sorted(dialect.header_rows):
                cells = _lower(cells, texts[number - 1] if number <= len(texts) else [])
            return max(dialect.header_rows), cells
        known = set(known_headers(self.feed)) | self.feed.dropped
        required = {column.name for column in self.feed.columns if column.required}
        names = known_headers(self.feed)

        def held(cells: Sequence[str]) -> set[str]:
            return {names[key] for cell in cells if (key := header_key(cell)) in names} & required

        best: tuple[int, list[str]] = (1, texts[0] if texts else [])
        for index, row in enumerate(texts):
            above = texts[index - 1] if index else []
            # an upper cell counts where the lower is empty, and it is a header or merged with it
            kept = [
                cell if header_key(cell) in known or (index - 1, place) in merges else ""
                for place, cell in enumerate(above)
            ]
            both = _lower(kept, row)
            if held(row) == required or held(both) == required:
                if held(row) != required:  # the row above is part of the header, so all its cells are
                    both = _lower(above, row)
                below = texts[index + 1] if index + 1 < len(texts) else []
                merged = [cell for place, cell in enumerate(both) if (index, place) in merges]
                if held(merged) or self._is_header_too(both, below, known):
                    return index + 2, _lower(both, below)
                return index + 1, both
            if len(held(both)) > len(held(best[1])):
                best = (index + 1, both)
        return best

    @staticmethod
    def _is_header_too(upper: Sequence[str], lower: Sequence[str], known: set[str]) -> bool:
        """Whether the row below a header goes on with it: headers under groups, and nothing under the rest."""
        filled = [place for place, cell in enumerate(lower) if cell.strip()]
        under = [upper[place] if place < len(upper) else "" for place in filled]
        return (
            bool(filled)
            and all(header_key(lower[place]) in known for place in filled)
            and not any(header_key(cell) in known for cell in under)
        )

    # --- the rows ----------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[RawBatch]:
        """See ``Table``."""
        self.rows_skipped = self.titles
        held: list[Cells] = []
        lines: list[int] = []
        notes = False
        for number, row in enumerate(self._rows(), 1):
            if number <= self.first:
                continue
            filled = len(row) - row.count("")
            if not filled:
                continue
            first = next((cell for cell in row if isinstance(cell, str) and cell.strip()), "")
            first = "".join(first.split())
            alone = filled == 1
            if TOTAL.fullmatch(first) or _is_note(first, alone) or (notes and alone):
                notes = notes or _is_note(first, alone)
                self.rows_skipped += 1
                continue
            held.append(row)
            lines.append(number)
            if len(held) == ROWS:
                yield self._batch(held, lines)
                held, lines = [], []
        if held:
            yield self._batch(held, lines)

    def _batch(self, rows: list[Cells], lines: list[int]) -> RawBatch:
        columns: dict[str, list[str]] = {}
        sci: dict[str, pl.Series] = {}
        by_place = list(zip(*rows, strict=True))  # all rows of a sheet are equally long
        for name, place in self.header.places.items():
            column = self.feed.by_name[name]
            cells = by_place[place] if place < len(by_place) else ("",) * len(rows)
            if column.kind in (Kind.DATE, Kind.DATETIME):
                columns[name] = [cell_text(cell, column) for cell in cells]
            else:
                columns[name] = [cell if type(cell) is str else text_of(cell) for cell in cells]
            if column.kind is Kind.CERTNO:
                marks = [
                    isinstance(cell, (int, float)) and not isinstance(cell, bool) and abs(cell) >= SPREADSHEET_DIGITS
                    for cell in cells
                ]
                if any(marks):
                    sci[name] = pl.Series(marks, dtype=pl.Boolean)
        frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        dropped = self.header.dropped

        def texts_of(wanted: Sequence[int]) -> list[str]:
            return [
                shown("\t".join(text_of(cell) for place, cell in enumerate(rows[row]) if place not in dropped))
                for row in wanted
            ]

        return without_nul(RawBatch(frame, pl.Series("line", lines, dtype=pl.Int64), texts_of, sci=sci))


class _Cells:
    """Follows the tags of a sheet as they come: how many rows and columns its cells span, and which hold an error.

    ``errors`` has one number a cell, for there may be many: from the highest bit its row, in 16 bits its column (both
    from 0), in 4 the place of its text in ``ERRORS``.
    """

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self.row = self.column = 0  # of the next cell that does not say its own, from 0
        self.errors = array("Q")
        self.error = 0
        self.text = ""
        # no encoding but UTF-8, whatever the sheet declares: the library knows no other
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Read on.

        Raises:
            expat.ExpatError: for what is no XML, or no place of a cell.
        """
        self.parser.Parse(chunk, last)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "c":
            place = attributes.get("r")
            if place is None:
                row = self.row
            elif match := CELL.fullmatch(place):
                row = int(match[2]) - 1
                self.column = _column_number(match[1]) - 1
            else:
                raise expat.ExpatError(f"a cell at {place!r:.20}")
            if attributes.get("t") == "e":
                self.error = row << 20 | self.column << 4
                self.parser.CharacterDataHandler = self._read
            self.column += 1
            self.columns = max(self.columns, self.column)
            self.rows = max(self.rows, row + 1)
        elif name == "v":
            self.text = ""  # before it stands the formula
        elif name == "row" and (number := attributes.get("r")) is not None:
            if not re.fullmatch(r"[1-9][0-9]{0,6}", number):
                raise expat.ExpatError(f"a row {number!r:.20}")
            self.row = int(number) - 1

    def _end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        if name == "row":
            self.row += 1
            self.column = 0
        elif name == "c" and self.parser.CharacterDataHandler:
            self.parser.CharacterDataHandler = None
            if self.text in ERRORS:
                self.errors.append(self.error | ERRORS.index(self.text))

    def _read(self, text: str) -> None:
        self.text = (self.text + text)[:20]  # more than any error has

    def _doctype(self, *_: object) -> None:
        raise expat.ExpatError("a document type, which no sheet has")


def _tags(archive: zipfile.ZipFile, part: str, name: str) -> Iterator[dict[str, str]]:
    """The attributes of all tags of a name."""
    found: list[dict[str, str]] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda tag, attributes: (
        found.append(attributes) if tag.rpartition(":")[2] == name else None
    )
    with archive.open(part) as stream:
        while chunk := stream.read(CHUNK):
            parser.Parse(chunk)
            yield from found
            found.clear()


def without_nul(batch: RawBatch) -> RawBatch:
    """The batch with its rows that hold a NUL, which no database keeps, moved to ``ragged``."""
    if batch.frame.height == 0 or batch.frame.width == 0:
        return batch
    marked = batch.frame.select(pl.any_horizontal(pl.all().str.contains("\0", literal=True))).to_series()
    if not marked.any():
        return batch
    kept = (~marked).arg_true()
    rows = marked.arg_true().to_list()
    lines = batch.line.to_list()
    texts = batch.raw(rows)
    places = kept.to_list()
    return RawBatch(
        frame=batch.frame[kept],
        line=batch.line.gather(kept),
        text_of=lambda wanted: batch.text_of([places[row] for row in wanted]),
        ragged=[*batch.ragged, *((lines[row], cut(text)) for row, text in zip(rows, texts, strict=True))],
        sci={name: marks.gather(kept) for name, marks in batch.sci.items()},
    )


def _is_note(first: str, alone: bool) -> bool:
    match = NOTES.match(first)
    return bool(match) and (alone or match.group(1) is not None)  # type: ignore[union-attr]


def _lower(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """Two rows of a header as one: the lower cell where it is not empty."""
    width = max(len(upper), len(lower))
    above, below = [*upper, *[""] * (width - len(upper))], [*lower, *[""] * (width - len(lower))]
    return [low if low.strip() else high for high, low in zip(above, below, strict=True)]


def _vertical_merges(sheet: python_calamine.CalamineSheet) -> set[tuple[int, int]]:
    """Cells (row, column from 0) that are merged with the cell below."""
    found = set()
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or []:
        if bottom > top and top < SEARCHED:
            found |= {(row, place) for row in range(top, min(bottom, SEARCHED)) for place in range(left, right + 1)}
    return found


def _column_number(letters: str) -> int:
    """The number of a column from its letters: A is 1."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def text_of(cell: Any) -> str:
    """A cell as text: whole numbers without decimals, numbers to the 15 digits a spreadsheet holds, ISO dates."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        if cell.is_integer():
            return str(int(cell))
        return format(Decimal(f"{cell:.15g}"), "f")
    if isinstance(cell, dt.datetime):
        return _rounded(cell).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat()
    return str(cell)


def cell_text(cell: Any, column: Column) -> str:
    """A cell as the text of a column: in date columns the serial number of a day becomes its date."""
    if column.kind in (Kind.DATE, Kind.DATETIME):
        if isinstance(cell, str) and SERIAL_TEXT.fullmatch(cell.strip()):
            cell = float(cell)
        if isinstance(cell, (int, float)) and not isinstance(cell, bool) and SERIALS[0] <= cell < SERIALS[1]:
            # the serial 60 is a day that never was: before it the count is one less
            day = _rounded(FIRST_DAY + dt.timedelta(days=cell + (cell < 60)))
            return day.strftime("%Y-%m-%d") if float(cell).is_integer() else day.strftime("%Y-%m-%d %H:%M:%S")
    return text_of(cell)


def _rounded(moment: dt.datetime) -> dt.datetime:
    """To the second: a day's fraction in floating point misses it by microseconds."""
    if moment.microsecond == 0:
        return moment
    try:
        return (moment + dt.timedelta(microseconds=500_000)).replace(microsecond=0)
    except OverflowError:
        return moment.replace(microsecond=0)

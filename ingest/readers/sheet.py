"""Spreadsheets (xlsx and xls) as people write them, with titles, merged headers, totals and notes.

A sheet is read into memory. An xlsx is a zip and its sheets may claim any size, so the expanded size and the used range
of its sheets are checked before python-calamine ("the library" below) opens it.
"""

import datetime as dt
import io
import re
import shutil
import tempfile
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

from ingest import shown
from ingest.barrier import is_panic, quiet_panics
from ingest.contracts.model import Column, Feed, Kind, header_key
from ingest.delivery.manifest import Resource
from ingest.delivery.package import archive_errors
from ingest.errors import DeliveryCode, DeliveryRefused, refused
from ingest.readers import biff
from ingest.readers.base import Header, RawBatch, Table, column_by_header, escape_nul, truncate
from ingest.settings import Settings
from ingest.stripping import ERROR_WORDS, strip

BATCH_ROWS = 20_000
ROWS_PER_READ = 1_000  # rows requested from the library at once
MAX_CELLS = 64_000_000  # a full sheet of 60 columns; the library allocates the whole used range
MAX_EXPANDED_BYTES = 4 * 1024**3  # of an unpacked xlsx
HEADER_SEARCH_ROWS = 200  # rows in which the header is searched
CHUNK_BYTES = 4 * 1024 * 1024
#: The tag of a cell beyond column BI (the 61st), or of one whose reference is not written as nearly all programs do.
#: Only tags can match, because "<" is written "&lt;" in text.
UNUSUAL_CELL_TAG = re.compile(rb"""[<:]c(?=[\s/>])(?!\sr="(?:[A-Z]|A[A-Z]|B[A-I])[0-9]{1,6}")""")
OVERLAP_BYTES = 64  # the end of a chunk that is searched again with the next one: longer than any match
#: Error values of cells. The library reads such cells as empty.
ERRORS = ("#N/A", *ERROR_WORDS)
UNREADABLE_CELL = "#NUM!"  # replaces a cell that the library cannot read: a number outside the range of its format
STYLES_PART = re.compile(rb"xl[/\\]styles\.xml", re.IGNORECASE)  # the part of a workbook that holds the number formats
#: The library knows the first ones of ``ERRORS`` and refuses workbooks with others, which are replaced by a known one.
SUPPORTED_ERRORS = 7
SUPPORTED_ERROR = b"#REF!"
UNSUPPORTED_ERROR = re.compile(
    rb"(v>\s*)(?:" + b"|".join(re.escape(text.encode()) for text in ERRORS[SUPPORTED_ERRORS:]) + rb")(?=\s*(?:<|\Z))"
)
CELL_REFERENCE = re.compile(r"([A-Za-z]{1,3})([1-9][0-9]{0,6})")
MAX_COLUMNS = 16_384  # the limit of the xlsx format

TOTAL_LABEL = re.compile(r"(本页|本表|本月|本年)?(合计|小计|总计|共计|累计)([:：(（].*)?")
NOTE_LABEL = re.compile(r"(填表说明|填报说明|填写说明)|(说明|注|备注)[:：]")
SERIAL_TEXT = re.compile(r"[0-9]{5}(\.[0-9]+)?")
#: The days of the serial numbers 0 and 1 in the two date systems; spreadsheets have no time zone.
DAY_0_OF_1904, DAY_1_OF_1900 = dt.datetime(1904, 1, 1), dt.datetime(1900, 1, 1)  # noqa: DTZ001
SPREADSHEET_DIGITS = 10**15
MONTH_DIGITS = 6  # of yyyyMM

Cells = Sequence[Any]


class SheetTable(Table):
    """One sheet of a workbook."""

    def __init__(self, path: Path, resource: Resource, feed: Feed, limits: Settings) -> None:
        self.path = path
        self.resource = resource
        self.feed = feed
        self.limits = limits
        self.rows_skipped = 0
        self.errors: dict[str, NDArray[np.uint64]] = {}  # error cells by part of the workbook: see _CellScanner
        self.uses_1904 = False  # whether days are counted from 1904-01-01
        self.sheet = self._sheet()
        self.most_rows = self.sheet.height
        self.part = self._sheet_part(self.sheet.name) if self.errors else ""
        head = [list(row) for _, row in zip(range(HEADER_SEARCH_ROWS), self._rows(), strict=False)]
        self.first, cells = self._find_header(head, _vertical_merges(self.sheet))
        if resource.dialect.header:
            self.header = Header.read(feed, cells, resource.path)
        else:
            self.header = Header.by_position(feed)
        self.columns = tuple(self.header.positions)
        self.unknown_columns = self.header.unknown
        self.titles = sum(_count_filled(row) > 0 for row in head[: max(self.first - 1, 0)])

    # --- opening -----------------------------------------------------------------------------------------------

    def _refuse(self, reason: str, code: DeliveryCode = DeliveryCode.ARCHIVE) -> NoReturn:
        raise refused(code, reason, self.resource.path)

    def _sheet(self) -> python_calamine.CalamineSheet:
        zipped = zipfile.is_zipfile(self.path)
        if zipped:
            self._check_size()
        elif self.resource.format == "xlsx":
            self._refuse("the file is no xlsx workbook (or it is protected by a password)")
        try:
            with quiet_panics(), self._open_stream() as stream:
                workbook = python_calamine.load_workbook(stream)
            name = self.resource.sheet
            kinds = python_calamine.SheetTypeEnum
            names = [sheet.name for sheet in workbook.sheets_metadata if sheet.typ is not kinds.ChartSheet]
            if name is not None and name not in names:
                text = f"the workbook has no sheet of the name that the manifest says; it has {len(names)}"
                self._refuse(text, DeliveryCode.HEADER)
            if not names:
                self._refuse("the workbook has no sheet")
            name = names[0] if name is None else name
            if not zipped:
                self._scan_xls([sheet.name for sheet in workbook.sheets_metadata].index(name))
            with quiet_panics():
                return workbook.get_sheet_by_name(name)
        except DeliveryRefused:
            raise
        except python_calamine.PasswordError:
            self._refuse("the workbook is protected by a password")
        except OSError as error:
            if error.errno is not None:
                raise
            self._refuse(f"the workbook cannot be read ({shown.error(str(error))[:100]}); save it again")
        except python_calamine.CalamineError as error:
            self._refuse(f"the workbook cannot be read ({shown.error(str(error))[:100]}); save it again")
        except BaseException as error:
            if not is_panic(error):
                raise
            self._refuse("the workbook is damaged; save it again")

    def _open_stream(self) -> IO[bytes]:
        """The workbook, with error values that the library does not know replaced."""
        unsupported = {
            part for part, errors in self.errors.items() if (errors & np.uint64(0xFF) >= SUPPORTED_ERRORS).any()
        }
        if not unsupported:
            return self.path.open("rb")
        repaired = tempfile.TemporaryFile()  # noqa: SIM115  the caller closes it
        with (
            zipfile.ZipFile(self.path) as archive,
            zipfile.ZipFile(repaired, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as out,
        ):
            for entry in archive.infolist():
                with archive.open(entry) as source, out.open(entry.filename, "w", force_zip64=True) as target:
                    if entry.filename in unsupported:
                        pending = b""
                        while chunk := source.read(CHUNK_BYTES):
                            pending += chunk
                            tag_start = max(pending.rfind(b"<"), 0)
                            target.write(UNSUPPORTED_ERROR.sub(rb"\1" + SUPPORTED_ERROR, pending[:tag_start]))
                            pending = pending[tag_start:]
                        target.write(pending)
                    else:
                        shutil.copyfileobj(source, target)
        repaired.seek(0)
        return repaired

    def _scan_xls(self, number: int) -> None:
        """Read the date system and the error cells of an xls sheet."""
        self.uses_1904, found = biff.read_sheet_details(self.path, number)
        errors = [_error(row, column, ERRORS.index(text)) for row, column, text in found]
        self.errors[""] = np.sort(np.array(errors, dtype=np.uint64))

    def _check_size(self) -> None:
        """Refuse a workbook that would expand beyond the limits."""
        limit = min(
            max(self.path.stat().st_size * self.limits.archive_ratio, CHUNK_BYTES),
            MAX_EXPANDED_BYTES,
            self.limits.archive_bytes,
        )
        expanded = 0
        with archive_errors("workbook", "save it again", self.resource.path), zipfile.ZipFile(self.path) as archive:
            names = archive.namelist()
            if not any(name.endswith("workbook.xml") for name in names):
                self._refuse("the file is no xlsx workbook")
            for entry in archive.infolist():
                if expanded + entry.file_size > limit:
                    self._refuse("the workbook expands to more than is allowed")
                expanded += self._check_part_size(archive, entry, limit - expanded)
            self.uses_1904 = _uses_1904(archive)

    def _check_part_size(self, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> int:
        """The expanded size of a part; refuses a sheet whose used range is too large."""
        size, is_sheet, unusual, data = 0, False, False, b""
        with archive.open(entry) as stream:
            while chunk := stream.read(CHUNK_BYTES):
                size += len(chunk)
                if size > limit:
                    self._refuse("the workbook expands to more than is allowed")
                data += chunk
                is_sheet = is_sheet or b"sheetData" in data
                unusual = unusual or b'"e"' in data or b"'e'" in data  # the type of an error cell
                if not unusual and (found := UNUSUAL_CELL_TAG.search(data)):
                    unusual = found.start() < len(data) - OVERLAP_BYTES  # a match at the end may be an incomplete tag
                data = data[-OVERLAP_BYTES:]
        if is_sheet and (unusual or UNUSUAL_CELL_TAG.search(data)):
            with archive.open(entry) as stream:
                self.errors[entry.filename] = self._scan_cells(stream)
        return size

    def _scan_cells(self, stream: IO[bytes]) -> NDArray[np.uint64]:
        """The error cells of a sheet; refuses a sheet whose used range is too large."""
        cells = _CellScanner()
        try:
            while chunk := stream.read(CHUNK_BYTES):
                cells.feed(chunk)
                if cells.columns > MAX_COLUMNS or cells.rows * cells.columns > MAX_CELLS:
                    self._refuse(
                        f"the sheet spans {cells.rows} rows and {cells.columns} columns; delete the empty ones"
                    )
            cells.feed(b"", last=True)
        except expat.ExpatError as error:
            self._refuse(f"the workbook is damaged ({shown.error(str(error))}); save it again")
        return np.sort(np.array(cells.errors, dtype=np.uint64))

    def _sheet_part(self, name: str) -> str:
        """The part of the workbook that holds a sheet; empty when it cannot be determined."""
        if not zipfile.is_zipfile(self.path):
            return ""
        with zipfile.ZipFile(self.path) as archive:
            parts = {part.casefold(): part for part in archive.namelist()}
            workbook = _workbook(archive)
            folder = workbook.casefold().removesuffix("workbook.xml")
            try:
                ids = {
                    value
                    for sheet in _tags(archive, workbook, "sheet")
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
        """The rows of the sheet, starting with row 1, each starting with column A."""
        if self.sheet.start is None:
            return
        errors, index = self.errors.get(self.part, np.empty(0, dtype=np.uint64)), 0
        left = [""] * self.sheet.start[
            1
        ]  # the library returns the empty rows above the first cell, but not the empty columns before it
        for number, cells in enumerate(self._parsed_rows()):
            row = left + cells if left else cells
            while index < len(errors) and (error := int(errors[index])) >> 24 == number:
                index += 1
                column, kind = divmod(error & 0xFFFFFF, 256)
                if column < len(row) and row[column] == "":
                    row[column] = ERRORS[kind]
            yield row

    def _parsed_rows(self) -> Iterator[list[Any]]:
        """The rows as the library returns them.

        It fails for a number that is formatted as a date or duration but outside their range. Such a row is read again
        without number formats, so that the number itself is checked.
        """
        rows, number, ended = self.sheet.iter_rows(), 0, False
        unformatted: Iterator[tuple[int, list[Any]]] | None = None
        while not ended:
            rows_read: list[list[Any]] = []
            with quiet_panics():
                while len(rows_read) < ROWS_PER_READ:
                    try:
                        rows_read.append(next(rows))
                    except StopIteration:
                        ended = True
                        break
                    except BaseException as error:
                        if not is_panic(error) and not isinstance(error, OverflowError):
                            raise
                        if unformatted is None:
                            unformatted = enumerate(self._unformatted_rows())
                        row_number = number + len(rows_read)
                        placeholder = [UNREADABLE_CELL] * self.sheet.width
                        rows_read.append(
                            next((row for position, row in unformatted if position == row_number), placeholder)
                        )
            number += len(rows_read)
            yield from rows_read

    def _unformatted_rows(self) -> Iterator[list[Any]]:
        """The rows of an xlsx sheet without number formats, read from a copy whose styles part is renamed.

        The iterator ends early where reading fails even so, and is empty for an xls sheet.
        """
        if not zipfile.is_zipfile(self.path):
            return
        with zipfile.ZipFile(self.path) as archive:
            directory = archive.start_dir
        content = self.path.read_bytes()
        names = STYLES_PART.sub(lambda name: b"-" * len(name[0]), content[directory:])
        try:
            workbook = python_calamine.load_workbook(io.BytesIO(content[:directory] + names))
            yield from workbook.get_sheet_by_name(self.sheet.name).iter_rows()
        except BaseException as error:
            if not is_panic(error) and not isinstance(error, python_calamine.CalamineError):
                raise

    # --- the header --------------------------------------------------------------------------------------------

    def _find_header(self, head: list[list[Any]], merges: set[tuple[int, int]]) -> tuple[int, list[str]]:
        """The number of the last header row, and the header's cells."""
        dialect = self.resource.dialect
        if not dialect.header:
            return 0, []
        texts = [[text_of(cell) for cell in row] for row in head]
        if dialect.header_rows:
            cells: list[str] = []
            for number in sorted(dialect.header_rows):
                cells = _merge_header_rows(cells, texts[number - 1] if number <= len(texts) else [])
            return max(dialect.header_rows), cells
        known = set(column_by_header(self.feed)) | self.feed.dropped
        required = {column.name for column in self.feed.columns if column.required}
        names = column_by_header(self.feed)

        def required_columns(cells: Sequence[str]) -> set[str]:
            return {names[key] for cell in cells if (key := header_key(cell)) in names} & required

        best: tuple[int, list[str]] = (1, texts[0] if texts else [])
        for index, row in enumerate(texts):
            above = texts[index - 1] if index else []
            # a cell above an empty cell is used if it is a known header or merged with the empty cell
            kept_rows = [
                cell if header_key(cell) in known or (index - 1, position) in merges else ""
                for position, cell in enumerate(above)
            ]
            both = _merge_header_rows(kept_rows, row)
            if required_columns(row) == required or required_columns(both) == required:
                if required_columns(row) != required:  # then the row above belongs to the header as a whole
                    both = _merge_header_rows(above, row)
                below = texts[index + 1] if index + 1 < len(texts) else []
                merged = [cell for position, cell in enumerate(both) if (index, position) in merges]
                if required_columns(merged) or self._continues_header(both, below, known):
                    return index + 2, _merge_header_rows(both, below)
                return index + 1, both
            if len(required_columns(both)) > len(required_columns(best[1])):
                best = (index + 1, both)
        return best

    @staticmethod
    def _continues_header(upper: Sequence[str], lower: Sequence[str], known: set[str]) -> bool:
        """Whether the row below a header row belongs to the header: known headers, all below cells that are not."""
        filled = [position for position, cell in enumerate(lower) if cell.strip()]
        under = [upper[position] if position < len(upper) else "" for position in filled]
        return (
            bool(filled)
            and all(header_key(lower[position]) in known for position in filled)
            and not any(header_key(cell) in known for cell in under)
        )

    # --- the rows ----------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[RawBatch]:
        """See ``Table``."""
        self.rows_skipped = self.titles
        rows: list[Cells] = []
        lines: list[int] = []
        notes = False
        for number, row in enumerate(self._rows(), 1):
            if number <= self.first:
                continue
            first = next((text for cell in row if isinstance(cell, str) and (text := strip(cell))), "")
            if not first and not _count_filled(row):
                continue
            first = "".join(first.split())
            is_only_cell = (notes or NOTE_LABEL.match(first) is not None) and _count_filled(row) == 1
            if TOTAL_LABEL.fullmatch(first) or _is_note(first, is_only_cell) or (notes and is_only_cell):
                notes = notes or _is_note(first, is_only_cell)
                self.rows_skipped += 1
                continue
            rows.append(row)
            lines.append(number)
            if len(rows) == BATCH_ROWS:
                yield self._batch(rows, lines)
                rows, lines = [], []
        if rows:
            yield self._batch(rows, lines)

    def _batch(self, rows: list[Cells], lines: list[int]) -> RawBatch:
        columns: dict[str, list[str]] = {}
        imprecise: dict[str, pl.Series] = {}
        cells_by_column = list(zip(*rows, strict=True))  # all rows of a sheet have the same length
        for name, position in self.header.positions.items():
            column = self.feed.by_name[name]
            cells = cells_by_column[position] if position < len(cells_by_column) else ("",) * len(rows)
            if column.kind in (Kind.DATE, Kind.MONTH, Kind.DATETIME):
                columns[name] = [cell_text(cell, column, uses_1904=self.uses_1904) for cell in cells]
            else:
                columns[name] = [cell if type(cell) is str else text_of(cell) for cell in cells]
            if column.kind is Kind.CERTNO:
                flags = [_is_imprecise(cell) for cell in cells]
                if any(flags):
                    imprecise[name] = pl.Series(flags, dtype=pl.Boolean)
        frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
        dropped = self.header.dropped

        def raw_texts(selected: Sequence[int]) -> list[str]:
            return [
                escape_nul(
                    "\t".join(
                        displayed_text(cell) for position, cell in enumerate(rows[row]) if position not in dropped
                    )
                )
                for row in selected
            ]

        return move_nul_rows(RawBatch(frame, pl.Series("line", lines, dtype=pl.Int64), raw_texts, imprecise=imprecise))


class _CellScanner:
    """Parses the XML of a sheet incrementally: the extent of its used range, and its error cells.

    ``errors`` has an integer for each error cell, to save memory: see ``_error``.
    """

    def __init__(self) -> None:
        self.rows = self.columns = 0
        self.row = self.column = 0  # position (from 0) of the next cell without a reference
        self.errors = array("Q")
        self.error_cell = (0, 0)  # row and column of the current error cell
        self.text = ""
        # the library reads UTF-8 whatever encoding the sheet declares
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.StartDoctypeDeclHandler = self._doctype

    def feed(self, chunk: bytes, *, last: bool = False) -> None:
        """Parse the next chunk.

        Raises:
            expat.ExpatError: the XML or a cell reference is malformed.
        """
        self.parser.Parse(chunk, last)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        if name == "c":
            reference = attributes.get("r")
            if reference is None:
                row = self.row
            elif match := CELL_REFERENCE.fullmatch(reference):
                row = int(match[2]) - 1
                self.column = _column_number(match[1]) - 1
            else:
                raise expat.ExpatError(f"a cell at {reference!r:.20}")
            if attributes.get("t") == "e":
                self.error_cell = (row, self.column)
                self.parser.CharacterDataHandler = self._read
            self.column += 1
            self.columns = max(self.columns, self.column)
            self.rows = max(self.rows, row + 1)
        elif name == "v":
            self.text = ""  # discard the text of the formula before it
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
            if self.text:
                self.errors.append(
                    _error(*self.error_cell, ERRORS.index(self.text if self.text in ERRORS else ERRORS[-1]))
                )

    def _read(self, text: str) -> None:
        self.text = (self.text + text)[:20]  # longer than any error value

    def _doctype(self, *_: object) -> None:
        raise expat.ExpatError("a document type, which no sheet has")


def _tags(archive: zipfile.ZipFile, part: str, name: str) -> Iterator[dict[str, str]]:
    """The attributes of all tags with a name."""
    found: list[dict[str, str]] = []
    parser = expat.ParserCreate("utf-8")
    parser.StartElementHandler = lambda tag, attributes: (
        found.append(attributes) if tag.rpartition(":")[2] == name else None
    )
    with archive.open(part) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            parser.Parse(chunk)
            yield from found
            found.clear()


def sheet_names(path: Path) -> list[str]:
    """The names of the sheets of an xlsx workbook, in order.

    Raises:
        DeliveryRefused: The file is no xlsx workbook.
    """
    problem = refused(DeliveryCode.ARCHIVE, "the file is no xlsx workbook", path.name)
    if not zipfile.is_zipfile(path):
        raise problem
    with archive_errors("workbook", "save it again", path.name), zipfile.ZipFile(path) as archive:
        try:
            return [tag["name"] for tag in _tags(archive, _workbook(archive), "sheet")]
        except (StopIteration, KeyError, expat.ExpatError):
            raise problem from None


def _error(row: int, column: int, kind: int) -> int:
    """An error cell as an integer: row, column (16 bits), both from 0, and index into ``ERRORS`` (8 bits)."""
    return row << 24 | column << 8 | kind


def _workbook(archive: zipfile.ZipFile) -> str:
    """The part that lists the sheets."""
    return next(part for part in archive.namelist() if part.casefold().endswith("workbook.xml"))


def _uses_1904(archive: zipfile.ZipFile) -> bool:
    """Whether a workbook counts days from 1904."""
    try:
        tags = _tags(archive, _workbook(archive), "workbookPr")
        return any(tag.get("date1904", "").strip() in ("1", "true") for tag in tags)
    except expat.ExpatError:
        return False  # the library refuses a workbook with malformed XML


def _count_filled(row: Cells) -> int:
    """How many cells of a row are not blank."""
    return sum(not isinstance(cell, str) or strip(cell) != "" for cell in row)


def move_nul_rows(batch: RawBatch) -> RawBatch:
    """Move the rows that contain NUL, which PostgreSQL cannot store, to ``ragged``."""
    if batch.frame.height == 0 or batch.frame.width == 0:
        return batch
    marked = batch.frame.select(pl.any_horizontal(pl.all().str.contains("\0", literal=True))).to_series()
    if not marked.any():
        return batch
    kept_rows = (~marked).arg_true()
    rows = marked.arg_true().to_list()
    lines = batch.line.to_list()
    texts = batch.raw(rows)
    positions = kept_rows.to_list()
    return RawBatch(
        frame=batch.frame[kept_rows],
        line=batch.line.gather(kept_rows),
        text_of=lambda selected: batch.text_of([positions[row] for row in selected]),
        ragged=[*batch.ragged, *((lines[row], truncate(text)) for row, text in zip(rows, texts, strict=True))],
        imprecise={name: flags.gather(kept_rows) for name, flags in batch.imprecise.items()},
    )


def _is_note(first: str, is_only_cell: bool) -> bool:
    match = NOTE_LABEL.match(first)
    return bool(match) and (is_only_cell or match.group(1) is not None)  # type: ignore[union-attr]


def _merge_header_rows(upper: Sequence[str], lower: Sequence[str]) -> list[str]:
    """Combine two header rows: the lower cell where it is not blank, else the upper one."""
    width = max(len(upper), len(lower))
    above, below = [*upper, *[""] * (width - len(upper))], [*lower, *[""] * (width - len(lower))]
    return [
        below_cell if below_cell.strip() else above_cell for above_cell, below_cell in zip(above, below, strict=True)
    ]


def _vertical_merges(sheet: python_calamine.CalamineSheet) -> set[tuple[int, int]]:
    """Cells (row, column from 0) that are merged with the cell below."""
    found = set()
    for (top, left), (bottom, right) in sheet.merged_cell_ranges or []:
        if bottom > top and top < HEADER_SEARCH_ROWS:
            found |= {
                (row, position)
                for row in range(top, min(bottom, HEADER_SEARCH_ROWS))
                for position in range(left, right + 1)
            }
    return found


def _column_number(letters: str) -> int:
    """The number of a column from its letters: A is 1."""
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - 64
    return number


def text_of(cell: Any) -> str:
    """A cell as text: integers without decimals, other numbers with 15 digits, dates in ISO format."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "1" if cell else "0"
    if isinstance(cell, float):
        if cell.is_integer():
            return str(int(cell))
        return format(Decimal(f"{cell:.15g}"), "f")
    if isinstance(cell, dt.datetime):
        return _round_to_second(cell).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(cell, (dt.date, dt.time)):
        return cell.isoformat()
    return str(cell)


def displayed_text(cell: Any) -> str:
    """A cell as a spreadsheet displays it: a number of more than 15 digits is rounded."""
    return f"{cell:.15G}" if _is_imprecise(cell) else text_of(cell)


def _is_imprecise(cell: Any) -> bool:
    """Whether a cell is a number of more than 15 digits, whose further digits are lost."""
    return isinstance(cell, (int, float)) and abs(cell) >= SPREADSHEET_DIGITS


def cell_text(cell: Any, column: Column, *, uses_1904: bool = False) -> str:
    """A cell as the text of a column: in date columns serial numbers become dates.

    A number in a month column must be an integer of the form yyyyMM; any other is written with decimals, so that
    cleaning does not take it for a date.
    """
    if column.kind is Kind.MONTH and isinstance(cell, (int, float)) and not isinstance(cell, bool):
        text = text_of(cell)
        return text if len(text) == MONTH_DIGITS or "." in text else f"{text}.0"
    if column.kind in (Kind.DATE, Kind.DATETIME):
        serial = cell
        if isinstance(cell, str) and SERIAL_TEXT.fullmatch(cell.strip()):
            serial = float(cell)
        elif isinstance(cell, dt.timedelta):  # a number in the format of a duration
            serial = cell / dt.timedelta(days=1)
        elif uses_1904 and cell == dt.time(0):  # the number 0 in the format of a date
            serial = 0
        if isinstance(serial, (int, float)) and not isinstance(serial, bool):
            day = _serial_to_datetime(serial, uses_1904=uses_1904)
            if day is not None:
                return day.strftime("%Y-%m-%d") if float(serial).is_integer() else day.strftime("%Y-%m-%d %H:%M:%S")
    return text_of(cell)


def _serial_to_datetime(serial: float, *, uses_1904: bool) -> dt.datetime | None:
    """The date-time of a serial number; None where it is out of range."""
    if serial < (0 if uses_1904 else 1):
        return None
    # in the 1900 date system, serial number 60 is 1900-02-29, which did not exist
    first, number = (DAY_0_OF_1904, serial) if uses_1904 else (DAY_1_OF_1900, serial - 1 - (serial >= 60))
    try:
        return _round_to_second(first + dt.timedelta(days=number))
    except (OverflowError, ValueError):
        return None


def _round_to_second(instant: dt.datetime) -> dt.datetime:
    """Round to the second: fractions of a day in floating point are inexact by microseconds."""
    if instant.microsecond == 0:
        return instant
    try:
        return (instant + dt.timedelta(microseconds=500_000)).replace(microsecond=0)
    except OverflowError:
        return instant.replace(microsecond=0)

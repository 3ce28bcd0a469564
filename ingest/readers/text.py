"""Text files: any size in bounded memory, with the physical line of every row.

Rows are split as Python's ``csv`` module does: a quote opens only at the beginning of a field, is doubled inside, and
what follows a closing quote belongs to the field. There are two exceptions. A byte order mark at the beginning of a
field is skipped, so that a quote after it opens. And a quote that is never closed must not swallow the rows after it: a
row over several lines is accepted only when it is closed within ``MAX_QUOTED_LINE_ENDS``, no quote follows a closing
quote, and the number of fields is right; otherwise its first line alone is a (rejected) row, and reading continues with
the next line.

Compiled code (``ingest.kernels.split``) splits rows whose fields are slices of the file. Rows with doubled quotes, NUL
or a wrong number of fields go through ``csv``, and so does the whole file where the delimiter or quote is not ASCII.
All of it works on UTF-8: files in another encoding are converted first.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ingest.contracts.model import Feed
from ingest.delivery.manifest import Resource
from ingest.errors import DeliveryCode, refused
from ingest.kernels import Buffer, Integers, Mask, Offsets
from ingest.kernels.split import from_gb18030, split
from ingest.readers.base import MAX_LINE_BYTES, Header, RawBatch, Table, TextBatch, escape_nul, truncate
from ingest.readers.fields import FieldSlices
from ingest.stripping import strip

BATCH_BYTES = 1024 * 1024  # read and split at once; fits into the processor's cache
MAX_OFFSETS = 500_000  # start and end offsets of fields in a batch
MAX_CSV_ROWS = 4096  # rows for the csv module in a batch
CSV_SCAN_BYTES = 256 * 1024  # in a batch of rows that the csv module splits
MAX_BUFFERED_ROW_BYTES = MAX_LINE_BYTES * 3 // 2  # a longer row without an end is too long in any encoding
MAX_QUOTED_LINE_ENDS = 20  # in a row
BOM = "\ufeff"
LINE_END = re.compile(rb"\r\n|\n|\r")


class _CsvPatterns:
    """Regular expressions for rows and fields, for any delimiter and quote character.

    All quantifiers are possessive, so that matching takes linear time.
    """

    def __init__(self, delimiter: str, quote: str) -> None:
        bom, quote_ = re.escape(BOM.encode()), re.escape(quote.encode())
        separator = re.escape(delimiter.encode())
        inside = _all_but(quote.encode(), b"")
        outside = _all_but(delimiter.encode(), rb"\r\n")
        closed = b"".join((quote_, inside, b"(?:", quote_ * 2, inside, b")*+", quote_))
        field = b"(?:" + closed + outside + b"|(?!" + quote_ + b")" + outside + b")"
        strict_field = (
            b"(?:"
            + closed
            + b"(?:(?!"
            + quote_
            + b"|"
            + separator
            + rb")[^\r\n])*+|(?!"
            + quote_
            + b")"
            + outside
            + b")"
        )
        boms, end = b"(?:" + bom + b")*+", rb"(?:\r\n|\n|\r|\Z)"
        #: A row and its line end; does not match where a quote is not closed within the searched text.
        self.row = re.compile(boms + field + b"(?:" + separator + boms + field + b")*+" + end, re.DOTALL)
        #: The same without quotes after a closing quote: such a quote may close a field that an earlier row left open.
        self.strict_row = re.compile(
            boms + strict_field + b"(?:" + separator + boms + strict_field + b")*+" + end, re.DOTALL
        )
        self._field = re.compile(rb"(\A|" + separator + b")" + boms + b"(" + field + b")", re.DOTALL)

    def without_boms(self, row: str) -> str:
        """A row without the byte order marks at the beginnings of its fields."""
        return self._field.sub(rb"\1\2", row.encode()).decode() if BOM in row else row


def _all_but(character: bytes, others: bytes) -> bytes:
    """A pattern for everything up to a character or one of some bytes."""
    if len(character) == 1:
        return b"[^" + re.escape(character) + others + b"]*+"
    return b"(?:(?!" + re.escape(character) + b")" + (b"[^" + others + b"]" if others else b".") + b")*+"


def _line_end(buffer: bytes, position: int, final: bool) -> int | None:
    """The offset after the line at ``position``; None when its end is not in the buffer yet."""
    found = LINE_END.search(buffer, position)
    if found is None:
        return len(buffer) if final else None
    incomplete = found.end() == len(buffer) and buffer.endswith(b"\r") and not final  # a line feed may follow
    return None if incomplete else found.end()


class _Source:
    """The file's bytes as UTF-8. Files in UTF-8 are passed on as they are: ``text`` and ``check`` validate them."""

    def __init__(self, path: Path, resource: Resource) -> None:
        self.path = resource.path
        self.encoding = resource.encoding
        self.decode = _DECODERS.get(resource.encoding, lambda: None)()
        self.stream: IO[bytes] = path.open("rb")
        self.started = False
        self.exhausted = False

    def read(self, size: int) -> bytes:
        """Read about ``size`` bytes; sets ``exhausted`` at the end of the file."""
        data = self.stream.read(size)
        self.exhausted = len(data) < size
        if not self.started:
            self.started = True
            if self.encoding == "utf-16" and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                self.decode = _decoder(
                    "utf-16-le"
                )  # spreadsheets on Windows write UTF-16 without a byte order mark in this order
            data = data.removeprefix(_BOMS.get(self.encoding, b""))
        if self.decode is None:
            return data
        try:
            return self.decode(data, self.exhausted)
        except UnicodeError as error:
            raise self.undecodable(error) from None

    def encoded_size(self, data: bytes) -> int:
        """The size in bytes that UTF-8 text has in the encoding of the file."""
        if self.decode is None:
            return len(data)
        # "utf-16" would add a byte order mark
        return len(data.decode().encode("utf-16-le" if self.encoding == "utf-16" else self.encoding))

    def undecodable(self, error: UnicodeError) -> Exception:
        """The refusal of a file that is not in the declared encoding."""
        reason = getattr(error, "reason", None) or "not decodable"
        text = f"the file is not {self.encoding} as declared ({reason}); name its true encoding or write it again"
        return refused(DeliveryCode.ENCODING, text, self.path)

    def text(self, data: bytes) -> str:
        """Decode bytes that contain only whole characters."""
        try:
            return data.decode()
        except UnicodeError as error:
            raise self.undecodable(error) from None

    def check(self, data: memoryview) -> None:
        """Refuse bytes that are not UTF-8."""
        if self.decode is not None:
            return
        ends = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
        try:
            pl.Series(pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(data)])).cast(pl.String)
        except pl.exceptions.ComputeError:  # does not say at which byte
            self.text(bytes(data))


def _decoder(encoding: str) -> Callable[[bytes, bool], bytes]:
    """An incremental converter to UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    return lambda data, final: decoder.decode(data, final).encode()


def _gb18030_decoder() -> Callable[[bytes, bool], bytes]:
    """An incremental converter from GB18030 to UTF-8, several times as fast as Python's codec."""
    pending = b""

    def decode(data: bytes, final: bool) -> bytes:
        nonlocal pending
        data, pending = pending + data, b""
        buffer, position, parts = np.frombuffer(data, dtype=np.uint8), 0, list[bytes]()
        out = np.empty(len(data) * 3 // 2 + 1, dtype=np.uint8)
        while True:
            position, size = from_gb18030(buffer, position, out, _gb18030_pairs())
            parts.append(out[:size].tobytes())
            if position == len(data):
                break
            if len(data) - position < _GB18030_CHARACTER_BYTES and not final:
                pending = data[position:]
                break
            parts.append(data[position : position + _GB18030_CHARACTER_BYTES].decode("gb18030").encode())
            position += _GB18030_CHARACTER_BYTES
        return parts[0] if len(parts) == 1 else b"".join(parts)

    return decode


_GB18030_CHARACTER_BYTES = 4
_BOMS = {"utf-8": codecs.BOM_UTF8, "gb18030": "\ufeff".encode("gb18030")}
_DECODERS = {"gb18030": _gb18030_decoder, "utf-16": lambda: _decoder("utf-16")}


@cache
def _gb18030_pairs() -> npt.NDArray[np.uint16]:
    """The character of each two-byte sequence of GB18030, 0 where there is none."""
    characters = np.zeros(1 << 16, dtype=np.uint16)
    for pair in range(0x8140, 1 << 16):
        text = pair.to_bytes(2, "big").decode("gb18030", "ignore")
        if len(text) == 1 and pair & 0xFF >= 0x40:
            characters[pair] = ord(text)
    return characters


class TextTable(Table):
    """A delimited text file."""

    def __init__(self, path: Path, resource: Resource, feed: Feed) -> None:
        self.path = path
        self.resource = resource
        dialect = resource.dialect
        csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_BUFFERED_ROW_BYTES))
        self.format: dict[str, Any] = {"delimiter": dialect.delimiter, "quotechar": dialect.quote_char}
        self.patterns = _CsvPatterns(dialect.delimiter, dialect.quote_char)
        scan = _Scan(self)
        if dialect.header:
            last = max(dialect.header_rows)
            rows = [scan.header_row() for _ in range(last)]
            cells: list[str] = []
            for number in sorted(dialect.header_rows):
                row = rows[number - 1] or []
                # of a header over several rows the lowest cell that is not blank is used
                merged = list(zip_longest_text(cells, row))
                cells = [lower if lower.strip() else upper for upper, lower in merged]
            self.header = Header.read(feed, cells, resource.path)
        else:
            self.header = Header.by_position(feed)
        scan.source.stream.close()
        self.columns = tuple(self.header.positions)
        self.unknown_columns = self.header.unknown
        # a row has a delimiter after each field but the last, which a line end follows, save at the end of the file
        self.most_rows = path.stat().st_size // max(self.header.width, 1) + 1

    def split(self, text: str) -> list[str]:
        """The fields of one row."""
        return next(csv.reader(io.StringIO(self.patterns.without_boms(text), newline=""), **self.format), [])

    def batches(self) -> Iterator[RawBatch | TextBatch]:
        """See ``Table``; a batch is about 1 MiB of the file."""
        scan = _Scan(self)
        try:
            if self.resource.dialect.header:
                for _ in range(max(self.resource.dialect.header_rows)):
                    scan.header_row()
            yield from scan.batches()
        finally:
            scan.source.stream.close()

    def fields(
        self, buffer: Buffer, line: int, max_row_bytes: int, *, final: bool
    ) -> tuple[FieldSlices, tuple[Offsets, Offsets, Offsets, Mask], int, int]:
        """Split the rows of a buffer that starts with a row, which is the file's ``line``; see ``kernels.split``.

        Returns:
            The split rows; start offsets, end offsets and lines of the rows for ``csv``, and which are unclosed; the
            numbers of bytes and lines consumed.
        """
        width = self.header.width
        bounds = np.empty((2 * width, max(1, MAX_OFFSETS // (2 * width))), dtype=np.int32)
        starts, ends, lines = (np.empty(bounds.shape[1], dtype=np.int32) for _ in range(3))
        csv_rows = [np.empty(MAX_CSV_ROWS, dtype=np.int32) for _ in range(3)]
        unclosed = np.empty(MAX_CSV_ROWS, dtype=np.bool_)
        bounded = (
            *(ord(self.format[name]) for name in ("delimiter", "quotechar")),
            width,
            max_row_bytes,
            MAX_QUOTED_LINE_ENDS,
        )
        split_count, csv_count, consumed_bytes, consumed_lines = split(
            buffer, final, *bounded, bounds, starts, ends, lines, *csv_rows, unclosed
        )
        line_numbers = lines[:split_count].astype(np.int64) + line
        fields = FieldSlices(
            buffer, self.header.positions, bounds, line_numbers, (starts[:split_count], ends[:split_count])
        )
        return (
            fields,
            (csv_rows[0][:csv_count], csv_rows[1][:csv_count], csv_rows[2][:csv_count], unclosed[:csv_count]),
            consumed_bytes,
            consumed_lines,
        )

    def reparse(self, content: bytes, lines: Integers) -> RawBatch:
        """A batch of rows that ``fields`` has split before."""
        buffer, frames, rows, position = np.frombuffer(content, dtype=np.uint8), [], [], 0
        while position < len(content):
            fields, _, consumed_bytes, _ = self.fields(buffer[position:], 0, len(content), final=True)
            frames.append(fields.frame(fields.positions))
            rows += [
                (position + start, position + end)
                for start, end in zip(*(offsets.tolist() for offsets in fields.rows), strict=True)
            ]
            position += consumed_bytes

        def text_of(selected: Sequence[int]) -> list[str]:
            slices = (content[slice(*rows[row])] for row in selected)
            return [self.raw_text(text.decode().rstrip("\r\n")) for text in slices]

        frame = pl.DataFrame(pa.Table.from_batches(frames).combine_chunks())
        return RawBatch(frame, pl.Series("line", lines), text_of)

    def raw_text(self, text: str) -> str:
        """The text of a rejected row as it is stored: without dropped columns.

        Where the number of fields is wrong, a dropped column may be anywhere between its position counted from the
        left and its position counted from the right: all fields between them are removed.
        """
        if not self.header.dropped:
            return escape_nul(text)
        sink = io.StringIO(newline="")
        csv.writer(sink, lineterminator="", **self.format).writerow(self._without_dropped(self.split(text)))
        return escape_nul(sink.getvalue())

    def raw_prefix(self, text: str) -> str:
        """The same for the beginning of a row, in which quotes cannot be interpreted."""
        if not self.header.dropped:
            return escape_nul(text)
        delimiter = self.resource.dialect.delimiter
        return escape_nul(delimiter.join(self._without_dropped(text.split(delimiter))))

    def _without_dropped(self, fields: Sequence[str]) -> list[str]:
        shift = len(fields) - self.header.width
        removed = {
            index
            for dropped in self.header.dropped
            for index in range(min(dropped, dropped + shift), max(dropped, dropped + shift) + 1)
        }
        return [field for index, field in enumerate(fields) if index not in removed]


def zip_longest_text(upper: Sequence[str], lower: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Cells of two rows side by side, the shorter row filled with empty text."""
    for index in range(max(len(upper), len(lower))):
        yield (
            upper[index] if index < len(upper) else "",
            lower[index] if index < len(lower) else "",
        )


@dataclass(frozen=True)
class _Row:
    """A row without its line end.

    Attributes:
        line: Of the file, from 1.
        content: UTF-8; only the beginning if the row is ``too_long``.
        unclosed: Whether this is only the first line of a row whose quote is not closed.
        too_long: Whether this is a line of more than 1 MiB.
    """

    line: int
    content: bytes
    unclosed: bool = False
    too_long: bool = False


class _Scan:
    """A single pass over a file, from its beginning."""

    def __init__(self, table: TextTable) -> None:
        self.table = table
        self.source = _Source(table.path, table.resource)
        dialect = table.resource.dialect
        self.has_ascii_dialect = dialect.delimiter.isascii() and dialect.quote_char.isascii()
        self.buffer = b""
        self.position = 0
        self.line = 1  # of the next row

    @property
    def final(self) -> bool:
        return self.source.exhausted

    def _read_ahead(self, size: int) -> None:
        """Make sure that ``size`` bytes are buffered, unless the file ends before."""
        if len(self.buffer) - self.position >= size or self.final:
            return
        parts = [self.buffer[self.position :]]
        pending = len(parts[0])
        while pending < size and not self.final:
            parts.append(self.source.read(max(BATCH_BYTES, size - pending)))
            pending += len(parts[-1])
        self.buffer, self.position = b"".join(parts), 0

    def _next_row(self, width: int | None = None) -> _Row | None:
        """The next row, blank or not; None at the end of the file.

        ``width``: the number of fields required of a row over several lines; by default any.
        """
        self._read_ahead(1)
        if self.position == len(self.buffer):
            return None
        while (ends := self._row_ends()) is None and len(self.buffer) - self.position <= MAX_BUFFERED_ROW_BYTES:
            self._read_ahead(len(self.buffer) - self.position + MAX_LINE_BYTES)
        if ends is None:  # the quote is not closed within the largest size of a row
            first = _line_end(self.buffer, self.position, self.final)
            if first is None:
                return _Row(self._advance_line(1), self._skip_line(), unclosed=True, too_long=True)
            ends = first, None
        first, end = ends
        if end is not None and end > first:  # a row over several lines
            row = self.buffer[self.position : end]
            if self._too_long(row) or width not in (None, len(self.table.split(self.source.text(row)))):
                end = None
        row = self.buffer[self.position : first if end is None else end]
        content = row.rstrip(b"\r\n")
        self.position += len(row)
        too_long = self._too_long(content)
        if too_long:
            self.source.text(content)  # refuses the file if this is not text
        return _Row(self._advance_line(max(1, _line_ends(row))), content, unclosed=end is None, too_long=too_long)

    def _row_ends(self) -> tuple[int, int | None] | None:
        """End offsets of the first line and of the row (None if unclosed); None when more bytes are needed."""
        first = _line_end(self.buffer, self.position, self.final)
        if first is None:
            return None
        if self.table.patterns.row.match(self.buffer, self.position, first):
            return first, first
        last, lines = first, 1
        while lines <= MAX_QUOTED_LINE_ENDS and last < len(self.buffer):
            end = _line_end(self.buffer, last, self.final)
            if end is None:
                break
            last, lines = end, lines + 1
        row = self.table.patterns.strict_row.match(self.buffer, self.position, last)
        if row is None and lines <= MAX_QUOTED_LINE_ENDS and not self.final:
            return None
        return first, row and row.end()

    def _too_long(self, content: bytes) -> bool:
        return len(content) > MAX_LINE_BYTES // 2 and self.source.encoded_size(content.rstrip(b"\r\n")) > MAX_LINE_BYTES

    def _advance_line(self, lines: int) -> int:
        """Advance by a row of ``lines`` lines; returns its first line."""
        line = self.line
        self.line += lines
        return line

    def _skip_line(self) -> bytes:
        """Skip a line that is too long for the buffer; returns its beginning."""
        beginning = self.buffer[self.position : self.position + MAX_BUFFERED_ROW_BYTES]
        decoder = codecs.getincrementaldecoder("utf-8")()
        while True:
            end = _line_end(self.buffer, self.position, self.final)
            part = self.buffer[self.position : end]
            pending = b"\r" if end is None and part.endswith(b"\r") else b""  # perhaps the first half of a line end
            try:
                decoder.decode(part.removesuffix(pending), end is not None)
            except UnicodeError as error:
                raise self.source.undecodable(error) from None
            if end is not None:
                self.position = end
                return beginning
            self.buffer, self.position = pending + self.source.read(BATCH_BYTES), 0

    def header_row(self) -> list[str] | None:
        """The fields of the next row, blank ones included; None at the end of the file."""
        row = self._next_row()
        if row is None:
            return None
        if row.too_long:
            text = "the header is a line of more than 1 MiB; is the delimiter or line end another one?"
            raise refused(DeliveryCode.HEADER, text, self.source.path)
        return self.table.split(self.source.text(row.content))

    def batches(self) -> Iterator[RawBatch | TextBatch]:
        """The rows in batches."""
        while True:
            self._read_ahead(BATCH_BYTES)
            if self.position == len(self.buffer) and self.final:
                return
            start = self.position
            if self.has_ascii_dialect:
                yield from self._split_buffer()
                if self.position == start:
                    self._read_ahead(MAX_BUFFERED_ROW_BYTES)
                    start = self.position
                    yield from self._split_buffer()
            if self.position == start:
                yield from self._scan_with_quotes(self._next_rows(0 if self.has_ascii_dialect else CSV_SCAN_BYTES))

    def _split_buffer(self) -> Iterator[RawBatch | TextBatch]:
        """The rows of the buffer that compiled code splits, and the rows among them for ``csv``."""
        max_row_bytes = MAX_LINE_BYTES if self.source.decode is None else MAX_LINE_BYTES // 2
        fields, csv_rows, consumed_bytes, lines = self.table.fields(
            np.frombuffer(self.buffer, dtype=np.uint8, offset=self.position), self.line, max_row_bytes, final=self.final
        )
        if not consumed_bytes:
            return
        self.source.check(memoryview(self.buffer)[self.position : self.position + consumed_bytes])
        buffer, first_line, self.position, self.line = (
            fields.buffer,
            self.line,
            self.position + consumed_bytes,
            self.line + lines,
        )
        if fields.height:
            yield TextBatch(fields, self.table.reparse)
        rows = zip(*(offsets.tolist() for offsets in csv_rows), strict=True)
        yield from self._scan_with_quotes(
            _Row(first_line + line, buffer[start:end].tobytes().rstrip(b"\r\n"), unclosed)
            for start, end, line, unclosed in rows
        )

    def _next_rows(self, size: int) -> Iterator[_Row]:
        """The next row, and further rows up to a total of ``size`` bytes."""
        read = 0
        while read <= size and (row := self._next_row(self.table.header.width)) is not None:
            read += len(row.content) + 1
            yield row

    def _scan_with_quotes(self, rows: Iterable[_Row]) -> Iterator[RawBatch]:
        """A batch of the rows that ``csv`` splits; nothing where all rows are blank."""
        header = self.table.header
        values: list[list[str]] = []
        lines: list[int] = []
        texts: list[str] = []
        ragged: list[tuple[int, str]] = []
        for row in rows:
            if row.too_long or row.unclosed:
                text = row.content.decode(errors="ignore") if row.too_long else self.source.text(row.content)
                raw = self.table.raw_prefix(text)
                ragged.append((row.line, truncate(raw) if row.too_long else raw))
                continue
            text = self.source.text(row.content)
            fields = self.table.split(text)
            if not any(map(strip, fields)):
                continue
            if "\0" in text or len(fields) != header.width:
                ragged.append((row.line, self.table.raw_text(text)))
            else:
                values.append(fields)
                lines.append(row.line)
                texts.append(text)
        if values or ragged:
            columns = {name: [fields[index] for fields in values] for name, index in header.positions.items()}
            frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
            line = pl.Series("line", lines, dtype=pl.Int64)
            yield RawBatch(frame, line, lambda rows: [self.table.raw_text(texts[row]) for row in rows], ragged)


def _line_ends(row: bytes) -> int:
    r"""How many line ends (``\n``, ``\r\n`` or a lone ``\r``) a row holds."""
    return row.count(b"\n") + row.count(b"\r") - row.count(b"\r\n")

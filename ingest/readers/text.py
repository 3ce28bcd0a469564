"""Text files: any size in bounded memory, with the physical line of every row.

What a row is, is what Python's ``csv`` module says: a quote opens only at the beginning of a field, is doubled
inside, and what follows a closing quote belongs to the field. Two ways lead there. The fast one takes a piece of the
file whose quotes all stand where they belong, which a look at the bytes beside each quote tells, and lets Arrow parse
it. Everything else (a stray quote, a NUL, a line too long to hold) goes row by row through ``csv`` itself.

The bytes are worked on as they are where that is safe: in UTF-8 always, in GB18030 while delimiter and quote cannot be
the second byte of a character. Then only the columns with Chinese text need decoding, which is much less than the
file. UTF-16, and GB18030 with a delimiter such as ``|``, are turned into UTF-8 first.
"""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from ingest.contracts.model import Feed
from ingest.errors import DeliveryCode, refused
from ingest.manifest import Resource
from ingest.readers.base import LINE_BYTES, Header, RawBatch, Table, cut, shown

PIECE = 1024 * 1024  # parsed at once: about what the processor's cache holds
BATCH = 8 * 1024 * 1024  # given on at once
SLOW = 256 * 1024  # read row by row before the fast way is tried again
HELD = LINE_BYTES * 3 // 2  # an unfinished row longer than this is too long in any encoding
BOMS = {"utf-8": codecs.BOM_UTF8, "gb18030": "\ufeff".encode("gb18030")}
LF, CR = 10, 13

Offsets = npt.NDArray[np.int64]


class _State(Enum):
    START = 0  # at the beginning of a field
    PLAIN = 1  # inside an unquoted field, or after a closing quote
    QUOTED = 2
    CLOSING = 3  # after a quote inside a quoted field
    RETURN = 4  # after a carriage return that ends the row


class RowEnd:
    """Finds where a row ends without splitting it; remembers its state, so that a row may come in many blocks."""

    def __init__(self, delimiter: bytes, quote: bytes) -> None:
        self.delimiter = delimiter
        self.quote = quote
        self.opening = delimiter + quote
        self.state = _State.START

    def find(self, block: bytes, at: int, final: bool) -> int:
        """The offset after the row that goes on at ``at`` (its line end included), or -1 when more is needed."""
        size = len(block)
        newline = -1
        while at < size:
            if self.state is _State.START:
                quoted = block.startswith(self.quote, at)
                at += len(self.quote) if quoted else 0
                self.state = _State.QUOTED if quoted else _State.PLAIN
            elif self.state is _State.QUOTED:
                place = block.find(self.quote, at)
                if place < 0:
                    break
                at = place + len(self.quote)
                self.state = _State.CLOSING
            elif self.state is _State.CLOSING:
                doubled = block.startswith(self.quote, at)
                at += len(self.quote) if doubled else 0
                self.state = _State.QUOTED if doubled else _State.PLAIN
            elif self.state is _State.RETURN:
                return at + 1 if block[at] == LF else at
            else:
                if newline < at:
                    newline = _first(block, at)
                place = block.find(self.opening, at, newline)
                if place >= 0:
                    at = place + len(self.delimiter)
                    self.state = _State.START
                elif newline == size:
                    at_start = block.endswith(self.delimiter) and size - len(self.delimiter) >= at
                    self.state = _State.START if at_start else _State.PLAIN
                    break
                elif block[newline] == LF:
                    return newline + 1
                else:
                    at = newline + 1
                    self.state = _State.RETURN
        return size if final else -1


def _first(block: bytes, at: int) -> int:
    """The offset of the first line feed or carriage return from ``at`` on; the block's size when there is none."""
    feed = block.find(b"\n", at)
    feed = len(block) if feed < 0 else feed
    carriage = block.find(b"\r", at, feed)
    return feed if carriage < 0 else carriage


def line_ends(block: bytes, final: bool) -> Offsets:
    r"""Offsets of the last byte of each line end (``\n``, ``\r\n`` or a lone ``\r``).

    A carriage return that is the last byte is left out unless the file is at its end: its line feed may follow.
    """
    data = np.frombuffer(block, dtype=np.uint8)
    feeds = data == LF
    if b"\r" not in block:
        return np.flatnonzero(feeds)
    lone = data == CR
    lone[:-1] &= ~feeds[1:]
    lone[-1] &= final
    return np.flatnonzero(feeds | lone)


@dataclass(frozen=True)
class Rows:
    """Where whole rows of a block start and end (line ends included), and the line of each, from 0.

    ``clean`` says whether the block has nothing behind them that needs to be read row by row.
    """

    starts: Offsets
    ends: Offsets
    lines: Offsets
    quoted: bool
    clean: bool


def find_rows(block: bytes, delimiter: int, quote: int, final: bool, longest: int) -> Rows:
    """The rows at the beginning of a block that can be split without doubt.

    The block begins a row. The rows stop before the first quote that neither opens, closes nor is doubled, the first
    NUL, and the first row of more than ``longest`` bytes.
    """
    size = len(block)
    newlines = line_ends(block, final)
    stop = block.find(b"\0")
    clean = stop < 0
    stop = size if clean else stop
    quotes = _positions(block, quote)
    ends = newlines
    if len(quotes):
        wrong = _misplaced(block, quotes, delimiter, quote)
        clean &= wrong is None
        stop = stop if wrong is None else min(stop, wrong)
        ends = newlines[np.searchsorted(quotes, newlines) % 2 == 0]
    ends = ends[ends < stop] + 1
    if final and clean and len(quotes) % 2 == 0 and (len(ends) == 0 or ends[-1] < size):
        ends = np.append(ends, size)
    starts = np.concatenate((np.zeros(min(1, len(ends)), dtype=np.int64), ends[:-1]))
    too_long = np.flatnonzero(ends - starts > longest)
    if len(too_long):
        starts, ends, clean = starts[: too_long[0]], ends[: too_long[0]], False
    lines = np.searchsorted(newlines, starts) if len(quotes) else np.arange(len(starts))
    return Rows(starts, ends, lines, bool(len(quotes)), clean)


def _positions(block: bytes, value: int) -> Offsets:
    if bytes((value,)) not in block:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.frombuffer(block, dtype=np.uint8) == value)


def _misplaced(block: bytes, quotes: Offsets, delimiter: int, quote: int) -> int | None:
    """The offset of the first quote that does not stand where quotes belong.

    Outside a quoted field a quote must follow a delimiter, a line end or the quote it doubles; inside, it must be
    followed by one of these. Whether a quote stands outside or inside is told by counting, as long as none was wrong.
    """
    data = np.frombuffer(block, dtype=np.uint8)
    beside = np.empty(len(quotes), dtype=np.uint8)
    beside[0::2] = data[quotes[0::2] - 1]
    beside[1::2] = data.take(quotes[1::2] + 1, mode="clip")
    # the edges of the block count as line ends, where a quote is fine
    if quotes[0] == 0:
        beside[0] = LF
    if quotes[-1] == len(block) - 1 and len(quotes) % 2 == 0:
        beside[-1] = LF
    fine = (beside == delimiter) | (beside == LF) | (beside == CR) | (beside == quote)
    wrong = np.flatnonzero(~fine)
    return int(quotes[wrong[0]]) if len(wrong) else None


class _Source:
    """The file's bytes in the encoding they are worked on (``encoding``): its own, or UTF-8."""

    def __init__(self, path: Path, resource: Resource) -> None:
        dialect = resource.dialect
        marks = dialect.delimiter + dialect.quote_char
        self.path = resource.path
        self.declared = resource.encoding
        as_is = resource.encoding == "utf-8" or (resource.encoding == "gb18030" and all(map(_never_second, marks)))
        self.encoding = resource.encoding if as_is and marks.isascii() else "utf-8"
        self.decoder = None if as_is and marks.isascii() else codecs.getincrementaldecoder(resource.encoding)()
        self.stream: IO[bytes] = path.open("rb")
        self.begun = False
        self.ended = False

    def read(self, size: int) -> bytes:
        """About ``size`` bytes; sets ``ended`` when there are no more."""
        data = self.stream.read(size)
        self.ended = len(data) < size
        if not self.begun:
            self.begun = True
            if self.declared == "utf-16" and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                self.decoder = codecs.getincrementaldecoder("utf-16-le")()  # as spreadsheets on Windows write it
            data = data.removeprefix(BOMS.get(self.declared, b""))
        if self.decoder is None:
            return data
        try:
            return self.decoder.decode(data, self.ended).encode()
        except UnicodeError as error:
            raise self.undecodable(error) from None

    def delivered_size(self, data: bytes) -> int:
        """The bytes that a piece of text had in the file."""
        if self.decoder is None:
            return len(data)
        # without a byte order mark for each row
        return len(data.decode().encode("utf-16-le" if self.declared == "utf-16" else self.declared))

    def undecodable(self, error: UnicodeError) -> Exception:
        """The refusal for bytes that are not text in the declared encoding."""
        reason = getattr(error, "reason", None) or "not decodable"
        text = f"the file is not {self.declared} as declared ({reason}); name its true encoding or write it again"
        return refused(DeliveryCode.ENCODING, text, self.path)

    def text(self, data: bytes) -> str:
        """Decode a piece that begins and ends with whole characters."""
        try:
            return data.decode(self.encoding)
        except UnicodeError as error:
            raise self.undecodable(error) from None


def _never_second(character: str) -> bool:
    """Whether a byte never stands inside a GB18030 character: digits and everything from @ on may."""
    return ord(character) < 0x30 or 0x3A <= ord(character) <= 0x3F


@dataclass
class _Piece:
    """Rows of a part of the file, with the bytes they came from."""

    table: pa.Table  # the contract's columns, as strings
    lines: Offsets
    block: bytes
    starts: Offsets
    ends: Offsets
    ragged: list[tuple[int, str]] = field(default_factory=list)


class TextTable(Table):
    """A delimited text file."""

    def __init__(self, path: Path, resource: Resource, feed: Feed) -> None:
        self.path = path
        self.resource = resource
        dialect = resource.dialect
        csv.field_size_limit(max(csv.field_size_limit(), 2 * HELD))
        self.format: dict[str, Any] = {"delimiter": dialect.delimiter, "quotechar": dialect.quote_char}
        pass_ = _Pass(self)
        if dialect.header:
            last = max(dialect.header_rows)
            rows = [pass_.header_row() for _ in range(last)]
            cells: list[str] = []
            for number in sorted(dialect.header_rows):
                row = rows[number - 1] or []
                # of a header over several rows the lower cell that is not empty counts
                merged = list(zip_longest_text(cells, row))
                cells = [lower if lower.strip() else upper for upper, lower in merged]
            self.header = Header.read(feed, cells, resource.path)
        else:
            self.header = Header.by_position(feed)
        pass_.source.stream.close()
        self.columns = tuple(self.header.places)
        self.unknown_columns = self.header.unknown

    def split(self, text: str) -> list[str]:
        """The fields of one row."""
        return next(csv.reader(io.StringIO(text, newline=""), **self.format), [])

    def batches(self) -> Iterator[RawBatch]:
        """See ``Table``; each batch comes from about 8 MiB of the file."""
        pass_ = _Pass(self)
        try:
            if self.resource.dialect.header:
                for _ in range(max(self.resource.dialect.header_rows)):
                    pass_.header_row()
            held: list[_Piece] = []
            size = 0
            for piece in pass_.pieces():
                held.append(piece)
                size += len(piece.block)
                if size >= BATCH - PIECE // 2:
                    batch, held, size = self._batch(held, pass_.source), [], 0
                    yield batch
            if held:
                yield self._batch(held, pass_.source)
        finally:
            pass_.source.stream.close()

    def _batch(self, pieces: list[_Piece], source: _Source) -> RawBatch:
        firsts = np.cumsum([0] + [len(piece.lines) for piece in pieces])
        sources = [(piece.block, piece.starts, piece.ends) for piece in pieces]  # what was parsed of them can go

        def text_of(rows: Sequence[int]) -> list[str]:
            texts = []
            for row in rows:
                number = int(np.searchsorted(firsts, row, side="right")) - 1
                (block, starts, ends), place = sources[number], row - int(firsts[number])
                texts.append(self.kept_text(source.text(block[int(starts[place]) : int(ends[place])])))
            return texts

        # Arrow puts the pieces together for less than Polars
        frame = pl.DataFrame(pa.concat_tables([piece.table for piece in pieces]).combine_chunks())
        return RawBatch(
            frame=frame,
            line=pl.Series("line", np.concatenate([piece.lines for piece in pieces]), dtype=pl.Int64),
            text_of=text_of,
            ragged=[row for piece in pieces for row in piece.ragged],
        )

    def kept_text(self, text: str) -> str:
        """A row's text as it is kept when the row is rejected: without dropped columns.

        Where the number of fields is wrong, a dropped column may stand anywhere between its place counted from the
        left and its place counted from the right: all of these go, and what follows a line break inside a field too
        (a stray quote has drawn other rows into it).
        """
        if not self.header.dropped:
            return shown(text)
        fields = self.split(text)
        shift = len(fields) - self.header.width
        gone = {
            place
            for dropped in self.header.dropped
            for place in range(min(dropped, dropped + shift), max(dropped, dropped + shift) + 1)
        }
        if shift:
            fields = [(field_.splitlines() or [""])[0] for field_ in fields]
        sink = io.StringIO(newline="")
        kept = [field_ for place, field_ in enumerate(fields) if place not in gone]
        csv.writer(sink, lineterminator="", **self.format).writerow(kept)
        return shown(sink.getvalue())


def zip_longest_text(upper: Sequence[str], lower: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Cells of two rows side by side, the shorter row filled with empty text."""
    for place in range(max(len(upper), len(lower))):
        yield (
            upper[place] if place < len(upper) else "",
            lower[place] if place < len(lower) else "",
        )


@dataclass(frozen=True)
class _Row:
    """A row without its line end; of a row that is ``too_long`` perhaps only the beginning."""

    line: int
    content: bytes
    too_long: bool


class _Pass:
    """One reading of a file from its beginning."""

    def __init__(self, table: TextTable) -> None:
        self.table = table
        self.source = _Source(table.path, table.resource)
        dialect = table.resource.dialect
        self.delimiter = dialect.delimiter.encode()
        self.quote = dialect.quote_char.encode()
        self.single = len(self.delimiter) == len(self.quote) == 1
        self.block = b""
        self.at = 0
        self.line = 1  # of the next row
        self.clean = True  # whether the last piece had nothing in it that needs the slow way

    @property
    def final(self) -> bool:
        return self.source.ended

    def _fill(self, size: int) -> None:
        """Have ``size`` bytes at hand, unless the file ends."""
        if len(self.block) - self.at >= size or self.final:
            return
        parts = [self.block[self.at :]]
        held = len(parts[0])
        while held < size and not self.final:
            parts.append(self.source.read(max(size - held, PIECE)))
            held += len(parts[-1])
        self.block, self.at = b"".join(parts), 0

    def _next_row(self) -> _Row | None:
        """The next row, blank or not; None at the end of the file."""
        wanted = PIECE
        while True:
            self._fill(wanted)
            if self.at == len(self.block) and self.final:
                return None
            finder = RowEnd(self.delimiter, self.quote)
            end = finder.find(self.block, self.at, self.final)
            if end >= 0:
                row = self.block[self.at : end]
                line = self.line
                self.at = end
                self.line += max(1, len(line_ends(row, True)))
                # a quote that the file's end leaves open has drawn the line end into the field
                content = row if finder.state is _State.QUOTED else row.rstrip(b"\r\n")
                long = len(content) > LINE_BYTES // 2 and self.source.delivered_size(content) > LINE_BYTES
                if long:
                    self.source.text(content)  # kept or not, it must be text
                return _Row(line, content, long)
            if len(self.block) - self.at > HELD:
                return _Row(self.line, self._skip_row(), True)
            wanted = len(self.block) - self.at + PIECE

    def _skip_row(self) -> bytes:
        """Pass over a row that is too long to hold, counting its lines; returns its beginning."""
        beginning = self.block[self.at : self.at + HELD]
        finder = RowEnd(self.delimiter, self.quote)
        decoder = codecs.getincrementaldecoder(self.source.encoding)()
        counted = 0
        returned = False  # whether the block before ended in a carriage return
        while True:
            block, at = self.block, self.at
            if at < len(block):
                end = finder.find(block, at, self.final)
                part = block[at : end if end >= 0 else len(block)]
                counted += part.count(b"\n") + part.count(b"\r") - part.count(b"\r\n")
                counted -= returned and part.startswith(b"\n")
                returned = part.endswith(b"\r") if part else returned
                try:
                    decoder.decode(part, end >= 0)
                except UnicodeError as error:
                    raise self.source.undecodable(error) from None
                self.at = len(block) if end < 0 else end
                if end >= 0:
                    break
            if self.final:
                break
            self.block, self.at = self.source.read(PIECE), 0
        self.line += max(counted, 1)
        return beginning

    def header_row(self) -> list[str] | None:
        """The fields of the next row, blank ones included; None at the end of the file."""
        row = self._next_row()
        if row is None:
            return None
        if row.too_long:
            text = "the header is a line of more than 1 MiB; is the delimiter or line end another one?"
            raise refused(DeliveryCode.HEADER, text, self.source.path)
        return self.table.split(self.source.text(row.content))

    def pieces(self) -> Iterator[_Piece]:
        """The rows, piece by piece."""
        size = PIECE
        while True:
            self._fill(size)
            if self.at == len(self.block) and self.final:
                return
            piece = self._fast_piece(size) if self.single else None
            if piece is not None:
                yield piece
            if piece is None or not self.clean:
                yield from self._slow_piece()
                size = SLOW
            else:
                size = min(size * 2, PIECE)

    def _fast_piece(self, size: int) -> _Piece | None:
        """Rows at the place we are, parsed by Arrow; sets ``clean``; None when there are none without doubt."""
        block = self.block if self.at == 0 and len(self.block) <= size else self.block[self.at : self.at + size]
        final = self.final and self.at + len(block) == len(self.block)
        longest = LINE_BYTES if self.source.decoder is None else LINE_BYTES // 2
        rows = find_rows(block, self.delimiter[0], self.quote[0], final, longest)
        self.clean = rows.clean
        if len(rows.ends) == 0:
            return None
        end = int(rows.ends[-1])
        piece = self._parse(block[:end] if end < len(block) else block, rows)
        if piece is None:
            return None
        self.at += end
        self.line += int(rows.lines[-1]) + max(1, len(line_ends(block[int(rows.starts[-1]) : end], True)))
        return piece

    def _parse(self, block: bytes, rows: Rows) -> _Piece | None:
        """The piece of a block's rows; None where Arrow and we do not see the same rows."""
        header = self.table.header
        content_ends = _content_ends(block, rows)
        filled = np.flatnonzero(content_ends > rows.starts)  # empty lines are no rows
        starts, ends, lines = rows.starts[filled], content_ends[filled], rows.lines[filled] + self.line
        if len(filled) == 0:
            empty = pa.schema([(name, pa.string()) for name in header.places]).empty_table()
            return _Piece(empty, lines, block, starts, ends)
        wrong: list[int] | Offsets = []
        try:
            if self.source.encoding == "utf-8":
                parsed, wrong = self._arrow(block, rows.quoted)
            elif not rows.quoted:
                # Arrow cannot tell us of a row in GB18030 that does not fit; without quotes counting tells
                wrong = _unfit(block, starts, self.delimiter[0], header.width)
                parsed, _ = self._arrow(_without(block, rows.starts[filled[wrong]], rows.ends[filled[wrong]]), False)
            else:
                try:
                    parsed, _ = self._arrow(block, True, strict=True)
                except pa.ArrowInvalid:
                    parsed, wrong = self._arrow(self.source.text(block).encode(), True, kind=pa.string())
        except pa.ArrowInvalid:
            self.source.text(block)  # not decodable: that is what it was
            return None
        if parsed.num_rows + len(wrong) != len(filled):
            return None
        if len(wrong):
            fit = np.ones(len(filled), dtype=bool)
            fit[wrong] = False
            ragged = self._ragged(block, starts[wrong], ends[wrong], lines[wrong])
            starts, ends, lines = starts[fit], ends[fit], lines[fit]
        else:
            ragged = []
        columns = [self._texts(_whole(column)) for column in parsed.columns]
        table = pa.table([columns[place] for place in header.places.values()], names=list(header.places))
        blank = _blank(columns, len(lines))
        if blank is not None:
            kept = np.flatnonzero(~blank)
            table = table.take(pa.Array.from_buffers(pa.int64(), len(kept), [None, pa.py_buffer(kept)]))
            starts, ends, lines = starts[kept], ends[kept], lines[kept]
        return _Piece(table, lines, block, starts, ends, ragged)

    def _arrow(
        self, block: bytes, quoted: bool, *, strict: bool = False, kind: pa.DataType | None = None
    ) -> tuple[pa.Table, list[int]]:
        """Parse rows; returns them and the places, among rows that are not empty, of those left out as unfit.

        Raises:
            pa.ArrowInvalid: for a row that does not fit, if ``strict``; for text that is not UTF-8.
        """
        names = [str(place) for place in range(self.table.header.width)]
        kind = kind or (pa.string() if self.source.encoding == "utf-8" else pa.binary())
        wrong: list[int] = []

        def take_note(row: pa_csv.InvalidRow) -> str:
            wrong.append(row.number - 1)
            return "skip"

        if not block:
            return pa.schema([(name, kind) for name in names]).empty_table(), wrong
        # Arrow would take a byte order mark for no text; one of ours saves one that is
        block = codecs.BOM_UTF8 + block if block.startswith(codecs.BOM_UTF8) else block
        if kind == pa.string():
            _check_utf8(block)  # here: of a row that does not fit Arrow would tell it to nobody
        parsed = pa_csv.read_csv(
            pa.BufferReader(block),
            pa_csv.ReadOptions(use_threads=False, block_size=len(block) + 16, column_names=names),
            pa_csv.ParseOptions(
                delimiter=self.table.format["delimiter"],
                quote_char=self.table.format["quotechar"] if quoted else False,
                newlines_in_values=quoted,
                invalid_row_handler=None if strict else take_note,
            ),
            pa_csv.ConvertOptions(column_types=dict.fromkeys(names, kind), strings_can_be_null=False, check_utf8=False),
        )
        return parsed, wrong

    def _texts(self, column: pa.Array) -> pa.StringArray:
        """A column as text; one of bytes is decoded, unless it is ASCII."""
        if pa.types.is_string(column.type):
            return column
        _, offsets, data = column.buffers()
        places = np.frombuffer(offsets, dtype=np.int32)[: len(column) + 1]
        values = np.frombuffer(data, dtype=np.uint8)[places[0] : places[-1]] if len(column) else places[:0]
        if len(values) == 0 or values.max() < 128:
            return pa.StringArray.from_buffers(len(column), offsets, data)
        # rows with a NUL never come here, so a NUL can stand between the values while they are decoded in one go
        text = self.source.text(np.insert(values, places[1:-1] - places[0], 0).tobytes())
        decoded = np.frombuffer(text.encode(), dtype=np.uint8)
        marks = decoded == 0
        ends = np.append(np.flatnonzero(marks), len(decoded)) - np.arange(len(column))
        places = np.concatenate(([0], ends)).astype(np.int32)
        return pa.StringArray.from_buffers(len(column), pa.py_buffer(places), pa.py_buffer(decoded[~marks]))

    def _ragged(self, block: bytes, starts: Offsets, ends: Offsets, lines: Offsets) -> list[tuple[int, str]]:
        """Rows with a wrong number of fields, without those whose fields are all empty."""
        rows = []
        for start, end, line in zip(starts.tolist(), ends.tolist(), lines.tolist(), strict=True):
            text = self.source.text(block[start:end])
            if any(self.table.split(text)):
                rows.append((line, self.table.kept_text(text)))
        return rows

    def _slow_piece(self) -> Iterator[_Piece]:
        """A stretch of rows, one by one."""
        header = self.table.header
        values: list[list[str]] = []
        lines: list[int] = []
        texts: list[bytes] = []
        ragged: list[tuple[int, str]] = []
        read = 0
        while read < SLOW and (row := self._next_row()) is not None:
            read += len(row.content) + 1
            if row.too_long:
                beginning = codecs.getincrementaldecoder(self.source.encoding)("ignore").decode(row.content)
                ragged.append((row.line, cut(self.table.kept_text(beginning))))
                continue
            text = self.source.text(row.content)
            fields = self.table.split(text)
            if "\0" in text or (len(fields) != header.width and any(fields)):
                ragged.append((row.line, self.table.kept_text(text)))
            elif any(fields):
                values.append(fields)
                lines.append(row.line)
                texts.append(row.content)
        if values or ragged:
            columns = {name: [fields[place] for fields in values] for name, place in header.places.items()}
            table = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String)).to_arrow()
            table = table.cast(pa.schema([(name, pa.string()) for name in columns]))
            ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
            starts = ends - np.array([len(text) for text in texts], dtype=np.int64)
            yield _Piece(table, np.array(lines, dtype=np.int64), b"".join(texts), starts, ends, ragged)


def _unfit(block: bytes, starts: Offsets, delimiter: int, width: int) -> Offsets:
    """The rows, of a block without quotes, that have another number of fields than ``width``."""
    marks = np.frombuffer(block, dtype=np.uint8) == delimiter
    # from each row's start to the next one's: empty lines between them hold no delimiter
    counts = np.add.reduceat(marks.view(np.uint8), starts, dtype=np.uint32)
    return np.flatnonzero(counts != width - 1)


def _without(block: bytes, starts: Offsets, ends: Offsets) -> bytes:
    """A block without some of its rows."""
    if len(starts) == 0:
        return block
    bounds = [0, *np.column_stack((starts, ends)).ravel().tolist(), len(block)]
    return b"".join(block[start:end] for start, end in zip(bounds[::2], bounds[1::2], strict=True))


def _content_ends(block: bytes, rows: Rows) -> Offsets:
    """The ends of rows without their line ends."""
    data = np.frombuffer(block, dtype=np.uint8)
    ends = rows.ends.copy()
    last = data[ends - 1]
    feed = last == LF
    ends -= feed
    if b"\r" in block:
        # before a line feed, or alone
        ends -= (ends > rows.starts) & (data[np.maximum(ends - 1, 0)] == CR)
    return ends


def _check_utf8(block: bytes) -> None:
    """Raises pa.ArrowInvalid where a block is not UTF-8."""
    ends = pa.py_buffer(np.array([0, len(block)], dtype=np.int64))
    pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(block)]).cast(pa.large_string())


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _blank(columns: list[pa.StringArray], height: int) -> npt.NDArray[np.bool_] | None:
    """Which rows have only empty fields; None when none has."""
    blank = np.ones(height, dtype=bool)
    for column in columns:
        places = np.frombuffer(column.buffers()[1], dtype=np.int32)[: height + 1]
        blank &= places[1:] == places[:-1]
        if not blank.any():
            return None
    return blank

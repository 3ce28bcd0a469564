"""Text files: any size in bounded memory, with the physical line of every row.

What a row is, is what Python's ``csv`` module says: a quote opens only at the beginning of a field, is doubled
inside, and what follows a closing quote belongs to the field. Compiled code splits whatever consists of pieces of the
file (``ingest.compiled.split``); a row with doubled quotes, a NUL or too many fields goes through ``csv`` itself, and
so does everything where delimiter or quote is no ASCII character. All of them work on UTF-8: files in another encoding
are turned into it first.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa

from ingest.compiled import Block, Integers, Places
from ingest.compiled.split import from_gb18030, split
from ingest.contracts.model import Feed
from ingest.errors import DeliveryCode, refused
from ingest.fields import Fields
from ingest.manifest import Resource
from ingest.readers.base import LINE_BYTES, Header, RawBatch, Table, TextBatch, cut, shown

BATCH = 1024 * 1024  # read and split at once: about what the processor's cache holds
PLACES = 500_000  # begins and ends of fields held at once
ODD = 4096  # rows held at once that are not fit
SLOW = 256 * 1024  # read row by row at once
HELD = LINE_BYTES * 3 // 2  # an unfinished row longer than this is too long in any encoding
LF = 10


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


class _Source:
    """The file's bytes as UTF-8. What is UTF-8 already is not looked at: ``text`` and ``check`` do."""

    def __init__(self, path: Path, resource: Resource) -> None:
        self.path = resource.path
        self.encoding = resource.encoding
        self.decode = _DECODERS.get(resource.encoding, lambda: None)()
        self.stream: IO[bytes] = path.open("rb")
        self.begun = False
        self.ended = False

    def read(self, size: int) -> bytes:
        """About ``size`` bytes; sets ``ended`` when there are no more."""
        data = self.stream.read(size)
        self.ended = len(data) < size
        if not self.begun:
            self.begun = True
            if self.encoding == "utf-16" and not data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                self.decode = _decoder("utf-16-le")  # as spreadsheets on Windows write it
            data = data.removeprefix(_MARKS.get(self.encoding, b""))
        if self.decode is None:
            return data
        try:
            return self.decode(data, self.ended)
        except UnicodeError as error:
            raise self.undecodable(error) from None

    def delivered_size(self, data: bytes) -> int:
        """The bytes that a piece of text had in the file."""
        if self.decode is None:
            return len(data)
        # without a byte order mark for each row
        return len(data.decode().encode("utf-16-le" if self.encoding == "utf-16" else self.encoding))

    def undecodable(self, error: UnicodeError) -> Exception:
        """The refusal for bytes that are not text in the declared encoding."""
        reason = getattr(error, "reason", None) or "not decodable"
        text = f"the file is not {self.encoding} as declared ({reason}); name its true encoding or write it again"
        return refused(DeliveryCode.ENCODING, text, self.path)

    def text(self, data: bytes) -> str:
        """Decode a piece that begins and ends with whole characters."""
        try:
            return data.decode()
        except UnicodeError as error:
            raise self.undecodable(error) from None

    def check(self, data: memoryview) -> None:
        """Refuse a piece that is no text."""
        if self.decode is not None:
            return
        ends = pa.py_buffer(np.array([0, len(data)], dtype=np.int64))
        try:
            pl.Series(pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(data)])).cast(pl.String)
        except pl.exceptions.ComputeError:  # not saying where
            self.text(bytes(data))


def _decoder(encoding: str) -> Callable[[bytes, bool], bytes]:
    """Turns one piece of a file after another into UTF-8."""
    decoder = codecs.getincrementaldecoder(encoding)()
    return lambda data, final: decoder.decode(data, final).encode()


def _gb18030_decoder() -> Callable[[bytes, bool], bytes]:
    """The same for GB18030, several times as fast as the library's."""
    held = b""

    def decode(data: bytes, final: bool) -> bytes:
        nonlocal held
        data, held = held + data, b""
        block, at, parts = np.frombuffer(data, dtype=np.uint8), 0, list[bytes]()
        out = np.empty(len(data) * 3 // 2 + 1, dtype=np.uint8)
        while True:
            at, size = from_gb18030(block, at, out, _gb18030_pairs())
            parts.append(out[:size].tobytes())
            if at == len(data):
                break
            if len(data) - at < _GB18030_LONGEST and not final:
                held = data[at:]
                break
            parts.append(data[at : at + _GB18030_LONGEST].decode("gb18030").encode())
            at += _GB18030_LONGEST
        return parts[0] if len(parts) == 1 else b"".join(parts)

    return decode


_GB18030_LONGEST = 4
_MARKS = {"utf-8": codecs.BOM_UTF8, "gb18030": "\ufeff".encode("gb18030")}
_DECODERS = {"gb18030": _gb18030_decoder, "utf-16": lambda: _decoder("utf-16")}


@cache
def _gb18030_pairs() -> npt.NDArray[np.uint16]:
    """The character of each pair of bytes in GB18030, 0 where there is none."""
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

    def batches(self) -> Iterator[RawBatch | TextBatch]:
        """See ``Table``; a batch comes from about 1 MiB of the file."""
        pass_ = _Pass(self)
        try:
            if self.resource.dialect.header:
                for _ in range(max(self.resource.dialect.header_rows)):
                    pass_.header_row()
            yield from pass_.batches()
        finally:
            pass_.source.stream.close()

    def fields(
        self, block: Block, line: int, longest: int, *, final: bool
    ) -> tuple[Fields, tuple[Places, Places, Places], int, int]:
        """Split the rows of a block that begins with one, of the file's ``line``, as far as they can be split at sight.

        Returns:
            Rows that consist of pieces of the block; where other rows begin and end, and their lines; the bytes and
            the lines passed over.
        """
        width = self.header.width
        bounds = np.empty((2 * width, max(1, PLACES // (2 * width))), dtype=np.int32)
        starts, ends, lines = (np.empty(bounds.shape[1], dtype=np.int32) for _ in range(3))
        odd = [np.empty(ODD, dtype=np.int32) for _ in range(3)]
        marks = (ord(self.format[mark]) for mark in ("delimiter", "quotechar"))
        fit, others, passed, more = split(block, final, *marks, width, longest, bounds, starts, ends, lines, *odd)
        where = lines[:fit].astype(np.int64) + line
        fields = Fields(block, self.header.places, bounds, where, (starts[:fit], ends[:fit]))
        return fields, (odd[0][:others], odd[1][:others], odd[2][:others]), passed, more

    def again(self, texts: bytes, lines: Integers) -> RawBatch:
        """A batch of rows that have been found fit before."""
        block, frames, rows, at = np.frombuffer(texts, dtype=np.uint8), [], [], 0
        while at < len(texts):
            fields, _, passed, _ = self.fields(block[at:], 0, len(texts), final=True)
            frames.append(fields.frame(fields.places))
            rows += [
                (at + start, at + end) for start, end in zip(*(each.tolist() for each in fields.rows), strict=True)
            ]
            at += passed

        def text_of(picks: Sequence[int]) -> list[str]:
            pieces = (texts[slice(*rows[pick])] for pick in picks)
            return [self.kept_text(piece.decode().rstrip("\r\n")) for piece in pieces]

        frame = pl.DataFrame(pa.Table.from_batches(frames).combine_chunks())
        return RawBatch(frame, pl.Series("line", lines), text_of)

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
            parts.append(self.source.read(size - held))
            held += len(parts[-1])
        self.block, self.at = b"".join(parts), 0

    def _next_row(self) -> _Row | None:
        """The next row, blank or not; None at the end of the file."""
        wanted = BATCH
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
                self.line += max(1, _line_ends(row))
                # a quote that the file's end leaves open has drawn the line end into the field
                content = row if finder.state is _State.QUOTED else row.rstrip(b"\r\n")
                long = len(content) > LINE_BYTES // 2 and self.source.delivered_size(content) > LINE_BYTES
                if long:
                    self.source.text(content)  # kept or not, it must be text
                return _Row(line, content, long)
            if len(self.block) - self.at > HELD:
                return _Row(self.line, self._skip_row(), True)
            wanted = len(self.block) - self.at + LINE_BYTES

    def _skip_row(self) -> bytes:
        """Pass over a row that is too long to hold, counting its lines; returns its beginning."""
        beginning = self.block[self.at : self.at + HELD]
        finder = RowEnd(self.delimiter, self.quote)
        decoder = codecs.getincrementaldecoder("utf-8")()
        counted = 0
        returned = False  # whether the block before ended in a carriage return
        while True:
            block, at = self.block, self.at
            if at < len(block):
                end = finder.find(block, at, self.final)
                part = block[at : end if end >= 0 else len(block)]
                counted += _line_ends(part)
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
            self.block, self.at = self.source.read(BATCH), 0
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

    def batches(self) -> Iterator[RawBatch | TextBatch]:
        """The rows, batch by batch."""
        while True:
            self._fill(BATCH)
            if self.at == len(self.block) and self.final:
                return
            before = self.at
            if self.single:
                yield from self._split()
            if self.at == before:
                yield from self._patient(self._stretch(0 if self.single else SLOW))

    def _split(self) -> Iterator[RawBatch | TextBatch]:
        """Rows from where we are on, as far as they can be told apart at sight."""
        longest = LINE_BYTES if self.source.decode is None else LINE_BYTES // 2
        fields, odd, passed, lines = self.table.fields(
            np.frombuffer(self.block, dtype=np.uint8, offset=self.at), self.line, longest, final=self.final
        )
        if not passed:
            return
        self.source.check(memoryview(self.block)[self.at : self.at + passed])
        block, before, self.at, self.line = fields.block, self.line, self.at + passed, self.line + lines
        if fields.height:
            yield TextBatch(fields, self.table.again)
        rows = zip(*(places.tolist() for places in odd), strict=True)
        yield from self._patient(
            _Row(before + line, block[start:end].tobytes().rstrip(b"\r\n"), False) for start, end, line in rows
        )

    def _stretch(self, size: int) -> Iterator[_Row]:
        """Rows one by one: one, and more until they take ``size`` bytes."""
        read = 0
        while read <= size and (row := self._next_row()) is not None:
            read += len(row.content) + 1
            yield row

    def _patient(self, rows: Iterable[_Row]) -> Iterator[RawBatch]:
        """Rows that ``csv`` splits; none where all of them are blank."""
        header = self.table.header
        values: list[list[str]] = []
        lines: list[int] = []
        texts: list[str] = []
        ragged: list[tuple[int, str]] = []
        for row in rows:
            if row.too_long:
                beginning = row.content.decode(errors="ignore")
                ragged.append((row.line, cut(self.table.kept_text(beginning))))
                continue
            text = self.source.text(row.content)
            fields = self.table.split(text)
            if "\0" in text or (len(fields) != header.width and any(fields)):
                ragged.append((row.line, self.table.kept_text(text)))
            elif any(fields):
                values.append(fields)
                lines.append(row.line)
                texts.append(text)
        if values or ragged:
            columns = {name: [fields[place] for fields in values] for name, place in header.places.items()}
            frame = pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))
            line = pl.Series("line", lines, dtype=pl.Int64)
            yield RawBatch(frame, line, lambda rows: [self.table.kept_text(texts[row]) for row in rows], ragged)


def _line_ends(row: bytes) -> int:
    r"""How many line ends (``\n``, ``\r\n`` or a lone ``\r``) a row holds."""
    return row.count(b"\n") + row.count(b"\r") - row.count(b"\r\n")

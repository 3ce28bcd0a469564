"""Splits delimited text into rows and fields, as Python's ``csv`` module does.

Rows that are not simple slices of the buffer are reported for the ``csv`` module: rows with a NUL, with a wrong number
of fields, with doubled or misplaced quotes, or whose fields hold only characters that are stripped. A row is *unclosed*
when its last quote is never closed, when it has too many line ends inside quotes, or when it has any such line end
together with a wrong number of fields or a quote after a closing quote; only its first line is consumed. U+FEFF at the
start of a field is skipped.
"""

# The decorator declares the types; separate comparisons compile to faster code than ``in``.
# ruff: noqa: SIM109
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int32, int64, uint8, uint64, uintp

from ingest.kernels import BYTES, compiled, inlined
from ingest.kernels.unaligned import HIGHS, ONES, load_u64

LF, CR, TAB, BLANK = 10, 13, 9, 32
APOSTROPHE, EQUALS = 39, 61
#: The bytes of U+FEFF.
_BOM, _BOM_2, _BOM_3 = 0xEF, 0xBB, 0xBF
#: The first bytes of U+00A0, U+200B and U+3000.
_NO_BREAK_SPACE, _ZERO_WIDTH_SPACE, _IDEOGRAPHIC_SPACE = 0xC2, 0xE2, 0xE3

_LOW_BITS = ~HIGHS
#: Added to a byte without its highest bit, it sets that bit where the byte is greater than CR.
_ABOVE_CR = np.uint64(0x80 - CR - 1) * ONES

#: What a row is: its fields are slices, it is blank, it is for the ``csv`` module, it is unclosed, or its end is not in
#: the buffer.
_SPLIT, _EMPTY, _FOR_CSV, _UNCLOSED, _INCOMPLETE = range(5)
#: What the fields of a row hold at most.
_NOTHING, _STRIPPABLE, _TEXT = range(3)
#: Types of ``scanned`` and ``matches`` (see ``_end_of_plain_field``).
_SCAN = (uintp, uint64)
_ONE, _EIGHT = np.uintp(1), np.uintp(8)


@inlined(boolean, uint8, uint8)
def _ends_field(byte, delimiter):
    return byte == delimiter or byte == LF or byte == CR


@inlined(uintp, BYTES, uintp)
def _skip_boms(buffer, i):
    """The offset after all U+FEFF from an offset on."""
    while i + np.uintp(2) < np.uintp(buffer.size) and (
        buffer[i] == _BOM and buffer[i + _ONE] == _BOM_2 and buffer[i + np.uintp(2)] == _BOM_3
    ):
        i += np.uintp(3)
    return i


@inlined(uint64, uint64, uint64)
def _find_separators(word, delimiters):
    """The lowest bit of each of eight bytes that is the delimiter or not above CR.

    Args:
        word: The eight bytes.
        delimiters: The delimiter, eight times.
    """
    differences = word ^ delimiters
    is_delimiter = ~(((differences & _LOW_BITS) + _LOW_BITS) | differences | _LOW_BITS)
    is_control = ~(((word & _LOW_BITS) + _ABOVE_CR) | word) & ~_LOW_BITS
    return (is_delimiter | is_control) >> np.uint64(7)


@inlined(uintp, uint64)
def _lowest_match(matches):
    """The number of bytes below the lowest match."""
    below = (matches & (~matches + np.uint64(1))) - np.uint64(1)
    return np.uintp((below & ONES) * ONES >> np.uint64(56))


@inlined(numba.types.Tuple((uintp, boolean, *_SCAN)), BYTES, uintp, uint8, *_SCAN)
def _end_of_plain_field(buffer, i, delimiter, scanned, matches):
    """Find the end of a field without quotes, eight bytes at a time.

    Args:
        buffer: As for ``split``.
        i: Offset in the field.
        delimiter: As for ``split``.
        scanned: The offset up to which delimiters and line ends were searched before.
        matches: Those found in the last eight bytes before it: the lowest bit of each byte.

    Returns:
        The offset of the delimiter or line end after the field, or the size of the buffer; whether the field has a NUL;
        the new ``scanned`` and ``matches``.
    """
    size, delimiters = np.uintp(buffer.size), np.uint64(delimiter) * ONES
    has_nul = False
    while i < size:
        if i >= scanned and i + _EIGHT <= size:
            matches = _find_separators(load_u64(buffer, i), delimiters)
            scanned = i + _EIGHT
        if i < scanned:
            if matches == 0:
                i = scanned
                continue
            candidate = scanned - _EIGHT + _lowest_match(matches)
            matches &= matches - np.uint64(1)
            if candidate < i:
                continue
            i = candidate
        if _ends_field(buffer[i], delimiter):
            break
        has_nul = has_nul or buffer[i] == 0
        i += _ONE
    return i, has_nul, scanned, matches


@inlined(numba.types.Tuple((uintp, boolean, int64, uintp)), BYTES, uintp, uint8, int64, int64, uintp)
def _find_quote(buffer, i, quote, max_breaks, breaks, first_end):
    """Find the next quote of a quoted field, and the line ends before it.

    Returns:
        The offset of the quote, of the line end that is one too many, or the size of the buffer; whether there is a
        NUL; the new ``breaks`` and ``first_end``.
    """
    size = np.uintp(buffer.size)
    has_nul = False
    while i < size and buffer[i] != quote:
        byte = buffer[i]
        if byte <= CR:
            if byte == 0:
                has_nul = True
            elif byte == LF or (byte == CR and not (i + _ONE < size and buffer[i + _ONE] == LF)):
                breaks += 1
                if breaks == 1:
                    first_end = i + _ONE
                if breaks > max_breaks:
                    break
        i += _ONE
    return i, has_nul, breaks, first_end


@inlined(numba.types.Tuple((uintp, boolean)), BYTES, uintp, uint8, uint8)
def _skip_after_quote(buffer, i, delimiter, quote):
    """The end of a field with text after its closing quote, and whether there is another quote in that text."""
    has_quote = False
    while i < np.uintp(buffer.size) and not _ends_field(buffer[i], delimiter):
        has_quote = has_quote or buffer[i] == quote
        i += _ONE
    return i, has_quote


@inlined(
    numba.types.Tuple((uintp, uintp, boolean, boolean, boolean, int64, uintp)),
    *(BYTES, uintp, boolean, uint8, uint8, int64, int64, uintp),
)
def _end_of_quoted_field(buffer, i, final, delimiter, quote, max_breaks, breaks, first_end):
    """Find the end of a field from the offset ``i`` after its opening quote on.

    ``breaks`` is the number of line ends inside quotes of the row before the field, ``first_end`` the offset after the
    first of them; the other arguments are those of ``split``.

    Returns:
        The offset of the delimiter or line end after the field, the offset of the closing quote, whether the quote is
        closed, whether the ``csv`` module must read the field, whether a quote follows a closing one, the new
        ``breaks`` and ``first_end``.
    """
    size = np.uintp(buffer.size)
    field_end = i
    closed = needs_csv = stray_quote = False
    while True:
        i, has_nul, breaks, first_end = _find_quote(buffer, i, quote, max_breaks, breaks, first_end)
        needs_csv = needs_csv or has_nul
        if i >= size or breaks > max_breaks:
            break
        field_end = i
        i += _ONE
        if i >= size:
            closed = final
            break
        if _ends_field(buffer[i], delimiter):
            closed = True
            break
        needs_csv = True
        if buffer[i] != quote:  # what follows a closing quote belongs to the field
            i, stray_quote = _skip_after_quote(buffer, i, delimiter, quote)
            closed = i < size or final
            break
        i += _ONE  # a doubled quote: the field continues
    return i, field_end, closed, needs_csv, stray_quote, breaks, first_end


@inlined(int64, BYTES, uintp, uintp, int32[:, ::1], int64, int64, int64, int64)
def _store_field(buffer, start, end, bounds, field, width, row, content):
    """Store the bounds of a field without blanks and tabs around it.

    Returns:
        What the row has up to this field: nothing (0), characters that cleaning may strip (1), or others (2).
    """
    while start < end and (buffer[start] == BLANK or buffer[start] == TAB):
        start += _ONE
    while start < end and (buffer[end - _ONE] == BLANK or buffer[end - _ONE] == TAB):
        end -= _ONE
    if field < width:
        bounds[2 * field, row] = start
        bounds[2 * field + 1, row] = end
    if start < end and content < _TEXT:
        byte = buffer[start]
        may_be_stripped = (
            byte == _NO_BREAK_SPACE or byte == _ZERO_WIDTH_SPACE or byte == _IDEOGRAPHIC_SPACE or byte == _BOM
            or byte == APOSTROPHE or byte == EQUALS or byte == LF or byte == CR
        )  # fmt: skip
        content = _STRIPPABLE if may_be_stripped else _TEXT
    return content


@inlined(numba.types.Tuple((uintp, boolean)), BYTES, uintp, boolean)
def _skip_line_end(buffer, i, final):
    """The offset after a row whose last field ends at ``i``, and whether its line end is known to be complete."""
    size = np.uintp(buffer.size)
    if i >= size:
        return i, True
    byte = buffer[i]
    i += _ONE
    if byte == CR and i < size and buffer[i] == LF:
        i += _ONE
    return i, byte == LF or i < size or final  # a line feed may follow the last carriage return


@inlined(int64, boolean, boolean, boolean, boolean, int64, int64, boolean)
def _kind_of_row(complete, can_continue, needs_csv, stray_quote, breaks, content, has_width):
    """What a row is, when its last field has been read or the buffer has ended."""
    if not complete and can_continue:
        return _INCOMPLETE
    if not complete or (breaks > 0 and (stray_quote or not has_width)):
        return _UNCLOSED
    if needs_csv or (content != _NOTHING and (content != _TEXT or not has_width)):
        return _FOR_CSV
    return _SPLIT if content == _TEXT else _EMPTY


@inlined(
    numba.types.Tuple((uintp, int64, int64, *_SCAN)),
    *(BYTES, uintp, boolean, uint8, uint8, int64, int64, *_SCAN, int32[:, ::1], int64),
)
def _split_row(buffer, i, final, delimiter, quote, width, max_breaks, scanned, matches, bounds, row):
    """Split the row that starts at ``i`` into its fields.

    ``row`` is the column of ``bounds`` to fill; the other arguments are those of ``split`` and
    ``_end_of_plain_field``.

    Returns:
        The offset after the row (after its first line if it is unclosed), what the row is, its number of line ends
        inside quotes, the new ``scanned`` and ``matches``.
    """
    size = np.uintp(buffer.size)
    field, breaks, first_end, content = 0, 0, size, _NOTHING
    needs_csv = stray_quote = complete = False
    while True:
        i = _skip_boms(buffer, i)
        start = i
        if i < size and buffer[i] == quote:
            start = i + _ONE
            i, end, closed, irregular, stray, breaks, first_end = _end_of_quoted_field(
                buffer, start, final, delimiter, quote, max_breaks, breaks, first_end
            )
            stray_quote = stray_quote or stray
        else:
            i, irregular, scanned, matches = _end_of_plain_field(buffer, i, delimiter, scanned, matches)
            end, closed = i, i < size or final
        needs_csv = needs_csv or irregular
        if not closed:
            break
        content = _store_field(buffer, start, end, bounds, field, width, row, content)
        field += 1
        if not (i < size and buffer[i] == delimiter):
            i, complete = _skip_line_end(buffer, i, final)
            break
        i += _ONE
    can_continue = not final and breaks <= max_breaks
    kind = _kind_of_row(complete, can_continue, needs_csv, stray_quote, breaks, content, field == width)
    if kind == _UNCLOSED:
        return first_end, kind, 0, np.uintp(0), matches  # what follows the first line is split anew
    return i, kind, breaks, scanned, matches


@compiled(
    numba.types.UniTuple(int64, 4),
    *(BYTES, boolean, uint8, uint8, int64, int64, int64),
    *(int32[:, ::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], boolean[::1]),
)
def split(
    buffer, final, delimiter, quote, width, max_row_bytes, max_breaks,
    bounds, starts, ends, lines, csv_starts, csv_ends, csv_lines, unclosed,
):  # fmt: skip
    """Split a buffer that starts with a row: up to its last complete row, an oversized row, or full output arrays.

    Args:
        buffer: UTF-8.
        final: Whether the file ends with the buffer.
        delimiter: Field delimiter.
        quote: Quote character.
        width: The expected number of fields of a row.
        max_row_bytes: The largest size of a row, including its line end.
        max_breaks: How many line ends a row may have inside quotes.
        bounds: (2 * width, rows) Output: start and end offset of each field, without quotes, blanks and tabs around it.
        starts: Output: start offset of each split row.
        ends: Output: offset after each split row and its line end.
        lines: Output: line of each split row, from 0.
        csv_starts: Output: start offset of each row for ``csv``.
        csv_ends: Output: offset after each row for ``csv``.
        csv_lines: Output: line of each row for ``csv``.
        unclosed: Output: which rows for ``csv`` are unclosed.

    Returns:
        The numbers of split rows, of rows for ``csv``, of bytes consumed and of lines consumed. Rows of nothing but
        blanks and tabs are consumed without being reported.
    """
    row_start, scanned, matches = np.uintp(0), np.uintp(0), np.uint64(0)
    split_count = csv_count = line = 0
    while split_count < starts.size and csv_count < csv_starts.size and row_start < np.uintp(buffer.size):
        end, kind, breaks, scanned, matches = _split_row(
            buffer, row_start, final, delimiter, quote, width, max_breaks, scanned, matches, bounds, split_count
        )
        if kind == _INCOMPLETE or end - row_start > max_row_bytes:
            break
        if kind == _SPLIT:
            starts[split_count], ends[split_count], lines[split_count] = row_start, end, line
            split_count += 1
        elif kind != _EMPTY:
            csv_starts[csv_count], csv_ends[csv_count], csv_lines[csv_count] = row_start, end, line
            unclosed[csv_count] = kind == _UNCLOSED
            csv_count += 1
        line += 1 + breaks
        row_start = end
    return split_count, csv_count, np.int64(row_start), line


@compiled(int64[::1], BYTES, int64, uint8[::1], numba.types.Array(numba.uint16, 1, "C", readonly=True))
def from_gb18030(buffer, start, out, table):  # type: ignore[no-untyped-def]
    """Convert GB18030 to UTF-8, up to the first character that is not in the table.

    Args:
        buffer: GB18030.
        start: The offset at which to start.
        out: Output: UTF-8; it must hold 1.5 times the bytes that remain in the buffer.
        table: The character of each pair of bytes; 0 for pairs that are not a character.

    Returns:
        The offset at which reading stopped, and the number of bytes written.
    """
    size = np.uintp(buffer.size)
    i = np.uintp(start)
    written = np.uintp(0)
    while i < size:
        byte = buffer[i]
        if byte < 0x80:
            out[written] = byte
            written += _ONE
            i += _ONE
            continue
        if i + _ONE >= size:
            break
        character = table[np.uintp(byte) * np.uintp(256) + np.uintp(buffer[i + _ONE])]
        if character == 0:
            break
        if character < 0x800:
            out[written] = 0xC0 | (character >> 6)
            written += _ONE
        else:
            out[written] = 0xE0 | (character >> 12)
            out[written + _ONE] = 0x80 | ((character >> 6) & 0x3F)
            written += np.uintp(2)
        out[written] = 0x80 | (character & 0x3F)
        written += _ONE
        i += np.uintp(2)
    result = np.empty(2, dtype=np.int64)
    result[0] = i
    result[1] = written
    return result

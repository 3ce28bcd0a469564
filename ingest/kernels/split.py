"""Splits delimited text into rows and fields, as Python's ``csv`` module does."""

# The decorator declares the types; separate comparisons compile to faster code than ``in``.
# ruff: noqa: SIM109
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int32, int64, uint8, uint64, uintp

from ingest.kernels import BYTES, compiled
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


_SPLIT, _EMPTY, _FOR_CSV, _UNCLOSED, _INCOMPLETE = range(5)
_SCAN = (uintp, uint64)


@compiled(boolean, uint8, uint8, forceinline=True)
def _ends_field(byte, delimiter):
    return byte == delimiter or byte == LF or byte == CR


@compiled(uintp, BYTES, uintp, forceinline=True)
def _skip_boms(buffer, i):
    """The offset after all U+FEFF from an offset on."""
    while i + np.uintp(2) < np.uintp(buffer.size) and (
        buffer[i] == _BOM and buffer[i + np.uintp(1)] == _BOM_2 and buffer[i + np.uintp(2)] == _BOM_3
    ):
        i += np.uintp(3)
    return i


@compiled(uint64, uint64, uint64, forceinline=True)
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


@compiled(uintp, uint64, forceinline=True)
def _lowest_match(matches):
    """The number of bytes below the lowest match."""
    below = (matches & (~matches + np.uint64(1))) - np.uint64(1)
    return np.uintp((below & ONES) * ONES >> np.uint64(56))


@compiled(numba.types.Tuple((uintp, boolean, *_SCAN)), BYTES, uintp, uint8, *_SCAN, forceinline=True)
def _end_of_plain_field(buffer, i, delimiter, scanned, matches):
    """Find the end of a field without quotes, eight bytes at a time.

    Args:
        buffer: As for ``split``.
        i: Offset in the field.
        delimiter: As for ``split``.
        scanned: The offset up to which delimiters and line ends were searched before.
        matches: Those found in the last eight bytes of it: the lowest bit of each byte.

    Returns:
        The offset of the delimiter or line end after the field, or the size of the buffer; whether the field has a NUL;
        the new ``scanned`` and ``matches``.
    """
    size = np.uintp(buffer.size)
    delimiters = np.uint64(delimiter) * ONES
    has_nul = False
    while i < size:
        if i >= scanned and i + np.uintp(8) <= size:
            matches = _find_separators(load_u64(buffer, i), delimiters)
            scanned = i + np.uintp(8)
        if i < scanned:
            if matches == 0:
                i = scanned
                continue
            candidate = scanned - np.uintp(8) + _lowest_match(matches)
            matches &= matches - np.uint64(1)
            if candidate < i:
                continue
            i = candidate
        byte = buffer[i]
        if _ends_field(byte, delimiter):
            break
        if byte == 0:
            has_nul = True
        i += np.uintp(1)
    return i, has_nul, scanned, matches


@compiled(numba.types.Tuple((uintp, boolean, int64, uintp)), BYTES, uintp, uint8, int64, int64, uintp, forceinline=True)
def _find_quote(buffer, i, quote, max_breaks, breaks, first_end):
    """Find the next quote of a quoted field, and the line ends before it.

    Returns:
        The offset of the quote, of the line end that is one too many, or the size of the buffer; whether there is a NUL;
        the new ``breaks`` and ``first_end``.
    """
    size = np.uintp(buffer.size)
    has_nul = False
    while i < size and buffer[i] != quote:
        byte = buffer[i]
        if byte <= CR:
            if byte == 0:
                has_nul = True
            elif byte == LF or (byte == CR and not (i + np.uintp(1) < size and buffer[i + np.uintp(1)] == LF)):
                breaks += 1
                if breaks == 1:
                    first_end = i + np.uintp(1)
                if breaks > max_breaks:
                    break
        i += np.uintp(1)
    return i, has_nul, breaks, first_end


@compiled(numba.types.Tuple((uintp, boolean)), BYTES, uintp, uint8, uint8, forceinline=True)
def _skip_after_quote(buffer, i, delimiter, quote):
    """The end of a field with text after its closing quote, and whether there is another quote in that text."""
    has_quote = False
    while i < np.uintp(buffer.size) and not _ends_field(buffer[i], delimiter):
        has_quote = has_quote or buffer[i] == quote
        i += np.uintp(1)
    return i, has_quote


@compiled(
    numba.types.Tuple((uintp, uintp, boolean, boolean, boolean, int64, uintp)),
    *(BYTES, uintp, boolean, uint8, uint8, int64, int64, uintp),
    forceinline=True,
)
def _end_of_quoted_field(buffer, i, final, delimiter, quote, max_breaks, breaks, first_end):
    """Find the end of a field from the offset after its opening quote on.

    Args:
        buffer, final, delimiter, quote, max_breaks: As for ``split``.
        i: Offset after the opening quote.
        breaks: Number of line ends inside quotes of the row.
        first_end: Offset after the first of them.

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
        i += np.uintp(1)
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
        i += np.uintp(1)  # a doubled quote: the field continues
    return i, field_end, closed, needs_csv, stray_quote, breaks, first_end


@compiled(numba.types.UniTuple(uintp, 2), BYTES, uintp, uintp, forceinline=True)
def _strip(buffer, start, end):
    """The slice without blanks and tabs around it."""
    while start < end and (buffer[start] == BLANK or buffer[start] == TAB):
        start += np.uintp(1)
    while start < end and (buffer[end - np.uintp(1)] == BLANK or buffer[end - np.uintp(1)] == TAB):
        end -= np.uintp(1)
    return start, end


@compiled(boolean, uint8, forceinline=True)
def _may_be_stripped(byte):
    """Whether a field that starts with a byte may consist of characters that cleaning strips."""
    return (
        byte == _NO_BREAK_SPACE or byte == _ZERO_WIDTH_SPACE or byte == _IDEOGRAPHIC_SPACE or byte == _BOM
        or byte == APOSTROPHE or byte == EQUALS or byte == LF or byte == CR
    )  # fmt: skip


@compiled(numba.types.Tuple((uintp, int64, int64, *_SCAN)),
    *(BYTES, uintp, boolean, uint8, uint8, int64, int64, *_SCAN, int32[:, ::1], int64),
    forceinline=True,
)
def _split_row(buffer, i, final, delimiter, quote, width, max_breaks, scanned, matches, bounds, row):
    """Split the row that starts at ``i`` into its fields; the other arguments are those of the functions around.

    Returns:
        The offset after the row (after its first line if it is unclosed), what the row is, its number of line ends
        inside quotes, the new ``scanned`` and ``matches``.
    """
    size = np.uintp(buffer.size)
    field, breaks, first_end = 0, 0, size
    needs_csv = stray_quote = not_blank = has_content = complete = False
    while True:
        i = _skip_boms(buffer, i)
        start = i
        if i < size and buffer[i] == quote:
            start = i + np.uintp(1)
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
        start, end = _strip(buffer, start, end)
        if start < end and not has_content:
            not_blank = True
            has_content = not _may_be_stripped(buffer[start])
        if field < width:
            bounds[2 * field, row] = start
            bounds[2 * field + 1, row] = end
        field += 1
        if i >= size:
            complete = True
            break
        byte = buffer[i]
        i += np.uintp(1)
        if byte != delimiter:
            if byte == CR and i < size and buffer[i] == LF:
                i += np.uintp(1)
            complete = byte == LF or i < size or final  # a line feed may follow the last carriage return
            break
    if not complete and not final and breaks <= max_breaks:
        return i, _INCOMPLETE, breaks, scanned, matches
    if not complete or (breaks > 0 and (field != width or stray_quote)):
        return first_end, _UNCLOSED, 0, np.uintp(0), matches  # what follows the first line is split anew
    if needs_csv or (not_blank and (field != width or not has_content)):
        return i, _FOR_CSV, breaks, scanned, matches
    return i, _SPLIT if not_blank else _EMPTY, breaks, scanned, matches




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

    Rows that are not simple slices of the buffer are reported for the ``csv`` module: rows with a NUL, with another
    number of fields than ``width``, with doubled or misplaced quotes, or whose fields hold only characters that are
    stripped. A row is ``unclosed`` when its last quote is never closed, when it has more than ``max_breaks`` line ends
    inside quotes, or when it has any such line end together with a wrong number of fields or a quote after a closing
    quote; only its first line is consumed. U+FEFF at the start of a field is skipped.

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
    size = np.uintp(buffer.size)
    one = np.uintp(1)
    eight = np.uintp(8)
    delimiters = np.uint64(delimiter) * ONES
    row_start = np.uintp(0)
    scanned = np.uintp(0)  # the offset up to which delimiters and line ends were searched
    matches = np.uint64(0)  # those found in the last eight bytes: the lowest bit of each byte
    split_count = 0
    csv_count = 0
    line = 0
    while split_count < starts.size and csv_count < csv_starts.size and row_start < size:
        i = row_start
        end = row_start
        field = 0
        needs_csv = False
        not_blank = False
        stray_quote = False  # whether a quote follows a closing quote
        has_content = False  # whether a field has a character that is not stripped
        breaks = 0  # line ends inside quotes
        first_end = size  # offset after the first line
        complete = False
        while True:
            while (
                i < size and buffer[i] == _BOM and i + np.uintp(2) < size
                and buffer[i + one] == _BOM_2 and buffer[i + np.uintp(2)] == _BOM_3
            ):  # fmt: skip
                i += np.uintp(3)
            field_start = i
            field_end = i
            closed = True
            if i < size and buffer[i] == quote:
                i += one
                field_start = i
                closed = False
                while True:
                    while i < size and buffer[i] != quote:
                        byte = buffer[i]
                        if byte <= CR:
                            if byte == 0:
                                needs_csv = True
                            elif byte == LF or (byte == CR and not (i + one < size and buffer[i + one] == LF)):
                                breaks += 1
                                if breaks == 1:
                                    first_end = i + one
                                if breaks > max_breaks:
                                    break
                        i += one
                    if i >= size or breaks > max_breaks:
                        break
                    field_end = i
                    i += one
                    if i >= size:
                        closed = final
                        break
                    byte = buffer[i]
                    if byte == delimiter or byte == LF or byte == CR:
                        closed = True
                        break
                    needs_csv = True
                    if byte == quote:
                        i += one  # a doubled quote: the field continues
                        continue
                    while i < size:  # what follows a closing quote belongs to the field
                        byte = buffer[i]
                        if byte == delimiter or byte == LF or byte == CR:
                            break
                        stray_quote = stray_quote or byte == quote
                        i += one
                    closed = i < size or final
                    break
            else:
                i, has_nul, scanned, matches = _end_of_plain_field(buffer, i, delimiter, scanned, matches)
                if has_nul:
                    needs_csv = True
                field_end = i
                closed = i < size or final
            if not closed:
                break
            while field_start < field_end and (buffer[field_start] == BLANK or buffer[field_start] == TAB):
                field_start += one
            while field_start < field_end and (buffer[field_end - one] == BLANK or buffer[field_end - one] == TAB):
                field_end -= one
            if field_start < field_end and not has_content:
                not_blank = True
                byte = buffer[field_start]
                has_content = not (
                    byte == _NO_BREAK_SPACE or byte == _ZERO_WIDTH_SPACE or byte == _IDEOGRAPHIC_SPACE or byte == _BOM
                    or byte == APOSTROPHE or byte == EQUALS or byte == LF or byte == CR
                )  # fmt: skip
            if field < width:
                bounds[2 * field, split_count] = field_start
                bounds[2 * field + 1, split_count] = field_end
            field += 1
            if i >= size:
                end = i
                complete = True
                break
            byte = buffer[i]
            i += one
            if byte == delimiter:
                continue
            if byte == CR and i < size and buffer[i] == LF:
                i += one
            end = i
            complete = byte == LF or i < size or final  # a line feed may follow the last carriage return
            break
        if not complete and not final and breaks <= max_breaks:
            break
        is_unclosed = not complete or (breaks > 0 and (field != width or stray_quote))
        if is_unclosed:
            end = first_end
            breaks = 0
            scanned = np.uintp(0)  # what follows the first line is split anew
        if end - row_start > max_row_bytes:
            break
        if is_unclosed or needs_csv or (not_blank and (field != width or not has_content)):
            csv_starts[csv_count] = row_start
            csv_ends[csv_count] = end
            csv_lines[csv_count] = line
            unclosed[csv_count] = is_unclosed
            csv_count += 1
        elif not_blank:
            starts[split_count] = row_start
            ends[split_count] = end
            lines[split_count] = line
            split_count += 1
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
    one = np.uintp(1)
    i = np.uintp(start)
    written = np.uintp(0)
    while i < size:
        byte = buffer[i]
        if byte < 0x80:
            out[written] = byte
            written += one
            i += one
            continue
        if i + one >= size:
            break
        character = table[np.uintp(byte) * np.uintp(256) + np.uintp(buffer[i + one])]
        if character == 0:
            break
        if character < 0x800:
            out[written] = 0xC0 | (character >> 6)
            written += one
        else:
            out[written] = 0xE0 | (character >> 12)
            out[written + one] = 0x80 | ((character >> 6) & 0x3F)
            written += np.uintp(2)
        out[written] = 0x80 | (character & 0x3F)
        written += one
        i += np.uintp(2)
    result = np.empty(2, dtype=np.int64)
    result[0] = i
    result[1] = written
    return result

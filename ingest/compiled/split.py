"""Rows and fields of delimited text, as Python's ``csv`` module sees them."""

# The decorator says the types; comparisons one by one are what the compiler likes.
# ruff: noqa: SIM109
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int32, int64, uint8

from ingest.compiled import BYTES, compiled
from ingest.compiled.words import HIGHS, ONES, word

LF, CR, TAB, BLANK = 10, 13, 9, 32

_LOW = ~HIGHS
#: What carries every byte above CR over into its highest bit.
_OVER_CR = np.uint64(0x80 - CR - 1) * ONES


@compiled(
    numba.types.UniTuple(int64, 4),
    *(BYTES, boolean, uint8, uint8, int64, int64),
    *(int32[:, ::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1], int32[::1]),
)
def split(block, final, delimiter, quote, width, longest, bounds, starts, ends, lines, odd_starts, odd_ends, odd_lines):
    """Split a block that begins a row, up to its last whole row, a row of more than ``longest`` bytes, or full arrays.

    A row is odd that has a NUL, another number of fields than it must have, or a field with doubled or misplaced
    quotes, which is more than a piece of the block.

    Args:
        block: UTF-8.
        final: Whether the file ends with the block.
        delimiter: Between fields.
        quote: Around fields.
        width: The number of fields a row must have.
        longest: Bytes of the longest row, its line end included.
        bounds: (2 * width, rows) Takes begin and end of each field without quotes, blanks and tabs around it.
        starts: Takes where each fit row begins,
        ends: and ends, its line end included,
        lines: and its line from 0.
        odd_starts: The same for odd rows.
        odd_ends: The same for odd rows.
        odd_lines: The same for odd rows.

    Returns:
        Fit rows, odd rows, bytes and lines passed over. Rows whose fields are all empty are neither, as long as they
        have no quotes out of place.
    """
    size = np.uintp(block.size)
    one = np.uintp(1)
    eight = np.uintp(8)
    delimiters = np.uint64(delimiter) * ONES
    at = np.uintp(0)
    seen = np.uintp(0)  # how far marks have been looked for,
    marks = np.uint64(0)  # and those of the last eight bytes: the lowest bit of each byte
    fit = 0
    others = 0
    line = 0
    while fit < starts.size and others < odd_starts.size and at < size:
        i = at
        end = at
        field = 0
        odd = False
        filled = False
        breaks = 0  # line ends within quotes
        whole = False
        while True:
            begin = i
            stop = i
            closed = True
            if i < size and block[i] == quote:
                i += one
                begin = i
                closed = False
                while True:
                    while i < size and block[i] != quote:
                        byte = block[i]
                        if byte <= CR:
                            if byte == 0:
                                odd = True
                                filled = True
                            elif byte == LF or (byte == CR and not (i + one < size and block[i + one] == LF)):
                                breaks += 1
                        i += one
                    if i >= size:
                        break
                    stop = i
                    i += one
                    if i >= size:
                        closed = final
                        break
                    byte = block[i]
                    if byte == delimiter or byte == LF or byte == CR:
                        closed = True
                        break
                    odd = True
                    filled = True
                    if byte == quote:
                        i += one  # doubled: the field goes on
                        continue
                    while i < size:  # what follows a closing quote belongs to the field
                        byte = block[i]
                        if byte == delimiter or byte == LF or byte == CR:
                            break
                        i += one
                    closed = i < size or final
                    break
            else:
                while i < size:
                    if i >= seen and i + eight <= size:  # eight bytes at a time: which of them may matter
                        some = word(block, i)
                        other = some ^ delimiters
                        marks = ~(((other & _LOW) + _LOW) | other | _LOW) | (
                            ~(((some & _LOW) + _OVER_CR) | some) & ~_LOW
                        )
                        marks >>= np.uint64(7)
                        seen = i + eight
                    if i < seen:
                        if marks == 0:
                            i = seen
                            continue
                        before = (marks & (~marks + np.uint64(1))) - np.uint64(1)  # all bits before the first
                        marks &= marks - np.uint64(1)
                        place = seen - eight + np.uintp((before & ONES) * ONES >> np.uint64(56))  # one a byte, added up
                        if place < i:
                            continue
                        i = place
                    byte = block[i]
                    if byte == delimiter or byte == LF or byte == CR:
                        break
                    if byte == 0:
                        odd = True
                    i += one
                stop = i
                closed = i < size or final
            if not closed:
                break
            filled = filled or begin < stop
            if field < width:
                while begin < stop and (block[begin] == BLANK or block[begin] == TAB):
                    begin += one
                while begin < stop and (block[stop - one] == BLANK or block[stop - one] == TAB):
                    stop -= one
                bounds[2 * field, fit] = begin
                bounds[2 * field + 1, fit] = stop
            field += 1
            if i >= size:
                end = i
                whole = True
                break
            byte = block[i]
            i += one
            if byte == delimiter:
                continue
            if byte == CR and i < size and block[i] == LF:
                i += one
            end = i
            whole = byte == LF or i < size or final  # a line feed may follow a last carriage return
            break
        if end - at > longest:
            break
        if not whole:
            break
        if filled and (odd or field != width):
            odd_starts[others] = at
            odd_ends[others] = end
            odd_lines[others] = line
            others += 1
        elif filled:
            starts[fit] = at
            ends[fit] = end
            lines[fit] = line
            fit += 1
        line += 1 + breaks
        at = end
    return fit, others, np.int64(at), line


@compiled(int64[::1], BYTES, int64, uint8[::1], numba.types.Array(numba.uint16, 1, "C", readonly=True))
def from_gb18030(block, at, out, table):  # type: ignore[no-untyped-def]
    """Write GB18030 as UTF-8, up to the first character that takes more than a look into the table.

    Args:
        block: The bytes.
        at: Where to begin.
        out: Takes the text: half as many bytes again as are left of the block.
        table: The character of each pair of bytes; 0 where there is none.

    Returns:
        Where reading ended, and the bytes written.
    """
    size = np.uintp(block.size)
    one = np.uintp(1)
    i = np.uintp(at)
    written = np.uintp(0)
    while i < size:
        byte = block[i]
        if byte < 0x80:
            out[written] = byte
            written += one
            i += one
            continue
        if i + one >= size:
            break
        character = table[np.uintp(byte) * np.uintp(256) + np.uintp(block[i + one])]
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

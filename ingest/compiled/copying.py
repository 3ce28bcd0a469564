"""Rows in the binary format of PostgreSQL's COPY, written column by column.

``at`` holds, for each row, where its next field begins in ``out``; every function moves it on. Rows whose ``at`` is
negative are left out. Sizes first (``size_…`` adds a column's bytes to ``at``), then the same columns in their order.
Numbers are big-endian; a field is its size (four bytes, -1 for no value) and its bytes.
"""

# The decorator says the types; comparisons one by one are what the compiler likes.
# mypy: ignore-errors

import numba
import numpy as np
from numba import int64, uint8

from ingest.compiled import BYTES, INTEGERS, NULL, PLACES, compiled
from ingest.compiled.words import put, word

_OUT = (uint8[::1], int64[::1])


@compiled(numba.void, uint8[::1], int64, int64, int64, inline="always")
def _put(out, at, value, size):
    """``size`` bytes of a number."""
    for place in range(size):
        out[np.uintp(at + place)] = (value >> (8 * (size - 1 - place))) & 0xFF


@compiled(numba.void, int64, *_OUT)
def begin_rows(fields, out, at):
    """The number of fields of each row (two bytes)."""
    for row in range(at.size):
        if at[row] >= 0:
            _put(out, at[row], fields, 2)
            at[row] += 2


@compiled(numba.void, PLACES, PLACES, int64[::1])
def size_texts(starts, ends, at):
    """Room for texts."""
    for row in range(at.size):
        if at[row] >= 0:
            at[row] += 4 + ends[row] - starts[row]


@compiled(numba.void, BYTES, PLACES, PLACES, *_OUT)
def put_texts(block, starts, ends, out, at):
    """Texts; an empty one is no value."""
    for row in range(at.size):
        to = at[row]
        if to < 0:
            continue
        begin = np.int64(starts[row])
        size = np.int64(ends[row]) - begin
        _put(out, to, size if size > 0 else -1, 4)
        to += 4
        at[row] = to + size
        while size >= 8:
            put(out, np.uintp(to), word(block, np.uintp(begin)))
            begin += 8
            to += 8
            size -= 8
        for place in range(size):
            out[np.uintp(to + place)] = block[np.uintp(begin + place)]


@compiled(numba.void, INTEGERS, int64, int64[::1])
def size_numbers(values, size, at):
    """Room for whole numbers of ``size`` bytes."""
    for row in range(at.size):
        if at[row] >= 0:
            at[row] += 4 + (size if values[row] != NULL else 0)


@compiled(numba.void, INTEGERS, int64, int64, int64, *_OUT)
def put_numbers(values, factor, plus, size, out, at):
    """Whole numbers of ``size`` bytes, each times ``factor`` and ``plus`` something."""
    for row in range(at.size):
        to = at[row]
        if to < 0:
            continue
        if values[row] == NULL:
            _put(out, to, -1, 4)
            at[row] = to + 4
        else:
            _put(out, to, size, 4)
            value = values[row] * factor + plus
            if size == 8:
                _put(out, to + 4, value, 8)
            elif size == 4:
                _put(out, to + 4, value, 4)
            else:
                _put(out, to + 4, value, size)
            at[row] = to + 4 + size


@compiled(int64, int64)
def _groups(cents):
    """How many groups of four digits hundredths take: those before the dot, and one behind it unless it is 0.

    Groups of zeros at the end are not written.
    """
    if cents == 0:
        return 0
    size = abs(cents)
    behind = 1 if size % 100 else 0
    whole = size // 100
    groups = behind
    if behind == 0:
        while whole % 10_000 == 0:
            whole //= 10_000
    while whole > 0:
        groups += 1
        whole //= 10_000
    return groups


@compiled(numba.void, INTEGERS, int64[::1])
def size_hundredths(values, at):
    """Room for hundredths."""
    for row in range(at.size):
        if at[row] >= 0:
            at[row] += 4 + (8 + 2 * _groups(values[row]) if values[row] != NULL else 0)


@compiled(numba.void, INTEGERS, *_OUT)
def put_hundredths(values, out, at):
    """Hundredths as ``numeric`` with two places: digits in groups of four, those of the highest group first."""
    for row in range(at.size):
        to = at[row]
        if to < 0:
            continue
        cents = values[row]
        if cents == NULL:
            _put(out, to, -1, 4)
            at[row] = to + 4
            continue
        groups = _groups(cents)
        size = abs(cents)
        whole = size // 100
        weight = -1  # the place of the highest group, 0 right before the dot
        rest = whole
        while rest > 0:
            weight += 1
            rest //= 10_000
        _put(out, to, 8 + 2 * groups, 4)
        _put(out, to + 4, groups, 2)
        _put(out, to + 6, weight if groups else 0, 2)
        _put(out, to + 8, 0x4000 if cents < 0 else 0, 2)
        _put(out, to + 10, 2, 2)
        to += 12 + 2 * groups
        at[row] = to
        left = groups
        if size % 100:
            to -= 2
            left -= 1
            _put(out, to, size % 100 * 100, 2)
        elif groups:
            while whole % 10_000 == 0:
                whole //= 10_000
        while left > 0:
            to -= 2
            left -= 1
            _put(out, to, whole % 10_000, 2)
            whole //= 10_000


@compiled(numba.void, int64, int64[::1])
def size_keys(size, at):
    """Room for values of ``size`` bytes."""
    for row in range(at.size):
        if at[row] >= 0:
            at[row] += 4 + size


@compiled(numba.void, numba.types.Array(uint8, 2, "C", readonly=True), *_OUT)
def put_keys(keys, out, at):
    """Rows of a matrix of bytes."""
    size = keys.shape[1]
    for row in range(at.size):
        to = at[row]
        if to < 0:
            continue
        _put(out, to, size, 4)
        for place in range(size):
            out[np.uintp(to + 4 + place)] = keys[row, place]
        at[row] = to + 4 + size


@compiled(int64, numba.boolean[::1], int64[::1])
def begin_at(kept, at):
    """Turn the sizes of rows into where they begin, -1 for those not ``kept``; returns the size of all."""
    place = 0
    for row in range(at.size):
        size = at[row]
        at[row] = -1
        if kept[row]:
            at[row] = place
            place += size
    return place

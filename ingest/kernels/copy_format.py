"""Rows in the binary format of PostgreSQL's COPY, written column by column.

First every column adds its size to each row (``add_…_sizes``), and ``sizes_to_positions`` turns the sums into offsets;
then the columns are written in the same order. ``positions`` holds, for each row, the offset in ``out`` of its next
field; every function advances it. Rows with a negative position are skipped. Integers are big-endian; a field is its
size (four bytes, -1 for null) followed by its bytes.
"""

# The decorator declares the types; separate comparisons compile to faster code than ``in``.
# mypy: ignore-errors

import numba
import numpy as np
from numba import int64, uint8

from ingest.kernels import BYTES, INTEGERS, NULL, OFFSETS, compiled
from ingest.kernels.unaligned import load_u64, store_u64

_OUT = (uint8[::1], int64[::1])


@compiled(numba.void, uint8[::1], int64, int64, int64, inline="always")
def _write_int(out, position, value, size):
    """Write the lowest ``size`` bytes of an integer, big-endian."""
    for index in range(size):
        out[np.uintp(position + index)] = (value >> (8 * (size - 1 - index))) & 0xFF


@compiled(numba.void, int64, *_OUT)
def write_field_counts(fields, out, positions):
    """Write the number of fields of each row (two bytes)."""
    for row in range(positions.size):
        if positions[row] >= 0:
            _write_int(out, positions[row], fields, 2)
            positions[row] += 2


@compiled(numba.void, OFFSETS, OFFSETS, int64[::1])
def add_text_sizes(starts, ends, positions):
    """Add the sizes of a text column."""
    for row in range(positions.size):
        if positions[row] >= 0:
            positions[row] += 4 + ends[row] - starts[row]


@compiled(numba.void, BYTES, OFFSETS, OFFSETS, *_OUT)
def write_text(buffer, starts, ends, out, positions):
    """Write a text column; empty text becomes null."""
    for row in range(positions.size):
        position = positions[row]
        if position < 0:
            continue
        start = np.int64(starts[row])
        size = np.int64(ends[row]) - start
        _write_int(out, position, size if size > 0 else -1, 4)
        position += 4
        positions[row] = position + size
        while size >= 8:
            store_u64(out, np.uintp(position), load_u64(buffer, np.uintp(start)))
            start += 8
            position += 8
            size -= 8
        for index in range(size):
            out[np.uintp(position + index)] = buffer[np.uintp(start + index)]


@compiled(numba.void, INTEGERS, int64, int64[::1])
def add_integer_sizes(values, size, positions):
    """Add the sizes of integers of ``size`` bytes."""
    for row in range(positions.size):
        if positions[row] >= 0:
            positions[row] += 4 + (size if values[row] != NULL else 0)


@compiled(numba.void, INTEGERS, int64, int64, int64, *_OUT)
def write_integers(values, factor, addend, size, out, positions):
    """Write integers of ``size`` bytes, as ``value * factor + addend``."""
    for row in range(positions.size):
        position = positions[row]
        if position < 0:
            continue
        if values[row] == NULL:
            _write_int(out, position, -1, 4)
            positions[row] = position + 4
        else:
            _write_int(out, position, size, 4)
            value = values[row] * factor + addend
            if size == 8:
                _write_int(out, position + 4, value, 8)
            elif size == 4:
                _write_int(out, position + 4, value, 4)
            else:
                _write_int(out, position + 4, value, size)
            positions[row] = position + 4 + size


@compiled(int64, int64)
def _digit_groups(hundredths):
    """The number of base-10000 digits of a ``numeric`` given in hundredths.

    That is the digits of the integer part, and another for a fraction that is not 0; trailing zero digits are omitted.
    """
    if hundredths == 0:
        return 0
    size = abs(hundredths)
    has_fraction = 1 if size % 100 else 0
    whole = size // 100
    groups = has_fraction
    if has_fraction == 0:
        while whole % 10_000 == 0:
            whole //= 10_000
    while whole > 0:
        groups += 1
        whole //= 10_000
    return groups


@compiled(numba.void, INTEGERS, int64[::1])
def add_numeric_sizes(values, positions):
    """Add the sizes of ``numeric`` values given in hundredths."""
    for row in range(positions.size):
        if positions[row] >= 0:
            positions[row] += 4 + (8 + 2 * _digit_groups(values[row]) if values[row] != NULL else 0)


@compiled(numba.void, INTEGERS, *_OUT)
def write_numeric(values, out, positions):
    """Write hundredths as ``numeric`` with scale 2: base-10000 digits, the most significant first."""
    for row in range(positions.size):
        position = positions[row]
        if position < 0:
            continue
        hundredths = values[row]
        if hundredths == NULL:
            _write_int(out, position, -1, 4)
            positions[row] = position + 4
            continue
        groups = _digit_groups(hundredths)
        size = abs(hundredths)
        whole = size // 100
        weight = -1  # the power of 10000 of the first digit
        rest = whole
        while rest > 0:
            weight += 1
            rest //= 10_000
        _write_int(out, position, 8 + 2 * groups, 4)
        _write_int(out, position + 4, groups, 2)
        _write_int(out, position + 6, weight if groups else 0, 2)
        _write_int(out, position + 8, 0x4000 if hundredths < 0 else 0, 2)
        _write_int(out, position + 10, 2, 2)
        position += 12 + 2 * groups
        positions[row] = position
        remaining = groups
        if size % 100:
            position -= 2
            remaining -= 1
            _write_int(out, position, size % 100 * 100, 2)
        elif groups:
            while whole % 10_000 == 0:
                whole //= 10_000
        while remaining > 0:
            position -= 2
            remaining -= 1
            _write_int(out, position, whole % 10_000, 2)
            whole //= 10_000


@compiled(numba.void, int64, int64[::1])
def add_fixed_sizes(size, positions):
    """Add the sizes of values of ``size`` bytes each."""
    for row in range(positions.size):
        if positions[row] >= 0:
            positions[row] += 4 + size


@compiled(numba.void, numba.types.Array(uint8, 2, "C", readonly=True), *_OUT)
def write_fixed(matrix, out, positions):
    """Write the rows of a byte matrix as fields of fixed size."""
    size = matrix.shape[1]
    for row in range(positions.size):
        position = positions[row]
        if position < 0:
            continue
        _write_int(out, position, size, 4)
        for index in range(size):
            out[np.uintp(position + 4 + index)] = matrix[row, index]
        positions[row] = position + 4 + size


@compiled(int64, numba.boolean[::1], int64[::1])
def sizes_to_positions(included, positions):
    """Turn row sizes into row offsets, -1 for rows not ``included``; returns the total size."""
    index = 0
    for row in range(positions.size):
        size = positions[row]
        positions[row] = -1
        if included[row]:
            positions[row] = index
            index += size
    return index

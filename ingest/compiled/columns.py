"""Columns of texts: their bytes put together, their order."""

# The decorator says the types; comparisons one by one are what the compiler likes.
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int64, uint8

from ingest.compiled import BYTES, PLACES, compiled


@compiled(numba.types.Tuple((int64[::1], uint8[::1])), BYTES, PLACES, PLACES)
def gather(block, starts, ends):
    """Offsets and bytes of a column of texts, as Arrow wants them."""
    offsets = np.empty(starts.size + 1, dtype=np.int64)
    offsets[0] = 0
    for row in range(starts.size):
        offsets[row + 1] = offsets[row] + ends[row] - starts[row]
    data = np.empty(offsets[starts.size], dtype=np.uint8)
    for row in range(starts.size):
        to = offsets[row]
        for place in range(ends[row] - starts[row]):
            data[np.uintp(to + place)] = block[np.uintp(starts[row] + place)]
    return offsets, data


@compiled(boolean, BYTES, PLACES, PLACES)
def rising(block, starts, ends):
    """Whether every text is greater than the one before, byte by byte, and none is empty."""
    for row in range(starts.size):
        at, end = np.int64(starts[row]), np.int64(ends[row])
        if at == end:
            return False
        if row == 0:
            continue
        before, last = np.int64(starts[row - 1]), np.int64(ends[row - 1])
        while at < end and before < last and block[np.uintp(at)] == block[np.uintp(before)]:
            at += 1
            before += 1
        if at == end or (before < last and block[np.uintp(at)] < block[np.uintp(before)]):
            return False
    return True

"""Text columns: copying their bytes into a contiguous column, checking their order."""

# The decorator declares the types; separate comparisons compile to faster code than ``in``.
# mypy: ignore-errors

import numba
import numpy as np
from numba import boolean, int64, uint8

from ingest.kernels import BYTES, OFFSETS, compiled


@compiled(numba.types.Tuple((int64[::1], uint8[::1])), BYTES, OFFSETS, OFFSETS)
def gather(buffer, starts, ends):
    """Offsets and bytes of a text column in Arrow's layout."""
    offsets = np.empty(starts.size + 1, dtype=np.int64)
    offsets[0] = 0
    for row in range(starts.size):
        offsets[row + 1] = offsets[row] + ends[row] - starts[row]
    data = np.empty(offsets[starts.size], dtype=np.uint8)
    for row in range(starts.size):
        target = offsets[row]
        for index in range(ends[row] - starts[row]):
            data[np.uintp(target + index)] = buffer[np.uintp(starts[row] + index)]
    return offsets, data


@compiled(boolean, BYTES, OFFSETS, OFFSETS)
def is_strictly_increasing(buffer, starts, ends):
    """Whether every text is greater than the one before, byte by byte, and none is empty."""
    for row in range(starts.size):
        position, end = np.int64(starts[row]), np.int64(ends[row])
        if position == end:
            return False
        if row == 0:
            continue
        previous_position, previous_end = np.int64(starts[row - 1]), np.int64(ends[row - 1])
        while (
            position < end
            and previous_position < previous_end
            and buffer[np.uintp(position)] == buffer[np.uintp(previous_position)]
        ):
            position += 1
            previous_position += 1
        if position == end or (
            previous_position < previous_end and buffer[np.uintp(position)] < buffer[np.uintp(previous_position)]
        ):
            return False
    return True

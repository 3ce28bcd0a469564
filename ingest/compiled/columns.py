"""Pieces of a block as a column of their own."""

import numba
import numpy as np
from numba import int64, uint8

from ingest.compiled import BYTES, PLACES, compiled

# mypy: disable-error-code="no-untyped-def"


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

"""Text columns as arrays of bytes, and masks of rows: what makes work on whole columns quick."""

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

Matrix = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class Bytes:
    """The UTF-8 bytes of a text column as one array, to look at all its rows in a few array operations.

    ``data`` holds the rows one after another, without marks between them; row ``i`` is ``lengths[i]`` bytes long and
    begins at ``offsets[i] - start``.
    """

    def __init__(self, series: pl.Series) -> None:
        """``series`` must have no nulls."""
        self.series = series
        array = series.to_arrow(compat_level=pl.CompatLevel.oldest())
        if isinstance(array, pa.ChunkedArray):
            array = array.combine_chunks()
        if not pa.types.is_large_string(array.type):
            array = array.cast(pa.large_string())
        _, offsets, data = array.buffers()
        self.offsets = np.frombuffer(offsets, dtype=np.int64, count=len(array) + array.offset + 1)[array.offset :]
        self.start = int(self.offsets[0])
        whole = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
        self.data = whole[self.start : int(self.offsets[-1])]
        self.lengths = np.diff(self.offsets)
        self.array = array

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.int64]:
        """The rows to which byte ``positions`` belong, each once."""
        found: NDArray[np.int64] = np.unique(
            np.searchsorted(self.offsets, positions + self.start, side="right").astype(np.int64) - 1
        )
        return found

    def bounds(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Where ``rows`` begin and end in ``data``."""
        starts = (self.offsets[rows] - self.start).astype(np.int32)
        return starts, starts + self.lengths[rows].astype(np.int32)

    def matrix(self, rows: NDArray[np.int64], width: int) -> Matrix:
        """The bytes of ``rows``, all of which are ``width`` long, as a (rows, width) matrix (not to be written to)."""
        if len(rows) == len(self.lengths):
            return self.data.reshape(-1, width)
        return Bytes(self.series.gather(rows)).data.reshape(-1, width)


def from_matrix(matrix: Matrix, kind: pa.DataType = pa.large_string()) -> pl.Series:  # noqa: B008 - a constant
    """The rows of a byte matrix, ASCII if they are to be texts."""
    return pl.Series(matrix_array(matrix, kind))


def matrix_array(matrix: Matrix, kind: pa.DataType) -> pa.Array:
    """The same for Arrow."""
    height, width = matrix.shape
    offsets = np.arange(height + 1, dtype=np.int64) * width
    data = pa.py_buffer(np.ascontiguousarray(matrix))
    return pa.Array.from_buffers(kind, height, [None, pa.py_buffer(offsets), data])


def hundredths(values: pl.Series, precision: int) -> pl.Series:
    """Whole numbers (64 bit) of hundredths as decimals of two places."""
    low = (values.fill_null(0) if values.null_count() else values).to_numpy()
    wide = np.stack((low, low >> 63), axis=1)  # 128 bit, little end first
    valid = pa.py_buffer(np.packbits(~nulls(values), bitorder="little")) if values.null_count() else None
    return pl.Series(pa.Array.from_buffers(pa.decimal128(precision, 2), len(low), [valid, pa.py_buffer(wide)]))


def nulls(series: pl.Series) -> Mask:
    """Rows without a value."""
    if 0 < series.null_count() < len(series):
        return series.is_null().to_numpy()
    return np.full(len(series), series.null_count() > 0)


def true(series: pl.Series) -> Mask:
    """Rows that are true; null is not."""
    return (series.fill_null(value=False) if series.null_count() else series).to_numpy()


def among(rows: NDArray[np.int64], height: int) -> Mask:
    """Row numbers as a mask."""
    mask = np.zeros(height, dtype=np.bool_)
    mask[rows] = True
    return mask

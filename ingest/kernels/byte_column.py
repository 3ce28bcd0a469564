"""Text columns as arrays of bytes, and masks of rows, for operations on whole columns."""

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ingest.kernels import Buffer, Offsets
from ingest.kernels.gather import gather

Matrix = NDArray[np.uint8]
Mask = NDArray[np.bool_]


class ByteColumn:
    """The UTF-8 bytes of a text column as a single array, so that array operations can examine all rows at once.

    ``data`` holds the rows one after another, without separators; row ``i`` is ``lengths[i]`` bytes long and starts at
    ``offsets[i] - start``.
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
        content = np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, dtype=np.uint8)
        self.data = content[self.start : int(self.offsets[-1])]
        self.lengths = np.diff(self.offsets)
        self.array = array

    def rows(self, positions: NDArray[np.intp]) -> NDArray[np.int64]:
        """The rows that contain the byte ``positions``, without repetition."""
        found: NDArray[np.int64] = np.unique(
            np.searchsorted(self.offsets, positions + self.start, side="right").astype(np.int64) - 1
        )
        return found

    def bounds(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """The start and end offsets of ``rows`` in ``data``."""
        starts = (self.offsets[rows] - self.start).astype(np.int32)
        return starts, starts + self.lengths[rows].astype(np.int32)

    def matrix(self, rows: NDArray[np.int64], width: int) -> Matrix:
        """The bytes of ``rows``, all of which are ``width`` long, as a read-only (rows, width) matrix."""
        if len(rows) == len(self.lengths):
            return self.data.reshape(-1, width)
        return ByteColumn(self.series.gather(rows)).data.reshape(-1, width)


def from_matrix(matrix: Matrix, kind: pa.DataType = pa.large_string()) -> pl.Series:  # noqa: B008 - a constant
    """A column with the rows of a byte matrix as values; for a text column the bytes must be ASCII."""
    return pl.Series(matrix_array(matrix, kind))


def matrix_array(matrix: Matrix, kind: pa.DataType) -> pa.Array:
    """An Arrow column with the rows of a byte matrix as values."""
    height, width = matrix.shape
    offsets = np.arange(height + 1, dtype=np.int64) * width
    data = pa.py_buffer(np.ascontiguousarray(matrix))
    return pa.Array.from_buffers(kind, height, [None, pa.py_buffer(offsets), data])


def hundredths(values: pl.Series, precision: int) -> pl.Series:
    """Integers (64 bit, in hundredths) as decimals with scale 2."""
    cents = (values.fill_null(0) if values.null_count() else values).to_numpy()
    pairs = np.stack((cents, cents >> 63), axis=1)  # 128 bit, little-endian
    valid = pa.py_buffer(np.packbits(~nulls(values), bitorder="little")) if values.null_count() else None
    return pl.Series(pa.Array.from_buffers(pa.decimal128(precision, 2), len(cents), [valid, pa.py_buffer(pairs)]))


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


def integers(digit_rows: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The integers that decimal digits spell: (digits, n) values 0 to 9, highest digit first, at most nine digits."""
    value = digit_rows[0].astype(np.int32)
    for digit in digit_rows[1:]:
        value *= 10
        value += digit
    return value


def digits(matrix: Matrix) -> Mask:
    """Whether all characters of a row are ASCII digits."""
    # uint8 wraps below "0", so one comparison serves both ends
    digit_rows: Mask = np.all((matrix - np.uint8(48)) < 10, axis=1)
    return digit_rows


def text_array(buffer: Buffer, starts: Offsets, ends: Offsets) -> pa.Array:
    """An Arrow text column from slices of a UTF-8 buffer."""
    offsets, data = gather(buffer, starts, ends)
    return pa.Array.from_buffers(pa.large_string(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(data)])

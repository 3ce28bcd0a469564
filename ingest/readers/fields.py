"""Rows of a text file as slices of its bytes, before values are decoded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.kernels import Buffer, Integers, Offsets
from ingest.kernels.byte_column import text_array


@dataclass(frozen=True)
class FieldSlices:
    """Rows that are split into fields.

    Attributes:
        buffer: The bytes of the rows, UTF-8.
        positions: The index of the field of each contract column that the file has.
        bounds: (2 * fields of a row, rows) Start and end offset of each field, without quotes, blanks and tabs.
        lines: The physical line of each row, from 1.
        rows: Start and end offset of each row, including its line end.
    """

    buffer: Buffer
    positions: Mapping[str, int]
    bounds: NDArray[np.int32]
    lines: Integers
    rows: tuple[Offsets, Offsets]

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.lines)

    def offsets(self, column: str) -> tuple[Offsets, Offsets]:
        """Start and end offsets of the values of a column."""
        position = 2 * self.positions[column]
        return self.bounds[position, : self.height], self.bounds[position + 1, : self.height]

    def frame(self, columns: Iterable[str]) -> pa.RecordBatch:
        """The values of some columns as text."""
        names = list(columns)
        return pa.RecordBatch.from_arrays([text_array(self.buffer, *self.offsets(name)) for name in names], names)

"""Rows of a text file as pieces of its bytes, before anything is made of them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ingest.compiled import Block, Integers, Places
from ingest.compiled.columns import gather


@dataclass(frozen=True)
class Fields:
    """Rows that have been split into fields, nothing more.

    Attributes:
        block: The bytes they lie in, UTF-8.
        places: Which field of a row each contract column is that the file has.
        bounds: (2 * fields of a row, rows) Where each field begins and ends, without quotes, blanks and tabs around.
        lines: The physical line of each row, from 1.
        rows: Where each row begins and ends, its line end included.
    """

    block: Block
    places: Mapping[str, int]
    bounds: NDArray[np.int32]
    lines: Integers
    rows: tuple[Places, Places]

    @property
    def height(self) -> int:
        """The number of rows."""
        return len(self.lines)

    def span(self, column: str) -> tuple[Places, Places]:
        """Where the texts of a column begin and end."""
        place = 2 * self.places[column]
        return self.bounds[place, : self.height], self.bounds[place + 1, : self.height]

    def frame(self, columns: Iterable[str]) -> pa.RecordBatch:
        """The texts of some columns."""
        names = list(columns)
        return pa.RecordBatch.from_arrays([text_array(self.block, *self.span(name)) for name in names], names)


def text_array(block: Block, starts: Places, ends: Places) -> pa.Array:
    """Pieces of UTF-8 as a column of texts."""
    offsets, data = gather(block, starts, ends)
    return pa.Array.from_buffers(pa.large_string(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(data)])

"""Small ids for distinct values, in order of first occurrence."""

import numpy as np
import polars as pl

from ingest.kernels import Buffer, Hashes, Integers, Offsets
from ingest.kernels.byte_column import Mask, text_array
from ingest.kernels.hashing import intern_integers, intern_text, mark_changed

#: Values without an owner that ``SeenFilter`` remembers at most (16 bytes each).
_MAX_UNOWNED = 2_000_000


class TextInterner:
    """Ids for texts."""

    def __init__(self) -> None:
        self.count = 0
        self._allocate(1 << 8, 1 << 12)

    def _allocate(self, count: int, size: int) -> None:
        self._slots = np.zeros(2 * count, dtype=np.int32)
        self._bounds = np.zeros(count + 1, dtype=np.int64)
        self._prefixes = np.empty(count, dtype=np.uint64)
        self._stored = np.empty(size, dtype=np.uint8)

    def ids(self, buffer: Buffer, starts: Offsets, ends: Offsets) -> Integers:
        """The id of each text; new texts are stored."""
        found = np.empty(len(starts), dtype=np.int64)
        row = 0
        while True:
            row, self.count = intern_text(
                buffer, starts, ends, row, self._slots, self._bounds, self._prefixes, self._stored, self.count, found
            )
            if row == len(starts):
                return found
            self._grow(int((ends - starts).max()))

    def _grow(self, size: int) -> None:
        """Double the capacity, and make sure that a text of ``size`` bytes fits."""
        stored, bounds = self._stored, self._bounds[: self.count + 1].astype(np.int32)
        self._allocate(2 * (len(self._bounds) - 1), 2 * len(stored) + size)
        ids = np.empty(self.count, dtype=np.int64)
        slices = stored, bounds[:-1], bounds[1:]
        intern_text(*slices, 0, self._slots, self._bounds, self._prefixes, self._stored, 0, ids)

    @property
    def size(self) -> int:
        """The number of bytes of all stored texts."""
        return int(self._bounds[self.count])

    def slices(self, first: int) -> tuple[Buffer, Offsets, Offsets]:
        """The texts with ids from ``first`` on: a buffer, and the start and end offset of each."""
        bounds = self._bounds[first : self.count + 1]
        offsets = (bounds - bounds[0]).astype(np.int32)
        return self._stored[bounds[0] : bounds[-1]], offsets[:-1], offsets[1:]

    def column(self, first: int) -> pl.Series:
        """The texts with ids from ``first`` on as a column."""
        return pl.Series(text_array(*self.slices(first)))


class IntInterner:
    """Ids for integers."""

    def __init__(self) -> None:
        self.count = 0
        self._allocate(1 << 12)

    def _allocate(self, count: int) -> None:
        self._slots = np.zeros(2 * count, dtype=np.int32)
        self._stored = np.empty(count, dtype=np.int64)

    def ids(self, values: Integers, selected: Mask) -> tuple[Integers, Mask]:
        """The id of each ``selected`` value (-1 elsewhere), and where an id occurs for the first time."""
        found, first_seen = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.bool_)
        row = 0
        while True:
            row, self.count = intern_integers(
                values, selected, row, self._slots, self._stored, self.count, found, first_seen
            )
            if row == len(values):
                return found, first_seen
            stored = self._stored[: self.count]
            self._allocate(2 * len(self._stored))
            all_rows = np.ones(len(stored), dtype=np.bool_)
            intern_integers(stored, all_rows, 0, self._slots, self._stored, 0, stored.copy(), all_rows.copy())


class SeenFilter:
    """Recognises hashes that occurred before; its memory is bounded, so that it may miss some."""

    def __init__(self) -> None:
        self._unowned = IntInterner()
        self._last = np.zeros(1 << 12, dtype=np.uint64)

    def first_seen(self, values: Hashes, owners: Integers, selected: Mask) -> Mask:
        """The ``selected`` rows whose value is new.

        ``owners`` are ids: of each owner only the last value is remembered. Values without an owner (-1) are all
        remembered, up to ``_MAX_UNOWNED``.
        """
        if self._unowned.count > _MAX_UNOWNED:
            self._unowned = IntInterner()
        found = self._unowned.ids(values.view(np.int64), selected & (owners < 0))[1]
        highest = int(owners.max(initial=0))
        if highest >= len(self._last):
            self._last = np.append(self._last, np.zeros(highest + 1, dtype=np.uint64))
        mark_changed(values, owners, selected & (owners >= 0), self._last, found)
        return found

"""Numbers for distinct values, in the order in which they came."""

import numpy as np
import polars as pl

from ingest.columns import Mask
from ingest.compiled import Block, Hashes, Integers, Places
from ingest.compiled.repeats import changed, number_numbers, number_texts
from ingest.fields import text_array

#: Whole numbers that are remembered (16 bytes each).
_SEEN = 2_000_000


class Distinct:
    """Numbers for texts."""

    def __init__(self) -> None:
        self.count = 0
        self._room(1 << 8, 1 << 12)

    def _room(self, count: int, size: int) -> None:
        self._slots = np.zeros(2 * count, dtype=np.int32)
        self._bounds = np.zeros(count + 1, dtype=np.int64)
        self._words = np.empty(count, dtype=np.uint64)
        self._kept = np.empty(size, dtype=np.uint8)

    def numbers(self, block: Block, starts: Places, ends: Places) -> Integers:
        """The number of each text; new ones are kept."""
        found = np.empty(len(starts), dtype=np.int64)
        row = 0
        while True:
            row, self.count = number_texts(
                block, starts, ends, row, self._slots, self._bounds, self._words, self._kept, self.count, found
            )
            if row == len(starts):
                return found
            self._grow(int((ends - starts).max()))

    def _grow(self, size: int) -> None:
        """Have twice the room, and for a text of ``size`` bytes."""
        kept, bounds = self._kept, self._bounds[: self.count + 1].astype(np.int32)
        self._room(2 * (len(self._bounds) - 1), 2 * len(kept) + size)
        again = np.empty(self.count, dtype=np.int64)
        pieces = kept, bounds[:-1], bounds[1:]
        number_texts(*pieces, 0, self._slots, self._bounds, self._words, self._kept, 0, again)

    @property
    def size(self) -> int:
        """The bytes of all texts that are kept."""
        return int(self._bounds[self.count])

    def pieces(self, first: int) -> tuple[Block, Places, Places]:
        """The texts numbered ``first`` and higher: pieces of a block, and where each begins and ends."""
        bounds = self._bounds[first : self.count + 1]
        places = (bounds - bounds[0]).astype(np.int32)
        return self._kept[bounds[0] : bounds[-1]], places[:-1], places[1:]

    def texts(self, first: int) -> pl.Series:
        """The same as a column."""
        return pl.Series(text_array(*self.pieces(first)))


class Numbered:
    """Numbers for whole numbers."""

    def __init__(self) -> None:
        self.count = 0
        self._room(1 << 12)

    def _room(self, count: int) -> None:
        self._slots = np.zeros(2 * count, dtype=np.int32)
        self._kept = np.empty(count, dtype=np.int64)

    def numbers(self, values: Integers, asked: Mask) -> tuple[Integers, Mask]:
        """The number of each value that is asked for, else -1; and where each number came for the first time."""
        found, fresh = np.empty(len(values), dtype=np.int64), np.empty(len(values), dtype=np.bool_)
        row = 0
        while True:
            row, self.count = number_numbers(values, asked, row, self._slots, self._kept, self.count, found, fresh)
            if row == len(values):
                return found, fresh
            kept = self._kept[: self.count]
            self._room(2 * len(self._kept))
            every = np.ones(len(kept), dtype=np.bool_)
            number_numbers(kept, every, 0, self._slots, self._kept, 0, kept.copy(), every.copy())


class Seen:
    """Which whole numbers have come before, as far as is remembered."""

    def __init__(self) -> None:
        self._numbered = Numbered()
        self._last = np.zeros(1 << 12, dtype=np.uint64)

    def fresh(self, values: Hashes, of: Integers, asked: Mask) -> Mask:
        """Where a value that is asked for is new.

        ``of`` says whose values they are: of each only the last is remembered. Values of nobody (-1) are all
        remembered, up to a bound.
        """
        if self._numbered.count > _SEEN:
            self._numbered = Numbered()
        found = self._numbered.numbers(values.view(np.int64), asked & (of < 0))[1]
        most = int(of.max(initial=0))
        if most >= len(self._last):
            self._last = np.append(self._last, np.zeros(most + 1, dtype=np.uint64))
        changed(values, of, asked & (of >= 0), self._last, found)
        return found

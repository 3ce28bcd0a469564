"""Columns whose values come again: each distinct one is cleaned once, for all batches of a file."""

from zlib import crc32

import numpy as np
import polars as pl

from ingest import cleaning
from ingest.cleaning import Context
from ingest.columns import Bytes, true
from ingest.compiled import NULL, Block, Integers, Places
from ingest.compiled.repeats import add_texts
from ingest.contracts.model import Column, Kind
from ingest.copying import fields_of
from ingest.distinct import Distinct
from ingest.landing import dtype

#: Distinct values that are remembered from batch to batch, and their bytes.
_REMEMBERED = 1 << 16
_BYTES = 4 * 1024 * 1024
#: Kinds whose fields are not the bytes of their texts.
_NOT_TEXT = frozenset({Kind.FLAG, Kind.INTEGER, Kind.NUMBER})


class Repeats:
    """One column: what its texts are once they are cleaned.

    Each array holds, by the number of the text:

    Attributes:
        odd: Whether a text breaks a rule, or is one of a key that cleaning changes.
        starts, ends: Where its field (as COPY writes it) lies in ``block``.
        hashes: What it adds to the hash of its row (``seed_of`` the column).
        hundredths: Of numbers, NULL for no value.
        remarks: By code, whether it holds.
    """

    def __init__(self, column: Column, context: Context) -> None:
        self.column, self.context = column, context
        self._forget()

    def _forget(self) -> None:
        self._distinct = Distinct()
        self.texts: list[str | None] = []
        self.block = np.empty(0, dtype=np.uint8)
        self.starts = self.ends = np.empty(0, dtype=np.int32)
        self.odd = np.empty(0, dtype=np.bool_)
        self.hashes = np.empty(0, dtype=np.uint64)
        self.hundredths = np.empty(0, dtype=np.int64)
        self.remarks: dict[str, np.ndarray] = {}

    def numbers(self, block: Block, starts: Places, ends: Places) -> Integers:
        """The number of each text of a batch. Numbers given out before mean nothing any more."""
        if self._distinct.count > _REMEMBERED or self._distinct.size > _BYTES:
            self._forget()
        known = self._distinct.count
        found = self._distinct.numbers(block, starts, ends)
        if self._distinct.count > known:
            self._learn(self._distinct.texts(known))
        return found

    def _learn(self, fresh: pl.Series) -> None:
        cleaned = cleaning.clean(fresh, self.column, self.context)
        content = Bytes(cleaned.text.fill_null(""))
        bounds = (content.offsets - content.start).astype(np.int32)
        hashes = np.zeros(len(fresh), dtype=np.uint64)
        add_texts(content.data, bounds[:-1], bounds[1:], seed_of(self.column), hashes)
        block, starts, ends = content.data, bounds[:-1], bounds[1:]
        if self.column.kind in _NOT_TEXT:
            rows, *places = fields_of(cleaning.typed(cleaned, self.column).cast(dtype(self.column.sql_type)))
            block, (starts, ends) = np.frombuffer(rows, dtype=np.uint8), np.array(places, dtype=np.int32)
            if self.column.kind is not Kind.FLAG:
                times = (cleaned.value * 100).cast(pl.Int64).fill_null(NULL)
                self.hundredths = np.append(self.hundredths, times.to_numpy())
        none = np.zeros(len(fresh), dtype=np.bool_)
        for code in {code for code in cleaned.flags if code.startswith("W_")} | self.remarks.keys():
            before = self.remarks.get(code, np.zeros(len(self.texts), dtype=np.bool_))
            self.remarks[code] = np.append(before, cleaned.flags.get(code, none))
        self.texts += cleaned.text.to_list()
        self.starts = np.append(self.starts, starts + np.int32(len(self.block)))
        self.ends = np.append(self.ends, ends + np.int32(len(self.block)))
        self.block = np.append(self.block, block)
        self.hashes = np.append(self.hashes, hashes)
        odd = cleaned.wrong
        if self.column.key:  # keys are looked at as they are delivered: see ``Staging``
            odd = odd | true(cleaned.text != fresh)
        self.odd = np.append(self.odd, odd)


def seed_of(column: Column) -> np.uint64:
    """Where the hashes of a column's values begin, so that values count for what they are and where they stand."""
    return np.uint64(crc32(column.name.encode()))

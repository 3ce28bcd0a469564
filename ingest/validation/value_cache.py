"""Columns whose values repeat: each distinct value is cleaned once, for all batches of a file."""

from zlib import crc32

import numpy as np
import polars as pl

from ingest.contracts.model import Column, Kind
from ingest.errors import RowCode
from ingest.kernels import NULL, Buffer, Integers, Offsets
from ingest.kernels.byte_column import ByteColumn, Mask, true
from ingest.kernels.hashing import add_text_hashes
from ingest.kernels.interning import TextInterner
from ingest.landing.pg_copy import encode_fields
from ingest.landing.tables import dtype
from ingest.validation import cleaning
from ingest.validation.cleaning import Context
from ingest.validation.identifiers import ONE_PERSON_ROLES, find_numbers, is_one_person

#: The cache is emptied when it holds more distinct values, or more bytes of them.
_MAX_VALUES = 1 << 16
_MAX_BYTES = 4 * 1024 * 1024
#: Kinds whose fields are not the bytes of their texts.
_NOT_TEXT = frozenset({Kind.FLAG, Kind.INTEGER, Kind.NUMBER, Kind.MONTH})


class ValueCache:
    """The distinct texts of one column and the results of their cleaning.

    A text has a number, its position in each of these arrays:

    Attributes:
        texts: The cleaned text, None for no value.
        needs_check: Whether it breaks a rule, belongs to a key and is changed by cleaning, holds an identifier, or is
            free text: then the rules decide what lands.
        one_person: Whether it says that the employer is a one-person business.
        starts, ends: Where its field, as COPY writes it, lies in ``buffer``.
        hashes: What it adds to the content hash of its row.
        amounts: Of numbers hundredths, of months days since 1970-01-01; NULL for no value.
        warnings: By row code, whether the text has this warning.
    """

    def __init__(self, column: Column, context: Context) -> None:
        self.column, self.context = column, context
        self._forget()

    def _forget(self) -> None:
        self._distinct = TextInterner()
        self.texts: list[str | None] = []
        self.buffer = np.empty(0, dtype=np.uint8)
        self.starts = self.ends = np.empty(0, dtype=np.int32)
        self.needs_check = np.empty(0, dtype=np.bool_)
        self.one_person = np.empty(0, dtype=np.bool_)
        self.hashes = np.empty(0, dtype=np.uint64)
        self.amounts = np.empty(0, dtype=np.int64)
        self.warnings: dict[str, np.ndarray] = {}

    def numbers(self, buffer: Buffer, starts: Offsets, ends: Offsets) -> Integers:
        """The number of each text of a batch. Numbers of earlier batches are no longer valid."""
        if self._distinct.count > _MAX_VALUES or self._distinct.size > _MAX_BYTES:
            self._forget()
        known = self._distinct.count
        found = self._distinct.ids(buffer, starts, ends)
        if self._distinct.count > known:
            self._learn(self._distinct.column(known))
        return found

    def _learn(self, added: pl.Series) -> None:
        cleaned = cleaning.clean(added, self.column, self.context)
        content = ByteColumn(cleaned.text.fill_null(""))
        bounds = (content.offsets - content.start).astype(np.int32)
        hashes = np.zeros(len(added), dtype=np.uint64)
        add_text_hashes(content.data, bounds[:-1], bounds[1:], seed_of(self.column), hashes)
        buffer, starts, ends = content.data, bounds[:-1], bounds[1:]
        if self.column.kind in _NOT_TEXT:
            rows, *offsets = encode_fields(cleaning.typed(cleaned, self.column).cast(dtype(self.column.sql_type)))
            buffer, (starts, ends) = np.frombuffer(rows, dtype=np.uint8), np.array(offsets, dtype=np.int32)
            if self.column.kind is not Kind.FLAG:
                value = cleaned.value if self.column.kind is Kind.MONTH else cleaned.value * 100
                self.amounts = np.append(self.amounts, value.cast(pl.Int64).fill_null(NULL).to_numpy())
        none = np.zeros(len(added), dtype=np.bool_)
        for code in {code for code in cleaned.flags if code.startswith("W_")} | self.warnings.keys():
            before = self.warnings.get(code, np.zeros(len(self.texts), dtype=np.bool_))
            self.warnings[code] = np.append(before, cleaned.flags.get(code, none))
        self.texts += cleaned.text.to_list()
        self.starts = np.append(self.starts, starts + np.int32(len(self.buffer)))
        self.ends = np.append(self.ends, ends + np.int32(len(self.buffer)))
        self.buffer = np.append(self.buffer, buffer)
        self.hashes = np.append(self.hashes, hashes)
        needs_check = cleaned.wrong
        if self.column.key:  # duplicates are found by keys as delivered: see ``Staging``
            needs_check = needs_check | true(cleaned.text != added)
        needs_check = needs_check | cleaned.flags.get(RowCode.FREE_TEXT, none)
        find_numbers(self.column, (content.data, bounds[:-1], bounds[1:]), self.context.created_date, needs_check)
        self.needs_check = np.append(self.needs_check, needs_check)
        self.one_person = np.append(self.one_person, self._is_one_person(cleaned.text))

    def _is_one_person(self, texts: pl.Series) -> Mask:
        if self.column.role in ONE_PERSON_ROLES:
            return is_one_person(self.column, texts)
        return np.zeros(len(texts), dtype=np.bool_)


def seed_of(column: Column) -> np.uint64:
    """The seed of a column's hashes, so that equal values of different columns have different hashes."""
    return np.uint64(crc32(column.name.encode()))

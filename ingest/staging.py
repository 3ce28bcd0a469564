"""The rows of one file on their way from its reader to COPY."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from ingest import checks, ledger
from ingest.batches import Batch
from ingest.cleaning import Context
from ingest.copying import Copy
from ingest.errors import RowCode
from ingest.identity import Keyring
from ingest.plain import Plainly
from ingest.readers import RawBatch, Rows, Table, TextBatch
from ingest.vault import VaultBatch

#: What is held back at most, in rows and bytes: what a library is asked for once costs the same for few as for many.
_ROWS = 4096
_BYTES = 4 * 1024 * 1024


class Staging:
    """Checks a file's rows, counts them, and makes them ready to be copied.

    Attributes:
        read, rejected: Rows so far.
    """

    def __init__(self, table: Table, batch: Batch, vault: VaultBatch, context: Context, number: int, path: str) -> None:
        """``number`` and ``path``: of the file in its delivery."""
        self.read = self.rejected = 0
        self._table, self._batch, self._vault, self._context = table, batch, vault, context
        self._number, self._path = number, path
        self._feed, self._keyring = batch.feed, vault.keyring
        self._keys = [column.name for column in self._feed.keys]
        self._absent = [column.name for column in self._feed.landed if column.name not in table.columns]
        self._plainly = Plainly(self._feed, context, self._keyring, table.columns)
        self._odd: list[Rows] = []
        self._odd_rows = self._odd_bytes = 0

    def copies(self) -> Iterator[list[Copy]]:
        """Everything there is to be copied; of each list the first goes on in one COPY, the rest can wait."""
        for raw in self._table.batches():
            if isinstance(raw, RawBatch):
                copies, keys = self._check(raw)
                self._batch.note_keys(*keys)
                yield copies
            else:
                yield from self._take(raw)
        yield from self._rest()

    def _take(self, raw: TextBatch) -> Iterator[list[Copy]]:
        """The plain rows of a batch; the others, and persons, once there are enough of them."""
        self._again = raw.again
        plain, rows = self._plainly.take(raw.fields)
        self._batch.note_keys_of(raw.fields)
        count = int(np.count_nonzero(plain))
        self.read += count
        if count:
            yield [self._batch.plain(self._plainly.columns, rows)]
        if count < len(plain):
            self._odd.append(raw.only(np.flatnonzero(~plain)))
            self._odd_rows += len(plain) - count
            self._odd_bytes += len(self._odd[-1].texts)
        if self._odd_rows > _ROWS or self._odd_bytes > _BYTES:
            yield self._check_odd()
        if self._plainly.held > _BYTES:
            yield self._collected()

    def _rest(self) -> Iterator[list[Copy]]:
        """What is held back."""
        yield self._collected()
        if self._odd:
            yield self._check_odd()

    def _collected(self) -> list[Copy]:
        return self._with_good(Copy.of_rows(self._batch.rows, [], []), *self._plainly.collected())

    def _check_odd(self) -> list[Copy]:
        """Rows that are not plain. Their keys have been noted as they were delivered: here only those that changed."""
        raw = self._again(b"".join(few.texts for few in self._odd), np.concatenate([few.lines for few in self._odd]))
        self._odd, self._odd_rows, self._odd_bytes = [], 0, 0
        copies, keys = self._check(raw)
        for part in keys if self._batch.minds_keys else ():
            delivered = raw.frame.select(self._keys).with_columns(line_number=raw.line)
            both = part.join(delivered, on="line_number", suffix=" delivered")
            changed = pl.any_horizontal(pl.col(key) != pl.col(f"{key} delivered") for key in self._keys)
            self._batch.note_keys(both.filter(changed))
        return copies

    def _check(self, raw: RawBatch) -> tuple[list[Copy], list[pl.DataFrame]]:
        """Rows that may be anything; and their keys."""
        checked = checks.check(raw, self._feed, self._context, self._keyring)
        rejected = checked.rejected.select("row", "line_number", "reasons", "content_hash", *self._keys)
        nothing = [None] * (1 + len(self._keys))
        seal = self._keyring.seal
        ragged = [(line, [RowCode.COLUMNS], seal(text.encode()), *nothing) for line, text in raw.ragged]
        self.read += len(raw.line) + len(ragged)
        self.rejected += rejected.height + len(ragged)
        copies = [
            *self._with_good(self._batch.good(checked.good.drop(self._absent)), checked.persons, checked.warnings),
            self._batch.rejected(with_text(raw, rejected.iter_rows(), self._keyring)),
            self._batch.rejected(ragged),
        ]
        return copies, [part.select("line_number", *self._keys) for part in (checked.good, checked.rejected)]

    def _with_good(self, good: Copy, persons: pl.DataFrame, warnings: pl.DataFrame) -> list[Copy]:
        return [
            good,
            self._vault.sealed(self._feed, persons),
            ledger.row_warnings(self._batch.arrival_id, self._number, self._path, warnings),
        ]


def with_text(raw: RawBatch, rejected: Iterable[tuple[Any, ...]], keyring: Keyring) -> list[tuple[Any, ...]]:
    """Rejected rows of a batch with their sealed text; each: row of the batch, line, reasons, hash, keys."""
    rows = list(rejected)
    texts = raw.raw([row for row, *_ in rows])
    return [
        (line, reasons, keyring.seal(text.encode()), *content)
        for (_, line, reasons, *content), text in zip(rows, texts, strict=True)
    ]

"""The rows of one file on their way from its reader to COPY."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from ingest import checks, ledger
from ingest.batches import Batch
from ingest.cleaning import Context
from ingest.copying import Copy
from ingest.errors import RowCode
from ingest.identity import Keyring
from ingest.plain import Plainly
from ingest.readers import FewRows, RawBatch, Table, TextBatch, together
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
        self._keys_of_plain: list[pa.RecordBatch] = []
        self._odd: list[FewRows] = []

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
        """The plain rows of a batch; the others and what belongs to them only once there are enough."""
        plain, rows = self._plainly.take(raw.fields)
        picks = np.flatnonzero(plain)
        self.read += len(picks)
        if len(picks):
            self._keys_of_plain.append(raw.fields.frame(self._keys, picks))
            yield [self._batch.plain(self._plainly.columns, rows)]
        if len(picks) < len(plain):
            self._odd.append(raw.only(np.flatnonzero(~plain)))
        held = self._plainly.held + sum(few.size for few in self._odd) + sum(keys.nbytes for keys in self._keys_of_plain)
        if held > _BYTES or sum(len(few.lines) for few in self._odd) > _ROWS:
            yield from self._rest()

    def _rest(self) -> Iterator[list[Copy]]:
        """What is held back. Keys of plain and other rows are looked at together: they come from the same lines."""
        persons, warnings = self._plainly.collected()
        yield self._with_good(Copy.of_rows(self._batch.rows, [], []), persons, warnings)
        keys = [pl.DataFrame(pa.Table.from_batches(self._keys_of_plain))] if self._keys_of_plain else []
        if self._odd:
            copies, more = self._check(together(self._odd))
            keys += more
            yield copies
        if keys:
            self._batch.note_keys(*keys)
        self._keys_of_plain, self._odd = [], []

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
        return copies, [checked.good.select(self._keys), checked.rejected.select(self._keys)]

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

"""The rows of one file on their way from its reader to COPY."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import polars as pl

from ingest.errors import RowCode
from ingest.kernels import Integers
from ingest.landing.pg_copy import CopyJob
from ingest.landing.staging_tables import StagingTable
from ingest.ledger import ledger
from ingest.privacy.keyring import Keyring
from ingest.privacy.vault import VaultBatch
from ingest.readers import RawBatch, Table, TextBatch, TextRows
from ingest.validation import rules
from ingest.validation.cleaning import Context
from ingest.validation.fast_path import FastPath

#: How many rows and bytes are collected before a step whose fixed cost is high: the full check, and storing persons.
_MAX_COLLECTED_ROWS = 4096
_MAX_COLLECTED_BYTES = 4 * 1024 * 1024
#: Batches of at most so many rows take the full check at once: the fast path costs more than that before its first row.
_MAX_SHORT_BATCH_ROWS = 1500


class KeptText:
    """The encrypted texts of a delivery's rejected rows, up to so many rows and bytes.

    Attributes:
        is_full: Whether the text of a row was not kept, because there were too many.
        left_out: Whether the text of a row was not kept, for whatever reason.
    """

    def __init__(self, keyring: Keyring, rows: int, size: int) -> None:
        self.is_full = self.left_out = False
        self._encrypt, self._rows, self._bytes = keyring.encrypt, rows, size

    def take(self, text: str) -> bytes | None:
        """The text, encrypted; None beyond the limits."""
        if not self.is_full:
            data = text.encode()
            self._rows, self._bytes = self._rows - 1, self._bytes - len(data)
            self.is_full = self._rows < 0 or self._bytes < 0
            if not self.is_full:
                return self._encrypt(data)
        self.left_out = True
        return None

    def take_of(self, reasons: Sequence[str], text: str) -> bytes | None:
        """The text of a row with these reasons, encrypted; None beyond the limits, and of a person who was erased."""
        if RowCode.ERASED not in reasons:
            return self.take(text)
        self.left_out = True
        return None


class _CollectedRows:
    """Rows of a text file that the fast path did not take, until there are enough of them for a full check."""

    def __init__(self) -> None:
        self._parts: list[TextRows] = []
        self._rows = self._bytes = 0

    def add(self, batch: TextBatch, rows: Integers) -> None:
        """Add some rows of a batch."""
        if len(rows):
            self._reparse = batch.reparse
            self._parts.append(batch.select(rows))
            self._rows += len(rows)
            self._bytes += len(self._parts[-1].content)

    def __bool__(self) -> bool:
        return bool(self._parts)

    @property
    def are_enough(self) -> bool:
        """Whether they should be checked now."""
        return self._rows > _MAX_COLLECTED_ROWS or self._bytes > _MAX_COLLECTED_BYTES

    def take_all(self) -> RawBatch:
        """All rows as text; none is collected afterwards."""
        parts, self._parts, self._rows, self._bytes = self._parts, [], 0, 0
        return self._reparse(b"".join(part.content for part in parts), np.concatenate([part.lines for part in parts]))


class Staging:
    """Checks a file's rows, counts them, and makes them ready to be copied.

    Attributes:
        read, rejected: Rows so far.
        replaced: Values so far that were replaced by a hash, by column.
        faulty: Of the rejected rows, those that are not of a person who was erased.
    """

    def __init__(
        self,
        table: Table,
        staging_table: StagingTable,
        vault: VaultBatch,
        kept_text: KeptText,
        context: Context,
        number: int,
        path: str,
        *,
        fast_path: bool = True,
    ) -> None:
        """``number`` and ``path``: of the file in its delivery, which has the texts ``kept_text``.

        Without ``fast_path`` every row is checked in full.
        """
        self.read = self.rejected = self.faulty = 0
        self.replaced = Counter[str]()
        self._table, self._staging_table, self._vault, self._context = table, staging_table, vault, context
        self._number, self._path, self._kept_text = number, path, kept_text
        self._feed, self._keyring = staging_table.feed, vault.keyring
        self._fast_path_enabled = fast_path
        self._keys = [column.name for column in self._feed.keys]
        self._absent = [column.name for column in self._feed.landed if column.name not in table.columns]
        self._fast_path = FastPath(self._feed, context, self._keyring, table.columns)
        self._unusual = _CollectedRows()

    def copies(self) -> Iterator[list[CopyJob]]:
        """All copy jobs of the file; of each list the first continues one long COPY, the others can wait."""
        for batch in self._table.batches():
            if isinstance(batch, TextBatch) and self._takes_fast_path(batch):
                yield from self._copies_by_fast_path(batch)
            else:
                copies, keys = self._check(batch.to_raw())
                self._staging_table.add_keys(*keys)
                yield copies
        yield self._collected_by_fast_path()
        if self._unusual:
            yield self._check_unusual()

    def _takes_fast_path(self, batch: TextBatch) -> bool:
        return self._fast_path_enabled and batch.fields.height > _MAX_SHORT_BATCH_ROWS

    def _copies_by_fast_path(self, batch: TextBatch) -> Iterator[list[CopyJob]]:
        """The rows in the usual form; the others, and persons, once there are enough of them."""
        usual, rows = self._fast_path.take(batch.fields)
        self._staging_table.add_field_keys(batch.fields)
        count = int(np.count_nonzero(usual))
        self.read += count
        if count:
            yield [self._staging_table.encoded_rows(self._fast_path.columns, rows)]
        self._unusual.add(batch, np.flatnonzero(~usual))
        if self._unusual.are_enough:
            yield self._check_unusual()
        if self._fast_path.held > _MAX_COLLECTED_BYTES:
            yield self._collected_by_fast_path()

    def _collected_by_fast_path(self) -> list[CopyJob]:
        """Persons and warnings of rows that are already copied."""
        no_rows = CopyJob.of_rows(self._staging_table.rows, [], [])
        return self._with_persons_and_warnings(no_rows, *self._fast_path.collected())

    def _check_unusual(self) -> list[CopyJob]:
        """Check the rows that the fast path did not take.

        Their keys have been recorded as delivered; here only those are recorded that cleaning changed.
        """
        raw = self._unusual.take_all()
        copies, keys = self._check(raw)
        for part in keys if self._staging_table.tracks_keys else ():
            delivered = raw.frame.select(self._keys).with_columns(line_number=raw.line)
            both = part.join(delivered, on="line_number", suffix=" delivered")
            changed = pl.any_horizontal(pl.col(key) != pl.col(f"{key} delivered") for key in self._keys)
            self._staging_table.add_keys(both.filter(changed))
        return copies

    def _check(self, raw: RawBatch) -> tuple[list[CopyJob], list[pl.DataFrame]]:
        """Check rows in full; returns their copy jobs and their keys."""
        checked = rules.check(raw, self._feed, self._context, self._keyring)
        rejected = checked.rejected.select("row", "line_number", "reasons", "content_hash", *self._keys)
        no_content = [None] * (1 + len(self._keys))
        ragged = [(line, [RowCode.COLUMNS], self._kept_text.take(text), *no_content) for line, text in raw.ragged]
        self.read += len(raw.line) + len(ragged)
        self.rejected += rejected.height + len(ragged)
        self.replaced.update(checked.replaced)
        faulty = rejected.filter(~pl.col("reasons").list.contains(RowCode.ERASED))
        self.faulty += faulty.height + len(ragged)
        copies = [
            *self._with_persons_and_warnings(
                self._staging_table.accepted_rows(checked.good.drop(self._absent)), checked.persons, checked.warnings
            ),
            self._staging_table.rejected_rows(with_text(raw, rejected.iter_rows(), self._kept_text)),
            self._staging_table.rejected_rows(ragged),
            self._vault.encrypted_texts(self._feed, self._number, checked.texts),
        ]
        return copies, [part.select("line_number", *self._keys) for part in (checked.good, checked.rejected)]

    def _with_persons_and_warnings(
        self, accepted: CopyJob, persons: pl.DataFrame, warnings: pl.DataFrame
    ) -> list[CopyJob]:
        return [
            accepted,
            self._vault.encrypted(self._feed, persons),
            ledger.row_warnings(self._staging_table.arrival_id, self._number, self._path, warnings),
        ]


def with_text(raw: RawBatch, rejected: Iterable[tuple[Any, ...]], kept_text: KeptText) -> list[tuple[Any, ...]]:
    """Add the text, where it is kept, to rejected rows of a batch, given as index, line, reasons, hash and keys."""
    rows = list(rejected)
    texts = [""] * len(rows) if kept_text.is_full else raw.raw([row for row, *_ in rows])
    return [
        (line, reasons, kept_text.take_of(reasons, text), *content)
        for (_, line, reasons, *content), text in zip(rows, texts, strict=True)
    ]

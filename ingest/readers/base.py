"""The interface of all readers: a table that is read in batches of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ingest import shown
from ingest.contracts.model import Feed, header_key
from ingest.errors import DeliveryCode, DeliveryRefused, Finding
from ingest.kernels import Integers
from ingest.kernels.gather import gather
from ingest.readers.fields import FieldSlices

#: A longer line is rejected.
MAX_LINE_BYTES = 1024 * 1024
#: The stored text of a rejected line is truncated to this size.
MAX_RAW_BYTES = 64 * 1024


class RawBatch:
    """Rows of a file as text.

    ``frame`` has one String column for each contract column that the file has, without nulls (a missing value
    is empty text). ``line`` (Int64, same height) is the physical line, sheet row or Parquet row, from 1. ``ragged``
    lists the rows that could not be split into fields: line and text. ``imprecise`` (Boolean, same height, by column)
    marks the cells of identity columns that are numbers of more than 15 digits, whose further digits are lost.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        line: pl.Series,
        text_of: Callable[[Sequence[int]], list[str]],
        ragged: Sequence[tuple[int, str]] = (),
        imprecise: Mapping[str, pl.Series] | None = None,
    ) -> None:
        self.frame, self.line, self.text_of, self.ragged, self.imprecise = frame, line, text_of, ragged, imprecise or {}

    def raw(self, rows: Sequence[int]) -> list[str]:
        """The text of some rows (indexes into ``frame``) as delivered, without dropped columns."""
        return self.text_of(rows) if len(rows) else []

    def to_raw(self) -> "RawBatch":
        """The batch itself; see ``TextBatch.to_raw``."""
        return self


@dataclass(frozen=True)
class TextBatch:
    """Rows of a text file that are split into fields, whose values are not decoded yet.

    ``reparse`` makes a ``RawBatch`` from the bytes of rows, with their line ends, and their line numbers.
    """

    fields: FieldSlices
    reparse: Callable[[bytes, Integers], RawBatch]

    def select(self, rows: Integers) -> "TextRows":
        """Copies of some rows."""
        starts, ends = self.fields.rows
        return TextRows(gather(self.fields.buffer, starts[rows], ends[rows])[1].tobytes(), self.fields.lines[rows])

    def to_raw(self) -> RawBatch:
        """All rows as text."""
        rows = self.select(np.arange(self.fields.height))
        return self.reparse(rows.content, rows.lines)


@dataclass(frozen=True)
class TextRows:
    """Rows of a text file as delivered, and their line numbers."""

    content: bytes
    lines: Integers


class Table:
    """An open file of a feed whose header has been read.

    ``header`` says which columns the file has, ``columns`` are the contract columns among them, ``unknown_columns`` the
    headers that the contract does not know. ``rows_skipped`` (titles, notes, totals of a sheet) is complete once
    ``batches`` is exhausted.
    ``batches`` may be called again to read the file once more.
    """

    header: "Header"
    columns: tuple[str, ...]
    unknown_columns: tuple[str, ...]
    rows_skipped: int = 0
    #: No more rows can be sound: an estimate from the size of the file, which costs nothing.
    most_rows: int

    def batches(self) -> Iterator[RawBatch | TextBatch]:
        """The rows, roughly in the order of the file; their line numbers give the exact order.

        Raises:
            DeliveryRefused: the file cannot be read as its manifest declares.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Header:
    """Which contract columns a file has, and where.

    ``width`` is the number of fields of a row, ``positions`` the position of each contract column present (in the
    contract's order), ``dropped`` the positions of columns that are never stored. ``cells`` are the texts of all other
    columns as delivered, so that they stand over the fields of a rejected row's text.
    """

    width: int
    positions: Mapping[str, int]
    unknown: tuple[str, ...]
    dropped: frozenset[int]
    cells: tuple[str, ...]

    @classmethod
    def by_position(cls, feed: Feed) -> "Header":
        """The header of a file without a header row: all columns in the contract's order."""
        positions = {column.name: i for i, column in enumerate(feed.columns)}
        return cls(len(positions), positions, (), frozenset(), tuple(column.label for column in feed.columns))

    @classmethod
    def read(cls, feed: Feed, cells: Sequence[str], path: str) -> "Header":
        """Match header cells with contract columns; of repeated headers of an optional column the first is used.

        Raises:
            DeliveryRefused: D_HEADER, when a required column is missing or repeated.
        """
        names = column_by_header(feed)
        found: dict[str, list[int]] = {}
        unknown: list[str] = []
        dropped: set[int] = set()
        for position, cell in enumerate(cells):
            key = header_key(cell)
            if key in feed.dropped:
                dropped.add(position)
            elif key in names:
                found.setdefault(names[key], []).append(position)
            elif key:
                unknown.append(_stored(cell, position))
        findings = []
        for column in feed.columns:
            found_at = found.get(column.name, [])
            if column.required and not found_at:
                text = f"the required column {column.name} ({column.label}) is missing from the header"
                findings.append(Finding(DeliveryCode.HEADER, text, path))
            elif column.required and len(found_at) > 1:
                text = f"the required column {column.name} ({column.label}) stands {len(found_at)} times in the header"
                findings.append(Finding(DeliveryCode.HEADER, text, path))
            elif len(found_at) > 1:
                unknown.extend(_stored(cells[position], position) for position in found_at[1:])
        if findings:
            raise DeliveryRefused(findings)
        positions = {column.name: found[column.name][0] for column in feed.columns if column.name in found}
        texts = tuple(_stored(cell, position) for position, cell in enumerate(cells) if position not in dropped)
        return cls(len(cells), positions, tuple(dict.fromkeys(unknown)), frozenset(dropped), texts)


def _stored(cell: str, position: int) -> str:
    """A header cell as the ledger keeps it."""
    return shown.header(cell.strip().replace("\0", "")[:200], position)


def column_by_header(feed: Feed) -> dict[str, str]:
    """Column names by header, normalised by ``header_key``; a header is the name, label or an alias of a column."""
    names: dict[str, str] = {}
    for content in (
        [(column.name, column.name) for column in feed.columns],
        [(column.label, column.name) for column in feed.columns],
        [(alias, column.name) for column in feed.columns for alias in column.aliases],
    ):
        for text, name in content:
            names.setdefault(header_key(text), name)
    return names


def escape_nul(text: str) -> str:
    r"""Replace NUL, which PostgreSQL cannot store, by the two characters ``\0``."""
    return text.replace("\0", "\\0")


def truncate(text: str) -> str:
    """The first 64 KiB of a text in UTF-8, without splitting a character."""
    data = text.encode(errors="replace")
    return text if len(data) <= MAX_RAW_BYTES else data[:MAX_RAW_BYTES].decode(errors="ignore")

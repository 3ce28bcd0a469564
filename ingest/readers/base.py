"""What every reader gives: a table that is read in batches of text."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from ingest.compiled import Integers
from ingest.compiled.columns import gather
from ingest.contracts.model import Feed, header_key
from ingest.errors import DeliveryCode, DeliveryRefused, Finding
from ingest.fields import Fields

#: A line longer than this is rejected, and what is kept of its text is cut.
LINE_BYTES = 1024 * 1024
RAW_BYTES = 64 * 1024


class RawBatch:
    """Rows of a file as text.

    ``frame`` has one String column for each contract column that the file has, without nulls (no value is an empty
    text). ``line`` (Int64, same height) is the physical line, sheet row or Parquet row, from 1. ``ragged`` holds the
    rows that could not be split into fields: line and text. ``sci`` marks, for identity columns of sheets, the cells
    that are numbers of more than 15 digits (Boolean, same height).
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        line: pl.Series,
        text_of: Callable[[Sequence[int]], list[str]],
        ragged: Sequence[tuple[int, str]] = (),
        sci: Mapping[str, pl.Series] | None = None,
    ) -> None:
        self.frame, self.line, self.text_of, self.ragged, self.sci = frame, line, text_of, ragged, sci or {}

    def raw(self, rows: Sequence[int]) -> list[str]:
        """The text of some rows (places in ``frame``) as delivered, without dropped columns; costs only those rows."""
        return self.text_of(rows) if len(rows) else []

    def whole(self) -> "RawBatch":
        """All of the rows: this is them."""
        return self


@dataclass(frozen=True)
class TextBatch:
    """Rows of a text file that nobody has looked into yet.

    ``again`` makes a batch of rows that are given as bytes, with their line ends, and their lines.
    """

    fields: Fields
    again: Callable[[bytes, Integers], RawBatch]

    def only(self, rows: Integers) -> "Rows":
        """Some of the rows, copied."""
        starts, ends = self.fields.rows
        return Rows(gather(self.fields.block, starts[rows], ends[rows])[1].tobytes(), self.fields.lines[rows])

    def whole(self) -> RawBatch:
        """All of the rows."""
        rows = self.only(np.arange(self.fields.height))
        return self.again(rows.texts, rows.lines)


@dataclass(frozen=True)
class Rows:
    """Rows of a text file as they stand there, and their lines."""

    texts: bytes
    lines: Integers


class Table:
    """A file of a feed, open for reading, its header understood.

    ``columns`` are the contract columns present, ``unknown_columns`` the headers that mean nothing to us.
    ``rows_skipped`` (titles, notes, totals of a sheet) holds after ``batches`` is exhausted. ``batches`` may be
    called again for another pass.
    """

    columns: tuple[str, ...]
    unknown_columns: tuple[str, ...]
    rows_skipped: int = 0

    def batches(self) -> Iterator[RawBatch | TextBatch]:
        """The rows about in the order of the file; their lines tell the very order.

        Raises:
            DeliveryRefused: when the file turns out not to be readable as declared.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Header:
    """What the columns of a file mean.

    ``width`` is the number of fields of a row, ``places`` the position of each contract column present (in the
    contract's order), ``dropped`` the positions that are removed at the door.
    """

    width: int
    places: Mapping[str, int]
    unknown: tuple[str, ...]
    dropped: frozenset[int]

    @classmethod
    def by_position(cls, feed: Feed) -> "Header":
        """The header of a file that has none: all columns in the contract's order."""
        return cls(len(feed.columns), {column.name: i for i, column in enumerate(feed.columns)}, (), frozenset())

    @classmethod
    def read(cls, feed: Feed, cells: Sequence[str], path: str) -> "Header":
        """Understand header cells; a column's first header counts, further ones of an optional column do not.

        Raises:
            DeliveryRefused: D_HEADER, when a required column is missing or doubled.
        """
        names = known_headers(feed)
        found: dict[str, list[int]] = {}
        unknown: list[str] = []
        dropped: set[int] = set()
        for place, cell in enumerate(cells):
            key = header_key(cell)
            if key in feed.dropped:
                dropped.add(place)
            elif key in names:
                found.setdefault(names[key], []).append(place)
            elif key:
                unknown.append(cell.strip().replace("\0", "")[:200])
        findings = []
        for column in feed.columns:
            there = found.get(column.name, [])
            if column.required and not there:
                text = f"the required column {column.name} ({column.label}) is missing from the header"
                findings.append(Finding(DeliveryCode.HEADER, text, path))
            elif column.required and len(there) > 1:
                text = f"the required column {column.name} ({column.label}) stands {len(there)} times in the header"
                findings.append(Finding(DeliveryCode.HEADER, text, path))
            elif len(there) > 1:
                unknown.extend(cells[place].strip()[:200] for place in there[1:])
        if findings:
            raise DeliveryRefused(findings)
        places = {column.name: found[column.name][0] for column in feed.columns if column.name in found}
        return cls(len(cells), places, tuple(dict.fromkeys(unknown)), frozenset(dropped))


def known_headers(feed: Feed) -> dict[str, str]:
    """Column by each header it may carry (as ``header_key`` compares them): name, label, aliases."""
    names: dict[str, str] = {}
    for texts in (
        [(column.name, column.name) for column in feed.columns],
        [(column.label, column.name) for column in feed.columns],
        [(alias, column.name) for column in feed.columns for alias in column.aliases],
    ):
        for text, name in texts:
            names.setdefault(header_key(text), name)
    return names


def shown(text: str) -> str:
    r"""Text of a rejected row as it is kept: NUL is written ``\0``."""
    return text.replace("\0", "\\0")


def cut(text: str) -> str:
    """The first 64 KiB of a text (in UTF-8), whole characters."""
    data = text.encode(errors="replace")
    return text if len(data) <= RAW_BYTES else data[:RAW_BYTES].decode(errors="ignore")

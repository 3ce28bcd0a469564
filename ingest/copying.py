"""Rows into a table by COPY: frames in its binary format, a few Python rows as text."""

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from struct import Struct
from types import TracebackType
from typing import Self

import polars as pl
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from ingest.errors import WarehouseError

#: Rows made ready at once: other threads get their turn between.
_ROWS = 4096
#: What COPY's binary format begins and ends with, and what stands before the bytes of a row's first field.
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_ROW = Struct(">hi")
_SIZE = Struct(">i")
#: Bytes handed on at once.
_PIECE = 256 * 1024
#: Bytes that may wait for the end of a COPY.
_WAITING = 4 * 1024 * 1024


@dataclass(frozen=True)
class Copy:
    """Rows made ready for COPY, so that nothing but the database's part of it is left to do."""

    table: sql.Composable
    statement: sql.Composed
    rows: Sequence[bytes | memoryview] | Sequence[Sequence[object]]
    ends: tuple[bytes, bytes] = (b"", b"")  # what the format has before and after the rows, however many there are

    @classmethod
    def of_frame(cls, table: sql.Composable, frame: pl.DataFrame, *, frozen: bool = False) -> Self:
        """A frame for the columns of its names, each of the very type of its column.

        ``frozen``: the table is made in the very transaction of the copy: write rows that need no second visit by
        their first reader or by vacuum.
        """
        rows = [] if frame.is_empty() else _binary(frame)
        return cls(table, _binary_copy(table, frame.columns, frozen), rows, (HEADER, TRAILER))

    @classmethod
    def of_bytes(cls, table: sql.Composable, columns: Sequence[str], rows: memoryview, *, frozen: bool = False) -> Self:
        """The same of rows that are in the binary format already."""
        pieces = [rows[place : place + _PIECE] for place in range(0, len(rows), _PIECE)]
        return cls(table, _binary_copy(table, columns, frozen), pieces, (HEADER, TRAILER))

    @classmethod
    def of_rows(cls, table: sql.Composable, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Self:
        """Rows of Python values: for the few."""
        return cls(table, sql.SQL("COPY {} ({}) FROM STDIN").format(table, listed(columns)), rows)

    @property
    def size(self) -> int:
        """About how many bytes the rows take."""
        return sum(
            len(row)
            if isinstance(row, bytes | memoryview)
            else sum(len(cell) for cell in row if isinstance(cell, bytes | str))
            for row in self.rows
        )

    def run(self, conn: psycopg.Connection) -> None:
        """Copy the rows; ``conn`` is within a transaction.

        Raises:
            WarehouseError: The database did not take a value; the message says which column, not which value.
        """
        with Copier(conn) as copier:
            copier.put(self)


class Copier:
    """Copies over one connection: rows into one table go on in one COPY, what goes elsewhere waits meanwhile.

    The server writes a table to the disk while one COPY fills it. What many short ones fill stays in its memory and is
    written when the transaction ends, while everybody waits.

    Within a transaction and a ``with``, at whose end everything has been copied.

    Raises:
        WarehouseError: As ``Copy.run``.
    """

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._running = ExitStack()
        self._into: tuple[Copy, psycopg.Copy] | None = None
        self._waiting: list[Copy] = []

    def put(self, rows: Copy, *others: Copy) -> None:
        """Copy ``rows``, which mostly go where the last ones went, at once, and ``others`` before the end."""
        if rows.rows:
            if self._into is not None and self._into[0].statement != rows.statement:
                self.finish()
            stream = self._begin(rows) if self._into is None else self._into[1]
            with _told(rows, self._conn):
                for row in rows.rows:
                    if isinstance(row, bytes | memoryview):
                        stream.write(row)
                    else:
                        stream.write_row(row)
        self._waiting += [copy for copy in others if copy.rows]
        if sum(copy.size for copy in self._waiting) > _WAITING:
            self.finish()

    def _begin(self, rows: Copy) -> psycopg.Copy:
        cursor = self._running.enter_context(self._conn.cursor())
        stream = self._running.enter_context(cursor.copy(rows.statement))
        self._into = rows, stream
        if rows.ends[0]:
            stream.write(rows.ends[0])
        return stream

    def finish(self) -> None:
        """End the COPY that runs, and copy what waits."""
        if self._into is not None:
            (rows, stream), self._into = self._into, None
            with _told(rows, self._conn), self._running:
                if rows.ends[1]:
                    stream.write(rows.ends[1])
        waiting, self._waiting = self._waiting, []
        for copy in waiting:
            copy.run(self._conn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self._running.__exit__(kind, error, traceback)


@contextmanager
def _told(copy: Copy, conn: psycopg.Connection) -> Iterator[None]:
    """Tell of a value that the database did not take, without the value."""
    try:
        yield
    except psycopg.DataError as error:
        place = re.search(r", column (\w+)", error.diag.context or "")
        column = place[1] if place else "unknown"
        raise WarehouseError(f"{copy.table.as_string(conn)}, column {column}: SQLSTATE {error.sqlstate}") from None


def _binary_copy(table: sql.Composable, columns: Iterable[str], frozen: bool) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE {})").format(
        table, listed(columns), sql.Literal(frozen)
    )


def fields_of(column: pl.Series) -> tuple[bytes, list[int], list[int]]:
    """The fields of a column as COPY's binary format has them: their bytes, and where each begins and ends.

    No value is a field of no bytes, which no value of any type but text has.
    """
    rows = b"".join(_binary(column.to_frame()))
    place, starts, ends = 0, [], []
    for _ in range(len(column)):
        place += _ROW.size
        (size,) = _SIZE.unpack_from(rows, place - _SIZE.size)
        starts.append(place)
        place += max(size, 0)
        ends.append(place)
    return rows, starts, ends


def listed(names: Iterable[str]) -> sql.Composed:
    """Names of columns, with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _binary(frame: pl.DataFrame) -> list[bytes]:
    """A frame's rows in COPY's binary format, in pieces."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    for place, field in enumerate(table.schema):
        if pa.types.is_binary_view(field.type):
            table = table.set_column(place, field.name, table[place].cast(pa.large_binary()))
    batches = table.combine_chunks().to_batches(max_chunksize=_ROWS)
    encoder = ArrowToPostgresBinaryEncoder(table.schema)
    encoder.write_header()
    return [*map(encoder.write_batch, batches), encoder.finish().removesuffix(TRAILER)]

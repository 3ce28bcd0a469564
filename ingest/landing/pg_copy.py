"""Loads rows with COPY: data frames in the binary format, a few Python rows as text."""

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

#: Rows encoded at once; other threads can run in between.
_ROWS_PER_CHUNK = 4096
#: Header and trailer of COPY's binary format; a row starts with its number of fields and the size of the first field.
HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
_ROW_PREFIX = Struct(">hi")
_SIZE = Struct(">i")
#: Bytes written at once.
_BYTES_PER_WRITE = 256 * 1024
#: Bytes of deferred jobs that are held until the current COPY ends.
_MAX_PENDING_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class CopyJob:
    """Encoded rows for COPY into a table."""

    table: sql.Composable
    statement: sql.Composed
    rows: Sequence[bytes | memoryview] | Sequence[Sequence[object]]
    ends: tuple[bytes, bytes] = (b"", b"")  # header and trailer of the format

    @classmethod
    def of_frame(cls, table: sql.Composable, frame: pl.DataFrame, *, frozen: bool = False) -> Self:
        """The rows of a frame, whose columns have the names and exact types of the table's columns.

        ``frozen``: the table is created in the same transaction, so that rows can be written as already frozen and
        neither their first reader nor vacuum rewrites them.
        """
        rows = [] if frame.is_empty() else encode_rows(frame)
        return cls(table, _binary_copy(table, frame.columns, frozen), rows, (HEADER, TRAILER))

    @classmethod
    def of_bytes(cls, table: sql.Composable, columns: Sequence[str], rows: memoryview, *, frozen: bool = False) -> Self:
        """Rows that are encoded in the binary format."""
        chunks = [rows[position : position + _BYTES_PER_WRITE] for position in range(0, len(rows), _BYTES_PER_WRITE)]
        return cls(table, _binary_copy(table, columns, frozen), chunks, (HEADER, TRAILER))

    @classmethod
    def of_rows(cls, table: sql.Composable, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Self:
        """Rows of Python values; for small numbers of rows."""
        return cls(table, sql.SQL("COPY {} ({}) FROM STDIN").format(table, column_list(columns)), rows)

    @property
    def size(self) -> int:
        """The approximate size of the rows in bytes."""
        return sum(
            len(row)
            if isinstance(row, bytes | memoryview)
            else sum(len(cell) for cell in row if isinstance(cell, bytes | str))
            for row in self.rows
        )

    def run(self, conn: psycopg.Connection) -> None:
        """Copy the rows; ``conn`` is within a transaction.

        Raises:
            WarehouseError: The database rejected a value; the message names the column, not the value.
        """
        with CopySession(conn) as session:
            session.put(self)


class CopySession:
    """Runs copy jobs on a connection: consecutive jobs for the same table share a COPY, other jobs are deferred.

    The server flushes a table to disk during a long COPY. Tables filled by many short COPY commands stay in its buffers
    and are flushed at commit, which delays the commit.

    A context manager within a transaction; all jobs have run when the context ends.

    Raises:
        WarehouseError: As ``CopyJob.run``.
    """

    def __init__(self, conn: psycopg.Connection) -> None:
        self._conn = conn
        self._stack = ExitStack()
        self._current: tuple[CopyJob, psycopg.Copy] | None = None
        self._pending: list[CopyJob] = []

    def put(self, rows: CopyJob, *deferred: CopyJob) -> None:
        """Run a job at once, and the ``deferred`` ones at the latest when the session ends."""
        if rows.rows:
            if self._current is not None and self._current[0].statement != rows.statement:
                self.finish()
            stream = self._begin(rows) if self._current is None else self._current[1]
            with _redact_errors(rows, self._conn):
                for row in rows.rows:
                    if isinstance(row, bytes | memoryview):
                        stream.write(row)
                    else:
                        stream.write_row(row)
        self._pending += [copy for copy in deferred if copy.rows]
        if sum(copy.size for copy in self._pending) > _MAX_PENDING_BYTES:
            self.finish()

    def _begin(self, rows: CopyJob) -> psycopg.Copy:
        cursor = self._stack.enter_context(self._conn.cursor())
        stream = self._stack.enter_context(cursor.copy(rows.statement))
        self._current = rows, stream
        if rows.ends[0]:
            stream.write(rows.ends[0])
        return stream

    def finish(self) -> None:
        """End the current COPY and run the deferred jobs."""
        if self._current is not None:
            (rows, stream), self._current = self._current, None
            with _redact_errors(rows, self._conn), self._stack:
                if rows.ends[1]:
                    stream.write(rows.ends[1])
        pending, self._pending = self._pending, []
        for copy in pending:
            copy.run(self._conn)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.finish()
        else:
            self._stack.__exit__(kind, error, traceback)


@contextmanager
def _redact_errors(copy: CopyJob, conn: psycopg.Connection) -> Iterator[None]:
    """Replace an error about a value by one that names only the column, not the value."""
    try:
        yield
    except psycopg.DataError as error:
        position = re.search(r", column (\w+)", error.diag.context or "")
        column = position[1] if position else "unknown"
        raise WarehouseError(f"{copy.table.as_string(conn)}, column {column}: SQLSTATE {error.sqlstate}") from None


def _binary_copy(table: sql.Composable, columns: Iterable[str], frozen: bool) -> sql.Composed:
    return sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE {})").format(
        table, column_list(columns), sql.Literal(frozen)
    )


def encode_fields(column: pl.Series) -> tuple[bytes, list[int], list[int]]:
    """The values of a column in COPY's binary format: their bytes, and the start and end offset of each.

    Null has no bytes; only empty text has none either.
    """
    rows = b"".join(encode_rows(column.to_frame()))
    position, starts, ends = 0, [], []
    for _ in range(len(column)):
        position += _ROW_PREFIX.size
        (size,) = _SIZE.unpack_from(rows, position - _SIZE.size)
        starts.append(position)
        position += max(size, 0)
        ends.append(position)
    return rows, starts, ends


def column_list(names: Iterable[str]) -> sql.Composed:
    """A comma-separated list of column names."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def encode_rows(frame: pl.DataFrame) -> list[bytes]:
    """A frame's rows in COPY's binary format, in chunks, without header and trailer."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    for position, field in enumerate(table.schema):
        if pa.types.is_binary_view(field.type):
            table = table.set_column(position, field.name, table[position].cast(pa.large_binary()))
    batches = table.combine_chunks().to_batches(max_chunksize=_ROWS_PER_CHUNK)
    encoder = ArrowToPostgresBinaryEncoder(table.schema)
    encoder.write_header()
    return [*map(encoder.write_batch, batches), encoder.finish().removesuffix(TRAILER)]

"""Rows into a table by COPY: frames in its binary format, a few Python rows as text."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import polars as pl
import psycopg
import pyarrow as pa
from pgpq import ArrowToPostgresBinaryEncoder
from psycopg import sql

from ingest.errors import WarehouseError

#: Rows made ready at once: other threads get their turn between.
_ROWS = 4096


@dataclass(frozen=True)
class Copy:
    """Rows made ready for COPY, so that nothing but the database's part of it is left to do."""

    table: sql.Composable
    statement: sql.Composed
    rows: Sequence[bytes] | Sequence[Sequence[object]]

    @classmethod
    def of_frame(cls, table: sql.Composable, frame: pl.DataFrame, *, frozen: bool = False) -> Self:
        """A frame for the columns of its names, each of the very type of its column.

        ``frozen``: the table is made in the very transaction of the copy: write rows that need no second visit by
        their first reader or by vacuum.
        """
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary, FREEZE {})").format(
            table, listed(frame.columns), sql.Literal(frozen)
        )
        return cls(table, statement, [] if frame.is_empty() else _binary(frame))

    @classmethod
    def of_rows(cls, table: sql.Composable, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> Self:
        """Rows of Python values: for the few."""
        return cls(table, sql.SQL("COPY {} ({}) FROM STDIN").format(table, listed(columns)), rows)

    def run(self, conn: psycopg.Connection) -> None:
        """Copy the rows; ``conn`` is within a transaction.

        Raises:
            WarehouseError: The database did not take a value; the message says which column, not which value.
        """
        if not self.rows:
            return
        try:
            with conn.cursor() as cursor, cursor.copy(self.statement) as copy:
                for row in self.rows:
                    if isinstance(row, bytes):
                        copy.write(row)
                    else:
                        copy.write_row(row)
        except psycopg.DataError as error:
            place = re.search(r", column (\w+)", error.diag.context or "")
            column = place[1] if place else "unknown"
            raise WarehouseError(f"{self.table.as_string(conn)}, column {column}: SQLSTATE {error.sqlstate}") from None


def listed(names: Iterable[str]) -> sql.Composed:
    """Names of columns, with commas between."""
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _binary(frame: pl.DataFrame) -> list[bytes]:
    """A frame in COPY's binary format, in pieces."""
    table = frame.to_arrow(compat_level=pl.CompatLevel.newest())
    for place, field in enumerate(table.schema):
        if pa.types.is_binary_view(field.type):
            table = table.set_column(place, field.name, table[place].cast(pa.large_binary()))
    batches = table.combine_chunks().to_batches(max_chunksize=_ROWS)
    encoder = ArrowToPostgresBinaryEncoder(table.schema)
    return [encoder.write_header(), *map(encoder.write_batch, batches), encoder.finish()]

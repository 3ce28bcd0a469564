"""Staging tables: the rows of an arrival before it is decided.

Rows are copied into tables that are not attached to the landing tables, so that no query sees them. Acceptance attaches
them as partitions; they are dropped when the delivery is refused. Rejected rows are in a separate staging table.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
import polars as pl
import psycopg
from psycopg import sql

from ingest.contracts.model import Feed
from ingest.errors import WarehouseError
from ingest.kernels import Buffer, Hashes, Offsets
from ingest.kernels.byte_column import ByteColumn
from ingest.kernels.gather import is_strictly_increasing
from ingest.kernels.hashing import add_text_hashes
from ingest.landing.pg_copy import CopyJob, column_list
from ingest.landing.tables import PERSON, PROVENANCE, SCHEMA, columns, dtype, types
from ingest.readers.fields import FieldSlices

#: Of deliveries with more keys no hashes are kept: 8 bytes a key, and as much again while they are compared.
_MAX_HASHED_KEYS = 2_000_000


def orphaned_tables(conn: psycopg.Connection, arrival_id: int | None = None) -> list[tuple[int, str]]:
    """(arrival, table) of the staging tables that are not attached to a landing table."""
    found = conn.execute(
        r"""
        SELECT substring(c.relname FROM '_([0-9]+)(?:_[a-z]+)?$')::integer AS arrival_id,
            format('%%I.%%I', n.nspname, c.relname)
        FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        WHERE c.relkind = 'r' AND NOT c.relispartition
            AND (n.nspname = %s AND c.relname ~ '_[0-9]+(_rejected|_keys|_duplicates)?$'
                OR n.nspname = 'vault' AND c.relname ~ '^(batch|texts)_[0-9]+$')
        """,
        [SCHEMA],
    ).fetchall()
    return [(owner, table) for owner, table in found if arrival_id in (None, owner)]


def drop_orphaned_tables(conn: psycopg.Connection, arrival_id: int) -> None:
    """Drop the staging tables of an arrival."""
    for _, table in orphaned_tables(conn, arrival_id):
        conn.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(table)))


class StagingTable:
    """The staging tables of a feed of an arrival, created and filled in the same transaction.

    With ``wal_level = minimal``, rows copied into a table that was created in the same transaction write no WAL.
    """

    def __init__(self, conn: psycopg.Connection, feed: Feed, arrival_id: int) -> None:
        self.conn, self.feed, self.arrival_id = conn, feed, arrival_id
        name = f"{feed.table}_{arrival_id}"
        self.name = f"{SCHEMA}.{name}"
        self.rows = sql.Identifier(SCHEMA, name)
        self._rejected_table = sql.Identifier(SCHEMA, f"{name}_rejected")
        self._repeated_keys = sql.Identifier(SCHEMA, f"{name}_keys")
        self._duplicates = sql.Identifier(SCHEMA, f"{name}_duplicates")
        self._keys = [column.name for column in feed.keys]
        # Only text is compared in the same way here and in the database.
        self._unique_keys = UniqueKeys(self._keys) if all(column.sql_type == "text" for column in feed.keys) else None

    def create(self) -> None:
        """Create the tables: the rows with the columns that every file has, the rejected rows with their keys."""
        self._sql_types = types(self.conn, f"{SCHEMA}.{self.feed.table}")
        self._created = [*PROVENANCE, *(PERSON if self.feed.has_person else {}), *self._keys]
        # With NOT NULL, this check lets ATTACH PARTITION skip the scan that verifies the partition constraint.
        self.conn.execute(
            sql.SQL("CREATE TABLE {} ({}, CHECK (delivery_id = {}))").format(
                self.rows,
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(
                        sql.Identifier(name),
                        sql.SQL(self._sql_types[name] + (" NOT NULL" if name in PROVENANCE else "")),
                    )
                    for name in self._created
                ),
                sql.Literal(self.arrival_id),
            )
        )
        self.conn.execute(
            sql.SQL("ALTER TABLE {} ALTER COLUMN delivery_id SET DEFAULT {}").format(
                self.rows, sql.Literal(self.arrival_id)
            )
        )
        keys = [
            sql.SQL(", {} {}").format(sql.Identifier(column.name), sql.SQL(column.sql_type))
            for column in self.feed.keys
        ]
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} (file_no integer NOT NULL, line_number bigint NOT NULL, reasons text[] NOT NULL,"
                " raw bytea, content_hash bigint{})"
            ).format(self._rejected_table, sql.SQL("").join(keys))
        )

    def _add_missing_columns(self, names: Iterable[str]) -> None:
        """Add columns. Existing rows get null, or 0 where the contract says so, without being rewritten."""
        defaults_to_zero = {column.name for column in self.feed.landed if column.default_zero}
        missing = [name for name in names if name not in self._created]
        if missing:
            self.conn.execute(
                sql.SQL("ALTER TABLE {} {}").format(
                    self.rows,
                    sql.SQL(", ").join(
                        sql.SQL("ADD COLUMN {} {}").format(
                            sql.Identifier(name),
                            sql.SQL(self._sql_types[name] + (" DEFAULT 0" if name in defaults_to_zero else "")),
                        )
                        for name in missing
                    ),
                )
            )
            self._created += missing

    def begin_file(self, file_no: int, names: Iterable[str]) -> None:
        """Start a file with the columns ``names``; the rows that are copied next belong to it."""
        self._add_missing_columns(
            name for name in names if name in self._sql_types
        )  # not personal columns, which go to the vault
        for table in (self.rows, self._rejected_table):
            self.conn.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN file_no SET DEFAULT {}").format(table, sql.Literal(file_no))
            )

    @property
    def tracks_keys(self) -> bool:
        """Whether repeated keys can be detected by ``add_keys``."""
        return self._unique_keys is not None

    def add_keys(self, *parts: pl.DataFrame) -> None:
        """Record the keys of a batch, of accepted and rejected rows (a key with a missing part is null)."""
        if self._unique_keys is not None:
            self._unique_keys.add(*parts)

    def add_field_keys(self, fields: FieldSlices) -> None:
        """Record the keys of a batch as delivered."""
        if self._unique_keys is not None:
            self._unique_keys.add_fields(fields)

    def accepted_rows(self, rows: pl.DataFrame) -> CopyJob:
        """A copy job for valid rows; columns are named as in the table, those that the file lacks are absent.

        Raises:
            WarehouseError: A value does not fit its column's type; the message names the column, not the value.
        """
        sql_types = columns(self.feed)
        series = []
        for column in rows.iter_columns():
            try:
                series.append(column.cast(dtype(sql_types[column.name])))
            except pl.exceptions.PolarsError:
                raise WarehouseError(f"{self.name}, column {column.name}: no {sql_types[column.name]}") from None
        return CopyJob.of_frame(self.rows, pl.DataFrame(series), frozen=True)

    def encoded_rows(self, columns: Sequence[str], rows: memoryview) -> CopyJob:
        """A copy job for valid rows that are encoded in COPY's binary format."""
        return CopyJob.of_bytes(self.rows, columns, rows, frozen=True)

    def rejected_rows(self, rows: Sequence[Sequence[object]]) -> CopyJob:
        """A copy job for rejected rows: line number, reasons, encrypted text, content hash, keys.

        The text is None where it is not kept, a key where it is incomplete.
        """
        return CopyJob.of_rows(
            self._rejected_table, ["line_number", "reasons", "raw", "content_hash", *self._keys], rows
        )

    def delete_file(self, file_no: int) -> None:
        """Delete the rows of a file that could not be read completely."""
        for table in (self.rows, self._rejected_table):
            self.conn.execute(sql.SQL("DELETE FROM {} WHERE file_no = %s").format(table), [file_no])

    def find_duplicates(self) -> dict[int, pl.DataFrame]:
        """Find the rows of the delivery that repeat a key, including rejected rows.

        Rejected rows get the additional reason here. Returns ``line_number`` and ``reason`` of the accepted rows by
        file number; ``delete_duplicates`` deletes these rows.
        """
        if self._unique_keys is not None and self._unique_keys.are_unique():
            return {}
        keyed_rows = sql.SQL(
            "(SELECT {keys}, content_hash, file_no, line_number, true AS good FROM {rows} UNION ALL"
            " SELECT {keys}, content_hash, file_no, line_number, false FROM {rejected} WHERE {complete})"
        ).format(
            keys=column_list(self._keys),
            rows=self.rows,
            rejected=self._rejected_table,
            complete=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(key)) for key in self._keys),
        )
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} AS SELECT {keys}, min(content_hash) <> max(content_hash) AS differ"
                " FROM {rows} AS e GROUP BY {keys} HAVING count(*) > 1"
            ).format(self._repeated_keys, keys=column_list(self._keys), rows=keyed_rows)
        )
        (has_duplicates,) = self.conn.execute(  # type: ignore[misc]
            sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self._repeated_keys)
        ).fetchone()
        return self._record_duplicates(keyed_rows) if has_duplicates else {}

    def _record_duplicates(self, keyed_rows: sql.Composed) -> dict[int, pl.DataFrame]:
        """Store the rows with repeated keys in a table; see ``find_duplicates``."""
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} AS SELECT file_no, line_number, good,"
                " CASE WHEN differ THEN 'E_KEY_DUPLICATE' ELSE 'E_REPEAT' END AS reason"
                " FROM (SELECT e.*, k.differ, row_number() OVER (PARTITION BY {keys} ORDER BY file_no, line_number)"
                " AS occurrence FROM {rows} AS e INNER JOIN {} AS k USING ({keys})) AS p"
                " WHERE differ OR occurrence > 1"
            ).format(self._duplicates, self._repeated_keys, keys=column_list(self._keys), rows=keyed_rows)
        )
        self.conn.execute(
            sql.SQL(
                "UPDATE {} AS r SET reasons = r.reasons || d.reason FROM {} AS d"
                " WHERE NOT d.good AND r.file_no = d.file_no AND r.line_number = d.line_number"
            ).format(self._rejected_table, self._duplicates)
        )
        by_file = self.conn.execute(
            sql.SQL(
                "SELECT file_no, array_agg(line_number ORDER BY line_number), array_agg(reason ORDER BY line_number)"
                " FROM {} WHERE good GROUP BY file_no"
            ).format(self._duplicates)
        )
        schema = {"line_number": pl.Int64, "reason": pl.String}
        return {
            file_no: pl.DataFrame({"line_number": lines, "reason": reasons}, schema=schema)
            for file_no, lines, reasons in by_file
        }

    def delete_duplicates(self) -> None:
        """Delete the accepted rows that repeat a key, once they are stored as rejected rows."""
        self.conn.execute(
            sql.SQL(
                "DELETE FROM {} AS r USING {} AS d"
                " WHERE d.good AND r.file_no = d.file_no AND r.line_number = d.line_number"
            ).format(self.rows, self._duplicates)
        )

    def replace_values(self, column: str, landed: str, replaced: Callable[[pl.Series], pl.Series]) -> None:
        """Replace every value of a text column.

        Args:
            column: The column.
            landed: Regular expression of the values that are left as they are.
            replaced: What lands instead of distinct values.
        """
        name = sql.Identifier(column)
        values = self.conn.execute(
            sql.SQL("SELECT DISTINCT {0} FROM {1} WHERE {0} !~ %s").format(name, self.rows), [landed]
        ).fetchall()
        texts = pl.Series([value for (value,) in values], dtype=pl.String)
        self.conn.execute(
            sql.SQL(
                "UPDATE {1} AS r SET {0} = n.landed FROM unnest(%s::text[], %s::text[]) AS n (delivered, landed)"
                " WHERE r.{0} = n.delivered"
            ).format(name, self.rows),
            [texts.to_list(), replaced(texts).to_list()],
        )

    def finish(self) -> None:
        """Add the columns that no file had, and collect planner statistics from a small sample."""
        self._add_missing_columns(self._sql_types)
        self.conn.execute("SET LOCAL default_statistics_target = 20")
        self.conn.execute(sql.SQL("ANALYZE {}").format(self.rows))

    def rejections_without_text(self) -> dict[str, int]:
        """How many of the rejected rows whose text is not kept have each reason."""
        return dict(
            self.conn.execute(
                sql.SQL("SELECT unnest(reasons) AS reason, count(*) FROM {} WHERE raw IS NULL GROUP BY 1").format(
                    self._rejected_table
                )
            ).fetchall()
        )

    def rejections_to_ledger(self, files: Mapping[int, str]) -> None:
        """Copy the rejected rows whose text is kept to the ledger. ``files``: path by file number."""
        self.conn.execute(
            sql.SQL(
                "INSERT INTO ops.rejection (arrival_id, file_no, path, feed, line_number, reasons, raw)"
                " SELECT %s, r.file_no, f.path, %s, r.line_number, r.reasons, r.raw FROM {} AS r"
                " INNER JOIN unnest(%s::integer[], %s::text[]) AS f (file_no, path) USING (file_no)"
                " WHERE r.raw IS NOT NULL"
            ).format(self._rejected_table),
            [self.arrival_id, self.feed.name, list(files), list(files.values())],
        )

    def attach(self) -> None:
        """Attach the rows to the feed's table, without blocking readers of other partitions."""
        self.conn.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                sql.Identifier(SCHEMA, self.feed.table), self.rows, sql.Literal(self.arrival_id)
            )
        )


class UniqueKeys:
    """Proves cheaply that no key of a delivery is repeated; where it cannot, the database has to search.

    Where rows are sorted by key, as in most extracts, the key ranges of batches do not overlap, and keys have to be
    compared only within a batch. Otherwise their hashes are compared: keys whose hashes differ are different.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._columns = keys
        self._key = (
            pl.concat_str(*keys, separator="\x1f") if keys else pl.lit(None)
        )  # text contains no NUL; null if a part is null
        self._ranges: list[tuple[str, str]] = []
        self._has_duplicate = False
        self._hashes: list[Hashes] | None = []
        self._hashed = 0

    def add(self, *parts: pl.DataFrame) -> None:
        """Record the keys of a batch."""
        frame = pl.concat([part.select(self._columns) for part in parts]).drop_nulls()
        if frame.height:
            keys = frame.select(key=self._key).to_series()
            self._has_duplicate = self._has_duplicate or keys.n_unique() < len(keys)
            self._ranges.append((keys.min(), keys.max()))  # type: ignore[arg-type]
            columns = [ByteColumn(series) for series in frame.iter_columns()]
            everywhere = np.arange(frame.height)
            self._add_hashes([(column.data, *column.bounds(everywhere)) for column in columns])

    def add_fields(self, fields: FieldSlices) -> None:
        """Record the keys of a batch as delivered."""
        if len(self._columns) == 1 and is_strictly_increasing(fields.buffer, *fields.offsets(self._columns[0])):
            starts, ends = fields.offsets(self._columns[0])
            first, last = (fields.buffer[starts[row] : ends[row]].tobytes().decode() for row in (0, -1))
            self._ranges.append((first, last))
            self._add_hashes([(fields.buffer, starts, ends)])
        else:
            self.add(pl.DataFrame(fields.frame(self._columns)))

    def _add_hashes(self, columns: Sequence[tuple[Buffer, Offsets, Offsets]]) -> None:
        """Keep a hash of each key, made of the bytes of its parts, unless there are too many."""
        if self._hashes is None:
            return
        hashes = np.zeros(len(columns[0][1]), dtype=np.uint64)
        for number, (buffer, starts, ends) in enumerate(columns, start=1):
            add_text_hashes(buffer, starts, ends, np.uint64(number), hashes)
        self._hashes.append(hashes)
        self._hashed += len(hashes)
        if self._hashed > _MAX_HASHED_KEYS:
            self._hashes = None

    def are_unique(self) -> bool:
        """Whether it is certain that no key is repeated."""
        if self._has_duplicate:
            return False
        ranges = sorted(self._ranges)
        if all(first[1] < second[0] for first, second in pairwise(ranges)):
            return True
        if self._hashes is None:
            return False
        hashes = np.sort(np.concatenate(self._hashes))
        return not (hashes[1:] == hashes[:-1]).any()

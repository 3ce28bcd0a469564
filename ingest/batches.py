"""The rows of one arrival on their way into landing.

They are copied into BATCH tables that stand alone; acceptance attaches them to the feed's table. Until then nobody sees
them, and a refused delivery's are dropped. Rejected rows wait beside them.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import polars as pl
import psycopg
from psycopg import sql

from ingest.compiled.columns import rising
from ingest.contracts.model import Feed
from ingest.copying import Copy, listed
from ingest.errors import WarehouseError
from ingest.fields import Fields
from ingest.landing import PERSON, PROVENANCE, SCHEMA, columns, dtype, types


def leftovers(conn: psycopg.Connection, arrival_id: int | None = None) -> list[tuple[int, str]]:
    """(arrival, table) of tables that a load made and no acceptance attached."""
    found = conn.execute(
        r"""
        SELECT substring(c.relname FROM '_([0-9]+)(?:_[a-z]+)?$')::integer AS arrival_id,
            format('%%I.%%I', n.nspname, c.relname)
        FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid
        WHERE c.relkind = 'r' AND NOT c.relispartition
            AND (n.nspname = %s AND c.relname ~ '_[0-9]+(_rejected|_keys|_duplicates)?$'
                OR n.nspname = 'vault' AND c.relname ~ '^batch_[0-9]+$')
        """,
        [SCHEMA],
    ).fetchall()
    return [(owner, table) for owner, table in found if arrival_id in (None, owner)]


def drop_leftovers(conn: psycopg.Connection, arrival_id: int) -> None:
    """Drop what an attempt at an arrival left standing, one statement a table."""
    for _, table in leftovers(conn, arrival_id):
        conn.execute(sql.SQL("DROP TABLE {}").format(sql.SQL(table)))


class Batch:
    """The tables of one feed of one arrival, all made and filled in one transaction.

    On a server with ``wal_level = minimal`` rows copied into a table of the same transaction write no WAL.
    """

    def __init__(self, conn: psycopg.Connection, feed: Feed, arrival_id: int) -> None:
        self.conn, self.feed, self.arrival_id = conn, feed, arrival_id
        name = f"{feed.table}_{arrival_id}"
        self.name = f"{SCHEMA}.{name}"
        self.rows = sql.Identifier(SCHEMA, name)
        self._rejected = sql.Identifier(SCHEMA, f"{name}_rejected")
        self._same_keys = sql.Identifier(SCHEMA, f"{name}_keys")
        self._duplicates = sql.Identifier(SCHEMA, f"{name}_duplicates")
        self._keys = [column.name for column in feed.keys]
        # Columns that are compared as text compare alike here and in the database.
        self._ranges = KeyRanges(self._keys) if all(column.sql_type == "text" for column in feed.keys) else None

    def create(self) -> None:
        """Make the tables: the rows with the columns that every file has, the rejected rows with their keys."""
        self._kinds = types(self.conn, f"{SCHEMA}.{self.feed.table}")
        self._made = [*PROVENANCE, *(PERSON if self.feed.has_person else {}), *self._keys]
        # The check spares ATTACH PARTITION the reading of every row (that there is a delivery, NOT NULL says).
        self.conn.execute(
            sql.SQL("CREATE TABLE {} ({}, CHECK (delivery_id = {}))").format(
                self.rows,
                sql.SQL(", ").join(
                    sql.SQL("{} {}").format(
                        sql.Identifier(name),
                        sql.SQL(self._kinds[name] + (" NOT NULL" if name in PROVENANCE else "")),
                    )
                    for name in self._made
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
                " raw bytea NOT NULL, content_hash bigint{})"
            ).format(self._rejected, sql.SQL("").join(keys))
        )

    def _make_room(self, names: Iterable[str]) -> None:
        """Add columns. Rows that stand have no value there, or 0 where the contract says so, and none is written."""
        zero = {column.name for column in self.feed.landed if column.default_zero}
        wanted = [name for name in names if name not in self._made]
        if wanted:
            self.conn.execute(
                sql.SQL("ALTER TABLE {} {}").format(
                    self.rows,
                    sql.SQL(", ").join(
                        sql.SQL("ADD COLUMN {} {}").format(
                            sql.Identifier(name), sql.SQL(self._kinds[name] + (" DEFAULT 0" if name in zero else ""))
                        )
                        for name in wanted
                    ),
                )
            )
            self._made += wanted

    def begin_file(self, file_no: int, names: Iterable[str]) -> None:
        """The rows that follow come from this file, which has the columns ``names``."""
        self._make_room(name for name in names if name in self._kinds)  # not those that go to the vault
        for table in (self.rows, self._rejected):
            self.conn.execute(
                sql.SQL("ALTER TABLE {} ALTER COLUMN file_no SET DEFAULT {}").format(table, sql.Literal(file_no))
            )

    @property
    def minds_keys(self) -> bool:
        """Whether it is of use to tell of keys."""
        return self._ranges is not None

    def note_keys(self, *parts: pl.DataFrame) -> None:
        """Look at the keys of a batch of the file, good and rejected rows (keys that are not full are null)."""
        if self._ranges is not None:
            self._ranges.note(*parts)

    def note_keys_of(self, fields: Fields) -> None:
        """The same where nobody has looked at the rows yet."""
        if self._ranges is not None:
            self._ranges.note_fields(fields)

    def good(self, rows: pl.DataFrame) -> Copy:
        """Good rows; columns are named as in the table, and those that the file lacks are left out.

        Raises:
            WarehouseError: A value does not fit its column's type; the message says which column, not which value.
        """
        kinds = columns(self.feed)
        series = []
        for column in rows.iter_columns():
            try:
                series.append(column.cast(dtype(kinds[column.name])))
            except pl.exceptions.PolarsError:
                raise WarehouseError(f"{self.name}, column {column.name}: no {kinds[column.name]}") from None
        return Copy.of_frame(self.rows, pl.DataFrame(series), frozen=True)

    def plain(self, columns: Sequence[str], rows: memoryview) -> Copy:
        """Good rows that are in COPY's binary format already, for the columns of these names."""
        return Copy.of_bytes(self.rows, columns, rows, frozen=True)

    def rejected(self, rows: Sequence[Sequence[object]]) -> Copy:
        """Rejected rows: line number, reasons, sealed raw text, then content hash and keys (None: not full)."""
        return Copy.of_rows(self._rejected, ["line_number", "reasons", "raw", "content_hash", *self._keys], rows)

    def forget_file(self, file_no: int) -> None:
        """Drop the rows of a file that could not be read to its end."""
        for table in (self.rows, self._rejected):
            self.conn.execute(sql.SQL("DELETE FROM {} WHERE file_no = %s").format(table), [file_no])

    def find_duplicates(self) -> dict[int, pl.DataFrame]:
        """Decide which rows of the delivery repeat a key, rejected ones included.

        Rejected rows get the further reason here. Returned are, per file, ``line_number`` and ``reason`` of rows
        among the good ones, for ``take_out``.
        """
        if self._ranges is not None and self._ranges.apart():
            return {}
        every = sql.SQL(
            "(SELECT {keys}, content_hash, file_no, line_number, true AS good FROM {rows} UNION ALL"
            " SELECT {keys}, content_hash, file_no, line_number, false FROM {rejected} WHERE {full})"
        ).format(
            keys=listed(self._keys),
            rows=self.rows,
            rejected=self._rejected,
            full=sql.SQL(" AND ").join(sql.SQL("{} IS NOT NULL").format(sql.Identifier(key)) for key in self._keys),
        )
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} AS SELECT {keys}, min(content_hash) <> max(content_hash) AS differ"
                " FROM {every} AS e GROUP BY {keys} HAVING count(*) > 1"
            ).format(self._same_keys, keys=listed(self._keys), every=every)
        )
        (any_,) = self.conn.execute(  # type: ignore[misc]
            sql.SQL("SELECT EXISTS (SELECT FROM {})").format(self._same_keys)
        ).fetchone()
        found: dict[int, pl.DataFrame] = {}
        if any_:
            self.conn.execute(
                sql.SQL(
                    "CREATE TABLE {} AS SELECT file_no, line_number, good,"
                    " CASE WHEN differ THEN 'E_KEY_DUPLICATE' ELSE 'E_REPEAT' END AS reason"
                    " FROM (SELECT e.*, k.differ, row_number() OVER (PARTITION BY {keys} ORDER BY file_no, line_number)"
                    " AS place FROM {every} AS e INNER JOIN {} AS k USING ({keys})) AS p"
                    " WHERE differ OR place > 1"
                ).format(self._duplicates, self._same_keys, keys=listed(self._keys), every=every)
            )
            self.conn.execute(
                sql.SQL(
                    "UPDATE {} AS r SET reasons = r.reasons || d.reason FROM {} AS d"
                    " WHERE NOT d.good AND r.file_no = d.file_no AND r.line_number = d.line_number"
                ).format(self._rejected, self._duplicates)
            )
            for file_no, lines, reasons in self.conn.execute(
                sql.SQL(
                    "SELECT file_no, array_agg(line_number ORDER BY line_number),"
                    " array_agg(reason ORDER BY line_number) FROM {} WHERE good GROUP BY file_no"
                ).format(self._duplicates)
            ):
                found[file_no] = pl.DataFrame(
                    {"line_number": lines, "reason": reasons}, schema={"line_number": pl.Int64, "reason": pl.String}
                )
        return found

    def take_out(self) -> None:
        """Remove the good rows that repeat a key (they have been kept as rejected by now)."""
        self.conn.execute(
            sql.SQL(
                "DELETE FROM {} AS r USING {} AS d"
                " WHERE d.good AND r.file_no = d.file_no AND r.line_number = d.line_number"
            ).format(self.rows, self._duplicates)
        )

    def finish(self) -> None:
        """Add the columns that no file had; count the rows for the planner (a small sample is enough for a batch)."""
        self._make_room(self._kinds)
        self.conn.execute("SET LOCAL default_statistics_target = 20")
        self.conn.execute(sql.SQL("ANALYZE {}").format(self.rows))

    def rejections_to_ledger(self, files: Mapping[int, str]) -> None:
        """Move the rejected rows to the ledger. ``files``: path by file number."""
        self.conn.execute(
            sql.SQL(
                "INSERT INTO ops.rejection (arrival_id, file_no, path, feed, line_number, reasons, raw)"
                " SELECT %s, r.file_no, f.path, %s, r.line_number, r.reasons, r.raw FROM {} AS r"
                " INNER JOIN unnest(%s::integer[], %s::text[]) AS f (file_no, path) USING (file_no)"
            ).format(self._rejected),
            [self.arrival_id, self.feed.name, list(files), list(files.values())],
        )

    def attach(self) -> None:
        """Make the rows part of the feed's table; readers of the other partitions go on undisturbed."""
        self.conn.execute(
            sql.SQL("ALTER TABLE {} ATTACH PARTITION {} FOR VALUES IN ({})").format(
                sql.Identifier(SCHEMA, self.feed.table), self.rows, sql.Literal(self.arrival_id)
            )
        )


class KeyRanges:
    """Tells cheaply that no key of a delivery stands twice, where its rows come in the order of their keys.

    Most extracts do, or nearly: then the batches' keys lie apart from each other, and only within a batch is there
    anything to compare. Where they overlap the database has to find out.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        self._columns = keys
        self._key = pl.concat_str(*keys, separator="\x1f") if keys else pl.lit(None)  # NUL-free text, null if a part is
        self._ranges: list[tuple[str, str]] = []
        self._twice = False

    def note(self, *parts: pl.DataFrame) -> None:
        """Take in the keys of a batch."""
        keys = pl.concat([part.select(key=self._key).to_series().drop_nulls() for part in parts])
        if len(keys):
            self._twice = self._twice or keys.n_unique() < len(keys)
            self._ranges.append((keys.min(), keys.max()))  # type: ignore[arg-type]

    def note_fields(self, fields: Fields) -> None:
        """Take in the keys of a batch as they are delivered."""
        if len(self._columns) == 1 and rising(fields.block, *fields.span(self._columns[0])):
            starts, ends = fields.span(self._columns[0])
            first, last = (fields.block[starts[row] : ends[row]].tobytes().decode() for row in (0, -1))
            self._ranges.append((first, last))
        else:
            self.note(pl.DataFrame(fields.frame(self._columns)))

    def apart(self) -> bool:
        """Whether no key stands twice for certain."""
        ranges = sorted(self._ranges)
        return not self._twice and all(one[1] < other[0] for one, other in pairwise(ranges))

"""The vault: direct identifiers, sealed, by person; opened one person at a time, and written down.

Besides ``identity``, which makes the person key, this is the only module that sees an identifier and its key together.
"""

import json
from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
import polars as pl
import psycopg
from psycopg import sql

from ingest.contracts.model import Feed, Kind
from ingest.copying import Copy
from ingest.database import NOT_NOW, patient
from ingest.distinct import Seen
from ingest.identity import Keyring

#: What the sealed record calls a column, whatever its feed calls it.
_FIELDS = {Kind.CERT_TYPE: "cert_type", Kind.CERTNO: "certno", Kind.NAME: "name", Kind.MOBILE: "mobile"}


class VaultBatch:
    """The persons of one arrival, in a table of its own, which acceptance attaches."""

    def __init__(self, conn: psycopg.Connection, keyring: Keyring, arrival_id: int) -> None:
        self.conn, self.keyring = conn, keyring
        self._arrival_id = arrival_id
        self._table = sql.Identifier("vault", f"batch_{arrival_id}")
        self._place = 0
        self._sealed = Seen()

    def create(self) -> None:
        """Make the table."""
        self.conn.execute(
            sql.SQL(
                "CREATE TABLE {} (delivery_id integer NOT NULL DEFAULT {id} CHECK (delivery_id = {id}),"
                " place bigint NOT NULL, person_key uuid NOT NULL, sealed bytea NOT NULL)"
            ).format(self._table, id=sql.Literal(self._arrival_id))
        )

    def sealed(self, feed: Feed, persons: pl.DataFrame) -> Copy:
        """Persons, each sealed.

        Args:
            feed: Where they come from.
            persons: ``person_key`` and the feed's personal columns, text. A record that this delivery has brought
                before is passed over (or sealed twice, where that is forgotten: of equal records either may count).
        """
        fresh = self._new(feed, persons)
        if fresh.is_empty():
            return Copy.of_rows(self._table, [], [])
        fields = {name: _FIELDS.get(feed.by_name[name].kind, name) for name in fresh.columns if name != "person_key"}
        record = pl.struct(pl.col(name).alias(field) for name, field in fields.items())
        records = fresh.select(record.struct.json_encode()).to_series()
        sealed = self.keyring.seal_all(records.cast(pl.Binary).to_list())
        place, self._place = self._place, self._place + len(sealed)
        return Copy.of_frame(
            self._table,
            pl.DataFrame(
                {
                    "place": pl.arange(place, self._place, eager=True, dtype=pl.Int64),
                    "person_key": fresh["person_key"],
                    "sealed": pl.Series(sealed, dtype=pl.Binary),
                }
            ),
            frozen=True,
        )

    def _new(self, feed: Feed, persons: pl.DataFrame) -> pl.DataFrame:
        """Those persons whose very record has not been sealed yet in this delivery."""
        if persons.is_empty():
            return persons
        known = persons.hash_rows(seed=crc32(feed.table.encode())).to_numpy()
        every = np.ones(len(known), dtype=np.bool_)
        return persons.filter(pl.Series(self._sealed.fresh(known, np.full(len(known), -1), every)))

    def keep_only_landed(self, tables: Sequence[sql.Identifier]) -> None:
        """Drop persons of whom no row is left in the batch tables (their rows repeated a key)."""
        if not tables:
            return
        landed = sql.SQL(" UNION ALL ").join(sql.SQL("SELECT person_key FROM {}").format(table) for table in tables)
        self.conn.execute(
            sql.SQL(
                "DELETE FROM {} AS b WHERE NOT EXISTS (SELECT FROM ({}) AS l WHERE l.person_key = b.person_key)"
            ).format(self._table, landed)
        )

    def finish(self) -> None:
        """Every file has been read: persons can be found by their key from now on."""
        self._sealed = Seen()
        self.conn.execute(sql.SQL("CREATE INDEX ON {} (person_key)").format(self._table))

    def attach(self) -> None:
        """Make the persons, if there are any, part of the vault."""
        if self._place:
            self.conn.execute(
                sql.SQL("ALTER TABLE vault.recent ATTACH PARTITION {} FOR VALUES IN ({})").format(
                    self._table, sql.Literal(self._arrival_id)
                )
            )


def fold(conn: psycopg.Connection) -> int:
    """Keep one record of each person, that of the latest delivery, of all deliveries accepted until now.

    Acceptance only attaches what a delivery brought, which costs the same however many persons there are. Here the
    vault gets smaller again, and a person is looked up in one place. One transaction a delivery.

    Args:
        conn: Not within a transaction.

    Returns:
        How many deliveries there were. Where readers do not let go within ``database.LOCK_SECONDS`` the rest is left
        for the next time.
    """
    done = 0
    try:
        while _fold_one(conn):
            done += 1
    except NOT_NOW:
        pass
    return done


def _fold_one(conn: psycopg.Connection) -> bool:
    """Fold the persons of the first delivery there is; False where there is none."""
    with patient(conn):
        # One at a time. With nobody beside, a new person is simply inserted, at half the cost of ON CONFLICT.
        conn.execute("LOCK TABLE vault.folded IN SHARE ROW EXCLUSIVE MODE")
        first = conn.execute(
            "SELECT i.inhrelid::regclass::text, substring(pg_get_expr(c.relpartbound, c.oid) FROM '[0-9]+')::integer"
            " FROM pg_inherits AS i INNER JOIN pg_class AS c ON i.inhrelid = c.oid"
            " WHERE i.inhparent = 'vault.recent'::regclass ORDER BY 2 LIMIT 1"
        ).fetchone()
        if first is not None:
            _fold(conn, sql.SQL(first[0]), first[1])
        return first is not None


def _fold(conn: psycopg.Connection, table: sql.Composable, arrival_id: int) -> None:
    conn.execute(sql.SQL("ANALYZE {}").format(table))
    newest = sql.SQL(
        "(SELECT DISTINCT ON (b.person_key) b.person_key, b.sealed, a.created, a.name"
        " FROM {} AS b INNER JOIN ops.arrival AS a ON a.arrival_id = %s"
        " ORDER BY b.person_key, b.place DESC) AS n"
    ).format(table)
    conn.execute(
        sql.SQL(
            "UPDATE vault.folded AS p SET sealed = n.sealed, created = n.created, delivery_name = n.name"
            " FROM {} WHERE p.person_key = n.person_key AND (p.created, p.delivery_name) < (n.created, n.name)"
        ).format(newest),
        [arrival_id],
    )
    conn.execute(
        sql.SQL(
            "INSERT INTO vault.folded (person_key, sealed, created, delivery_name)"
            " SELECT n.person_key, n.sealed, n.created, n.name FROM {}"
            " WHERE NOT EXISTS (SELECT FROM vault.folded AS p WHERE p.person_key = n.person_key)"
        ).format(newest),
        [arrival_id],
    )
    conn.execute(sql.SQL("ALTER TABLE vault.recent DETACH PARTITION {}").format(table))
    conn.execute(sql.SQL("DROP TABLE {}").format(table))


def open_person(conn: psycopg.Connection, keyring: Keyring, person_key: str, reason: str) -> dict[str, Any] | None:
    """The identifiers of a person, or None where the vault has none. The access is written to ``vault.access``.

    ``conn`` is not within a transaction: that somebody asks is committed before anything is opened.
    """
    with conn.transaction():
        asked = conn.execute("SELECT vault.ask_for_person(%s::uuid, %s)", [person_key, reason]).fetchone()
    with conn.transaction():
        row = conn.execute("SELECT vault.open_person(%s)", asked).fetchone()
    if row is None or row[0] is None:
        return None
    record: dict[str, Any] = json.loads(keyring.open(row[0]))
    return record

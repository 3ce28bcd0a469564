"""The landing tables: accepted rows as cleaned, a table for each feed, a partition for each delivery.

This module defines and creates the tables from the contracts; ``ingest.landing.staging_tables`` fills them.
"""

import re

import polars as pl
import psycopg
from psycopg import sql

from ingest.contracts.model import Contracts, Feed
from ingest.errors import WarehouseError

SCHEMA = "landing"
#: Provenance of a row, and the hash of its cleaned content.
PROVENANCE = {
    "delivery_id": "integer",
    "file_no": "integer",  # index of the file in the manifest's list
    "line_number": "bigint",
    "content_hash": "bigint",
}
#: Columns about the person of a row, for feeds with an identity number.
PERSON = {"person_key": "uuid", "person_sex": "text", "person_birth_year": "smallint"}

#: Types to which a column may be changed without loss. For types with a size see ``_is_widening``.
_WIDER = {
    "smallint": {"integer", "bigint"},
    "integer": {"bigint"},
    "character varying": {"text"},
    "date": {"timestamp without time zone"},
}
#: The Polars type that is encoded as a SQL type; for types with a size see ``dtype``.
_DTYPES: dict[str, type[pl.DataType] | pl.DataType] = {
    "smallint": pl.Int16,
    "integer": pl.Int32,
    "bigint": pl.Int64,
    "boolean": pl.Boolean,
    "date": pl.Date,
    "timestamp": pl.Datetime("us"),
    "numeric": pl.Decimal(38, 10),
    "text": pl.String,
    "uuid": pl.Binary,
}


def columns(feed: Feed) -> dict[str, str]:
    """Columns of a feed's landing table with their SQL types."""
    person = PERSON if feed.has_person else {}
    return {**PROVENANCE, **person, **{column.name: column.sql_type for column in feed.landed}}


def layout(contracts: Contracts) -> dict[str, dict[str, str]]:
    """All landing tables with their columns."""
    return {feed.table: columns(feed) for _, feed in sorted(contracts.feeds.items())}


# --- the feeds' tables -----------------------------------------------------------------------------------------------


def evolve(conn: psycopg.Connection, contracts: Contracts) -> None:
    """Create the feeds' tables; add columns and widen types where a contract has changed.

    A column that a contract no longer lists is not dropped.

    Raises:
        WarehouseError: A type changes so that existing values may not fit.
    """
    for table, expected in layout(contracts).items():
        relation = sql.Identifier(SCHEMA, table)
        existing = types(conn, f"{SCHEMA}.{table}")
        if not existing:
            conn.execute(
                sql.SQL("CREATE TABLE {} ({}) PARTITION BY LIST (delivery_id)").format(
                    relation,
                    sql.SQL(", ").join(
                        sql.SQL("{} {}").format(
                            sql.Identifier(name), sql.SQL(kind + (" NOT NULL" if name in PROVENANCE else ""))
                        )
                        for name, kind in expected.items()
                    ),
                )
            )
            continue
        for name, kind in expected.items():
            column, type_ = sql.Identifier(name), sql.SQL(kind)
            if name not in existing:
                conn.execute(sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(relation, column, type_))
            elif (current := existing[name]) != (target := _canonical(conn, kind)):
                if not _is_widening(current, target):
                    raise WarehouseError(
                        f"The contract makes {SCHEMA}.{table}.{name} {target}, but rows have landed as {current}: a "
                        "column may only become wider. Give the new meaning a new column."
                    )
                conn.execute(sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}").format(relation, column, type_))


def types(conn: psycopg.Connection, relation: str) -> dict[str, str]:
    """Columns of a table with their SQL types; empty if the table does not exist."""
    return dict(
        conn.execute(
            "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute"
            " WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped",
            [relation],
        ).fetchall()
    )


def _canonical(conn: psycopg.Connection, kind: str) -> str:
    """The name of a type as ``format_type`` writes it."""
    cursor = conn.execute(sql.SQL("SELECT CAST(NULL AS {})").format(sql.SQL(kind)))
    oid, modifier = cursor.description[0].type_code, cursor.pgresult.fmod(0)  # type: ignore[index,union-attr]
    (name,) = conn.execute("SELECT format_type(%s, %s)", [oid, modifier]).fetchone()  # type: ignore[misc]
    return name


def _is_widening(current: str, target: str) -> bool:
    base, _, size = current.partition("(")
    new_base, _, new_size = target.partition("(")
    if base != new_base:
        return new_base in _WIDER.get(base, ()) and not new_size
    old, new = ([int(number) for number in re.findall(r"\d+", text)] for text in (size, new_size))
    if not new:
        return True
    if not old:
        return False
    # numeric(p, s): the numbers of digits before and after the point must not decrease
    precision, scale = old[0], old[1] if len(old) > 1 else 0
    new_precision, new_scale = new[0], new[1] if len(new) > 1 else 0
    return new_scale >= scale and new_precision - new_scale >= precision - scale


def dtype(sql_type: str) -> type[pl.DataType] | pl.DataType:
    """The Polars type of a column that is copied into a column of a SQL type."""
    base, _, size = sql_type.lower().partition("(")
    if base == "numeric" and size:
        precision, scale = map(int, re.findall(r"\d+", size))
        return pl.Decimal(precision, scale)
    if base.startswith(("varchar", "char")):
        return pl.String
    if base not in _DTYPES:
        raise WarehouseError(f"Landing tables have no columns of type {sql_type}.")
    return _DTYPES[base]

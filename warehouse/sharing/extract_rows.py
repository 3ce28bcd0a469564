"""The rows of an extract: from which publication, which persons, in which order, under which columns."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, BinaryIO
from uuid import UUID

import psycopg
from psycopg import sql

from ingest.errors import WarehouseError
from ingest.privacy.keyring import Keyring
from warehouse.sharing import filters, lineage, release, views
from warehouse.sharing.declaration import Declaration
from warehouse.sharing.lineage import PERSON_KEY, PublishedRelation
from warehouse.sharing.protection import Pseudonyms
from warehouse.sharing.tables import OutputColumn, write_csv, write_parquet

#: What is written beside the pseudonym where a share names persons, by the field of the vault's record.
IDENTIFIERS = {
    "name": OutputColumn("name", "text", "姓名", "Name of the person. 姓名。"),
    "certno": OutputColumn("certno", "text", "证件号码", "Identity number. 证件号码。"),
}
#: What stands in an extract in place of the person key of the warehouse.
PSEUDONYM = OutputColumn(
    PERSON_KEY,
    "uuid",
    "本共享专用的人员标识",
    "Key of the person in this share alone; it occurs nowhere else. 本共享专用的人员标识，不能与其他数据关联。",
)
_FETCH = 10_000


@dataclass(frozen=True)
class Publication:
    """The publication that an extract is taken from. ``build`` is None for the current one, read through its views."""

    number: int
    published_at: datetime
    build: str | None


@dataclass(frozen=True)
class Source:
    """Where the rows of an extract come from: the query of the resource's rows, and the condition of the share."""

    declared: Declaration
    relation: PublishedRelation
    rows: sql.Composed
    condition: sql.Composed
    parameters: list[Any]

    def select(self, items: sql.Composable, rest: sql.Composable = sql.SQL("")) -> sql.Composed:  # noqa: B008
        """A query over the rows of the share."""
        return sql.SQL("WITH resource AS NOT MATERIALIZED ({}) SELECT {} FROM resource {} WHERE {}").format(
            self.rows, items, rest, self.condition
        )


def find_publication(conn: psycopg.Connection, number: int | None) -> Publication:
    """The publication to take rows from: the current one, or the one before while its tables are still there."""
    row = conn.execute(
        """
        SELECT p.publication_id, p.published_at, CASE WHEN NOT p.is_current THEN p.build END
        FROM ops.publication AS p INNER JOIN ops.build AS b ON p.build = b.build
        WHERE CASE WHEN %(number)s::integer IS NULL THEN p.is_current ELSE p.publication_id = %(number)s END
            AND EXISTS (SELECT FROM ops.publication_relation AS r WHERE r.publication_id = p.publication_id)
            AND (p.is_current OR b.completed_at IS NOT NULL)
            AND NOT EXISTS (
                SELECT FROM ops.publication AS later
                WHERE later.build = p.build AND later.publication_id > p.publication_id AND NOT p.is_current
            )
        """,
        {"number": number},
    ).fetchone()
    if row is None:
        raise WarehouseError(
            f"Publication {number} is no longer there: only the current one and the one before are kept."
            if number is not None
            else "S_PUBLICATION: nothing is published yet."
        )
    return Publication(*row)


def open_source(conn: psycopg.Connection, declared: Declaration, publication: Publication) -> Source:
    """The rows of the resource in a publication, with the condition of the share."""
    relation = lineage.read(conn, publication.number).get(declared.resource)
    if relation is None:
        raise WarehouseError(f"Publication {publication.number} had no {declared.resource}.")
    used = dict.fromkeys([*declared.columns, *(row.column for row in declared.rows)])
    if relation.has_persons:
        used[PERSON_KEY] = None
    if publication.build is None:
        rows = views.rows(relation, used)
    elif relation.hides_small_cells:
        rows = release.rows(relation, used, publication.number)
    else:
        rows = sql.SQL("SELECT {} FROM {}").format(
            sql.SQL(", ").join(map(sql.Identifier, used)), sql.Identifier(publication.build, declared.relation)
        )
    condition, parameters = filters.compile_all(declared.rows, relation.by_name, sql.Identifier("resource"))
    return Source(declared, relation, rows, condition, parameters)


def persons_of(conn: psycopg.Connection, source: Source) -> list[UUID]:
    """The persons whose rows an extract has."""
    if not source.relation.has_persons:
        return []
    query = source.select(sql.SQL("DISTINCT person_key"))
    return [key for (key,) in conn.execute(query, source.parameters) if key is not None]


def output_columns(source: Source) -> list[OutputColumn]:
    """The columns of an extract in order; of an identified one name and number stand beside the pseudonym."""
    columns: list[OutputColumn] = []
    for name in source.declared.columns:
        column = source.relation.by_name[name]
        if name == PERSON_KEY:
            columns.append(PSEUDONYM)
        else:
            columns.append(OutputColumn(name, column.type, column.title, column.description))
        if name == PERSON_KEY and source.declared.persons == "identified":
            columns += IDENTIFIERS.values()
    if source.declared.persons == "identified" and PERSON_KEY not in source.declared.columns:
        columns = [*IDENTIFIERS.values(), *columns]
    return columns


def write(
    conn: psycopg.Connection,
    source: Source,
    keyring: Keyring,
    columns: Sequence[OutputColumn],
    persons: Sequence[UUID],
    identities: dict[UUID, dict[str, Any]],
    target: BinaryIO,
) -> int:
    """Write the rows, ordered by what is written, so that no order gives a person away; returns their number."""
    with conn.transaction():
        conn.execute("SET LOCAL TimeZone = 'Asia/Shanghai'")
        conn.execute("SET LOCAL DateStyle = 'ISO'")
        if source.relation.has_persons:
            _store_pseudonyms(conn, Pseudonyms(keyring, source.declared.name, source.declared.version), persons)
        with _rows(conn, source) as rows:
            filled = _with_identities(rows, source, columns, identities)
            if source.declared.format == "parquet":
                return write_parquet(target, columns, filled)
            return write_csv(target, columns, filled)


def _store_pseudonyms(conn: psycopg.Connection, pseudonyms: Pseudonyms, persons: Sequence[UUID]) -> None:
    conn.execute("CREATE TEMPORARY TABLE pseudonym (person_key uuid, pseudonym uuid) ON COMMIT DROP")
    with conn.cursor() as cursor, cursor.copy("COPY pg_temp.pseudonym (person_key, pseudonym) FROM STDIN") as copy:
        for person in persons:
            copy.write_row((person, pseudonyms.of(person)))
    conn.execute("ANALYZE pg_temp.pseudonym")


@contextmanager
def _rows(conn: psycopg.Connection, source: Source) -> Iterator[Iterator[tuple[Any, ...]]]:
    """The rows as a stream: the person (null without one), then the declared columns."""
    by_person = source.relation.has_persons
    items: list[sql.Composable] = []
    order: list[sql.Composable] = []
    for name in source.declared.columns:
        column = OutputColumn(name, source.relation.by_name[name].type, "", "")
        value: sql.Composable = sql.Identifier("resource", name)
        if name == PERSON_KEY and by_person:
            value = sql.Identifier("known", "pseudonym")
        as_text = source.declared.format != "parquet" or column.arrow_type is None
        items.append(sql.SQL("{}::text").format(value) if as_text else value)
        is_text = source.relation.by_name[name].type == "text"
        order.append(sql.SQL('{} COLLATE "C"').format(value) if is_text else value)
    person = sql.Identifier("resource", PERSON_KEY) if by_person else sql.SQL("NULL")
    join = sql.SQL("LEFT JOIN pg_temp.pseudonym AS known USING (person_key)") if by_person else sql.SQL("")
    if by_person:  # rows that are equal but for the person come in an order that does not depend on the person key
        order.append(sql.Identifier("known", "pseudonym"))
    query = source.select(sql.SQL(", ").join([person, *items]), join)
    query = sql.SQL("{} ORDER BY {}").format(query, sql.SQL(", ").join(order))
    with conn.cursor(name="extract") as cursor:
        cursor.itersize = _FETCH
        cursor.execute(query, source.parameters)
        yield iter(cursor)


def _with_identities(
    rows: Iterator[tuple[Any, ...]],
    source: Source,
    columns: Sequence[OutputColumn],
    identities: dict[UUID, dict[str, Any]],
) -> Iterator[list[Any]]:
    """The rows as they are written: without the person key, with name and number where the share has them."""
    names = [column.name for column in columns]
    position = next((index for index, column in enumerate(columns) if column in IDENTIFIERS.values()), None)
    for person, *cells in rows:
        if position is not None:
            record = identities.get(person, {})
            cells[position:position] = [record.get(name) for name in IDENTIFIERS]
        if len(cells) != len(names):
            raise AssertionError(f"{source.declared.name}: {len(cells)} cells for {len(names)} columns")
        yield cells

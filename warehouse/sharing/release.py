"""What shares show of marts with suppressed cells, from publication to publication.

Two publications, one delivery apart, can give away a cell that each hides. So a month stays as it was first given out,
whatever is published, until the next revision: the first publication on or after certain days of the year replaces all
months at once. A new month is given out when it is complete for all expected senders.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date

import psycopg
from psycopg import sql

from warehouse.sharing.lineage import MONTH, YEAR, PublishedRelation
from warehouse.sharing.register import ZONE

#: The "month" of a mart that has neither months nor years.
_UNDATED = date(1, 1, 1)


def rows(relation: PublishedRelation, columns: Iterable[str], publication: int | None = None) -> sql.Composed:
    """A query of columns of the rows that shares show: now, or as of a publication."""
    shown: sql.Composable = sql.SQL("replaced_by IS NULL")
    if publication is not None:
        shown = sql.SQL("publication <= {0} AND (replaced_by IS NULL OR replaced_by > {0})").format(
            sql.Literal(publication)
        )
    typed = sql.SQL(", ").join(
        sql.SQL("{} {}").format(sql.Identifier(column.name), sql.SQL(column.type)) for column in relation.columns
    )
    return sql.SQL(
        "SELECT {} FROM ops.share_release AS given CROSS JOIN LATERAL jsonb_to_record(given.content) AS shown ({})"
        " WHERE given.resource = {} AND given.{}"
    ).format(
        sql.SQL(", ").join(sql.Identifier("shown", column) for column in columns),
        typed,
        sql.Literal(relation.relation),
        shown,
    )


def publish(
    conn: psycopg.Connection,
    publication: int,
    relations: Mapping[str, PublishedRelation],
    revisions: Sequence[str],
) -> None:
    """Bring what shares show up to date with a new publication, in its transaction.

    Args:
        conn: Within the transaction of the publication, its views moved.
        publication: Its number.
        relations: What it consists of.
        revisions: Days of the year from which a revision is due, as MM-DD.
    """
    is_revision = _begin_revision(conn, publication, revisions)
    shared = conn.execute(
        "SELECT resource FROM ops.share_release UNION SELECT resource FROM ops.share WHERE state = 'open' ORDER BY 1"
    ).fetchall()
    for (resource,) in shared:
        relation = relations.get(resource)
        if relation is None or not relation.hides_small_cells:
            continue
        if is_revision:
            conn.execute(
                "UPDATE ops.share_release SET replaced_by = %s WHERE resource = %s AND replaced_by IS NULL",
                [publication, resource],
            )
        take(conn, relation, publication)


def _begin_revision(conn: psycopg.Connection, publication: int, revisions: Sequence[str]) -> bool:
    """Whether a publication is a revision; the first after a due day is, and is written down as such."""
    row = conn.execute(
        "SELECT (published_at AT TIME ZONE %s)::date FROM ops.publication WHERE publication_id = %s",
        [ZONE, publication],
    ).fetchone()
    if row is None or not revisions:
        return False
    days = [date.fromisoformat(f"{year}-{day}") for year in (row[0].year - 1, row[0].year) for day in revisions]
    due = max(day for day in days if day <= row[0])
    cursor = conn.execute(
        "INSERT INTO ops.share_revision (due, publication) VALUES (%s, %s) ON CONFLICT DO NOTHING", [due, publication]
    )
    return cursor.rowcount == 1


def take(conn: psycopg.Connection, relation: PublishedRelation, publication: int) -> None:
    """Give out the months of a mart that were not given out yet: the complete ones, in a revision all of them.

    Args:
        conn: The publication is the current one and stays so in this transaction.
        relation: The mart.
        publication: Its number.
    """
    schema, _, name = relation.relation.partition(".")
    source, month = sql.Identifier(schema, name), _month_of(relation)
    new = [
        first
        for (first,) in conn.execute(
            sql.SQL(
                "SELECT DISTINCT {month} AS month FROM {source} AS mart WHERE {month} NOT IN"
                " (SELECT month FROM ops.share_release WHERE resource = %s AND replaced_by IS NULL) ORDER BY 1"
            ).format(month=month, source=source),
            [relation.relation],
        ).fetchall()
    ]
    if not _is_revision(conn, publication):
        complete = _complete(conn, relation, publication, new)
        new = [first for first in new if first in complete]
    conn.execute(
        sql.SQL(
            "INSERT INTO ops.share_release (resource, month, publication, content)"
            " SELECT %s, {month}, %s, to_jsonb(mart) FROM {source} AS mart WHERE {month} = ANY(%s)"
        ).format(month=month, source=source),
        [relation.relation, publication, new],
    )


def _is_revision(conn: psycopg.Connection, publication: int) -> bool:
    return conn.execute("SELECT FROM ops.share_revision WHERE publication = %s", [publication]).fetchone() is not None


def _month_of(relation: PublishedRelation) -> sql.Composable:
    """The expression that dates a row of a mart."""
    if MONTH in relation.by_name:
        return sql.SQL("mart.{}").format(sql.Identifier(MONTH))
    if YEAR in relation.by_name:
        return sql.SQL("make_date(mart.{}::integer, 1, 1)").format(sql.Identifier(YEAR))
    return sql.Literal(_UNDATED)


def _complete(
    conn: psycopg.Connection, relation: PublishedRelation, publication: int, months: Sequence[date]
) -> set[date]:
    """Of some months (years) those for which every expected sender of every source has delivered what is published."""
    if months == [_UNDATED]:
        return {_UNDATED}
    length = "1 month" if MONTH in relation.by_name else "1 year"
    found = conn.execute(
        """
        WITH period AS (
            SELECT m.first, to_char(m.first, 'YYYY-MM') AS first_month,
                to_char(m.first + %(length)s::interval - interval '1 month', 'YYYY-MM') AS last_month
            FROM unnest(%(months)s::date[]) AS m (first)
        ),
        source AS (
            SELECT d.source, max(d.period) AS last_month FROM ops.delivery AS d
            INNER JOIN ops.publication AS p ON d.name = ANY(p.deliveries)
            WHERE p.publication_id = %(publication)s AND d.source = ANY(%(sources)s) GROUP BY d.source
        )
        SELECT period.first FROM period
        WHERE NOT EXISTS (SELECT FROM source WHERE source.last_month < period.last_month)
            AND NOT EXISTS (
                SELECT FROM ops.missing_delivery AS m WHERE m.source = ANY(%(sources)s)
                    AND m.period BETWEEN period.first_month AND period.last_month
            )
            AND NOT EXISTS (
                SELECT FROM ops.delivery AS d, ops.publication AS p
                WHERE d.source = ANY(%(sources)s) AND d.status = 'accepted'
                    AND d.period BETWEEN period.first_month AND period.last_month
                    AND p.publication_id = %(publication)s AND d.name <> ALL(p.deliveries)
            )
        """,
        {
            "months": list(months),
            "length": length,
            "publication": publication,
            "sources": list(relation.sources),
        },
    )
    return {first for (first,) in found.fetchall()}


def stands(conn: psycopg.Connection) -> dict[str, dict[date, int]]:
    """The publication that each month shown by shares was taken from, by resource."""
    found: dict[str, dict[date, int]] = {}
    for resource, month, publication in conn.execute(
        "SELECT DISTINCT resource, month, publication FROM ops.share_release WHERE replaced_by IS NULL ORDER BY 1, 2"
    ):
        found.setdefault(resource, {})[month] = publication
    return found

"""What the ledger says of deliveries: what came, what is late, what was refused, what is published."""

import re
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from warehouse.portal import texts

#: Months that the calendar and the trends show.
MONTHS = 12
_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Arrival:
    """A package in the ledger."""

    arrival_id: int
    name: str
    source: str | None
    sender: str | None
    period: str | None
    status: str
    codes: list[str]
    received_at: datetime
    decided_at: datetime | None
    rows_read: int
    rows_rejected: int
    #: What its page depends on: it is written again when this has changed.
    version: str

    @property
    def state(self) -> str:
        """Its state as it is shown."""
        return texts.state(self.status)

    @property
    def page(self) -> str:
        """Its page, from the portal's folder."""
        return f"deliveries/{self.arrival_id}.html"

    @property
    def decides_the_month(self) -> bool:
        """Whether it says how a month of its sender stands; one that repeats a name does not."""
        return self.state != "duplicate" and "D_NAME_REUSED" not in self.codes


@dataclass(frozen=True)
class Publication:
    """A publication: when, of which build, and how much is in it."""

    publication_id: int
    published_at: datetime
    build: str
    deliveries: int
    rows: int
    relations: int
    is_current: bool


@dataclass
class Cell:
    """A month of a sender in the calendar."""

    state: str  # a state of a package; missing, or none where nothing is expected
    arrivals: list[Arrival] = field(default_factory=list)

    @property
    def page(self) -> str | None:
        """The page of the package that decides the state."""
        return next((arrival.page for arrival in self.arrivals if arrival.state == self.state), None)


@dataclass(frozen=True)
class Calendar:
    """The months of the senders of a source."""

    source: str
    months: list[str]
    rows: dict[str, list[Cell]]

    @property
    def missing(self) -> int:
        """How many of the months shown were not delivered, or only with a package that was refused."""
        return sum(cell.state in ("missing", "refused") for cells in self.rows.values() for cell in cells)


@dataclass(frozen=True)
class Missing:
    """A month that a sender owes; ``was_refused``: what came for it was refused."""

    source: str
    sender: str
    period: str
    was_refused: bool


@dataclass(frozen=True)
class Volume:
    """Rows of the accepted deliveries of a source by month; ``rejected`` of ``read`` were rejected."""

    source: str
    period: str
    read: int
    rejected: int


def arrivals(conn: psycopg.Connection) -> list[Arrival]:
    """Every package, the last one to arrive first."""
    with conn.cursor(row_factory=class_row(Arrival)) as cursor:
        return cursor.execute(_ARRIVALS).fetchall()


def missing(conn: psycopg.Connection) -> list[Missing]:
    """Expected deliveries that have not been accepted, the last month first."""
    with conn.cursor(row_factory=class_row(Missing)) as cursor:
        return cursor.execute(
            "SELECT source, sender, period, was_refused FROM ops.missing_delivery ORDER BY source, sender, period DESC"
        ).fetchall()


def publications(conn: psycopg.Connection, number: int = 10) -> list[Publication]:
    """The last publications, the newest first."""
    with conn.cursor(row_factory=class_row(Publication)) as cursor:
        return cursor.execute(_PUBLICATIONS, [number]).fetchall()


def row_counts(conn: psycopg.Connection) -> dict[str, int]:
    """Rows of each published relation."""
    row = conn.execute("SELECT row_counts FROM ops.publication WHERE is_current").fetchone()
    return dict(row[0]) if row else {}


def volumes(conn: psycopg.Connection) -> list[Volume]:
    """Rows of deliveries that count, by source and month, of the last months."""
    with conn.cursor(row_factory=class_row(Volume)) as cursor:
        return cursor.execute(_VOLUMES, [MONTHS]).fetchall()


def calendars(packages: Sequence[Arrival], owed: Sequence[Missing], sources: Collection[str]) -> list[Calendar]:
    """The calendar of each source: its senders by month, of the last months that came or are owed."""
    came: dict[tuple[str, str, str], list[Arrival]] = defaultdict(list)
    for package in packages:
        source, sender, period = package.source or "", package.sender or "", package.period or ""
        if source in sources and sender and _MONTH.fullmatch(period) and package.decides_the_month:
            came[source, sender, period].append(package)
    # A source that no contract names any more has no calendar, though its deliveries stay in the ledger.
    late = {(missing.source, missing.sender, missing.period): missing for missing in owed if missing.source in sources}
    found = []
    for source in sorted({source for source, _, _ in (*came, *late)}):
        keys = [key for key in (*came, *late) if key[0] == source]
        # The month of a refused package may be any: it does not move the calendar.
        counted = [key for key in keys if key in late or any(package.state != "refused" for package in came[key])]
        months = _months(max(period for _, _, period in counted or keys))
        rows = {
            sender: [_cell(came.get((source, sender, month), []), (source, sender, month) in late) for month in months]
            for sender in sorted({sender for _, sender, _ in keys})
        }
        found.append(Calendar(source, months, rows))
    return found


#: Of several packages of a month the first of these states is that of the month.
_PRECEDENCE = ("accepted", "superseded", "received", "set_aside", "withdrawn", "refused")


def _cell(packages: list[Arrival], is_owed: bool) -> Cell:
    states = {package.state for package in packages}
    state = next((state for state in _PRECEDENCE if state in states), "missing" if is_owed else "none")
    return Cell(state, packages)


def _months(last: str) -> list[str]:
    """The months up to the last one, the first first."""
    number = int(last[:4]) * 12 + int(last[5:]) - 1
    return [f"{month // 12:04}-{month % 12 + 1:02}" for month in range(number - MONTHS + 1, number + 1)]


_ARRIVALS = """
SELECT a.arrival_id, a.name, a.source, a.sender, a.period,
    CASE WHEN a.set_aside_at IS NOT NULL AND a.decided_at IS NULL THEN 'set_aside' ELSE a.status END AS status,
    a.codes, a.received_at, a.decided_at,
    coalesce(f.rows_read, 0)::bigint AS rows_read, coalesce(f.rows_rejected, 0)::bigint AS rows_rejected,
    concat_ws(' ', a.status, a.decided_at, s.steps, s.last_at, p.published_at, v.run_at) AS version
FROM ops.arrival AS a
LEFT JOIN (
    SELECT arrival_id, sum(rows_read) AS rows_read, sum(rows_rejected) AS rows_rejected FROM ops.file GROUP BY 1
) AS f ON a.arrival_id = f.arrival_id
LEFT JOIN (
    SELECT arrival_id, count(*) AS steps, max(at) AS last_at FROM ops.step GROUP BY 1
) AS s ON a.arrival_id = s.arrival_id
LEFT JOIN (
    SELECT arrival_id, max(run_at) AS run_at FROM ops.validation_result GROUP BY 1
) AS v ON a.arrival_id = v.arrival_id
LEFT JOIN (
    SELECT published.name, min(p.published_at) AS published_at
    FROM ops.publication AS p, unnest(p.deliveries) AS published (name) GROUP BY 1
) AS p ON a.holds_name AND a.name = p.name
ORDER BY a.received_at DESC, a.arrival_id DESC
"""
_PUBLICATIONS = """
SELECT publication_id, published_at, build, cardinality(deliveries) AS deliveries, is_current,
    (SELECT coalesce(sum(value::bigint), 0) FROM jsonb_each_text(row_counts))::bigint AS rows,
    (SELECT count(*) FROM jsonb_object_keys(row_counts)) AS relations
FROM ops.publication ORDER BY publication_id DESC LIMIT %s
"""
_VOLUMES = """
WITH came AS (
    SELECT d.source, d.period, sum(f.rows_read)::bigint AS read, sum(f.rows_rejected)::bigint AS rejected
    FROM ops.delivery_file AS f INNER JOIN ops.delivery AS d ON f.delivery_id = d.delivery_id
    WHERE d.status IN ('accepted', 'superseded') AND d.source IS NOT NULL AND d.period IS NOT NULL
    GROUP BY d.source, d.period
)
SELECT source, period, read, rejected FROM came
WHERE period IN (SELECT DISTINCT period FROM came ORDER BY period DESC LIMIT %s)
ORDER BY source, period
"""

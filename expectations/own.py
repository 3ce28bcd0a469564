"""Expectations that several feeds share, and what they may know: the delivery and its sender's previous one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from ingest.contracts import Feed

CRITICAL = "critical"
WARNING = "warning"


@dataclass(frozen=True)
class Facts:
    """What a suite may know of the delivery that it looks at.

    ``tables`` maps the delivery's feeds to their qualified batch tables; ``previous_rows`` and ``previous_sums`` are
    those of the sender's previous accepted delivery with this feed (same mode), None and empty where there is none.
    """

    feed: Feed
    mode: str
    created_date: date
    month: date
    tables: Mapping[str, str]
    rows_loaded: int
    previous_rows: int | None = None
    previous_sums: Mapping[str, float] = field(default_factory=dict)

    @property
    def period_end(self) -> date:
        """The last day of the period."""
        return (self.month.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)


def volume(facts: Facts, low: float = 0.5, high: float = 2.0) -> list[Expectation]:
    """Row count: equal to what the ledger counted, and near the sender's previous delivery."""
    suite: list[Expectation] = [
        gxe.ExpectTableRowCountToEqual(
            value=facts.rows_loaded,
            severity=WARNING,
            meta={"name": "rows_as_counted"},
            description="As many rows as the ledger counted (rows read, as the manifest says, less those rejected).",
        )
    ]
    if facts.previous_rows:
        suite.append(
            gxe.ExpectTableRowCountToBeBetween(
                min_value=int(facts.previous_rows * low),
                max_value=int(facts.previous_rows * high),
                severity=WARNING,
                meta={"name": "volume_against_previous"},
                description="The number of rows is near that of the sender's previous delivery.",
            )
        )
    return suite


def filled(column: str, share: float) -> Expectation:
    """A column that may be empty is filled in at least this share of rows."""
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column,
        mostly=share,
        severity=WARNING,
        meta={"name": "share_filled"},
        description=f"{column} is filled in at least {share:.0%} of rows.",
    )


def inside_period(facts: Facts, column: str, share: float = 0.95) -> Expectation:
    """Events do not lie behind the end of the delivery's period."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        max_value=facts.period_end.isoformat(),
        mostly=share,
        severity=WARNING,
        meta={"name": "inside_period"},
        description=f"{column} lies before the end of the period in at least {share:.0%} of rows.",
    )


def sum_near_previous(facts: Facts, column: str, low: float = 0.3, high: float = 3.0) -> Expectation:
    """The sum of a column is near that of the sender's previous delivery, or is only recorded where there is none."""
    previous = facts.previous_sums.get(column)
    return gxe.ExpectColumnSumToBeBetween(
        column=column,
        min_value=None if previous is None else previous * low,
        max_value=None if previous is None else previous * high,
        severity=WARNING,
        meta={"name": "sum_against_previous"},
        description=f"The sum of {column} is near that of the sender's previous delivery.",
    )


class NoRows(gxe.UnexpectedRowsExpectation):
    """The library's query expectation, but the rows found are counted only: it would fetch them too."""

    metric_dependencies = ("unexpected_rows_query.row_count",)

    def _validate(self, metrics: dict[str, Any], *args: Any, **kwargs: Any) -> Any:
        return super()._validate({**metrics, "unexpected_rows_query.table": None}, *args, **kwargs)


def no_rows(query: str, *, name: str, description: str, severity: str = WARNING, **kwargs: Any) -> Expectation:
    """A query over ``batch`` that must find nothing. It returns aggregates only, never a person's row."""
    # {batch} may stand for a subquery that has an alias already; a name of its own can be used twice and aliased.
    return NoRows(
        unexpected_rows_query=f"WITH batch AS NOT MATERIALIZED (SELECT * FROM {{batch}}) {query}",
        description=description,
        severity=severity,
        meta={"name": name},
        **kwargs,
    )


def at_most(
    share: float, condition: str, *, of: int = 0, name: str, description: str, severity: str = WARNING
) -> Expectation:
    """A condition holds for at most this share of the rows, where there are at least so many (``of``)."""
    found = f"count(*) FILTER (WHERE {condition})"
    return no_rows(
        f"SELECT {found} AS found FROM batch HAVING {found} > {share} * count(*) AND count(*) >= {of}",
        name=name,
        description=description,
        severity=severity,
    )


def one_day_spike(column: str, share: float = 0.2) -> Expectation:
    """No single day holds a large share of the dates of a column: a sign of a default that was filled in."""
    return no_rows(
        f"""
        SELECT {column}, count(*) AS row_count FROM batch WHERE {column} IS NOT NULL
        GROUP BY {column}
        HAVING count(*) >= 50 AND count(*) > {share} * (SELECT count(*) FROM batch)
        """,
        name="one_day_spike",
        description=f"No single day holds more than {share:.0%} of the values of {column}.",
    )

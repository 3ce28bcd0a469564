"""Expectations that several feeds share, and their context: the delivery and the sender's previous one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from ingest.contracts import Feed

CRITICAL = "critical"
WARNING = "warning"


@dataclass(frozen=True)
class SuiteContext:
    """The delivery that a suite is made for.

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


def volume(context: SuiteContext, low: float = 0.5, high: float = 2.0) -> list[Expectation]:
    """Row count: equal to what the ledger counted, and near the sender's previous delivery."""
    suite: list[Expectation] = [
        gxe.ExpectTableRowCountToEqual(
            value=context.rows_loaded,
            severity=WARNING,
            description="As many rows as the ledger counted (rows read, as the manifest says, less those rejected).",
            meta={"name": "rows_as_counted", "zh": "行数与台账一致（清单所报行数减去剔除行数）。"},
        )
    ]
    if context.previous_rows:
        least, most = int(context.previous_rows * low), int(context.previous_rows * high)
        suite.append(
            gxe.ExpectTableRowCountToBeBetween(
                min_value=least,
                max_value=most,
                severity=WARNING,
                description=f"{least} to {most} rows: {low:.0%} to {high:.0%} of the {context.previous_rows} of the "
                "sender's previous delivery.",
                meta={
                    "name": "volume_against_previous",
                    "zh": f"行数在 {least} 至 {most} 之间，即该单位上一批 {context.previous_rows} 行的 {low:.0%} 至 "
                    f"{high:.0%}。",
                },
            )
        )
    return suite


def filled(column: str, share: float) -> Expectation:
    """A column that may be empty is filled in at least this share of rows."""
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column,
        mostly=share,
        severity=WARNING,
        description=f"{column} is filled in at least {share:.0%} of rows.",
        meta={"name": "share_filled", "zh": f"{column} 的填写率不低于 {share:.0%}。"},
    )


def inside_period(context: SuiteContext, column: str, share: float = 0.95) -> Expectation:
    """Events are not dated after the end of the delivery's period."""
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        max_value=context.period_end.isoformat(),
        mostly=share,
        severity=WARNING,
        description=f"{column} is not after the end of the period, {context.period_end}, in at least {share:.0%} of "
        "rows.",
        meta={"name": "inside_period", "zh": f"至少 {share:.0%} 的行中 {column} 不晚于期末（{context.period_end}）。"},
    )


def sum_near_previous(context: SuiteContext, column: str, low: float = 0.3, high: float = 3.0) -> Expectation:
    """The sum of a column is near that of the sender's previous delivery, or is only recorded where there is none."""
    previous = context.previous_sums.get(column)
    least, most = (None, None) if previous is None else sorted((previous * low, previous * high))  # it may be negative
    if previous is None:
        english = f"The sum of {column} is recorded; the sender has no previous delivery to compare it with."
        chinese = f"仅记录 {column} 合计；该单位没有可比的上一批。"
    else:
        english = (
            f"The sum of {column} lies between {least:.2f} and {most:.2f}: {low:.0%} to {high:.0%} of the "
            f"{previous:.2f} of the sender's previous delivery."
        )
        chinese = (
            f"{column} 合计在 {least:.2f} 至 {most:.2f} 之间，即该单位上一批 {previous:.2f} 的 {low:.0%} 至 "
            f"{high:.0%}。"
        )
    return gxe.ExpectColumnSumToBeBetween(
        column=column,
        min_value=least,
        max_value=most,
        severity=WARNING,
        description=english,
        meta={"name": "sum_against_previous", "zh": chinese},
    )


def no_rows(query: str, *, name: str, description: str, zh: str, severity: str = WARNING) -> Expectation:
    """A query over ``batch`` that must find nothing. It returns aggregates only, never a person's row."""
    # The library may replace {batch} by a subquery with an alias; a CTE can be used twice and under other aliases.
    return gxe.UnexpectedRowsExpectation(
        unexpected_rows_query=f"WITH batch AS NOT MATERIALIZED (SELECT * FROM {{batch}}) {query}",
        description=description,
        severity=severity,
        meta={"name": name, "zh": zh},
    )


def at_most(
    share: float,
    condition: str,
    *,
    among: str = "true",
    of: int = 0,
    name: str,
    description: str,
    zh: str,
    severity: str = WARNING,
) -> Expectation:
    """A condition holds for at most this share of the rows ``among`` all, where these are at least ``of``."""
    found, all_ = f"count(*) FILTER (WHERE ({among}) AND ({condition}))", f"count(*) FILTER (WHERE {among})"
    return no_rows(
        f"SELECT {found} AS found FROM batch HAVING {found} > {share} * {all_} AND {all_} >= {of}",
        name=name,
        description=description,
        zh=zh,
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
        zh=f"{column} 没有任何一天占比超过 {share:.0%}。",
    )

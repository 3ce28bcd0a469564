"""What must hold of the figures of the indicators of the reform before they are published."""

from collections.abc import Sequence

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, no_rows
from expectations.suites.figures.rules import SMALLEST_CELL, not_negative, unique


def _country(term: str) -> Expectation:
    """Of indicators that count persons, provinces with a small numerator are left out, and the country may be."""
    return no_rows(
        f"""
        SELECT indicator, month FROM (
            SELECT indicator, month, bool_or(counts_persons) AS counts_persons,
                sum({term}) FILTER (WHERE admdvs = '100000') AS country,
                coalesce(sum({term}) FILTER (WHERE admdvs <> '100000'), 0) AS provinces
            FROM batch GROUP BY indicator, month
        ) AS compared
        WHERE CASE WHEN counts_persons THEN country < provinces ELSE country IS DISTINCT FROM provinces END
        """,
        name=f"country_is_the_sum_of_provinces_{term}",
        description=f"The country's {term} is the sum of the provinces', or more where small ones are not shown.",
        zh=f"全国的 {term} 等于各省之和；有省份因人数少而不公布时可大于公布之和。",
        severity=CRITICAL,
    )


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "reform_indicator": [
            unique("indicator", "month", "admdvs"),
            *not_negative("denominator"),
            # what was spent or collected may be negative in a year, after a correction
            no_rows(
                """
                SELECT indicator, month, admdvs FROM batch
                WHERE is_share AND value NOT BETWEEN 0 AND 1
                """,
                name="share_within_0_and_1",
                description="Indicators whose numerator is a part of their denominator lie between 0 and 1.",
                zh="分子为分母一部分的指标介于 0 与 1 之间。",
                severity=CRITICAL,
            ),
            no_rows(
                f"""
                SELECT indicator, month, admdvs FROM batch
                WHERE counts_persons AND numerator BETWEEN 1 AND {SMALLEST_CELL}
                """,
                name="no_small_cell",
                description=f"No published indicator counts 1 to {SMALLEST_CELL} persons.",
                zh=f"公布的按人计指标不对应 1 至 {SMALLEST_CELL} 人。",
                severity=CRITICAL,
            ),
            *(_country("numerator"), _country("denominator")),
        ],
    }

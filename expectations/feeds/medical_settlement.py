"""Settlements: the critical sign of a wrong period, the sums, reversals that balance."""

from datetime import timedelta

from great_expectations.expectations.expectation import Expectation

from expectations.own import CRITICAL, Facts, no_rows, sum_near_previous, volume

AHEAD_SHARE = 0.50
AHEAD_ROWS = 100


def expectations(facts: Facts) -> list[Expectation]:
    """What the settlement feed must satisfy beside its contract."""
    next_month = facts.period_end + timedelta(days=1)
    return [
        *volume(facts),
        sum_near_previous(facts, "medfee_sumamt"),
        sum_near_previous(facts, "fund_pay_sumamt"),
        no_rows(
            f"""
            SELECT count(*) AS ahead FROM batch WHERE setl_time >= TIMESTAMP '{next_month.isoformat()}'
            HAVING count(*) > {AHEAD_SHARE} * (SELECT count(*) FROM batch)
                AND (SELECT count(*) FROM batch) >= {AHEAD_ROWS}
            """,
            name="settled_inside_the_period",
            description=f"Of at least {AHEAD_ROWS} settlements not more than {AHEAD_SHARE:.0%} lie after the end of "
            "the period.",
            severity=CRITICAL,
        ),
        no_rows(
            """
            SELECT count(*) AS reversals FROM batch WHERE init_setl_id IS NOT NULL
            HAVING count(*) > 0.2 * (SELECT count(*) FROM batch)
            """,
            name="few_reversals",
            description="At most 20 % of the rows are reversals.",
        ),
    ]

"""Settlements: the critical sign of a wrong period, the sums, reversals that balance."""

from datetime import timedelta

from great_expectations.expectations.expectation import Expectation

from expectations.own import CRITICAL, Facts, at_most, sum_near_previous, volume

AHEAD_SHARE = 0.50
AHEAD_ROWS = 100


def expectations(facts: Facts) -> list[Expectation]:
    """What the settlement feed must satisfy beside its contract."""
    next_month = facts.period_end + timedelta(days=1)
    return [
        *volume(facts),
        sum_near_previous(facts, "medfee_sumamt"),
        sum_near_previous(facts, "fund_pay_sumamt"),
        at_most(
            AHEAD_SHARE,
            f"setl_time >= TIMESTAMP '{next_month.isoformat()}'",
            of=AHEAD_ROWS,
            name="settled_inside_the_period",
            description=f"Of at least {AHEAD_ROWS} settlements not more than {AHEAD_SHARE:.0%} lie after the end of "
            "the period.",
            severity=CRITICAL,
        ),
        at_most(
            0.2,
            "init_setl_id IS NOT NULL",
            name="few_reversals",
            description="At most 20 % of the rows are reversals.",
        ),
    ]

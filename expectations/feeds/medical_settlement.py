"""Settlements: the critical sign of a wrong period, the sums, reversals that balance."""

from datetime import datetime, time, timedelta

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.own import CRITICAL, WARNING, Facts, sum_near_previous, volume

AHEAD_SHARE = 0.50
AHEAD_ROWS = 100
REVERSED_SHARE = 0.20


def expectations(facts: Facts) -> list[Expectation]:
    """What the settlement feed must satisfy beside its contract."""
    next_month = facts.period_end + timedelta(days=1)
    return [
        *volume(facts),
        sum_near_previous(facts, "medfee_sumamt"),
        sum_near_previous(facts, "fund_pay_sumamt"),
        gxe.ExpectColumnValuesToBeBetween(
            column="setl_time",
            max_value=datetime.combine(next_month, time()),
            strict_max=True,
            mostly=1 - AHEAD_SHARE if facts.rows_loaded >= AHEAD_ROWS else 0,
            severity=CRITICAL,
            meta={"name": "settled_inside_the_period"},
            description=f"Of at least {AHEAD_ROWS} settlements not more than {AHEAD_SHARE:.0%} lie after the end of "
            "the period.",
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="init_setl_id",
            mostly=1 - REVERSED_SHARE,
            severity=WARNING,
            meta={"name": "few_reversals"},
            description=f"At most {REVERSED_SHARE:.0%} of the rows are reversals.",
        ),
    ]

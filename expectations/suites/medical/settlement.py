"""Settlements: the critical sign of a wrong period, the sums, reversals that balance."""

from datetime import datetime, time, timedelta

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, WARNING, SuiteContext, sum_near_previous, volume

AHEAD_SHARE = 0.50
AHEAD_ROWS = 100
REVERSED_SHARE = 0.20


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the settlement feed must satisfy beside its contract."""
    next_month = context.period_end + timedelta(days=1)
    return [
        *volume(context),
        sum_near_previous(context, "medfee_sumamt"),
        sum_near_previous(context, "fund_pay_sumamt"),
        gxe.ExpectColumnValuesToBeBetween(
            column="setl_time",
            max_value=datetime.combine(next_month, time()),
            strict_max=True,
            mostly=1 - AHEAD_SHARE if context.rows_loaded >= AHEAD_ROWS else 0,
            severity=CRITICAL,
            description=f"Of at least {AHEAD_ROWS} settlements not more than {AHEAD_SHARE:.0%} lie after the end of "
            "the period.",
            meta={
                "name": "settled_inside_the_period",
                "zh": f"结算不少于 {AHEAD_ROWS} 笔时，期末之后的不多于 {AHEAD_SHARE:.0%}。",
            },
        ),
        gxe.ExpectColumnValuesToBeNull(
            column="init_setl_id",
            mostly=1 - REVERSED_SHARE,
            severity=WARNING,
            description=f"At most {REVERSED_SHARE:.0%} of the rows are reversals.",
            meta={"name": "few_reversals", "zh": f"冲销行不多于 {REVERSED_SHARE:.0%}。"},
        ),
    ]

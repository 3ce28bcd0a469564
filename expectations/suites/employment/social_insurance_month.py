"""Contributions: the critical sign of months that lie ahead, volume and sums."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, SuiteContext, at_most, filled, sum_near_previous, volume

AHEAD_SHARE = 0.50
AHEAD_ROWS = 100


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the social_insurance_month feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("base", 0.5),
        sum_near_previous(context, "unit_amount"),
        sum_near_previous(context, "person_amount"),
        at_most(
            AHEAD_SHARE,
            f"month > DATE '{context.month.isoformat()}'",
            of=AHEAD_ROWS,
            name="months_inside_the_period",
            description=f"Of at least {AHEAD_ROWS} contributions not more than {AHEAD_SHARE:.0%} are for a month after "
            "the period.",
            zh=f"不少于 {AHEAD_ROWS} 条缴费中，费款所属期晚于所属月份的不超过 {AHEAD_SHARE:.0%}。",
            severity=CRITICAL,
        ),
    ]

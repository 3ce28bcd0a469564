"""Services: the critical sign of a wrong period, volume, presence of the person where money is given."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, SuiteContext, at_most, sum_near_previous, volume

AHEAD_SHARE = 0.50
AHEAD_ROWS = 100


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the service_record feed must satisfy beside its contract."""
    return [
        *volume(context),
        sum_near_previous(context, "amount"),
        at_most(
            AHEAD_SHARE,
            f"served_on > DATE '{context.period_end.isoformat()}'",
            of=AHEAD_ROWS,
            name="served_inside_the_period",
            description=f"Of at least {AHEAD_ROWS} services not more than {AHEAD_SHARE:.0%} were given after the end "
            "of the period.",
            zh=f"不少于 {AHEAD_ROWS} 条服务记录中，服务日期晚于期末的不超过 {AHEAD_SHARE:.0%}。",
            severity=CRITICAL,
        ),
        at_most(
            0.1,
            "amount > 0 AND person_key IS NULL",
            name="money_has_a_receiver",
            description="At most 10 % of the services give money to persons who are not known.",
            zh="发放资金而不知对象的服务不超过 10 %。",
        ),
    ]

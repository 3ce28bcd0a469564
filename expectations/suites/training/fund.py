"""Education funds: volume, the unit of the amounts, the year."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, filled, sum_near_previous, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the fund feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("accrued", 0.5),
        sum_near_previous(context, "spent"),
        at_most(
            0.1,
            "spent > 0.5 * wages_total",
            name="spent_is_a_part_of_wages",
            description="Spending above half of the wages in more than 10 % of rows points to a wrong unit of money.",
            zh="支出超过工资总额一半的行多于 10%，说明金额单位有误。",
        ),
    ]

"""Education funds: volume, the unit of the amounts, the year."""

from great_expectations.expectations.expectation import Expectation

from expectations.own import Facts, at_most, filled, sum_near_previous, volume


def expectations(facts: Facts) -> list[Expectation]:
    """What the fund feed must satisfy beside its contract."""
    return [
        *volume(facts),
        filled("accrued", 0.5),
        sum_near_previous(facts, "spent"),
        at_most(
            0.1,
            "spent > 0.5 * wages_total",
            name="spent_is_a_part_of_wages",
            description="Spending above half of the wages in more than 10 % of rows points to a wrong unit of money.",
        ),
    ]

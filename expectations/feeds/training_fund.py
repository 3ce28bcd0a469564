"""Education funds: volume, the unit of the amounts, the year."""

from great_expectations.expectations.expectation import Expectation

from expectations.own import Facts, filled, no_rows, sum_near_previous, volume


def expectations(facts: Facts) -> list[Expectation]:
    """What the fund feed must satisfy beside its contract."""
    return [
        *volume(facts),
        filled("accrued", 0.5),
        sum_near_previous(facts, "spent"),
        no_rows(
            """
            SELECT count(*) AS over FROM batch WHERE spent > 0.5 * wages_total
            HAVING count(*) > 0.1 * (SELECT count(*) FROM batch)
            """,
            name="spent_is_a_part_of_wages",
            description="Spending above half of the wages in more than 10 % of rows points to a wrong unit of money.",
        ),
    ]

"""Insured persons: volume, one number per person."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, filled, no_rows, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the person feed must satisfy beside its contract."""
    return [
        *volume(context, 0.1, 10),
        filled("gend", 0.8),
        filled("brdy", 0.5),
        no_rows(
            """
            SELECT count(*) AS several FROM (
                SELECT person_key FROM batch GROUP BY person_key HAVING count(*) > 1
            ) AS repeated
            HAVING count(*) > 0.05 * (SELECT count(*) FROM batch)
            """,
            name="one_number_a_person",
            description="At most 5 % of the persons stand under more than one personal number.",
            zh="有多个个人编号的人不多于 5%。",
        ),
    ]

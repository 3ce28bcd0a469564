"""Certificates: volume, dates inside the period, the shape of the number."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, filled, inside_period, no_rows, one_day_spike, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the certificate feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("occupation_code", 0.5),
        inside_period(context, "issued_on"),
        one_day_spike("issued_on", 0.5),
        no_rows(
            """
            SELECT count(*) AS several FROM (
                SELECT person_key, occupation_code, skill_level FROM batch
                WHERE status = '1' AND occupation_code IS NOT NULL
                GROUP BY person_key, occupation_code, skill_level HAVING count(*) > 1
            ) AS repeated
            HAVING count(*) > 0.05 * (SELECT count(*) FROM batch)
            """,
            name="one_certificate_a_level",
            description="Persons with two valid certificates of one occupation and level are at most 5 % of the rows.",
            zh="持有同一职业、同一等级两张有效证书的人数不超过行数的 5%。",
        ),
    ]

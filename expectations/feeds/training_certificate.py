"""Certificates: volume, dates inside the period, the shape of the number."""

from great_expectations.expectations.expectation import Expectation

from expectations.own import Facts, filled, inside_period, no_rows, one_day_spike, volume


def expectations(facts: Facts) -> list[Expectation]:
    """What the certificate feed must satisfy beside its contract."""
    return [
        *volume(facts),
        filled("occupation_code", 0.5),
        inside_period(facts, "issued_on"),
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
            description="Few persons hold two valid certificates of one occupation and level.",
        ),
    ]

"""Insurance relations: volume, status and pause date that agree."""

from great_expectations.expectations.expectation import Expectation

from expectations.own import Facts, no_rows, volume


def expectations(facts: Facts) -> list[Expectation]:
    """What the insurance feed must satisfy beside its contract."""
    return [
        *volume(facts, 0.1, 10),
        no_rows(
            f"""
            SELECT count(*) AS contradictory FROM batch
            WHERE psn_insu_stas = '1' AND paus_insu_date <= DATE '{facts.period_end.isoformat()}'
            HAVING count(*) > 0.1 * (SELECT count(*) FROM batch)
            """,
            name="status_agrees_with_pause",
            description="At most 10 % of the relations are in force and paused at once.",
        ),
    ]

"""Disputes: the critical sign of an export that closes cases itself, dates inside the period."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, SuiteContext, at_most, filled, inside_period, one_day_spike, volume

CLOSED_SHARE = 0.30
CLOSED_ROWS = 100


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the dispute_case feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("employer_uscc", 0.5),
        inside_period(context, "accepted_on"),
        one_day_spike("accepted_on", 0.5),
        at_most(
            CLOSED_SHARE,
            f"closed_on = DATE '{context.created_date.isoformat()}'",
            among="closed_on IS NOT NULL",
            of=CLOSED_ROWS,
            name="closed_on_is_not_the_export_day",
            description=f"Of at least {CLOSED_ROWS} closed cases not more than {CLOSED_SHARE:.0%} were closed on the "
            "day the delivery was created: the export filled in its own date.",
            zh=f"不少于 {CLOSED_ROWS} 件已结案争议中，结案日期等于报送日的不超过 {CLOSED_SHARE:.0%}。",
            severity=CRITICAL,
        ),
    ]

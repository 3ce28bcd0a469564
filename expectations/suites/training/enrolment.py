"""Enrolments: volume, dates inside the period, presence of hours and results."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import (
    SuiteContext,
    at_most,
    filled,
    inside_period,
    one_day_spike,
    sum_near_previous,
    volume,
)


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the enrolment feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("attended_hours", 0.5),
        filled("funding_source", 0.5),
        inside_period(context, "started_on"),
        one_day_spike("started_on", 0.5),
        sum_near_previous(context, "subsidy_amount"),
        at_most(
            0.1,
            "attended_hours > planned_hours",
            name="attended_within_planned",
            description="Attended hours exceed the planned ones in at most 10 % of rows.",
            zh="实到学时超过计划学时的行不多于 10%。",
        ),
    ]

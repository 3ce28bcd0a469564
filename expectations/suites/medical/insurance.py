"""Insurance relations: volume, status and pause date that agree."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the insurance feed must satisfy beside its contract."""
    return [
        *volume(context, 0.1, 10),
        at_most(
            0.1,
            f"psn_insu_stas = '1' AND paus_insu_date <= DATE '{context.period_end.isoformat()}'",
            name="status_agrees_with_pause",
            description="At most 10 % of the relations are in force and paused at once.",
            zh="既在保又已暂停的参保关系不多于 10%。",
        ),
    ]

"""Contests: volume, dates inside the period, the share of winners."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, inside_period, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the contest feed must satisfy beside its contract."""
    return [
        *volume(context),
        inside_period(context, "started_on"),
        at_most(
            0.1,
            "2 * winners > participants",
            name="few_win",
            description="More than half of the participants won in at most 10 % of the contests.",
            zh="获奖人数超过参赛人次一半的竞赛不超过 10 %。",
        ),
    ]

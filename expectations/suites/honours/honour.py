"""Honours: volume, dates inside the period, a revocation that the status says."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, inside_period, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the honour feed must satisfy beside its contract."""
    return [
        *volume(context),
        inside_period(context, "granted_on"),
        at_most(
            0,
            "status = '1' AND revoked_on IS NOT NULL",
            name="revoked_honours_are_not_valid",
            description="No honour is valid and has a day of revocation.",
            zh="没有状态有效而有撤销日期的荣誉。",
        ),
    ]

"""Forms of democratic management: volume, what is held inside the period, two thirds of the representatives."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, at_most, filled, inside_period, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the regime feed must satisfy beside its contract."""
    return [
        *volume(context, 0.1, 10),
        filled("last_held_on", 0.3),
        inside_period(context, "last_held_on"),
        at_most(
            0.1,
            "3 * attended < 2 * representatives",
            name="two_thirds_attend",
            description="Fewer than two thirds of the representatives attended in at most 10 % of rows.",
            zh="实到代表不足应到三分之二的行不超过 10 %。",
        ),
    ]

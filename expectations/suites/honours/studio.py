"""Studios: volume, dates inside the period, results."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, filled, inside_period, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the studio feed must satisfy beside its contract."""
    return [
        *volume(context, 0.1, 10),
        filled("members", 0.5),
        inside_period(context, "named_on"),
    ]

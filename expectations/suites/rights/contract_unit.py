"""Units covered by contracts: volume, the number of workers."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, filled, inside_period, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the contract_unit feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("workers", 0.5),
        inside_period(context, "left_on"),
    ]

"""Audit findings: volume, dates inside the period, presence of the amounts."""

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import SuiteContext, filled, inside_period, volume


def expectations(context: SuiteContext) -> list[Expectation]:
    """What the audit_finding feed must satisfy beside its contract."""
    return [
        *volume(context),
        filled("amount", 0.3),
        filled("due_on", 0.3),
        inside_period(context, "issued_on"),
    ]

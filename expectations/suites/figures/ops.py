"""What must hold of the figures of deliveries before they are published."""

from collections.abc import Sequence

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL
from expectations.suites.figures.rules import is_share


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "delivery_scorecard": [
            is_share("rejected_share"),
            gxe.ExpectColumnValuesToBeUnique(
                column="name",
                severity=CRITICAL,
                description="No two rows have the same name.",
                meta={"zh": "没有两行的 name 相同。"},
            ),
        ],
    }

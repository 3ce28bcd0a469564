"""What must hold of the figures of membership and new forms of employment before they are published."""

from collections.abc import Sequence

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import WARNING
from expectations.suites.figures.rules import not_negative, part_of, steady, unique


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "new_form_month": [
            unique("month", "sender", "admdvs", "new_form_type"),
            part_of("women_members", "members"),
            part_of("joined", "members"),
            steady("members", "sender", 0.5),
        ],
        "union_coverage_month": [
            gxe.ExpectTableRowCountToBeBetween(
                min_value=0, severity=WARNING, description="The rows are counted.", meta={"zh": "记录行数。"}
            ),
            *not_negative("organisations", "employees", "members", "joined"),
            *(part_of(part, "members") for part in ("women_members", "migrant_members", "new_form_members", "joined")),
            unique("month", "sender", "admdvs", "industry", "employer_nature"),
            steady("members", "sender", 0.5),
            steady("organisations", "sender", 0.5),
        ],
        "duplicate_membership_month": [
            *not_negative("duplicate_rows"),
            unique("month", "sender"),
        ],
    }

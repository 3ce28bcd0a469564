"""What must hold of the figures of funds and audit before they are published."""

from collections.abc import Sequence

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import no_rows
from expectations.suites.figures.rules import is_share, not_negative, part_of, unique


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "fund_budget_year": [
            *not_negative("organisations", "budget", "final_budget"),
            unique("year", "sender", "org_level", "account", "purpose"),
            no_rows(
                """
                SELECT year, sender FROM batch
                WHERE account LIKE 'E%' AND account <> 'E8'
                GROUP BY year, sender
                HAVING sum(actual) > 2 * sum(final_budget)
                """,
                name="spent_within_twice_the_budget",
                description="A sender's organisations spend at most twice their final budgets in a year.",
                zh="各报送单位年度支出不超过最终预算的两倍。",
            ),
        ],
        "audit_year": [
            *not_negative("findings", "amount", "rectified_amount"),
            *(part_of(part, "findings") for part in ("reform_findings", "rectified", "due")),
            part_of("on_time", "due"),
            part_of("overdue", "due"),
            part_of("rectified_amount", "amount"),
            is_share("rectified_rate"),
            unique("year", "sender", "audit_kind", "finding_type"),
        ],
    }

"""What must hold of the figures of employment, social insurance and platforms before they are published."""

from collections.abc import Sequence

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, no_rows
from expectations.suites.figures.rules import (
    complementary_suppression,
    is_share,
    no_small_cell,
    not_negative,
    part_of,
    steady,
    suppressed_as_a_whole,
    unique,
)


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    insured = ("pension", "resident_pension", "unemployment", "injury", "occupational_injury", "medical", "maternity")
    counts = ("employed", "unit_employed", "flexible_employed", *insured, "all_five", "none")
    return {
        "employment_month": [
            *not_negative("members"),
            *(part_of(part, "members") for part in counts),
            *(part_of(part, "employed") for part in ("unit_employed", "flexible_employed")),
            *(part_of("all_five", part) for part in ("pension", "medical", "unemployment", "injury", "maternity")),
            part_of("medical", "maternity"),
            is_share("all_five_rate"),
            suppressed_as_a_whole(*counts, "all_five_rate"),
            complementary_suppression("members", "month", "sender"),
            unique("month", "sender", "admdvs"),
            steady("employed", "sender", 0.6),
            steady("pension", "sender", 0.6),
        ],
        "uncovered_worker": [
            no_rows(
                """
                SELECT month FROM batch
                WHERE last_paid_month >= month - interval '1 month' OR started_on >= month + interval '1 month'
                """,
                name="at_work_and_unpaid_for_two_months",
                description="The employment began by the month, and nothing was paid for it or for the month before.",
                zh="就业日期不晚于当月，且当月与上月均无缴费。",
                severity=CRITICAL,
            ),
        ],
        "new_form_platform_month": [
            unique("month", "sender", "platform_code"),
            part_of("members", "workers"),
            part_of("units_with_union", "units"),
            is_share("joining_rate"),
            no_small_cell("workers"),
            suppressed_as_a_whole("workers", "members", "units", "units_with_union", "joining_rate"),
            complementary_suppression("workers", "month", "sender", total="platform_code = 'all'"),
        ],
    }

"""What must hold of the figures of training, skills and what training leads to before they are published."""

from collections.abc import Sequence

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL
from expectations.suites.figures.rules import (
    complementary_suppression,
    is_share,
    no_small_cell,
    not_negative,
    part_of,
    suppressed_as_a_whole,
    unique,
)


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "skill_structure_month": [
            *not_negative("members"),
            gxe.ExpectColumnValuesToBeBetween(
                column="skill_rank",
                min_value=-1,
                max_value=7,
                severity=CRITICAL,
                description="skill_rank is a rank from -1 to 7.",
                meta={"zh": "skill_rank 介于 -1 与 7 之间。"},
            ),
        ],
        "training_month": [
            *not_negative("enrolments", "attended_hours", "subsidy_amount"),
            part_of("persons", "enrolments"),
            part_of("passed", "enrolments"),
            part_of("member_persons", "persons"),
            suppressed_as_a_whole("attended_hours", "subsidy_amount"),
        ],
        "training_chain_month": [
            unique("month", "sender", "training_type"),
            *(part_of(part, "trained") for part in ("member_persons", "certified", "employed", "insured")),
            part_of("certified_employed", "certified"),
            part_of("certified_employed", "employed"),
            part_of("certified_employed_insured", "certified_employed"),
            part_of("certified_employed_insured", "insured"),
            *(is_share(share) for share in ("certified_rate", "employed_rate", "insured_rate", "chain_rate")),
            no_small_cell("trained"),
            suppressed_as_a_whole(
                *("trained", "member_persons", "certified", "employed", "insured"),
                *("certified_employed", "certified_employed_insured"),
                *("certified_rate", "employed_rate", "insured_rate", "chain_rate"),
            ),
            complementary_suppression("trained", "month", "sender", total="training_type = 'all'"),
        ],
        "training_fund_year": [
            is_share("frontline_share"),
            is_share("compliance_rate"),
            part_of("frontline_spent", "spent"),
            part_of("compliant_employers", "employers"),
        ],
    }

"""What must hold of the figures of medical insurance, mutual aid and hardship before they are published."""

from collections.abc import Sequence

import great_expectations.expectations as gxe
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
)


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "insurance_coverage_month": _insurance_coverage_month(),
        "medical_burden_month": _medical_burden_month(),
        "mutual_aid_entitlement": _mutual_aid_entitlement(),
        "hardship_watch": _hardship_watch(),
    }


def _insurance_coverage_month() -> list[Expectation]:
    return [
        *not_negative("members"),
        *(
            part_of(part, "members")
            for part in ("employee_insured", "resident_insured", "uninsured", "flexible", "retired")
        ),
        is_share("employee_insured_rate"),
        suppressed_as_a_whole(
            "employee_insured", "resident_insured", "uninsured", "flexible", "retired", "employee_insured_rate"
        ),
        complementary_suppression("members", "month", "sender"),
        no_rows(
            """
            SELECT month, sender, admdvs FROM batch
            WHERE members <> employee_insured + resident_insured + uninsured
            """,
            name="members_are_insured_or_not",
            description="Every member is employee-insured, resident-insured or uninsured.",
            zh="每名会员或参加职工医保，或参加居民医保，或未参保。",
            severity=CRITICAL,
        ),
        steady("employee_insured", "sender", 0.6),
    ]


def _medical_burden_month() -> list[Expectation]:
    return [
        no_small_cell("persons"),
        suppressed_as_a_whole("persons", "settlements", "medfee", "fund_pay", "psn_pay"),
        complementary_suppression("persons", "month", "insu_admdvs"),
        part_of("persons", "settlements"),
    ]


def _mutual_aid_entitlement() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column="aid_amount",
            min_value=0,
            strict_min=True,
            severity=CRITICAL,
            description="aid_amount is positive.",
            meta={"name": "aid_is_positive", "zh": "aid_amount 大于 0。"},
        ),
        *not_negative("base_amount"),
    ]


def _hardship_watch() -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeInSet(
            column="level",
            value_set=["red", "amber"],
            severity=CRITICAL,
            description="level is red or amber.",
            meta={"zh": "level 为 red 或 amber。"},
        ),
        no_rows(
            "SELECT month FROM batch WHERE (level = 'red' AND ratio < 1) OR ratio < 0.5",
            name="level_agrees_with_ratio",
            description="Red means a burden of at least the yearly income, amber of at least half of it.",
            zh="red：负担不低于年收入；amber：不低于年收入的一半。",
            severity=CRITICAL,
        ),
    ]

"""What must hold of the figures of workers' rights and disputes before they are published."""

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
    return {
        "democratic_management_month": _democratic_management_month(),
        "collective_contract_month": _collective_contract_month(),
        "dispute_month": _dispute_month(),
        "dispute_overdue": _dispute_overdue(),
    }


def _democratic_management_month() -> list[Expectation]:
    return [
        unique("month", "sender", "admdvs", "employer_nature", "regime"),
        *not_negative("representatives", "attended", "proposals", "proposals_closed", "flag_only", "list_only"),
        part_of("established", "organisations"),
        part_of("held", "established"),
        part_of("flag_only", "organisations"),
        part_of("list_only", "established"),
        is_share("established_rate"),
        is_share("held_rate"),
        steady("established", "sender", 0.5),
    ]


def _collective_contract_month() -> list[Expectation]:
    return [
        unique("month", "sender", "contract_kind"),
        *not_negative("enterprises", "workers", "unlisted_workers"),
        *(
            part_of(part, "contracts")
            for part in ("regional_contracts", "industry_contracts", "unlisted_contracts", "expiring")
        ),
        part_of("covered_organisations", "organisations"),
        part_of("covered_employees", "employees"),
        is_share("coverage_rate"),
        no_rows(
            """
            SELECT month, sender FROM batch GROUP BY month, sender
            HAVING sum(contracts) FILTER (WHERE contract_kind = 'all')
                    IS DISTINCT FROM sum(contracts) FILTER (WHERE contract_kind <> 'all')
                OR max(covered_organisations) FILTER (WHERE contract_kind = 'all')
                    < max(covered_organisations) FILTER (WHERE contract_kind <> 'all')
            """,
            name="all_kinds_hold_each_kind",
            description="All kinds together have the contracts of each kind and cover no less than one of them.",
            zh="全部种类的合同数等于各种类之和，其覆盖不小于任一种类。",
            severity=CRITICAL,
        ),
        steady("contracts", "sender", 0.5),
    ]


def _dispute_month() -> list[Expectation]:
    return [
        unique("month", "sender", "admdvs", "dispute_type"),
        no_small_cell("persons"),
        # days and the rate are missing in a shown row, too, where no case is closed
        suppressed_as_a_whole(
            *("persons", "cases", "workers", "closed", "settled", "closed_15d", "closed_45d", "closed_60d"),
            *("legal_aid", "new_form_cases", "claimed_amount", "recovered_amount"),
        ),
        complementary_suppression("persons", "month", "sender", "admdvs"),
        part_of("persons", "cases"),
        part_of("closed", "cases"),
        part_of("settled", "closed"),
        part_of("closed_15d", "closed_45d"),
        part_of("closed_45d", "closed_60d"),
        part_of("closed_60d", "closed"),
        part_of("median_days", "p90_days"),
        is_share("settled_rate"),
    ]


def _dispute_overdue() -> list[Expectation]:
    return [
        unique("month", "sender", "case_no"),
        no_rows(
            "SELECT month, sender, case_no FROM batch WHERE days_open <= limit_days",
            name="open_beyond_the_limit",
            description="Every case has been open for longer than its limit.",
            zh="每个案件的未结天数均超过时限。",
            severity=CRITICAL,
        ),
    ]

"""What must hold of the figures of services before they are published."""

from collections.abc import Sequence

from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import CRITICAL, no_rows
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
        "service_month": _service_month(),
        "service_reach_month": _service_reach_month(),
        "mutual_aid_gap": _mutual_aid_gap(),
        "hardship_unserved": _hardship_unserved(),
    }


def _service_month() -> list[Expectation]:
    return [
        unique("month", "sender", "admdvs", "service_type"),
        *not_negative("amount", "in_kind"),
        part_of("persons", "records"),
        part_of("records", "times"),
        part_of("member_persons", "persons"),
        no_small_cell("persons"),
        suppressed_as_a_whole("records", "times", "persons", "member_persons", "amount", "in_kind"),
        complementary_suppression("persons", "month", "sender", "admdvs"),
    ]


def _service_reach_month() -> list[Expectation]:
    return [
        unique("month", "sender", "admdvs", "service_group"),
        part_of("reached", "members"),
        is_share("reach_rate"),
        no_small_cell("reached"),
        suppressed_as_a_whole("reached", "reach_rate"),
        complementary_suppression("reached", "month", "sender", "admdvs", total="service_group = 'any'"),
        no_rows(
            """
            SELECT month, sender, admdvs FROM batch GROUP BY month, sender, admdvs
            HAVING max(reached) FILTER (WHERE service_group = 'any')
                    < max(reached) FILTER (WHERE service_group <> 'any')
                OR count(*) FILTER (WHERE service_group = 'any') <> 1
            """,
            name="any_group_holds_each_group",
            description="All groups together reach no fewer members than one of them.",
            zh="任一类别合计覆盖的会员不少于单个类别。",
            severity=CRITICAL,
        ),
    ]


def _mutual_aid_gap() -> list[Expectation]:
    return [
        unique("scheme_code", "person_key"),
        *not_negative("aid_amount", "paid_amount"),
        no_rows(
            "SELECT scheme_code FROM batch WHERE gap <> aid_amount - paid_amount OR gap = 0",
            name="gap_is_owed_less_paid",
            description="Each gap is what is owed less what was paid, and not 0.",
            zh="差额等于应补助减已支付，且不为 0。",
            severity=CRITICAL,
        ),
    ]


def _hardship_unserved() -> list[Expectation]:
    return [
        unique("month", "person_key"),
        no_rows(
            "SELECT month FROM batch WHERE last_served_on >= month - INTERVAL '11 months'",
            name="no_service_within_12_months",
            description="The last service, where there was one, lies before the 12 months that end with the month.",
            zh="最近一次服务（如有）早于截至当月的 12 个月。",
            severity=CRITICAL,
        ),
    ]

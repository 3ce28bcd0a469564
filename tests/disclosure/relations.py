"""How published figures hang together: what anybody knows who has read the definitions of the marts.

Which marts suppress cells, and by which rule, is not said here: the models' own metadata says it (``rules``).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sum:
    """A figure of the indicators that adds up one column of a mart, by month and province.

    Attributes:
        indicator: The indicator.
        numerator, denominator: Columns of the mart that they are the sums of; None where no mart shows the parts.
        mart: The mart of the parts.
        where: Values of columns that the parts have.
        months_later: The indicator stands so many months after its parts.
        always: Whether a province that has parts always has the indicator, so that it is known to be removed where it
            is not there.
    """

    indicator: str
    mart: str
    numerator: str
    denominator: str | None
    where: Mapping[str, str] = field(default_factory=dict)
    months_later: int = 0
    always: bool = True


#: Counts of persons in rows of the indicators, and the marts whose cells they are sums of.
SUMS = (
    Sum("employee_insured_rate", "insurance_coverage_month", "employee_insured", "members"),
    Sum("all_five_rate", "employment_month", "all_five", "members"),
    Sum("service_reach", "service_reach_month", "reached", "members", {"service_group": "any"}),
    Sum("dispute_settled_rate", "dispute_month", "settled", "closed", always=False),
    Sum("dispute_45d_rate", "dispute_month", "closed_45d", "cases", always=False),
    Sum("certificate_rate", "training_chain_month", "certified", "trained", {"training_type": "all"}, 6),
    Sum("training_employed_rate", "training_chain_month", "employed", "trained", {"training_type": "all"}, 6),
    Sum("chain_rate", "training_chain_month", "certified_employed_insured", "trained", {"training_type": "all"}, 6),
    Sum("platform_joining_rate", "new_form_platform_month", "members", "workers", {"platform_code": "all"}),
    # A province whose platform workers have no unit has no indicator of units.
    Sum(
        *("platform_unit_rate", "new_form_platform_month", "units_with_union", "units"),
        where={"platform_code": "all"},
        always=False,
    ),
)

#: Indicators that count persons, too, but whose parts no mart shows.
WITHOUT_PARTS = ("mutual_aid_paid_rate",)

#: One count, published by two marts: of rows with the same month, sender and division.
SAME = (("insurance_coverage_month", "employee_insured", "employment_month", "medical"),)

#: Counts of different persons or units: a row of all is at least each of its parts and at most their sum.
DISTINCT = {
    "new_form_platform_month": ("workers", "members", "units", "units_with_union"),
    "training_chain_month": (
        *("trained", "member_persons", "certified", "employed", "insured"),
        *("certified_employed", "certified_employed_insured"),
    ),
    "service_reach_month": ("reached",),
}

#: What holds within each row.
WITHIN = {
    "insurance_coverage_month": (
        "employee_insured + resident_insured + uninsured = members",
        "flexible + retired <= employee_insured",
    ),
    "employment_month": (
        "unit_employed + flexible_employed <= employed",
        "employed <= members",
        "pension + resident_pension <= members",
        "unemployment <= members",
        "injury <= members",
        "occupational_injury <= members",
        "medical <= maternity",
        "maternity <= members",
        "all_five <= pension",
        "all_five <= medical",
        "all_five <= unemployment",
        "all_five <= injury",
        "none + pension + resident_pension <= members",
        "none + medical <= members",
        "none + unemployment <= members",
        "none + injury <= members",
        "members <= none + pension + resident_pension + unemployment + injury + medical",
    ),
    "training_chain_month": (
        "member_persons <= trained",
        "certified_employed_insured <= certified_employed",
        "certified_employed_insured <= insured",
        "certified_employed <= certified",
        "certified_employed <= employed",
        "certified + employed <= trained + certified_employed",
        "certified_employed + insured <= trained + certified_employed_insured",
        "certified <= trained",
        "employed <= trained",
        "insured <= trained",
    ),
    "new_form_platform_month": ("members <= workers", "units_with_union <= units"),
    "service_reach_month": ("reached <= members",),
    "service_month": ("persons <= records", "member_persons <= persons"),
    "dispute_month": (
        "persons <= cases",
        "settled <= closed",
        "closed_15d <= closed_45d",
        "closed_45d <= closed_60d",
        "closed_60d <= closed",
        "closed <= cases",
        "legal_aid <= cases",
        "new_form_cases <= cases",
    ),
    "medical_burden_month": ("persons <= settlements",),
}

#: Measures that are no whole numbers: quotients of other cells, percentiles and money. No published figure is a sum of
#: them over suppressed rows; what a quotient gives away, its numerator and denominator give away.
NOT_COUNTED = frozenset(
    (
        *("employee_insured_rate", "all_five_rate", "reach_rate", "joining_rate", "settled_rate"),
        *("certified_rate", "employed_rate", "insured_rate", "chain_rate"),
        *("median_days", "p90_days", "claimed_amount", "recovered_amount"),
        *("amount", "in_kind", "medfee", "fund_pay", "psn_pay", "attended_hours", "subsidy_amount"),
    )
)

MONTH, SENDER, DIVISION = "month", "sender", "admdvs"
INDICATORS, COUNTRY = "reform_indicator", "100000"

"""The published figures, computed a second time: naive Python over accepted rows, written from the definitions alone.

It shares no code and no SQL with the warehouse. ``read`` takes the accepted rows out of the landing schema; every
other function is plain arithmetic over them, month by month and person by person, with no thought for speed.
"""

from tests.oracle.base import Accepted, Row, read
from tests.oracle.compare import differences, is_same
from tests.oracle.indicators import Indicators
from tests.oracle.training import RANKS

__all__ = ["FIGURES", "RANKS", "Accepted", "Oracle", "Row", "differences", "is_same", "oracle", "read"]


class Oracle(Indicators):
    """All figures of one set of accepted rows: a method for each table, named as it."""

    def rows_of(self, relation: str) -> list[Row]:
        """The rows that a table is to have."""
        rows: list[Row] = getattr(self, relation.partition(".")[2])()
        return rows


#: Every figure: relation -> the columns that identify a row.
FIGURES = {
    "marts.union_coverage_month": ("month", "sender", "admdvs", "industry", "employer_nature"),
    "marts.duplicate_membership_month": ("month", "sender"),
    "casework.duplicate_membership": ("month", "person_key", "sender", "member_id"),
    "marts.skill_structure_month": ("month", "sender", "admdvs", "skill_rank"),
    "marts.training_month": ("month", "sender", "training_type", "funding_source"),
    "marts.training_fund_year": ("year", "sender", "admdvs"),
    "marts.insurance_coverage_month": ("month", "sender", "admdvs"),
    "marts.medical_burden_month": ("month", "insu_admdvs", "category"),
    "casework.mutual_aid_entitlement": ("scheme_code", "person_key"),
    "casework.hardship_watch": ("month", "person_key"),
    "casework.transfer_hint": ("month", "person_key"),
    "marts.democratic_management_month": ("month", "sender", "admdvs", "employer_nature", "regime"),
    "marts.collective_contract_month": ("month", "sender", "contract_kind"),
    "marts.dispute_month": ("month", "sender", "admdvs", "dispute_type"),
    "casework.dispute_overdue": ("month", "sender", "case_no"),
    "marts.honour_ladder_year": ("year", "sender", "honour_type", "honour_level"),
    "marts.studio_month": ("month", "sender", "admdvs", "studio_level"),
    "marts.contest_year": ("year", "sender", "contest_kind", "contest_level"),
    "marts.fund_budget_year": ("year", "sender", "org_level", "account", "purpose"),
    "marts.audit_year": ("year", "sender", "audit_kind", "finding_type"),
    "marts.employment_month": ("month", "sender", "admdvs"),
    "marts.training_chain_month": ("month", "sender", "training_type"),
    "core.member_profile": ("person_key",),
    "casework.uncovered_worker": ("month", "person_key"),
    "marts.service_month": ("month", "sender", "admdvs", "service_type"),
    "marts.service_reach_month": ("month", "sender", "admdvs", "service_group"),
    "casework.mutual_aid_gap": ("scheme_code", "person_key"),
    "casework.hardship_unserved": ("month", "person_key"),
    "marts.new_form_month": ("month", "sender", "admdvs", "new_form_type"),
    "marts.new_form_platform_month": ("month", "sender", "platform_code"),
    "marts.reform_indicator": ("indicator", "month", "admdvs"),
    "marts.reform_indicator_progress": ("indicator", "month", "admdvs"),
}


def oracle(dsn: str, schemes: list[Row], bands: list[Row], incomes: list[Row]) -> Oracle:
    """The oracle over everything that a warehouse has accepted."""
    return Oracle(read(dsn), schemes, bands, incomes)

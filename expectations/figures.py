"""Suites of the published figures, one a table, run on a build before anybody reads it.

The keys are relation names inside the build schema. Exact definitions of the figures are tested in dbt; these suites
look at the finished numbers alone: shares, parts and wholes, the country and its provinces, changes from month to
month, and cells too small to be shown.
"""

from collections.abc import Sequence

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.own import CRITICAL, WARNING, no_rows

SMALLEST_CELL = 10


def _share(column: str) -> Expectation:
    return gxe.ExpectColumnValuesToBeBetween(
        column=column,
        min_value=0,
        max_value=1,
        severity=CRITICAL,
        meta={"name": "share_within_0_and_1"},
        description=f"{column} is a share.",
    )


def _not_negative(*columns: str) -> list[Expectation]:
    return [
        gxe.ExpectColumnValuesToBeBetween(
            column=column,
            min_value=0,
            severity=CRITICAL,
            meta={"name": "not_negative"},
            description=f"{column} is not negative.",
        )
        for column in columns
    ]


def _part(part: str, whole: str) -> Expectation:
    return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
        column_A=whole,
        column_B=part,
        or_equal=True,
        ignore_row_if="either_value_is_missing",
        severity=CRITICAL,
        meta={"name": "part_within_whole"},
        description=f"{part} is a part of {whole}.",
    )


def _steady(measure: str, group: str, bound: float) -> Expectation:
    return no_rows(
        f"""
        SELECT * FROM (
            SELECT month, {group}, sum({measure}) AS total,
                lag(sum({measure})) OVER (PARTITION BY {group} ORDER BY month) AS before
            FROM batch GROUP BY month, {group}
        ) AS monthly
        WHERE before > 100 AND abs(total - before) > {bound} * before
        """,
        name="change_from_month_to_month",
        description=f"{measure} changes by at most {bound:.0%} from one month to the next in each {group}.",
    )


def suites() -> dict[str, Sequence[Expectation]]:
    """Expectations by relation of the build."""
    return {
        "union_coverage_month": [
            gxe.ExpectTableRowCountToBeBetween(min_value=0, severity=WARNING),
            *_not_negative("organisations", "employees", "members", "joined"),
            *(_part(part, "members") for part in ("women_members", "migrant_members", "new_form_members", "joined")),
            gxe.ExpectCompoundColumnsToBeUnique(
                column_list=["month", "sender", "admdvs", "industry", "employer_nature"], severity=CRITICAL
            ),
            _steady("members", "sender", 0.5),
            _steady("organisations", "sender", 0.5),
        ],
        "duplicate_membership_month": [
            *_not_negative("duplicate_rows"),
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["month", "sender"], severity=CRITICAL),
        ],
        "skill_structure_month": [
            *_not_negative("members"),
            gxe.ExpectColumnValuesToBeBetween(column="skill_rank", min_value=-1, max_value=7, severity=CRITICAL),
        ],
        "training_month": [
            *_not_negative("enrolments", "attended_hours", "subsidy_amount"),
            _part("persons", "enrolments"),
            _part("passed", "enrolments"),
            _part("member_persons", "persons"),
        ],
        "training_fund_year": [
            _share("frontline_share"),
            _share("compliance_rate"),
            _part("frontline_spent", "spent"),
            _part("compliant_employers", "employers"),
        ],
        "insurance_coverage_month": [
            *_not_negative("members"),
            *(
                _part(part, "members")
                for part in ("employee_insured", "resident_insured", "uninsured", "flexible", "retired")
            ),
            _share("employee_insured_rate"),
            no_rows(
                """
                SELECT month, sender, admdvs FROM batch
                WHERE members <> employee_insured + resident_insured + uninsured
                """,
                name="members_are_insured_or_not",
                description="Every member is employee-insured, resident-insured or uninsured.",
                severity=CRITICAL,
            ),
            _steady("employee_insured", "sender", 0.6),
        ],
        "medical_burden_month": [
            no_rows(
                f"SELECT month, insu_admdvs, category FROM batch WHERE persons BETWEEN 1 AND {SMALLEST_CELL}",
                name="no_small_cell",
                description=f"No published cell stands for 1 to {SMALLEST_CELL} persons.",
                severity=CRITICAL,
            ),
            no_rows(
                """
                SELECT month, insu_admdvs, category FROM batch
                WHERE is_suppressed <> (persons IS NULL)
                    OR num_nulls(persons, settlements, medfee, fund_pay, psn_pay) NOT IN (0, 5)
                """,
                name="suppressed_as_a_whole",
                description="A suppressed cell shows none of its five measures, another shows all.",
                severity=CRITICAL,
            ),
            no_rows(
                """
                SELECT month, insu_admdvs FROM batch GROUP BY month, insu_admdvs
                HAVING count(*) FILTER (WHERE is_suppressed) = 1 AND count(*) > 1
                """,
                name="complementary_suppression",
                description="A suppressed cell cannot be computed from the others of its month and region.",
                severity=CRITICAL,
            ),
            _part("persons", "settlements"),
        ],
        "reform_indicator": [
            gxe.ExpectCompoundColumnsToBeUnique(column_list=["indicator", "month", "admdvs"], severity=CRITICAL),
            *_not_negative("numerator", "denominator"),
            no_rows(
                """
                SELECT indicator, month, admdvs FROM batch
                WHERE indicator <> 'joining_rate' AND value > 1
                """,
                name="share_within_0_and_1",
                description="Every indicator but the joining rate is a share (of funds: see training_fund_year).",
                severity=CRITICAL,
            ),
            no_rows(
                """
                SELECT indicator, month FROM batch GROUP BY indicator, month
                HAVING coalesce(sum(numerator) FILTER (WHERE admdvs = '100000'), 0)
                        <> coalesce(sum(numerator) FILTER (WHERE admdvs <> '100000'), 0)
                    OR coalesce(sum(denominator) FILTER (WHERE admdvs = '100000'), 0)
                        <> coalesce(sum(denominator) FILTER (WHERE admdvs <> '100000'), 0)
                """,
                name="country_is_the_sum_of_provinces",
                description="The country's numerators and denominators are the sums of the provinces'.",
                severity=CRITICAL,
            ),
        ],
        "mutual_aid_entitlement": [
            gxe.ExpectColumnValuesToBeBetween(
                column="aid_amount", min_value=0, strict_min=True, severity=CRITICAL, meta={"name": "aid_is_positive"}
            ),
            *_not_negative("base_amount"),
        ],
        "hardship_watch": [
            gxe.ExpectColumnValuesToBeInSet(column="level", value_set=["red", "amber"], severity=CRITICAL),
            no_rows(
                "SELECT month FROM batch WHERE (level = 'red' AND ratio < 1) OR ratio < 0.5",
                name="level_agrees_with_ratio",
                description="Red means a burden of at least the yearly income, amber of at least half of it.",
                severity=CRITICAL,
            ),
        ],
        "delivery_scorecard": [
            _share("rejected_share"),
            gxe.ExpectColumnValuesToBeUnique(column="name", severity=CRITICAL),
        ],
    }

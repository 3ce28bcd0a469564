"""Indicators of the workforce reform, from unsuppressed numbers, and how far they are from their targets."""

import csv
from collections import defaultdict
from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.oracle.base import Row, add_months, first_of, last_day, share
from tests.oracle.employment import CHAIN_MONTHS, Employment
from tests.oracle.funds import Funds
from tests.oracle.honours import CRAFTSMAN, Honours
from tests.oracle.membership import is_new_form
from tests.oracle.rights import ContractSet, Rights
from tests.oracle.services import Services
from tests.oracle.small_cells import is_small

COUNTRY = "100000"
#: Indicators that count persons: few of them are not shown.
OF_PERSONS = frozenset(
    (
        "dispute_settled_rate",
        "dispute_45d_rate",
        "all_five_rate",
        "certificate_rate",
        "training_employed_rate",
        "chain_rate",
        "service_reach",
        "mutual_aid_paid_rate",
        "platform_joining_rate",
    )
)
HIGH_SKILLED = 3
#: Values have six places.
PLACES = Decimal("0.000001")
TARGETS = Path(__file__).parents[2] / "dbt_project" / "seeds" / "reform_indicator_target.csv"
Add = Callable[[str, Any, str, Any, Any], None]
Provinces = dict[str, tuple[Any, Any]]


class Indicators(Employment, Rights, Honours, Funds, Services):
    """All indicators."""

    def reform_indicator(self) -> list[Row]:
        sums: dict[tuple[str, Any], dict[str, list[Any]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))

        def add(indicator: str, month: Any, sender: str, numerator: Any, denominator: Any) -> None:
            sums[indicator, month][sender][0] += numerator
            sums[indicator, month][sender][1] += denominator

        self._of_organisations(add)
        self._of_members(add)
        self._of_contracts(add)
        self._of_disputes(add)
        self._of_years(add)
        self._of_training(add)
        self._of_mutual_aid(add)
        self._of_platforms(add)
        result = []
        for (indicator, month), parts in sums.items():
            provinces = {sender: (part[0], part[1]) for sender, part in parts.items() if part[0] or part[1]}
            for admdvs, (numerator, denominator) in shown_provinces(indicator, provinces).items():
                result.append(
                    {
                        "indicator": indicator,
                        "month": month,
                        "admdvs": admdvs,
                        "numerator": numerator,
                        "denominator": denominator,
                        "value": share(numerator, denominator),
                    }
                )
        return result

    @cached_property
    def targets(self) -> list[dict[str, str]]:
        """The shipped targets."""
        with TARGETS.open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    def target(self, indicator: str, month: date, admdvs: str) -> dict[str, str] | None:
        """The target of a region in a month: its own or else the country's, of these the latest."""
        holding = [
            row for row in self.targets if row["indicator"] == indicator and int(row["first_year"]) <= month.year
        ]
        for region in (admdvs, COUNTRY):
            of_region = [row for row in holding if row["admdvs"] == region]
            if of_region:
                return max(of_region, key=lambda row: int(row["first_year"]))
        return None

    def reform_indicator_progress(self) -> list[Row]:
        rows = self.reform_indicator()
        values = {
            (row["indicator"], row["month"], row["admdvs"]): None
            if row["value"] is None
            else row["value"].quantize(PLACES, ROUND_HALF_UP)
            for row in rows
        }
        result = []
        for (indicator, month, admdvs), value in values.items():
            before = values.get((indicator, add_months(month, -12), admdvs))
            target = self.target(indicator, month, admdvs)
            amount = Decimal(target["target"]) if target else None
            result.append(
                {
                    "indicator": indicator,
                    "month": month,
                    "admdvs": admdvs,
                    "value": value,
                    "value_year_before": before,
                    "change_in_year": None if value is None or before is None else value - before,
                    "target": amount,
                    "reaches_target": None if value is None or amount is None else value >= amount,
                    "target_basis": target and target["basis"],
                }
            )
        return result

    def _of_organisations(self, add: Add) -> None:
        for month in self.months:
            regimes = self.established(month)
            for row in self.base_organisations(month):
                sender = row["_sender"]
                in_force = {regime for (of, code, regime) in regimes if (of, code) == (sender, row["org_code"])}
                add("joining_rate", month, sender, 0, row["employees"] or 0)
                add("workers_congress_rate", month, sender, bool(row["has_workers_congress"]), 1)
                add("open_affairs_rate", month, sender, bool(row["has_open_affairs"]), 1)
                add("collective_contract_rate", month, sender, bool(row["has_collective_contract"]), 1)
                add("congress_listed_rate", month, sender, "1" in in_force, 1)
                add("open_affairs_listed_rate", month, sender, "21" in in_force, 1)
                add("regime_complete_rate", month, sender, in_force >= {"1", "21", "22"}, 1)
        for row in self.democratic_management_month():
            if row["regime"] == "1":
                add("congress_held_rate", row["month"], row["sender"], row["held"], row["established"])

    def _of_members(self, add: Add) -> None:
        for month in self.months:
            trained, craftsmen = self.trained(month), self.holders(last_day(month), CRAFTSMAN)
            for person, member in self.members[month].items():
                sender = member["_sender"]
                rank = self.rank(month, person, member) or 0
                add("joining_rate", month, sender, 1, 0)
                add("new_form_share", month, sender, is_new_form(member), 1)
                add("high_skilled_share", month, sender, rank >= HIGH_SKILLED, rank >= 1)
                add("training_reach", month, sender, person in trained, 1)
                add("employee_insured_rate", month, sender, self.is_employee_insured(month, person), 1)
                add("craftsman_share", month, sender, person in craftsmen, rank >= HIGH_SKILLED)
        for row in self.employment_cells():
            add("all_five_rate", row["month"], row["sender"], row["all_five"], row["members"])
        for row in self.reach_cells():
            if row["service_group"] == "any":
                add("service_reach", row["month"], row["sender"], row["reached"], row["members"])

    def _of_contracts(self, add: Add) -> None:
        for month in self.months:
            for sender in {row["_sender"] for row in self.base_organisations(month)}:
                everything = self.contract_sets[month].get(sender, ContractSet())
                counts = self._contracts(month, sender, everything)
                wages = self._contracts(month, sender, everything.of_kind("2"))
                organisations, employees = counts["organisations"], counts["employees"]
                add("contract_coverage_rate", month, sender, counts["covered_organisations"], organisations)
                add("contract_employee_rate", month, sender, counts["covered_employees"], employees)
                add("wage_contract_rate", month, sender, wages["covered_organisations"], organisations)

    def _of_disputes(self, add: Add) -> None:
        for row in self.dispute_cells():
            add("dispute_settled_rate", row["month"], row["sender"], row["settled"], row["closed"])
            if self.last_month is not None and add_months(row["month"], 2) <= self.last_month:
                add("dispute_45d_rate", row["month"], row["sender"], row["closed_45d"], row["cases"])

    def _of_years(self, add: Add) -> None:
        for row in self.training_fund_year():
            december, sender = date(row["year"], 12, 1), row["sender"]
            add("frontline_fund_share", december, sender, row["frontline_spent"], row["spent"])
            add("frontline_fund_compliance", december, sender, row["compliant_employers"], row["_spending"])
        for row in self.budgets():
            december, sender = date(row["year"], 12, 1), row["_sender"]
            if row["account"] == "I2":
                add("fund_collection_rate", december, sender, row["actual"], row["_final"])
            if row["account"].startswith("E") and row["account"] != "E8":
                is_reform = row["purpose"] == "1"
                add("budget_execution_rate", december, sender, row["actual"], row["_final"])
                add("reform_budget_share", december, sender, row["_final"] if is_reform else 0, row["_final"])
                if is_reform:
                    add("reform_budget_execution", december, sender, row["actual"], row["_final"])
        for row in self.audit_year():
            add("audit_rectified_rate", date(row["year"], 12, 1), row["sender"], row["rectified"], row["findings"])

    def _of_training(self, add: Add) -> None:
        for row in self.chain_cells():
            if row["training_type"] == "all":
                month, sender, trained = add_months(row["month"], CHAIN_MONTHS), row["sender"], row["trained"]
                add("certificate_rate", month, sender, row["certified"], trained)
                add("training_employed_rate", month, sender, row["employed"], trained)
                add("chain_rate", month, sender, row["certified_employed_insured"], trained)

    def _of_mutual_aid(self, add: Add) -> None:
        payments = self.payments()
        ends = {scheme["scheme_code"]: first_of(scheme["term_end"]) for scheme in self.schemes}
        for row in self.mutual_aid_entitlement():
            key = row["scheme_code"], row["person_key"]
            month = min(ends[row["scheme_code"]], self.months[-1])
            member = self.members.get(month, {}).get(row["person_key"])
            if member is not None:
                paid = sum((one["amount"] or 0 for one in payments.get(key, [])), Decimal(0))
                add("mutual_aid_paid_rate", month, member["_sender"], paid >= row["aid_amount"], 1)

    def _of_platforms(self, add: Add) -> None:
        for row in self.platform_cells():
            if row["platform_code"] == "all":
                add("platform_joining_rate", row["month"], row["sender"], row["members"], row["workers"])
                add("platform_unit_rate", row["month"], row["sender"], row["units_with_union"], row["units"])


def shown_provinces(indicator: str, provinces: Provinces) -> Provinces:
    """What is published of the provinces' numbers and of their sum."""
    if not provinces:
        return {}
    country = tuple(sum(part[index] for part in provinces.values()) for index in (0, 1))
    everything = provinces | {COUNTRY: (country[0], country[1])}
    if indicator not in OF_PERSONS:
        return everything
    hidden = {sender for sender, part in provinces.items() if is_small(part[0])}
    others = [sender for sender, part in provinces.items() if sender not in hidden and part[0] > 0]
    if len(hidden) == 1 and others:
        hidden.add(min(others, key=lambda sender: (provinces[sender][0], sender)))
    if is_small(country[0]):
        hidden.add(COUNTRY)
    return {admdvs: part for admdvs, part in everything.items() if admdvs not in hidden}

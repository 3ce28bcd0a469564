"""Medical insurance: who is insured, what care costs, mutual aid, hardship, transfers."""

from collections import defaultdict
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

from tests.oracle.base import Row, cells, cents, first_of, grouped, in_12_months, last_day, persons_of, share, total
from tests.oracle.membership import Membership
from tests.oracle.small_cells import suppress

CATEGORIES = {
    **dict.fromkeys(["11", "12", "13", "19", "81"], "outpatient"),
    "14": "chronic",
    **dict.fromkeys([str(code) for code in range(21, 29)], "inpatient"),
    "41": "pharmacy",
    **dict.fromkeys(["51", "52", "53"], "maternity"),
}


class Medical(Membership):
    """Insurance relations and settlements of persons."""

    # -- insurance --------------------------------------------------------------------------------------------------

    @cached_property
    def insured(self) -> dict[Any, dict[Any, Row]]:
        """How each person is insured, by month."""
        return {
            month: {person: _insurance(rows) for person, rows in self._relations(month).items()}
            for month in self.months
        }

    def _relations(self, month: Any) -> dict[Any, list[Row]]:
        """Insurance relations in force at the last day of a month, by person."""
        day = last_day(month)
        persons = self.delta_register("medical_person", ("psn_no",), month)
        found: dict[Any, list[Row]] = defaultdict(list)
        for (sender, _), row in self.delta_register("medical_insurance", ("psn_insu_rlts_id",), month).items():
            pause = row["paus_insu_date"]
            in_force = row["crt_insu_date"] <= day and (
                (row["psn_insu_stas"] == "1" and (pause is None or pause > day))
                or (row["psn_insu_stas"] == "2" and pause is not None and day < pause)
            )
            person = persons.get((sender, row["psn_no"]))
            if in_force and person is not None:
                found[person["person_key"]].append(row)
        return found

    def is_employee_insured(self, month: Any, person: Any) -> bool:
        """Whether a person is in the insurance of employees at a month."""
        return bool(self.insured[month].get(person, {}).get("employee", False))

    def insurance_coverage_month(self) -> list[Row]:
        found = {}
        for key, members in self.members_by_region().items():
            states = [self.insured[key[0]].get(person, {}) for person in members]
            employee = sum(state.get("employee", False) for state in states)
            found[key] = {
                "members": len(members),
                "employee_insured": employee,
                "resident_insured": sum(state.get("resident", False) for state in states),
                "uninsured": sum(not state.get("employee") and not state.get("resident") for state in states),
                "flexible": sum(state.get("flexible", False) for state in states),
                "retired": sum(state.get("retired", False) for state in states),
                "employee_insured_rate": share(employee, len(members)),
            }
        measures = ("employee_insured", "resident_insured", "uninsured", "flexible", "retired", "employee_insured_rate")
        return suppress(
            cells(("month", "sender", "admdvs"), found),
            persons="members",
            measures=measures,
            group=("month", "sender"),
            category="admdvs",
        )

    def transfer_hint(self) -> list[Row]:
        result = []
        for month in self.months:
            for person, member in self.members[month].items():
                organisation = self.organisation_of(month, member)
                employers = self.insured[month].get(person, {}).get("employers", set())
                if organisation is None or not organisation["employer_uscc"] or not employers:
                    continue
                if organisation["employer_uscc"] not in employers:
                    result.append(
                        {
                            "month": month,
                            "person_key": person,
                            "org_code": member["org_code"],
                            "employer_uscc": organisation["employer_uscc"],
                            "insured_employer_uscc": min(employers),
                        }
                    )
        return result

    # -- settlements ------------------------------------------------------------------------------------------------

    @cached_property
    def net(self) -> list[Row]:
        """Settlements that stand: valid, neither reversed nor a reversal, and one of the two ends."""
        settlements = self.events("medical_settlement", "setl_id")
        reversed_by = {
            (row["_sender"], row["init_setl_id"])
            for row in settlements
            if row["vali_flag"] == "1" and row["refd_setl_flag"] == "1" and row["init_setl_id"]
        }
        insured_ends: dict[str, set[str]] = defaultdict(set)
        for row in settlements:
            if row["out_flag"] == "1":
                insured_ends[row["setl_id"]].add(row["_sender"])
        return [
            row
            for row in settlements
            if row["vali_flag"] == "1"
            and not row["init_setl_id"]
            and row["refd_setl_flag"] == "0"
            and (row["_sender"], row["setl_id"]) not in reversed_by
            and not (row["out_flag"] == "2" and insured_ends[row["setl_id"]] - {row["_sender"]})
        ]

    def medical_burden_month(self) -> list[Row]:
        found = grouped(
            ((first_of(row["setl_time"].date()), row["insu_admdvs"], _category(row)), row)
            for row in self.net
            if row["person_key"] in self.members.get(first_of(row["setl_time"].date()), {})
        )
        measures = {
            key: {
                "persons": len(persons_of(rows)),
                "settlements": len(rows),
                "medfee": total(rows, "medfee_sumamt"),
                "fund_pay": total(rows, "fund_pay_sumamt"),
                "psn_pay": total(rows, "psn_pay"),
            }
            for key, rows in found.items()
        }
        return suppress(
            cells(("month", "insu_admdvs", "category"), measures),
            persons="persons",
            measures=("persons", "settlements", "medfee", "fund_pay", "psn_pay"),
            group=("month", "insu_admdvs"),
            category="category",
        )

    def mutual_aid_entitlement(self) -> list[Row]:
        result = []
        for scheme in self.schemes:
            found: dict[Any, list[Decimal]] = defaultdict(list)
            for row in self.net:
                if self._is_eligible(scheme, row):
                    found[row["person_key"]].append(_base(scheme, row))
            for person, amounts in found.items():
                base_amount = max(sum(amounts, Decimal(0)), Decimal(0))
                aid = self._aid(scheme, base_amount)
                if aid > 0:
                    result.append(
                        {
                            "scheme_code": scheme["scheme_code"],
                            "person_key": person,
                            "settlements": len(amounts),
                            "base_amount": base_amount,
                            "aid_amount": aid,
                        }
                    )
        return result

    def _is_eligible(self, scheme: Row, row: Row) -> bool:
        day = row["setl_time"].date()
        member = self.members.get(first_of(day), {}).get(row["person_key"])
        return (
            member is not None
            and row["insutype"].startswith("310")
            and row["insu_admdvs"].startswith(scheme["admdvs_prefix"])
            and _category(row) in {name.strip() for name in scheme["categories"].split(",")}
            and scheme["term_start"] <= day <= scheme["term_end"]
            and member["joined_on"] + timedelta(days=scheme["waiting_days"]) <= day
        )

    def _aid(self, scheme: Row, base_amount: Decimal) -> Decimal:
        over = max(base_amount - scheme["deductible"], Decimal(0))
        aid = Decimal(0)
        for band in self.bands:
            if band["scheme_code"] == scheme["scheme_code"]:
                upper = over if band["band_to"] is None else min(over, band["band_to"])
                aid += max(upper - band["band_from"], Decimal(0)) * band["rate"]
        return cents(min(scheme["cap"], aid))

    def hardship_watch(self) -> list[Row]:
        by_person: dict[Any, list[Row]] = defaultdict(list)
        for row in self.net:
            by_person[row["person_key"]].append(row)
        result = []
        for month in self.months:
            for person, member in self.members[month].items():
                rows = [row for row in by_person.get(person, []) if in_12_months(row["setl_time"].date(), month)]
                burden = total(rows, "psn_pay")
                income = self._income(member["_sender"], month.year) or self._income("100000", month.year)
                if not income or burden / income < Decimal("0.5"):
                    continue
                result.append(
                    {
                        "month": month,
                        "person_key": person,
                        "burden_12m": burden,
                        "income": income,
                        "ratio": (burden / income).quantize(Decimal("0.0001"), rounding=ROUND_HALF_UP),
                        "level": "red" if burden / income >= 1 else "amber",
                    }
                )
        return result

    def _income(self, admdvs: str, year: int) -> Decimal | None:
        years = {row["year"]: row["amount"] for row in self.incomes if row["admdvs"] == admdvs and row["year"] <= year}
        return years[max(years)] if years else None


def _insurance(rows: list[Row]) -> Row:
    employee = [row for row in rows if row["insutype"].startswith("310")]
    return {
        "employee": bool(employee),
        "resident": any(row["insutype"].startswith(("390", "391")) for row in rows) and not employee,
        "flexible": any(row["psn_type"].startswith("1103") for row in employee),
        "retired": any(row["psn_type"].startswith("12") for row in employee),
        "employers": {row["emp_uscc"] for row in employee if row["emp_uscc"]},
    }


def _category(row: Row) -> str:
    return CATEGORIES.get(row["med_type"][:2], "other")


def _base(scheme: Row, row: Row) -> Decimal:
    if scheme["base"] == "policy_self_pay":
        return Decimal(row["psn_pay"] - (row["fulamt_ownpay_amt"] or 0) - (row["overlmt_selfpay"] or 0))
    return Decimal({"medfee": row["medfee_sumamt"], "psn_pay": row["psn_pay"]}[scheme["base"]])

"""Democratic management, collective contracts, disputes."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.oracle.base import (
    Row,
    cells,
    first_of,
    grouped,
    in_12_months,
    is_in_force,
    last_day,
    persons_of,
    share,
    total,
)
from tests.oracle.membership import Membership
from tests.oracle.small_cells import suppress

#: Regimes that have a row wherever there are base organisations.
ALWAYS = ("1", "21", "22")
#: The flag of the organisation register that says the same as a regime.
FLAGS = {"1": "has_workers_congress", "21": "has_open_affairs"}
#: Days that a case may be open, by procedure.
LIMITS = {"2": 15, "3": 60}
OTHER_LIMIT = 90
DISPUTE_KEY = ("month", "sender", "admdvs", "dispute_type")


@dataclass
class ContractSet:
    """Contracts in force of one sender at one month, with their counted units."""

    contracts: list[Row] = field(default_factory=list)
    units: list[Row] = field(default_factory=list)

    def of_kind(self, kind: str) -> "ContractSet":
        """Those of one kind."""
        contracts = [row for row in self.contracts if row["contract_kind"] == kind]
        numbers = {row["contract_no"] for row in contracts}
        return ContractSet(contracts, [row for row in self.units if row["contract_no"] in numbers])

    def unlisted(self, *scopes: str) -> list[Row]:
        """Contracts of some scopes without a counted unit."""
        listed = {row["contract_no"] for row in self.units}
        return [row for row in self.contracts if row["scope"] in scopes and row["contract_no"] not in listed]


class Rights(Membership):
    """What protects workers' rights."""

    # -- democratic management --------------------------------------------------------------------------------------

    def established(self, month: Any) -> dict[tuple[str, str, str], Row]:
        """Regimes in force at a month, of base organisations, by sender, organisation and regime."""
        base = {(row["_sender"], row["org_code"]) for row in self.base_organisations(month)}
        return {
            key: row
            for key, row in self.delta_register("rights_regime", ("org_code", "regime"), month).items()
            if key[:2] in base and is_in_force(row, "established_on", "ended_on", last_day(month))
        }

    def democratic_management_month(self) -> list[Row]:
        found = {}
        for month in self.months:
            regimes = self.established(month)
            combinations = grouped(
                ((row["_sender"], row["admdvs"], row["employer_nature"] or "unknown"), row)
                for row in self.base_organisations(month)
            )
            for key, organisations in combinations.items():
                for regime in sorted({*ALWAYS, *(key[2] for key in regimes)}):
                    of_regime = {
                        row["org_code"]: regimes[row["_sender"], row["org_code"], regime]
                        for row in organisations
                        if (row["_sender"], row["org_code"], regime) in regimes
                    }
                    if regime in ALWAYS or of_regime:
                        found[month, *key, regime] = _management(month, regime, organisations, of_regime)
        return cells(("month", "sender", "admdvs", "employer_nature", "regime"), found)

    # -- collective contracts ---------------------------------------------------------------------------------------

    @cached_property
    def contract_sets(self) -> dict[Any, dict[str, ContractSet]]:
        """All contracts in force with their units, by month and sender."""
        contracts = self.events("rights_collective_contract", "contract_no")
        units = self.events("rights_contract_unit", "contract_no", "employer_uscc")
        found: dict[Any, dict[str, ContractSet]] = {}
        for month in self.months:
            day = last_day(month)
            found[month] = defaultdict(ContractSet)
            for row in contracts:
                is_terminated = row["terminated_on"] is not None and row["terminated_on"] <= day
                if row["review"] != "3" and row["valid_from"] <= day <= row["valid_to"] and not is_terminated:
                    found[month][row["_sender"]].contracts.append(row)
            for sender, of_sender in found[month].items():
                numbers = {row["contract_no"] for row in of_sender.contracts}
                of_sender.units = [
                    row
                    for row in units
                    if row["_sender"] == sender
                    and row["contract_no"] in numbers
                    and (row["left_on"] is None or row["left_on"] > day)
                ]
        return found

    def enterprises(self, month: Any, chosen: ContractSet) -> dict[str, int]:
        """Enterprises of a set of contracts with their workers."""
        workers: dict[str, int] = defaultdict(int)
        for row in chosen.units:
            workers[row["employer_uscc"]] = max(workers[row["employer_uscc"]], row["workers"] or 0)
        for row in chosen.unlisted("1"):
            organisation = self.organisation_of(month, row) or {}
            employer = row["employer_uscc"] or organisation.get("employer_uscc")
            if employer:
                workers[employer] = max(workers[employer], row["covered_workers"] or 0)
        return workers

    def covered(self, month: Any, sender: str, chosen: ContractSet) -> list[Row]:
        """Base organisations that a set of contracts covers."""
        named = {row["org_code"] for row in chosen.contracts if row["scope"] == "1"}
        named |= {row["org_code"] for row in chosen.units if row["org_code"]}
        enterprises = self.enterprises(month, chosen)
        return [
            row
            for row in self.base_organisations(month)
            if row["_sender"] == sender and (row["org_code"] in named or row["employer_uscc"] in enterprises)
        ]

    def collective_contract_month(self) -> list[Row]:
        found = {}
        for month in self.months:
            for sender, everything in self.contract_sets[month].items():
                kinds = {row["contract_kind"] for row in everything.contracts}
                for kind in ("all", *sorted(kinds)):
                    chosen = everything if kind == "all" else everything.of_kind(kind)
                    found[month, sender, kind] = self._contracts(month, sender, chosen)
        return cells(("month", "sender", "contract_kind"), found)

    def _contracts(self, month: Any, sender: str, chosen: ContractSet) -> Row:
        enterprises = self.enterprises(month, chosen)
        unlisted = chosen.unlisted("2", "3")
        covered = self.covered(month, sender, chosen)
        base = [row for row in self.base_organisations(month) if row["_sender"] == sender]
        soon = last_day(month) + timedelta(days=90)
        return {
            "contracts": len(chosen.contracts),
            "regional_contracts": sum(row["scope"] == "2" for row in chosen.contracts),
            "industry_contracts": sum(row["scope"] == "3" for row in chosen.contracts),
            "enterprises": len(enterprises),
            "workers": sum(enterprises.values()),
            "unlisted_contracts": len(unlisted),
            "unlisted_workers": total(unlisted, "covered_workers"),
            "expiring": sum(row["valid_to"] <= soon for row in chosen.contracts),
            "covered_organisations": len(covered),
            "covered_employees": total(covered, "employees"),
            "organisations": len(base),
            "employees": total(base, "employees"),
            "coverage_rate": share(len(covered), len(base)),
        }

    # -- disputes ---------------------------------------------------------------------------------------------------

    @cached_property
    def disputes(self) -> list[Row]:
        return self.events("rights_dispute_case", "case_no")

    def dispute_cells(self) -> list[Row]:
        """The mart before small cells are suppressed."""
        found = grouped(
            ((first_of(row["accepted_on"]), row["_sender"], row["admdvs"], row["dispute_type"]), row)
            for row in self.disputes
        )
        return cells(DISPUTE_KEY, {key: _disputes(rows) for key, rows in found.items()})

    def dispute_month(self) -> list[Row]:
        rows = self.dispute_cells()
        return suppress(
            rows,
            persons="persons",
            measures=[name for name in (rows[0] if rows else {}) if name not in DISPUTE_KEY],
            group=("month", "sender", "admdvs"),
            category="dispute_type",
        )

    def dispute_overdue(self) -> list[Row]:
        result = []
        for month in self.months:
            day = last_day(month)
            for row in self.disputes:
                is_open = row["accepted_on"] <= day and (row["closed_on"] is None or row["closed_on"] > day)
                days, limit = (day - row["accepted_on"]).days, LIMITS.get(row["procedure"], OTHER_LIMIT)
                if is_open and days > limit:
                    result.append(
                        {
                            "month": month,
                            "sender": row["_sender"],
                            "case_no": row["case_no"],
                            "org_code": row["org_code"],
                            "person_key": row["person_key"],
                            "days_open": days,
                            "limit_days": limit,
                        }
                    )
        return result


def _management(month: date, regime: str, organisations: list[Row], of_regime: dict[str, Row]) -> Row:
    held = [row for row in of_regime.values() if row["last_held_on"] and in_12_months(row["last_held_on"], month)]
    flag = FLAGS.get(regime)
    flagged = {row["org_code"] for row in organisations if flag and row[flag]}
    return {
        "organisations": len(organisations),
        "established": len(of_regime),
        "held": len(held),
        "representatives": total(held, "representatives"),
        "attended": total(held, "attended"),
        "proposals": total(held, "proposals"),
        "proposals_closed": total(held, "proposals_closed"),
        "flag_only": len(flagged - set(of_regime)) if flag else None,
        "list_only": len(set(of_regime) - flagged) if flag else None,
        "established_rate": share(len(of_regime), len(organisations)),
        "held_rate": share(len(held), len(of_regime)),
    }


def _disputes(rows: Iterable[Row]) -> Row:
    rows = list(rows)
    closed = [row for row in rows if row["closed_on"] is not None]
    days = sorted((row["closed_on"] - row["accepted_on"]).days for row in closed)
    settled = sum(row["outcome"] in ("1", "2") for row in closed)
    return {
        "persons": len(persons_of(rows)),
        "cases": len(rows),
        "workers": total(rows, "workers"),
        "closed": len(closed),
        "settled": settled,
        "closed_15d": sum(count <= 15 for count in days),
        "closed_45d": sum(count <= 45 for count in days),
        "closed_60d": sum(count <= 60 for count in days),
        "median_days": _percentile(days, Decimal("0.5")),
        "p90_days": _percentile(days, Decimal("0.9")),
        "legal_aid": sum(bool(row["legal_aid"]) for row in rows),
        "new_form_cases": sum(bool(row["is_new_form"]) for row in rows),
        "claimed_amount": total(rows, "claimed_amount"),
        "recovered_amount": total(rows, "recovered_amount"),
        "settled_rate": share(settled, len(closed)),
    }


def _percentile(values: list[int], part: Decimal) -> int | None:
    """The smallest value that at least that part of all values do not exceed."""
    for value in values:
        if sum(other <= value for other in values) >= part * len(values):
            return value
    return None

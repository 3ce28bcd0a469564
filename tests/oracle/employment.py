"""Employment and social insurance of members, what training leads to, platforms."""

from collections import defaultdict
from datetime import date
from functools import cached_property
from typing import Any

from tests.oracle.base import Row, add_months, cells, first_of, grouped, is_in_force, last_day, share
from tests.oracle.medical import Medical
from tests.oracle.small_cells import suppress
from tests.oracle.training import Training

PENSION = ("110", "120")
RESIDENT_PENSION = "170"
UNEMPLOYMENT = "210"
INJURY = "410"
MATERNITY = "510"
OCCUPATIONAL_INJURY = "900"
#: What an employer pays for each of its workers; a row of one of them says that a worker is covered.
COVERING = (*PENSION, INJURY)
UNIT, FLEXIBLE = "1", "3"
#: Months from the end of a training to the look at what became of it.
CHAIN_MONTHS = 6


class Employment(Medical, Training):
    """Who works where, and for whom contributions are paid."""

    # -- state ------------------------------------------------------------------------------------------------------

    @cached_property
    def spells(self) -> dict[Any, dict[Any, list[Row]]]:
        """Employment spells at each month covered, by person."""
        return {
            month: grouped_by_person(
                row
                for row in self.delta_register("employment_employment_spell", ("spell_id",), month).values()
                if is_in_force(row, "started_on", "ended_on", last_day(month))
            )
            for month in self.months
        }

    @cached_property
    def contributions(self) -> list[Row]:
        """Contributions that were paid."""
        rows = self.events("employment_social_insurance_month", "payment_id")
        return [row for row in rows if row["status"] == "1"]

    @cached_property
    def _payers(self) -> dict[tuple[Any, str], set[Any]]:
        found: dict[tuple[Any, str], set[Any]] = defaultdict(set)
        for row in self.contributions:
            found[row["month"], row["insurance_kind"]].add(row["person_key"])
        return found

    def paid(self, month: Any, *kinds: str) -> set[Any]:
        """Persons for whom one of the kinds is paid for a month."""
        return {person for kind in kinds for person in self._payers.get((month, kind), ())}

    # -- members ----------------------------------------------------------------------------------------------------

    def employment_cells(self) -> list[Row]:
        """The mart before small cells are suppressed."""
        found = {}
        for key, members in self.members_by_region().items():
            states = [self._state(key[0], person) for person in members]
            counts = {name: sum(state[name] for state in states) for name in states[0]}
            rate = share(counts["all_five"], len(members))
            found[key] = {"members": len(members), **counts, "all_five_rate": rate}
        return cells(("month", "sender", "admdvs"), found)

    def _state(self, month: Any, person: Any) -> dict[str, bool]:
        forms = {row["employment_form"] for row in self.spells[month].get(person, [])}
        pension = person in self.paid(month, *PENSION)
        resident = person in self.paid(month, RESIDENT_PENSION) and not pension
        unemployment = person in self.paid(month, UNEMPLOYMENT)
        injury = person in self.paid(month, INJURY)
        medical = self.is_employee_insured(month, person)
        maternity = medical or person in self.paid(month, MATERNITY)
        return {
            "employed": bool(forms),
            "unit_employed": UNIT in forms,
            "flexible_employed": FLEXIBLE in forms and UNIT not in forms,
            "pension": pension,
            "resident_pension": resident,
            "unemployment": unemployment,
            "injury": injury,
            "occupational_injury": person in self.paid(month, OCCUPATIONAL_INJURY),
            "medical": medical,
            "maternity": maternity,
            "all_five": pension and medical and unemployment and injury and maternity,
            "none": not (pension or resident or unemployment or injury or medical),
        }

    def employment_month(self) -> list[Row]:
        rows = self.employment_cells()
        return suppress(
            rows,
            persons="members",
            measures=[
                name for name in (rows[0] if rows else {}) if name not in ("month", "sender", "admdvs", "members")
            ],
            group=("month", "sender"),
            category="admdvs",
        )

    def member_profile(self) -> list[Row]:
        """The columns of employment in the profile of each member at the last month covered."""
        month = self.last_month
        if month is None:
            return []
        result = []
        for person, member in self.members[month].items():
            spells = self.spells[month].get(person, [])
            state = self._state(month, person)
            result.append(
                {
                    "person_key": person,
                    "sender": member["_sender"],
                    "is_employed": state["employed"],
                    "employment_form": min((row["employment_form"] for row in spells), default=None),
                    "employment_uscc": min(
                        (row["employer_uscc"] for row in spells if row["employer_uscc"]), default=None
                    ),
                    "is_pension": state["pension"],
                    "is_unemployment": state["unemployment"],
                    "is_injury": state["injury"],
                    "is_occupational_injury": state["occupational_injury"],
                }
            )
        return result

    def uncovered_worker(self) -> list[Row]:
        result = []
        for month in self.months:
            reporting = {
                row["_sender"]
                for row in self.contributions
                if row["month"] == month and row["insurance_kind"] in COVERING
            }
            covered = self.paid(month, *COVERING) | self.paid(add_months(month, -1), *COVERING)
            for person, member in self.members[month].items():
                spells = [
                    row
                    for row in self.spells[month].get(person, [])
                    if row["employment_form"] == UNIT and row["employer_uscc"] and row["_sender"] in reporting
                ]
                if spells and person not in covered:
                    result.append(
                        {
                            "month": month,
                            "person_key": person,
                            "org_code": member["org_code"],
                            "employer_uscc": min(row["employer_uscc"] for row in spells),
                            "started_on": min(row["started_on"] for row in spells),
                            "last_paid_month": self._last_paid(person, month),
                        }
                    )
        return result

    def _last_paid(self, person: Any, month: date) -> date | None:
        return max(
            (
                paid
                for (paid, kind), persons in self._payers.items()
                if paid <= month and kind in COVERING and person in persons
            ),
            default=None,
        )

    # -- what training leads to -------------------------------------------------------------------------------------

    def chain_cells(self) -> list[Row]:
        """The mart before small cells are suppressed."""
        cohorts: dict[tuple[Any, ...], dict[Any, date]] = defaultdict(dict)
        for row in self.enrolments:
            if row["result"] != "1" or row["ended_on"] is None:
                continue
            month = first_of(row["ended_on"])
            if add_months(month, CHAIN_MONTHS) not in self.months:
                continue
            for kind in (row["training_type"], "all"):
                cohort = cohorts[month, row["_sender"], kind]
                cohort[row["person_key"]] = min(cohort.get(row["person_key"], row["ended_on"]), row["ended_on"])
        return cells(
            ("month", "sender", "training_type"),
            {key: self._chain(key[0], cohort) for key, cohort in cohorts.items()},
        )

    def _chain(self, month: date, cohort: dict[Any, date]) -> Row:
        then = add_months(month, CHAIN_MONTHS)
        certified = {
            person
            for person, ended in cohort.items()
            if any(ended <= row["issued_on"] <= last_day(then) for row in self.certificates.get(person, []))
        }
        employed = set(cohort) & set(self.spells[then])
        insured = set(cohort) & self.paid(then, *PENSION)
        return {
            "trained": len(cohort),
            "member_persons": len(set(cohort) & set(self.members.get(month, {}))),
            "certified": len(certified),
            "employed": len(employed),
            "insured": len(insured),
            "certified_employed": len(certified & employed),
            "certified_employed_insured": len(certified & employed & insured),
            "certified_rate": share(len(certified), len(cohort)),
            "employed_rate": share(len(employed), len(cohort)),
            "insured_rate": share(len(insured), len(cohort)),
            "chain_rate": share(len(certified & employed & insured), len(cohort)),
        }

    def training_chain_month(self) -> list[Row]:
        rows = self.chain_cells()
        return suppress(
            rows,
            persons="trained",
            measures=[name for name in (rows[0] if rows else {}) if name not in ("month", "sender", "training_type")],
            group=("month", "sender"),
            category="training_type",
            total="all",
        )

    # -- platforms --------------------------------------------------------------------------------------------------

    def platform_cells(self) -> list[Row]:
        """The mart before small cells are suppressed."""
        rows = [
            row
            for row in self.contributions
            if row["insurance_kind"] == OCCUPATIONAL_INJURY and row["month"] in self.months
        ]
        found = grouped(
            ((row["month"], row["_sender"], platform), row)
            for row in rows
            for platform in (row["platform_code"] or "unknown", "all")
        )
        return cells(
            ("month", "sender", "platform_code"),
            {key: self._platform(key[0], of_platform) for key, of_platform in found.items()},
        )

    def _platform(self, month: date, rows: list[Row]) -> Row:
        workers = {row["person_key"] for row in rows}
        units = {row["employer_uscc"] for row in rows} - {None}
        with_union = {row["employer_uscc"] for row in self.base_organisations(month)}
        members = workers & set(self.members[month])
        return {
            "workers": len(workers),
            "members": len(members),
            "units": len(units),
            "units_with_union": len(units & with_union),
            "joining_rate": share(len(members), len(workers)),
        }

    def new_form_platform_month(self) -> list[Row]:
        return suppress(
            self.platform_cells(),
            persons="workers",
            measures=("workers", "members", "units", "units_with_union", "joining_rate"),
            group=("month", "sender"),
            category="platform_code",
            total="all",
        )


def grouped_by_person(rows: Any) -> dict[Any, list[Row]]:
    """Rows by person."""
    found: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["person_key"]].append(row)
    return found

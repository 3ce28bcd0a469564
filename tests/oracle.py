"""The published figures, computed a second time: naive Python over accepted rows, written from the definitions alone.

It shares no code and no SQL with the warehouse. ``read`` takes the accepted rows out of the landing schema; every
other function is plain arithmetic over them, month by month and person by person, with no thought for speed.
"""

import calendar
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
CENT = Decimal("0.01")
RANKS = {
    "学徒工": 0,
    "初级工": 1,
    "中级工": 2,
    "高级工": 3,
    "技师": 4,
    "高级技师": 5,
    "特级技师": 6,
    "首席技师": 7,
}
CATEGORIES = {
    **dict.fromkeys(["11", "12", "13", "19", "81"], "outpatient"),
    "14": "chronic",
    **dict.fromkeys([str(code) for code in range(21, 29)], "inpatient"),
    "41": "pharmacy",
    **dict.fromkeys(["51", "52", "53"], "maternity"),
}


@dataclass
class Accepted:
    """Counting deliveries and their rows, by landing table; each row knows its delivery."""

    rows: Mapping[str, list[Row]]
    membership_periods: list[date]


def read(dsn: str) -> Accepted:
    """Read the accepted rows and the deliveries that count."""
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        deliveries = {
            row["delivery_id"]: row
            for row in conn.execute("SELECT * FROM ops.delivery WHERE status = 'accepted'").fetchall()
        }
        tables = [
            row["relname"]
            for row in conn.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = 'landing'::regnamespace AND relkind = 'p'"
            ).fetchall()
        ]
        rows: dict[str, list[Row]] = {}
        for table in tables:
            kept = rows[table] = []
            for row in conn.execute(f"SELECT * FROM landing.{table}").fetchall():
                delivery = deliveries.get(row["delivery_id"])
                if delivery is None:
                    continue
                row["_sender"] = delivery["sender"]
                row["_period"] = date.fromisoformat(delivery["period"] + "-01")
                row["_mode"] = delivery["mode"]
                row["_created"] = delivery["created"]
                row["_name"] = delivery["name"].encode()
                kept.append(row)
    periods = [
        date.fromisoformat(delivery["period"] + "-01")
        for delivery in deliveries.values()
        if delivery["source"] == "membership"
    ]
    return Accepted(rows, periods)


def add_months(month: date, count: int) -> date:
    """The first day of the month ``count`` months later."""
    years, index = divmod(month.year * 12 + month.month - 1 + count, 12)
    return date(years, index + 1, 1)


def last_day(month: date) -> date:
    """The last day of a month."""
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def first_of(day: date) -> date:
    """The first day of the month that a day lies in."""
    return date(day.year, day.month, 1)


def cents(amount: Decimal) -> Decimal:
    """Round half away from zero to two decimals."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def share(numerator: Any, denominator: Any) -> Decimal | None:
    """A quotient, or nothing where the denominator is 0."""
    return Decimal(numerator) / Decimal(denominator) if denominator else None


class Oracle:
    """All figures of one set of accepted rows."""

    def __init__(self, accepted: Accepted, schemes: list[Row], bands: list[Row], incomes: list[Row]) -> None:
        self.rows = accepted.rows
        self.schemes, self.bands, self.incomes = schemes, bands, incomes
        self.months: list[date] = []
        if accepted.membership_periods:
            month, last = min(accepted.membership_periods), max(accepted.membership_periods)
            while month <= last:
                self.months.append(month)
                month = add_months(month, 1)
        self.deliveries = self._membership_deliveries()
        self.organisations: dict[date, dict[tuple[str, str], Row]] = {}
        self.members: dict[date, dict[Any, Row]] = {}
        self.duplicates: dict[date, list[tuple[Row, Row]]] = {}
        self.senders: dict[date, set[str]] = {}
        for month in self.months:
            self._month(month)
        self.certificates = self._events("training_certificate", "certificate_no")
        self.enrolments = self._events("training_enrolment", "enrolment_id")
        self.funds = self._events("training_fund", "employer_uscc", "year")
        self.settlements = self._events("medical_settlement", "setl_id")
        self.certificates_by_person = defaultdict(list)
        for row in self.certificates:
            self.certificates_by_person[row["person_key"]].append(row)
        self.net = self._net()
        self.insured = {month: self._insured(month) for month in self.months}

    # -- state ------------------------------------------------------------------------------------------------------

    def _membership_deliveries(self) -> dict[str, dict[tuple[Any, ...], str]]:
        """Order of each sender's membership deliveries -> mode; an empty feed still has its delivery's other feed."""
        found: dict[str, dict[tuple[Any, ...], str]] = defaultdict(dict)
        for table in ("membership_member", "membership_organisation"):
            for row in self.rows.get(table, []):
                found[row["_sender"]][row["_period"], row["_created"], row["_name"]] = row["_mode"]
        return found

    def _register(self, table: str, key: str, month: date) -> dict[tuple[str, str], Row]:
        state: dict[tuple[str, str], Row] = {}
        for sender, deliveries in self.deliveries.items():
            past = sorted(order for order in deliveries if order[0] <= month)
            snapshots = [order for order in past if deliveries[order] == "snapshot"]
            if not snapshots:
                continue
            rows = [row for row in self.rows.get(table, []) if row["_sender"] == sender]
            for order in past[past.index(snapshots[-1]) :]:
                for row in rows:
                    if (row["_period"], row["_created"], row["_name"]) == order:
                        state[sender, row[key]] = row
        return state

    def _month(self, month: date) -> None:
        self.organisations[month] = self._register("membership_organisation", "org_code", month)
        state = self._register("membership_member", "member_id", month)
        self.senders[month] = {
            sender
            for sender, deliveries in self.deliveries.items()
            if any(order[0] <= month and mode == "snapshot" for order, mode in deliveries.items())
        }
        of_person: dict[Any, list[Row]] = defaultdict(list)
        for row in state.values():
            if row["status"] == "1" and row["joined_on"] <= last_day(month):
                of_person[row["person_key"]].append(row)
        self.members[month], self.duplicates[month] = {}, []
        for person, rows in of_person.items():
            kept = max(
                rows,
                key=lambda row: (
                    row["status_changed_on"] or row["joined_on"],
                    row["_created"],
                    row["_sender"].encode(),
                    row["member_id"].encode(),
                ),
            )
            self.members[month][person] = kept
            self.duplicates[month].extend((row, kept) for row in rows if row is not kept)

    def _events(self, table: str, *keys: str) -> list[Row]:
        last: dict[tuple[Any, ...], Row] = {}
        for row in sorted(self.rows.get(table, []), key=lambda row: (row["_created"], row["_name"])):
            last[row["_sender"], *(row[key] for key in keys)] = row
        return list(last.values())

    def _place(self, month: date, member: Row) -> tuple[str, str, str]:
        organisation = self.organisations[month].get((member["_sender"], member["org_code"]))
        if organisation is None:
            return member["_sender"], "unknown", "unknown"
        return (
            organisation["admdvs"],
            organisation["industry"] or "unknown",
            organisation["employer_nature"] or "unknown",
        )

    def _base_organisations(self, month: date) -> list[Row]:
        return [row for row in self.organisations[month].values() if row["status"] == "1" and row["org_level"] == "90"]

    # -- membership -------------------------------------------------------------------------------------------------

    def union_coverage_month(self) -> list[Row]:
        cells: dict[tuple[Any, ...], Row] = defaultdict(lambda: dict.fromkeys(COVERAGE, 0))
        for month in self.months:
            for row in self._base_organisations(month):
                cell = cells[
                    month,
                    row["_sender"],
                    row["admdvs"],
                    row["industry"] or "unknown",
                    row["employer_nature"] or "unknown",
                ]
                cell["organisations"] += 1
                cell["employees"] += row["employees"] or 0
            for row in self.members[month].values():
                cell = cells[month, row["_sender"], *self._place(month, row)]
                cell["members"] += 1
                cell["women_members"] += row["person_sex"] == "2"
                cell["migrant_members"] += bool(row["is_migrant_worker"])
                cell["new_form_members"] += (row["new_form_type"] or "0") != "0"
                cell["joined"] += first_of(row["joined_on"]) == month
        keys = ("month", "sender", "admdvs", "industry", "employer_nature")
        return [
            {**dict(zip(keys, key, strict=True)), **cell, "joining_rate": share(cell["members"], cell["employees"])}
            for key, cell in cells.items()
        ]

    def duplicate_membership_month(self) -> list[Row]:
        return [
            {
                "month": month,
                "sender": sender,
                "duplicate_rows": sum(row["_sender"] == sender for row, _ in self.duplicates[month]),
            }
            for month in self.months
            for sender in self.senders[month]
        ]

    def duplicate_membership(self) -> list[Row]:
        return [
            {
                "month": month,
                "person_key": row["person_key"],
                "sender": row["_sender"],
                "member_id": row["member_id"],
                "kept_sender": kept["_sender"],
                "kept_member_id": kept["member_id"],
            }
            for month in self.months
            for row, kept in self.duplicates[month]
        ]

    # -- skills and training ----------------------------------------------------------------------------------------

    def _rank(self, month: date, person: Any, member: Row) -> int | None:
        ranks = [
            RANKS[row["skill_level"]]
            for row in self.certificates_by_person[person]
            if row["status"] == "1" and row["issued_on"] <= last_day(month) and row["skill_level"] in RANKS
        ]
        return max(ranks) if ranks else RANKS.get(member["skill_level"])

    def skill_structure_month(self) -> list[Row]:
        cells: dict[tuple[Any, ...], int] = defaultdict(int)
        for month in self.months:
            for person, member in self.members[month].items():
                rank = self._rank(month, person, member)
                cells[month, member["_sender"], self._place(month, member)[0], -1 if rank is None else rank] += 1
        keys = ("month", "sender", "admdvs", "skill_rank")
        return [{**dict(zip(keys, key, strict=True)), "members": count} for key, count in cells.items()]

    def training_month(self) -> list[Row]:
        cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.enrolments:
            month = first_of(row["started_on"])
            cells[month, row["_sender"], row["training_type"], row["funding_source"] or "unknown"].append(row)
        keys = ("month", "sender", "training_type", "funding_source")
        return [
            {
                **dict(zip(keys, key, strict=True)),
                "enrolments": len(rows),
                "persons": len({row["person_key"] for row in rows}),
                "passed": sum(row["result"] == "1" for row in rows),
                "attended_hours": sum((row["attended_hours"] or Decimal(0) for row in rows), Decimal(0)),
                "subsidy_amount": sum((row["subsidy_amount"] or Decimal(0) for row in rows), Decimal(0)),
                "member_persons": len({row["person_key"] for row in rows} & set(self.members.get(key[0], {}))),
            }
            for key, rows in cells.items()
        ]

    def training_fund_year(self) -> list[Row]:
        cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.funds:
            cells[row["year"], row["_sender"], row["admdvs"]].append(row)
        return [
            {**dict(zip(("year", "sender", "admdvs"), key, strict=True)), **self._funds(rows)}
            for key, rows in cells.items()
        ]

    @staticmethod
    def _funds(rows: Iterable[Row]) -> Row:
        rows = list(rows)
        spending = [row for row in rows if row["spent"] > 0]
        compliant = [row for row in spending if row["frontline_spent"] / row["spent"] >= Decimal("0.60")]
        spent = sum((row["spent"] for row in rows), Decimal(0))
        frontline = sum((row["frontline_spent"] for row in rows), Decimal(0))
        return {
            "employers": len(rows),
            "spent": spent,
            "frontline_spent": frontline,
            "frontline_share": share(frontline, spent),
            "compliant_employers": len(compliant),
            "compliance_rate": share(len(compliant), len(spending)),
            "_spending": len(spending),
        }

    # -- medical ----------------------------------------------------------------------------------------------------

    def _spells(self, month: date) -> dict[Any, list[Row]]:
        """In-force insurance relations by person at the last day of a month."""
        day = last_day(month)
        state: dict[str, dict[tuple[str, str], Row]] = {}
        for table, key in (("medical_person", "psn_no"), ("medical_insurance", "psn_insu_rlts_id")):
            state[table] = {}
            for row in sorted(
                self.rows.get(table, []), key=lambda row: (row["_period"], row["_created"], row["_name"])
            ):
                if row["_period"] <= month:
                    state[table][row["_sender"], row[key]] = row
        found: dict[Any, list[Row]] = defaultdict(list)
        for (sender, _), row in state["medical_insurance"].items():
            pause = row["paus_insu_date"]
            begun = row["crt_insu_date"] <= day
            in_force = begun and (
                (row["psn_insu_stas"] == "1" and (pause is None or pause > day))
                or (row["psn_insu_stas"] == "2" and pause is not None and day < pause)
            )
            person = state["medical_person"].get((sender, row["psn_no"]))
            if in_force and person is not None:
                found[person["person_key"]].append(row)
        return found

    def _insured(self, month: date) -> dict[Any, Row]:
        found = {}
        self_spells = self._spells(month)
        for person, rows in self_spells.items():
            employee = [row for row in rows if row["insutype"].startswith("310")]
            found[person] = {
                "employee": bool(employee),
                "resident": any(row["insutype"].startswith(("390", "391")) for row in rows) and not employee,
                "flexible": any(row["psn_type"].startswith("1103") for row in employee),
                "retired": any(row["psn_type"].startswith("12") for row in employee),
                "employers": {row["emp_uscc"] for row in employee if row["emp_uscc"]},
            }
        return found

    def insurance_coverage_month(self) -> list[Row]:
        cells: dict[tuple[Any, ...], Row] = defaultdict(lambda: dict.fromkeys(INSURANCE, 0))
        for month in self.months:
            for person, member in self.members[month].items():
                cell = cells[month, member["_sender"], self._place(month, member)[0]]
                state = self.insured[month].get(person, {})
                cell["members"] += 1
                cell["employee_insured"] += state.get("employee", False)
                cell["resident_insured"] += state.get("resident", False)
                cell["uninsured"] += not state.get("employee") and not state.get("resident")
                cell["flexible"] += state.get("flexible", False)
                cell["retired"] += state.get("retired", False)
        return [
            {
                **dict(zip(("month", "sender", "admdvs"), key, strict=True)),
                **cell,
                "employee_insured_rate": share(cell["employee_insured"], cell["members"]),
            }
            for key, cell in cells.items()
        ]

    def _net(self) -> list[Row]:
        reversed_by = {
            (row["_sender"], row["init_setl_id"])
            for row in self.settlements
            if row["vali_flag"] == "1" and row["refd_setl_flag"] == "1" and row["init_setl_id"]
        }
        insured_ends: dict[str, set[str]] = defaultdict(set)
        for row in self.settlements:
            if row["out_flag"] == "1":
                insured_ends[row["setl_id"]].add(row["_sender"])
        net = []
        for row in self.settlements:
            if row["vali_flag"] != "1" or row["init_setl_id"] or row["refd_setl_flag"] != "0":
                continue
            if (row["_sender"], row["setl_id"]) in reversed_by:
                continue
            if row["out_flag"] == "2" and insured_ends[row["setl_id"]] - {row["_sender"]}:
                continue
            net.append(row)
        return net

    def medical_burden_month(self) -> list[Row]:
        cells: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in self.net:
            month = first_of(row["setl_time"].date())
            if row["person_key"] in self.members.get(month, {}):
                cells[month, row["insu_admdvs"], CATEGORIES.get(row["med_type"][:2], "other")].append(row)
        persons = {key: len({row["person_key"] for row in rows}) for key, rows in cells.items()}
        hidden = {key for key, count in persons.items() if 1 <= count <= 10}
        for place in {key[:2] for key in cells}:
            here = [key for key in cells if key[:2] == place]
            shown = [key for key in here if key not in hidden]
            if len(here) - len(shown) == 1 and shown:
                hidden.add(min(shown, key=lambda key: (persons[key], key[2])))
        result = []
        for key, rows in cells.items():
            measures = {
                "persons": persons[key],
                "settlements": len(rows),
                "medfee": sum(row["medfee_sumamt"] for row in rows),
                "fund_pay": sum(row["fund_pay_sumamt"] for row in rows),
                "psn_pay": sum(row["psn_pay"] for row in rows),
            }
            result.append(
                {
                    **dict(zip(("month", "insu_admdvs", "category"), key, strict=True)),
                    **(dict.fromkeys(measures) if key in hidden else measures),
                    "is_suppressed": key in hidden,
                }
            )
        return result

    def mutual_aid_entitlement(self) -> list[Row]:
        result = []
        for scheme in self.schemes:
            categories = {name.strip() for name in scheme["categories"].split(",")}
            sums: dict[Any, list[Decimal]] = defaultdict(list)
            for row in self.net:
                day = row["setl_time"].date()
                member = self.members.get(first_of(day), {}).get(row["person_key"])
                if (
                    member is None
                    or not row["insutype"].startswith("310")
                    or not row["insu_admdvs"].startswith(scheme["admdvs_prefix"])
                    or CATEGORIES.get(row["med_type"][:2], "other") not in categories
                    or not scheme["term_start"] <= day <= scheme["term_end"]
                    or member["joined_on"] + timedelta(days=scheme["waiting_days"]) > day
                ):
                    continue
                base = {
                    "medfee": row["medfee_sumamt"],
                    "psn_pay": row["psn_pay"],
                    "policy_self_pay": row["psn_pay"] - (row["fulamt_ownpay_amt"] or 0) - (row["overlmt_selfpay"] or 0),
                }[scheme["base"]]
                sums[row["person_key"]].append(base)
            for person, amounts in sums.items():
                base_amount = max(sum(amounts, Decimal(0)), Decimal(0))
                over = max(base_amount - scheme["deductible"], Decimal(0))
                aid = Decimal(0)
                for band in self.bands:
                    if band["scheme_code"] == scheme["scheme_code"]:
                        upper = over if band["band_to"] is None else min(over, band["band_to"])
                        aid += max(upper - band["band_from"], Decimal(0)) * band["rate"]
                aid = cents(min(scheme["cap"], aid))
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

    def hardship_watch(self) -> list[Row]:
        by_person: dict[Any, list[Row]] = defaultdict(list)
        for row in self.net:
            by_person[row["person_key"]].append(row)
        result = []
        for month in self.months:
            first = add_months(month, -11)
            for person, member in self.members[month].items():
                burden = sum(
                    (
                        row["psn_pay"]
                        for row in by_person[person]
                        if first <= row["setl_time"].date() <= last_day(month)
                    ),
                    Decimal(0),
                )
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

    def transfer_hint(self) -> list[Row]:
        result = []
        for month in self.months:
            for person, member in self.members[month].items():
                organisation = self.organisations[month].get((member["_sender"], member["org_code"]))
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

    # -- indicators -------------------------------------------------------------------------------------------------

    def reform_indicator(self) -> list[Row]:
        cells: dict[tuple[str, date, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])

        def add(indicator: str, month: date, sender: str, numerator: Any, denominator: Any) -> None:
            for place in (sender, "100000"):
                cells[indicator, month, place][0] += numerator
                cells[indicator, month, place][1] += denominator

        for month in self.months:
            for row in self._base_organisations(month):
                sender = row["_sender"]
                add("joining_rate", month, sender, 0, row["employees"] or 0)
                add("workers_congress_rate", month, sender, bool(row["has_workers_congress"]), 1)
                add("open_affairs_rate", month, sender, bool(row["has_open_affairs"]), 1)
                add("collective_contract_rate", month, sender, bool(row["has_collective_contract"]), 1)
            reached = {
                row["person_key"]
                for row in self.enrolments
                if add_months(month, -11) <= row["started_on"] <= last_day(month)
            }
            for person, member in self.members[month].items():
                sender = member["_sender"]
                rank = self._rank(month, person, member)
                add("joining_rate", month, sender, 1, 0)
                add("new_form_share", month, sender, (member["new_form_type"] or "0") != "0", 1)
                add("high_skilled_share", month, sender, (rank or 0) >= 3, (rank or 0) >= 1)
                add("training_reach", month, sender, person in reached, 1)
                insured = self.insured[month].get(person, {}).get("employee", False)
                add("employee_insured_rate", month, sender, insured, 1)
        for year in self.training_fund_year():
            december = date(year["year"], 12, 1)
            add("frontline_fund_share", december, year["sender"], year["frontline_spent"], year["spent"])
            add("frontline_fund_compliance", december, year["sender"], year["compliant_employers"], year["_spending"])
        return [
            {
                "indicator": indicator,
                "month": month,
                "admdvs": place,
                "numerator": numerator,
                "denominator": denominator,
                "value": share(numerator, denominator),
            }
            for (indicator, month, place), (numerator, denominator) in cells.items()
            if numerator or denominator
        ]


COVERAGE = ("organisations", "employees", "members", "women_members", "migrant_members", "new_form_members", "joined")
INSURANCE = ("members", "employee_insured", "resident_insured", "uninsured", "flexible", "retired")

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
    "marts.reform_indicator": ("indicator", "month", "admdvs"),
}


def oracle(dsn: str, schemes: list[Row], bands: list[Row], incomes: list[Row]) -> Oracle:
    """The oracle over everything that a warehouse has accepted."""
    return Oracle(read(dsn), schemes, bands, incomes)


def differences(expected: list[Row], actual: list[Row], keys: tuple[str, ...]) -> list[str]:
    """What differs between two sets of rows, in words; money and shares are compared within 0.005."""

    def index(rows: list[Row]) -> dict[tuple[Any, ...], Row]:
        return {tuple(row[key] for key in keys): row for row in rows}

    wanted, found = index(expected), index(actual)
    messages = [f"missing {key}" for key in sorted(wanted.keys() - found.keys(), key=str)]
    messages += [f"surplus {key}" for key in sorted(found.keys() - wanted.keys(), key=str)]
    if len(found) != len(actual):
        messages.append(f"{len(actual) - len(found)} rows stand under a key twice")
    for key in wanted.keys() & found.keys():
        for column, value in wanted[key].items():
            if column.startswith("_"):
                continue
            other = found[key][column]
            numeric = isinstance(value, int | Decimal) and not isinstance(value, bool) and other is not None
            same = abs(Decimal(value) - Decimal(other)) <= Decimal("0.005") if numeric else value == other
            if not same:
                messages.append(f"{key} {column}: expected {value}, found {other}")
    return messages

"""Services to workers: how many, whom they reach, mutual aid that is owed, hardship without help."""

from functools import cached_property
from typing import Any

from tests.oracle.base import Row, cells, first_of, grouped, in_12_months, last_day, persons_of, share, total
from tests.oracle.medical import Medical
from tests.oracle.small_cells import suppress

GROUPS = ("1", "2", "3", "4", "5", "6", "9")
HELP = ("1", "2")
MUTUAL_AID = "31"


class Services(Medical):
    """What unions do for workers."""

    @cached_property
    def services(self) -> list[Row]:
        """Valid services."""
        return [row for row in self.events("services_service_record", "record_id") if row["status"] == "1"]

    def service_cells(self) -> list[Row]:
        """The mart before small cells are suppressed."""
        found = grouped(
            ((first_of(row["served_on"]), row["_sender"], row["admdvs"], row["service_type"]), row)
            for row in self.services
        )
        measures = {
            key: {
                "records": len(rows),
                "times": total(rows, "persons"),
                "persons": len(persons_of(rows)),
                "member_persons": len(persons_of(rows) & set(self.members.get(key[0], {}))),
                "amount": total(rows, "amount"),
                "in_kind": total(rows, "in_kind"),
            }
            for key, rows in found.items()
        }
        return cells(("month", "sender", "admdvs", "service_type"), measures)

    def service_month(self) -> list[Row]:
        return suppress(
            self.service_cells(),
            persons="persons",
            measures=("records", "times", "persons", "member_persons", "amount", "in_kind"),
            group=("month", "sender", "admdvs"),
            category="service_type",
        )

    def reached(self, month: Any, *groups: str) -> set[Any]:
        """Persons with a service of some groups in the 12 months that end with a month."""
        return persons_of(
            row for row in self.services if row["service_type"][0] in groups and in_12_months(row["served_on"], month)
        )

    def reach_cells(self) -> list[Row]:
        """The mart before small cells are suppressed."""
        of_group = {
            (month, group): self.reached(month, *(GROUPS if group == "any" else group))
            for month in self.months
            for group in (*GROUPS, "any")
        }
        found = {}
        for key, members in self.members_by_region().items():
            for group in (*GROUPS, "any"):
                reached = len(set(members) & of_group[key[0], group])
                found[*key, group] = {
                    "members": len(members),
                    "reached": reached,
                    "reach_rate": share(reached, len(members)),
                }
        return cells(("month", "sender", "admdvs", "service_group"), found)

    def service_reach_month(self) -> list[Row]:
        return suppress(
            self.reach_cells(),
            persons="reached",
            measures=("reached", "reach_rate"),
            group=("month", "sender", "admdvs"),
            category="service_group",
            total="any",
        )

    def payments(self) -> dict[tuple[Any, ...], list[Row]]:
        """Services that pay mutual aid, by scheme and person."""
        schemes = {scheme["scheme_code"] for scheme in self.schemes}
        return grouped(
            ((row["scheme_code"], row["person_key"]), row)
            for row in self.services
            if row["service_type"] == MUTUAL_AID and row["scheme_code"] in schemes and row["person_key"] is not None
        )

    def mutual_aid_gap(self) -> list[Row]:
        owed = {(row["scheme_code"], row["person_key"]): row["aid_amount"] for row in self.mutual_aid_entitlement()}
        payments = self.payments()
        found = {}
        for key in owed.keys() | payments.keys():
            aid, paid = owed.get(key, 0), total(payments.get(key, []), "amount")
            if aid != paid:
                found[key] = {
                    "aid_amount": aid,
                    "paid_amount": paid,
                    "gap": aid - paid,
                    "first_paid_on": min((row["served_on"] for row in payments.get(key, [])), default=None),
                }
        return cells(("scheme_code", "person_key"), found)

    def hardship_unserved(self) -> list[Row]:
        helped = grouped(
            ((row["person_key"],), row)
            for row in self.services
            if row["service_type"][0] in HELP and row["person_key"] is not None
        )
        result = []
        for row in self.hardship_watch():
            day = last_day(row["month"])
            dates = [one["served_on"] for one in helped.get((row["person_key"],), []) if one["served_on"] <= day]
            if not any(in_12_months(date, row["month"]) for date in dates):
                result.append(
                    {name: row[name] for name in ("month", "person_key", "level", "ratio")}
                    | {"last_served_on": max(dates, default=None)}
                )
        return result

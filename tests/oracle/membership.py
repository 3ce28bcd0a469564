"""Members, organisations and duplicates; workers in new forms of employment."""

from collections import defaultdict
from functools import cached_property
from typing import Any

from tests.oracle.base import Row, State, cells, first_of, grouped, last_day, share

COVERAGE = ("organisations", "employees", "members", "women_members", "migrant_members", "new_form_members", "joined")


class Membership(State):
    """Who is a member where, at each month covered."""

    @cached_property
    def organisations(self) -> dict[Any, dict[tuple[str, str], Row]]:
        """State of organisations by month, then by sender and code."""
        return {month: self.register("membership_organisation", "org_code", month) for month in self.months}

    @cached_property
    def members(self) -> dict[Any, dict[Any, Row]]:
        """The membership of each person, by month."""
        return {
            month: {person: max(rows, key=_precedence) for person, rows in persons.items()}
            for month, persons in self._active.items()
        }

    @cached_property
    def duplicates(self) -> dict[Any, list[tuple[Row, Row]]]:
        """Active rows that are not their person's membership, each with that membership, by month."""
        return {
            month: [
                (row, self.members[month][person])
                for person, rows in persons.items()
                for row in rows
                if row is not self.members[month][person]
            ]
            for month, persons in self._active.items()
        }

    @cached_property
    def _active(self) -> dict[Any, dict[Any, list[Row]]]:
        found: dict[Any, dict[Any, list[Row]]] = {}
        for month in self.months:
            found[month] = defaultdict(list)
            for row in self.register("membership_member", "member_id", month).values():
                if row["status"] == "1" and row["joined_on"] <= last_day(month):
                    found[month][row["person_key"]].append(row)
        return found

    def organisation_of(self, month: Any, row: Row) -> Row | None:
        """The organisation that a row of the same sender names, at a month."""
        return self.organisations.get(month, {}).get((row["_sender"], row["org_code"]))

    def region(self, month: Any, member: Row) -> tuple[str, str, str]:
        """Region, industry and nature of a member."""
        organisation = self.organisation_of(month, member)
        if organisation is None:
            return member["_sender"], "unknown", "unknown"
        return (
            organisation["admdvs"],
            organisation["industry"] or "unknown",
            organisation["employer_nature"] or "unknown",
        )

    def base_organisations(self, month: Any) -> list[Row]:
        """Organisations that are a base organisation at a month."""
        return [row for row in self.organisations[month].values() if row["status"] == "1" and row["org_level"] == "90"]

    def members_by_region(self) -> dict[tuple[Any, ...], dict[Any, Row]]:
        """Memberships by person, for each month, sender and region."""
        found: dict[tuple[Any, ...], dict[Any, Row]] = defaultdict(dict)
        for month in self.months:
            for person, member in self.members[month].items():
                found[month, member["_sender"], self.region(month, member)[0]][person] = member
        return found

    def union_coverage_month(self) -> list[Row]:
        found: dict[tuple[Any, ...], Row] = defaultdict(lambda: dict.fromkeys(COVERAGE, 0))
        for month in self.months:
            for row in self.base_organisations(month):
                cell = found[
                    month,
                    row["_sender"],
                    row["admdvs"],
                    row["industry"] or "unknown",
                    row["employer_nature"] or "unknown",
                ]
                cell["organisations"] += 1
                cell["employees"] += row["employees"] or 0
            for row in self.members[month].values():
                cell = found[month, row["_sender"], *self.region(month, row)]
                cell["members"] += 1
                cell["women_members"] += row["person_sex"] == "2"
                cell["migrant_members"] += bool(row["is_migrant_worker"])
                cell["new_form_members"] += is_new_form(row)
                cell["joined"] += first_of(row["joined_on"]) == month
        for cell in found.values():
            cell["joining_rate"] = share(cell["members"], cell["employees"])
        return cells(("month", "sender", "admdvs", "industry", "employer_nature"), found)

    def duplicate_membership_month(self) -> list[Row]:
        return [
            {
                "month": month,
                "sender": sender,
                "duplicate_rows": sum(row["_sender"] == sender for row, _ in self.duplicates[month]),
            }
            for month in self.months
            for sender, deliveries in self.deliveries.items()
            if any(order[0] <= month and mode == "snapshot" for order, mode in deliveries.items())
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

    def new_form_month(self) -> list[Row]:
        found = grouped(
            ((*key, member["new_form_type"]), member)
            for key, members in self.members_by_region().items()
            for member in members.values()
            if is_new_form(member)
        )
        return cells(
            ("month", "sender", "admdvs", "new_form_type"),
            {
                key: {
                    "members": len(rows),
                    "women_members": sum(row["person_sex"] == "2" for row in rows),
                    "joined": sum(first_of(row["joined_on"]) == key[0] for row in rows),
                }
                for key, rows in found.items()
            },
        )


def is_new_form(member: Row) -> bool:
    """Whether a member works in a new form of employment."""
    return (member["new_form_type"] or "0") != "0"


def _precedence(row: Row) -> tuple[Any, ...]:
    return (
        row["status_changed_on"] or row["joined_on"],
        row["_created"],
        row["_sender"].encode(),
        row["member_id"].encode(),
    )

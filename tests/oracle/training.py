"""Skills, training, training funds."""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal
from functools import cached_property
from typing import Any

from tests.oracle.base import Row, cells, first_of, grouped, in_12_months, last_day, persons_of, share, total
from tests.oracle.membership import Membership
from tests.oracle.small_cells import is_small

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


class Training(Membership):
    """What persons can do, and learn."""

    @cached_property
    def enrolments(self) -> list[Row]:
        return self.events("training_enrolment", "enrolment_id")

    @cached_property
    def certificates(self) -> dict[Any, list[Row]]:
        """Certificates that count, by person."""
        found: dict[Any, list[Row]] = defaultdict(list)
        for row in self.events("training_certificate", "certificate_no"):
            if row["status"] == "1" and row["skill_level"] in RANKS:
                found[row["person_key"]].append(row)
        return found

    def rank(self, month: Any, person: Any, member: Row) -> int | None:
        """Skill rank of a member at a month."""
        ranks = [
            RANKS[row["skill_level"]]
            for row in self.certificates.get(person, [])
            if row["issued_on"] <= last_day(month)
        ]
        return max(ranks) if ranks else RANKS.get(member["skill_level"])

    def trained(self, month: Any) -> set[Any]:
        """Persons with an enrolment in the 12 months that end with a month."""
        return {row["person_key"] for row in self.enrolments if in_12_months(row["started_on"], month)}

    def skill_structure_month(self) -> list[Row]:
        found: dict[tuple[Any, ...], Row] = defaultdict(lambda: {"members": 0})
        for key, members in self.members_by_region().items():
            for person, member in members.items():
                rank = self.rank(key[0], person, member)
                found[*key, -1 if rank is None else rank]["members"] += 1
        return cells(("month", "sender", "admdvs", "skill_rank"), found)

    def training_month(self) -> list[Row]:
        found = grouped(
            (
                (
                    first_of(row["started_on"]),
                    row["_sender"],
                    row["training_type"],
                    row["funding_source"] or "unknown",
                ),
                row,
            )
            for row in self.enrolments
        )
        rows = cells(
            ("month", "sender", "training_type", "funding_source"),
            {
                key: {
                    "enrolments": len(rows),
                    "persons": len(persons_of(rows)),
                    "passed": sum(row["result"] == "1" for row in rows),
                    "attended_hours": total(rows, "attended_hours"),
                    "subsidy_amount": total(rows, "subsidy_amount"),
                    "member_persons": len(persons_of(rows) & set(self.members.get(key[0], {}))),
                }
                for key, rows in found.items()
            },
        )
        return [
            row
            | ({"attended_hours": None, "subsidy_amount": None} if is_small(row["persons"]) else {})
            | {"is_suppressed": is_small(row["persons"])}
            for row in rows
        ]

    def training_fund_year(self) -> list[Row]:
        found = grouped(
            ((row["year"], row["_sender"], row["admdvs"]), row)
            for row in self.events("training_fund", "employer_uscc", "year")
        )
        return cells(("year", "sender", "admdvs"), {key: _funds(rows) for key, rows in found.items()})


def _funds(rows: Iterable[Row]) -> Row:
    rows = list(rows)
    spending = [row for row in rows if row["spent"] > 0]
    compliant = [row for row in spending if row["frontline_spent"] / row["spent"] >= Decimal("0.60")]
    spent, frontline = total(rows, "spent"), total(rows, "frontline_spent")
    return {
        "employers": len(rows),
        "spent": spent,
        "frontline_spent": frontline,
        "frontline_share": share(frontline, spent),
        "compliant_employers": len(compliant),
        "compliance_rate": share(len(compliant), len(spending)),
        "_spending": len(spending),
    }

"""Honours, studios, contests."""

from collections import defaultdict
from datetime import date
from functools import cached_property
from typing import Any

from tests.oracle.base import Row, cells, first_of, grouped, last_day, total
from tests.oracle.membership import Membership

#: Honours that distinguish the leader of a studio.
LEADERS = ("1", "2", "3", "4")
CRAFTSMAN = "4"
#: What a studio counts since the first of January.
SINCE_JANUARY = ("projects", "achievements", "patents", "trained", "funded_amount")


class Honours(Membership):
    """Whom unions honour, and what becomes of it."""

    @cached_property
    def honours(self) -> list[Row]:
        return self.events("honours_honour", "honour_no")

    def held(self, day: date) -> list[Row]:
        """Honours held at a day."""
        return [
            row
            for row in self.honours
            if row["granted_on"] <= day
            and (row["status"] == "1" or (row["revoked_on"] is not None and row["revoked_on"] > day))
        ]

    def holders(self, day: date, *types: str) -> set[Any]:
        """Persons who hold an honour of some types at a day."""
        return {row["person_key"] for row in self.held(day) if row["honour_type"] in types}

    def honour_ladder_year(self) -> list[Row]:
        found: dict[tuple[Any, ...], Row] = defaultdict(
            lambda: dict.fromkeys(("granted", "holders", "top_holders", "member_holders"), 0)
        )
        for year in sorted({month.year for month in self.months}):
            end = min(date(year, 12, 31), last_day(self.months[-1]))
            for row in self.honours:
                if row["granted_on"].year == year and row["granted_on"] <= end:
                    found[year, row["_sender"], row["honour_type"], row["honour_level"]]["granted"] += 1
            held = grouped(((row["_sender"], row["honour_type"], row["honour_level"]), row) for row in self.held(end))
            best: dict[tuple[Any, str], tuple[str, str]] = {}
            for (sender, kind, level), rows in held.items():
                for row in rows:
                    before = best.get((row["person_key"], kind), (level, sender))
                    best[row["person_key"], kind] = min(before, (level, sender))
            for (sender, kind, level), rows in held.items():
                persons = {row["person_key"] for row in rows}
                cell = found[year, sender, kind, level]
                cell["holders"] = len(persons)
                cell["top_holders"] = sum(best[person, kind] == (level, sender) for person in persons)
                cell["member_holders"] = len(persons & set(self.members[first_of(end)]))
        return cells(("year", "sender", "honour_type", "honour_level"), found)

    def studio_month(self) -> list[Row]:
        found = {}
        for month in self.months:
            leaders = self.holders(last_day(month), *LEADERS)
            active = grouped(
                ((month, row["_sender"], row["admdvs"], row["studio_level"]), row)
                for row in self.delta_register("honours_studio", ("studio_no",), month).values()
                if row["status"] in ("1", "2") and row["named_on"] <= last_day(month)
            )
            for key, rows in active.items():
                this_year = [row for row in rows if row["_period"].year == month.year]
                found[key] = {
                    "studios": len(rows),
                    "in_alliance": sum(row["alliance_no"] is not None for row in rows),
                    "alliances": len({row["alliance_no"] for row in rows} - {None}),
                    "honoured_leaders": sum(row["person_key"] in leaders for row in rows),
                    "members": total(rows, "members"),
                } | {column: total(this_year, column) for column in SINCE_JANUARY}
        return cells(("month", "sender", "admdvs", "studio_level"), found)

    def contest_year(self) -> list[Row]:
        contests = grouped(
            ((row["started_on"].year, row["_sender"], row["contest_kind"], row["contest_level"]), row)
            for row in self.events("honours_contest", "contest_no")
        )
        counts = ("units", "participants", "frontline_participants", "winners", "promoted", "spent")
        return cells(
            ("year", "sender", "contest_kind", "contest_level"),
            {
                key: {"contests": len(rows)}
                | {column: total(rows, column) for column in counts}
                | {"honours": self._won(key[1], {row["contest_no"] for row in rows})}
                for key, rows in contests.items()
            },
        )

    def _won(self, sender: str, contests: set[str]) -> int:
        return sum(
            row["_sender"] == sender and row["contest_no"] in contests and row["status"] != "0" for row in self.honours
        )

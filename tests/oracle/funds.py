"""Budgets of unions, and what audits found."""

from datetime import date
from typing import Any

from tests.oracle.base import Row, cells, grouped, last_day, share, total
from tests.oracle.membership import Membership


class Funds(Membership):
    """Money of unions."""

    def budgets(self) -> list[Row]:
        """Rows of budgets, with their final budget and the level of their organisation."""
        return [
            row
            | {
                "_final": row["budget"] if row["adjusted_budget"] is None else row["adjusted_budget"],
                "_level": self._level(row),
            }
            for row in self.events("funds_fund_budget", "org_code", "year", "account", "purpose")
        ]

    def _level(self, row: Row) -> str:
        if not self.months:
            return "unknown"
        organisation = self.organisation_of(min(date(row["year"], 12, 1), self.months[-1]), row)
        return "unknown" if organisation is None else str(organisation["org_level"])

    def fund_budget_year(self) -> list[Row]:
        found = grouped(
            ((row["year"], row["_sender"], row["_level"], row["account"], row["purpose"]), row)
            for row in self.budgets()
        )
        return cells(
            ("year", "sender", "org_level", "account", "purpose"),
            {
                key: {
                    "organisations": len(rows),
                    "budget": total(rows, "budget"),
                    "final_budget": total(rows, "_final"),
                    "actual": total(rows, "actual"),
                    "as_of": min(row["as_of"] for row in rows),
                    "execution_rate": share(total(rows, "actual"), total(rows, "_final")),
                }
                for key, rows in found.items()
            },
        )

    def audit_year(self) -> list[Row]:
        found = grouped(
            ((row["issued_on"].year, row["_sender"], row["audit_kind"], row["finding_type"]), row)
            for row in self.events("funds_audit_finding", "finding_no")
        )
        return cells(
            ("year", "sender", "audit_kind", "finding_type"),
            {key: self._findings(rows) for key, rows in found.items()},
        )

    def _findings(self, rows: list[Row]) -> Row:
        rectified = [row for row in rows if row["rectified_on"] is not None]
        due = [row for row in rows if row["due_on"] is not None]
        end: Any = last_day(self.months[-1]) if self.months else date.min
        return {
            "findings": len(rows),
            "reform_findings": sum(bool(row["is_reform"]) for row in rows),
            "amount": total(rows, "amount"),
            "rectified": len(rectified),
            "rectified_amount": total(rows, "rectified_amount"),
            "due": len(due),
            "on_time": sum(row["rectified_on"] is not None and row["rectified_on"] <= row["due_on"] for row in due),
            "overdue": sum(row["rectified_on"] is None and row["due_on"] <= end for row in due),
            "rectified_rate": share(len(rectified), len(rows)),
        }

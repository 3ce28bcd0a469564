"""Accepted rows, and the state that they make: months covered, registers at a month, current events, dates and shares."""

import calendar
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from functools import cached_property
from typing import Any

import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
CENT = Decimal("0.01")


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
            accepted = rows[table] = []
            for row in conn.execute(f"SELECT * FROM landing.{table}").fetchall():
                delivery = deliveries.get(row["delivery_id"])
                if delivery is None:
                    continue
                row["_sender"] = delivery["sender"]
                row["_period"] = date.fromisoformat(delivery["period"] + "-01")
                row["_mode"] = delivery["mode"]
                row["_created"] = delivery["created"]
                row["_name"] = delivery["name"].encode()
                accepted.append(row)
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


def in_12_months(day: date, month: date) -> bool:
    """Whether a day lies in the 12 calendar months that end with a month."""
    return add_months(month, -11) <= day <= last_day(month)


def cents(amount: Decimal) -> Decimal:
    """Round half away from zero to two decimals."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def share(numerator: Any, denominator: Any) -> Decimal | None:
    """A quotient, or nothing where the denominator is 0."""
    return Decimal(numerator) / Decimal(denominator) if denominator else None


def total(rows: Iterable[Row], column: str) -> Any:
    """The sum of a column; no value counts as 0."""
    return sum((row[column] or 0 for row in rows), Decimal(0))


def persons_of(rows: Iterable[Row]) -> set[Any]:
    """The distinct persons of rows, of those that have one."""
    return {row["person_key"] for row in rows if row["person_key"] is not None}


def cells(names: tuple[str, ...], found: Mapping[tuple[Any, ...], Row]) -> list[Row]:
    """Rows of a figure: the columns of the key, then those of the value."""
    return [dict(zip(names, key, strict=True)) | values for key, values in found.items()]


def grouped(rows: Iterable[tuple[tuple[Any, ...], Row]]) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by key."""
    found: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for key, row in rows:
        found[key].append(row)
    return found


def is_in_force(row: Row, start: str, end: str, day: date) -> bool:
    """Whether a row has begun and not ended at a day; the day of the end is outside."""
    return row[start] <= day and (row[end] is None or row[end] > day)


class State:
    """What deliveries say, taken together."""

    def __init__(self, accepted: Accepted, schemes: list[Row], bands: list[Row], incomes: list[Row]) -> None:
        self.rows = accepted.rows
        self.schemes, self.bands, self.incomes = schemes, bands, incomes
        self.months: list[date] = []
        if accepted.membership_periods:
            month, last = min(accepted.membership_periods), max(accepted.membership_periods)
            while month <= last:
                self.months.append(month)
                month = add_months(month, 1)

    @property
    def last_month(self) -> date | None:
        """The last month covered."""
        return self.months[-1] if self.months else None

    @cached_property
    def deliveries(self) -> dict[str, dict[tuple[Any, ...], str]]:
        """Order of each sender's membership deliveries -> mode; an empty feed still has its delivery's other feed."""
        found: dict[str, dict[tuple[Any, ...], str]] = defaultdict(dict)
        for table in ("membership_member", "membership_organisation"):
            for row in self.rows.get(table, []):
                found[row["_sender"]][row["_period"], row["_created"], row["_name"]] = row["_mode"]
        return found

    def register(self, table: str, key: str, month: date) -> dict[tuple[str, str], Row]:
        """State of a register of snapshots and deltas at a month, by sender and key."""
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

    def delta_register(self, table: str, keys: tuple[str, ...], month: date | None) -> dict[tuple[Any, ...], Row]:
        """State at a month of a register whose deliveries are all deltas; without a month, of all deliveries."""
        state: dict[tuple[Any, ...], Row] = {}
        for row in sorted(self.rows.get(table, []), key=lambda row: (row["_period"], row["_created"], row["_name"])):
            if month is None or row["_period"] <= month:
                state[row["_sender"], *(row[key] for key in keys)] = row
        return state

    def events(self, table: str, *keys: str) -> list[Row]:
        """The last row of each sender and key over all deliveries."""
        last: dict[tuple[Any, ...], Row] = {}
        for row in sorted(self.rows.get(table, []), key=lambda row: (row["_created"], row["_name"])):
            last[row["_sender"], *(row[key] for key in keys)] = row
        return list(last.values())

"""Random rows of any feed, made from its contract: few values a column, so that rows of different feeds meet."""

import random
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from ingest.contracts import Column, Feed, Kind, Role

Row = dict[str, Any]
DIVISIONS = ("110101", "350102", "440100")
EMPLOYERS = tuple(f"9111010{n}MA0000000{n}" for n in range(3))
ORGANISATIONS = tuple(f"O{n}" for n in range(6))
FIRST_DAY = date(2025, 1, 15)
DAYS = 500
#: Months that lie before and after those of the deliveries, too.
MONTHS = (date(2025, 12, 1), *(date(2026, month, 1) for month in range(1, 7)))
#: Columns whose values other tables know.
KNOWN: dict[str, Sequence[str]] = {
    "occupation_code": ("6-18-01-01", "6-18-01-02"),
    "scheme_code": ("inpatient-13", "second-claim"),
}
_NUMBERS: dict[Kind, Sequence[Any]] = {
    Kind.INTEGER: (0, 7, 20),
    Kind.NUMBER: (Decimal(0), Decimal("7.5"), Decimal(40)),
    Kind.MONEY: (Decimal(0), Decimal("100.10"), Decimal(33)),
    Kind.FLAG: (True, False),
}


def row(feed: Feed, key: int, draw: random.Random, person: Row) -> Row:
    """A row of a feed whose key columns follow from the number of the key, and nothing else does.

    ``person`` holds the columns of a person; a feed that may lack one has none now and then.
    """
    made: Row = {}
    if feed.has_person:
        unknown = not feed.requires_person and draw.random() < 0.2
        made |= dict.fromkeys(person) if unknown else person
    for column in feed.landed:
        if column.kind in (Kind.CERT_TYPE, Kind.CERTNO):
            continue
        if column.key:
            made[column.name], key = _key_value(column, key)
        elif column.required or draw.random() < 0.6:
            made[column.name] = _value(column, draw)
    for order in feed.orders:
        earlier, later = made.get(order.earlier), made.get(order.later)
        if earlier is not None and later is not None and later < earlier:
            made[order.later] = earlier + timedelta(days=draw.choice((0, 40)))
    return made


def _choices(column: Column) -> Sequence[Any] | None:
    """The values of a column that has only some; the first code of a list comes more often than another one."""
    if column.name in KNOWN:
        return KNOWN[column.name]
    if column.role is Role.ORGANISATION:
        return ORGANISATIONS
    if column.code_list is not None:
        return tuple(column.code_list.codes)
    if column.maximum_year:
        return (2024, 2025, 2026)
    return {
        Kind.USCC: EMPLOYERS,
        Kind.DIVISION: DIVISIONS,
        Kind.MONTH: MONTHS,
        **_NUMBERS,
    }.get(column.kind)


def _key_value(column: Column, key: int) -> tuple[Any, int]:
    """The value of a key column, and what is left of the key's number for the columns after it."""
    choices = _choices(column)
    if choices is None:
        return f"{column.name}-{key}", 0
    return choices[key % len(choices)], key // len(choices)


def _value(column: Column, draw: random.Random) -> Any:
    choices = _choices(column)
    if choices is not None:
        return choices[0] if column.code_list is not None and draw.random() < 0.4 else draw.choice(choices)
    if column.kind is Kind.DATE:
        return FIRST_DAY + timedelta(days=draw.randrange(DAYS))
    if column.kind is Kind.DATETIME:
        return datetime(2026, 5, draw.randrange(1, 29), 10)
    return f"{column.name}-{draw.randrange(5)}"

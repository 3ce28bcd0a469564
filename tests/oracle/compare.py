"""Comparing rows of figures."""

from decimal import Decimal
from typing import Any

from tests.oracle.base import Row

TOLERANCE = Decimal("0.005")


def is_number(value: Any) -> bool:
    """Whether a value is compared within the tolerance."""
    return isinstance(value, int | Decimal) and not isinstance(value, bool)


def is_same(expected: Any, found_by_key: Any) -> bool:
    """Whether two values agree; money and shares within 0.005."""
    if is_number(expected) and is_number(found_by_key):
        return abs(Decimal(expected) - Decimal(found_by_key)) <= TOLERANCE
    return bool(expected == found_by_key)


def differences(expected: list[Row], actual: list[Row], keys: tuple[str, ...]) -> list[str]:
    """What differs between two sets of rows, in words; money and shares are compared within 0.005."""

    def index(rows: list[Row]) -> dict[tuple[Any, ...], Row]:
        return {tuple(row[key] for key in keys): row for row in rows}

    expected_by_key, found_by_key = index(expected), index(actual)
    messages = [f"missing {key}" for key in sorted(expected_by_key.keys() - found_by_key.keys(), key=str)]
    messages += [f"surplus {key}" for key in sorted(found_by_key.keys() - expected_by_key.keys(), key=str)]
    for which, rows, by_key in (("", actual, found_by_key), ("expected ", expected, expected_by_key)):
        if len(by_key) != len(rows):
            messages.append(f"{len(rows) - len(by_key)} {which}rows stand under a key twice")
    columns = [column for column in (expected[0] if expected else {}) if not column.startswith("_")]
    absent = [column for column in columns if actual and column not in actual[0]]
    messages += [f"there is no column {column}" for column in absent]
    for key in expected_by_key.keys() & found_by_key.keys():
        for column in columns:
            value = expected_by_key[key][column]
            if column not in absent and not is_same(value, found_by_key[key][column]):
                messages.append(f"{key} {column}: expected {value}, found {found_by_key[key][column]}")
    return messages

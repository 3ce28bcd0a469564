"""Small cells: rows of 1 to 10 persons, and rows from which those could be inferred."""

from collections.abc import Iterable, Sequence
from typing import Any

from tests.oracle.base import Row


def is_small(count: int) -> bool:
    """Whether a count of persons is too small to be shown."""
    return 1 <= count <= 10


def suppress(
    rows: list[Row],
    *,
    persons: str,
    measures: Sequence[str],
    group: tuple[str, ...],
    category: str,
    total: str | None = None,
) -> list[Row]:
    """The rows with ``is_suppressed``, and without measures where it holds.

    Args:
        rows: All rows of a figure.
        persons: The column that counts persons.
        measures: What a suppressed row does not show.
        group: The columns that a group has in common.
        category: The column that tells its rows apart.
        total: The category of the row that takes the others together, if there is one.
    """
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in group), []).append(row)
    hidden = {id(row) for one in groups.values() for row in _hidden(one, persons, category, total)}
    return [
        row | (dict.fromkeys(measures) if id(row) in hidden else {}) | {"is_suppressed": id(row) in hidden}
        for row in rows
    ]


def _hidden(rows: list[Row], persons: str, category: str, total: str | None) -> Iterable[Row]:
    hidden = [row for row in rows if is_small(row[persons])]
    parts = [row for row in rows if row[category] != total]
    if sum(row in hidden for row in parts) != 1:
        return hidden
    others = [row for row in parts if row not in hidden and row[persons] > 0]
    if others:
        return [*hidden, min(others, key=lambda row: (row[persons], row[category].encode()))]
    return [*hidden, *(row for row in rows if row[category] == total)]

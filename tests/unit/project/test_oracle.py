"""Small cells and hidden provinces of the oracle, by hand: the samples hardly show every case."""

import pytest

from tests.oracle.indicators import shown_provinces
from tests.oracle.small_cells import suppress


def hidden(counts: dict[str, int], total: str | None = None) -> set[str]:
    """The categories of one group that are suppressed."""
    rows = [{"month": 1, "kind": kind, "persons": count, "amount": 5} for kind, count in counts.items()]
    shown = suppress(
        rows, persons="persons", measures=("persons", "amount"), group=("month",), category="kind", total=total
    )
    for row in shown:
        assert (row["persons"] is None, row["amount"] is None) == (row["is_suppressed"],) * 2
    return {row["kind"] for row in shown if row["is_suppressed"]}


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"a": 0, "b": 11}, set()),
        ({"a": 1, "b": 10, "c": 11}, {"a", "b"}),
        ({"a": 10, "b": 12, "c": 11}, {"a", "c"}),
        ({"a": 12, "b": 10, "c": 12, "B": 12}, {"b", "B"}),
        ({"a": 10, "b": 0}, {"a"}),
        ({"a": 5, "all": 40}, {"a", "all"}),
        ({"a": 5, "b": 0, "all": 40}, {"a", "all"}),
        ({"a": 5, "b": 35, "all": 40}, {"a", "b"}),
        ({"a": 5, "b": 6, "all": 11}, {"a", "b"}),
        ({"a": 0, "all": 7}, {"all"}),
        ({"a": 4, "b": 20, "all": 7}, {"a", "b", "all"}),
    ],
)
def test_rows_that_are_suppressed(counts: dict[str, int], expected: set[str]) -> None:
    assert hidden(counts, total="all") == expected


def test_groups_do_not_know_of_each_other() -> None:
    rows = [{"month": month, "kind": "a", "persons": count} for month, count in ((1, 3), (2, 30))]
    found = suppress(rows, persons="persons", measures=("persons",), group=("month",), category="kind")
    assert [row["is_suppressed"] for row in found] == [True, False]


@pytest.mark.parametrize(
    ("numerators", "expected"),
    [
        ({"11": 0, "35": 20}, {"11": 0, "35": 20, "100000": 20}),
        ({"11": 3, "35": 20, "44": 20}, {"44": 20, "100000": 43}),
        ({"11": 3, "35": 0, "44": 20}, {"35": 0, "100000": 23}),
        ({"11": 3, "35": 4, "44": 20}, {"44": 20, "100000": 27}),
        ({"11": 3, "35": 0}, {"35": 0}),
        ({"11": 5, "35": 6}, {"100000": 11}),
    ],
)
def test_provinces_of_an_indicator_of_persons(numerators: dict[str, int], expected: dict[str, int]) -> None:
    shown = shown_provinces("service_reach", {sender: (count, 50) for sender, count in numerators.items()})
    assert {sender: count for sender, (count, _) in shown.items()} == expected
    everything = shown_provinces("joining_rate", {sender: (count, 50) for sender, count in numerators.items()})
    assert set(everything) == {*numerators, "100000"}

"""The part of a feed's suite that follows from its contract.

The row checks of ingestion have removed every row that breaks these rules, so a failure here means that the two
readings of the contract disagree. It is recorded as a warning, and the fault is in the code, not in the delivery.
"""

from collections.abc import Iterator

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.building_blocks import WARNING, no_rows
from ingest.contracts import Column, Feed, Kind
from ingest.contracts.loader import type_bounds
from ingest.validation.constants import FIRST_DATE, FIRST_MONTH


def base_suite(feed: Feed) -> list[Expectation]:
    """Expectations on presence, domains, bounds and the key of a feed's landing batch."""
    suite: list[Expectation] = []
    if feed.requires_person:
        suite.append(_present("person_key", "人员标识"))
    for column in feed.landed:
        suite.extend(_column(column))
    names = [column.name for column in feed.keys]
    keys, before = ", ".join(names), ", ".join(f"lag({name}) OVER keys" for name in names)
    suite.append(
        no_rows(  # most extracts come in the order of their keys: sorting these takes half the time of grouping them
            f"SELECT FROM (SELECT ({keys}) = ({before}) AS same FROM batch WINDOW keys AS (ORDER BY {keys})) AS each"
            " WHERE same",
            name="key_is_unique",
            description=f"No two rows have the same {keys}.",
            zh=f"没有两行的 {keys} 相同。",
        )
    )
    return suite


def _present(column: str, label: str) -> Expectation:
    return gxe.ExpectColumnValuesToNotBeNull(
        column=column,
        severity=WARNING,
        description=f"{column} is present in every row.",
        meta={"zh": f"每行都有{label}。"},
    )


def _column(column: Column) -> Iterator[Expectation]:
    if column.required:
        yield _present(column.name, column.label)
    if column.code_list is not None and column.code_match == "exact":
        yield gxe.ExpectColumnValuesToBeInSet(
            column=column.name,
            value_set=sorted(column.code_list.codes),
            severity=WARNING,
            description=f"{column.name} is a code of the list {column.code_list.name}.",
            meta={"zh": f"{column.label}是代码表 {column.code_list.name} 中的代码。"},
        )
    if column.kind in {Kind.INTEGER, Kind.NUMBER, Kind.MONEY}:
        # Values that the column's type cannot hold need no expectation.
        lowest, highest = type_bounds(column.sql_type)
        least = None if column.minimum == lowest else column.minimum
        greatest = None if column.maximum == highest else column.maximum
        if least is not None or greatest is not None:
            bounds = [("at least", "不小于", least), ("at most", "不大于", greatest)]
            given = [(english, chinese, bound) for english, chinese, bound in bounds if bound is not None]
            yield gxe.ExpectColumnValuesToBeBetween(
                column=column.name,
                min_value=None if least is None else float(least),
                max_value=None if greatest is None else float(greatest),
                severity=WARNING,
                description=f"{column.name} is {' and '.join(f'{english} {bound}' for english, _, bound in given)}.",
                meta={"zh": f"{column.label}{'，'.join(f'{chinese} {bound}' for _, chinese, bound in given)}。"},
            )
    if column.kind in {Kind.DATE, Kind.MONTH}:
        # The interface's lower bound of every date and month. Dates are compared and counted: the earliest date of
        # birth would itself be a person's.
        earliest = FIRST_MONTH if column.kind is Kind.MONTH else FIRST_DATE
        yield gxe.ExpectColumnValuesToBeBetween(
            column=column.name,
            min_value=earliest,
            severity=WARNING,
            description=f"{column.name} is not before {earliest}.",
            meta={"zh": f"{column.label}不早于 {earliest}。"},
        )

"""The part of a feed's suite that follows from its contract.

The row checks of ingestion have removed every row that breaks these rules, so a failure here means that the two
readings of the contract disagree. It is recorded as a warning and somebody looks at the code, not at the sender.
"""

from collections.abc import Iterator
from datetime import date

import great_expectations.expectations as gxe
from great_expectations.expectations.expectation import Expectation

from expectations.own import WARNING, no_rows
from ingest.contracts import Column, Feed, Kind
from ingest.contracts.loader import type_bounds


def base_suite(feed: Feed) -> list[Expectation]:
    """Expectations on presence, domains, bounds and the key of a feed's landing batch."""
    suite: list[Expectation] = []
    if feed.has_person:
        suite.append(gxe.ExpectColumnValuesToNotBeNull(column="person_key", severity=WARNING))
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
        )
    )
    return suite


def _column(column: Column) -> Iterator[Expectation]:
    if column.required:
        yield gxe.ExpectColumnValuesToNotBeNull(column=column.name, severity=WARNING)
    if column.code_list is not None and column.code_match == "exact":
        yield gxe.ExpectColumnValuesToBeInSet(
            column=column.name, value_set=sorted(column.code_list.codes), severity=WARNING
        )
    if column.kind in {Kind.INTEGER, Kind.NUMBER, Kind.MONEY}:
        # What the column's type cannot hold need not be looked for.
        lowest, highest = type_bounds(column.sql_type)
        least = None if column.minimum == lowest else column.minimum
        greatest = None if column.maximum == highest else column.maximum
        if least is not None or greatest is not None:
            yield gxe.ExpectColumnValuesToBeBetween(
                column=column.name,
                min_value=None if least is None else float(least),
                max_value=None if greatest is None else float(greatest),
                severity=WARNING,
            )
    if column.kind is Kind.DATE:
        # The interface's lower bound of every date. Dates are compared and counted: the earliest date of birth would
        # itself be a person's.
        yield gxe.ExpectColumnValuesToBeBetween(column=column.name, min_value=date(1900, 1, 1), severity=WARNING)

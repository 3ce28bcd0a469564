"""Direct identifiers where they do not belong: in keys and texts of senders, and in the names of one-person businesses.

A sender may number its members by their identity numbers, or write a telephone number behind a name. Such a value is
found by its form, or because it holds what the same row says of its person, and is replaced by a keyed hash: equal
values by the same hash, so that deliveries and feeds still join.
"""

from collections.abc import Iterator, Mapping
from datetime import date

import numpy as np
import polars as pl

from ingest.contracts.model import ONE_PERSON, Column, Feed, Kind, Role
from ingest.kernels import Buffer, Offsets, identifiers
from ingest.kernels.byte_column import ByteColumn, Mask, true
from ingest.validation import identity_numbers
from ingest.validation.constants import (
    FIRST_DATE,
    MOBILE_DIGITS,
    ONE_PERSON_USCC,
    RESIDENT_CHECKS,
    RESIDENT_WEIGHTS,
    days_since_epoch,
)

#: The roles of columns that tell whether an employer is a one-person business.
ONE_PERSON_ROLES = frozenset({Role.EMPLOYER, Role.EMPLOYER_NATURE})
#: What stands behind the first character of a name that is masked.
MASK = "**"
#: Bytes of the shortest name and of the shortest number of a person that are looked for in texts of the same row.
_SHORTEST_NAME, _SHORTEST_NUMBER = 6, 6

_WEIGHTS = np.array(RESIDENT_WEIGHTS, dtype=np.int64)
_CHECKS = np.array(["0123456789X".index(character) for character in RESIDENT_CHECKS], dtype=np.int64)
_PHONE = np.array(MOBILE_DIGITS, dtype=np.int64).T.copy()
_NO_PHONE = np.empty((2, 0), dtype=np.int64)
#: Age in days from which a number counts that stands within more digits.
_YOUNGEST_DAYS = 14 * 365
_FIRST_DAY = days_since_epoch(FIRST_DATE)

Span = tuple[Buffer, Offsets, Offsets]


def span(texts: pl.Series) -> Span:
    """A text column as the compiled loops take it; null is empty."""
    content = ByteColumn(texts.fill_null("") if texts.null_count() else texts)
    bounds = (content.offsets - content.start).astype(np.int32)
    return content.data, bounds[:-1], bounds[1:]


def find_numbers(column: Column, texts: Span, created: date, found: Mask) -> None:
    """Mark the rows of a column whose text holds an identity number, or, in texts and names, a telephone number.

    A column with a pattern is searched for numbers with a check character only: whatever else matches its pattern is
    what the pattern says.
    """
    if not column.takes_any_text:
        return
    free = not column.has_form
    least, greatest = _PHONE if free and column.kind in (Kind.TEXT, Kind.NAME) else _NO_PHONE
    latest = days_since_epoch(created)
    identifiers.find_numbers(
        *(*texts, _WEIGHTS, _CHECKS, identity_numbers.PREFIXES, _FIRST_DAY, latest, latest - _YOUNGEST_DAYS),
        *(not free, least, greatest, found),
    )


def own_columns(feed: Feed) -> Iterator[tuple[Column, Column, int]]:
    """The columns that are searched for what the same row says of its person, each with the column that says it.

    These are keys and texts. Names of bodies are not: a name of two characters stands in many of them by chance.
    """
    for column in feed.columns:
        if column.takes_any_text and not column.has_form and (column.key or column.kind is Kind.TEXT):
            for other in feed.columns:
                if other.kind in (Kind.CERTNO, Kind.MOBILE):
                    yield column, other, _SHORTEST_NUMBER
                elif other.role is Role.PERSON_NAME:
                    yield column, other, _SHORTEST_NAME


def find_own(texts: Span, others: Span, shortest: int, found: Mask) -> None:
    """Mark the rows whose text holds the text that another column has in the same row."""
    identifiers.find_texts(*texts, *others, shortest, found)


# --- one-person businesses ---


def business_names(feed: Feed) -> list[Column]:
    """The columns that hold the name of an employer, or of its union, which has the employer's in it."""
    roles = (Role.EMPLOYER_NAME, Role.ORGANISATION_NAME)
    return [column for column in feed.columns if column.role in roles and not column.personal]


def one_person_columns(feed: Feed) -> list[Column]:
    """The columns that tell whether the employer is a one-person business; none where the feed has no name of it."""
    if not business_names(feed):
        return []
    return [column for column in feed.columns if column.role in ONE_PERSON_ROLES]


def is_one_person(column: Column, values: pl.Series) -> Mask:
    """Whether cleaned values of one of these columns say that the employer is a one-person business."""
    if column.code_list is None:
        return true(values.str.starts_with(ONE_PERSON_USCC))
    marked = column.code_list.extra.get(ONE_PERSON, {})
    return true(values.is_in([code for code, value in marked.items() if value == "true"]))


def one_person(feed: Feed, values: Mapping[str, pl.Series], height: int) -> Mask:
    """The rows of one-person businesses. ``values``: cleaned, by column."""
    found = np.zeros(height, dtype=np.bool_)
    for column in one_person_columns(feed):
        found |= is_one_person(column, values[column.name])
    return found


def masked(names: pl.Series) -> pl.Series:
    """The first character of each name, and a mask for the rest."""
    return names.str.head(1) + MASK

"""From the text of a column as delivered to its cleaned values: strip, normalise, read (docs/senders.md).

Every function works on whole columns. Two ideas make it fast: in columns whose values repeat each distinct value is
cleaned once (``clean``), and in the others the bytes of the column are compared as one array to find the few rows that
need cleaning (``text``, ``times``, ``amounts``); only those go through regular expressions. A property test compares
the results with those of cleaning every row.
"""

from collections.abc import Callable, Mapping

import numpy as np
import polars as pl

from ingest.contracts.model import Column, Kind
from ingest.errors import RowCode
from ingest.kernels.byte_column import ByteColumn, among, hundredths, true
from ingest.stripping import ERROR_WORDS, NULL_WORDS, stripped
from ingest.validation.cleaning.amounts import check_bounds, clean_integer, clean_money, clean_number, precision
from ingest.validation.cleaning.codes import clean_code, clean_flag
from ingest.validation.cleaning.column import Cleaned, Context, any_of, patch
from ingest.validation.cleaning.text import (
    check_length,
    check_pattern,
    clean_certno,
    clean_identifier,
    clean_name,
    clean_text,
    clean_uscc,
)
from ingest.validation.cleaning.times import clean_date, clean_datetime, clean_month

__all__ = ["NULL_WORDS", "Cleaned", "Context", "any_of", "clean", "missing", "patch", "typed"]

#: A column counts as repeating when a sample of it holds at most this share of distinct values.
_REPEATS = 0.3
_SAMPLE = 512
#: Kinds whose values come from a short list: each distinct text is cleaned once, whatever file it comes from.
_LISTED = frozenset({Kind.CODE, Kind.CERT_TYPE, Kind.FLAG})
#: Distinct texts, and their characters, that are remembered of a column.
_TEXTS = 10_000
_CHARACTERS = 1024 * 1024
_CLEANERS: Mapping[Kind, Callable[[pl.Series, Column, Context], Cleaned]] = {
    Kind.TEXT: clean_text,
    Kind.NAME: clean_name,
    Kind.IDENTIFIER: clean_identifier,
    Kind.CODE: clean_code,
    Kind.DIVISION: clean_identifier,
    Kind.USCC: clean_uscc,
    Kind.CERT_TYPE: clean_code,
    Kind.CERTNO: clean_certno,
    Kind.MOBILE: clean_identifier,
    Kind.DATE: clean_date,
    Kind.MONTH: clean_month,
    Kind.DATETIME: clean_datetime,
    Kind.INTEGER: clean_integer,
    Kind.NUMBER: clean_number,
    Kind.MONEY: clean_money,
    Kind.FLAG: clean_flag,
}
_NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.MONEY})
_TEXTUAL = frozenset({Kind.TEXT, Kind.NAME, Kind.IDENTIFIER, Kind.CODE, Kind.CERT_TYPE, Kind.DIVISION, Kind.MOBILE})


def clean(series: pl.Series, column: Column, context: Context) -> Cleaned:
    """Clean one column and apply the rules about single values, without E_REQUIRED.

    Args:
        series: text as delivered; null counts as empty.
        column: its contract; identity numbers (CERTNO) are only stripped and normalised here, see
            ``ingest.validation.rules``.
        context: of the file.
    """
    text = series.cast(pl.String).fill_null("") if series.null_count() else series
    if column.kind in _LISTED:
        return _vocabulary(column).clean(text.to_list(), context)
    if len(text) < _SAMPLE or not _repeats(text):
        return _clean(text, column, context)
    encoded = ByteColumn(text).array.dictionary_encode()
    # not to_numpy(): Arrow imports pandas for it
    indices = np.frombuffer(encoded.indices.buffers()[1], dtype=np.int32, count=len(text)).astype(np.int64)
    return _clean(pl.Series(encoded.dictionary), column, context).spread(indices)


def typed(cleaned: Cleaned, column: Column) -> pl.Series:
    """A cleaned column as it lands: dates, times, decimals, whole numbers, truth values, texts.

    Amounts that count as 0 when they are missing are 0 from here on.
    """
    value = cleaned.value
    if column.default_zero and value.null_count():
        value = value.fill_null(0)
    match column.kind:
        case Kind.DATE | Kind.MONTH:
            return value.cast(pl.Int32).cast(pl.Date)
        case Kind.DATETIME:
            return (value * 1_000_000).cast(pl.Datetime("us"))
        case Kind.MONEY:
            return hundredths(value, sum(precision(column, (38, 2))))
        case Kind.FLAG:
            return value == "true"
        case Kind.INTEGER | Kind.NUMBER:
            return value
    return cleaned.text


def missing(column: Column, height: int, context: Context) -> Cleaned:
    """The cleaned form of a column that the file does not have."""
    nothing = _vocabulary(column).clean([""], context)
    text = nothing.text.new_from_index(0, height)
    return Cleaned(text, text if nothing.value is nothing.text else nothing.value.new_from_index(0, height))


class _Vocabulary:
    """The texts that a column has held so far, and what cleaning makes of each.

    ``numbers`` has the position of each text in the cleaned column.
    """

    def __init__(self, column: Column) -> None:
        self.column = column  # referenced so that its ``id``, the key of the vocabulary, is not reused
        self._clear()

    def _clear(self) -> None:
        self.numbers: dict[str, int] = {}
        self._cleaned: Cleaned | None = None
        self._characters = 0

    def clean(self, texts: list[str], context: Context) -> Cleaned:
        """The texts cleaned; only those that have not come before cost anything."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.numbers]
        if len(self.numbers) + len(fresh) > _TEXTS or self._characters + sum(map(len, fresh)) > _CHARACTERS:
            self._clear()
            fresh = list(dict.fromkeys(texts))
        if fresh or self._cleaned is None:
            cleaned = _clean(pl.Series(fresh, dtype=pl.String), self.column, context)
            self._cleaned = cleaned if self._cleaned is None else self._cleaned.append(cleaned)
            self.numbers |= {text: number for number, text in enumerate(fresh, start=len(self.numbers))}
            self._characters += sum(map(len, fresh))
        return self._cleaned.spread(np.fromiter(map(self.numbers.__getitem__, texts), dtype=np.int64, count=len(texts)))


_VOCABULARIES: dict[int, _Vocabulary] = {}


def _vocabulary(column: Column) -> _Vocabulary:
    """What is known of a column of this process's contracts."""
    known = _VOCABULARIES.get(id(column))
    if known is None:
        known = _VOCABULARIES[id(column)] = _Vocabulary(column)
    return known


def _repeats(text: pl.Series) -> bool:
    """Whether values repeat, estimated from two samples of the column."""
    stretch = _SAMPLE // 2
    seen = text.slice(0, stretch).n_unique() + text.slice(len(text) // 2, stretch).n_unique()
    return seen <= _REPEATS * _SAMPLE


def _clean(text: pl.Series, column: Column, context: Context) -> Cleaned:
    errors = _errors(text)
    if len(errors):
        text = text.clone().scatter(errors, "")
    cleaned = _CLEANERS[column.kind](text, column, context)
    if column.kind in _NUMERIC:
        check_bounds(cleaned, column, context)
    elif column.kind in _TEXTUAL:
        check_length(cleaned, column)
        check_pattern(cleaned, column)
    if len(errors):
        cleaned.flag(RowCode.TYPE, among(errors, len(text)))
    return cleaned


def _errors(text: pl.Series) -> np.ndarray:
    """The rows that hold the error of a spreadsheet cell, such as #REF!."""
    content = ByteColumn(text)
    rows = content.rows(np.flatnonzero(content.data == np.uint8(ord("#"))))
    return rows[true(stripped(text.gather(rows)).is_in(ERROR_WORDS))] if len(rows) else rows

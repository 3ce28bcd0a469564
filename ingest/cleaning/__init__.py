"""From the text of a column as delivered to its cleaned values: strip, normalise, read (docs/senders.md).

Every function works on whole columns. Two ideas keep it quick: columns whose values repeat are cleaned once a distinct
value (``clean``), and in the others the bytes of the column are compared as one array to find the few rows that need
more than a look (``text``, ``times``, ``amounts``); only those go through regular expressions. The quick
and the slow way give the same result; a property test holds them to it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ingest.cleaning.amounts import check_bounds, clean_integer, clean_money, clean_number, precision
from ingest.cleaning.codes import clean_code, clean_flag
from ingest.cleaning.column import Cleaned, Context, any_of
from ingest.cleaning.text import (
    NULL_WORDS,
    check_length,
    check_pattern,
    clean_certno,
    clean_identifier,
    clean_name,
    clean_text,
    clean_uscc,
)
from ingest.cleaning.times import clean_date, clean_datetime
from ingest.columns import Bytes, hundredths
from ingest.contracts.model import Column, Kind

__all__ = ["NULL_WORDS", "Cleaned", "Context", "any_of", "clean", "missing", "typed"]

#: A column counts as repeating when a sample of it holds at most this share of distinct values.
_REPEATS = 0.3
_SAMPLE = 512
#: Lists of up to so many distinct values are remembered, so many a column, for so many columns.
_FEW = 128
_REMEMBERED = 16
_COLUMNS = 256
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
        column: its contract; identity numbers (CERTNO) are only stripped and normalised here, see ``ingest.checks``.
        context: of the file.
    """
    text = series.cast(pl.String).fill_null("") if series.null_count() else series
    if len(text) < _SAMPLE or not _repeats(text):
        return _clean(text, column, context)
    memory = _memory(column, context)
    if memory.plain is not None and text.is_in(memory.plain).all():
        return Cleaned(text, text)
    encoded = Bytes(text).array.dictionary_encode()
    distinct = pl.Series(encoded.dictionary)
    # not to_numpy(): Arrow imports pandas for it
    indices = np.frombuffer(encoded.indices.buffers()[1], dtype=np.int32, count=len(text)).astype(np.int64)
    if len(distinct) > _FEW:
        return _clean(distinct, column, context).spread(indices)
    # few values are the same few in the next batch, though in another order
    values = distinct.to_list()
    order = sorted(range(len(values)), key=values.__getitem__)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return memory.clean(tuple(values[index] for index in order), column, context).spread(place[indices], text)


def typed(cleaned: Cleaned, column: Column) -> pl.Series:
    """A cleaned column as it lands: dates, times, decimals, whole numbers, truth values, texts.

    Amounts that count as 0 when they are missing are 0 from here on.
    """
    value = cleaned.value
    if column.default_zero and value.null_count():
        value = value.fill_null(0)
    match column.kind:
        case Kind.DATE:
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
    nothing = _memory(column, context).clean(("",), column, context)
    text = nothing.text.new_from_index(0, height)
    return Cleaned(text, text if nothing.value is nothing.text else nothing.value.new_from_index(0, height))


@dataclass
class _Memory:
    """What earlier batches have shown about one column.

    ``results`` holds whole lists of distinct values, ``plain`` (imploded, for ``is_in``) values that are clean as they
    are delivered. The column is kept so that its identity stays its own.
    """

    column: Column
    results: dict[tuple[str, ...], Cleaned] = field(default_factory=dict)
    plain: pl.Series | None = None

    def clean(self, values: tuple[str, ...], column: Column, context: Context) -> Cleaned:
        """``_clean`` of sorted distinct values, from memory where the same list came before. Not to be changed."""
        kept = self.results.get(values)
        if kept is None:
            distinct = pl.Series(values)
            kept = _clean(distinct, column, context)
            kept.untouched = kept.text.equals(distinct)
            if len(self.results) >= _REMEMBERED:
                self.results.clear()
                self.plain = None
            self.results[values] = kept
            if kept.untouched and kept.value is kept.text and not kept.flags:
                self.plain = pl.concat([self.plain.explode(), distinct] if self.plain is not None else [distinct])
                self.plain = self.plain.unique().implode()
        return kept


_MEMORIES: dict[tuple[int, Context], _Memory] = {}


def _memory(column: Column, context: Context) -> _Memory:
    memory = _MEMORIES.get((id(column), context))
    if memory is None:
        if len(_MEMORIES) >= _COLUMNS:
            _MEMORIES.clear()
        memory = _MEMORIES[id(column), context] = _Memory(column)
    return memory


def _repeats(text: pl.Series) -> bool:
    """Whether values come back often, judged by two stretches."""
    stretch = _SAMPLE // 2
    seen = text.slice(0, stretch).n_unique() + text.slice(len(text) // 2, stretch).n_unique()
    return seen <= _REPEATS * _SAMPLE


def _clean(text: pl.Series, column: Column, context: Context) -> Cleaned:
    cleaned = _CLEANERS[column.kind](text, column, context)
    if column.kind in _NUMERIC:
        check_bounds(cleaned, column, context)
    elif column.kind in _TEXTUAL:
        check_length(cleaned, column)
        check_pattern(cleaned, column)
    return cleaned

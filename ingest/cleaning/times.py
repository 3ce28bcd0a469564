"""Dates and date-times in every form that senders write."""

from datetime import date

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest import numbers
from ingest.cleaning.column import Cleaned, Context, patch
from ingest.cleaning.text import compatible
from ingest.columns import Bytes, Mask, among, from_matrix, nulls
from ingest.contracts.model import Column
from ingest.errors import RowCode

#: Year, month, day of dates that senders write for "none".
PLACEHOLDERS = ((1900, 1, 1), (1970, 1, 1), (2099, 12, 31), (9999, 12, 31), (0, 0, 0))

_TIME = r"(?:([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?)"
_CLOCK = rf"(?:[T\s]\s*{_TIME})?$"
#: Every form of a date, each perhaps with a time: groups year, month, day, hour, minute, second.
_DATE_FORMS = (
    rf"^([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}}){_CLOCK}",
    rf"^([0-9]{{4}})/([0-9]{{1,2}})/([0-9]{{1,2}}){_CLOCK}",
    rf"^([0-9]{{4}})\.([0-9]{{1,2}})\.([0-9]{{1,2}}){_CLOCK}",
    rf"^([0-9]{{4}})年([0-9]{{1,2}})月([0-9]{{1,2}})日(?:[T\s]*{_TIME})?$",
    rf"^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}}){_CLOCK}",
    r"^([0-9]{4})([0-9]{2})([0-9]{2})[T\s]?([0-9]{2})([0-9]{2})([0-9]{2})?(?:\.[0-9]+)?$",
)
#: Days are counted from here.
EPOCH = date(1970, 1, 1)
#: The first day that anything may be dated, in days since the epoch.
FIRST_DAY = (date(1900, 1, 1) - EPOCH).days


def clean_date(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Dates: ISO text, days since 1970."""
    return _clean_time(text, column, context, timed=False)


def clean_datetime(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Date-times: ISO text, seconds since 1970."""
    return _clean_time(text, column, context, timed=True)


def _clean_time(text: pl.Series, column: Column, context: Context, *, timed: bool) -> Cleaned:
    """Dates, and date-times when ``timed``: ISO text; days or seconds since 1970."""
    height = len(text)
    plain, figures, rewritten = _read_plain_times(Bytes(text), 19 if timed else 10)
    others = np.empty(0, dtype=np.int64)
    nothing = broken = np.zeros(height, dtype=np.bool_)
    if len(plain) == height:
        fields = figures
    else:
        others = np.flatnonzero(~among(plain, height))
        rest = compatible(text.gather(others))
        slow, understood = _read_times(rest)
        fields = np.zeros((len(figures), height), dtype=np.int32)
        fields[:, plain] = figures
        fields[:, others] = slow[: len(fields)]
        nothing = among(others[nulls(rest)], height)
        broken = among(others[~understood], height) & ~nothing
    year, month, day = fields[:3]
    stand_in = np.isin(_ymd(year, month, day), _PLACEHOLDERS) & ~nothing & ~broken
    real = numbers.real_dates(year, month, day)
    if timed:
        real &= (fields[3] < 24) & (fields[4] < 60) & (fields[5] < 60)
    given = real & ~(nothing | broken | stand_in)
    broken = ~(given | nothing | stand_in)
    # what is no date is computed too, it only has to stay inside the calendar
    value = numbers.epoch_days(year, np.clip(month, 1, 12), day)
    outside = value < FIRST_DAY
    if not column.may_lie_ahead:
        outside |= value > (context.created_date - EPOCH).days
    outside &= given
    given &= ~outside
    if timed:
        value = value * 86_400 + fields[3] * 3_600 + fields[4] * 60 + fields[5]

    values = pl.Series(value)
    iso = text if rewritten is None else patch(text, plain, rewritten)
    if len(others):
        iso = patch(iso, others, _iso(values.gather(others), timed=timed))
    result = Cleaned(iso, values)
    result.drop(~given)
    result.flag(RowCode.PLACEHOLDER_DATE, stand_in)
    result.flag(RowCode.TYPE, broken)
    result.flag(RowCode.RANGE, outside)
    return result


def _ymd(
    year: NDArray[np.int32] | int, month: NDArray[np.int32] | int, day: NDArray[np.int32] | int
) -> NDArray[np.int32]:
    return np.asarray(year * 10_000 + month * 100 + day, dtype=np.int32)


_PLACEHOLDERS = np.array([_ymd(*parts) for parts in PLACEHOLDERS], dtype=np.int32)


def _read_plain_times(content: Bytes, width: int) -> tuple[NDArray[np.int64], NDArray[np.int32], pl.Series | None]:
    """Rows that read ``yyyy-MM-dd`` or, at 19 characters, ``yyyy-MM-dd HH:mm:ss``, with ``/`` or ``T`` as well.

    Returns the rows, their three or six fields as a (fields, rows) array, and their text in the standard form where
    it differs.
    """
    timed = width == 19
    rows = np.flatnonzero(content.lengths == width)
    # one row a character place, so that every operation below runs over contiguous memory
    places = np.array(content.matrix(rows, width).T, order="C")
    spans = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)][: 6 if timed else 3]
    figures = places - np.uint8(48)
    fit = figures[[place for start, end in spans for place in range(start, end)]].max(axis=0, initial=0) < 10
    fit &= (places[4] == places[7]) & ((places[4] == ord("-")) | (places[4] == ord("/")))
    if timed:
        fit &= (places[10] == ord(" ")) | (places[10] == ord("T"))
        fit &= (places[13] == ord(":")) & (places[16] == ord(":"))
    if not fit.all():
        rows, places, figures = rows[fit], places[:, fit], figures[:, fit]
    fields = np.stack([numbers.integers(figures[start:end]) for start, end in spans])
    if (places[4] == ord("-")).all() and not (timed and (places[10] == ord("T")).any()):
        return rows, fields, None
    places[[4, 7]] = ord("-")
    if timed:
        places[10] = ord(" ")
    return rows, fields, from_matrix(places.T)


def _read_times(text: pl.Series) -> tuple[NDArray[np.int32], Mask]:
    """Read every form by regular expressions: a (6, n) array of fields, and which texts have one of the forms."""
    names = [str(number) for number in range(1, 7)]
    found = pl.DataFrame({name: pl.Series(dtype=pl.String).extend_constant(None, len(text)) for name in names})
    for form in _DATE_FORMS:
        if found["1"].null_count() == text.null_count():
            break
        read = text.str.extract_groups(form).struct.unnest()
        read.columns = names
        found = found.select(pl.coalesce(pl.col(name), read[name]) for name in names)
    fields = found.select(pl.all().cast(pl.Int32).fill_null(0)).to_numpy().T
    in_time = (fields[3] < 24) & (fields[4] < 60) & (fields[5] < 60)
    return fields, ~nulls(found["1"]) & in_time


def _iso(values: pl.Series, *, timed: bool) -> pl.Series:
    """Days or seconds since 1970 as text in the standard form."""
    if timed:
        return pl.from_epoch(values, time_unit="s").dt.to_string("%Y-%m-%d %H:%M:%S")
    return values.cast(pl.Int32).cast(pl.Date).dt.to_string("%Y-%m-%d")

"""Dates, months and date-times in every form that senders write."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.contracts.model import Column
from ingest.errors import RowCode
from ingest.kernels.byte_column import ByteColumn, Mask, among, from_matrix, integers, nulls
from ingest.validation import identity_numbers
from ingest.validation.cleaning.column import Cleaned, Context, patch
from ingest.validation.cleaning.text import compatible
from ingest.validation.constants import FIRST_DATE, FIRST_MONTH, PLACEHOLDER_DATES, days_since_epoch

_TIME = r"(?:([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?)"
_CLOCK = rf"(?:[T\s]\s*{_TIME})?$"
#: Every form of a date, with or without a time: groups year, month, day, hour, minute, second.
_DATE_FORMS = (
    rf"^([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}}){_CLOCK}",
    rf"^([0-9]{{4}})/([0-9]{{1,2}})/([0-9]{{1,2}}){_CLOCK}",
    rf"^([0-9]{{4}})\.([0-9]{{1,2}})\.([0-9]{{1,2}}){_CLOCK}",
    rf"^([0-9]{{4}})年([0-9]{{1,2}})月([0-9]{{1,2}})日(?:[T\s]*{_TIME})?$",
    rf"^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}}){_CLOCK}",
    r"^([0-9]{4})([0-9]{2})([0-9]{2})[T\s]?([0-9]{2})([0-9]{2})([0-9]{2})?(?:\.[0-9]+)?$",
)
#: Forms of a month besides those of a date: groups year, month. One digit is accepted only before 月: 2024-1 may be
#: 2024-10 cut off.
_MONTH_FORMS = (
    r"^([0-9]{4})([0-9]{2})(?:\.0)?$",
    r"^([0-9]{4})-([0-9]{2})$",
    r"^([0-9]{4})/([0-9]{2})$",
    r"^([0-9]{4})年([0-9]{1,2})月$",
)
#: The placeholder dates, 0000-00-00 among them, as the numbers yyyymmdd.
_PLACEHOLDERS = np.array([0, *(int(f"{day:%Y%m%d}") for day in PLACEHOLDER_DATES)], dtype=np.int32)


def clean_date(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Dates: ISO text, days since 1970."""
    return _clean_time(text, column, context, timed=False)


def clean_datetime(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Date-times: ISO text, seconds since 1970."""
    return _clean_time(text, column, context, timed=True)


def clean_month(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Months, also by any of their dates: the first day as ISO text, days since 1970."""
    given = compatible(text)
    nothing = nulls(given)
    (year, month, day, *_), dated = _read_times(given)
    placeholder = dated & _is_placeholder(year, month, day)
    dated &= identity_numbers.real_dates(year, month, day) & ~placeholder
    found = [given.str.extract_groups(form).struct.unnest() for form in _MONTH_FORMS]
    alone = [
        pl.select(pl.coalesce(groups[name] for groups in found).cast(pl.Int32).fill_null(0)).to_series().to_numpy()
        for name in ("1", "2")
    ]
    is_month = (alone[0] > 0) & (alone[1] > 0) & (alone[1] <= 12)
    year, month = (np.where(is_month, *pair) for pair in zip(alone, (year, month), strict=True))
    real = is_month | dated

    value = identity_numbers.epoch_days(year, np.clip(month, 1, 12), np.ones_like(year))
    outside = value < days_since_epoch(FIRST_MONTH)
    if not column.may_lie_ahead:
        outside |= value > days_since_epoch(context.created_date.replace(day=1))
    values = pl.Series(value)
    result = Cleaned(_iso(values, timed=False), values)
    result.drop(~real | outside)
    result.flag(RowCode.PLACEHOLDER_DATE, placeholder)
    result.flag(RowCode.TYPE, ~(real | nothing | placeholder))
    result.flag(RowCode.RANGE, real & outside)
    return result


def _clean_time(text: pl.Series, column: Column, context: Context, *, timed: bool) -> Cleaned:
    """Dates, and date-times when ``timed``: ISO text; days or seconds since 1970."""
    height = len(text)
    usual, figures, rewritten = _read_usual_times(ByteColumn(text), 19 if timed else 10)
    others = np.empty(0, dtype=np.int64)
    nothing = broken = np.zeros(height, dtype=np.bool_)
    if len(usual) == height:
        fields = figures
    else:
        others = np.flatnonzero(~among(usual, height))
        rest = compatible(text.gather(others))
        parsed, matched = _read_times(rest)
        fields = np.zeros((len(figures), height), dtype=np.int32)
        fields[:, usual] = figures
        fields[:, others] = parsed[: len(fields)]
        nothing = among(others[nulls(rest)], height)
        broken = among(others[~matched], height) & ~nothing
    year, month, day = fields[:3]
    placeholder = _is_placeholder(year, month, day) & ~nothing & ~broken
    real = identity_numbers.real_dates(year, month, day)
    if timed:
        real &= (fields[3] < 24) & (fields[4] < 60) & (fields[5] < 60)
    given = real & ~(nothing | broken | placeholder)
    broken = ~(given | nothing | placeholder)
    # Computed for every row; of rows without a date the result is not used, but the month must be one.
    value = identity_numbers.epoch_days(year, np.clip(month, 1, 12), day)
    outside = value < days_since_epoch(FIRST_DATE)
    if not column.may_lie_ahead:
        outside |= value > days_since_epoch(context.created_date)
    outside &= given
    given &= ~outside
    if timed:
        value = value * 86_400 + fields[3] * 3_600 + fields[4] * 60 + fields[5]

    values = pl.Series(value)
    iso = text if rewritten is None else patch(text, usual, rewritten)
    if len(others):
        iso = patch(iso, others, _iso(values.gather(others), timed=timed))
    result = Cleaned(iso, values)
    result.drop(~given)
    result.flag(RowCode.PLACEHOLDER_DATE, placeholder)
    result.flag(RowCode.TYPE, broken)
    result.flag(RowCode.RANGE, outside)
    return result


def _is_placeholder(year: NDArray[np.int32], month: NDArray[np.int32], day: NDArray[np.int32]) -> Mask:
    return np.isin(year * 10_000 + month * 100 + day, _PLACEHOLDERS)


def _read_usual_times(content: ByteColumn, width: int) -> tuple[NDArray[np.int64], NDArray[np.int32], pl.Series | None]:
    """Read ``yyyy-MM-dd`` (``width`` 10) or ``yyyy-MM-dd HH:mm:ss`` (19), also with ``/`` or ``T``, byte by byte.

    Returns:
        The rows in this form; their three or six fields as a (fields, rows) array; their text in the standard form, or
        None when it is the standard form already.
    """
    timed = width == 19
    rows = np.flatnonzero(content.lengths == width)
    # one row per position: every operation below runs over contiguous memory
    characters = np.array(content.matrix(rows, width).T, order="C")
    spans = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)][: 6 if timed else 3]
    figures = characters - np.uint8(48)
    fit = figures[[position for start, end in spans for position in range(start, end)]].max(axis=0, initial=0) < 10
    fit &= (characters[4] == characters[7]) & ((characters[4] == ord("-")) | (characters[4] == ord("/")))
    if timed:
        fit &= (characters[10] == ord(" ")) | (characters[10] == ord("T"))
        fit &= (characters[13] == ord(":")) & (characters[16] == ord(":"))
    if not fit.all():
        rows, characters, figures = rows[fit], characters[:, fit], figures[:, fit]
    fields = np.stack([integers(figures[start:end]) for start, end in spans])
    if (characters[4] == ord("-")).all() and not (timed and (characters[10] == ord("T")).any()):
        return rows, fields, None
    characters[[4, 7]] = ord("-")
    if timed:
        characters[10] = ord(" ")
    return rows, fields, from_matrix(characters.T)


def _read_times(text: pl.Series) -> tuple[NDArray[np.int32], Mask]:
    """Read every form by regular expressions: a (6, n) array of fields, and which texts match one of the forms."""
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

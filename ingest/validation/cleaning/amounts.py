"""Amounts of money, whole numbers, decimal numbers."""

import re
from decimal import Decimal

import numpy as np
import polars as pl

from ingest.contracts.model import INTEGER_BITS, Column, Kind
from ingest.errors import RowCode
from ingest.kernels.byte_column import ByteColumn, Mask, among, nulls, true
from ingest.validation.cleaning.column import Cleaned, Context, patch
from ingest.validation.cleaning.text import compatible
from ingest.validation.constants import MONEY_PRECISION

_NUMBER = r"^[+-]?(?:(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]*)?|\.[0-9]+)$"


def clean_money(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Amounts in cents. In a file in 10,000 yuan the sixth decimal is the cent, so nothing is ever multiplied."""
    decimals = context.money_decimals
    exact = pl.Decimal(38, decimals)
    content = ByteColumn(text)
    amounts = text.cast(exact, strict=False)
    cents = amounts.to_physical().cast(pl.Int64, strict=False)
    unusual = nulls(cents) | _too_many_decimals(content, decimals)
    # every byte but "-", ".", digits, and "/", which the cast refuses; the cast alone would accept "1e3"
    positions = np.flatnonzero((content.data - np.uint8(0x2D)) > 0x0C)
    if len(positions):
        unusual[content.rows(positions)] = True
    rows = np.flatnonzero(unusual)
    result = Cleaned(text, cents)
    if len(rows):
        read, mistaken = _read_numbers(text.gather(rows), decimals)
        parsed = read.cast(exact, strict=False).to_physical().cast(pl.Int64, strict=False)
        result.value = patch(cents, rows, parsed)
        result.text = patch(text, rows, _cents_text(parsed))
        result.flag(RowCode.TYPE, among(rows[mistaken], len(text)))
        result.flag(RowCode.RANGE, among(rows[nulls(parsed) & ~nulls(read)], len(text)))
    if decimals != 2:
        result.text = _cents_text(result.value)
    limit = 10 ** (precision(column, MONEY_PRECISION)[0] + 2)
    _within(result, 1 - limit, limit - 1)
    return result


def _too_many_decimals(content: ByteColumn, decimals: int) -> Mask:
    """Rows with more digits behind the dot. Rows with several dots may be either: the cast refuses them anyway."""
    dots = np.flatnonzero(content.data == 0x2E)
    ends = content.offsets[1:] - content.start
    if len(dots) == len(ends) and bool((dots < ends).all()) and bool((dots[1:] >= ends[:-1]).all()):
        many: Mask = ends - dots - 1 > decimals
        return many
    rows = np.searchsorted(content.offsets, dots + content.start, side="right") - 1
    return among(rows[ends[rows] - dots - 1 > decimals], len(ends))


def _read_numbers(text: pl.Series, decimals: int | None = None) -> tuple[pl.Series, Mask]:
    """Numbers as decimal text without commas, plus sign and trailing zeros; and the rows that are not numbers.

    A text with more than ``decimals`` decimal places is not accepted as a number.
    """
    given = compatible(text)
    right = given.str.contains(_NUMBER)
    digits = given.str.replace_all(",", "", literal=True).str.strip_prefix("+")
    digits = digits.str.replace(r"(\.[0-9]*?)0+$", "$1").str.strip_suffix(".")
    digits = digits.str.replace("^-?$", "0")  # of ".0" nothing is left
    if decimals is not None:
        right &= ~digits.str.contains(rf"\.[0-9]{{{decimals + 1}}}")
    return digits.set(~right, None), true(~right)


def _cents_text(cents: pl.Series) -> pl.Series:
    size = pl.col("cents").abs()
    sign = pl.when(pl.col("cents") < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return (
        cents.alias("cents")
        .to_frame()
        .select(pl.concat_str(sign, size // 100, pl.lit("."), (size % 100).cast(pl.String).str.zfill(2)))
        .to_series()
    )


def clean_integer(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Whole numbers, within what the column's SQL type holds."""
    read, mistaken = _read_numbers(text, 0)
    values = read.cast(pl.Int64, strict=False)
    bits = INTEGER_BITS.get(column.sql_type.lower(), 31)
    result = Cleaned(values.cast(pl.String), values)
    result.flag(RowCode.TYPE, mistaken)
    result.flag(RowCode.RANGE, nulls(values) & ~nulls(read))
    _within(result, -(2**bits), 2**bits - 1)
    return result


def clean_number(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Decimal numbers, within what the column's SQL type holds, rounded to its scale."""
    read, mistaken = _read_numbers(text)
    whole, scale = precision(column, (28, 10))
    values = read.cast(pl.Decimal(38, scale), strict=False)
    result = Cleaned(_read_numbers(values.cast(pl.String).fill_null(""))[0], values)
    result.flag(RowCode.TYPE, mistaken)
    result.flag(RowCode.RANGE, nulls(values) & ~nulls(read))
    # The bound is written out in digits: polars compares wrongly with a power of ten of more than 28 digits.
    result.reject(RowCode.RANGE, true(values.abs() > Decimal("9" * whole + "." + "9" * scale)))
    # A number outside its bounds is rejected even where rounding would bring it inside.
    rounded = np.flatnonzero(true(read.str.contains(rf"\.[0-9]{{{scale + 1}}}")))
    low = Decimal("-Infinity") if column.minimum is None else column.minimum
    high = Decimal("Infinity") if column.maximum is None else column.maximum
    inside = np.array([low <= Decimal(number) <= high for number in read.gather(rounded)], dtype=np.bool_)
    result.reject(RowCode.RANGE, among(rounded[~inside], len(text)))
    return result


def precision(column: Column, default: tuple[int, int]) -> tuple[int, int]:
    """Digits before and behind the dot that the column's SQL type holds; ``default`` is (precision, scale)."""
    found = re.fullmatch(r"numeric\((\d+),\s*(\d+)\)", column.sql_type.lower())
    precision, scale = (int(found[1]), int(found[2])) if found else default
    return precision - scale, scale


def check_bounds(cleaned: Cleaned, column: Column, context: Context) -> None:
    """E_RANGE for values outside the bounds of the contract."""
    maximum = Decimal(context.created_date.year) if column.maximum_year else column.maximum
    unit = 100 if column.kind is Kind.MONEY else 1
    ends = (limit if limit is None else limit * unit for limit in (column.minimum, maximum))
    low, high = (int(end) if end is not None and column.kind is not Kind.NUMBER else end for end in ends)
    _within(cleaned, low, high)


def _within(cleaned: Cleaned, low: Decimal | int | None, high: Decimal | int | None) -> None:
    """E_RANGE for values outside. Most columns have none, which their least and greatest value show at once."""
    least, most = cleaned.value.min(), cleaned.value.max()
    if low is not None and least is not None and least < low:  # type: ignore[operator]
        cleaned.reject(RowCode.RANGE, true(cleaned.value < low))
    if high is not None and most is not None and most > high:  # type: ignore[operator]
        cleaned.reject(RowCode.RANGE, true(cleaned.value > high))

"""Arithmetic of Chinese identity numbers and unified social credit codes, vectorised over matrices of ASCII bytes.

A matrix has one row a number and one column a character (``uint8``), as ``ingest.columns.Bytes`` makes it; the results
are arrays of the same height. Nothing here knows a feed, a document type or a code of the interface.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.columns import Mask, Matrix

#: Weights of ISO 7064 MOD 11-2 over the first 17 digits, and the check character of each remainder.
_RESIDENT_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2], dtype=np.uint16)
_RESIDENT_CHECK = np.frombuffer(b"10X98765432", dtype=np.uint8)

#: The 31 characters of GB 32100 (no I O S V Z) and the weights of its first 17 places.
_USCC_ALPHABET = b"0123456789ABCDEFGHJKLMNPQRTUWXY"
_USCC_WEIGHTS = np.array([pow(3, place, 31) for place in range(17)], dtype=np.int32)
_USCC_VALUE = np.full(256, -1, dtype=np.int32)
_USCC_VALUE[np.frombuffer(_USCC_ALPHABET, dtype=np.uint8)] = np.arange(31)

#: First pairs of GB/T 2260, and 81 to 83 of the residence permits of Hong Kong, Macao and Taiwan residents.
_PROVINCE_PAIRS = (
    "11 12 13 14 15 21 22 23 31 32 33 34 35 36 37 41 42 43 44 45 46 50 51 52 53 54 61 62 63 64 65 71 81 82 83"
)
PROVINCES = np.isin(np.arange(100), [int(pair) for pair in _PROVINCE_PAIRS.split()])

_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
#: Day number (1970-01-01 is 0) of the first of each month from the year 0 on.
_MONTH_STARTS = (
    np.arange(-1970 * 12, (10_000 - 1970) * 12).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
)


@dataclass(frozen=True)
class Residents:
    """What 18-character identity numbers say. Birth and sex mean nothing where ``dated`` is false."""

    checked: Mask  # 17 digits and the right check character
    province: Mask  # the first pair is a province
    dated: Mask  # digits 7 to 14 are a real date
    birth: NDArray[np.int64]  # days since 1970-01-01
    year: NDArray[np.int32]
    male: Mask  # digit 17 is odd


def integers(figures: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The numbers that figures make: (places, n) values 0 to 9, the first place the highest, at most nine."""
    value = figures[0].astype(np.int32)
    for place in figures[1:]:
        value *= 10
        value += place
    return value


def digits(matrix: Matrix) -> Mask:
    """Whether all characters of a row are ASCII digits."""
    # uint8 wraps below "0", so one comparison serves both ends
    figures: Mask = np.all((matrix - np.uint8(48)) < 10, axis=1)
    return figures


def real_dates(year: NDArray[np.int32], month: NDArray[np.int32], day: NDArray[np.int32]) -> Mask:
    """Whether (year, month, day) is a date of the Gregorian calendar, years 1 to 9999."""
    real: Mask = (year >= 1) & (year <= 9999) & (month >= 1) & (month <= 12) & (day >= 1) & (day <= 28)
    late = np.flatnonzero(~real)
    if len(late):
        year, month, day = year[late], month[late], day[late]
        leap = (month == 2) & (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
        length = _MONTH_DAYS[np.where((month >= 1) & (month <= 12), month, 0)] + leap
        real[late] = (year >= 1) & (year <= 9999) & (day >= 1) & (day <= length)
    return real


def epoch_days(year: NDArray[np.int32], month: NDArray[np.int32], day: NDArray[np.int32]) -> NDArray[np.int64]:
    """Days since 1970-01-01 of real dates; of others nonsense, as long as month is 1 to 12."""
    first = _MONTH_STARTS[np.clip(year, 0, 9999) * 12 + month - 1]
    days: NDArray[np.int64] = first + (day - 1)
    return days


def resident_check(matrix: Matrix) -> Mask:
    """Whether the 18th character is the MOD 11-2 check of 17 digits. ``matrix`` is (n, 18), upper case."""
    return _resident_check(np.ascontiguousarray(matrix.T))


def _resident_check(places: NDArray[np.uint8]) -> Mask:
    figures = places[:17] - np.uint8(48)
    # 17 figures up to 9 with weights up to 10 stay below 2 ** 16, and so do wrong ones modulo that
    total = np.zeros(places.shape[1], dtype=np.uint16)
    for place, weight in zip(figures, _RESIDENT_WEIGHTS, strict=True):
        total += place * weight
    checked: Mask = (figures.max(axis=0, initial=0) < 10) & (_RESIDENT_CHECK[total % 11] == places[17])
    return checked


def residents(matrix: Matrix) -> Residents:
    """Read 18-character resident numbers. ``matrix`` is (n, 18), upper case."""
    places = np.ascontiguousarray(matrix.T)  # one row a character place: contiguous memory below
    figures = places - np.uint8(48)
    year, month, day = integers(figures[6:10]), integers(figures[10:12]), integers(figures[12:14])
    dated = (figures[6:14].max(axis=0, initial=0) < 10) & real_dates(year, month, day)
    pair = np.minimum(integers(figures[:2]), 99)
    return Residents(
        checked=_resident_check(places),
        province=(figures[:2].max(axis=0, initial=0) < 10) & PROVINCES[pair],
        dated=dated,
        birth=epoch_days(year, np.clip(month, 1, 12), day),
        year=year,
        male=(figures[16] & 1).astype(np.bool_),
    )


def upgrade(matrix: Matrix) -> Matrix:
    """15-digit numbers as 18 characters: the century 19 put in, the check character appended."""
    long = np.empty((len(matrix), 18), dtype=np.uint8)
    long[:, :6] = matrix[:, :6]
    long[:, 6:8] = np.frombuffer(b"19", dtype=np.uint8)
    long[:, 8:17] = matrix[:, 6:]
    total = (long[:, :17].astype(np.int32) - 48) @ _RESIDENT_WEIGHTS.astype(np.int32)
    long[:, 17] = _RESIDENT_CHECK[total % 11]
    return long


def uscc_check(matrix: Matrix) -> Mask:
    """Whether 18 characters are a unified social credit code: alphabet, a division's digits, check character.

    The first two places, kind of register and of organisation, may hold letters.
    """
    values = _USCC_VALUE[matrix]
    check = (31 - values[:, :17] @ _USCC_WEIGHTS) % 31
    right: Mask = (values >= 0).all(axis=1) & digits(matrix[:, 2:8]) & (check == values[:, 17])
    return right

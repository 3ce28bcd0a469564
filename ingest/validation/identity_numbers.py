"""Arithmetic of Chinese identity numbers and unified social credit codes, vectorised over matrices of ASCII bytes.

A matrix has one row per number and one column per character (``uint8``), as ``ByteColumn`` makes it; the results are
arrays of the same height. Nothing here knows a feed, a document type or a row code.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.kernels.byte_column import Mask, Matrix, digits, integers
from ingest.validation.constants import (
    MAINLAND_PREFIXES,
    PERMIT_PREFIXES,
    RESIDENT_CHECKS,
    RESIDENT_WEIGHTS,
    TAIWAN_PREFIX,
    USCC_ALPHABET,
    USCC_WEIGHTS,
)

#: The check character (a byte) of each remainder modulo 11.
CHECKS = np.frombuffer(RESIDENT_CHECKS.encode(), dtype=np.uint8)
#: Which of the numbers 0 to 99 a resident's number may begin with.
PREFIXES = np.isin(np.arange(100), [*MAINLAND_PREFIXES, TAIWAN_PREFIX, *PERMIT_PREFIXES])

#: The characters (bytes) of a unified social credit code, and what each of all bytes is worth; -1: not one of them.
_USCC_CHARACTERS = np.frombuffer(USCC_ALPHABET.encode(), dtype=np.uint8)
_USCC_VALUES = np.full(256, -1, dtype=np.int32)
_USCC_VALUES[_USCC_CHARACTERS] = np.arange(len(_USCC_CHARACTERS))

_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31], dtype=np.int64)
#: Day number (1970-01-01 is 0) of the first of each month from the year 0 on.
_MONTH_STARTS = (
    np.arange(-1970 * 12, (10_000 - 1970) * 12).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
)


@dataclass(frozen=True)
class Residents:
    """What 18-character identity numbers say. Birth and sex mean nothing where ``dated`` is false."""

    checked: Mask  # 17 digits and the right check character
    province: Mask  # the first two digits are those of a province or a residence permit
    dated: Mask  # digits 7 to 14 are a real date
    birth: NDArray[np.int64]  # days since 1970-01-01
    year: NDArray[np.int32]
    male: Mask  # digit 17 is odd


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
    """Days since 1970-01-01 of real dates. Of other dates a number without meaning; months must be 1 to 12."""
    first = _MONTH_STARTS[np.clip(year, 0, 9999) * 12 + month - 1]
    days: NDArray[np.int64] = first + (day - 1)
    return days


def resident_check(matrix: Matrix) -> Mask:
    """Whether the 18th character is the MOD 11-2 check of 17 digits. ``matrix`` is (n, 18), upper case."""
    return _resident_check(np.ascontiguousarray(matrix.T))


def _resident_check(characters: NDArray[np.uint8]) -> Mask:
    """``resident_check`` of a transposed matrix, (18, n)."""
    figures = characters[:17] - np.uint8(48)
    checked: Mask = (figures.max(axis=0, initial=0) < 10) & (resident_check_characters(figures) == characters[17])
    return checked


def resident_check_characters(figures: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The check characters of residents' numbers. ``figures`` is (17, n): the digits, as numbers from 0 to 9."""
    # The sum of 17 digits with weights up to 10 is below 2 ** 16; what is not a digit only wraps around.
    total = np.zeros(figures.shape[1], dtype=np.uint16)
    for row, weight in zip(figures, RESIDENT_WEIGHTS, strict=True):
        total += row.astype(np.uint16) * np.uint16(weight)
    return CHECKS[total % 11]


def residents(matrix: Matrix) -> Residents:
    """Read 18-character resident numbers. ``matrix`` is (n, 18), upper case."""
    characters = np.ascontiguousarray(matrix.T)  # one row per position: every operation runs over contiguous memory
    figures = characters - np.uint8(48)
    year, month, day = integers(figures[6:10]), integers(figures[10:12]), integers(figures[12:14])
    dated = (figures[6:14].max(axis=0, initial=0) < 10) & real_dates(year, month, day)
    prefix = np.minimum(integers(figures[:2]), 99)
    return Residents(
        checked=_resident_check(characters),
        province=(figures[:2].max(axis=0, initial=0) < 10) & PREFIXES[prefix],
        dated=dated,
        birth=epoch_days(year, np.clip(month, 1, 12), day),
        year=year,
        male=(figures[16] & 1).astype(np.bool_),
    )


def upgrade(matrix: Matrix) -> Matrix:
    """15-digit numbers as 18 characters: the century 19 is inserted, the check character appended."""
    long = np.empty((len(matrix), 18), dtype=np.uint8)
    long[:, :6] = matrix[:, :6]
    long[:, 6:8] = np.frombuffer(b"19", dtype=np.uint8)
    long[:, 8:17] = matrix[:, 6:]
    long[:, 17] = resident_check_characters(long[:, :17].T - np.uint8(48))
    return long


def uscc_check(matrix: Matrix) -> Mask:
    """Whether 18 characters are a unified social credit code: alphabet, a division's digits, check character.

    The first two characters, kind of register and of organisation, may be letters.
    """
    values = _USCC_VALUES[matrix]
    right: Mask = (values >= 0).all(axis=1) & digits(matrix[:, 2:8])
    right &= uscc_check_characters(values[:, :17]) == matrix[:, 17]
    return right


def uscc_check_characters(values: NDArray[np.integer]) -> NDArray[np.uint8]:
    """The check characters of unified social credit codes. ``values`` is (n, 17): what each character is worth."""
    return _USCC_CHARACTERS[-(values @ np.array(USCC_WEIGHTS, dtype=np.int64)) % len(_USCC_CHARACTERS)]

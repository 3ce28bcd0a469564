"""Numbers with right check characters that belong to nobody."""

import numpy as np
import polars as pl

from ingest.samples.draws import Numbers

#: First pairs of the division codes of the provinces (GB/T 2260).
PROVINCES = np.array(
    [*range(11, 16), *range(21, 24), *range(31, 38), *range(41, 47), *range(50, 55), *range(61, 66)], dtype=np.int64
)
#: First pairs in residence permits for Hong Kong, Macao and Taiwan residents.
PERMITS = np.array([81, 82, 83], dtype=np.int64)

_RESIDENT_WEIGHTS = np.array([7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2])
_RESIDENT_CHECKS = pl.Series(list("10X98765432"))
_CREDIT_WEIGHTS = np.array([pow(3, place, 31) for place in range(17)])
_CREDIT_CHECKS = pl.Series(list("0123456789ABCDEFGHJKLMNPQRTUWXY"))


def resident(pair: Numbers, area: Numbers, born: Numbers, sequence: Numbers) -> pl.Series:
    """18-character identity numbers with the area code ``pp99nn``, which was never issued.

    Args:
        pair: first two digits, ``pp``.
        area: ``nn``, 1 to 99.
        born: date of birth as the number yyyymmdd.
        sequence: 0 to 999, odd for men.
    """
    return _with_check(((pair * 10_000 + 9_900 + area) * 100_000_000 + born) * 1_000 + sequence)


def foreign_resident(area: Numbers, born: Numbers, sequence: Numbers) -> pl.Series:
    """18-character numbers of foreigners' residence cards, of a place (99) and countries (9nn) that do not exist."""
    return _with_check(((999_900 + area) * 100_000_000 + born) * 1_000 + sequence)


def credit_code(first: int, division: Numbers, body: Numbers) -> pl.Series:
    """Unified social credit codes.

    Args:
        first: first two digits: 91 an enterprise, 52 a private school, 81 and 89 unions.
        division: six digits.
        body: nine digits.
    """
    stem = (first * 1_000_000 + division) * 1_000_000_000 + body
    check = (31 - (_digits(stem) @ _CREDIT_WEIGHTS) % 31) % 31
    return pl.Series(stem).cast(pl.String) + _CREDIT_CHECKS.gather(check)


def padded(prefix: str, number: Numbers, width: int = 1) -> pl.Series:
    """``prefix`` and the number with leading zeros."""
    return prefix + pl.Series(number).cast(pl.String).str.zfill(width)


def _with_check(stem: Numbers) -> pl.Series:
    return pl.Series(stem).cast(pl.String) + _RESIDENT_CHECKS.gather((_digits(stem) @ _RESIDENT_WEIGHTS) % 11)


def _digits(number: Numbers) -> Numbers:
    """The 17 decimal digits, one row a number."""
    return (number[:, None] // 10 ** np.arange(16, -1, -1, dtype=np.int64)) % 10

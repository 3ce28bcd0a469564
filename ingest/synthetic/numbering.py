"""Identity numbers and credit codes with right check characters that belong to no person and no organisation."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.kernels.byte_column import from_matrix
from ingest.synthetic.draws import Numbers
from ingest.validation.constants import MAINLAND_PREFIXES, PERMIT_PREFIXES
from ingest.validation.identity_numbers import resident_check_characters, uscc_check_characters

#: First two digits of residents' numbers, and of residence permits for Hong Kong, Macao and Taiwan residents.
PROVINCES = np.array(MAINLAND_PREFIXES, dtype=np.int64)
PERMITS = np.array(PERMIT_PREFIXES, dtype=np.int64)


def resident(pair: Numbers, area: Numbers, born: Numbers, sequence: Numbers) -> pl.Series:
    """18-character identity numbers with the area code ``pp99nn``, which was never issued.

    Args:
        pair: first two digits, ``pp``.
        area: ``nn``, 1 to 99.
        born: date of birth as the number yyyymmdd.
        sequence: 0 to 999, odd for men.
    """
    return _resident(((pair * 10_000 + 9_900 + area) * 100_000_000 + born) * 1_000 + sequence)


def foreign_resident(area: Numbers, born: Numbers, sequence: Numbers) -> pl.Series:
    """18-character numbers of foreigners' residence cards, of a place (99) and countries (9nn) that do not exist."""
    return _resident(((999_900 + area) * 100_000_000 + born) * 1_000 + sequence)


def credit_code(first: int, division: Numbers, body: Numbers) -> pl.Series:
    """Unified social credit codes.

    Args:
        first: first two digits: 91 an enterprise, 52 a private school, 81 and 89 unions.
        division: six digits.
        body: nine digits.
    """
    stem = (first * 1_000_000 + division) * 1_000_000_000 + body
    return _with_check(stem, uscc_check_characters(_digits(stem)))


def padded(prefix: str, number: Numbers, width: int = 1) -> pl.Series:
    """``prefix`` and the number with leading zeros."""
    return prefix + pl.Series(number).cast(pl.String).str.zfill(width)


def _resident(stem: Numbers) -> pl.Series:
    return _with_check(stem, resident_check_characters(_digits(stem).T))


def _with_check(stem: Numbers, checks: NDArray[np.uint8]) -> pl.Series:
    """Numbers of 17 digits, each followed by its check character."""
    return pl.Series(stem).cast(pl.String) + from_matrix(checks[:, None])


def _digits(number: Numbers) -> Numbers:
    """The 17 decimal digits, one row per number."""
    return (number[:, None] // 10 ** np.arange(16, -1, -1, dtype=np.int64)) % 10

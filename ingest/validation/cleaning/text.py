"""Texts, names, identifiers: strip, normalise, measure, match."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.contracts.model import Column, Kind
from ingest.errors import RowCode
from ingest.kernels.byte_column import ByteColumn, Mask, nulls, true
from ingest.stripping import NULL_WORDS, STRIPPED, stripped
from ingest.validation import identity_numbers
from ingest.validation.cleaning.column import Cleaned, Context, blank, patch
from ingest.validation.constants import DIVISION_PATTERN, MOBILE_PATTERN

_LONGEST_NULL_WORD = max(len(word.encode()) for word in NULL_WORDS)
#: The pattern of a kind where its contract has none.
_PATTERNS = {Kind.DIVISION: DIVISION_PATTERN, Kind.MOBILE: MOBILE_PATTERN}
#: Dots that senders write in names, and the middle dot that they become.
_DOTS, _MIDDLE_DOT = "•‧∙・．", "·"

#: Characters that may be stripped from a text or replaced in a name.
REPLACED = STRIPPED + _DOTS
#: Whether a text that holds a byte may need cleaning: controls, blanks, quotes and "#", or the first byte of a
#: character in ``REPLACED``.
SUSPECT_BYTES = (np.arange(256) < 0x28) | np.isin(np.arange(256), [0x7F, *(ch.encode()[0] for ch in REPLACED)])


def _suspect_in_code(data: NDArray[np.uint8]) -> Mask:
    """Bytes of a code or number that may need cleaning: as above, the dot of ".0", and everything but ASCII."""
    return ((data - np.uint8(0x28)) > 0x56) | (data == 0x2E)


def _suspect_in_text(data: NDArray[np.uint8]) -> Mask:
    return np.take(SUSPECT_BYTES, data)


def _normalise(
    text: pl.Series, suspect: Callable[[NDArray[np.uint8]], Mask], clean: Callable[[pl.Series], pl.Series]
) -> Cleaned:
    """Make null words null and ``clean`` the rows that hold a ``suspect`` byte; all others are clean as delivered."""
    content = ByteColumn(text)
    longest = int(content.lengths.max(initial=0))
    positions = np.flatnonzero(suspect(content.data))
    rows = content.rows(positions) if len(positions) else np.empty(0, dtype=np.int64)
    result = text
    if len(text) and int(content.lengths.min()) <= _LONGEST_NULL_WORD:
        words = text.is_in(NULL_WORDS)
        result = blank(text, words.to_numpy()) if words.any() else text
    if len(rows):
        cleaned = clean(text.gather(rows))
        longest = max(longest, int(ByteColumn(cleaned.fill_null("")).lengths.max()))
        result = patch(result, rows, cleaned)
    return Cleaned(result, result, longest=longest)


def _strip(text: pl.Series) -> pl.Series:
    """Strip blanks, leading apostrophes and ``="…"`` wrappers; null words become null."""
    text = stripped(text)
    return text.set(text.is_in(NULL_WORDS), None)


def compatible(text: pl.Series) -> pl.Series:
    """Strip and NFKC: full-width digits and letters become half-width ones."""
    text = _strip(text)
    not_ascii = text.str.len_bytes() != text.str.len_chars()
    if not not_ascii.any():
        return text
    # The result of NFKC can itself be a blank, an apostrophe or a null word: it is stripped again.
    rows = np.flatnonzero(true(not_ascii))
    return text.scatter(rows, _strip(text.gather(rows).str.normalize("NFKC")))


def _normalise_code(text: pl.Series) -> pl.Series:
    return compatible(text).str.replace(r"^([0-9]+)\.0$", "$1")


def _normalise_name(text: pl.Series) -> pl.Series:
    text = _strip(text).str.replace_all(f"[{_DOTS}]", _MIDDLE_DOT)
    for _ in range(2):  # a pass removes every other blank, because a match takes the characters on both sides
        text = text.str.replace_all(r"(\p{Han})[ \t\u{a0}\u{3000}\u{200b}\u{feff}]+(\p{Han})", "${1}${2}")
    return text


def clean_text(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Free text: stripped, else as it is."""
    return _normalise(text, _suspect_in_text, _strip)


def clean_name(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Names: also one kind of middle dot, no blanks between Chinese characters."""
    return _normalise(text, _suspect_in_text, _normalise_name)


def clean_identifier(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Codes and numbers kept as text: also half-width, and without a spreadsheet's ``.0``."""
    return _normalise(text, _suspect_in_code, _normalise_code)


def clean_certno(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Identity numbers: half-width. ``ingest.validation.rules`` checks them."""
    return _normalise(text, _suspect_in_code, compatible)


def clean_uscc(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Unified social credit codes, their check character verified."""
    cleaned = clean_identifier(text, column, context)
    upper = cleaned.text.str.to_uppercase()
    content = ByteColumn(upper.fill_null(""))
    rows = np.flatnonzero(content.lengths == 18)
    right = nulls(upper).copy()
    right[rows] = identity_numbers.uscc_check(content.matrix(rows, 18))
    if column.uscc_first:
        right &= matches(upper, f"^(?:{column.uscc_first})")
    result = Cleaned(upper, upper)
    result.reject(RowCode.USCC, ~right)
    return result


def matches(text: pl.Series, pattern: str) -> Mask:
    """Whether texts match; no text counts as a match."""
    return text.str.contains(pattern).fill_null(value=True).to_numpy()


def check_length(cleaned: Cleaned, column: Column) -> None:
    """E_LENGTH for texts with too many or too few characters."""
    # A text has at most as many characters as bytes.
    long = column.max_length is not None and (cleaned.longest is None or cleaned.longest > column.max_length)
    if not long and column.min_length is None:
        return
    characters = cleaned.text.str.len_chars()
    wrong = np.zeros(len(characters), dtype=np.bool_)
    if column.max_length is not None:
        wrong |= true(characters > column.max_length)
    if column.min_length is not None:
        wrong |= true(characters < column.min_length)
    cleaned.reject(RowCode.LENGTH, wrong)


def check_pattern(cleaned: Cleaned, column: Column) -> None:
    """The column's code for texts that do not match its pattern."""
    pattern = column.pattern or _PATTERNS.get(column.kind)
    if pattern is None:
        return
    failed = ~matches(cleaned.text, f"^(?:{pattern})$")
    code = RowCode.MOBILE if column.kind is Kind.MOBILE else column.pattern_code
    cleaned.flag(code, failed)
    if code != RowCode.CODE_LOCAL:
        cleaned.drop(failed)

"""Texts, names, identifiers: strip, normalise, measure, match."""

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest import numbers
from ingest.cleaning.column import Cleaned, Context, blank, patch
from ingest.columns import Bytes, Mask, nulls, true
from ingest.contracts.model import Column, Kind
from ingest.errors import RowCode

#: Stripped at both ends of every value.
STRIP = " \t\r\n\u00a0\u3000\u200b\ufeff"

#: These are no value.
NULL_WORDS = ("", "null", "NULL", "nan", "NaN", "None", "-", "/", "无", "空", "不详", "#N/A", "***")
_LONGEST_NULL_WORD = max(len(word.encode()) for word in NULL_WORDS)
#: What a kind looks like where its contract does not say.
_PATTERNS = {Kind.DIVISION: "[0-9]{6}", Kind.MOBILE: "1[3-9][0-9]{9}"}


def _odd_ascii(data: NDArray[np.uint8]) -> Mask:
    """Bytes of a code or number that need care: blanks, quotes, apostrophe, the dot of ".0", anything not ASCII."""
    return ((data - np.uint8(0x28)) > 0x56) | (data == 0x2E)


def _odd_text(data: NDArray[np.uint8]) -> Mask:
    """Bytes of free text that need care: as above, and the first bytes of U+00A0, U+200B, U+3000, U+FEFF, the dots."""
    odd: Mask = data < 0x28
    for first in (0x7F, 0xC2, 0xE2, 0xE3, 0xEF):
        odd |= data == first
    return odd


def _tidy(
    text: pl.Series, odd: Callable[[NDArray[np.uint8]], Mask], polish: Callable[[pl.Series], pl.Series]
) -> Cleaned:
    """Make null words null and ``polish`` the rows that hold an ``odd`` byte; the others are clean as they are."""
    content = Bytes(text)
    longest = int(content.lengths.max(initial=0))
    positions = np.flatnonzero(odd(content.data))
    rows = content.rows(positions) if len(positions) else np.empty(0, dtype=np.int64)
    tidy = text
    if len(text) and int(content.lengths.min()) <= _LONGEST_NULL_WORD:
        words = text.is_in(NULL_WORDS)
        tidy = blank(text, words.to_numpy()) if words.any() else text
    if len(rows):
        polished = polish(text.gather(rows))
        longest = max(longest, int(Bytes(polished.fill_null("")).lengths.max()))
        tidy = patch(tidy, rows, polished)
    return Cleaned(tidy, tidy, longest=longest)


def _strip(text: pl.Series) -> pl.Series:
    """Strip blanks, leading apostrophes and ``="…"`` wrappers; null words become null."""
    text = text.str.strip_chars_start(STRIP + "'").str.strip_chars_end(STRIP)
    for _ in range(4):  # wrappers in wrappers: nobody writes more
        wrapped = text.str.contains(r'(?s)^=".*"$')
        if not wrapped.any():
            break
        inner = text.str.slice(2).str.head(-1).str.strip_chars_start(STRIP + "'").str.strip_chars_end(STRIP)
        text = inner.zip_with(wrapped, text)
    return text.set(text.is_in(NULL_WORDS), None)


def compatible(text: pl.Series) -> pl.Series:
    """Strip and NFKC: full-width digits and letters become plain ones."""
    text = _strip(text)
    foreign = text.str.len_bytes() != text.str.len_chars()
    if not foreign.any():
        return text
    # what NFKC makes can be a blank, an apostrophe or a null word itself
    rows = np.flatnonzero(true(foreign))
    return text.scatter(rows, _strip(text.gather(rows).str.normalize("NFKC")))


def _polish_code(text: pl.Series) -> pl.Series:
    return compatible(text).str.replace(r"^([0-9]+)\.0$", "$1")


def _polish_name(text: pl.Series) -> pl.Series:
    text = _strip(text).str.replace_all("[•・‧∙．]", "·")
    for _ in range(2):  # every other gap a pass, because the characters around one are consumed
        text = text.str.replace_all(r"(\p{Han})[ \t\u{a0}\u{3000}\u{200b}\u{feff}]+(\p{Han})", "${1}${2}")
    return text


def clean_text(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Free text: stripped, else as it is."""
    return _tidy(text, _odd_text, _strip)


def clean_name(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Names: also one sort of middle dot, no gaps between Chinese characters."""
    return _tidy(text, _odd_text, _polish_name)


def clean_identifier(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Codes and numbers kept as text: also half-width, and without a spreadsheet's ``.0``."""
    return _tidy(text, _odd_ascii, _polish_code)


def clean_certno(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    """Identity numbers: half-width; ``ingest.checks`` judges them."""
    return _tidy(text, _odd_ascii, compatible)


def clean_uscc(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Unified social credit codes, their check character right."""
    cleaned = clean_identifier(text, column, context)
    upper = cleaned.text.str.to_uppercase()
    content = Bytes(upper.fill_null(""))
    rows = np.flatnonzero(content.lengths == 18)
    right = nulls(upper).copy()
    right[rows] = numbers.uscc_check(content.matrix(rows, 18))
    if column.uscc_first:
        right &= matches(upper, f"^(?:{column.uscc_first})")
    result = Cleaned(upper, upper)
    result.reject(RowCode.USCC, ~right)
    return result


def matches(text: pl.Series, pattern: str) -> Mask:
    """Whether texts match; none does."""
    return text.str.contains(pattern).fill_null(value=True).to_numpy()


def check_length(cleaned: Cleaned, column: Column) -> None:
    """E_LENGTH for texts with too many or too few characters."""
    # a text has at most as many characters as bytes
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
    """The column's code for texts that do not look as they must."""
    pattern = column.pattern or _PATTERNS.get(column.kind)
    if pattern is None:
        return
    odd = ~matches(cleaned.text, f"^(?:{pattern})$")
    code = RowCode.MOBILE if column.kind is Kind.MOBILE else column.pattern_code
    cleaned.flag(code, odd)
    if code != RowCode.CODE_LOCAL:
        cleaned.drop(odd)

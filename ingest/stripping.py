"""Stripping of delivered text, and the texts that mean a missing value or an error of a spreadsheet.

Readers use it to recognise blank rows, cleaning uses it for every value (see docs/senders.md).
"""

import polars as pl

#: Stripped at both ends of every value.
STRIPPED = " \t\r\n\u00a0\u3000\u200b\ufeff"
_STRIPPED_AT_START = STRIPPED + "'"
#: Nested ``="…"`` wrappers that are removed at most.
_MAX_WRAPPERS = 4

#: Texts that mean a missing value.
NULL_WORDS = ("", "null", "NULL", "nan", "NaN", "None", "-", "/", "无", "空", "不详", "#N/A", "***")

#: Error values of spreadsheet cells, which also occur in text files exported from spreadsheets. #N/A is a missing value
#: instead. The last one represents error values of other programs.
ERROR_WORDS = (
    *("#DIV/0!", "#REF!", "#VALUE!", "#NAME?", "#NUM!", "#NULL!", "#GETTING_DATA", "#SPILL!", "#CALC!", "#FIELD!"),
    *("#BLOCKED!", "#UNKNOWN!", "#CONNECT!", "#BUSY!", "#TIMEOUT!", "#EXTERNAL!", "#PYTHON!", "#ERROR!"),
)


def strip(text: str) -> str:
    """A text without blanks, leading apostrophes and ``="…"`` wrappers around it."""
    text = text.lstrip(_STRIPPED_AT_START).rstrip(STRIPPED)
    for _ in range(_MAX_WRAPPERS):
        if len(text) < len('=""') or not (text.startswith('="') and text.endswith('"')):
            break
        text = text[2:-1].lstrip(_STRIPPED_AT_START).rstrip(STRIPPED)
    return text


def stripped(texts: pl.Series) -> pl.Series:
    """``strip`` for a whole column."""
    texts = texts.str.strip_chars_start(_STRIPPED_AT_START).str.strip_chars_end(STRIPPED)
    for _ in range(_MAX_WRAPPERS):
        is_wrapped = texts.str.contains(r'(?s)^=".*"$')
        if not is_wrapped.any():
            break
        unwrapped = (
            texts.str.slice(2).str.head(-1).str.strip_chars_start(_STRIPPED_AT_START).str.strip_chars_end(STRIPPED)
        )
        texts = unwrapped.zip_with(is_wrapped, texts)
    return texts

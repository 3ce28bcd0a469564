"""Codes of lists, by code or by label, and truth values."""

import re
import unicodedata

import numpy as np
import polars as pl

from ingest.contracts.model import CodeList, Column
from ingest.errors import RowCode
from ingest.kernels.byte_column import Mask, nulls, true
from ingest.validation.cleaning.column import Cleaned, Context
from ingest.validation.cleaning.text import clean_identifier, matches

_FLAGS = {"1": "true", "是": "true", "Y": "true", "TRUE": "true"} | {
    "0": "false",
    "否": "false",
    "N": "false",
    "FALSE": "false",
}


def clean_code(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Codes; labels and other spellings of a list become its codes."""
    cleaned = clean_identifier(text, column, context)
    codes = cleaned.text
    if column.strip_leading_zeros:
        codes = codes.str.replace("^0+([0-9])", "$1")
    if column.code_list is None:
        return Cleaned(codes, codes)
    spellings, width = _spellings(column.code_list)
    if width and not column.strip_leading_zeros:
        short = (codes.str.len_bytes() < width) & codes.str.contains("^[0-9]+$")
        if short.any():
            codes = codes.str.zfill(width).zip_with(pl.Series(true(short)), codes)
    known = codes.replace_strict(spellings, default=None, return_dtype=pl.String)
    unlisted = nulls(known) & ~nulls(codes)
    if column.code_match == "free":
        return _free_text(codes, known, unlisted, column)
    result = Cleaned(known.fill_null(codes), known)
    result.value = result.text
    if not unlisted.any():
        return result
    local = unlisted & _local(codes, column)
    result.flag(RowCode.CODE_LOCAL, local)
    result.reject(RowCode.CODE, unlisted & ~local)
    return result


def _free_text(texts: pl.Series, known: pl.Series, unlisted: Mask, column: Column) -> Cleaned:
    """Codes, and for every text that is not in the list the code for other; ``rules`` keeps the text for the vault."""
    codes = known.set(pl.Series(unlisted), column.other_code)
    result = Cleaned(codes, codes)
    if column.max_length is not None:
        result.reject(RowCode.LENGTH, unlisted & true(texts.str.len_chars() > column.max_length))
    result.flag(RowCode.FREE_TEXT, unlisted & ~result.wrong)
    return result


def _local(codes: pl.Series, column: Column) -> Mask:
    """Unlisted codes that the column accepts as local ones."""
    assert column.code_list is not None  # noqa: S101
    listed = column.code_list.codes
    if column.code_match == "open":
        return np.ones(len(codes), dtype=np.bool_)
    if column.code_match == "first_two":
        pairs = sorted({code[:2] for code in listed})
        return matches(codes, rf"^(?:{'|'.join(map(re.escape, pairs))})")
    if column.code_match == "prefix":
        return matches(codes, rf"(?s)^(?:{'|'.join(map(re.escape, listed))}).")
    return np.zeros(len(codes), dtype=np.bool_)


#: Lookup tables by the list's ``id``; the list is referenced beside its table so that the ``id`` is not reused.
_TABLES: dict[int, tuple[CodeList, dict[str, str], int]] = {}


def _spellings(code_list: CodeList) -> tuple[dict[str, str], int]:
    """Accepted texts of a list, and the common length of its codes when all are digits (else 0)."""
    cached = _TABLES.get(id(code_list))
    if cached is None or cached[0] is not code_list:
        table = {label: code for code, label in code_list.codes.items() if label} | dict(code_list.spellings)
        table = {unicodedata.normalize("NFKC", spelling): code for spelling, code in table.items()}
        table |= {code: code for code in code_list.codes}
        widths = {len(code) for code in code_list.codes}
        fixed = len(widths) == 1 and all(code.isascii() and code.isdigit() for code in code_list.codes)
        cached = _TABLES[id(code_list)] = (code_list, table, widths.pop() if fixed else 0)
    return cached[1], cached[2]


def clean_flag(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Truth values, as ``true`` and ``false``."""
    cleaned = clean_identifier(text, column, context)
    known = cleaned.text.str.to_uppercase().replace_strict(_FLAGS, default=None, return_dtype=pl.String)
    result = Cleaned(known, known)
    result.flag(RowCode.TYPE, nulls(known) & ~nulls(cleaned.text))
    return result

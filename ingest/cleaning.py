"""From the text of a column as delivered to its cleaned values: strip, normalise, read; spec/deliveries.md 2.3.

Every function works on whole columns. Two ideas keep it quick: columns whose values repeat are cleaned once a distinct
value (``clean``), and in the others the bytes of the column are compared as one array to find the few rows that need
more than a look (``_tidy`` and the readers of dates and numbers); only those go through regular expressions. The quick
and the slow way give the same result; a property test holds them to it.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest import numbers
from ingest.columns import Bytes, Mask, among, from_matrix, hundredths, nulls, true
from ingest.contracts.model import CodeList, Column, Kind
from ingest.errors import RowCode

#: Stripped at both ends of every value.
STRIP = " \t\r\n\u00a0\u3000\u200b\ufeff"

#: These are no value.
NULL_WORDS = ("", "null", "NULL", "nan", "NaN", "None", "-", "/", "无", "空", "不详", "#N/A", "***")
_LONGEST_NULL_WORD = max(len(word.encode()) for word in NULL_WORDS)

#: Year, month, day of dates that senders write for "none".
PLACEHOLDERS = ((1900, 1, 1), (1970, 1, 1), (2099, 12, 31), (9999, 12, 31), (0, 0, 0))

_FLAGS = {"1": "true", "是": "true", "Y": "true", "TRUE": "true"} | {
    "0": "false",
    "否": "false",
    "N": "false",
    "FALSE": "false",
}

_TIME = r"(?:([0-9]{1,2}):([0-9]{2})(?::([0-9]{2})(?:\.[0-9]+)?)?)"
_CLOCK = rf"(?:[T\s]\s*{_TIME})?$"
#: Every form of a date, each perhaps with a time: groups year, month, day, hour, minute, second.
_DATE_FORMS = (
    rf"^([0-9]{{4}})-([0-9]{{2}})-([0-9]{{2}}){_CLOCK}",
    rf"^([0-9]{{4}})/([0-9]{{1,2}})/([0-9]{{1,2}}){_CLOCK}",
    rf"^([0-9]{{4}})\.([0-9]{{1,2}})\.([0-9]{{1,2}}){_CLOCK}",
    rf"^([0-9]{{4}})年([0-9]{{1,2}})月([0-9]{{1,2}})日(?:[T\s]*{_TIME})?$",
    rf"^([0-9]{{4}})([0-9]{{2}})([0-9]{{2}}){_CLOCK}",
    r"^([0-9]{4})([0-9]{2})([0-9]{2})[T\s]?([0-9]{2})([0-9]{2})([0-9]{2})?(?:\.[0-9]+)?$",
)
_NUMBER = r"^[+-]?(?:(?:[0-9]+|[0-9]{1,3}(?:,[0-9]{3})+)(?:\.[0-9]*)?|\.[0-9]+)$"
_INTEGER_BITS = {"smallint": 15, "integer": 31, "bigint": 63}
_EPOCH = date(1970, 1, 1)
_FIRST_DAY = (date(1900, 1, 1) - _EPOCH).days
#: A column counts as repeating when a sample of it holds at most this share of distinct values.
_REPEATS = 0.3
_SAMPLE = 512
#: Lists of up to so many distinct values are remembered, so many a column, for so many columns.
_FEW = 128
_REMEMBERED = 16
_COLUMNS = 256


@dataclass(frozen=True)
class Context:
    """What the reading of a file's values depends on besides the contract."""

    created_date: date
    amount_unit: Literal["yuan", "wanyuan"] = "yuan"
    sheet: bool = False


@dataclass
class Cleaned:
    """A cleaned column.

    ``text`` is what lands (null: no value), ``value`` the same in the type that rules and the content hash work on
    (money in cents, dates in days and date-times in seconds since 1970, else text; both null where the value is
    wrong), ``flags`` the rows of each row code that holds, without codes that hold nowhere.
    """

    text: pl.Series
    value: pl.Series
    flags: dict[str, Mask] = field(default_factory=dict)
    untouched: bool = False  # ``text`` is known to equal what was delivered
    longest: int | None = None  # no text has more bytes, where that is known

    @property
    def wrong(self) -> Mask:
        """Rows whose value breaks a rule (not those where it is missing)."""
        return any_of([mask for code, mask in self.flags.items() if code.startswith("E_")], len(self.text))

    def flag(self, code: str, rows: Mask) -> None:
        """Note ``code`` for ``rows``."""
        if rows.any():
            self.flags[code] = self.flags[code] | rows if code in self.flags else rows

    def drop(self, rows: Mask) -> None:
        """Make the value of ``rows`` no value."""
        if rows.any():
            same = self.value is self.text
            self.text = _blank(self.text, rows)
            self.value = self.text if same else _blank(self.value, rows)

    def reject(self, code: str, rows: Mask) -> None:
        """Note ``code`` for ``rows``, which have no value then."""
        self.flag(code, rows)
        self.drop(rows)

    def spread(self, indices: NDArray[np.int64], source: pl.Series | None = None) -> "Cleaned":
        """The rows ``indices``: a result over distinct values laid out over the rows they came from.

        ``source`` is the column they came from: where cleaning has changed nothing, it serves as it is.
        """
        picks = pl.Series(indices)
        text = source if source is not None and self.untouched else self.text.gather(picks)
        value = text if self.value is self.text else self.value.gather(picks)
        return Cleaned(text, value, {code: mask[indices] for code, mask in self.flags.items()})


def any_of(masks: list[Mask], height: int) -> Mask:
    """The union of row masks."""
    return np.logical_or.reduce(masks) if masks else np.zeros(height, dtype=np.bool_)


def _blank(series: pl.Series, rows: Mask) -> pl.Series:
    """A copy with null in ``rows``."""
    return pl.select(pl.when(~pl.Series(rows)).then(series)).to_series()


def _patch(series: pl.Series, rows: NDArray[np.int64], values: pl.Series) -> pl.Series:
    """A copy with ``values`` put in at ``rows``."""
    if len(rows) == 0:
        return series
    return values if len(rows) == len(series) else series.clone().scatter(rows, values)


def clean(series: pl.Series, column: Column, context: Context) -> Cleaned:
    """Clean one column and apply the rules about single values, without E_REQUIRED.

    Args:
        series: text as delivered; null counts as empty.
        column: its contract; identity numbers (CERTNO) are only stripped and normalised here, see ``ingest.checks``.
        context: of the file.
    """
    text = series.cast(pl.String).fill_null("") if series.null_count() else series
    if len(text) < _SAMPLE or not _repeats(text):
        return _clean(text, column, context)
    memory = _memory(column, context)
    if memory.plain is not None and text.is_in(memory.plain).all():
        return Cleaned(text, text)
    encoded = Bytes(text).array.dictionary_encode()
    distinct = pl.Series(encoded.dictionary)
    # not to_numpy(): Arrow imports pandas for it
    indices = np.frombuffer(encoded.indices.buffers()[1], dtype=np.int32, count=len(text)).astype(np.int64)
    if len(distinct) > _FEW:
        return _clean(distinct, column, context).spread(indices)
    # few values are the same few in the next batch, though in another order
    values = distinct.to_list()
    order = sorted(range(len(values)), key=values.__getitem__)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    return memory.clean(tuple(values[index] for index in order), column, context).spread(place[indices], text)


def typed(cleaned: Cleaned, column: Column) -> pl.Series:
    """A cleaned column as it lands: dates, times, decimals, whole numbers, truth values, texts.

    Amounts that count as 0 when they are missing are 0 from here on.
    """
    value = cleaned.value
    if column.default_zero and value.null_count():
        value = value.fill_null(0)
    match column.kind:
        case Kind.DATE:
            return value.cast(pl.Int32).cast(pl.Date)
        case Kind.DATETIME:
            return (value * 1_000_000).cast(pl.Datetime("us"))
        case Kind.MONEY:
            return hundredths(value, sum(_precision(column, (38, 2))))
        case Kind.FLAG:
            return value == "true"
        case Kind.INTEGER | Kind.NUMBER:
            return value
    return cleaned.text


def missing(column: Column, height: int, context: Context) -> Cleaned:
    """The cleaned form of a column that the file does not have."""
    nothing = _memory(column, context).clean(("",), column, context)
    text = nothing.text.new_from_index(0, height)
    return Cleaned(text, text if nothing.value is nothing.text else nothing.value.new_from_index(0, height))


@dataclass
class _Memory:
    """What earlier batches have shown about one column.

    ``results`` holds whole lists of distinct values, ``plain`` (imploded, for ``is_in``) values that are clean as they
    are delivered. The column is kept so that its identity stays its own.
    """

    column: Column
    results: dict[tuple[str, ...], Cleaned] = field(default_factory=dict)
    plain: pl.Series | None = None

    def clean(self, values: tuple[str, ...], column: Column, context: Context) -> Cleaned:
        """``_clean`` of sorted distinct values, from memory where the same list came before. Not to be changed."""
        kept = self.results.get(values)
        if kept is None:
            distinct = pl.Series(values)
            kept = _clean(distinct, column, context)
            kept.untouched = kept.text.equals(distinct)
            if len(self.results) >= _REMEMBERED:
                self.results.clear()
                self.plain = None
            self.results[values] = kept
            if kept.untouched and kept.value is kept.text and not kept.flags:
                self.plain = pl.concat([self.plain.explode(), distinct] if self.plain is not None else [distinct])
                self.plain = self.plain.unique().implode()
        return kept


_MEMORIES: dict[tuple[int, Context], _Memory] = {}


def _memory(column: Column, context: Context) -> _Memory:
    memory = _MEMORIES.get((id(column), context))
    if memory is None:
        if len(_MEMORIES) >= _COLUMNS:
            _MEMORIES.clear()
        memory = _MEMORIES[id(column), context] = _Memory(column)
    return memory


def _repeats(text: pl.Series) -> bool:
    """Whether values come back often, judged by two stretches."""
    stretch = _SAMPLE // 2
    seen = text.slice(0, stretch).n_unique() + text.slice(len(text) // 2, stretch).n_unique()
    return seen <= _REPEATS * _SAMPLE


def _clean(text: pl.Series, column: Column, context: Context) -> Cleaned:
    cleaned = _CLEANERS[column.kind](text, column, context)
    if column.kind in _NUMERIC:
        _check_bounds(cleaned, column, context)
    elif column.kind in _TEXTUAL:
        _check_length(cleaned, column)
        _check_pattern(cleaned, column)
    return cleaned


# --- text ---------------------------------------------------------------------------------------------------------


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
        tidy = _blank(text, words.to_numpy()) if words.any() else text
    if len(rows):
        polished = polish(text.gather(rows))
        longest = max(longest, int(Bytes(polished.fill_null("")).lengths.max()))
        tidy = _patch(tidy, rows, polished)
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


def _compatible(text: pl.Series) -> pl.Series:
    """Strip and NFKC: full-width digits and letters become plain ones."""
    text = _strip(text)
    foreign = text.str.len_bytes() != text.str.len_chars()
    if not foreign.any():
        return text
    # what NFKC makes can be a blank, an apostrophe or a null word itself
    rows = np.flatnonzero(true(foreign))
    return text.scatter(rows, _strip(text.gather(rows).str.normalize("NFKC")))


def _polish_code(text: pl.Series) -> pl.Series:
    return _compatible(text).str.replace(r"^([0-9]+)\.0$", "$1")


def _polish_name(text: pl.Series) -> pl.Series:
    text = _strip(text).str.replace_all("[•・‧∙．]", "·")
    for _ in range(2):  # every other gap a pass, because the characters around one are consumed
        text = text.str.replace_all(r"(\p{Han})[ \t\u{a0}\u{3000}\u{200b}\u{feff}]+(\p{Han})", "${1}${2}")
    return text


def _clean_text(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    return _tidy(text, _odd_text, _strip)


def _clean_name(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    return _tidy(text, _odd_text, _polish_name)


def _clean_identifier(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    return _tidy(text, _odd_ascii, _polish_code)


def _clean_certno(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    return _tidy(text, _odd_ascii, _compatible)


def _clean_uscc(text: pl.Series, column: Column, context: Context) -> Cleaned:
    cleaned = _clean_identifier(text, column, context)
    upper = cleaned.text.str.to_uppercase()
    content = Bytes(upper.fill_null(""))
    rows = np.flatnonzero(content.lengths == 18)
    right = nulls(upper).copy()
    right[rows] = numbers.uscc_check(content.matrix(rows, 18))
    if column.uscc_first:
        right &= _matches(upper, f"^(?:{column.uscc_first})")
    result = Cleaned(upper, upper)
    result.reject(RowCode.USCC, ~right)
    return result


def _matches(text: pl.Series, pattern: str) -> Mask:
    """Whether texts match; none does."""
    return text.str.contains(pattern).fill_null(value=True).to_numpy()


def _check_length(cleaned: Cleaned, column: Column) -> None:
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


def _check_pattern(cleaned: Cleaned, column: Column) -> None:
    pattern = column.pattern or _PATTERNS.get(column.kind)
    if pattern is None:
        return
    odd = ~_matches(cleaned.text, f"^(?:{pattern})$")
    code = RowCode.MOBILE if column.kind is Kind.MOBILE else column.pattern_code
    cleaned.flag(code, odd)
    if code != RowCode.CODE_LOCAL:
        cleaned.drop(odd)


# --- codes --------------------------------------------------------------------------------------------------------


def _clean_code(text: pl.Series, column: Column, context: Context) -> Cleaned:
    cleaned = _clean_identifier(text, column, context)
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
    result = Cleaned(known.fill_null(codes), known)
    result.value = result.text
    if not unlisted.any():
        return result
    local = unlisted & _local(codes, column)
    result.flag(RowCode.CODE_LOCAL, local)
    result.reject(RowCode.CODE, unlisted & ~local)
    return result


def _local(codes: pl.Series, column: Column) -> Mask:
    """Unlisted codes that the column takes all the same."""
    assert column.code_list is not None  # noqa: S101
    listed = column.code_list.codes
    if column.code_match == "open":
        return np.ones(len(codes), dtype=np.bool_)
    if column.code_match == "first_two":
        pairs = sorted({code[:2] for code in listed})
        return _matches(codes, rf"^(?:{'|'.join(map(re.escape, pairs))})[0-9A-Za-z]*$")
    if column.code_match == "prefix":
        return _matches(codes, rf"^(?:{'|'.join(map(re.escape, listed))})[0-9A-Za-z]+$")
    return np.zeros(len(codes), dtype=np.bool_)


#: Lookup tables by the list's identity; the list is kept beside its table so that the identity stays its own.
_TABLES: dict[int, tuple[CodeList, dict[str, str], int]] = {}


def _spellings(code_list: CodeList) -> tuple[dict[str, str], int]:
    """Accepted texts of a list, and the common length of its codes when all are digits (else 0)."""
    kept = _TABLES.get(id(code_list))
    if kept is None or kept[0] is not code_list:
        table = {label: code for code, label in code_list.codes.items() if label} | dict(code_list.spellings)
        table = {unicodedata.normalize("NFKC", spelling): code for spelling, code in table.items()}
        table |= {code: code for code in code_list.codes}
        widths = {len(code) for code in code_list.codes}
        fixed = len(widths) == 1 and all(code.isascii() and code.isdigit() for code in code_list.codes)
        kept = _TABLES[id(code_list)] = (code_list, table, widths.pop() if fixed else 0)
    return kept[1], kept[2]


def _clean_flag(text: pl.Series, column: Column, context: Context) -> Cleaned:
    cleaned = _clean_identifier(text, column, context)
    known = cleaned.text.str.to_uppercase().replace_strict(_FLAGS, default=None, return_dtype=pl.String)
    result = Cleaned(known, known)
    result.flag(RowCode.TYPE, nulls(known) & ~nulls(cleaned.text))
    return result


# --- dates --------------------------------------------------------------------------------------------------------


def _clean_date(text: pl.Series, column: Column, context: Context) -> Cleaned:
    return _clean_time(text, column, context, timed=False)


def _clean_datetime(text: pl.Series, column: Column, context: Context) -> Cleaned:
    return _clean_time(text, column, context, timed=True)


def _clean_time(text: pl.Series, column: Column, context: Context, *, timed: bool) -> Cleaned:
    """Dates, and date-times when ``timed``: ISO text; days or seconds since 1970."""
    height = len(text)
    plain, figures, rewritten = _read_plain_times(Bytes(text), 19 if timed else 10)
    others = np.empty(0, dtype=np.int64)
    nothing = broken = np.zeros(height, dtype=np.bool_)
    if len(plain) == height:
        fields = figures
    else:
        others = np.flatnonzero(~among(plain, height))
        rest = _compatible(text.gather(others))
        slow, understood = _read_times(rest)
        fields = np.zeros((len(figures), height), dtype=np.int32)
        fields[:, plain] = figures
        fields[:, others] = slow[: len(fields)]
        nothing = among(others[nulls(rest)], height)
        broken = among(others[~understood], height) & ~nothing
    year, month, day = fields[:3]
    stand_in = np.isin(_ymd(year, month, day), _PLACEHOLDERS) & ~nothing & ~broken
    real = numbers.real_dates(year, month, day)
    if timed:
        real &= (fields[3] < 24) & (fields[4] < 60) & (fields[5] < 60)
    given = real & ~(nothing | broken | stand_in)
    broken = ~(given | nothing | stand_in)
    # what is no date is computed too, it only has to stay inside the calendar
    value = numbers.epoch_days(year, np.clip(month, 1, 12), day)
    outside = value < _FIRST_DAY
    if not column.may_lie_ahead:
        outside |= value > (context.created_date - _EPOCH).days
    outside &= given
    given &= ~outside
    if timed:
        value = value * 86_400 + fields[3] * 3_600 + fields[4] * 60 + fields[5]

    values = pl.Series(value)
    iso = text if rewritten is None else _patch(text, plain, rewritten)
    if len(others):
        iso = _patch(iso, others, _iso(values.gather(others), timed=timed))
    result = Cleaned(iso, values)
    result.drop(~given)
    result.flag(RowCode.PLACEHOLDER_DATE, stand_in)
    result.flag(RowCode.TYPE, broken)
    result.flag(RowCode.RANGE, outside)
    return result


def _ymd(
    year: NDArray[np.int32] | int, month: NDArray[np.int32] | int, day: NDArray[np.int32] | int
) -> NDArray[np.int32]:
    return np.asarray(year * 10_000 + month * 100 + day, dtype=np.int32)


_PLACEHOLDERS = np.array([_ymd(*parts) for parts in PLACEHOLDERS], dtype=np.int32)


def _read_plain_times(content: Bytes, width: int) -> tuple[NDArray[np.int64], NDArray[np.int32], pl.Series | None]:
    """Rows that read ``yyyy-MM-dd`` or, at 19 characters, ``yyyy-MM-dd HH:mm:ss``, with ``/`` or ``T`` as well.

    Returns the rows, their three or six fields as a (fields, rows) array, and their text in the standard form where
    it differs.
    """
    timed = width == 19
    rows = np.flatnonzero(content.lengths == width)
    # one row a character place, so that every operation below runs over contiguous memory
    places = np.array(content.matrix(rows, width).T, order="C")
    spans = [(0, 4), (5, 7), (8, 10), (11, 13), (14, 16), (17, 19)][: 6 if timed else 3]
    figures = places - np.uint8(48)
    fit = figures[[place for start, end in spans for place in range(start, end)]].max(axis=0, initial=0) < 10
    fit &= (places[4] == places[7]) & ((places[4] == ord("-")) | (places[4] == ord("/")))
    if timed:
        fit &= (places[10] == ord(" ")) | (places[10] == ord("T"))
        fit &= (places[13] == ord(":")) & (places[16] == ord(":"))
    if not fit.all():
        rows, places, figures = rows[fit], places[:, fit], figures[:, fit]
    fields = np.stack([numbers.integers(figures[start:end]) for start, end in spans])
    if (places[4] == ord("-")).all() and not (timed and (places[10] == ord("T")).any()):
        return rows, fields, None
    places[[4, 7]] = ord("-")
    if timed:
        places[10] = ord(" ")
    return rows, fields, from_matrix(places.T)


def _read_times(text: pl.Series) -> tuple[NDArray[np.int32], Mask]:
    """Read every form by regular expressions: a (6, n) array of fields, and which texts have one of the forms."""
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


# --- numbers ------------------------------------------------------------------------------------------------------


def _clean_money(text: pl.Series, column: Column, context: Context) -> Cleaned:
    """Amounts in cents. In a file in 10,000 yuan the sixth decimal is the cent, so nothing is ever multiplied."""
    decimals = 2 if context.amount_unit == "yuan" else 6
    exact = pl.Decimal(38, decimals)
    content = Bytes(text)
    amounts = text.cast(exact, strict=False)
    cents = amounts.to_physical().cast(pl.Int64, strict=False)
    needy = nulls(cents) | _too_many_decimals(content, decimals)
    # all but "-", ".", digits (and "/", which the cast refuses): the cast would read "1e3" too
    positions = np.flatnonzero((content.data - np.uint8(0x2D)) > 0x0C)
    if len(positions):
        needy[content.rows(positions)] = True
    rows = np.flatnonzero(needy)
    result = Cleaned(text, cents)
    if len(rows):
        read, mistaken = _read_numbers(text.gather(rows), decimals)
        slow = read.cast(exact, strict=False).to_physical().cast(pl.Int64, strict=False)
        result.value = _patch(cents, rows, slow)
        result.text = _patch(text, rows, _cents_text(slow))
        result.flag(RowCode.TYPE, among(rows[mistaken], len(text)))
        result.flag(RowCode.RANGE, among(rows[nulls(slow) & ~nulls(read)], len(text)))
    if decimals != 2:
        result.text = _cents_text(result.value)
    limit = 10 ** (_precision(column, (16, 2))[0] + 2)
    _within(result, 1 - limit, limit - 1)
    return result


def _too_many_decimals(content: Bytes, decimals: int) -> Mask:
    """Rows with more digits behind the dot. Rows with several dots are anybody's guess: the cast refuses them."""
    dots = np.flatnonzero(content.data == 0x2E)
    ends = content.offsets[1:] - content.start
    if len(dots) == len(ends) and bool((dots < ends).all()) and bool((dots[1:] >= ends[:-1]).all()):
        many: Mask = ends - dots - 1 > decimals
        return many
    rows = np.searchsorted(content.offsets, dots + content.start, side="right") - 1
    return among(rows[ends[rows] - dots - 1 > decimals], len(ends))


def _read_numbers(text: pl.Series, decimals: int | None = None) -> tuple[pl.Series, Mask]:
    """Numbers as plain decimal text, without commas, plus sign and trailing zeros; and the rows that are none.

    With ``decimals`` a number that has more of them is none either.
    """
    given = _compatible(text)
    right = given.str.contains(_NUMBER)
    plain = given.str.replace_all(",", "", literal=True).str.strip_prefix("+")
    plain = plain.str.replace(r"(\.[0-9]*?)0+$", "$1").str.strip_suffix(".")
    if decimals is not None:
        right &= ~plain.str.contains(rf"\.[0-9]{{{decimals + 1}}}")
    return plain.set(~right, None), true(~right)


def _cents_text(cents: pl.Series) -> pl.Series:
    size = pl.col("cents").abs()
    sign = pl.when(pl.col("cents") < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    return (
        cents.alias("cents")
        .to_frame()
        .select(pl.concat_str(sign, size // 100, pl.lit("."), (size % 100).cast(pl.String).str.zfill(2)))
        .to_series()
    )


def _clean_integer(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    read, mistaken = _read_numbers(text, 0)
    values = read.cast(pl.Int64, strict=False)
    bits = _INTEGER_BITS.get(column.sql_type.lower(), 31)
    result = Cleaned(values.cast(pl.String), values)
    result.flag(RowCode.TYPE, mistaken)
    result.flag(RowCode.RANGE, nulls(values) & ~nulls(read))
    _within(result, -(2**bits), 2**bits - 1)
    return result


def _clean_number(text: pl.Series, column: Column, context: Context) -> Cleaned:  # noqa: ARG001
    read, mistaken = _read_numbers(text)
    whole, scale = _precision(column, (28, 10))
    values = read.cast(pl.Decimal(38, scale), strict=False)
    result = Cleaned(_read_numbers(values.cast(pl.String).fill_null(""))[0], values)
    result.flag(RowCode.TYPE, mistaken)
    result.flag(RowCode.RANGE, nulls(values) & ~nulls(read))
    result.reject(RowCode.RANGE, true(values.abs() >= Decimal(10) ** whole))
    # a number that its rounding would bring within its bounds is none the less outside
    rounded = np.flatnonzero(true(read.str.contains(rf"\.[0-9]{{{scale + 1}}}")))
    low = Decimal("-Infinity") if column.minimum is None else column.minimum
    high = Decimal("Infinity") if column.maximum is None else column.maximum
    inside = np.array([low <= Decimal(number) <= high for number in read.gather(rounded)], dtype=np.bool_)
    result.reject(RowCode.RANGE, among(rounded[~inside], len(text)))
    return result


def _precision(column: Column, default: tuple[int, int]) -> tuple[int, int]:
    """Digits before and behind the dot that the column's SQL type holds; ``default`` is (precision, scale)."""
    found = re.fullmatch(r"numeric\((\d+),\s*(\d+)\)", column.sql_type.lower())
    precision, scale = (int(found[1]), int(found[2])) if found else default
    return precision - scale, scale


def _check_bounds(cleaned: Cleaned, column: Column, context: Context) -> None:
    maximum = Decimal(context.created_date.year) if column.maximum_year else column.maximum
    unit = 100 if column.kind is Kind.MONEY else 1
    ends = (limit if limit is None else limit * unit for limit in (column.minimum, maximum))
    low, high = (int(end) if end is not None and column.kind is not Kind.NUMBER else end for end in ends)
    _within(cleaned, low, high)


def _within(cleaned: Cleaned, low: Decimal | int | None, high: Decimal | int | None) -> None:
    """E_RANGE for values outside. The ends of the column tell at once that none is."""
    least, most = cleaned.value.min(), cleaned.value.max()
    if low is not None and least is not None and least < low:  # type: ignore[operator]
        cleaned.reject(RowCode.RANGE, true(cleaned.value < low))
    if high is not None and most is not None and most > high:  # type: ignore[operator]
        cleaned.reject(RowCode.RANGE, true(cleaned.value > high))


_CLEANERS: Mapping[Kind, Callable[[pl.Series, Column, Context], Cleaned]] = {
    Kind.TEXT: _clean_text,
    Kind.NAME: _clean_name,
    Kind.IDENTIFIER: _clean_identifier,
    Kind.CODE: _clean_code,
    Kind.DIVISION: _clean_identifier,
    Kind.USCC: _clean_uscc,
    Kind.CERT_TYPE: _clean_code,
    Kind.CERTNO: _clean_certno,
    Kind.MOBILE: _clean_identifier,
    Kind.DATE: _clean_date,
    Kind.DATETIME: _clean_datetime,
    Kind.INTEGER: _clean_integer,
    Kind.NUMBER: _clean_number,
    Kind.MONEY: _clean_money,
    Kind.FLAG: _clean_flag,
}
_NUMERIC = frozenset({Kind.INTEGER, Kind.NUMBER, Kind.MONEY})
_TEXTUAL = frozenset({Kind.TEXT, Kind.NAME, Kind.IDENTIFIER, Kind.CODE, Kind.CERT_TYPE, Kind.DIVISION, Kind.MOBILE})
#: What a kind looks like where its contract does not say.
_PATTERNS = {Kind.DIVISION: "[0-9]{6}", Kind.MOBILE: "1[3-9][0-9]{9}"}

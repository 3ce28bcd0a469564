"""The fast path: rows in the usual form, recognised, hashed and encoded for COPY in one pass.

In nearly every row of nearly every extract each value is written in the usual form and no rule is broken. Such a row
needs no reasons, only its values, and compiled loops (``ingest.kernels``) produce them in a fraction of the time that
column libraries take. Nothing here decides that a row is wrong: whatever is not recognised goes to the full check
(``rules.check``). For the rows taken the result is that of the full check; a property test compares the two.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa

from ingest.contracts.model import Column, Feed, Kind, Role
from ingest.errors import RowCode
from ingest.kernels import NULL, Buffer, Hashes, Integers, Offsets, copy_format, hashing, values
from ingest.kernels.byte_column import Mask, Matrix, matrix_array, text_array
from ingest.kernels.interning import SeenFilter
from ingest.landing.tables import PERSON
from ingest.privacy.keyring import Keyring
from ingest.readers.fields import FieldSlices
from ingest.stripping import NULL_WORDS, STRIPPED
from ingest.validation import identity_numbers
from ingest.validation.cleaning import Context
from ingest.validation.cleaning.amounts import precision
from ingest.validation.cleaning.text import REPLACED, SUSPECT_BYTES
from ingest.validation.constants import (
    EPOCH,
    FIRST_DATE,
    FOREIGN_RESIDENT_FIRST,
    MOBILE_DIGITS,
    MOBILE_PATTERN,
    MONEY_PRECISION,
    OTHER_NUMBER_LENGTH,
    PLACEHOLDER_DATES,
    RESIDENT_WEIGHTS,
    days_since_epoch,
)
from ingest.validation.identifiers import find_numbers, find_own, one_person_columns, own_columns
from ingest.validation.rules import CN, FOREIGN_RESIDENT, classes, listed
from ingest.validation.value_cache import ValueCache, seed_of

#: Days and microseconds from 1970, which we count from, to 2000, which PostgreSQL counts from.
_DAYS = 10_957
_MICROSECONDS = _DAYS * 86_400_000_000
_NO_BOUND = 2**62
_TEXTS = {Kind.TEXT: values.FREE, Kind.NAME: values.NAME, Kind.IDENTIFIER: values.CODE}
_VALUE_WARNINGS = sorted(code for code in RowCode if code.startswith("W_") and code is not RowCode.SOFT_SUM)
#: About how many bytes a warning takes until it is in the ledger.
_WARNING_BYTES = 64
_SEXES = np.frombuffer(b"12", dtype=np.uint8)

# --- the constants of the rules, as compiled loops take them ---

_FIRST_DAY = days_since_epoch(FIRST_DATE)
_PLACEHOLDER_DAYS = np.array([days_since_epoch(day) for day in PLACEHOLDER_DATES], dtype=np.int64)
_WEIGHTS = np.array(RESIDENT_WEIGHTS, dtype=np.int64)
_LEAST, _GREATEST = np.array(MOBILE_DIGITS, dtype=np.uint8).T.copy() + np.uint8(ord("0"))
_NULL_WORDS = np.array([int.from_bytes(word.encode(), "little") for word in NULL_WORDS if word], dtype=np.uint64)
_REPLACED = np.array([ord(character) for character in REPLACED if not character.isascii()], dtype=np.int64)
_STRIPPED_LAST = np.isin(np.arange(256), [*range(0x21), *(character.encode()[-1] for character in STRIPPED)])
_NULL_WORD_FIRST = np.isin(np.arange(256), [word.encode()[0] for word in NULL_WORDS if word])
_BYTE_CLASSES = (
    values.STARTS_UNUSUAL * (SUSPECT_BYTES | (np.arange(256) == ord("="))).astype(np.uint8)
    + values.ENDS_UNUSUAL * _STRIPPED_LAST.astype(np.uint8)
    + values.IN_NAME_UNUSUAL * SUSPECT_BYTES.astype(np.uint8)
    + values.STARTS_NULL_WORD * _NULL_WORD_FIRST.astype(np.uint8)
).astype(np.uint8)


@dataclass
class _TextColumn:
    """A column of texts or encoded fields: slices of a buffer, empty where there is no value.

    ``hashes`` is what each adds to the content hash of its row.
    """

    buffer: Buffer
    starts: Offsets
    ends: Offsets
    hashes: Hashes = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def given(self) -> Mask:
        return self.starts != self.ends

    def add_sizes(self, at: Integers) -> None:
        copy_format.add_text_sizes(self.starts, self.ends, at)

    def write(self, out: Buffer, at: Integers) -> None:
        copy_format.write_text(self.buffer, self.starts, self.ends, out, at)


@dataclass
class _CachedColumn(_TextColumn):
    """A column whose values repeat: ``numbers`` are the positions of its values in the cache."""

    cache: ValueCache = field(kw_only=True)
    numbers: Integers = field(kw_only=True)


@dataclass
class _IntColumn:
    """A column of integers, written in ``bytes`` bytes as ``number * factor + plus``."""

    values: Integers
    bytes: int
    factor: int = 1
    plus: int = 0

    def given(self) -> Mask:
        return self.values != NULL

    def add_sizes(self, at: Integers) -> None:
        copy_format.add_integer_sizes(self.values, self.bytes, at)

    def write(self, out: Buffer, at: Integers) -> None:
        copy_format.write_integers(self.values, self.factor, self.plus, self.bytes, out, at)


class _AmountColumn(_IntColumn):
    """A column of hundredths."""

    def add_sizes(self, at: Integers) -> None:
        copy_format.add_numeric_sizes(self.values, at)

    def write(self, out: Buffer, at: Integers) -> None:
        copy_format.write_numeric(self.values, out, at)


@dataclass
class _KeyColumn:
    """A column of person keys, the rows of a matrix.

    ``numbers`` are the positions of residents in the keyring's cache, -1 for all others. ``given`` marks the rows that
    have a key; None where all have one.
    """

    keys: Matrix
    numbers: Integers
    given: Mask | None = None

    def add_sizes(self, at: Integers) -> None:
        if self.given is None:
            copy_format.add_fixed_sizes(self.keys.shape[1], at)
        else:
            self._texts(self.given).add_sizes(at)

    def write(self, out: Buffer, at: Integers) -> None:
        if self.given is None:
            copy_format.write_fixed(self.keys, out, at)
        else:
            self._texts(self.given).write(out, at)

    def _texts(self, given: Mask) -> _TextColumn:
        height, width = self.keys.shape
        starts = np.arange(height, dtype=np.int32) * np.int32(width)
        return _TextColumn(self.keys.reshape(-1), starts, starts + given * np.int32(width))


_Column = _TextColumn | _IntColumn
_Output = dict[str, _Column | _KeyColumn]
_Span = tuple[Buffer, Offsets, Offsets]
_Warnings = list[tuple[str, Mask]]


class FastPath:
    """Takes the rows of one file that are in the usual form.

    Their persons and warnings are collected until ``collected`` returns them.

    Attributes:
        columns: Names of the columns that rows hold: ``line_number``, ``content_hash``, for feeds with persons
            ``person_key``, ``person_sex``, ``person_birth_year``, then the landed columns that the file has.
        held: About how many bytes of persons and warnings are collected.
    """

    def __init__(self, feed: Feed, context: Context, keyring: Keyring, columns: Collection[str]) -> None:
        """``columns``: the contract columns that the file has."""
        self.feed, self.context, self.keyring = feed, context, keyring
        landed = [column.name for column in feed.landed if column.name in columns]
        self.columns = ["line_number", "content_hash", *(PERSON if feed.has_person else ()), *landed]
        self._last_day = days_since_epoch(context.created_date)
        self._caches = {column.name: ValueCache(column, context) for column in feed.columns}
        self._one_person_columns = {column.name for column in one_person_columns(feed)}
        self._own_columns = list(own_columns(feed))
        self._personal = [c.name for c in feed.columns if c.personal or c.kind is Kind.CERT_TYPE]
        self._seen = SeenFilter()
        self._persons: list[pa.RecordBatch] = []
        self.held = 0
        self._warnings: dict[str, list[Integers]] = {
            **{f"{code}:{column.name}": [] for column in feed.columns for code in _VALUE_WARNINGS},
            **{f"{RowCode.SOFT_SUM}:{next(iter(rule.left))}": [] for rule in feed.sums},
        }

    def take(self, fields: FieldSlices) -> tuple[Mask, memoryview]:
        """Take the rows of a batch that are in the usual form.

        Returns:
            A mask of the rows taken, and their values in COPY's binary format, without header and trailer.
        """
        needs_check = np.zeros(fields.height, dtype=np.bool_)
        warnings: _Warnings = []
        read: dict[str, _Column] = {}
        for column in self.feed.columns:
            if column.name in fields.positions:
                read[column.name] = self._read(column, fields, needs_check, warnings)
            if column.required:
                needs_check |= ~read[column.name].given() if column.name in read else True
        self._check_rules(read, needs_check, warnings)
        self._check_identifiers(read, needs_check)
        for column in self.feed.columns:
            if column.default_zero and isinstance(amounts := read.get(column.name), _IntColumn):
                amounts.values[amounts.values == NULL] = 0
        persons = self._person(fields, read, needs_check)
        if self.context.erased.keys:
            self._find_erased(fields, persons, needs_check)
        usual = ~needs_check
        self._collect(read, persons, usual)
        for code, mask in warnings:
            if (mask & usual).any():
                self._warnings[code].append(fields.lines[mask & usual])
                self.held += _WARNING_BYTES * len(self._warnings[code][-1])
        fields_of: _Output = {
            "line_number": _IntColumn(fields.lines, 8),
            "content_hash": _IntColumn(self._hashes(read, fields.height).view(np.int64), 8),
            **persons,
            **read,
        }
        return usual, _rows([fields_of[name] for name in self.columns], usual)

    def collected(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Persons and warnings of the rows taken since the last call.

        Returns:
            ``person_key``, document type and personal columns, of equal records only the first; and ``line_number``,
            ``codes`` of rows with warnings.
        """
        persons = pl.DataFrame(schema={"person_key": pl.Binary, **dict.fromkeys(self._personal, pl.String)})
        if self._persons:
            persons = pl.DataFrame(pa.Table.from_batches(self._persons))
            persons = persons.with_columns(pl.col(self._personal).replace("", None))
            self._persons = []
        self.held = 0
        found = [(code, np.concatenate(lines)) for code, lines in self._warnings.items() if lines]
        for lines in self._warnings.values():
            lines.clear()
        return persons, listed(found, "codes").rename({"row": "line_number"})

    # --- values ---

    def _read(self, column: Column, fields: FieldSlices, needs_check: Mask, warnings: _Warnings) -> _Column:
        span = fields.buffer, *fields.offsets(column.name)
        if column.kind is Kind.MONEY:
            return _AmountColumn(self._amounts(column, span, needs_check), 8)
        if column.kind in (Kind.DATE, Kind.DATETIME):
            return self._times(column, span, needs_check)
        if column.kind is Kind.CERTNO:
            return _TextColumn(*span, _hashes(column, span))
        if column.kind is Kind.MOBILE and column.pattern in (None, MOBILE_PATTERN, f"^{MOBILE_PATTERN}$"):
            values.check_digits(*span, _LEAST, _GREATEST, needs_check)
            return _TextColumn(*span, _hashes(column, span))
        if column.kind in _TEXTS and column.pattern is None:
            hashes = np.empty(fields.height, dtype=np.uint64)
            longest = _NO_BOUND if column.max_length is None else column.max_length
            values.check_text(
                *(*span, _TEXTS[column.kind], column.min_length or 0, longest, _BYTE_CLASSES, _REPLACED, _NULL_WORDS),
                *(seed_of(column), hashes, needs_check),
            )
            return _TextColumn(*span, hashes)
        cache = self._caches[column.name]
        found = cache.numbers(*span)
        warnings += [
            (f"{code}:{column.name}", mask[found]) for code, mask in sorted(cache.warnings.items()) if mask.any()
        ]
        starts, ends = np.empty((2, fields.height), dtype=np.int32)
        hashes = np.empty(fields.height, dtype=np.uint64)
        hashing.gather_by_id(
            found, cache.starts, cache.ends, cache.hashes, cache.needs_check, starts, ends, hashes, needs_check
        )
        return _CachedColumn(cache.buffer, starts, ends, hashes, cache=cache, numbers=found)

    def _amounts(self, column: Column, span: _Span, needs_check: Mask) -> Integers:
        found = np.empty(len(span[1]), dtype=np.int64)
        decimals = self.context.money_decimals
        whole = precision(column, MONEY_PRECISION)[0] - (decimals - 2)
        low = -_NO_BOUND if column.minimum is None else int(column.minimum * 100)
        high = _NO_BOUND if column.maximum is None else int(column.maximum * 100)
        values.read_amounts(*span, whole, decimals, low, high, found, needs_check)
        return found

    def _times(self, column: Column, span: _Span, needs_check: Mask) -> _IntColumn:
        found = np.empty(len(span[1]), dtype=np.int64)
        timed = column.kind is Kind.DATETIME
        last = _NO_BOUND if column.may_lie_ahead else self._last_day
        values.read_times(*span, timed, _FIRST_DAY, last, _PLACEHOLDER_DAYS, found, needs_check)
        return _IntColumn(found, 8, 1_000_000, -_MICROSECONDS) if timed else _IntColumn(found, 4, 1, -_DAYS)

    # --- identifiers ---

    def _check_identifiers(self, read: Mapping[str, _Column], needs_check: Mask) -> None:
        """Rows that hold an identifier where it does not belong need a full check."""
        for column in self.feed.columns:
            found = read.get(column.name)
            if isinstance(found, _CachedColumn):  # distinct values were searched when they were learned
                if column.name in self._one_person_columns:
                    needs_check |= found.cache.one_person[found.numbers]
            elif isinstance(found, _TextColumn):
                find_numbers(column, (found.buffer, found.starts, found.ends), self.context.created_date, needs_check)
        for column, other, shortest in self._own_columns:
            text, identifier = read.get(column.name), read.get(other.name)
            if isinstance(text, _TextColumn) and isinstance(identifier, _TextColumn):
                other_span = identifier.buffer, identifier.starts, identifier.ends
                find_own((text.buffer, text.starts, text.ends), other_span, shortest, needs_check)

    # --- rules ---

    def _check_rules(self, read: Mapping[str, _Column], needs_check: Mask, warnings: _Warnings) -> None:
        for group in self.feed.together:
            present = [read[name].given() if name in read else np.zeros_like(needs_check) for name in group.columns]
            needs_check |= np.logical_or.reduce(present) & ~np.logical_and.reduce(present)
        for sign in self.feed.signs:
            reversal = read.get(sign.reversal_column)
            nothing = np.zeros(len(needs_check), dtype=np.int32)
            starts, ends = (reversal.starts, reversal.ends) if isinstance(reversal, _TextColumn) else (nothing, nothing)
            for name in sign.columns:
                if name in read:
                    values.check_signs(starts, ends, _numbers(read[name]), needs_check)
        for order in self.feed.orders:
            if order.earlier in read and order.later in read:
                values.check_order(_numbers(read[order.earlier]), _numbers(read[order.later]), needs_check)
        for rule in self.feed.sums:
            off = np.zeros(len(needs_check), dtype=np.int64)
            given, ignored = np.zeros((2, len(needs_check)), dtype=np.bool_)
            for name in {**rule.left, **rule.right}:
                if name in read:
                    factor = rule.left.get(name, 0) - rule.right.get(name, 0)
                    values.add_multiples(_numbers(read[name]), factor, off, given if name in rule.when_any else ignored)
            fails: Mask = (np.abs(off) if rule.op == "=" else off) > int(rule.tolerance * 100)
            if rule.when_any:
                fails &= given
            if rule.hard:
                needs_check |= fails
            else:
                warnings.append((f"{RowCode.SOFT_SUM}:{next(iter(rule.left))}", fails))

    def _hashes(self, read: Mapping[str, _Column], height: int) -> Hashes:
        """The content hash of each row, as ``rules`` computes it."""
        states = np.zeros(height, dtype=np.uint64)
        for column in self.feed.columns:
            found = read.get(column.name)
            if isinstance(found, _IntColumn):
                hashing.add_integer_hashes(found.values, 0 if column.default_zero else NULL, seed_of(column), states)
            elif found is not None:
                states += found.hashes
        return states

    # --- persons ---

    def _person(self, fields: FieldSlices, read: Mapping[str, _Column], needs_check: Mask) -> _Output:
        """Key, sex and year of birth; rows whose identity number is not recognised need a full check."""
        number, kind = self.feed.first(Kind.CERTNO), self.feed.first(Kind.CERT_TYPE)
        if number is None or kind is None:
            return {}
        document = read.get(kind.name)
        if number.name not in read or not isinstance(document, _CachedColumn):
            needs_check[:] = True
            return {name: _IntColumn(np.full(len(needs_check), NULL), 2) for name in PERSON}
        types, which = document.cache.texts, document.numbers
        kinds = np.array([_document(text, classes(kind)) for text in types], dtype=np.int64)[which]
        codes, births = (np.empty(fields.height, dtype=np.int64) for _ in range(2))
        unclear = np.zeros_like(needs_check)
        values.read_identity_numbers(
            *(fields.buffer, *fields.offsets(number.name), kinds, identity_numbers.PREFIXES, _WEIGHTS),
            *(identity_numbers.CHECKS, ord(FOREIGN_RESIDENT_FIRST), *OTHER_NUMBER_LENGTH),
            *(_FIRST_DAY, self._last_day, _NULL_WORDS, codes, births, unclear),
        )
        with_person = None
        if not self.feed.requires_person:
            with_person = document.given() | read[number.name].given()
            unclear &= with_person
        needs_check |= unclear
        resident = codes >= 0
        body = codes // 11
        men, years = body % 10 & 1, body // 10**7 % 10**4
        stated, born = self._stated(read, fields.height)
        needs_check |= resident & (stated >= 0) & (stated != men)
        needs_check |= resident & (born != NULL) & (born != births)
        codes[needs_check] = -1
        known_keys, found = self.keyring.resident_keys(codes)
        keys = known_keys.take(found, axis=0, mode="clip")
        others = np.flatnonzero(~resident & ~needs_check)
        if len(others):
            starts, ends = fields.offsets(number.name)
            numbered = others if with_person is None else others[with_person[others]]
            for kind_number in np.unique(which[numbered]).tolist():
                rows = numbered[which[numbered] == kind_number]
                of_class = types[kind_number] or ""
                keys[rows] = self.keyring.other_keys(of_class, fields.buffer, starts[rows], ends[rows])
            men[others] = stated[others]
            years[others] = _years(born[others])
        start = np.where(men == 1, 0, 1).astype(np.int32)
        return {
            "person_key": _KeyColumn(keys, found, with_person),
            "person_sex": _TextColumn(_SEXES, start, start + (men >= 0).astype(np.int32)),
            "person_birth_year": _IntColumn(years, 2),
        }

    def _find_erased(self, fields: FieldSlices, persons: _Output, needs_check: Mask) -> None:
        """Leave the rows of persons who were erased to the full check."""
        erased, keys = self.context.erased, persons.get("person_key")
        if isinstance(keys, _KeyColumn):
            needs_check |= erased.may_have(keys.keys)
        elif erased.is_replaced:
            needs_check |= True  # the list has the hashes of the numbers, which only the full check computes
        elif erased.column is not None and erased.column in fields.positions:
            starts, ends = fields.offsets(erased.column)
            needs_check |= erased.may_have(self.keyring.other_keys(erased.scope, fields.buffer, starts, ends))

    def _stated(self, read: Mapping[str, _Column], height: int) -> tuple[Integers, Integers]:
        """Sex (1 men, 0 women, -1 unknown) and day of birth, as the row's own columns state them."""
        sex, birth = self.feed.role(Role.SEX), self.feed.role(Role.BIRTH_DATE)
        stated = np.full(height, -1)
        if sex is not None and isinstance(sexes := read.get(sex.name), _CachedColumn):
            stated = np.array([{"1": 1, "2": 0}.get(text or "", -1) for text in sexes.cache.texts])[sexes.numbers]
        born = read.get(birth.name) if birth is not None else None
        return stated, born.values if isinstance(born, _IntColumn) else np.full(height, NULL)

    def _collect(self, read: Mapping[str, _Column], persons: _Output, usual: Mask) -> None:
        """Keep key, document type and personal columns of the rows taken, once per record."""
        keys = persons.get("person_key")
        if not isinstance(keys, _KeyColumn):
            return
        columns = {name: column for name in self._personal if isinstance(column := read.get(name), _TextColumn)}
        record = np.zeros(len(usual), dtype=np.uint64)
        for column in columns.values():
            record += column.hashes
        candidates = usual if keys.given is None else usual & keys.given
        rows = np.flatnonzero(self._seen.first_seen(record, keys.numbers, candidates))
        if len(rows) == 0:
            return
        nothing = _TextColumn(_SEXES, *np.zeros((2, len(usual)), dtype=np.int32))
        spans = [columns.get(name, nothing) for name in self._personal]
        arrays = [
            matrix_array(keys.keys[rows], pa.large_binary()),
            *(text_array(span.buffer, span.starts[rows], span.ends[rows]) for span in spans),
        ]
        self.held += sum(array.nbytes for array in arrays)
        self._persons.append(pa.RecordBatch.from_arrays(arrays, ["person_key", *self._personal]))


def _hashes(column: Column, span: _Span) -> Hashes:
    hashes = np.zeros(len(span[1]), dtype=np.uint64)
    hashing.add_text_hashes(*span, seed_of(column), hashes)
    return hashes


def _document(code: str | None, of_class: Mapping[str, str]) -> int:
    """The kind of document, as ``values.read_identity_numbers`` distinguishes them."""
    if code is None:
        return 0
    if of_class.get(code) == CN:
        return values.RESIDENT
    return values.FOREIGN if code == FOREIGN_RESIDENT else values.OTHER


def _years(days: Integers) -> Integers:
    years = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + EPOCH.year
    return np.where(days == NULL, NULL, years)


def _numbers(column: _Column) -> Integers:
    """Days, seconds, or hundredths."""
    if isinstance(column, _IntColumn):
        return column.values
    assert isinstance(column, _CachedColumn)  # noqa: S101 - texts are in no rule about numbers
    return column.cache.amounts[column.numbers]


def _rows(columns: list[_Column | _KeyColumn], taken: Mask) -> memoryview:
    """Rows in COPY's binary format."""
    at = np.full(len(taken), 2, dtype=np.int64)
    for column in columns:
        column.add_sizes(at)
    out = np.empty(copy_format.sizes_to_positions(taken, at), dtype=np.uint8)
    copy_format.write_field_counts(len(columns), out, at)
    for column in columns:
        column.write(out, at)
    return out.data

"""Rows that are as they should be, checked and made ready for COPY in one go; all others are left to ``ingest.checks``.

Nearly every row of nearly every extract is plain: each value is written in the usual form and no rule is broken. Such a
row needs no reasons, only its values, and compiled code (``ingest.compiled``) has them in a fraction of the time that
columns of a library take. Nothing here decides that a row is wrong. What a plain row gives is what ``checks.check``
would give for it; a property test holds it to that.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import pyarrow as pa

from ingest import numbers
from ingest.checks import CN, FOREIGN_RESIDENT, birth_column, classes, listed, sex_column
from ingest.cleaning import Context
from ingest.cleaning.amounts import precision
from ingest.cleaning.times import EPOCH, FIRST_DAY
from ingest.columns import Mask, Matrix, matrix_array
from ingest.compiled import NULL, Block, Hashes, Integers, Places, copying, repeats, values
from ingest.contracts.model import Column, Feed, Kind
from ingest.distinct import Seen
from ingest.errors import RowCode
from ingest.fields import Fields, text_array
from ingest.identity import Keyring
from ingest.landing import PERSON
from ingest.repeats import Repeats, seed_of

#: Days and microseconds from 1970, which we count from, to 2000, which PostgreSQL counts from.
_DAYS = 10_957
_MICROSECONDS = _DAYS * 86_400_000_000
_NO_BOUND = 2**62
#: What ``values.mobiles`` looks for.
_MOBILE = "^1[3-9][0-9]{9}$"
_TEXTS = {Kind.TEXT: values.FREE, Kind.NAME: values.NAME, Kind.IDENTIFIER: values.CODE}
_REMARKS = sorted(code for code in RowCode if code.startswith("W_"))
#: Bytes that a remark takes on its way to the ledger.
_REMARK = 64
_SEXES = np.frombuffer(b"12", dtype=np.uint8)


@dataclass
class _Texts:
    """A column of texts or other fields: pieces of a block, of no bytes where there is no value.

    ``hashes`` is what they add to the hash of their row.
    """

    block: Block
    starts: Places
    ends: Places
    hashes: Hashes = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    def given(self) -> Mask:
        return self.starts != self.ends

    def size(self, at: Integers) -> None:
        copying.size_texts(self.starts, self.ends, at)

    def put(self, out: Block, at: Integers) -> None:
        copying.put_texts(self.block, self.starts, self.ends, out, at)


@dataclass
class _Repeated(_Texts):
    """A column of texts that come again: what is known of them, by their numbers."""

    known: Repeats = field(kw_only=True)
    numbers: Integers = field(kw_only=True)


@dataclass
class _Whole:
    """A column of whole numbers of ``bytes`` bytes, written as ``number * factor + plus``."""

    values: Integers
    bytes: int
    factor: int = 1
    plus: int = 0

    def given(self) -> Mask:
        return self.values != NULL

    def size(self, at: Integers) -> None:
        copying.size_numbers(self.values, self.bytes, at)

    def put(self, out: Block, at: Integers) -> None:
        copying.put_numbers(self.values, self.factor, self.plus, self.bytes, out, at)


class _Amounts(_Whole):
    """A column of hundredths."""

    def size(self, at: Integers) -> None:
        copying.size_hundredths(self.values, at)

    def put(self, out: Block, at: Integers) -> None:
        copying.put_hundredths(self.values, out, at)


@dataclass
class _Keys:
    """A column of keys, the rows of a matrix; ``numbers`` tell most persons apart for a while (-1: not this one)."""

    keys: Matrix
    numbers: Integers

    def size(self, at: Integers) -> None:
        copying.size_keys(self.keys.shape[1], at)

    def put(self, out: Block, at: Integers) -> None:
        copying.put_keys(self.keys, out, at)


_Read = _Texts | _Whole
_Span = tuple[Block, Places, Places]
_Remarks = list[tuple[str, Mask]]


class Plainly:
    """Looks for the plain rows of one file.

    What it finds besides the rows themselves, persons and remarks, is collected until ``collected`` asks for it.

    Attributes:
        columns: Names of the columns that rows hold: ``line_number``, ``content_hash``, for feeds with persons
            ``person_key``, ``person_sex``, ``person_birth_year``, then the landed columns that the file has.
        held: About how many bytes are collected.
    """

    def __init__(self, feed: Feed, context: Context, keyring: Keyring, columns: Collection[str]) -> None:
        """``columns``: the contract columns that the file has."""
        self.feed, self.context, self.keyring = feed, context, keyring
        landed = [column.name for column in feed.landed if column.name in columns]
        self.columns = ["line_number", "content_hash", *(PERSON if feed.has_person else ()), *landed]
        self._last_day = (context.created_date - EPOCH).days
        self._repeats = {column.name: Repeats(column, context) for column in feed.columns}
        self._personal = [c.name for c in feed.columns if c.personal or c.kind is Kind.CERT_TYPE]
        self._seen = Seen()
        self._persons: list[pa.RecordBatch] = []
        self.held = 0
        self._remarks: dict[str, list[Integers]] = {
            **{f"{code}:{column.name}": [] for column in feed.columns for code in _REMARKS},
            **{f"{RowCode.SOFT_SUM}:{next(iter(rule.left))}": [] for rule in feed.sums},
        }

    def take(self, fields: Fields) -> tuple[Mask, memoryview]:
        """Find the plain rows of a batch.

        Returns:
            Which they are, and their values in COPY's binary format, without its beginning and end.
        """
        odd = np.zeros(fields.height, dtype=np.bool_)
        remarks: _Remarks = []
        read: dict[str, _Read] = {}
        for column in self.feed.columns:
            if column.name in fields.places:
                read[column.name] = self._read(column, fields, odd, remarks)
            if column.required:
                odd |= ~read[column.name].given() if column.name in read else True
        self._check_rules(read, odd, remarks)
        for column in self.feed.columns:
            if column.default_zero and isinstance(amounts := read.get(column.name), _Whole):
                amounts.values[amounts.values == NULL] = 0
        persons = self._person(fields, read, odd)
        plain = ~odd
        self._collect(read, persons, plain)
        for code, mask in remarks:
            if (mask & plain).any():
                self._remarks[code].append(fields.lines[mask & plain])
                self.held += _REMARK * len(self._remarks[code][-1])
        put: dict[str, _Read | _Keys] = {
            "line_number": _Whole(fields.lines, 8),
            "content_hash": _Whole(self._hashes(read, fields.height).view(np.int64), 8),
            **persons,
            **read,
        }
        return plain, _rows([put[name] for name in self.columns], plain)

    def collected(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What has been found since this was asked last.

        Returns:
            Plain rows' ``person_key``, document type and personal columns, of records that come again only the first;
            and ``line_number``, ``codes`` of rows with remarks.
        """
        persons = pl.DataFrame()
        if self._persons:
            persons = pl.DataFrame(pa.Table.from_batches(self._persons))
            persons = persons.with_columns(pl.col(self._personal).replace("", None))
            self._persons = []
        self.held = 0
        found = [(code, np.concatenate(lines)) for code, lines in self._remarks.items() if lines]
        for lines in self._remarks.values():
            lines.clear()
        return persons, listed(found, "codes").rename({"row": "line_number"})

    # --- values ---

    def _read(self, column: Column, fields: Fields, odd: Mask, remarks: _Remarks) -> _Read:
        span = fields.block, *fields.span(column.name)
        if column.kind is Kind.MONEY:
            return _Amounts(self._amounts(column, span, odd), 8)
        if column.kind in (Kind.DATE, Kind.DATETIME):
            return self._times(column, span, odd)
        if column.kind is Kind.CERTNO:
            return _Texts(*span, _hashes(column, span))
        if column.kind is Kind.MOBILE and column.pattern in (None, _MOBILE):
            values.mobiles(*span, odd)
            return _Texts(*span, _hashes(column, span))
        if column.kind in _TEXTS and column.pattern is None:
            hashes = np.empty(fields.height, dtype=np.uint64)
            longest = _NO_BOUND if column.max_length is None else column.max_length
            values.texts(*span, _TEXTS[column.kind], column.min_length or 0, longest, seed_of(column), hashes, odd)
            return _Texts(*span, hashes)
        known = self._repeats[column.name]
        found = known.numbers(*span)
        remarks += [
            (f"{code}:{column.name}", mask[found]) for code, mask in sorted(known.remarks.items()) if mask.any()
        ]
        starts, ends = np.empty((2, fields.height), dtype=np.int32)
        hashes = np.empty(fields.height, dtype=np.uint64)
        repeats.spread(found, known.starts, known.ends, known.hashes, known.odd, starts, ends, hashes, odd)
        return _Repeated(known.block, starts, ends, hashes, known=known, numbers=found)

    def _amounts(self, column: Column, span: _Span, odd: Mask) -> Integers:
        found = np.empty(len(span[1]), dtype=np.int64)
        # in a file in 10,000 yuan the sixth decimal is the cent
        decimals = 2 if self.context.amount_unit == "yuan" else 6
        whole = precision(column, (16, 2))[0] - (decimals - 2)
        low = -_NO_BOUND if column.minimum is None else int(column.minimum * 100)
        high = _NO_BOUND if column.maximum is None else int(column.maximum * 100)
        values.amounts(*span, whole, decimals, low, high, found, odd)
        return found

    def _times(self, column: Column, span: _Span, odd: Mask) -> _Whole:
        found = np.empty(len(span[1]), dtype=np.int64)
        timed = column.kind is Kind.DATETIME
        values.times(*span, timed, FIRST_DAY, _NO_BOUND if column.may_lie_ahead else self._last_day, found, odd)
        return _Whole(found, 8, 1_000_000, -_MICROSECONDS) if timed else _Whole(found, 4, 1, -_DAYS)

    # --- rules ---

    def _check_rules(self, read: Mapping[str, _Read], odd: Mask, remarks: _Remarks) -> None:
        for sign in self.feed.signs:
            reversal = read.get(sign.reversal_column)
            nothing = np.zeros(len(odd), dtype=np.int32)
            starts, ends = (reversal.starts, reversal.ends) if isinstance(reversal, _Texts) else (nothing, nothing)
            for name in sign.columns:
                if name in read:
                    values.signs(starts, ends, _numbers(read[name]), odd)
        for order in self.feed.orders:
            if order.earlier in read and order.later in read:
                values.order(_numbers(read[order.earlier]), _numbers(read[order.later]), odd)
        for rule in self.feed.sums:
            off = np.zeros(len(odd), dtype=np.int64)
            given, ignored = np.zeros((2, len(odd)), dtype=np.bool_)
            for name in {**rule.left, **rule.right}:
                if name in read:
                    factor = rule.left.get(name, 0) - rule.right.get(name, 0)
                    values.add(_numbers(read[name]), factor, off, given if name in rule.when_any else ignored)
            fails: Mask = (np.abs(off) if rule.op == "=" else off) > int(rule.tolerance * 100)
            if rule.when_any:
                fails &= given
            if rule.hard:
                odd |= fails
            else:
                remarks.append((f"{RowCode.SOFT_SUM}:{next(iter(rule.left))}", fails))

    def _hashes(self, read: Mapping[str, _Read], height: int) -> Hashes:
        """What ``checks`` calls the content hash."""
        states = np.zeros(height, dtype=np.uint64)
        for column in self.feed.columns:
            found = read.get(column.name)
            if isinstance(found, _Whole):
                repeats.add_numbers(found.values, 0 if column.default_zero else NULL, seed_of(column), states)
            elif found is not None:
                states += found.hashes
        return states

    # --- persons ---

    def _person(self, fields: Fields, read: Mapping[str, _Read], odd: Mask) -> dict[str, _Read | _Keys]:
        """Key, sex and year of birth; rows whose number is not certainly right are odd."""
        number, kind = self.feed.first(Kind.CERTNO), self.feed.first(Kind.CERT_TYPE)
        if number is None or kind is None:
            return {}
        document = read.get(kind.name)
        if number.name not in read or not isinstance(document, _Repeated):
            odd[:] = True
            return {name: _Whole(np.full(len(odd), NULL), 2) for name in PERSON}
        types, which = document.known.texts, document.numbers
        kinds = np.array([_document(text, classes(kind)) for text in types], dtype=np.int64)[which]
        codes, births = (np.empty(fields.height, dtype=np.int64) for _ in range(2))
        values.identities(
            *(fields.block, *fields.span(number.name), kinds, numbers.PROVINCES, FIRST_DAY, self._last_day),
            *(codes, births, odd),
        )
        resident = codes >= 0
        body = codes // 11
        men, years = body % 10 & 1, body // 10**7 % 10**4
        told, born = self._told(read, fields.height)
        odd |= resident & (told >= 0) & (told != men)
        odd |= resident & (born != NULL) & (born != births)
        codes[odd] = -1
        kept, found = self.keyring.of_residents(codes)
        keys = kept.take(found, axis=0, mode="clip")
        others = np.flatnonzero(~resident & ~odd)
        if len(others):
            starts, ends = fields.span(number.name)
            for kind_number in np.unique(which[others]).tolist():
                rows = others[which[others] == kind_number]
                of_class = types[kind_number] or ""
                keys[rows] = self.keyring.of_others(of_class, fields.block, starts[rows], ends[rows])
            men[others] = told[others]
            years[others] = _years(born[others])
        place = np.where(men == 1, 0, 1).astype(np.int32)
        return {
            "person_key": _Keys(keys, found),
            "person_sex": _Texts(_SEXES, place, place + (men >= 0).astype(np.int32)),
            "person_birth_year": _Whole(years, 2),
        }

    def _told(self, read: Mapping[str, _Read], height: int) -> tuple[Integers, Integers]:
        """What columns say of the person: 1 for men, 0 for women, -1 for neither; day of birth."""
        sex, birth = sex_column(self.feed), birth_column(self.feed)
        told = np.full(height, -1)
        if sex is not None and isinstance(said := read.get(sex.name), _Repeated):
            told = np.array([{"1": 1, "2": 0}.get(text or "", -1) for text in said.known.texts])[said.numbers]
        born = read.get(birth.name) if birth is not None else None
        return told, born.values if isinstance(born, _Whole) else np.full(height, NULL)

    def _collect(self, read: Mapping[str, _Read], persons: Mapping[str, _Read | _Keys], plain: Mask) -> None:
        """Keep key, document type and personal columns of plain rows that this file has not brought before."""
        keys = persons.get("person_key")
        if not isinstance(keys, _Keys):
            return
        columns = {name: column for name in self._personal if isinstance(column := read.get(name), _Texts)}
        record = np.zeros(len(plain), dtype=np.uint64)
        for column in columns.values():
            record += column.hashes
        rows = np.flatnonzero(self._seen.fresh(record, keys.numbers, plain))
        if len(rows) == 0:
            return
        nothing = _Texts(_SEXES, *np.zeros((2, len(plain)), dtype=np.int32))
        spans = [columns.get(name, nothing) for name in self._personal]
        arrays = [
            matrix_array(keys.keys[rows], pa.large_binary()),
            *(text_array(span.block, span.starts[rows], span.ends[rows]) for span in spans),
        ]
        self.held += sum(array.nbytes for array in arrays)
        self._persons.append(pa.RecordBatch.from_arrays(arrays, ["person_key", *self._personal]))


def _hashes(column: Column, span: _Span) -> Hashes:
    hashes = np.zeros(len(span[1]), dtype=np.uint64)
    repeats.add_texts(*span, seed_of(column), hashes)
    return hashes


def _document(code: str | None, of_class: Mapping[str, str]) -> int:
    """What ``values.identities`` makes of a type of document."""
    if code is None:
        return 0
    if of_class.get(code) == CN:
        return values.RESIDENT
    return values.FOREIGN if code == FOREIGN_RESIDENT else values.OTHER


def _years(days: Integers) -> Integers:
    years = days.astype("datetime64[D]").astype("datetime64[Y]").astype(np.int64) + EPOCH.year
    return np.where(days == NULL, NULL, years)


def _numbers(column: _Read) -> Integers:
    """Days, seconds, or hundredths."""
    if isinstance(column, _Whole):
        return column.values
    assert isinstance(column, _Repeated)  # noqa: S101 - texts are in no rule about numbers
    return column.known.hundredths[column.numbers]


def _rows(columns: list[_Read | _Keys], kept: Mask) -> memoryview:
    """Rows in COPY's binary format."""
    at = np.full(len(kept), 2, dtype=np.int64)
    for column in columns:
        column.size(at)
    out = np.empty(copying.begin_at(kept, at), dtype=np.uint8)
    copying.begin_rows(len(columns), out, at)
    for column in columns:
        column.put(out, at)
    return out.data

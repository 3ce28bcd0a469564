"""Rows against their contract: every row code about values (docs/senders.md lists them).

``check`` takes a batch as read and gives back good rows ready for COPY, persons for the vault, rejected rows with all
their reasons, and warnings. Keys that stand twice are not its business: they show only over the whole delivery.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest import numbers
from ingest.cleaning import Cleaned, Context, any_of, clean, missing, typed
from ingest.cleaning.times import EPOCH, FIRST_DAY
from ingest.columns import Bytes, Mask, from_matrix, nulls, true
from ingest.compiled import NULL
from ingest.compiled.repeats import add_numbers, add_texts
from ingest.contracts.model import Column, Feed, Kind
from ingest.errors import RowCode
from ingest.identity import Keyring
from ingest.repeats import seed_of

#: Persons of these documents are one class: the number is the same in both.
CN = "CN"
FOREIGN_RESIDENT = "07"
_SEX_LIST = "sex"
_BIRTH_LABEL = "出生日期"


class Batch(Protocol):
    """What is needed of a batch as read: texts by contract column, line numbers, cells a spreadsheet damaged."""

    frame: pl.DataFrame
    line: pl.Series
    sci: Mapping[str, pl.Series]


@dataclass
class CheckedBatch:
    """The outcome for one batch.

    Attributes:
        good: rows without a reason to reject: ``line_number``, ``content_hash`` (signed 64 bit), for feeds with
            persons ``person_key``, ``person_sex``, ``person_birth_year``, then the landed columns, each of its type
            (null: no value).
        persons: ``person_key``, document type and the personal columns of good rows, one row a person, the last one.
        rejected: ``line_number``, ``row`` (index in the batch), ``reasons`` (list of ``CODE:column`` or ``CODE``),
            ``content_hash`` and the key columns as landed (both null where the key is not full).
        warnings: ``line_number``, ``codes``; of good and rejected rows alike.
    """

    good: pl.DataFrame
    persons: pl.DataFrame
    rejected: pl.DataFrame
    warnings: pl.DataFrame


@dataclass
class _Person:
    """What identity numbers say, by row."""

    column: Column
    identity: pl.Series  # class|number, null where unusable
    resident: Mask  # rows with a right number of class CN
    male: Mask
    year: NDArray[np.int64]
    birth: NDArray[np.int64]


@dataclass
class _Notes:
    """Codes found, each with its rows, in the order of columns and rules."""

    height: int
    reasons: list[tuple[str, Mask]] = field(default_factory=list)
    warnings: list[tuple[str, Mask]] = field(default_factory=list)

    def add(self, code: str, column: str | None, rows: Mask) -> None:
        if rows.any():
            text = f"{code}:{column}" if column else str(code)
            (self.warnings if code.startswith("W_") else self.reasons).append((text, rows))

    @staticmethod
    def rows(notes: list[tuple[str, Mask]]) -> list[tuple[str, NDArray[np.int64]]]:
        """The rows of each code."""
        return [(text, np.flatnonzero(mask)) for text, mask in notes]


def listed(found: Sequence[tuple[str, NDArray[np.int64]]], name: str) -> pl.DataFrame:
    """``row`` and the list of texts that hold for it. ``found``: texts in the order of the lists, and their rows."""
    if not found:
        return pl.DataFrame(schema={"row": pl.Int64, name: pl.List(pl.String)})
    rows = np.concatenate([rows for _, rows in found])
    codes = np.repeat(np.arange(len(found)), [len(rows) for _, rows in found])
    order = np.lexsort((codes, rows))
    texts = pl.Series([text for text, _ in found])
    return (
        pl.DataFrame({"row": rows[order], name: texts.gather(codes[order])})
        .group_by("row", maintain_order=True)
        .agg(name)
    )


def check(batch: Batch, feed: Feed, context: Context, keyring: Keyring) -> CheckedBatch:
    """Clean and check a batch.

    Args:
        batch: rows as read; columns the file lacks count as empty.
        feed: the contract.
        context: the file's created date and unit.
        keyring: makes the person keys.
    """
    height = batch.frame.height
    notes = _Notes(height)
    columns = {
        column.name: clean(batch.frame[column.name], column, context)
        if column.name in batch.frame.columns
        else missing(column, height, context)
        for column in feed.columns
    }
    person = _check_person(feed, columns, batch.sci, context)
    wrong = {name: cleaned.wrong for name, cleaned in columns.items()}
    for column in feed.columns:
        for code, mask in sorted(columns[column.name].flags.items()):
            notes.add(code, column.name, mask)
        if column.required:
            lacking = nulls(columns[column.name].text) & ~wrong[column.name]
            notes.add(RowCode.REQUIRED, column.name, lacking)
            wrong[column.name] = wrong[column.name] | lacking
    _check_signs(feed, columns, wrong, notes)
    _check_orders(feed, columns, wrong, notes)
    _check_sums(feed, columns, wrong, notes)
    if person is not None:
        _check_agreement(feed, columns, person, notes)

    bad = any_of([mask for _, mask in notes.reasons], height)
    content = _content_hash(feed, columns, wrong)
    lines = batch.line.cast(pl.Int64).alias("line_number")
    keys = _full_keys(feed, columns, wrong, content)
    rejected = listed(notes.rows(notes.reasons), "reasons")
    picks = rejected["row"]
    warnings = listed(notes.rows(notes.warnings), "codes")
    good = ~pl.Series(bad)
    rows = pl.DataFrame(
        [lines, content, *_person_columns(feed, columns, person, good, keyring)]
        + [typed(columns[column.name], column).alias(column.name) for column in feed.landed]
    )
    kept = rows if not bad.any() else rows.filter(good)
    return CheckedBatch(
        good=kept,
        persons=_persons(feed, columns, kept, good),
        rejected=pl.concat([lines.gather(picks).to_frame(), rejected, keys[picks]], how="horizontal"),
        warnings=warnings.select(lines.gather(warnings["row"]), "codes"),
    )


# --- identity numbers -------------------------------------------------------------------------------------------


def _check_person(
    feed: Feed, columns: dict[str, Cleaned], damaged: Mapping[str, pl.Series], context: Context
) -> _Person | None:
    """Judge the identity numbers, put them in their final form, and read what they say."""
    column, type_column = feed.first(Kind.CERTNO), feed.first(Kind.CERT_TYPE)
    if column is None or type_column is None:
        return None
    number, kind = columns[column.name], columns[type_column.name].text
    height = len(kind)
    nothing = nulls(number.text)
    usable = ~(nulls(kind) | nothing)
    chinese = usable & true(kind.is_in([code for code, name in classes(type_column).items() if name == CN]))
    foreign = np.zeros(height, dtype=np.bool_) if chinese.all() else usable & true(kind == FOREIGN_RESIDENT)

    text = number.text.fill_null("") if number.text.null_count() else number.text
    content = Bytes(text)
    if foreign.any():
        foreign &= text.str.len_chars().to_numpy() == 18
    checkable = chinese | foreign
    small = content.rows(np.flatnonzero((content.data - np.uint8(ord("a"))) < 26))
    small = small[checkable[small]]
    if len(small):
        text = text.clone().scatter(small, text.gather(small).str.to_uppercase())
        content = Bytes(text)

    person = _Person(
        column,
        identity=text,
        resident=np.zeros(height, dtype=np.bool_),
        male=np.zeros(height, dtype=np.bool_),
        year=np.zeros(height, dtype=np.int64),
        birth=np.zeros(height, dtype=np.int64),
    )
    right = usable & ~checkable
    if right.any():
        characters = text.str.len_chars().to_numpy()
        right &= (characters >= 4) & (characters <= 50)

    old = np.flatnonzero(chinese & (content.lengths == 15))
    if len(old):
        short = content.matrix(old, 15)
        plain = numbers.digits(short)
        old = old[plain]
        if len(old):
            text = text.clone().scatter(old, from_matrix(numbers.upgrade(short[plain])))
            content = Bytes(text)
    rows = np.flatnonzero(checkable & (content.lengths == 18))
    matrix = content.matrix(rows, 18)
    read = numbers.residents(matrix)
    ours = chinese[rows]
    lived = read.dated & (read.birth >= FIRST_DAY) & (read.birth <= (context.created_date - EPOCH).days)
    right[rows] = read.checked & np.where(ours, read.province & lived, matrix[:, 0] == ord("9"))
    person.resident[rows] = right[rows] & ours
    person.male[rows] = read.male
    person.year[rows] = read.year
    person.birth[rows] = read.birth

    broken = np.zeros(height, dtype=np.bool_)
    suspects = np.flatnonzero(usable & ~person.resident)
    if len(suspects):
        # 4.40101E+17, and what is left of a number once its last three digits have been rounded away
        shape = text.gather(suspects).str.contains(r"^[0-9](?:\.[0-9]+)?[eE]\+[0-9]+$|^[0-9]\.[0-9]+[eE][0-9]{2}$")
        broken[suspects] = shape.to_numpy()
        unchecked = np.flatnonzero(~read.checked)
        doubtful = matrix[unchecked]
        rounded = numbers.digits(doubtful) & (doubtful[:, 15:] == ord("0")).all(axis=1)
        broken[rows[unchecked[rounded]]] = True
    if column.name in damaged:
        broken |= usable & true(damaged[column.name])
    right &= ~broken
    person.resident &= right
    number.text = number.value = text
    number.drop(nothing)
    number.reject(RowCode.SCI, broken)
    number.reject(RowCode.ID, usable & ~right & ~broken)
    person.identity = _identity(type_column, kind, number.text, right, chinese)
    return person


def classes(column: Column) -> dict[str, str]:
    """The class of each document type; most are a class of their own."""
    return dict(column.code_list.extra.get("person_class", {})) if column.code_list is not None else {}


def _identity(column: Column, kind: pl.Series, number: pl.Series, right: Mask, chinese: Mask) -> pl.Series:
    """``class|number`` of rows whose number is right, else null."""
    if chinese.all() and right.all():
        return pl.select(pl.lit(CN + "|") + number).to_series()
    known = classes(column)
    of_kind = kind.replace_strict(list(known), list(known.values()), default=kind, return_dtype=pl.String)
    return pl.select(pl.when(pl.Series(right)).then(pl.concat_str(of_kind, pl.lit("|"), number))).to_series()


def sex_column(feed: Feed) -> Column | None:
    """The column that says a person's sex."""
    return next((c for c in feed.columns if c.code_list is not None and c.code_list.name == _SEX_LIST), None)


def birth_column(feed: Feed) -> Column | None:
    """The column that says a person's day of birth."""
    return next((c for c in feed.columns if c.kind is Kind.DATE and c.label == _BIRTH_LABEL), None)


def _check_agreement(feed: Feed, columns: Mapping[str, Cleaned], person: _Person, notes: _Notes) -> None:
    """Sex and birth date against the identity number."""
    sex, birth = sex_column(feed), birth_column(feed)
    if sex is not None:
        said = columns[sex.name].text
        men, women = (true(said == code) for code in ("1", "2"))
        notes.add(RowCode.SEX_ID, sex.name, person.resident & np.where(person.male, women, men))
    if birth is not None:
        days = columns[birth.name].value
        other = true(days != pl.Series(person.birth))
        notes.add(RowCode.BIRTH_ID, birth.name, person.resident & other)


def _person_columns(
    feed: Feed, columns: Mapping[str, Cleaned], person: _Person | None, good: pl.Series, keyring: Keyring
) -> list[pl.Series]:
    """Key, sex and year of birth, for good rows; from the number where it says so, else from the columns."""
    if person is None:
        return []
    height = len(good)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, height)
    sex, birth = sex_column(feed), birth_column(feed)
    said = columns[sex.name].text if sex is not None else nothing
    born = columns[birth.name].text.str.head(4) if birth is not None else nothing
    resident = pl.Series(person.resident)
    keys = keyring.person_keys(person.identity if good.all() else person.identity.set(~good, None))
    frame = pl.DataFrame(
        {
            "resident": resident,
            "male": pl.Series(person.male),
            "year": pl.Series(person.year),
            "said": said,
            "born": born,
        }
    ).select(
        person_sex=pl.when("resident")
        .then(pl.when("male").then(pl.lit("1")).otherwise(pl.lit("2")))
        .when(pl.col("said").is_in(["1", "2"]))
        .then("said"),
        person_birth_year=pl.when("resident")
        .then(pl.col("year").cast(pl.Int16))
        .otherwise(pl.col("born").cast(pl.Int16, strict=False)),
    )
    return [keys.alias("person_key"), *frame.get_columns()]


def _persons(feed: Feed, columns: Mapping[str, Cleaned], kept: pl.DataFrame, good: pl.Series) -> pl.DataFrame:
    if not feed.has_person:
        return pl.DataFrame()
    names = [column.name for column in feed.columns if column.personal or column.kind is Kind.CERT_TYPE]
    personal = pl.DataFrame([columns[name].text.alias(name) for name in names])
    if kept.height != personal.height:
        personal = personal.filter(good)
    return personal.insert_column(0, kept["person_key"]).filter(kept["person_key"].is_last_distinct())


# --- rules over columns -----------------------------------------------------------------------------------------


def _check_signs(feed: Feed, columns: Mapping[str, Cleaned], wrong: dict[str, Mask], notes: _Notes) -> None:
    for rule in feed.signs:
        reversal = columns[rule.reversal_column].text.is_not_null().to_numpy()
        unclear = wrong[rule.reversal_column]
        for name in rule.columns:
            value = columns[name].value
            # most columns hold no negative number: the two ends of the column settle that
            low, high = value.min(), value.max()
            if low is None or (low >= 0 and (high == 0 or not reversal.any())):  # type: ignore[operator]
                continue
            against = np.where(reversal, true(value > 0), true(value < 0))
            against &= ~unclear & ~wrong[name]
            notes.add(RowCode.RANGE, name, against)
            wrong[name] = wrong[name] | against


def _check_orders(feed: Feed, columns: Mapping[str, Cleaned], wrong: Mapping[str, Mask], notes: _Notes) -> None:
    for rule in feed.orders:
        before = true(columns[rule.later].value < columns[rule.earlier].value)
        notes.add(RowCode.ORDER, rule.later, before & ~wrong[rule.later] & ~wrong[rule.earlier])


def _check_sums(feed: Feed, columns: Mapping[str, Cleaned], wrong: Mapping[str, Mask], notes: _Notes) -> None:
    amounts: dict[str, NDArray[np.int64]] = {}
    for rule in feed.sums:
        # a column without any value adds nothing
        names = [name for name in {**rule.left, **rule.right} if not _is_void(columns[name])]
        for name in names:
            if name not in amounts:
                amounts[name] = _hundredths(feed.by_name[name], columns[name].value)
        off = np.zeros(notes.height, dtype=np.int64)
        for name in names:
            sign = rule.left.get(name, 0) - rule.right.get(name, 0)
            off += amounts[name] if sign == 1 else sign * amounts[name]
        fails = (np.abs(off) if rule.op == "=" else off) > int(rule.tolerance * 100)
        if not fails.any():
            continue
        fails &= ~any_of([wrong[name] for name in {*rule.left, *rule.right, *rule.when_any}], notes.height)
        if rule.when_any:
            fails &= any_of([~nulls(columns[name].value) for name in rule.when_any], notes.height)
        notes.add(RowCode.SUM if rule.hard else RowCode.SOFT_SUM, next(iter(rule.left)), fails)


def _is_void(cleaned: Cleaned) -> bool:
    return cleaned.value.null_count() == len(cleaned.value)


def _hundredths(column: Column, value: pl.Series) -> NDArray[np.int64]:
    """Values times 100 (money has cents already); missing ones count as 0."""
    given = value.fill_null(0) if value.null_count() else value
    return (given if column.kind is Kind.MONEY else (given * 100).cast(pl.Int64)).to_numpy()


# --- keys and content -------------------------------------------------------------------------------------------


def _content_hash(feed: Feed, columns: Mapping[str, Cleaned], wrong: Mapping[str, Mask]) -> pl.Series:
    """Equal for rows whose cleaned values are all equal; a wrong value counts as none, money left out as 0."""
    states = np.zeros(len(next(iter(columns.values())).text), dtype=np.uint64)
    for column in feed.columns:
        cleaned = columns[column.name]
        counted = column.kind in (Kind.MONEY, Kind.DATE, Kind.DATETIME)
        value = cleaned.value if counted else cleaned.text
        if wrong[column.name].any():
            value = value.set(pl.Series(wrong[column.name]), None)
        if counted:
            nothing = 0 if column.default_zero else NULL
            add_numbers(value.fill_null(nothing).to_numpy(), nothing, seed_of(column), states)
        else:
            content = Bytes(value.fill_null(""))
            bounds = (content.offsets - content.start).astype(np.int32)
            add_texts(content.data, bounds[:-1], bounds[1:], seed_of(column), states)
    return pl.Series("content_hash", states.view(np.int64))


def _full_keys(
    feed: Feed, columns: Mapping[str, Cleaned], wrong: Mapping[str, Mask], content: pl.Series
) -> pl.DataFrame:
    """Content hash and key columns; all null where a part of the key is wrong or missing."""
    keys = [column.name for column in feed.keys]
    broken = any_of([wrong[name] | nulls(columns[name].text) for name in keys], len(content))
    frame = pl.DataFrame([content, *(columns[name].text.alias(name) for name in keys)])
    if not broken.any():
        return frame
    return frame.select(pl.when(~pl.Series(broken)).then(pl.all()))


def reasons(checked: CheckedBatch) -> Iterable[tuple[int, list[str]]]:
    """Line numbers of rejected rows with their reasons."""
    return checked.rejected.select("line_number", "reasons").iter_rows()

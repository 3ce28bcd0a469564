"""Rows against their contract: every row code about values (docs/senders.md lists them).

``check`` takes a batch as read and returns good rows ready for COPY, persons for the vault, rejected rows with all
their reasons, and warnings. Duplicate keys are found elsewhere: they show only over the whole delivery.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ingest.contracts.model import Column, Feed, Kind, Role
from ingest.errors import RowCode
from ingest.kernels import NULL
from ingest.kernels.byte_column import ByteColumn, Mask, Matrix, digits, from_matrix, nulls, true
from ingest.kernels.hashing import add_integer_hashes, add_text_hashes
from ingest.privacy.keyring import Keyring
from ingest.stripping import stripped
from ingest.validation import identity_numbers
from ingest.validation.cleaning import Cleaned, Context, any_of, clean, missing, patch, typed
from ingest.validation.constants import (
    FIRST_DATE,
    FOREIGN_RESIDENT_FIRST,
    OTHER_NUMBER_LENGTH,
    days_since_epoch,
)
from ingest.validation.identifiers import (
    business_names,
    find_numbers,
    find_own,
    masked,
    one_person,
    own_columns,
    span,
)
from ingest.validation.value_cache import seed_of

#: The class of documents that bear a resident's number. All of them give a person the same key.
CN = "CN"
#: The code of a foreigner's residence card.
FOREIGN_RESIDENT = "07"
#: An identity number that a spreadsheet has turned into 4.40101E+17.
_SCIENTIFIC = r"^[0-9](?:\.[0-9]+)?[eE]\+[0-9]+$|^[0-9]\.[0-9]+[eE][0-9]{2}$"


class RowBatch(Protocol):
    """A batch as read: texts by contract column, line numbers, and the cells that a spreadsheet damaged."""

    frame: pl.DataFrame
    line: pl.Series
    imprecise: Mapping[str, pl.Series]


@dataclass
class CheckedBatch:
    """The result for one batch.

    Attributes:
        good: rows without a reason to reject: ``line_number``, ``content_hash`` (signed 64 bit), for feeds with
            persons ``person_key``, ``person_sex``, ``person_birth_year``, then the landed columns, each of its type
            (null: no value).
        persons: ``person_key``, document type and the personal columns of good rows; of each person the last row.
        rejected: ``line_number``, ``row`` (index in the batch), ``reasons`` (list of ``CODE:column`` or ``CODE``),
            ``content_hash`` and the key columns as landed (both null where the key is not full).
        warnings: ``line_number``, ``codes``; of good and rejected rows alike.
        texts: what good rows held where only a code, a mask or a hash lands: ``line_number``, ``column``,
            ``person_key`` (null where there is none), ``text``.
        replaced: how many values of each column were replaced by a hash, of good and rejected rows.
    """

    good: pl.DataFrame
    persons: pl.DataFrame
    rejected: pl.DataFrame
    warnings: pl.DataFrame
    texts: pl.DataFrame
    replaced: Mapping[str, int]


@dataclass
class _Person:
    """What the identity number of each row says."""

    column: Column
    identity: pl.Series  # class|number, null where unusable
    resident: Mask  # rows with a right number of class CN
    male: Mask
    year: NDArray[np.int64]
    birth: NDArray[np.int64]

    @classmethod
    def of_nobody(cls, column: Column, text: pl.Series) -> "_Person":
        """Before anything is known: no row has a valid number of a resident."""
        height = len(text)
        no_rows, no_numbers = np.zeros((2, height), dtype=np.bool_), np.zeros((2, height), dtype=np.int64)
        return cls(column, text, resident=no_rows[0], male=no_rows[1], year=no_numbers[0], birth=no_numbers[1])


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

    def set_erased(self, rows: Mask) -> None:
        """Give rows of persons who were erased that one reason, and no other code."""
        for notes in (self.reasons, self.warnings):
            notes[:] = [(text, left) for text, mask in notes if (left := mask & ~rows).any()]
        self.add(RowCode.ERASED, None, rows)

    @staticmethod
    def rows(notes: list[tuple[str, Mask]]) -> list[tuple[str, NDArray[np.int64]]]:
        """The rows of each code."""
        return [(text, np.flatnonzero(mask)) for text, mask in notes]


def listed(found: Sequence[tuple[str, NDArray[np.int64]]], name: str) -> pl.DataFrame:
    """A frame of ``row`` and, in the column ``name``, the list of its texts.

    Args:
        found: Texts in the order that the lists have, each with its rows.
        name: Of the column of lists.
    """
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


def check(batch: RowBatch, feed: Feed, context: Context, keyring: Keyring) -> CheckedBatch:
    """Clean and check a batch.

    Args:
        batch: rows as read; columns the file lacks count as empty.
        feed: the contract.
        context: the file's created date and unit.
        keyring: makes the person keys.
    """
    height = batch.frame.height
    notes = _Notes(height)
    columns = _clean_columns(batch, feed, context)
    person = _check_person(feed, columns, batch.imprecise, context)
    wrong = {name: cleaned.wrong for name, cleaned in columns.items()}
    for column in feed.columns:
        for code, mask in sorted(columns[column.name].flags.items()):
            notes.add(code, column.name, mask)
        if column.required:
            lacking = nulls(columns[column.name].text) & ~wrong[column.name]
            notes.add(RowCode.REQUIRED, column.name, lacking)
            wrong[column.name] = wrong[column.name] | lacking
    _check_together(feed, columns, wrong, notes)
    _check_signs(feed, columns, wrong, notes)
    _check_orders(feed, columns, wrong, notes)
    _check_sums(feed, columns, wrong, notes)
    if person is not None:
        _check_agreement(feed, columns, person, notes)
    if context.erased.keys:
        erased = _erased(columns, person, context, keyring)
        notes.set_erased(erased)
        wrong |= {column.name: wrong[column.name] | erased for column in feed.keys}  # it repeats no other row

    bad = any_of([mask for _, mask in notes.reasons], height)
    kept = _KeptTexts()
    _keep_free_texts(batch, feed, columns, kept)
    content = _content_hash(feed, columns, wrong, kept)
    _mask_names(feed, columns, kept)
    replaced = _replace_identifiers(feed, columns, context, keyring, notes, kept)
    lines = batch.line.cast(pl.Int64).alias("line_number")
    keys = _full_keys(feed, columns, wrong, content)
    rejected = listed(notes.rows(notes.reasons), "reasons")
    rejected_rows = rejected["row"]
    warnings = listed(notes.rows(notes.warnings), "codes")
    good = ~pl.Series(bad)
    rows = pl.DataFrame(
        [lines, content, *_person_columns(feed, columns, person, good, keyring)]
        + [typed(columns[column.name], column).alias(column.name) for column in feed.landed]
    )
    good_rows = rows if not bad.any() else rows.filter(good)
    return CheckedBatch(
        good=good_rows,
        texts=kept.of_good_rows(rows, bad),
        replaced=replaced,
        persons=_persons(feed, columns, good_rows, good),
        rejected=pl.concat([lines.gather(rejected_rows).to_frame(), rejected, keys[rejected_rows]], how="horizontal"),
        warnings=warnings.select(lines.gather(warnings["row"]), "codes"),
    )


# --- what does not land as it was delivered ---------------------------------------------------------------------


@dataclass
class _KeptTexts:
    """The texts of a batch that go to the vault, by column: the rows, and what they hold."""

    found: list[tuple[str, NDArray[np.int64], pl.Series]] = field(default_factory=list)

    def add(self, column: str, rows: Mask, texts: pl.Series) -> None:
        """``texts``: of all rows, of which only ``rows`` are kept."""
        if rows.any():
            positions = np.flatnonzero(rows)
            self.found.append((column, positions, texts.gather(positions)))

    def of_good_rows(self, rows: pl.DataFrame, bad: Mask) -> pl.DataFrame:
        """As ``CheckedBatch.texts``. ``rows``: all rows of the batch as they land."""
        schema = {"line_number": pl.Int64, "column": pl.String, "person_key": pl.Binary, "text": pl.String}
        parts = []
        for column, positions, texts in self.found:
            good = positions[~bad[positions]]
            nobody = pl.Series([None], dtype=pl.Binary).new_from_index(0, len(good))
            parts.append(
                pl.DataFrame(
                    {
                        "line_number": rows["line_number"].gather(good),
                        "column": pl.Series([column], dtype=pl.String).new_from_index(0, len(good)),
                        "person_key": rows["person_key"].gather(good) if "person_key" in rows.columns else nobody,
                        "text": texts.filter(pl.Series(~bad[positions])),
                    },
                    schema=schema,
                )
            )
        return pl.concat(parts) if parts else pl.DataFrame(schema=schema)


def _keep_free_texts(batch: RowBatch, feed: Feed, columns: Mapping[str, Cleaned], kept: _KeptTexts) -> None:
    """Keep the texts that stand in no code list; the code for other lands."""
    for column in feed.columns:
        rows = columns[column.name].flags.get(RowCode.FREE_TEXT)
        if rows is not None:
            kept.add(column.name, rows, stripped(batch.frame[column.name].cast(pl.String)))


def _mask_names(feed: Feed, columns: Mapping[str, Cleaned], kept: _KeptTexts) -> None:
    """Mask the names of one-person businesses, which are mostly that of their owner."""
    names = [column for column in business_names(feed) if not _is_empty(columns[column.name])]
    if not names:
        return
    values = {name: cleaned.text for name, cleaned in columns.items()}
    owned = one_person(feed, values, len(values[names[0].name]))
    for column in names:
        cleaned = columns[column.name]
        rows = owned & ~nulls(cleaned.text)
        if rows.any():
            kept.add(column.name, rows, cleaned.text)
            positions = np.flatnonzero(rows)
            cleaned.text = cleaned.value = patch(cleaned.text, positions, masked(cleaned.text.gather(positions)))


def _replace_identifiers(
    feed: Feed, columns: Mapping[str, Cleaned], context: Context, keyring: Keyring, notes: _Notes, kept: _KeptTexts
) -> dict[str, int]:
    """Replace texts that hold an identity or telephone number, or what the row says of its person, by a keyed hash."""
    found: dict[str, Mask] = {}
    spans = {}
    for column in feed.columns:
        if column.takes_any_text and not _is_empty(columns[column.name]):
            spans[column.name] = span(columns[column.name].text)
            found[column.name] = np.zeros(notes.height, dtype=np.bool_)
            find_numbers(column, spans[column.name], context.created_date, found[column.name])
    for column, other, shortest in own_columns(feed):
        if column.name in spans and not _is_empty(columns[other.name]):
            find_own(spans[column.name], span(columns[other.name].text), shortest, found[column.name])
    for name, rows in found.items():
        if rows.any():
            notes.add(RowCode.IDENTIFIER, name, rows)
            cleaned, positions = columns[name], np.flatnonzero(rows)
            kept.add(name, rows, cleaned.text)
            cleaned.text = cleaned.value = patch(
                cleaned.text, positions, keyring.replaced(cleaned.text.gather(positions))
            )
    return {name: int(np.count_nonzero(rows)) for name, rows in found.items() if rows.any()}


def _clean_columns(batch: RowBatch, feed: Feed, context: Context) -> dict[str, Cleaned]:
    return {
        column.name: clean(batch.frame[column.name], column, context)
        if column.name in batch.frame.columns
        else missing(column, batch.frame.height, context)
        for column in feed.columns
    }


# --- identity numbers -------------------------------------------------------------------------------------------


def _check_person(
    feed: Feed, columns: dict[str, Cleaned], damaged: Mapping[str, pl.Series], context: Context
) -> _Person | None:
    """Check the identity numbers, bring them into their final form, and read what they say."""
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
    if foreign.any():
        foreign &= text.str.len_chars().to_numpy() == 18
    checkable = chinese | foreign
    text = _normalise(text, chinese, checkable)
    content = ByteColumn(text)

    person = _Person.of_nobody(column, text)
    right = _have_length(text, usable & ~checkable)
    rows = np.flatnonzero(checkable & (content.lengths == 18))
    matrix = content.matrix(rows, 18)
    read = identity_numbers.residents(matrix)
    right[rows] = _are_right(read, matrix, chinese[rows], days_since_epoch(context.created_date))
    person.resident[rows] = right[rows] & chinese[rows]
    person.male[rows] = read.male
    person.year[rows] = read.year
    person.birth[rows] = read.birth

    broken = _changed_by_spreadsheet(text, usable & ~person.resident, rows[~read.checked], matrix[~read.checked])
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


def _have_length(text: pl.Series, others: Mask) -> Mask:
    """Which of the numbers without check character have a length that such numbers can have."""
    if not others.any():
        return others
    characters = text.str.len_chars().to_numpy()
    shortest, longest = OTHER_NUMBER_LENGTH
    return others & (characters >= shortest) & (characters <= longest)


def _are_right(read: identity_numbers.Residents, numbers: Matrix, of_resident: Mask, last_birth: int) -> Mask:
    """Which numbers with a check character are right.

    Args:
        read: What the numbers say.
        numbers: (n, 18) Their characters.
        of_resident: Which are numbers of residents; the others are those of foreigners with permanent residence.
        last_birth: Latest birth date, in days since 1970-01-01.
    """
    born = read.dated & (read.birth >= days_since_epoch(FIRST_DATE)) & (read.birth <= last_birth)
    is_foreign = numbers[:, 0] == ord(FOREIGN_RESIDENT_FIRST)
    right: Mask = read.checked & np.where(of_resident, read.province & born, is_foreign)
    return right


def _changed_by_spreadsheet(text: pl.Series, suspects: Mask, rows: NDArray[np.int64], numbers: Matrix) -> Mask:
    """Which numbers a spreadsheet has made into numbers of its own, in scientific notation or rounded.

    Args:
        text: All numbers.
        suspects: The rows whose number is not that of a resident.
        rows: The rows with 18 characters whose check character is wrong.
        numbers: Their numbers.
    """
    broken = np.zeros(len(text), dtype=np.bool_)
    positions = np.flatnonzero(suspects)
    if len(positions):
        broken[positions] = text.gather(positions).str.contains(_SCIENTIFIC).to_numpy()
        # A spreadsheet keeps 15 digits of a number: the last three have become zeros.
        rounded = digits(numbers) & (numbers[:, 15:] == ord("0")).all(axis=1)
        broken[rows[rounded]] = True
    return broken


def _normalise(text: pl.Series, chinese: Mask, checkable: Mask) -> pl.Series:
    """Numbers with a check character in upper case; residents' numbers of 15 digits as 18 characters."""
    content = ByteColumn(text)
    small = content.rows(np.flatnonzero((content.data - np.uint8(ord("a"))) < 26))
    small = small[checkable[small]]
    if len(small):
        text = text.clone().scatter(small, text.gather(small).str.to_uppercase())
        content = ByteColumn(text)
    old = np.flatnonzero(chinese & (content.lengths == 15))
    if len(old):
        short = content.matrix(old, 15)
        numeric = digits(short)
        old = old[numeric]
        if len(old):
            text = text.clone().scatter(old, from_matrix(identity_numbers.upgrade(short[numeric])))
    return text


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


def _erased(columns: Mapping[str, Cleaned], person: _Person | None, context: Context, keyring: Keyring) -> Mask:
    """The rows of persons who were erased."""
    found = np.zeros(len(next(iter(columns.values())).text), dtype=np.bool_)
    for identity in [person.identity] if person is not None else context.erased.references(columns, keyring):
        found |= true(keyring.person_keys(identity).is_in(list(context.erased.keys)))
    return found


def _check_agreement(feed: Feed, columns: Mapping[str, Cleaned], person: _Person, notes: _Notes) -> None:
    """Sex and birth date against the identity number."""
    sex, birth = feed.role(Role.SEX), feed.role(Role.BIRTH_DATE)
    if sex is not None:
        stated = columns[sex.name].text
        men, women = (true(stated == code) for code in ("1", "2"))
        notes.add(RowCode.SEX_ID, sex.name, person.resident & np.where(person.male, women, men))
    if birth is not None:
        days = columns[birth.name].value
        other = true(days != pl.Series(person.birth))
        notes.add(RowCode.BIRTH_ID, birth.name, person.resident & other)


def _person_columns(
    feed: Feed, columns: Mapping[str, Cleaned], person: _Person | None, good: pl.Series, keyring: Keyring
) -> list[pl.Series]:
    """Key, sex and year of birth of good rows, from the number where it says so, else from the row's own columns."""
    if person is None:
        return []
    height = len(good)
    nothing = pl.Series([None], dtype=pl.String).new_from_index(0, height)
    sex, birth = feed.role(Role.SEX), feed.role(Role.BIRTH_DATE)
    stated = columns[sex.name].text if sex is not None else nothing
    born = columns[birth.name].text.str.head(4) if birth is not None else nothing
    resident = pl.Series(person.resident)
    keys = keyring.person_keys(person.identity if good.all() else person.identity.set(~good, None))
    frame = pl.DataFrame(
        {
            "resident": resident,
            "male": pl.Series(person.male),
            "year": pl.Series(person.year),
            "stated": stated,
            "born": born,
        }
    ).select(
        person_sex=pl.when("resident")
        .then(pl.when("male").then(pl.lit("1")).otherwise(pl.lit("2")))
        .when(pl.col("stated").is_in(["1", "2"]))
        .then("stated"),
        person_birth_year=pl.when("resident")
        .then(pl.col("year").cast(pl.Int16))
        .otherwise(pl.col("born").cast(pl.Int16, strict=False)),
    )
    return [keys.alias("person_key"), *frame.get_columns()]


def _persons(feed: Feed, columns: Mapping[str, Cleaned], rows: pl.DataFrame, good: pl.Series) -> pl.DataFrame:
    if not feed.has_person:
        return pl.DataFrame()
    names = [column.name for column in feed.columns if column.personal or column.kind is Kind.CERT_TYPE]
    personal = pl.DataFrame([columns[name].text.alias(name) for name in names])
    if rows.height != personal.height:
        personal = personal.filter(good)
    persons = personal.insert_column(0, rows["person_key"])
    if not feed.requires_person:
        persons = persons.filter(pl.col("person_key").is_not_null())
    return persons.filter(persons["person_key"].is_last_distinct())


# --- rules over columns -----------------------------------------------------------------------------------------


def _check_together(feed: Feed, columns: Mapping[str, Cleaned], wrong: dict[str, Mask], notes: _Notes) -> None:
    for rule in feed.together:
        # A wrong value counts as given.
        given = {name: ~nulls(columns[name].text) | columns[name].wrong for name in rule.columns}
        some = any_of(list(given.values()), notes.height)
        for name in rule.columns:
            missing_ = some & ~given[name]
            notes.add(RowCode.REQUIRED, name, missing_)
            wrong[name] = wrong[name] | missing_


def _check_signs(feed: Feed, columns: Mapping[str, Cleaned], wrong: dict[str, Mask], notes: _Notes) -> None:
    for rule in feed.signs:
        reversal = columns[rule.reversal_column].text.is_not_null().to_numpy()
        unclear = wrong[rule.reversal_column]
        for name in rule.columns:
            value = columns[name].value
            # Most columns hold no negative number, which their least value shows at once.
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
        # A column without any value adds nothing.
        names = [name for name in {**rule.left, **rule.right} if not _is_empty(columns[name])]
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


def _is_empty(cleaned: Cleaned) -> bool:
    return cleaned.value.null_count() == len(cleaned.value)


def _hundredths(column: Column, value: pl.Series) -> NDArray[np.int64]:
    """Values times 100 (money is in hundredths already); missing values count as 0."""
    given = value.fill_null(0) if value.null_count() else value
    return (given if column.kind is Kind.MONEY else (given * 100).cast(pl.Int64)).to_numpy()


# --- keys and content -------------------------------------------------------------------------------------------


def _content_hash(feed: Feed, columns: Mapping[str, Cleaned], wrong: Mapping[str, Mask], kept: _KeptTexts) -> pl.Series:
    """Equal for rows whose cleaned values are all equal; a wrong value counts as none, money left out as 0.

    A free text counts as it was delivered, not as the code that lands.
    """
    free = {name: (positions, texts) for name, positions, texts in kept.found}
    states = np.zeros(len(next(iter(columns.values())).text), dtype=np.uint64)
    for column in feed.columns:
        cleaned = columns[column.name]
        counted = column.kind in (Kind.MONEY, Kind.DATE, Kind.DATETIME)
        value = cleaned.value if counted else cleaned.text
        if column.name in free:
            value = patch(value, *free[column.name])
        if wrong[column.name].any():
            value = value.set(pl.Series(wrong[column.name]), None)
        if counted:
            nothing = 0 if column.default_zero else NULL
            add_integer_hashes(value.fill_null(nothing).to_numpy(), nothing, seed_of(column), states)
        else:
            content = ByteColumn(value.fill_null(""))
            bounds = (content.offsets - content.start).astype(np.int32)
            add_text_hashes(content.data, bounds[:-1], bounds[1:], seed_of(column), states)
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

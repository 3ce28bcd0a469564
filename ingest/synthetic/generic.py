"""Rows of a feed without a module of its own: they follow from its contract alone, and break none of its rules."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cached_property
from math import ceil, floor
from typing import Any

import numpy as np
import polars as pl

from ingest.contracts.loader import type_bounds
from ingest.contracts.model import Column, Feed, Kind, Role
from ingest.errors import WarehouseError
from ingest.synthetic import identities, numbering, patterns
from ingest.synthetic.draws import Index, Numbers
from ingest.synthetic.style import weights_of
from ingest.synthetic.world import Mask, Rows, World, choose, dates
from ingest.validation.cleaning import Context, clean
from ingest.validation.cleaning.amounts import precision
from ingest.validation.constants import FIRST_DATE, FIRST_MONTH, PLACEHOLDER_DATES, days_since_epoch

_DAY = 86_400
#: Kinds that are drawn as whole numbers, and the width of the range that they are drawn from: days, seconds, units.
_SPANS = {
    Kind.DATE: 3_650,
    Kind.MONTH: 3_650,
    Kind.DATETIME: 3_650 * _DAY,
    Kind.INTEGER: 300,
    Kind.NUMBER: 300,
    Kind.MONEY: 10_000,
}
_YEARS = 5  # The same for columns of years.
#: The greatest number of a kind whose SQL type has no bound, in units of its last decimal number.
_MOST = {Kind.INTEGER: Decimal(2**31 - 1), Kind.MONEY: Decimal(10**16 - 1)}
#: The same for all kinds: less than 64 bits hold.
_MOST_OF_ALL = Decimal(10**18)
#: Days after the month up to which dates that may lie ahead are drawn.
_AHEAD = 730
_CALENDAR = {Kind.DATE, Kind.MONTH, Kind.DATETIME}
#: The share of optional values that are left empty.
_EMPTY_SHARE = 0.08
#: First digits of unified social credit codes: enterprises, private schools, unions, then any.
_REGISTERS = (91, 52, 81, 89, *range(11, 100))
#: How often a value that breaks a rule of its column is drawn: often enough for a credit code of every register.
_TRIES = len(_REGISTERS) + 1


def rows(feed: Feed, world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a RowMaker
    """Rows of a feed as its contract describes them; no key comes twice.

    Raises:
        WarehouseError: Nothing that the contract allows was found for a column.
    """
    seen: set[tuple[Any, ...]] = set()
    for index in world.events(province, month, max(world.persons // len(world.provinces) // 10, 10)):
        part = Rows(index, {}, columns=_Chunk(feed, world, province, month, index).columns())
        keys = list(zip(*(part.columns[column.name].to_list() for column in feed.keys), strict=True))
        first = [key not in seen and not seen.add(key) for key in keys]  # type: ignore[func-returns-value]
        yield part.filter(np.array(first, dtype=np.bool_))


@dataclass(frozen=True)
class _Chunk:
    """Rows that are drawn together."""

    feed: Feed
    world: World
    province: int
    month: int
    index: Index

    def columns(self) -> dict[str, pl.Series]:
        person = self._persons() if self.feed.has_person else {}
        amounts = self._ordered(person) | self._summed()
        found = {}
        for column in self.feed.columns:
            if column.name in amounts:
                value = _typed(column, amounts[column.name])
            elif column.name in person:
                value = person[column.name]
            elif column.kind is Kind.FLAG:
                value = self._flags(column)
            else:
                value = self._texts(column)
            found[column.name] = value
        for group in self._left_out_together():
            none = self._none(group, found, amounts)
            found |= {column.name: found[column.name].set(pl.Series(none), None) for column in group}
        return found

    def _left_out_together(self) -> list[list[Column]]:
        """Optional columns, each with those that it is given with or not at all."""
        tied = [set(rule.columns) for rule in self.feed.together]
        groups: list[set[str]] = []
        for column in self.feed.columns:
            alone = column.required or column.kind in {Kind.CERTNO, Kind.CERT_TYPE}
            groups += [] if alone and not any(column.name in group for group in tied) else [{column.name}]
        for names in tied:
            groups = [group for group in groups if not group & names] + [
                set[str]().union(*(group for group in groups if group & names))
            ]
        return [[column for column in self.feed.columns if column.name in group] for group in groups]

    def _none(self, group: list[Column], found: Mapping[str, pl.Series], amounts: Mapping[str, Numbers]) -> Mask:
        """Rows in which the columns of a group have no value."""
        reversals = {rule.reversal_column for rule in self.feed.signs}
        summed = [column for column in group if column.name in self._in_sums]
        none = self.world.draws.share(self._purpose(group[0], "none"), self.index) < _EMPTY_SHARE
        if summed:  # 0 and no value are the same there
            none = self.index % 2 == 0
            for column in summed:
                none &= amounts[column.name] == 0
        for column in group:
            none |= (column.name in reversals) | found[column.name].is_null().to_numpy()
        for column in summed:
            if len(group) > 1 and (none & (amounts[column.name] != 0)).any():
                names = ", ".join(column.name for column in group)
                raise WarehouseError(f"{self.feed.table}: its contract allows no value for {names} together")
        return none

    def _purpose(self, column: Column, more: object) -> str:
        return f"{self.feed.table}/{column.name}/{more}"

    def _below(self, column: Column, more: object, bound: int | Numbers) -> Numbers:
        return self.world.draws.below(self._purpose(column, more), self.index, bound)

    # --- persons -----------------------------------------------------------------------------------------------------

    def _persons(self) -> dict[str, pl.Series]:
        """Columns about persons whose document the contract knows, and whose birth date is no placeholder."""
        number, document = self.feed.first(Kind.CERTNO), self.feed.first(Kind.CERT_TYPE)
        assert number is not None  # noqa: S101 - the feed has persons
        assert document is not None  # noqa: S101
        known = list(weights_of(document))
        who = self.world.anyone(self._purpose(number, "who"), self.index, self.province)
        for turn in range(_TRIES):
            person = self.world.person(who)
            other = (
                ~person["person.document"].is_in(known) | person["person.birth"].is_in(PLACEHOLDER_DATES)
            ).to_numpy()
            if not other.any():
                break
            who[other] = self.world.anyone(self._purpose(number, turn), self.index[other], self.province)
        else:
            raise WarehouseError(f"{self.feed.table}: no person was found with a document that {document.name} allows")
        sources = {number.name: "person.number", document.name: "person.document"}
        for role, source in ((Role.SEX, "person.sex"), (Role.BIRTH_DATE, "person.birth")):
            if (column := self.feed.role(role)) is not None:
                sources[column.name] = source
        return {name: person[source] for name, source in sources.items()} | {
            column.name: person[source]
            for column in self.feed.columns
            for kind, source in ((Kind.NAME, "person.name"), (Kind.MOBILE, "person.phone"))
            if column.personal and column.kind is kind and self._right(column, person[source]).all()
        }

    # --- texts -------------------------------------------------------------------------------------------------------

    def _texts(self, column: Column) -> pl.Series:
        """Texts that cleaning accepts without a warning: the usual ones, or else texts that match the pattern."""
        texts = self._usual(column, 0)
        for turn in range(1, _TRIES):
            wrong = np.flatnonzero(~self._right(column, texts))
            if not len(wrong):
                return texts
            if column.pattern is not None:
                purpose = self._purpose(column, turn)
                again = patterns.matching(column.pattern, self.world.draws, purpose, self.index[wrong])
            else:
                again = self._usual(column, turn).gather(wrong)
            texts = texts.scatter(wrong, again)
        if column.required:
            raise WarehouseError(f"{self.feed.table}: no value was found that its contract allows for {column.name}")
        return texts.set(~pl.Series(self._right(column, texts)), None)

    def _right(self, column: Column, texts: pl.Series) -> Mask:
        """Which texts are a value without an error or a warning."""
        cleaned = clean(texts, column, Context(self._last_day()))
        right = cleaned.text.is_not_null().to_numpy().copy()
        for rows in cleaned.flags.values():
            right &= ~rows
        return right

    def _usual(self, column: Column, turn: int) -> pl.Series:
        if weights := {code: weight for code, weight in weights_of(column).items() if code}:
            chosen = self.world.draws.weighted(self._purpose(column, turn), self.index, list(weights.values()))
            return choose(list(weights), chosen)
        match column.kind:
            case Kind.DIVISION:
                return pl.Series(self._divisions(column, turn)).cast(pl.String)
            case Kind.USCC:
                register = _REGISTERS[turn % len(_REGISTERS)]
                return numbering.credit_code(register, self._divisions(column, turn), self._below(column, turn, 10**9))
            case Kind.MOBILE:
                return numbering.padded("1990000", self._below(column, turn, 10_000), 4)
        room = column.max_length if column.max_length is not None else 40
        stem = f"{column.name}-"[: max(room - 7, 0)]
        width = min(max(7, (column.min_length or 0) - len(stem)), room)
        return numbering.padded(stem, self.index.astype(np.int64) % 10 ** min(width, 18), width)

    def _divisions(self, column: Column, turn: int) -> Numbers:
        divisions = np.array(self.world.divisions(self.province))
        return divisions[self._below(column, f"division/{turn}", len(divisions))]

    def _flags(self, column: Column) -> pl.Series:
        weights = {code: weight for code, weight in weights_of(column).items() if code} or {"1": 6, "0": 4}
        chosen = self.world.draws.weighted(self._purpose(column, "flag"), self.index, list(weights.values()))
        return choose(list(weights), chosen) == "1"

    # --- dates and numbers -------------------------------------------------------------------------------------------

    def _last_day(self) -> date:
        return date.fromisoformat(str(self.world.last_day(self.month)))

    @cached_property
    def _in_sums(self) -> tuple[str, ...]:
        """Columns of identities, and those that an order ties to them."""
        found = dict.fromkeys(name for rule in self.feed.sums for name in (*rule.left, *rule.right))
        for order in self.feed.orders * len(self.feed.orders):
            if order.earlier in found or order.later in found:
                found |= {order.earlier: None, order.later: None}
        return tuple(found)

    def _bounds(self, column: Column) -> tuple[int, int]:
        """The least and the greatest whole number that the contract allows, whatever other columns hold."""
        first, last = days_since_epoch(FIRST_DATE), days_since_epoch(self._last_day())
        if column.kind in _CALENDAR:
            last += _AHEAD if column.may_lie_ahead else 0
            if column.kind is Kind.MONTH:
                return days_since_epoch(FIRST_MONTH), int(_month_of(np.array(last)))
            return (first, last) if column.kind is Kind.DATE else (first * _DAY, last * _DAY + _DAY - 1)
        unit = Decimal(10) ** _places(column)
        of_type = type_bounds(column.sql_type)
        high = (_MOST_OF_ALL if of_type[1] is not None else _MOST.get(column.kind, _MOST_OF_ALL)) / unit
        low = -high
        for least, most in (of_type, (column.minimum, column.maximum)):
            low, high = max(low, low if least is None else least), min(high, high if most is None else most)
        if column.maximum_year:
            high = min(high, Decimal(self._last_day().year))
        if any(column.name in rule.columns for rule in self.feed.signs):
            low = max(low, Decimal(0))
            if any(self.feed.by_name[rule.reversal_column].required for rule in self.feed.signs):
                high = min(high, Decimal(0))
        return ceil(low * unit), floor(high * unit)

    def _ordered(self, person: Mapping[str, pl.Series]) -> dict[str, Numbers]:
        """Dates and numbers that are in no sum, each within its bounds and in the order that the contract demands."""
        names = [
            column.name for column in self.feed.columns if column.kind in _SPANS and column.name not in self._in_sums
        ]
        orders = [order for order in self.feed.orders if order.earlier in names and order.later in names]
        low, high = {}, {}
        for name in names:
            ends = self._bounds(self.feed.by_name[name])
            low[name], high[name] = (np.full(len(self.index), end, dtype=np.int64) for end in ends)
            if name in person:
                low[name] = high[name] = person[name].cast(pl.Date).cast(pl.Int32).cast(pl.Int64).to_numpy()
        for order in orders * len(orders):  # as often as a chain is long
            low[order.later] = np.maximum(low[order.later], self._from(order.later, low[order.earlier]))
            high[order.earlier] = np.minimum(high[order.earlier], self._until(order.earlier, high[order.later]))
        values = {name: self._until(name, self._near(self.feed.by_name[name], low[name], high[name])) for name in names}
        for order in orders * len(orders):
            values[order.later] = np.maximum(values[order.later], self._from(order.later, values[order.earlier]))
        return {name: _no_placeholder(self.feed.by_name[name], value) for name, value in values.items()}

    def _until(self, name: str, value: Numbers) -> Numbers:
        """The last value of a column that is not above another's: of a month its first day."""
        return _month_of(value) if self.feed.by_name[name].kind is Kind.MONTH else value

    def _from(self, name: str, value: Numbers) -> Numbers:
        """The first value of a column that is not below another's."""
        if self.feed.by_name[name].kind is not Kind.MONTH:
            return value
        first = _month_of(value)
        return np.where(first == value, first, _month_of(first + 31))

    def _near(self, column: Column, low: Numbers, high: Numbers) -> Numbers:
        """Values near the end of the month, the last year, or nothing: as near as the bounds allow."""
        if (low > high).any():
            raise WarehouseError(f"{self.feed.table}: its contract allows no value for {column.name}")
        span = _YEARS if column.maximum_year else _span(column)
        if column.kind in _CALENDAR or column.maximum_year:
            low = np.maximum(low, self._from(column.name, high - span))
        else:
            anchor = np.clip(0, low, high)
            low, high = np.where(anchor == high, np.maximum(low, high - span), anchor), np.minimum(high, anchor + span)
        return low + self._below(column, "value", high - low + 1)

    def _summed(self) -> dict[str, Numbers]:
        """Amounts that keep every identity, hard and soft, and the orders among them."""
        columns = [self.feed.by_name[name] for name in self._in_sums]
        if not columns:
            return {}
        rules = [
            ({name: rule.left.get(name, 0) - rule.right.get(name, 0) for name in {**rule.left, **rule.right}}, rule.op)
            for rule in self.feed.sums
        ]
        rules += [
            ({order.earlier: 1, order.later: -1}, "<=") for order in self.feed.orders if order.earlier in self._in_sums
        ]
        # all in hundredths where all are money, else in whole units
        cents = all(column.kind is Kind.MONEY for column in columns)
        steps = [1 if cents else 10 ** _places(column) for column in columns]
        ends = [self._bounds(column) for column in columns]
        low = [max(-(-least // step), 0) for (least, _), step in zip(ends, steps, strict=True)]
        high = [most // step for (_, most), step in zip(ends, steps, strict=True)]
        found = identities.drawn(
            identities.edges([column.name for column in columns], rules),
            np.array(low, dtype=np.int64),
            np.array(high, dtype=np.int64),
            _span(columns[0]) // steps[0],
            self.world.draws,
            f"{self.feed.table}/sums",
            self.index,
        )
        if found is None:
            raise WarehouseError(f"{self.feed.table}: no amounts were found that keep the sums of its contract")
        return {column.name: found[:, number] * steps[number] for number, column in enumerate(columns)}


def _places(column: Column) -> int:
    """Decimal places of a column's numbers."""
    if column.kind is Kind.MONEY:
        return 2
    if column.kind is not Kind.NUMBER:
        return 0
    given = [-int(end.as_tuple().exponent) for end in (column.minimum, column.maximum) if end is not None]
    return min(precision(column, (28, 10))[1], max(0, *given) if given else 0)


def _month_of(days: Numbers) -> Numbers:
    """The first day of the month of each day, both counted from 1970."""
    return days.astype("datetime64[D]").astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)


def _span(column: Column) -> int:
    return _SPANS[column.kind] * 10 ** _places(column)


def _no_placeholder(column: Column, value: Numbers) -> Numbers:
    """A placeholder date becomes the day after it, which keeps the order of dates."""
    if column.kind not in {Kind.DATE, Kind.DATETIME}:
        return value
    unit = 1 if column.kind is Kind.DATE else _DAY
    placeholders = [days_since_epoch(day) for day in PLACEHOLDER_DATES]
    return value + np.isin(value // unit, placeholders) * unit


def _typed(column: Column, value: Numbers) -> pl.Series:
    """Whole numbers as values of the column's kind; amounts of money stay hundredths."""
    match column.kind:
        case Kind.DATE | Kind.MONTH:
            return dates(value.astype("datetime64[D]"))
        case Kind.DATETIME:
            return pl.Series((value * 1_000).astype("datetime64[ms]"))
        case Kind.NUMBER:
            places = _places(column)
            return pl.Series(
                [Decimal(number).scaleb(-places) for number in value.tolist()], dtype=pl.Decimal(38, places)
            )
    return pl.Series(value)

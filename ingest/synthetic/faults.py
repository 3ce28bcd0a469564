"""Wrong rows for every row code, derived from the contract."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from ingest.contracts.model import Column, Feed, Kind
from ingest.errors import RowCode
from ingest.validation.constants import FIRST_DATE

Cells = dict[str, str]

_WRONG_TYPES = {
    Kind.DATE: "昨天",
    Kind.MONTH: "2024-1",
    Kind.DATETIME: "上午",
    Kind.INTEGER: "12a",
    Kind.NUMBER: "十",
    Kind.MONEY: "12.345",
    Kind.FLAG: "也许",
}
_LONG_AGO = FIRST_DATE.replace(year=FIRST_DATE.year - 50, month=5, day=5).isoformat()
_BEFORE_ALL = "1990-01-02"
_NO_CODE = "8z"


@dataclass(frozen=True)
class Fault:
    """What is done to a row so that it is rejected for ``code``.

    ``apply`` changes the cells in place; None for faults of the row as a whole.
    """

    code: RowCode
    column: str | None = None
    apply: Callable[[Cells], None] | None = None

    @property
    def rows(self) -> int:
        """How many rows it causes to be rejected."""
        return 2 if self.code is RowCode.KEY_DUPLICATE else 1


def faults(feed: Feed) -> list[Fault]:
    """Every fault that a row of this feed can have; the codes alternate."""
    by_code: dict[RowCode, list[Fault]] = defaultdict(list)
    for fault in (*_of_columns(feed), *_of_rules(feed)):
        by_code[fault.code].append(fault)
    for code in (RowCode.KEY_DUPLICATE, RowCode.REPEAT, RowCode.COLUMNS):
        by_code[code].append(Fault(code))
    turns = max(map(len, by_code.values()))
    return [found[turn] for turn in range(turns) for found in by_code.values() if turn < len(found)]


def _of_columns(feed: Feed) -> Iterator[Fault]:
    for column in feed.columns:
        name = column.name
        if column.required:
            yield Fault(RowCode.REQUIRED, name, _sets({name: ""}))
        if column.kind in _WRONG_TYPES:
            yield Fault(RowCode.TYPE, name, _sets({name: _WRONG_TYPES[column.kind]}))
        if column.max_length is not None:
            yield Fault(RowCode.LENGTH, name, _sets({name: "长" * (column.max_length + 1)}))
        if column.code_list is not None and column.code_match != "open" and column.kind is not Kind.CERT_TYPE:
            yield Fault(RowCode.CODE, name, _sets({name: _NO_CODE}))
        if column.pattern is not None and column.pattern_code == RowCode.PATTERN:
            yield Fault(RowCode.PATTERN, name, _sets({name: "4-1-2"}))
        if column.kind is Kind.DATE and not any(rule.earlier == name for rule in feed.orders):
            yield Fault(RowCode.RANGE, name, _sets({name: _LONG_AGO}))
        if column.kind is Kind.MONTH:
            yield Fault(RowCode.RANGE, name, _sets({name: _LONG_AGO}))
        if column.kind is Kind.INTEGER and column.minimum is not None:
            yield Fault(RowCode.RANGE, name, _sets({name: str(column.minimum - 1)}))
        if column.kind is Kind.USCC:
            yield Fault(RowCode.USCC, name, _sets({name: "91O10203000000001X"}))
        yield from _of_identity(feed, column)


def _of_identity(feed: Feed, column: Column) -> Iterator[Fault]:
    kind = feed.first(Kind.CERT_TYPE)
    if column.kind is not Kind.CERTNO or kind is None:
        return
    card = {kind.name: "01"}
    yield Fault(RowCode.ID, column.name, _sets(card | {column.name: "119901198001010013"}))
    yield Fault(RowCode.SCI, column.name, _sets(card | {column.name: "1.19901E+17"}))
    yield Fault(RowCode.ID, column.name, _sets(card | {column.name: "123"}))


def _of_rules(feed: Feed) -> Iterator[Fault]:
    for order in feed.orders:
        yield Fault(RowCode.ORDER, order.later, _sets({order.later: _BEFORE_ALL}))
    for group in feed.together:
        left_out, given = group.columns[:2]
        yield Fault(RowCode.REQUIRED, left_out, _sets({left_out: "", given: _valid(feed.by_name[given])}))
    for identity in feed.sums:
        if identity.hard:
            cells = {next(iter(identity.left)): _large(feed.by_name[next(iter(identity.left))])}
            if identity.op == "<=":  # checked only where the right side has a value
                cells |= {name: "1" for name in identity.right if not feed.by_name[name].required}
            yield Fault(RowCode.SUM, None, _sets(cells))
    for sign in feed.signs:
        last = sign.columns[-1]  # the amount that the fewest sums need
        yield Fault(RowCode.RANGE, last, _sets({last: "-1.00", sign.reversal_column: ""}))


def _large(column: Column) -> str:
    """A large number that the column allows."""
    if column.kind is Kind.MONEY:
        return "9999999.99"
    return str(min(Decimal(99_999), Decimal(99_999) if column.maximum is None else column.maximum))


def _valid(column: Column) -> str:
    """A valid value of the column."""
    if column.code_list is not None:
        return next(iter(column.code_list.codes))
    return {Kind.DATE: "2020-02-02", Kind.MONTH: "2020-02"}.get(column.kind, "1")


def _sets(cells: Mapping[str, str]) -> Callable[[Cells], None]:
    def apply(row: Cells) -> None:
        row.update(cells)

    return apply


@dataclass(frozen=True)
class FaultyRows:
    """A frame with invalid rows, and rows with a field too many, to be written after it."""

    frame: pl.DataFrame
    ragged: list[list[str]]


def add_faults(feed: Feed, frame: pl.DataFrame, chosen: list[Fault]) -> FaultyRows:
    """Changes a row for each fault, evenly over the frame; duplicated rows are added at the end.

    Args:
        feed: the contract.
        frame: text as it would be written.
        chosen: at most as many as a third of the rows.
    """
    step = frame.height // max(len(chosen), 1)
    changed: dict[int, Cells] = {}
    added: list[Cells] = []
    ragged: list[list[str]] = []
    for number, fault in enumerate(chosen):
        row = dict(frame.row(number * step, named=True))
        match fault.code:
            case RowCode.REPEAT:
                added.append(row)
            case RowCode.KEY_DUPLICATE:
                _differ(feed, row)
                added.append(row)
            case RowCode.COLUMNS:
                ragged.append([*row.values(), "多余"])
            case _ if fault.apply is not None:
                fault.apply(row)
                changed[number * step] = row
    if changed:
        rows = list(changed)
        frame = frame.with_columns(
            frame[name].clone().scatter(rows, [cells[name] for cells in changed.values()]) for name in frame.columns
        )
    if added:
        frame = pl.concat([frame, pl.DataFrame(added, schema=frame.schema)])
    return FaultyRows(frame, ragged)


def _differ(feed: Feed, row: Cells) -> None:
    """Changes a column outside the key: a text, which stays valid, or else an optional value, which is removed."""
    others = [column for column in feed.columns if not column.key]
    for column in others:
        room = (column.max_length or 99) > len(row[column.name]) + 1
        if column.kind in {Kind.NAME, Kind.TEXT} and column.pattern is None and room:
            row[column.name] = "另" + row[column.name].strip()
            return
    for column in others:
        if row[column.name] and not column.required:
            row[column.name] = ""
            return

"""Wrong rows of every row code, made from the contract: whatever it forbids, some row does."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import polars as pl

from ingest.contracts.model import Column, Feed, Kind
from ingest.errors import RowCode

Cells = dict[str, str]

_WORDS = {
    Kind.DATE: "昨天",
    Kind.DATETIME: "上午",
    Kind.INTEGER: "12a",
    Kind.NUMBER: "十",
    Kind.MONEY: "12.345",
    Kind.FLAG: "也许",
}
_LONG_AGO = "1850-05-05"
_BEFORE_ALL = "1990-01-02"
_NO_CODE = "8z"


@dataclass(frozen=True)
class Fault:
    """What is done to a row so that it is rejected for ``code``.

    ``spoil`` changes the cells in place; None for what concerns the row as a whole.
    """

    code: RowCode
    column: str | None = None
    spoil: Callable[[Cells], None] | None = None

    @property
    def rows(self) -> int:
        """How many rows are rejected for it."""
        return 2 if self.code is RowCode.KEY_DUPLICATE else 1


def faults(feed: Feed) -> list[Fault]:
    """Every fault that a row of this feed can have, the codes taking turns."""
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
        if column.kind in _WORDS:
            yield Fault(RowCode.TYPE, name, _sets({name: _WORDS[column.kind]}))
        if column.max_length is not None:
            yield Fault(RowCode.LENGTH, name, _sets({name: "长" * (column.max_length + 1)}))
        if column.code_list is not None and column.code_match != "open" and column.kind is not Kind.CERT_TYPE:
            yield Fault(RowCode.CODE, name, _sets({name: _NO_CODE}))
        if column.pattern is not None and column.pattern_code == RowCode.PATTERN:
            yield Fault(RowCode.PATTERN, name, _sets({name: "4-1-2"}))
        if column.kind is Kind.DATE and not any(rule.earlier == name for rule in feed.orders):
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
    for identity in feed.sums:
        if identity.hard:
            yield Fault(RowCode.SUM, None, _sets({next(iter(identity.left)): "9999999.99"}))
    for sign in feed.signs:
        last = sign.columns[-1]  # the one that fewest identities need
        yield Fault(RowCode.RANGE, last, _sets({last: "-1.00", sign.reversal_column: ""}))


def _sets(cells: Mapping[str, str]) -> Callable[[Cells], None]:
    def spoil(row: Cells) -> None:
        row.update(cells)

    return spoil


@dataclass(frozen=True)
class Spoilt:
    """A frame with wrong rows in it, and lines to be written behind it with a field too many."""

    frame: pl.DataFrame
    ragged: list[list[str]]


def spoil(feed: Feed, frame: pl.DataFrame, wanted: list[Fault]) -> Spoilt:
    """Spoils one row a fault, evenly over the frame; doubled rows are added at the end.

    Args:
        feed: the contract.
        frame: text as it would be written.
        wanted: at most as many as a third of the rows.
    """
    step = frame.height // max(len(wanted), 1)
    changed: dict[int, Cells] = {}
    added: list[Cells] = []
    ragged: list[list[str]] = []
    for place, fault in enumerate(wanted):
        row = dict(frame.row(place * step, named=True))
        match fault.code:
            case RowCode.REPEAT:
                added.append(row)
            case RowCode.KEY_DUPLICATE:
                _differ(feed, row)
                added.append(row)
            case RowCode.COLUMNS:
                ragged.append([*row.values(), "多余"])
            case _ if fault.spoil is not None:
                fault.spoil(row)
                changed[place * step] = row
    if changed:
        rows = list(changed)
        frame = frame.with_columns(
            frame[name].clone().scatter(rows, [cells[name] for cells in changed.values()]) for name in frame.columns
        )
    if added:
        frame = pl.concat([frame, pl.DataFrame(added, schema=frame.schema)])
    return Spoilt(frame, ragged)


def _differ(feed: Feed, row: Cells) -> None:
    """Changes something that is no part of the key, and stays right."""
    column = next(
        column
        for column in feed.columns
        if not column.key
        and column.kind in {Kind.NAME, Kind.TEXT}
        and (column.max_length or 99) > len(row[column.name]) + 1
    )
    row[column.name] = "另" + row[column.name].strip()

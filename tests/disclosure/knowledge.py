"""From published rows to linear constraints over what they do not show."""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any, NamedTuple

from tests.disclosure import relations
from tests.disclosure.published import Marts, Row, rules
from tests.disclosure.relations import COUNTRY, DIVISION, INDICATORS, MONTH, SENDER
from tests.oracle.base import add_months

#: Most persons of a suppressed row, unless it follows a smaller one.
SMALL = 10
#: More than any count; it stands for "no bound".
MANY = 10**6
INFINITE = float("inf")


class Cell(NamedTuple):
    """A number that a mart does not show."""

    mart: str
    key: tuple[str, ...]
    measure: str


@dataclass
class Constraint:
    """A linear expression over cells, and the bounds between which it lies."""

    terms: dict[Cell, int]
    low: float
    high: float


@dataclass
class Knowledge:
    """All that is known of the cells: whole numbers within bounds, with constraints between them."""

    bounds: dict[Cell, tuple[float, float]] = field(default_factory=dict)
    constraints: list[Constraint] = field(default_factory=list)
    #: What an attack is after; the other cells are its aids.
    attacked: list[Cell] = field(default_factory=list)

    def narrow(self, cell: Cell, low: float = 0, high: float = MANY) -> Cell:
        """Bounds of a cell, beside those that are known already."""
        known = self.bounds.get(cell, (0, MANY))
        self.bounds[cell] = max(known[0], low), min(known[1], high)
        return cell

    def relate(self, terms: Iterable[tuple[int, Cell | int]], low: float, high: float) -> None:
        """Low ≤ Σ factor × cell ≤ high; numbers that are published go to the bounds."""
        unknown: dict[Cell, int] = defaultdict(int)
        shown = 0
        for factor, term in terms:
            if isinstance(term, Cell):
                unknown[self.narrow(term)] += factor
            else:
                shown += factor * term
        if unknown:
            self.constraints.append(Constraint(dict(unknown), low - shown, high - shown))
        elif not low <= shown <= high:
            raise AssertionError(f"published figures contradict the relations: {low} <= {shown} <= {high}")


def knowledge_of(marts: Marts) -> Knowledge:
    """What a reader of marts knows."""
    known = Knowledge()
    for mart, rule in rules().items():
        if mart != INDICATORS:
            _learn_cells(known, mart, rule, marts[mart])
    for first, measure, second, other in relations.SAME:
        there = {_division(row): row for row in marts[second]}
        for row in marts[first]:
            if (twin := there.get(_division(row))) is not None:
                known.relate([(1, _term(first, row, measure)), (-1, _term(second, twin, other))], 0, 0)
    for total in relations.SUMS:
        _learn_sums(known, total, marts)
    _learn_unsummed(known, marts)
    return known


def _division(row: Row) -> tuple[str, ...]:
    return row[MONTH], row[SENDER], row[DIVISION]


def place_of(mart: str, row: Row) -> tuple[str, ...]:
    """What tells the rows of a mart apart: its group and category, or all its codes."""
    rule = rules()[mart]
    names = [*rule["group"], rule["category"]] if "category" in rule else [n for n in row if isinstance(row[n], str)]
    return tuple(row[name] for name in names)


def _term(mart: str, row: Row, measure: str) -> Cell | int:
    """A published number, or the cell that is not shown."""
    value = row[measure]
    return Cell(mart, place_of(mart, row), measure) if value is None else value


# -- cells of one mart ------------------------------------------------------------------------------------------------


def _learn_cells(known: Knowledge, mart: str, rule: dict[str, Any], rows: list[Row]) -> None:
    """The rule itself, and what holds within rows and between a row of all and its parts."""
    groups: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(row[name] for name in rule["group"])].append(row)
        if row["is_suppressed"]:
            known.attacked += [known.narrow(Cell(mart, place_of(mart, row), name)) for name in _hidden(row)]
        for text in relations.WITHIN.get(mart, ()):
            _learn_within(known, mart, row, text)
    if "category" in rule:
        for group in groups.values():
            _learn_group(known, mart, rule, group)


def _hidden(row: Row) -> list[str]:
    """Measures of a row that are hidden, without those that follow from others (quotients)."""
    return [name for name, value in row.items() if value is None and not name.endswith(("_rate", "_name", "_label"))]


def _learn_within(known: Knowledge, mart: str, row: Row, text: str) -> None:
    left, sign, right = re.split(r" (<=|=) ", text)
    terms = [
        (factor, _term(mart, row, name)) for side, factor in ((left, 1), (right, -1)) for name in side.split(" + ")
    ]
    known.relate(terms, 0 if sign == "=" else -INFINITE, 0)


def _learn_group(known: Knowledge, mart: str, rule: dict[str, Any], rows: list[Row]) -> None:
    """Few persons stand behind suppressed rows, save for one row that follows a small one."""
    total, category, persons = rule.get("total"), rule["category"], rule["persons"]
    parts = [row for row in rows if row[category] != total]
    hidden = [_term(mart, row, persons) for row in parts if row["is_suppressed"]]
    cells = [cell for cell in hidden if isinstance(cell, Cell)]
    shown = [row[persons] for row in parts if not row["is_suppressed"] and row[persons] > 0]
    learn_small(known, cells, shown, exactly=True)
    for of_all in (row for row in rows if row[category] == total):
        if of_all["is_suppressed"] and isinstance(cell := _term(mart, of_all, persons), Cell):
            known.narrow(cell, 1, SMALL)
        for measure in relations.DISTINCT.get(mart, ()):
            everybody = _term(mart, of_all, measure)
            terms = [_term(mart, row, measure) for row in parts]
            for term in terms:
                known.relate([(1, everybody), (-1, term)], 0, INFINITE)
            known.relate([(1, everybody), *((-1, term) for term in terms)], -INFINITE, 0)


def learn_small(known: Knowledge, cells: Sequence[Cell], shown: Sequence[int], *, exactly: bool) -> None:
    """Numbers of persons of suppressed rows of one group.

    Each is 1 to 10. Of two rows one may be the smallest row above 10, which is suppressed so that the other is not alone.

    Args:
        known: Gets what follows.
        cells: The numbers that are suppressed.
        shown: Numbers above 0 that the group shows.
        exactly: Whether ``cells`` are all suppressed ones. Otherwise some of them may be no row at all: 0.
    """
    low = 1 if exactly else 0
    if exactly and len(cells) != 2:
        for cell in cells:
            known.narrow(cell, low, SMALL)
        return
    largest = min(shown, default=MANY)
    followers = []
    for cell in cells:
        known.narrow(cell, low, max(largest, SMALL))
        if largest > SMALL:
            follower = known.narrow(Cell("follows", (cell.mart, *cell.key), cell.measure), 0, 1)
            followers.append(follower)
            known.relate([(1, cell), (SMALL - largest, follower)], -INFINITE, SMALL)
            known.relate([(1, cell), (-SMALL - 1, follower)], 0, INFINITE)
    if followers:
        known.relate([(1, follower) for follower in followers], 0, 1)


# -- indicators -------------------------------------------------------------------------------------------------------


def _learn_sums(known: Knowledge, total: relations.Sum, marts: Marts) -> None:
    """Provinces are sums of rows of a mart, the country is the sum of provinces."""
    months: dict[str, dict[str, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in marts[total.mart]:
        if all(row[name] == value for name, value in total.where.items()):
            month = add_months(date.fromisoformat(row[MONTH]), total.months_later).isoformat()
            months[month][row[SENDER]].append(row)
    shown = _shown(marts, total.indicator)
    last = max((month for month, _ in shown), default="")
    for month, provinces in months.items():
        if month > last or not any(of == month for of, _ in shown):
            continue  # months that the indicator does not have (see Sum): nothing is said of them
        for sender, rows in provinces.items():
            for place, column in (("numerator", total.numerator), ("denominator", total.denominator)):
                if column is not None:
                    whole = _indicator(total.indicator, month, sender, place, shown)
                    known.relate([(1, whole), *((-1, _term(total.mart, row, column)) for row in rows)], 0, 0)
        _learn_country(known, total.indicator, month, sorted(provinces), shown, always=total.always)


def _learn_unsummed(known: Knowledge, marts: Marts) -> None:
    """Indicators whose parts no mart shows: any sender may have one."""
    senders = sorted({row[SENDER] for row in marts["insurance_coverage_month"]})
    for indicator in relations.WITHOUT_PARTS:
        shown = _shown(marts, indicator)
        for month in sorted({month for month, _ in shown}):
            _learn_country(known, indicator, month, senders, shown, always=False)


def _shown(marts: Marts, indicator: str) -> dict[tuple[str, str], Row]:
    return {(row[MONTH], row[DIVISION]): row for row in marts[INDICATORS] if row["indicator"] == indicator}


def _indicator(indicator: str, month: str, place: str, column: str, shown: dict[tuple[str, str], Row]) -> Cell | int:
    row = shown.get((month, place))
    return Cell(INDICATORS, (indicator, month, place), column) if row is None else int(row[column])


def _learn_country(
    known: Knowledge,
    indicator: str,
    month: str,
    provinces: list[str],
    shown: dict[tuple[str, str], Row],
    *,
    always: bool,
) -> None:
    numerators = [_indicator(indicator, month, sender, "numerator", shown) for sender in provinces]
    removed = [cell for cell in numerators if isinstance(cell, Cell)]
    known.attacked += [known.narrow(cell) for cell in removed]
    learn_small(known, removed, [n for n in numerators if isinstance(n, int) and n > 0], exactly=always)
    for column in ("numerator", "denominator"):
        whole = _indicator(indicator, month, COUNTRY, column, shown)
        if isinstance(whole, Cell) and column == "numerator":
            known.attacked.append(known.narrow(whole, 1 if always else 0, SMALL))
        parts = [_indicator(indicator, month, sender, column, shown) for sender in provinces]
        known.relate([(1, whole), *((-1, part) for part in parts)], 0, 0)


def components(known: Knowledge) -> Iterator[tuple[list[Cell], list[Constraint]]]:
    """Sets of cells that have nothing to do with each other, and their constraints; cells without constraints are none."""
    parent: dict[Cell, Cell] = {}

    def root(cell: Cell) -> Cell:
        while (up := parent.setdefault(cell, cell)) != cell:
            parent[cell] = parent[up]
            cell = up
        return cell

    for one in known.constraints:
        first, *others = one.terms
        for cell in others:
            parent[root(cell)] = root(first)
        root(first)
    cells: dict[Cell, list[Cell]] = defaultdict(list)
    constraints: dict[Cell, list[Constraint]] = defaultdict(list)
    for cell in parent:
        cells[root(cell)].append(cell)
    for one in known.constraints:
        constraints[root(next(iter(one.terms)))].append(one)
    for top, members in cells.items():
        yield members, constraints[top]

"""The attack: which cells do the constraints leave one value only?"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy import linalg
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from tests.disclosure.knowledge import Cell, Constraint, Knowledge, Marts, components, knowledge_of

#: Solutions in random directions, before each cell that is the same in all of them is minimised and maximised by itself.
_TRIES = 6
#: Distance below which two numbers are the same; counts are whole.
_NEAR = 1e-5


@dataclass(frozen=True)
class Finding:
    """A suppressed cell with one value left.

    Attributes:
        cell: The cell.
        value: The value.
        by_sums: Whether sums and differences of published numbers give it; otherwise bounds are needed too.
    """

    cell: Cell
    value: int
    by_sums: bool


@dataclass
class Result:
    """Cells that were attacked, and what was found."""

    attacked: list[Cell]
    findings: list[Finding]


def attack(marts: Marts) -> Result:
    """Look for suppressed cells that follow from all that is published.

    Raises:
        AssertionError: The published figures contradict the relations, so one of the two is wrong.
    """
    known = knowledge_of(marts)
    wanted = set(known.attacked)
    findings = [
        Finding(cell, int(low), by_sums=False)
        for cell, (low, high) in known.bounds.items()
        if cell in wanted and low == high and not any(cell in one.terms for one in known.constraints)
    ]
    everything = list(components(known))
    left = _first_look(known, everything, wanted)
    for cells, constraints in everything:
        if some := {cell: left[cell] for cell in cells if cell in left}:
            findings += _attack(known, cells, constraints, some)
    return Result(sorted(wanted), sorted(findings, key=lambda one: one.cell))


def _first_look(
    known: Knowledge, everything: list[tuple[list[Cell], list[Constraint]]], wanted: set[Cell]
) -> dict[Cell, int]:
    """Cells that are the same in a few solutions of all constraints at once, and their values: few are left."""
    cells = [cell for some, _ in everything for cell in some]
    if not wanted.intersection(cells):
        return {}
    system = System(known, cells, [one for _, some in everything for one in some])
    left = system.alike([number for number, cell in enumerate(cells) if cell in wanted])
    return {cells[number]: value for number, value in left.items()}


def _attack(
    known: Knowledge, cells: list[Cell], constraints: list[Constraint], left: dict[Cell, int]
) -> Iterable[Finding]:
    system = System(known, cells, constraints)
    single = system.single({number: left[cell] for number, cell in enumerate(cells) if cell in left})
    if single:
        by_sums = system.by_sums()
        for number, value in single.items():
            yield Finding(cells[number], value, by_sums=bool(by_sums[number]))


class System:
    """Cells as columns of a matrix, constraints as its rows."""

    def __init__(self, known: Knowledge, cells: list[Cell], constraints: list[Constraint]) -> None:
        column = {cell: number for number, cell in enumerate(cells)}
        entries = [
            (row, column[cell], factor) for row, one in enumerate(constraints) for cell, factor in one.terms.items()
        ]
        rows, columns, factors = zip(*entries, strict=True)
        self._matrix = csr_array((factors, (rows, columns)), shape=(len(constraints), len(cells)), dtype=float)
        self._low = np.array([one.low for one in constraints], dtype=float)
        self._high = np.array([one.high for one in constraints], dtype=float)
        limits = np.array([known.bounds[cell] for cell in cells], dtype=float)
        self._bounds = Bounds(limits[:, 0], limits[:, 1])
        self._size = len(cells)

    def by_sums(self) -> np.ndarray:
        """For each cell, whether the equations alone determine it: no solution of the homogeneous system moves it."""
        equations = self._matrix.toarray()[self._low == self._high]
        if not len(equations):
            return np.zeros(self._size, dtype=bool)
        free: np.ndarray = np.abs(linalg.null_space(equations)).max(axis=1, initial=0)
        return free < _NEAR

    def alike(self, wanted: list[int]) -> dict[int, int]:
        """Of some cells those that have one value in solutions of several random directions, and that value."""
        directions = np.random.default_rng(1).choice([-1.0, 1.0], size=(_TRIES, self._size))
        directions[0], directions[1] = 1, -1
        first = self._solve(directions[0])
        left = {number: round(first[number]) for number in wanted}
        for direction in directions[1:]:
            left = _agreeing(left, self._solve(direction))
        return left

    def single(self, left: dict[int, int]) -> dict[int, int]:
        """Of cells with a value that one solution gives them those that have no other, by their least and greatest value."""
        for number in list(left):
            for sign in (1, -1):
                if number in left:
                    direction = np.zeros(self._size)
                    direction[number] = sign
                    left = _agreeing(left, self._solve(direction))
        return left

    def _solve(self, direction: np.ndarray) -> np.ndarray:
        found = milp(
            direction,
            constraints=LinearConstraint(self._matrix, self._low, self._high),
            bounds=self._bounds,
            integrality=np.ones(self._size),
        )
        assert found.x is not None, f"the published figures contradict the relations: {found.message}"
        return np.asarray(found.x)


def _agreeing(left: dict[int, int], solution: np.ndarray) -> dict[int, int]:
    return {number: value for number, value in left.items() if abs(solution[number] - value) < 0.5}

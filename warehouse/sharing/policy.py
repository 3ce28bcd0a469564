"""What may be shared at all: the seeds ``share_purpose``, ``share_never`` and ``share_resource`` of the dbt project."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from warehouse.build.dbt import PROJECT

SEEDS = PROJECT / "seeds"
#: In ``share_never``: every relation.
EVERY_RELATION = "*"


@dataclass(frozen=True)
class Never:
    """A relation, or a column of it, that is shared for the excepted purposes at most."""

    relation: str
    column: str  # empty: the whole relation
    purposes_excepted: frozenset[str]
    reason: str

    def forbids(self, relation: str, column: str, purpose: str) -> bool:
        """Whether this row forbids a column (empty: the relation itself) for a purpose."""
        return (
            self.relation in (EVERY_RELATION, relation)
            and self.column == column
            and purpose not in self.purposes_excepted
        )


@dataclass(frozen=True)
class Offer:
    """A resource that the catalogue offers before anybody asks: how it is shared, for what, on which basis."""

    attribute: str  # unconditional, conditional
    purposes: frozenset[str]
    basis_kinds: tuple[str, ...]


@dataclass(frozen=True)
class Policy:
    """The seeds as they are read for every check."""

    purposes: dict[str, frozenset[str]]  # code -> sources that may serve it
    never: tuple[Never, ...]
    offers: dict[str, Offer] = field(default_factory=dict)  # by resource

    def forbidden(self, relation: str, column: str, purpose: str) -> str | None:
        """Why a column (empty: the relation itself) is not shared for a purpose; None where it may be."""
        return next((row.reason for row in self.never if row.forbids(relation, column, purpose)), None)


def load(seeds: Path = SEEDS) -> Policy:
    """Read the seeds."""
    return Policy(
        purposes={row["code"]: frozenset(row["sources"].split()) for row in _rows(seeds / "share_purpose.csv")},
        never=tuple(
            Never(row["relation"], row["column_name"], frozenset(row["purposes_excepted"].split()), row["reason"])
            for row in _rows(seeds / "share_never.csv")
        ),
        offers={
            row["resource"]: Offer(
                row["attribute"], frozenset(row["purposes"].split()), tuple(row["basis_kinds"].split())
            )
            for row in _rows(seeds / "share_resource.csv")
        },
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)

"""Which rows of a published relation a login sees: its rule, and the condition in the relation's view.

The rule of a relation follows from its dbt model. ``meta.division`` names the column with the division of a row, or is
one of two words, with the reason in ``meta.division_reason``:

``everyone``  its rows are for all who may read the relation;
``country``   its rows are for logins that see the whole country: they tell of persons, and not where these belong.

Without it the first of ``CONVENTION`` that is a column of the model is meant. Where that may be empty, the next one
takes its place: a row without a region belongs to its sender, as in the figures.
"""

import csv
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from psycopg import sql

from ingest.errors import WarehouseError

#: The code that stands for the whole country: rows that bear it are for everyone, a login that has it sees everything.
COUNTRY = "100000"
#: Columns with the division of a row, in the order in which they are taken.
CONVENTION = ("admdvs", "insu_admdvs", "sender")

_SEED = Path(__file__).resolve().parents[2] / "dbt_project" / "seeds" / "division.csv"


@dataclass(frozen=True)
class DivisionRule:
    """Whose the rows of a relation are: of the division in the first of ``columns`` with a value, or of ``scope``."""

    scope: Literal["division", "everyone", "country"]
    columns: tuple[str, ...] = ()


EVERYONE, WHOLE_COUNTRY = DivisionRule("everyone"), DivisionRule("country")


def rule_of(model: str, meta: Mapping[str, Any], columns: Mapping[str, Mapping[str, Any]]) -> DivisionRule:
    """The rule of a model.

    Args:
        model: Its name, for messages.
        meta: Its ``meta``.
        columns: Its columns by name, as dbt's manifest has them.

    Raises:
        WarehouseError: It has no rule, a column that the model does not have, or a word without a reason.
    """
    word = meta.get("division")
    if word in ("everyone", "country"):
        if not str(meta.get("division_reason") or "").strip():
            raise WarehouseError(f"{model}: meta.division is {word!r}, so meta.division_reason must say why.")
        return EVERYONE if word == "everyone" else WHOLE_COUNTRY
    if word is not None and word not in columns:
        raise WarehouseError(f"{model}: meta.division is {word!r}, which is no column of it.")
    if word is not None:
        return DivisionRule("division", (word,))
    chosen: list[str] = []
    for name in CONVENTION:
        if name in columns:
            chosen.append(name)
            if any(constraint.get("type") == "not_null" for constraint in columns[name].get("constraints") or ()):
                break
    if not chosen:
        raise WarehouseError(
            f"{model} has none of the columns {', '.join(CONVENTION)}: say in its yml with meta.division which "
            "column has the division of a row, or 'everyone' or 'country' with meta.division_reason."
        )
    return DivisionRule("division", tuple(chosen))


def condition(rule: DivisionRule, columns: Collection[str]) -> sql.Composable | None:
    """The condition of a view that shows a login its rows; None: all rows are for everyone.

    Each subquery stands alone, so that PostgreSQL evaluates it once a query, and the second only for a login that does
    not see the whole country.

    Args:
        rule: Of the relation.
        columns: Columns of the table behind the view. An older build may lack those of the rule: then its rows are for
            logins that see the whole country.
    """
    if rule.scope == "everyone":
        return None
    sees_country = sql.SQL("(SELECT sees_country FROM ops.login_division WHERE login = session_user)")
    present = [sql.Identifier(column) for column in rule.columns if column in columns]
    if not present:
        return sees_country
    division = present[0] if len(present) == 1 else sql.SQL("coalesce({})").format(sql.SQL(", ").join(present))
    return sql.SQL(
        "{sees_country} OR {division} = {country}"
        " OR {division} ^@ ANY ((SELECT divisions FROM ops.login_division WHERE login = session_user)::text[])"
    ).format(sees_country=sees_country, division=division, country=sql.Literal(COUNTRY))


def parse(text: str) -> list[str]:
    """The beginnings of division codes that ``44,350200`` names, in order: ``3502`` and ``44``.

    Raises:
        WarehouseError: No code, or one that begins no code of the list of divisions.
    """
    found: set[str] = set()
    for part in filter(None, re.split(r"[,，\s]+", text)):
        code = part if part == COUNTRY else re.sub(r"^(\d\d(?:\d\d)*?)(00)*$", r"\1", part)
        if code != COUNTRY and (not re.fullmatch(r"\d\d(\d\d){0,2}", code) or code not in _known()):
            raise WarehouseError(
                f"{part!r} is no division: write codes of 2, 4 or 6 digits as 44, 4401 or 440103, divided by commas; "
                f"{COUNTRY} is the whole country."
            )
        found.add(code)
    if not found:
        raise WarehouseError(f"Name at least one division, as 44 or 4401; {COUNTRY} is the whole country.")
    return sorted(found)


@cache
def _known() -> frozenset[str]:
    """Beginnings of 2, 4 and 6 digits of all codes of divisions, but for the country's."""
    with _SEED.open(encoding="utf-8", newline="") as file:
        codes = [row["admdvs"] for row in csv.DictReader(file)]
    return frozenset(code[:length] for code in codes if code != COUNTRY for length in (2, 4, 6))

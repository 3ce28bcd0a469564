"""Published marts as an observer has them: rows by mart, read from a warehouse or from tables of expected rows."""

import csv
from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg.rows import dict_row

from tests.worlds import PROJECT

Row = dict[str, Any]
Marts = dict[str, list[Row]]


@cache
def rules() -> dict[str, dict[str, Any]]:
    """What the metadata of each mart says of small cells, by mart; marts that suppress none are left out."""
    found = {}
    for path in sorted((PROJECT / "models" / "marts").rglob("*.yml")):
        for model in (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models", ()):
            rule = model.get("config", {}).get("meta", {}).get("small_cells", {})
            if "persons" in rule:
                found[model["name"]] = {"group": [], "shown": [], **rule}
    return found


def from_database(dsn: str) -> Marts:
    """The marts with small cells, as they are published in a warehouse."""
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        return {
            mart: [as_observed(row) for row in conn.execute(f"SELECT * FROM marts.{mart}").fetchall()]
            for mart in rules()
        }


def from_tables(folder: Path) -> Marts:
    """The same from tables of rows (``marts.<mart>.csv``) in a folder; a mart without a table has no rows."""
    found: Marts = {}
    for mart in rules():
        path = folder / f"marts.{mart}.csv"
        found[mart] = []
        if path.exists():
            with path.open(encoding="utf-8") as file:
                found[mart] = [as_observed(row) for row in csv.DictReader(file)]
    return found


def from_rows(rows: Mapping[str, Iterable[Row]]) -> Marts:
    """The same from rows of the oracle."""
    return {mart: [as_observed(row) for row in rows[mart]] for mart in rules()}


def as_observed(row: Mapping[str, Any]) -> Row:
    """A row whose counts are whole numbers, and whose codes and days are text."""
    return {name: _value(name, value) for name, value in row.items()}


def _value(name: str, value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, date):
        return value.isoformat()
    if name == "is_suppressed":
        return value in (True, "true")
    if isinstance(value, str) and (name.endswith(("_code", "_type", "_group")) or name in KEYS):
        return value
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return int(number) if number == number.to_integral_value() else float(number)


#: Columns whose values are codes, though they may look like numbers.
KEYS = frozenset(("month", "sender", "admdvs", "insu_admdvs", "category", "indicator", "funding_source"))

"""Reading published figures, and comparing them with the oracle and with tables of expected rows.

``python -m tests.end_to_end.figures DSN tests/data/samples-part2`` prints what differs from the expected rows.
"""

import csv
import sys
from collections import Counter
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests import oracle

SEEDS = Path(__file__).parents[2] / "dbt_project" / "seeds"


def seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def seeds() -> tuple[list[oracle.Row], list[oracle.Row], list[oracle.Row]]:
    """The shipped schemes, bands and incomes."""
    schemes = [
        {
            **row,
            "term_start": date.fromisoformat(row["term_start"]),
            "term_end": date.fromisoformat(row["term_end"]),
            "deductible": Decimal(row["deductible"]),
            "cap": Decimal(row["cap"]),
            "waiting_days": int(row["waiting_days"]),
        }
        for row in seed("mutual_aid_scheme")
    ]
    bands = [
        {
            "scheme_code": row["scheme_code"],
            "band_from": Decimal(row["band_from"]),
            "band_to": Decimal(row["band_to"]) if row["band_to"] else None,
            "rate": Decimal(row["rate"]),
        }
        for row in seed("mutual_aid_band")
    ]
    incomes = [
        {"admdvs": row["admdvs"], "year": int(row["year"]), "amount": Decimal(row["amount"])}
        for row in seed("regional_income")
    ]
    return schemes, bands, incomes


def oracle_of(dsn: str) -> oracle.Oracle:
    """The oracle over everything accepted, with the shipped schemes, bands and incomes."""
    return oracle.oracle(dsn, *seeds())


def published(dsn: str, relation: str) -> list[dict[str, Any]]:
    """All rows of a published relation."""
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        return conn.execute(f"SELECT * FROM {relation}").fetchall()


def disagreements(dsn: str) -> dict[str, list[str]]:
    """Per figure, what differs between the warehouse and the oracle."""
    expected = oracle_of(dsn)
    found = {}
    for relation, keys in oracle.FIGURES.items():
        messages = oracle.differences(expected.rows_of(relation), published(dsn, relation), keys)
        if messages:
            found[relation] = messages[:10]
    return found


def comparable(value: Any) -> Any:
    """A value as text of a CSV file or of the database, amounts and shares to two places."""
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return number.quantize(Decimal("0.01"))


def tables_of(samples: Path) -> list[Path]:
    """Tables of expected rows of sample deliveries, each named as its relation."""
    return sorted((samples / "expected" / "figures").glob("*.csv"))


def unlike_table(path: Path, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What differs between rows and a table of expected rows, with some that are missing and some that are not expected."""
    with path.open(encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = list(reader.fieldnames or [])
        rows_of_file = list(reader)
    if "indicator" in columns:  # of sources that the samples do not have, no indicator is expected
        named = {row["indicator"] for row in rows_of_file}
        rows = [row for row in rows if row["indicator"] in named]
    expected = Counter(tuple(comparable(row[column]) for column in columns) for row in rows_of_file)
    actual = Counter(tuple(comparable(row.get(column)) for column in columns) for row in rows)
    if expected == actual:
        return {}
    missing, surplus = expected - actual, actual - expected
    return {
        "columns": columns,
        "lacking columns": [column for column in columns if rows and column not in rows[0]],
        "rows": [len(missing), len(surplus)],
        "missing": sorted(missing, key=str)[:4],
        "surplus": sorted(surplus, key=str)[:4],
    }


def unlike_expected(dsn: str, samples: Path) -> dict[str, dict[str, Any]]:
    """Per published table that is unlike the table of expected rows, what differs."""
    found = {}
    for path in tables_of(samples):
        try:
            difference = unlike_table(path, published(dsn, path.stem))
        except psycopg.errors.UndefinedTable:
            difference = {"table": "is not there"}
        if difference:
            found[path.stem] = difference
    return found


def unlike_counts(dsn: str, samples: Path) -> dict[str, dict[str, Any]]:
    """Per table of ``core`` whose rows and persons are not as many as expected, both numbers."""
    found: dict[str, dict[str, Any]] = {}
    counts = samples / "expected" / "core.csv"
    if not counts.exists():
        return found
    with counts.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            persons = "count(DISTINCT person_key)" if int(row["persons"]) else "0"
            try:
                with psycopg.connect(dsn) as conn:
                    actual = conn.execute(f"SELECT count(*), {persons} FROM core.{row['feed']}").fetchone()
            except psycopg.errors.UndefinedTable:
                actual = None
            if actual != (int(row["rows"]), int(row["persons"])):
                found[f"core.{row['feed']}"] = {"expected": row, "actual": actual}
    return found


def main(dsn: str, samples: str) -> None:
    for table, difference in (unlike_expected(dsn, Path(samples)) | unlike_counts(dsn, Path(samples))).items():
        sys.stdout.write(f"{table}\n")
        for name, value in difference.items():
            sys.stdout.write(f"  {name}: {value}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

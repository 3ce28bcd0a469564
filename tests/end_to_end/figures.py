"""Reading published figures, and comparing them with the oracle and with tables of expected rows."""

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests import oracle

SEEDS = Path(__file__).parents[2] / "dbt_project" / "seeds"


def seed(name: str) -> list[dict[str, str]]:
    with (SEEDS / f"{name}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def oracle_of(dsn: str) -> oracle.Oracle:
    """The oracle over everything accepted, with the shipped schemes, bands and incomes."""
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
    return oracle.oracle(dsn, schemes, bands, incomes)


def published(dsn: str, relation: str) -> list[dict[str, Any]]:
    """All rows of a published relation."""
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        return conn.execute(f"SELECT * FROM {relation}").fetchall()


def disagreements(dsn: str) -> dict[str, list[str]]:
    """Per figure, what differs between the warehouse and the oracle."""
    expected = oracle_of(dsn)
    found = {}
    for relation, keys in oracle.FIGURES.items():
        rows = getattr(expected, relation.partition(".")[2])()
        messages = oracle.differences(rows, published(dsn, relation), keys)
        if messages:
            found[relation] = messages[:10]
    return found

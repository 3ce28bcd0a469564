"""Figures over random deliveries equal those of the oracle: edge cases meet here that sample deliveries hardly show.

The ties, windows and limits that the definitions decide, and small cells of every kind, are in ``tests/edge_world.py``.
"""

import csv
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache

import pytest
from psycopg.rows import dict_row

from ingest import contracts
from tests import oracle
from tests.edge_world import EdgeWorld
from tests.integration.dbt_project.test_incremental import SEEDS
from tests.packages import ALL_SOURCES
from tests.worlds import PROJECT, Builds, Delivery, Row, land

SCHEMES = (
    ("every-care", "", date(2025, 1, 1), date(2026, 3, 30), "outpatient,other, pharmacy", "psn_pay", "0.01", "50", 0),
    ("waiting", "3501", date(2025, 12, 31), date(2026, 2, 28), "inpatient", "policy_self_pay", "100", "3000.01", 58),
)
BANDS = (
    ("every-care", "0", "0.03", "0.50"),
    ("every-care", "0.03", None, "0.00005"),
    ("waiting", "1000", "2000", "0.333"),
    ("waiting", "5000", None, "1"),
)
INCOMES = (("110000", 2025, "50000.01"), ("110000", 2026, "0.02"), ("350000", 2026, "9000"), ("440000", 2027, "1"))
#: Figures in which rows of few persons are suppressed: the rows before that, and the column that counts persons.
SUPPRESSED: dict[str, tuple[Callable[[oracle.Oracle], list[Row]], str]] = {
    "marts.insurance_coverage_month": (oracle.Oracle.insurance_coverage_month, "members"),
    "marts.dispute_month": (oracle.Oracle.dispute_cells, "persons"),
    "marts.employment_month": (oracle.Oracle.employment_cells, "members"),
    "marts.training_chain_month": (oracle.Oracle.chain_cells, "trained"),
    "marts.service_month": (oracle.Oracle.service_cells, "persons"),
    "marts.service_reach_month": (oracle.Oracle.reach_cells, "reached"),
    "marts.new_form_platform_month": (oracle.Oracle.platform_cells, "workers"),
}

#: Worlds that together hold every case; a change of what they draw does not lose one.
WORLDS = (*SEEDS, 101, 102, 103)


def accepted(deliveries: list[Delivery]) -> oracle.Accepted:
    """What the oracle reads, of deliveries that count."""
    rows: dict[str, list[Row]] = {}
    for feed in contracts.load().feeds.values():
        empty: Row = {column.name: Decimal(0) if column.default_zero else None for column in feed.columns}
        rows[feed.table] = [
            {
                **empty,
                **row,
                "_sender": one.sender,
                "_period": one.month,
                "_mode": one.mode,
                "_created": one.created,
                "_name": one.name.encode(),
            }
            for one in deliveries
            for row in one.feeds.get(feed.name, [])
            if one.source == feed.source
        ]
    return oracle.Accepted(rows, [one.month for one in deliveries if one.source == "membership"])


def tables_of_figures() -> set[str]:
    """Tables of the project that show figures; those of the ledger show none."""
    return {
        f"{schema}.{model.stem}"
        for schema in ("marts", "casework")
        for model in (PROJECT / "models" / schema).rglob("*.sql")
        if model.parent.name != "ops"
    }


@cache
def oracle_over(seed: int) -> oracle.Oracle:
    """What the oracle says of some deliveries of a world."""
    columns = ("name", "admdvs_prefix", "term_start", "term_end", "categories", "base", "deductible", "cap")
    schemes: list[Row] = [dict(zip(("scheme_code", *columns, "waiting_days"), (one[0], *one), strict=True)) for one in SCHEMES]
    schemes = [one | {"deductible": Decimal(one["deductible"]), "cap": Decimal(one["cap"])} for one in schemes]
    bands = [
        {"scheme_code": code, "band_from": Decimal(low), "band_to": high and Decimal(high), "rate": Decimal(rate)}
        for code, low, high, rate in BANDS
    ]
    incomes = [{"admdvs": code, "year": year, "amount": Decimal(amount)} for code, year, amount in INCOMES]
    return oracle.Oracle(accepted(EdgeWorld(seed).counting()), schemes, bands, incomes)


def test_every_table_of_figures_has_its_oracle() -> None:
    assert tables_of_figures() - oracle.FIGURES.keys() == set()


def test_every_figure_of_the_oracle_is_a_table() -> None:
    assert {name for name in oracle.FIGURES if not name.startswith("core.")} - tables_of_figures() == set()


def test_every_figure_has_rows_in_some_world() -> None:
    """Two empty tables are equal, and prove nothing."""
    empty = set(oracle.FIGURES)
    for seed in WORLDS:
        figures = oracle_over(seed)
        empty -= {relation for relation in empty if figures.rows_of(relation)}
    assert empty == set()


def kinds_of_cells(figures: oracle.Oracle, relation: str) -> set[str]:
    """How rows of a figure came to be shown or not."""
    cells, persons = SUPPRESSED[relation]
    keys = oracle.FIGURES[relation]
    counts = {tuple(row[key] for key in keys): row[persons] for row in cells(figures)}
    kinds = set()
    for row in figures.rows_of(relation):
        key = tuple(row[name] for name in keys)
        if not row["is_suppressed"]:
            kinds.add("shown")
        elif counts[key] <= 10:
            kinds.add("small")
        else:
            kinds.add("follows a small one")
    return kinds


def test_every_indicator_has_rows_in_some_world() -> None:
    with (ALL_SOURCES / "expected" / "figures" / "marts.reform_indicator.csv").open(encoding="utf-8") as file:
        missing = {row["indicator"] for row in csv.DictReader(file)}
    for seed in WORLDS:
        missing -= {row["indicator"] for row in oracle_over(seed).reform_indicator()}
    assert missing == set()


def test_small_cells_of_every_kind_are_in_some_world() -> None:
    found: dict[str, set[str]] = {relation: set() for relation in SUPPRESSED}
    for seed in WORLDS:
        figures = oracle_over(seed)
        for relation, kinds in found.items():
            kinds |= kinds_of_cells(figures, relation)
    every_kind = {"shown", "small", "follows a small one"}
    assert found == dict.fromkeys(SUPPRESSED, every_kind)


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_of_random_deliveries_equal_the_oracle(builds: Builds, seed: int) -> None:
    world = EdgeWorld(seed)
    with builds.conn.transaction():
        land(builds.conn, world.deliveries)
    counting = world.counting()
    seeds = "build_a_staging"
    marks = ", ".join(["%s"] * 9)
    builds.conn.cursor().executemany(
        f"INSERT INTO {seeds}.mutual_aid_scheme (scheme_code, name, admdvs_prefix, term_start, term_end, categories, base,"
        f" deductible, cap, waiting_days) VALUES (%s, {marks})",
        [(scheme[0], *scheme) for scheme in SCHEMES],
    )
    builds.conn.cursor().executemany(f"INSERT INTO {seeds}.mutual_aid_band VALUES (%s, %s, %s, %s)", BANDS)
    builds.conn.cursor().executemany(f"INSERT INTO {seeds}.regional_income VALUES (%s, %s, %s)", INCOMES)

    builds.full("build_a", counting)

    with builds.conn.cursor(row_factory=dict_row) as cursor:

        def table(name: str) -> list[Row]:
            return cursor.execute(f"SELECT * FROM {name}").fetchall()

        expected = oracle.Oracle(
            accepted(counting),
            *(table(f"{seeds}.{name}") for name in ("mutual_aid_scheme", "mutual_aid_band", "regional_income")),
        )
        wrong = []
        for relation in sorted(oracle.FIGURES.keys() & {*tables_of_figures(), "core.member_profile"}):
            found = table(f"build_a.{relation.partition('.')[2]}")
            messages = oracle.differences(expected.rows_of(relation), found, oracle.FIGURES[relation])
            wrong += [f"{relation}: {message}" for message in messages[:10]]
    assert not wrong, "\n".join((f"seed {seed}", *wrong))

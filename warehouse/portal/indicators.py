"""The indicators of the reform as charts by province and month, beside their targets and last year's values."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, LiteralString

import psycopg

from ingest.code_texts import Text
from warehouse.build import dbt
from warehouse.portal import texts
from warehouse.portal.charts import Chart, lines

COUNTRY = "100000"
TARGET = Text(zh="目标", en="Target")
TABLE = "marts.reform_indicator"
PROGRESS = "marts.reform_indicator_progress"


@dataclass(frozen=True)
class Value:
    """The value of an indicator in a month, with its target and the value a year before where there are such."""

    region: Text
    month: str
    numerator: Decimal
    denominator: Decimal
    value: Decimal | None
    year_before: Decimal | None
    target: Decimal | None
    reaches_target: bool | None


@dataclass(frozen=True)
class Indicator:
    """An indicator with its labels, its chart, and the last month of each region; without rows no chart."""

    code: str
    label: Text
    is_share: bool
    chart: Chart | None
    last: list[Value]


def read(conn: psycopg.Connection) -> list[Indicator]:
    """All indicators, those without a row too, in the order of their list."""
    found: dict[str, dict[str, list[Value]]] = defaultdict(lambda: defaultdict(list))
    progress = {row[:3]: row[3:] for row in _rows(conn, PROGRESS, _PROGRESS)}
    for indicator, region, month, numerator, denominator, value in _rows(conn, TABLE, _VALUES):
        beside = progress.get((indicator, region, month), (None, None, None))
        found[indicator][region].append(Value(texts.region(region), month, numerator, denominator, value, *beside))
    with (dbt.PROJECT / "seeds" / "reform_indicator_label.csv").open(encoding="utf-8", newline="") as file:
        labels = list(csv.DictReader(file))
    return [
        _indicator(
            row["code"], Text(zh=row["label"], en=row["label_en"]), row["is_share"] == "true", found[row["code"]]
        )
        for row in labels
    ]


def _rows(conn: psycopg.Connection, table: str, query: LiteralString) -> list[tuple[Any, ...]]:
    """The rows of a query over a table; none where the published build has no such table."""
    [is_published] = conn.execute("SELECT to_regclass(%s) IS NOT NULL", [table]).fetchone() or [False]
    return conn.execute(query).fetchall() if is_published else []


def _indicator(code: str, label: Text, is_share: bool, regions: dict[str, list[Value]]) -> Indicator:
    """The country comes first, then the provinces by code."""
    ordered = sorted(regions.items(), key=lambda item: (item[0] != COUNTRY, item[0]))
    months = sorted({value.month for _, values in ordered for value in values})
    series = [
        (texts.region(region), {value.month: float(value.value) for value in values if value.value is not None})
        for region, values in ordered
    ]
    bold = 0 if COUNTRY in regions else None
    targets = {one.month: float(one.target) for one in regions.get(COUNTRY, []) if one.target is not None}
    if targets:
        series.append((TARGET, targets))
    chart = lines(months, series, is_share=is_share, bold=bold) if months else None
    return Indicator(code, label, is_share, chart, [values[-1] for _, values in ordered])


_VALUES = """
SELECT indicator, admdvs, to_char(month, 'YYYY-MM'), numerator, denominator, value
FROM marts.reform_indicator ORDER BY indicator, admdvs, month
"""
_PROGRESS = """
SELECT indicator, admdvs, to_char(month, 'YYYY-MM'), value_year_before, target, reaches_target
FROM marts.reform_indicator_progress
"""

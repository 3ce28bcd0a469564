"""The indicators of the reform (``marts.reform_indicator``) as charts by province and month."""

import csv
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

import psycopg

from ingest.code_texts import Text
from warehouse.build import dbt
from warehouse.portal import texts
from warehouse.portal.charts import Chart, lines

COUNTRY = "100000"
TABLE = "marts.reform_indicator"


@dataclass(frozen=True)
class Value:
    """The value of an indicator in its last month."""

    region: Text
    month: str
    numerator: Decimal
    denominator: Decimal
    value: Decimal | None


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
    [is_published] = conn.execute("SELECT to_regclass(%s) IS NOT NULL", [TABLE]).fetchone() or [False]
    rows = conn.execute(_VALUES).fetchall() if is_published else []
    for indicator, region, month, numerator, denominator, value in rows:
        found[indicator][region].append(Value(texts.region(region), month, numerator, denominator, value))
    with (dbt.PROJECT / "seeds" / "reform_indicator_label.csv").open(encoding="utf-8", newline="") as file:
        labels = list(csv.DictReader(file))
    return [
        _indicator(
            row["code"], Text(zh=row["label"], en=row["label_en"]), row["is_share"] == "true", found[row["code"]]
        )
        for row in labels
    ]


def _indicator(code: str, label: Text, is_share: bool, regions: dict[str, list[Value]]) -> Indicator:
    """The country comes first, then the provinces by code."""
    ordered = sorted(regions.items(), key=lambda item: (item[0] != COUNTRY, item[0]))
    months = sorted({value.month for _, values in ordered for value in values})
    series = [
        (texts.region(region), {value.month: float(value.value) for value in values if value.value is not None})
        for region, values in ordered
    ]
    bold = 0 if COUNTRY in regions else None
    chart = lines(months, series, is_share=is_share, bold=bold) if months else None
    return Indicator(code, label, is_share, chart, [values[-1] for _, values in ordered])


_VALUES = """
SELECT indicator, admdvs, to_char(month, 'YYYY-MM'), numerator, denominator, value
FROM marts.reform_indicator ORDER BY indicator, admdvs, month
"""

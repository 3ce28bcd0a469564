"""Generates the metrics of the dbt project: every indicator of the reform, as dbt's semantic layer states a metric.

Codes and labels come from the seed ``reform_indicator_label``, numerators and denominators from the mart
``reform_indicator``. Run ``make generate`` after a change of the seed; running it again changes nothing.
"""

import csv
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ingest.code_texts import Text

#: The dbt project beside this package.
PROJECT = Path(__file__).parents[2] / "dbt_project"
SEED = Path("seeds", "reform_indicator_label.csv")
PAGE = Path("models", "marts", "reform", "reform_metrics.yml")

_HEADER = "# Written by `make generate` from seeds/reform_indicator_label.csv: change that, not this file.\n"

_SEMANTIC_MODEL: dict[str, Any] = {
    "name": "reform_indicators",
    "label": "产改指标",
    "description": "The indicators of the reform. Group or filter by region: the country (100000) is a region too. "
    "产业工人队伍建设改革指标；请按地区分组或筛选，全国（100000）为单独的地区。",
    "model": "ref('reform_indicator')",
    "defaults": {"agg_time_dimension": "indicator_month"},
    "primary_entity": "indicator_value",
    "dimensions": [
        {
            "name": "indicator_month",  # a name of a granularity alone is reserved
            "type": "time",
            "expr": "month",
            "type_params": {"time_granularity": "month"},
            "description": "Month. 月份。",
        },
        {"name": "indicator", "type": "categorical", "description": "Name of the indicator. 指标代码。"},
        {
            "name": "admdvs",
            "type": "categorical",
            "description": "Province, or 100000 for the whole country. 省级代码，100000为全国。",
        },
        {"name": "region_name", "type": "categorical", "description": "Name of the province or country. 省份或全国。"},
    ],
    "measures": [
        {
            "name": f"indicator_{part}",
            "expr": part,
            "agg": "sum",
            "create_metric": True,
            "label": label,
            "description": description,
        }
        for part, label, description in (
            ("numerator", "分子", "Numerator of one indicator. 某项指标的分子。"),
            ("denominator", "分母", "Denominator of one indicator. 某项指标的分母。"),
        )
    ],
}


def labels(project: Path = PROJECT) -> dict[str, Text]:
    """What each indicator is called, by its code, in the order of the seed."""
    with (project / SEED).open(encoding="utf-8", newline="") as file:
        return {row["code"]: Text(zh=row["label"], en=row["label_en"]) for row in csv.DictReader(file)}


def document(project: Path = PROJECT) -> str:
    """The text of the file with the metrics."""
    body = {
        "version": 2,
        "semantic_models": [_SEMANTIC_MODEL],
        "metrics": [_metric(code, label) for code, label in labels(project).items()],
    }
    return _HEADER + yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)


def _metric(code: str, label: Text) -> dict[str, Any]:
    """The sum of the numerators of an indicator divided by that of its denominators."""
    return {
        "name": code,
        "label": label.zh,
        "description": f"{label.en}. {label.zh}。",
        "type": "ratio",
        "type_params": {"numerator": "indicator_numerator", "denominator": "indicator_denominator"},
        "filter": f"{{{{ Dimension('indicator_value__indicator') }}}} = '{code}'",
    }


def main(project: Annotated[Path, typer.Option(help="The dbt project to write into.")] = PROJECT) -> None:
    """Write the file of the dbt project that states the metrics."""
    (project / PAGE).write_text(document(project), "utf-8")


if __name__ == "__main__":
    typer.run(main)

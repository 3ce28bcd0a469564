"""The dashboards speak of tables, columns and metrics that there are, and make the same bundle each time."""

import json
import re
import zipfile
from pathlib import Path

import pytest
import yaml

from bi import bundle, charts, exposures
from warehouse.documentation.dictionary import models

DECLARED = bundle.load()
TABLES = {model["name"]: {column["name"] for column in model["columns"]} for model in models("marts")}
CHARTS = [
    pytest.param(chart, id=f"{slug}-{number}")
    for slug, dashboard in DECLARED["dashboards"].items()
    for number, chart in enumerate(dashboard["charts"])
]


@pytest.mark.parametrize("chart", CHARTS)
def test_a_chart_asks_for_what_its_dataset_has(chart: bundle.Declaration) -> None:
    columns = TABLES[chart["dataset"]] | {"is_last", "province_iso"}
    asked = {*chart.get("columns", []), *chart.get("series", []), *([chart["x"]] if "x" in chart else [])}
    asked |= set(re.findall(r"\b[a-z_]+\b", re.sub("'[^']*'", "", chart.get("where", ""))))
    assert asked <= columns
    assert set(chart["metrics"]) <= set(DECLARED["datasets"][chart["dataset"]]["metrics"])
    assert chart["kind"] in charts.KINDS


@pytest.mark.parametrize("name", DECLARED["datasets"])
def test_metrics_are_computed_from_columns_of_the_table(name: str) -> None:
    words = {"sum", "count", "avg", "max", "nullif", "numeric", "filter", "where", "is", "not", "null"}
    for metric in DECLARED["datasets"][name]["metrics"].values():
        expression = re.sub("'[^']*'", "", metric["sql"]).lower()
        assert set(re.findall(r"\b[a-z_]+\b", expression)) - words <= TABLES[name], metric["sql"]


def test_the_last_month_of_each_indicator_is_its_own() -> None:
    """Yearly indicators stand at December: on the last month of the table the others would be missing."""
    found = dict(bundle.files(DECLARED, "postgresql://"))
    assert "max(month) OVER (PARTITION BY indicator)" in found["datasets/warehouse/reform_indicator.yaml"]["sql"]
    for name, dataset in DECLARED["datasets"].items():
        assert "last_by" not in dataset or dataset["last_by"] in TABLES[name]


def test_every_dataset_is_on_a_dashboard() -> None:
    shown = {chart["dataset"] for dashboard in DECLARED["dashboards"].values() for chart in dashboard["charts"]}
    assert shown == set(DECLARED["datasets"])


def test_the_map_knows_every_province() -> None:
    seed = Path(__file__).parents[3] / "dbt_project" / "seeds" / "division.csv"
    provinces = {line[:2] for line in seed.read_text("utf-8").splitlines() if ",province," in line}
    # 91 stands for the army, which has no place on a map
    assert provinces - {"91"} == set(DECLARED["provinces"])


def test_the_same_declarations_make_the_same_bundle(tmp_path: Path) -> None:
    contents = []
    for name in ("one.zip", "two.zip"):
        bundle.write(tmp_path / name, "postgresql+psycopg2://bi_reader@localhost/warehouse")
        with zipfile.ZipFile(tmp_path / name) as archive:
            contents.append({one: archive.read(one) for one in archive.namelist()})
    assert contents[0] == contents[1]
    found = {name: yaml.safe_load(content) for name, content in contents[0].items()}
    uuids = [content["uuid"] for name, content in found.items() if "uuid" in content]
    assert len(set(uuids)) == len(uuids)
    for name, content in found.items():
        if "/charts/" in name:
            assert content["dataset_uuid"] in uuids
            assert json.loads(content["query_context"])["queries"][0]["metrics"]


def test_columns_have_chinese_labels_from_the_models() -> None:
    found = dict(bundle.files(DECLARED, "postgresql://"))
    for name, content in found.items():
        if name.startswith("datasets/"):
            for column in content["columns"]:
                assert re.search("[\u4e00-\u9fff]", column["verbose_name"]), (name, column["column_name"])


def test_the_dashboards_stand_in_the_lineage() -> None:
    assert exposures.PAGE.read_text(encoding="utf-8") == exposures.page(), "run: make generate"

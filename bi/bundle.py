"""Makes the bundle that Superset imports, from ``dashboards.yaml`` and the yml files of the dbt models.

Identifiers follow from names, so that a second import replaces what the first one made.
"""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import yaml

from bi import charts, row_rules
from warehouse.documentation import labels
from warehouse.documentation.dictionary import models

DECLARATIONS = Path(__file__).with_name("dashboards.yaml")
DATABASE = "warehouse"
#: Superset's name of each kind of column, by how the type of the model's contract begins.
TYPES = {"date": "DATE", "timestamp": "TIMESTAMP", "boolean": "BOOLEAN", "text": "TEXT"}
#: Charts in a row of a dashboard, of its 12 columns; a row's height in units of eight pixels.
_WIDTHS = {"number": 4, "map": 6, "pie": 6, "table": 12}
_HEIGHTS = {"number": 24, "table": 60}

Declaration = dict[str, Any]


def load() -> Declaration:
    """The declarations, as the file has them."""
    found: Declaration = yaml.safe_load(DECLARATIONS.read_text(encoding="utf-8"))
    return found


def identifier(kind: str, name: str) -> str:
    """The UUID of a thing in Superset; always the same for one name."""
    return str(uuid5(NAMESPACE_URL, f"union-data-warehouse/{kind}/{name}"))


def files(declared: Declaration, uri: str) -> Iterator[tuple[str, Declaration]]:
    """The files of the bundle.

    Args:
        declared: The declarations.
        uri: SQLAlchemy's address of the warehouse, for a login that reads ``marts``.

    Yields:
        Path and content of each.
    """
    yield "metadata.yaml", {"version": "1.0.0", "type": "assets", "timestamp": "2026-01-01T00:00:00+00:00"}
    yield f"databases/{DATABASE}.yaml", _database(uri)
    tables = {model["name"]: model for model in models("marts")}
    for name, dataset in declared["datasets"].items():
        yield f"datasets/{DATABASE}/{name}.yaml", _dataset(tables[name], dataset, declared["provinces"])
    for slug, dashboard in declared["dashboards"].items():
        for number, chart in enumerate(dashboard["charts"]):
            yield f"charts/{slug}_{number}.yaml", _chart(slug, number, chart)
        yield f"dashboards/{slug}.yaml", _dashboard(slug, dashboard)


def write(path: Path, uri: str) -> None:
    """Write the bundle as a ZIP file, with ``row_rules.json`` for ``bi/superset_setup.py``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files(load(), uri):
            archive.writestr(f"bundle/{name}", yaml.safe_dump(content, allow_unicode=True, sort_keys=False))
        archive.writestr("row_rules.json", json.dumps(conditions(), indent=1))


def conditions() -> dict[str, str | None]:
    """The condition on the rows of each dataset, by its UUID; None: all its rows are for everyone."""
    tables = {model["name"]: model for model in models("marts")}
    return {identifier("dataset", name): row_rules.condition(tables[name]) for name in load()["datasets"]}


def both(title: dict[str, str]) -> str:
    """A title in both languages."""
    return f"{title['zh']} {title['en']}"


def _database(uri: str) -> Declaration:
    return {
        "database_name": DATABASE,
        "sqlalchemy_uri": uri,
        "expose_in_sqllab": True,
        "allow_run_async": False,
        "allow_ctas": False,
        "allow_cvas": False,
        "allow_dml": False,
        "extra": {"allows_virtual_table_explore": True},
        "uuid": identifier("database", DATABASE),
        "version": "1.0.0",
    }


def _dataset(model: Declaration, declared: Declaration, provinces: dict[str, str]) -> Declaration:
    table = model["name"]
    names = [column["name"] for column in model["columns"]]
    columns = [_column(column) for column in model["columns"]]
    selected = ["*"]
    if "month" in names and "is_last" not in names:
        window = f"PARTITION BY {declared['last_by']}" if "last_by" in declared else ""
        selected.append(f"month = max(month) OVER ({window}) AS is_last")
        columns.append({"column_name": "is_last", "verbose_name": "末月", "type": "BOOLEAN"})
    if "admdvs" in names:
        cases = " ".join(f"WHEN '{code}' THEN '{iso}'" for code, iso in provinces.items())
        selected.append(f"CASE left(admdvs, 2) {cases} END AS province_iso")
        columns.append({"column_name": "province_iso", "verbose_name": "省份（ISO 3166-2）", "type": "TEXT"})
    times = [name for name in ("month", "created") if name in names]
    return {
        "table_name": table,
        "main_dttm_col": times[0] if times else None,
        "description": model["description"],
        "sql": f"SELECT {', '.join(selected)} FROM marts.{table}",
        "schema": "marts",
        "uuid": identifier("dataset", table),
        "columns": columns,
        "metrics": [_metric(name, metric) for name, metric in declared["metrics"].items()],
        "version": "1.0.0",
        "database_uuid": identifier("database", DATABASE),
    }


def _column(column: Declaration) -> Declaration:
    data_type = str(column["data_type"])
    kind = next((name for start, name in TYPES.items() if data_type.startswith(start)), "NUMERIC")
    return {
        "column_name": column["name"],
        "verbose_name": labels.chinese(column["description"]) or column["name"],
        "description": column["description"],
        "type": kind,
        "is_dttm": kind in ("DATE", "TIMESTAMP"),
        "groupby": True,
        "filterable": True,
    }


def _metric(name: str, metric: Declaration) -> Declaration:
    certified = {"certified_by": "union-data-warehouse", "details": "bi/dashboards.yaml"}
    return {
        "metric_name": name,
        "verbose_name": both(metric),
        "expression": metric["sql"],
        "d3format": metric["format"],
        "extra": {"certification": certified},
    }


def _chart(slug: str, number: int, chart: Declaration) -> Declaration:
    form = charts.form(chart)
    return {
        "slice_name": both(chart["title"]),
        "viz_type": form["viz_type"],
        "params": form,
        "query_context": json.dumps(charts.query_context(chart, form), ensure_ascii=False),
        "uuid": identifier("chart", f"{slug}/{number}"),
        "dataset_uuid": identifier("dataset", chart["dataset"]),
        "version": "1.0.0",
    }


def _dashboard(slug: str, dashboard: Declaration) -> Declaration:
    position: Declaration = {
        "DASHBOARD_VERSION_KEY": "v2",
        "ROOT_ID": {"type": "ROOT", "id": "ROOT_ID", "children": ["GRID_ID"]},
        "GRID_ID": {"type": "GRID", "id": "GRID_ID", "children": [], "parents": ["ROOT_ID"]},
    }
    row, free = "", 0
    for number, chart in enumerate(dashboard["charts"]):
        width = _WIDTHS.get(chart["kind"], 6)
        if width > free:
            row, free = f"ROW-{number}", 12
            position["GRID_ID"]["children"].append(row)
            position[row] = {
                "type": "ROW",
                "id": row,
                "children": [],
                "parents": ["ROOT_ID", "GRID_ID"],
                "meta": {"background": "BACKGROUND_TRANSPARENT"},
            }
        free -= width
        name = f"CHART-{number}"
        position[row]["children"].append(name)
        position[name] = {
            "type": "CHART",
            "id": name,
            "children": [],
            "parents": ["ROOT_ID", "GRID_ID", row],
            "meta": {
                "uuid": identifier("chart", f"{slug}/{number}"),
                "chartId": number + 1,
                "sliceName": both(chart["title"]),
                "width": width,
                "height": _HEIGHTS.get(chart["kind"], 50),
            },
        }
    return {
        "dashboard_title": both(dashboard["title"]),
        "slug": slug,
        "published": True,
        "uuid": identifier("dashboard", slug),
        "position": position,
        "metadata": {"color_scheme": "supersetColors", "refresh_frequency": 0, "cross_filters_enabled": True},
        "version": "1.0.0",
    }

"""What Superset needs to know of a chart: the form that its page shows, and the query that answers it."""

from typing import Any

Chart = dict[str, Any]

#: Superset's visualization of each kind.
KINDS = {
    "number": "big_number",
    "line": "echarts_timeseries_line",
    "bar": "echarts_timeseries_bar",
    "stacked": "echarts_timeseries_bar",
    "pie": "pie",
    "table": "table",
    "map": "country_map",
}
ROWS = 10_000


def form(chart: Chart) -> Chart:
    """The form of a chart.

    Args:
        chart: As declared: ``kind``, ``metrics``, and of ``x``, ``series``, ``columns``, ``where`` what the kind takes.
    """
    found: Chart = {"viz_type": KINDS[chart["kind"]], "row_limit": ROWS, "adhoc_filters": _filters(chart)}
    metrics = chart["metrics"]
    match chart["kind"]:
        case "number":
            found |= {"metric": metrics[0], "x_axis": chart.get("x", "month"), "time_grain_sqla": "P1M"}
            found |= {"show_trend_line": True, "start_y_axis_at_zero": False}
        case "line" | "stacked":
            found |= {"metrics": metrics, "groupby": chart.get("series", []), "x_axis": chart["x"]}
            found |= {"time_grain_sqla": "P1M", "show_legend": True, "rich_tooltip": True}
            found |= {"stack": "Stack"} if chart["kind"] == "stacked" and chart.get("series") else {}
        case "bar":
            found |= {"metrics": metrics, "groupby": [], "x_axis": chart["columns"][0], "show_legend": len(metrics) > 1}
            found |= {"orientation": "horizontal", "x_axis_sort": metrics[0], "x_axis_sort_asc": True}
        case "pie":
            found |= {"metric": metrics[0], "groupby": chart["columns"], "show_labels_threshold": 3}
        case "table":
            found |= {"query_mode": "aggregate", "groupby": chart["columns"], "metrics": metrics, "page_length": 25}
        case "map":
            found |= {"metric": metrics[0], "entity": "province_iso", "select_country": "china"}
            found |= {"number_format": ".1%", "linear_color_scheme": "blue_white_yellow"}
    return found


def query_context(chart: Chart, form_data: Chart) -> Chart:
    """The query of a chart for Superset's data API; the dataset's number is filled in by the import."""
    return {
        "datasource": {"id": 0, "type": "table"},
        "force": False,
        "queries": [
            {
                "columns": _columns(chart),
                "metrics": chart["metrics"],
                "filters": [],
                "extras": {"where": f"({chart['where']})" if "where" in chart else "", "having": ""},
                "orderby": [],
                "row_limit": ROWS,
            }
        ],
        "form_data": form_data,
        "result_format": "json",
        "result_type": "full",
    }


def _columns(chart: Chart) -> list[Any]:
    match chart["kind"]:
        case "number":
            return [_by_month(chart.get("x", "month"))]
        case "line" | "stacked":
            return [_by_month(chart["x"]), *chart.get("series", [])]
        case "map":
            return ["province_iso"]
        case _:
            return list(chart["columns"])


def _by_month(column: str) -> Chart:
    return {
        "timeGrain": "P1M",
        "columnType": "BASE_AXIS",
        "sqlExpression": column,
        "label": column,
        "expressionType": "SQL",
    }


def _filters(chart: Chart) -> list[Chart]:
    if "where" not in chart:
        return []
    return [{"expressionType": "SQL", "clause": "WHERE", "sqlExpression": chart["where"]}]

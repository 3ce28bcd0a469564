"""Charts as specifications for plotly.js, which the pages carry: no request to another host, no drawing here.

A text is ``{"zh": …, "en": …}``; the script of the pages (``static/portal.js``) takes the reader's language.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ingest.code_texts import Text

Chart = dict[str, Any]
#: Colours that people who are colour-blind tell apart (Okabe and Ito), dark enough on white.
COLOURS = ("#0072b2", "#b34700", "#007a5a", "#a6467c", "#5c6b00", "#4c4c99", "#7a5230", "#1f7f99", "#555555")
DASHES = ("solid", "dash", "dot", "dashdot")


def bars(months: Sequence[str], series: Iterable[tuple[Text, Mapping[str, float]]]) -> Chart:
    """Stacked bars by month."""
    data = [
        {
            "type": "bar",
            "name": text.model_dump(),
            "x": list(months),
            "y": [values.get(month) for month in months],
            "marker": {"color": COLOURS[number % len(COLOURS)]},
        }
        for number, (text, values) in enumerate(series)
    ]
    return {"data": data, "layout": {"barmode": "stack", "xaxis": _months(), "yaxis": {"rangemode": "tozero"}}}


def lines(
    months: Sequence[str],
    series: Iterable[tuple[Text, Mapping[str, float]]],
    *,
    is_share: bool = False,
    bold: int | None = None,
) -> Chart:
    """Lines by month; months without a value are gaps.

    Args:
        months: The months of the axis.
        series: Names and values by month.
        is_share: Values are shares of 1, shown in percent.
        bold: Number of the series that stands out.
    """
    data = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": text.model_dump(),
            "x": list(months),
            "y": [values.get(month) for month in months],
            "line": {
                "color": "#111111" if number == bold else COLOURS[number % len(COLOURS)],
                "dash": DASHES[number // len(COLOURS) % len(DASHES)],
                "width": 4 if number == bold else 2,
            },
        }
        for number, (text, values) in enumerate(series)
    ]
    axis = {"tickformat": ".1%"} if is_share else {}
    return {"data": data, "layout": {"xaxis": _months(), "yaxis": {"rangemode": "tozero", **axis}}}


def _months() -> dict[str, Any]:
    return {"type": "category", "tickangle": -45}

"""Data Docs: the stored validation results as plain pages that need no network and no script.

Great Expectations' own pages load their style and scripts from half a dozen hosts on the internet; a warehouse inside
a closed network shows them bare. These pages are rendered from ``ops.validation_result``, the record itself.
"""

from pathlib import Path

import psycopg
from jinja2 import Environment, PackageLoader, select_autoescape
from psycopg.rows import dict_row

_PAGES = Environment(loader=PackageLoader("expectations", "templates"), autoescape=select_autoescape())

_BATCHES = """
SELECT d.name AS title, d.source, d.sender, d.period, d.status, array_to_string(d.codes, ' ') AS codes,
    count(*) AS checks, count(*) FILTER (WHERE NOT v.success) AS failed,
    count(*) FILTER (WHERE NOT v.success AND v.severity = 'critical') AS critical, max(v.run_at) AS run_at,
    'delivery-' || d.delivery_id || '.html' AS page, d.delivery_id
FROM ops.validation_result AS v INNER JOIN ops.delivery AS d ON v.arrival_id = d.delivery_id
GROUP BY d.delivery_id, d.name, d.source, d.sender, d.period, d.status, d.codes
ORDER BY d.source, d.sender, d.period, d.name
"""
_BUILDS = """
SELECT build || ' ' || to_char(max(run_at), 'YYYY-MM-DD HH24:MI:SS') AS title, count(*) AS checks,
    count(*) FILTER (WHERE NOT success) AS failed,
    count(*) FILTER (WHERE NOT success AND severity = 'critical') AS critical, max(run_at) AS run_at,
    build || '.html' AS page, build
FROM (
    SELECT *, max(run_at) OVER (PARTITION BY build) AS last_at FROM ops.validation_result WHERE build IS NOT NULL
) AS results
WHERE run_at = last_at
GROUP BY build
"""
_RESULTS = """
SELECT suite, expectation, "column", severity, success, observed - 'description' AS observed,
    observed ->> 'description' AS description
FROM ops.validation_result
WHERE {condition}
ORDER BY success, severity, suite, "column" NULLS FIRST, expectation
"""


def build(dsn: str, folder: Path) -> Path:
    """Write an index and one page a delivery and build.

    Args:
        dsn: libpq connection string.
        folder: Where the pages go; made when missing.

    Returns:
        The index page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with psycopg.connect(dsn, row_factory=dict_row) as conn:
        deliveries = conn.execute(_BATCHES).fetchall()
        builds = conn.execute(_BUILDS).fetchall()
        for entry in deliveries:
            results = conn.execute(_RESULTS.format(condition="arrival_id = %s"), [entry["delivery_id"]]).fetchall()
            _write(folder / entry["page"], "results.html", entry=entry, results=results)
        for entry in builds:
            results = conn.execute(
                _RESULTS.format(condition="build = %s AND run_at = %s"), [entry["build"], entry["run_at"]]
            ).fetchall()
            _write(folder / entry["page"], "results.html", entry=entry, results=results)
    index = folder / "index.html"
    _write(index, "index.html", deliveries=deliveries, builds=builds)
    return index


def _write(path: Path, template: str, **values: object) -> None:
    path.write_text(_PAGES.get_template(template).render(**values), encoding="utf-8")

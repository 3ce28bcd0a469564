"""Reads the stored validation results (``ops.validation_result``) for the pages about deliveries and builds.

Great Expectations' own pages load their style and scripts from half a dozen hosts on the internet; a warehouse inside
a closed network shows them bare. Ours are rendered from the record itself (``warehouse/portal``).
"""

from datetime import datetime
from typing import Any, LiteralString

import psycopg
from psycopg.rows import class_row
from pydantic import BaseModel

from ingest.code_texts import Text

#: What is shown of an observation, in this order.
OBSERVED = {
    "observed_value": Text(en="Found", zh="实测"),
    "element_count": Text(en="Rows", zh="行数"),
    "missing_count": Text(en="Without a value", zh="缺失"),
    "missing_percent": Text(en="Share without a value, %", zh="缺失占比，%"),
    "unexpected_count": Text(en="Against the rule", zh="不符"),
    "unexpected_percent": Text(en="Share against the rule, %", zh="不符占比，%"),
    "error": Text(en="Not evaluated", zh="未能校验"),
}


class Result(BaseModel):
    """What one expectation found. ``description`` says what is allowed, with its bounds."""

    suite: str
    column: str | None
    severity: str
    success: bool
    observed: dict[str, Any]
    description: str
    description_zh: str | None

    @property
    def allowed(self) -> Text:
        """What is allowed, in both languages where the expectation says so."""
        return Text(en=self.description, zh=self.description_zh or self.description)

    @property
    def found(self) -> list[tuple[Text, Any]]:
        """What was observed, with its labels."""
        return [
            (label, round(value, 2) if isinstance(value := self.observed[key], float) else value)
            for key, label in OBSERVED.items()
            if self.observed.get(key) is not None
        ]


class Build(BaseModel):
    """The last audit of a build."""

    build: str
    run_at: datetime
    checks: int
    failed: int
    critical: int


_BUILDS = """
SELECT build, run_at, count(*) AS checks, count(*) FILTER (WHERE NOT success) AS failed,
    count(*) FILTER (WHERE NOT success AND severity = 'critical') AS critical
FROM (
    SELECT *, max(run_at) OVER (PARTITION BY build) AS last_at FROM ops.validation_result WHERE build IS NOT NULL
) AS results
WHERE run_at = last_at
GROUP BY build, run_at
ORDER BY build
"""
_RESULTS: LiteralString = """
SELECT suite, "column", severity, success, coalesce(observed, '{}') AS observed,
    coalesce(nullif(observed ->> 'description', ''), replace(expectation, '_', ' ')) AS description,
    nullif(observed ->> 'description_zh', '') AS description_zh
FROM ops.validation_result
WHERE"""
_ORDER: LiteralString = ' ORDER BY success, severity, suite, "column" NULLS FIRST, expectation'


def builds(conn: psycopg.Connection) -> list[Build]:
    """The last audit of each build."""
    with conn.cursor(row_factory=class_row(Build)) as cursor:
        return cursor.execute(_BUILDS).fetchall()


def of_build(conn: psycopg.Connection, build: Build) -> list[Result]:
    """The results of an audit, what failed first."""
    return _results(conn, " build = %s AND run_at = %s", [build.build, build.run_at])


def of_delivery(conn: psycopg.Connection, arrival_id: int) -> list[Result]:
    """The results of a delivery, what failed first."""
    return _results(conn, " arrival_id = %s", [arrival_id])


def _results(conn: psycopg.Connection, condition: LiteralString, values: list[Any]) -> list[Result]:
    with conn.cursor(row_factory=class_row(Result)) as cursor:
        return cursor.execute(_RESULTS + condition + _ORDER, values).fetchall()

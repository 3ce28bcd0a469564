"""Runs suites on Postgres tables and stores what was observed.

Results never hold a personal value: unexpected values are excluded altogether, and what remains are counts, shares
and aggregates.
"""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.types.json import Jsonb
from sqlalchemy import URL

if TYPE_CHECKING:
    from great_expectations.core import ExpectationSuiteValidationResult
    from great_expectations.data_context import AbstractDataContext
    from great_expectations.expectations.expectation import Expectation

#: What may be kept of a result: counts, shares, and the aggregate that an expectation looked at.
OBSERVED = (
    "observed_value",
    "element_count",
    "unexpected_count",
    "unexpected_percent",
    "missing_count",
    "missing_percent",
)


@dataclass(frozen=True)
class Result:
    """One expectation's verdict on one table."""

    suite: str
    expectation: str
    column: str | None
    severity: str
    success: bool
    observed: dict[str, Any]
    description: str

    @property
    def stops(self) -> bool:
        """Whether this result refuses the delivery or the build."""
        return not self.success and self.severity == "critical"


@cache
def _context() -> "AbstractDataContext":
    """One ephemeral context a process: its import costs seconds, so it is paid on first use."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    logging.getLogger("great_expectations").setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    return context


def sqlalchemy_url(dsn: str) -> str:
    """The libpq connection string as SQLAlchemy writes it (a socket folder becomes a query argument)."""
    parts = conninfo_to_dict(dsn)
    host = str(parts.get("host") or "")
    socket = host.startswith("/")
    url = URL.create(
        "postgresql+psycopg",
        username=str(parts["user"]) if parts.get("user") else None,
        password=str(parts["password"]) if parts.get("password") else None,
        # Great Expectations wants to see a host even where a socket is meant.
        host="localhost" if socket or not host else host,
        port=int(str(parts["port"])) if parts.get("port") else None,
        database=str(parts["dbname"]) if parts.get("dbname") else None,
        query={"host": host} if socket else {},
    )
    return url.render_as_string(hide_password=False)


def run(dsn: str, schema: str, table: str, suite: str, expectations: "Sequence[Expectation]") -> list[Result]:
    """Validate one table.

    Args:
        dsn: libpq connection string.
        schema: Schema of the table.
        table: Table to look at.
        suite: Name under which the results are stored.
        expectations: What to check; each carries its severity.

    Returns:
        One result an expectation. A warning that could not be evaluated counts as failed.

    Raises:
        RuntimeError: A critical expectation could not be evaluated.
    """
    import great_expectations as gx

    context = _context()
    source = context.data_sources.add_postgres(name=f"{schema}.{table}", connection_string=sqlalchemy_url(dsn))
    try:
        asset = source.add_table_asset(name=table, table_name=table, schema_name=schema)
        batch = asset.add_batch_definition_whole_table("all").get_batch()
        outcome = batch.validate(
            gx.ExpectationSuite(name=suite, expectations=list(expectations)),
            result_format={"result_format": "BASIC", "exclude_unexpected_values": True},
        )
        return _results(suite, outcome)
    finally:
        # The engine keeps a connection open; a batch table could not be attached or dropped under it.
        source.get_execution_engine().close()
        source.get_engine().dispose()
        context.data_sources.delete(source.name)


def _raised(exception_info: dict[str, Any] | None) -> bool:
    """Whether an expectation failed to run: the library keeps the flag on top or below each metric's name."""
    info = exception_info or {}
    return bool(info.get("raised_exception")) or any(
        isinstance(each, dict) and each.get("raised_exception") for each in info.values()
    )


def _dumps(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)  # dates and decimals as text


def _results(suite: str, outcome: "ExpectationSuiteValidationResult") -> list[Result]:
    results = []
    for each in outcome.results:
        config = each.expectation_config
        severity = str(getattr(config.severity, "value", config.severity))
        observed = {key: each.result[key] for key in OBSERVED if each.result.get(key) is not None}
        if _raised(each.exception_info):
            if severity == "critical":
                # A fault of ours or of the database, which must not be laid at the sender's door.
                raise RuntimeError(f"the critical expectation {config.type} of {suite} could not be evaluated")
            observed["error"] = "the expectation could not be evaluated"
        column = config.kwargs.get("column") or config.kwargs.get("column_A")
        if column is None and config.kwargs.get("column_list"):
            column = ",".join(config.kwargs["column_list"])
        results.append(
            Result(
                suite=suite,
                expectation=(config.meta or {}).get("name") or config.type,
                column=column,
                severity=severity,
                success=bool(each.success),
                observed=observed,
                description=config.description or "",
            )
        )
    return results


def store(
    conn: psycopg.Connection,
    results: Sequence[Result],
    *,
    delivery_name: str | None = None,
    arrival_id: int | None = None,
    build: str | None = None,
) -> None:
    """Write results to ``ops.validation_result``; those of an arrival that is judged again replace its earlier ones."""
    with conn.transaction(), conn.cursor() as cursor:
        if arrival_id is not None:
            cursor.execute("DELETE FROM ops.validation_result WHERE arrival_id = %s", [arrival_id])
        cursor.executemany(
            """
            INSERT INTO ops.validation_result
                (delivery_name, arrival_id, build, suite, expectation, "column", severity, success, observed, run_at)
            VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, now())
            """,
            [
                (
                    delivery_name,
                    arrival_id,
                    build,
                    result.suite,
                    result.expectation,
                    result.column,
                    result.severity,
                    result.success,
                    Jsonb({**result.observed, "description": result.description}, dumps=_dumps),
                )
                for result in results
            ],
        )

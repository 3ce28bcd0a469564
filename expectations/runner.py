"""Runs suites on Postgres tables and stores their results.

Results never hold a personal value: unexpected values are not requested, and only counts, shares and aggregates of the
library's results are stored.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import great_expectations as gx
import psycopg
import sqlalchemy
from great_expectations.expectations.expectation import Expectation
from psycopg.types.json import Jsonb

from expectations import private_gx

#: The parts of a result that are stored: counts, shares, and the aggregate that an expectation checks.
OBSERVED = (
    "observed_value",
    "element_count",
    "unexpected_count",
    "unexpected_percent",
    "missing_count",
    "missing_percent",
)
#: Counts and no values: the library fetches as many unexpected values as it may show.
RESULT_FORMAT = {"result_format": "BASIC", "partial_unexpected_count": 0}

# The library logs what it could not evaluate together with the statement. The results report it without the statement.
logging.getLogger("great_expectations").setLevel(logging.ERROR)


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
    description_zh: str

    @property
    def stops(self) -> bool:
        """Whether this result refuses the delivery or the build."""
        return not self.success and self.severity == "critical"


def run(conn: psycopg.Connection, table: str, suite: str, expectations: Sequence[Expectation]) -> list[Result]:
    """Validate one table.

    Args:
        conn: Where the table is; in autocommit mode.
        table: Qualified name, ``schema.relation``.
        suite: Name under which the results are stored.
        expectations: What to check; each carries its severity.

    Returns:
        One result an expectation. A warning that could not be evaluated counts as failed.

    Raises:
        RuntimeError: A critical expectation could not be evaluated.
    """
    verdicts = private_gx.verdicts(conn, table, expectations, RESULT_FORMAT)
    if verdicts is None:
        return run_public(conn, table, suite, expectations)
    return [
        _result(suite, expectation.configuration, verdict["success"], verdict["result"])
        for expectation, verdict in zip(expectations, verdicts, strict=True)
    ]


def run_public(conn: psycopg.Connection, table: str, suite: str, expectations: Sequence[Expectation]) -> list[Result]:
    """The same by the library's public interface, on a connection of its own: the reference for the fast path."""
    schema, _, relation = table.partition(".")
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_postgres("warehouse", connection_string=_url(conn, schema))
    try:
        batch = source.add_table_asset(relation).add_batch_definition_whole_table("all").get_batch()
        checked = batch.validate(
            gx.ExpectationSuite(suite, expectations=list(expectations)), result_format=RESULT_FORMAT
        )
    finally:
        source.get_engine().dispose()
        source.get_execution_engine().close()
    return [
        _result(suite, each.expectation_config, each.success, None if _failed(each) else each.result)
        for each in checked.results
    ]


def _url(conn: psycopg.Connection, schema: str) -> str:
    """The connection's database as a URL with a host, which the library needs even when libpq uses a socket."""
    info = conn.info
    url = sqlalchemy.URL.create(
        "postgresql+psycopg",
        username=info.user,
        password=info.password or None,
        host="localhost",
        database=info.dbname,
        query={**info.get_parameters(), "options": f"{info.options} -c search_path={schema}"},
    )
    return url.render_as_string(hide_password=False)


def _failed(result: Any) -> bool:
    """Whether an expectation could not be evaluated: the library then reports an exception, by metric or in general."""
    return bool(result.exception_info) and result.exception_info.get("raised_exception", True)


def _dumps(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)  # dates and decimals as text


def _result(suite: str, config: Any, success: bool, found: Mapping[str, Any] | None) -> Result:
    """The result to store; ``found`` is None where the expectation could not be evaluated."""
    severity = str(getattr(config.severity, "value", config.severity))
    if found is None:
        if severity == "critical":
            # An error of this code or of the database, for which the sender's delivery must not be refused.
            raise RuntimeError(f"the critical expectation {config.type} of {suite} could not be evaluated")
        observed: dict[str, Any] = {"error": "the expectation could not be evaluated"}
    else:
        observed = {key: found[key] for key in OBSERVED if found.get(key) is not None}
    column = config.kwargs.get("column") or config.kwargs.get("column_A")
    if column is None and config.kwargs.get("column_list"):
        column = ",".join(config.kwargs["column_list"])
    return Result(
        suite=suite,
        expectation=(config.meta or {}).get("name") or config.type,
        column=column,
        severity=severity,
        success=bool(success),
        observed=observed,
        description=config.description or "",
        description_zh=(config.meta or {}).get("zh", ""),
    )


def store(
    conn: psycopg.Connection,
    results: Sequence[Result],
    *,
    delivery_name: str | None = None,
    arrival_id: int | None = None,
    build: str | None = None,
) -> None:
    """Write results to ``ops.validation_result``; those of an arrival replace its earlier ones."""
    rows = [
        {
            "suite": result.suite,
            "expectation": result.expectation,
            "column": result.column,
            "severity": result.severity,
            "success": result.success,
            "observed": {
                **result.observed,
                "description": result.description,
                "description_zh": result.description_zh,
            },
        }
        for result in results
    ]
    with conn.transaction():
        if arrival_id is not None:
            conn.execute("DELETE FROM ops.validation_result WHERE arrival_id = %s", [arrival_id])
        conn.execute(
            """
            INSERT INTO ops.validation_result
                (delivery_name, arrival_id, build, suite, expectation, "column", severity, success, observed, run_at)
            SELECT %s, %s, %s, suite, expectation, "column", severity, success, observed, now()
            FROM jsonb_to_recordset(%s) AS row
                (suite text, expectation text, "column" text, severity text, success boolean, observed jsonb)
            """,
            [delivery_name, arrival_id, build, Jsonb(rows, dumps=_dumps)],
        )

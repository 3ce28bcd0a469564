"""Runs suites on Postgres tables and stores what was observed.

Results never hold a personal value: unexpected values are excluded altogether, and what remains are counts, shares
and aggregates.
"""

import itertools
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import sqlalchemy
from great_expectations.execution_engine import SqlAlchemyExecutionEngine
from great_expectations.execution_engine.sqlalchemy_batch_data import SqlAlchemyBatchData
from great_expectations.expectations.expectation import (
    ColumnMapExpectation,
    ColumnPairMapExpectation,
    Expectation,
    MulticolumnMapExpectation,
)
from great_expectations.expectations.registry import get_metric_kwargs
from great_expectations.validator.metric_configuration import MetricConfiguration
from great_expectations.validator.validation_graph import ValidationGraph
from psycopg.types.json import Jsonb

#: What may be kept of a result: counts, shares, and the aggregate that an expectation looked at.
OBSERVED = (
    "observed_value",
    "element_count",
    "unexpected_count",
    "unexpected_percent",
    "missing_count",
    "missing_percent",
)
#: Unexpected values are asked for nowhere; this would keep them out of a result all the same.
RESULT_FORMAT = {"result_format": "BASIC", "exclude_unexpected_values": True}

# The library tells of what it could not evaluate, with the statement; so do the results, without.
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

    @property
    def stops(self) -> bool:
        """Whether this result refuses the delivery or the build."""
        return not self.success and self.severity == "critical"


@contextmanager
def connected(dsn: str) -> Iterator[sqlalchemy.Engine]:
    """An engine on one connection, which is closed at the end: no batch could be attached or dropped under it."""
    engine = sqlalchemy.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(dsn, autocommit=True),
        isolation_level="AUTOCOMMIT",
        poolclass=sqlalchemy.StaticPool,
    )
    try:
        yield engine
    finally:
        engine.dispose()


def run(
    engine: sqlalchemy.Engine, schema: str, table: str, suite: str, expectations: Sequence[Expectation]
) -> list[Result]:
    """Validate one table.

    The expectations say what they need to know, the library finds it out with few queries, and they judge. Its
    ``batch.validate`` does the same, but would fetch the unexpected values, at the price of a scan an expectation.

    Args:
        engine: Where the table is.
        schema: Schema of the table.
        table: Table to look at.
        suite: Name under which the results are stored.
        expectations: What to check; each carries its severity.

    Returns:
        One result an expectation. A warning that could not be evaluated counts as failed.

    Raises:
        RuntimeError: A critical expectation could not be evaluated.
    """
    execution = _Engine(engine=engine)
    execution.load_batch_data(table, SqlAlchemyBatchData(execution, schema_name=schema, table_name=table))
    needed = [needs(each) for each in expectations]
    graph = _Graph(execution)
    for metric in itertools.chain.from_iterable(need.values() for need in needed):
        graph.build_metric_dependency_graph(metric)
    known, _ = graph.resolve(show_progress_bars=False)
    results = []
    for each, need in zip(expectations, needed, strict=True):
        metrics = {name: known[metric.id] for name, metric in need.items() if metric.id in known}
        outcome = _verdict(each, metrics) if len(metrics) == len(need) else None
        results.append(_result(suite, each, outcome))
    return results


def needs(expectation: Expectation) -> dict[str, MetricConfiguration]:
    """What an expectation must know to judge, by the name under which it looks for it.

    For counts this is what its ``get_validation_dependencies`` says, which takes most of the time of a small batch.
    """
    names = list(expectation.metric_dependencies)
    if isinstance(expectation, ColumnMapExpectation):
        names = ["table.row_count"]
        if expectation.map_metric != "column_values.null":
            names.append("column_values.nonnull.unexpected_count")
    elif isinstance(expectation, ColumnPairMapExpectation | MulticolumnMapExpectation):
        names = ["table.row_count", f"{expectation.map_metric}.filtered_row_count"]
    if map_metric := getattr(expectation, "map_metric", None):
        names.append(f"{map_metric}.unexpected_count")
    given = {key: value for key, value in expectation.dict(exclude={"result_format"}).items() if value is not None}
    found = {}
    for name in names:
        keys = get_metric_kwargs(name)
        domain, values = (
            {key: given[key] for key in keys[kind] if key in given}
            for kind in ("metric_domain_keys", "metric_value_keys")
        )
        found[name] = MetricConfiguration(name, domain, values)
    return found


class _Engine(SqlAlchemyExecutionEngine):
    """The library's engine, on connections that are not its own: it would close them whenever it is collected."""

    def close(self) -> None:
        """Leave them open."""


class _Graph(ValidationGraph):
    """Metrics and what they rest upon. The library walks down from a metric anew wherever it is wanted."""

    def __init__(self, engine: SqlAlchemyExecutionEngine) -> None:
        super().__init__(engine)
        self._walked: set[Any] = set()

    def build_metric_dependency_graph(
        self, metric_configuration: MetricConfiguration, runtime_configuration: dict[str, Any] | None = None
    ) -> None:
        """Add a metric with all that it rests upon, unless it is there."""
        if metric_configuration.id not in self._walked:
            self._walked.add(metric_configuration.id)
            super().build_metric_dependency_graph(metric_configuration, runtime_configuration)


def _verdict(expectation: Expectation, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        verdict: dict[str, Any] = expectation._validate(metrics, {"result_format": RESULT_FORMAT})
    except Exception:  # noqa: BLE001 - whatever the library stumbles over is no verdict
        return None
    return verdict


def _dumps(value: object) -> str:
    return json.dumps(value, default=str, ensure_ascii=False)  # dates and decimals as text


def _result(suite: str, expectation: Expectation, verdict: Mapping[str, Any] | None) -> Result:
    config = expectation.configuration
    severity = str(getattr(config.severity, "value", config.severity))
    if verdict is None:
        if severity == "critical":
            # A fault of ours or of the database, which must not be laid at the sender's door.
            raise RuntimeError(f"the critical expectation {config.type} of {suite} could not be evaluated")
        verdict = {"success": False, "result": {}}
        observed: dict[str, Any] = {"error": "the expectation could not be evaluated"}
    else:
        found = verdict["result"]
        observed = {key: found[key] for key in OBSERVED if found.get(key) is not None}
    column = config.kwargs.get("column") or config.kwargs.get("column_A")
    if column is None and config.kwargs.get("column_list"):
        column = ",".join(config.kwargs["column_list"])
    return Result(
        suite=suite,
        expectation=(config.meta or {}).get("name") or config.type,
        column=column,
        severity=severity,
        success=bool(verdict["success"]),
        observed=observed,
        description=config.description or "",
    )


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

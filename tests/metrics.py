"""Compiles metrics of dbt's semantic layer to SQL, by MetricFlow."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from metricflow.engine.metricflow_engine import MetricFlowEngine, MetricFlowQueryRequest
from metricflow.protocols.sql_client import SqlEngine
from metricflow.sql.render.postgres import PostgresSQLSqlPlanRenderer
from metricflow_semantic_interfaces.implementations.semantic_manifest import PydanticSemanticManifest
from metricflow_semantics.model.dbt_manifest_parser import parse_manifest_from_dbt_generated_manifest
from metricflow_semantics.model.semantic_manifest_lookup import SemanticManifestLookup


class _Postgres:
    """What MetricFlow asks of a database when it only writes SQL."""

    sql_engine_type = SqlEngine.POSTGRES
    sql_plan_renderer = PostgresSQLSqlPlanRenderer()

    def render_bind_parameter_key(self, bind_parameter_key: str) -> str:
        return f"%({bind_parameter_key})s"


class Metrics:
    """The metrics of a semantic manifest, as dbt writes it."""

    def __init__(self, manifest: Path) -> None:
        parsed: Any = parse_manifest_from_dbt_generated_manifest(manifest.read_text("utf-8"))
        self.semantic_manifest: PydanticSemanticManifest = parsed
        self._engine = MetricFlowEngine(SemanticManifestLookup(parsed), _Postgres())

    def names(self, kind: str = "ratio") -> list[str]:
        return [metric.name for metric in self.semantic_manifest.metrics if metric.type.value == kind]

    def sql(self, metrics: Sequence[str], group_by: Sequence[str]) -> str:
        request = MetricFlowQueryRequest.create(metric_names=metrics, group_by_names=group_by)
        return self._engine.explain(request).sql_statement.sql

"""The runs of builds: one from dbt's start to the publication, and below it one of each model."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ingest.settings import Settings
from warehouse.build import dbt, dbt_graph
from warehouse.build.dbt_graph import Node
from warehouse.build.planning import BuildPlan
from warehouse.local import server
from warehouse.openlineage import sending
from warehouse.sharing.lineage import PublishedRelation

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from warehouse.openlineage.events import RunId

JOB = "build_warehouse"
#: The steps of a build are processes of their own under Airflow: its run has a number made of the plan's token.
_RUNS = uuid.UUID("0f6bd5bb-6f0c-5b0e-9a53-3c8f7c1f2a11")
#: First part of dbt's unique ids of what has a table.
_TABLES = ("model", "seed", "snapshot")


class BuildRun:
    """A build that is under way. Nothing here waits or fails: see ``sending``."""

    def __init__(self, settings: Settings, plan: BuildPlan) -> None:
        self._settings, self._plan, self._dsn = settings, plan, server.ensure_running(settings)
        self._sender = sending.sender(settings)
        self._run_id, self._begun_at = str(uuid.uuid5(_RUNS, plan["token"])), datetime.now(UTC)
        self._models: dict[str, tuple[str, datetime]] = {}

    def start(self) -> None:
        """Dbt is about to start."""
        self._put(lambda: self._of_build("START", self._begun_at))

    def model_started(self, unique_id: str) -> None:
        """Dbt has begun a node; told of what has a table. Called from dbt's threads."""
        if self._sender is not None and unique_id.split(".", 1)[0] in _TABLES:
            begun = self._models[unique_id] = str(uuid.uuid4()), datetime.now(UTC)
            self._put(lambda: self._of_model("START", unique_id, *begun, begun[1]))

    def model_ended(self, unique_id: str, status: str) -> None:
        """Dbt has finished a node. Called from dbt's threads."""
        if begun := self._models.pop(unique_id, None):
            state, at = "COMPLETE" if status == "success" else "FAIL", datetime.now(UTC)
            self._put(lambda: self._of_model(state, unique_id, *begun, at))

    def failed(self, step: str) -> None:
        """A step has failed; why stands in the log and the ledger, whose words may be those of a database error."""
        at = datetime.now(UTC)
        self._put(lambda: self._of_build("FAIL", at, message=f"The step {step} failed; nothing is published."))

    def published(self, contents: Iterable[PublishedRelation], row_counts: Mapping[str, int]) -> None:
        """The views have moved to this build."""
        at, relations = datetime.now(UTC), list(contents)
        self._put(lambda: self._of_build("COMPLETE", at, relations, row_counts))

    def flush(self) -> None:
        """Wait a little for what is to be sent."""
        if self._sender is not None:
            self._sender.flush()

    def _put(self, made: sending.Events) -> None:
        if self._sender is not None:
            self._sender.put(made)

    @cached_property
    def _graph(self) -> dbt_graph.DbtGraph:
        """The graph that dbt has parsed for this build, before its first node."""
        return dbt_graph.read(dbt.target(self._settings, self._plan["build"]) / "manifest.json")

    def _run(self) -> RunId:
        from warehouse.openlineage import events

        return events.RunId(self._run_id, JOB, self._begun_at)

    def _of_build(
        self,
        state: str,
        at: datetime,
        contents: Iterable[PublishedRelation] = (),
        row_counts: Mapping[str, int] | None = None,
        message: str | None = None,
    ) -> Iterator[RunEvent]:
        from warehouse.openlineage import events

        outputs = [
            events.describe(
                events.output_table(self._dsn, one.relation, (row_counts or {}).get(one.relation)),
                [(column.name, column.type, column.classification) for column in one.columns],
            )
            for one in contents
        ]
        facets = events.failure(message) if message else None
        yield events.event(events.RunState[state], self._run(), at, (), outputs, facets, "BUILD")

    def _of_model(
        self, state: str, unique_id: str, run_id: str, begun_at: datetime, at: datetime
    ) -> Iterator[RunEvent]:
        from warehouse.openlineage import events

        node = self._graph.nodes[unique_id]
        inputs = [
            events.input_table(self._dsn, _relation(parent))
            for parent in self._graph.nearest_ancestors(
                node, lambda one: one.is_relation or one.resource_type == "source"
            )
        ]
        output = events.output_table(self._dsn, _relation(node), physical=f"{self._plan['build']}.{node.alias}")
        run = events.RunId(run_id, f"model.{node.name}", begun_at, self._run())
        facets = events.failure(f"dbt could not build {node.name}.") if state == "FAIL" else None
        yield events.event(events.RunState[state], run, at, inputs, [output], facets, "MODEL")


@contextmanager
def recorded(settings: Settings, plan: BuildPlan, step: str) -> Iterator[BuildRun]:
    """The run of a build during one of its steps (dbt, audit, publish): it begins with the first; an error fails it."""
    run = BuildRun(settings, plan)
    if step == "dbt":
        run.start()
    try:
        yield run
    except Exception:
        run.failed(step)
        raise
    finally:
        run.flush()


def _relation(node: Node) -> str:
    """The name of a table that is the same in both build schemas: that of its view where it is published."""
    if node.resource_type == "source":
        return f"{node.schema}.{node.alias}"
    layer = node.path[1] if len(node.path) > 2 else f"{node.resource_type}s"
    return f"{node.meta.get('publish') or layer}.{node.alias}"

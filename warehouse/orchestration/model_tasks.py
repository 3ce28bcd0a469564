"""Shows every dbt model of a build as a task in Airflow, although one task runs dbt.

The task that runs dbt pushes the status of each model to XCom (``ModelStatus``). The task of a model (``ModelTask``)
starts no process: it waits in the triggerer, where ``triggers.ModelTrigger`` reads that XCom. So even many models cost
a build next to nothing, and clearing one of these tasks cannot run dbt on a schema that has been published since.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from airflow.sdk import BaseOperator, TaskGroup
from airflow.triggers.base import StartTriggerArgs

from warehouse.build import dbt_graph
from warehouse.build.dbt_graph import Node

#: XCom key of the finished models: unique id -> "success" or "failed".
STATUS_KEY = "models"
#: dbt's statuses of a node that failed.
FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
SKIPPED = "skipped"
#: Least time between two pushes: each is a request to the API server.
PUSH_INTERVAL_SECONDS = 1.0


@dataclass(frozen=True)
class Model:
    """A model, the models that it selects from, and its tests, all by dbt's unique ids."""

    unique_id: str
    name: str
    layer: str  # its folder below models/
    upstream: tuple[str, ...]
    tests: tuple[str, ...]


def read_models(manifest: Path) -> list[Model]:
    """The models of a dbt manifest that are relations, parents before children; none where the file is missing."""
    if not manifest.exists():
        return []
    graph = dbt_graph.read(manifest)
    return [
        Model(
            unique_id=node.unique_id,
            name=node.name,
            layer=node.path[1] if len(node.path) > 2 else "other",
            # An ephemeral model is replaced by its parents.
            upstream=tuple(parent.unique_id for parent in graph.nearest_ancestors(node, _is_model_relation)),
            tests=tuple(test.unique_id for test in graph.tests(node)),
        )
        for node in graph.in_dependency_order()
        if _is_model_relation(node)
    ]


def _is_model_relation(node: Node) -> bool:
    return node.resource_type == "model" and node.is_relation


class ModelStatus:
    """Collects dbt's results and pushes which models are finished, with their tests.

    A build may skip tests and models without a result. So a model also counts as successful when dbt has run a model
    below it, and, if dbt succeeds, at the end.

    ``push`` gets the status of all finished models: in Airflow the task instance's ``xcom_push``. Use the object as a
    context manager around dbt's run; ``record`` may be called from any thread.
    """

    def __init__(self, models: Sequence[Model], push: Callable[[dict[str, str]], None]) -> None:
        self._push = push
        self._model_of: dict[str, str] = {}
        self._upstream = {model.unique_id: model.upstream for model in models}
        self._pending_nodes: dict[str, set[str]] = {}
        for model in models:
            nodes = {model.unique_id, *model.tests}
            self._pending_nodes[model.unique_id] = nodes
            self._model_of.update(dict.fromkeys(nodes, model.unique_id))
        self._finished: dict[str, str] = {}
        self._pushed_at = 0.0
        self._lock = threading.Lock()

    def record(self, unique_id: str, status: str) -> None:
        """Record the result of a node; nodes other than models and their tests are ignored."""
        with self._lock:
            model = self._model_of.get(unique_id)
            if model is None or status == SKIPPED:
                return
            self._pending_nodes[model].discard(unique_id)
            if status in FAILED:
                self._finished[model] = "failed"
            elif not self._pending_nodes[model]:
                self._finished.setdefault(model, "success")
            if unique_id == model:
                for parent in self._upstream[model]:
                    self._finished.setdefault(parent, "success")
            if time.monotonic() - self._pushed_at > PUSH_INTERVAL_SECONDS:
                self._push_status()

    def __enter__(self) -> Self:
        """Push an empty status, which replaces that of an earlier try."""
        with self._lock:
            self._push_status()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Push the final status."""
        with self._lock:
            if kind is None:
                for model in self._pending_nodes:
                    self._finished.setdefault(model, "success")
            self._push_status()

    def _push_status(self) -> None:
        self._push(dict(self._finished))
        self._pushed_at = time.monotonic()


class ModelTask(BaseOperator):
    """Shows the status of one model in a run of the task ``reporter``. Waits in the triggerer, runs on no worker."""

    start_from_trigger = True

    def __init__(self, *, model: str, reporter: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.reporter = reporter
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="warehouse.orchestration.triggers.ModelTrigger",
            trigger_kwargs={"model": model, "reporter": reporter},
            next_method="execute",
            timeout=timedelta(hours=6),
        )

    def execute(self, context: Any, event: Any = None) -> None:
        """Do nothing: the trigger ends the task. `airflow tasks test` calls it."""


def add_model_tasks(manifest: Path, upstream: Any, reporter: str) -> None:
    """Add a ``ModelTask`` for each model of a dbt manifest to the current DAG, in one task group a layer.

    Args:
        manifest: Path of dbt's manifest; no tasks where it is missing.
        upstream: The task before models without parents.
        reporter: Id of the task that runs dbt.
    """
    groups: dict[str, TaskGroup] = {}
    tasks: dict[str, ModelTask] = {}
    with TaskGroup("models", tooltip="Status of each dbt model"):
        for model in read_models(manifest):
            if model.layer not in groups:
                groups[model.layer] = TaskGroup(model.layer)
            tasks[model.unique_id] = ModelTask(
                task_id=model.name, task_group=groups[model.layer], model=model.unique_id, reporter=reporter, retries=0
            )
            ([tasks[parent] for parent in model.upstream] or upstream) >> tasks[model.unique_id]

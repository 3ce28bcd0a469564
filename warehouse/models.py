"""One dbt build in Airflow with every model a task of the page.

One task runs dbt, through the same function as the command line, and tells how each model fared (``Board``). A model's
own task starts no process: it begins and ends in the triggerer, where ``warehouse.triggers.ModelTrigger`` reads that
word. So a page full of models costs the build next to nothing, and no click on one of them can ever run dbt on a
schema that has been published since.
"""

import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import StartTriggerArgs

#: XCom key under which the task that runs dbt tells what is finished: model -> "success" or "failed".
BOARD = "models"
#: dbt's words for a node that did not do.
FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
#: The board is hung out this often, in seconds: an XCom costs the build a request.
INTERVAL = 1.0


@dataclass(frozen=True)
class Model:
    """A model or seed, what it is made of, and the tests that belong to it (dbt's unique ids)."""

    unique_id: str
    name: str
    kind: str
    folder: str
    upstream: tuple[str, ...]
    tests: tuple[str, ...]


def read(manifest: Path) -> list[Model]:
    """Models and seeds of a dbt manifest that make a relation, parents before children."""
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"]
    tests: dict[str, list[str]] = {}
    for unique_id, node in nodes.items():
        if node["resource_type"] == "test":
            parents = node["depends_on"]["nodes"]
            if owner := node.get("attached_node") or (parents[-1] if parents else None):
                tests.setdefault(owner, []).append(unique_id)
    found: dict[str, Model] = {}

    def parents_of(node: dict[str, Any]) -> Iterable[str]:
        for parent in node["depends_on"]["nodes"]:
            if parent in nodes:
                # An ephemeral model makes no relation: its parents stand in for it.
                yield from [parent] if add(parent) else parents_of(nodes[parent])

    def add(unique_id: str) -> bool:
        node = nodes[unique_id]
        if node["resource_type"] not in ("model", "seed") or node["config"].get("materialized") == "ephemeral":
            return False
        if unique_id not in found:
            upstream = tuple(dict.fromkeys(parents_of({"depends_on": {"nodes": []}, **node})))
            found[unique_id] = Model(
                unique_id=unique_id,
                name=node["name"],
                kind=node["resource_type"],
                folder=node["fqn"][1] if len(node["fqn"]) > 2 else f"{node['resource_type']}s",
                upstream=upstream,
                tests=tuple(tests.get(unique_id, ())),
            )
        return True

    for unique_id in sorted(nodes):
        add(unique_id)
    return list(found.values())


class Board:
    """Gathers dbt's results and tells which models are finished, tests included.

    ``push`` gets the whole board: the task instance's ``xcom_push`` in Airflow. Called from dbt's threads.
    """

    def __init__(self, models: Iterable[Model], push: Callable[[dict[str, str]], None]) -> None:
        self._push = push
        self._owner: dict[str, str] = {}
        self._open: dict[str, set[str]] = {}
        for model in models:
            members = {model.unique_id, *model.tests}
            self._open[model.unique_id] = members
            self._owner.update(dict.fromkeys(members, model.unique_id))
        self._finished: dict[str, str] = {}
        self._pushed_at = 0.0
        self._lock = threading.Lock()

    def tell(self, unique_id: str, status: str) -> None:
        """Note how a node (model, seed or test) fared."""
        with self._lock:
            model = self._owner.get(unique_id)
            if model is None:
                return
            self._open[model].discard(unique_id)
            if status in FAILED:
                self._finished[model] = "failed"
            elif not self._open[model]:
                self._finished.setdefault(model, "success")
            if time.monotonic() - self._pushed_at > INTERVAL:
                self._hang_out()

    def close(self) -> None:
        """Hang the board out as it stands; the last word."""
        with self._lock:
            self._hang_out()

    def _hang_out(self) -> None:
        self._push(dict(self._finished))
        self._pushed_at = time.monotonic()


class ModelTask(BaseOperator):
    """Shows how the task ``reporter`` fared with one model. Starts and ends in the triggerer, runs on no worker."""

    start_from_trigger = True

    def __init__(self, *, model: str, reporter: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.model = model
        self.reporter = reporter
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="warehouse.triggers.ModelTrigger",
            trigger_kwargs={"model": model, "reporter": reporter},
            next_method="execute",
            timeout=timedelta(hours=6),
        )

    def execute(self, context: Any, event: Any = None) -> None:
        """Never called: the trigger ends the task. Kept for `airflow tasks test`."""

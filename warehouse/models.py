"""One dbt build in Airflow with every model a task of the page.

One task runs dbt, through the same function as the command line, and tells how each model fared (``Board``). A model's
own task starts no process: it begins and ends in the triggerer, where ``warehouse.triggers.ModelTrigger`` reads that
word. So a page full of models costs the build next to nothing, and no click on one of them can ever run dbt on a
schema that has been published since.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any, Self

from airflow.sdk import BaseOperator
from airflow.triggers.base import StartTriggerArgs

#: XCom key under which the task that runs dbt tells what is finished: model -> "success" or "failed".
BOARD = "models"
#: dbt's words for a node that did not do.
FAILED = frozenset({"error", "fail", "runtime error", "partial success"})
SKIPPED = "skipped"
#: The board is hung out this often, in seconds: an XCom costs the build a request.
INTERVAL = 1.0


@dataclass(frozen=True)
class Model:
    """A model, the models it is made of, and the tests that belong to it (all by dbt's unique ids)."""

    unique_id: str
    name: str
    layer: str  # its folder below models/
    upstream: tuple[str, ...]
    tests: tuple[str, ...]


def read(manifest: Path) -> list[Model]:
    """The models of a dbt manifest that make a relation, parents before children; none where it is not there yet."""
    if not manifest.exists():
        return []
    nodes = json.loads(manifest.read_text(encoding="utf-8"))["nodes"]
    tests: dict[str, list[str]] = {}
    for unique_id, node in nodes.items():
        if node["resource_type"] == "test":
            parents = node["depends_on"]["nodes"]
            if owner := node.get("attached_node") or (parents[-1] if parents else None):
                tests.setdefault(owner, []).append(unique_id)

    def is_shown(unique_id: str) -> bool:
        node = nodes[unique_id]
        return node["resource_type"] == "model" and node["config"].get("materialized") != "ephemeral"

    def shown_parents(unique_id: str) -> Iterator[str]:
        for parent in nodes[unique_id]["depends_on"].get("nodes", ()):
            if parent in nodes:
                # For an ephemeral model its parents stand in; a seed has none.
                yield from [parent] if is_shown(parent) else shown_parents(parent)

    upstream = {one: tuple(dict.fromkeys(shown_parents(one))) for one in sorted(nodes) if is_shown(one)}
    return [
        Model(
            unique_id=one,
            name=nodes[one]["name"],
            layer=nodes[one]["fqn"][1] if len(nodes[one]["fqn"]) > 2 else "other",
            upstream=upstream[one],
            tests=tuple(tests.get(one, ())),
        )
        for one in TopologicalSorter(upstream).static_order()
    ]


class Board:
    """Gathers dbt's results and tells which models are finished, tests included.

    A build need not run all tests, nor all models. dbt does not say which, but it begins a model only when it has done
    with the models above it; what it has not spoken of when it has ended well stands as it was.

    ``push`` gets the whole board: the task instance's ``xcom_push`` in Airflow. Called from dbt's threads, within a
    ``with`` around dbt's run.
    """

    def __init__(self, models: Sequence[Model], push: Callable[[dict[str, str]], None]) -> None:
        self._push = push
        self._owner: dict[str, str] = {}
        self._upstream = {model.unique_id: model.upstream for model in models}
        self._open: dict[str, set[str]] = {}
        for model in models:
            members = {model.unique_id, *model.tests}
            self._open[model.unique_id] = members
            self._owner.update(dict.fromkeys(members, model.unique_id))
        self._finished: dict[str, str] = {}
        self._pushed_at = 0.0
        self._lock = threading.Lock()

    def tell(self, unique_id: str, status: str) -> None:
        """Note how a node fared; nodes that are no model, nor a model's test, are left out."""
        with self._lock:
            model = self._owner.get(unique_id)
            if model is None:
                return
            if status == SKIPPED:
                return
            self._open[model].discard(unique_id)
            if status in FAILED:
                self._finished[model] = "failed"
            elif not self._open[model]:
                self._finished.setdefault(model, "success")
            if unique_id == model:
                for parent in self._upstream[model]:
                    self._finished.setdefault(parent, "success")
            if time.monotonic() - self._pushed_at > INTERVAL:
                self._hang_out()

    def __enter__(self) -> Self:
        """Hang the board out empty: whoever looks finds one."""
        with self._lock:
            self._hang_out()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Hang the board out for the last time."""
        with self._lock:
            if kind is None:
                for model in self._open:
                    self._finished.setdefault(model, "success")
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

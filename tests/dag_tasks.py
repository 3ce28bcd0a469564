"""Runs the tasks of the DAGs in the order of a pass, as Airflow reads them, but without its scheduler.

Called as a program in an environment of its own, with the folder of the DAG files; with ``--any-source`` packages of an
unknown source are decided too. What the tasks return, which Airflow keeps, is written as JSON behind ``returned``.
"""

import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from airflow.dag_processing.dagbag import DagBag
from airflow.sdk import AssetAlias, PokeReturnValue
from airflow.sdk.execution_time.context import OutletEventAccessors


def told(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A task that writes what it returns."""

    def run(*arguments: Any, **named: Any) -> Any:
        value = function(*arguments, **named)
        content = value.xcom_value if isinstance(value, PokeReturnValue) else value
        sys.stdout.write(f"returned {name} {json.dumps(content, default=str)}\n")
        return value

    return run


def main(folder: str, *options: str) -> None:
    """Detect, load every source, decide, build, audit, publish."""
    dags = DagBag(folder)
    assert dags.import_errors == {}, dags.import_errors
    instance = SimpleNamespace(
        start_date=datetime.now(UTC), get_dr_count=lambda **_: 0, xcom_push=lambda **_: None, xcom_pull=lambda **_: None
    )

    def task(dag: str, name: str) -> Any:
        function = dags.dags[dag].get_task(name).python_callable
        if "get_current_context" in function.__globals__:
            function.__globals__["get_current_context"] = lambda: {"ti": instance}
        return told(f"{dag}.{name}", function)

    woken = OutletEventAccessors()
    undecidable = task("detect_deliveries", "register")(outlet_events=woken)
    assert undecidable == [] or "--any-source" in options, "a source without a DAG"
    for delivery in undecidable:
        task("detect_deliveries", "process")(delivery)
    for dag in sorted(name for name in dags.dags if name.startswith("load_")):
        outcomes = [task(dag, "load")(delivery) for delivery in task(dag, "pending")()]
        sys.stdout.write(f"{dag} {[outcome['status'] for outcome in outcomes]}\n")
        if outcomes:
            task(dag, "announce")(outcomes, outlet_events=OutletEventAccessors())
    decided = OutletEventAccessors()
    task("decide_build", "decide")(outlet_events=decided)
    assert decided[AssetAlias("builds")].asset_alias_events, "no build is due"
    planned = task("build_warehouse", "plan")(params={}).xcom_value
    for name in ("run_dbt", "audit", "publish"):
        task("build_warehouse", name)(planned)
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])

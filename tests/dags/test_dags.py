"""What the DAG files say: every DAG there and complete, the assets between them, the shape of each."""

import ast
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from airflow.sdk import Asset, AssetAlias, FixedKeyMapper, RetryAction
from airflow.sdk.exceptions import ParamValidationError

from ingest.errors import WarehouseError
from tests.dags.conftest import FOLDER
from warehouse import wiring
from warehouse.models import ModelTask
from warehouse.triggers import InboxTrigger

LOADS = ["load_medical", "load_membership", "load_training"]
IDS = sorted(["detect_deliveries", *LOADS, "build_warehouse", "upkeep"])


def test_every_file_imports_and_the_dags_are_exactly_these(dagbag: Any) -> None:
    assert dagbag.import_errors == {}
    assert sorted(dagbag.dags) == IDS


@pytest.mark.parametrize("dag", IDS, indirect=True)
def test_a_dag_says_what_it_is_and_how_long_it_may_take(dag: Any) -> None:
    assert "**Purpose**" in dag.doc_md
    assert "**Rerun**" in dag.doc_md
    assert {tag for tag in dag.tags if tag.startswith("tier_")}
    assert isinstance(dag.dagrun_timeout, timedelta)
    assert dag.max_active_runs == 1
    assert dag.catchup is False
    for task in dag.tasks:
        assert task.owner == "data-engineering"
        assert isinstance(task.execution_timeout, timedelta)
        assert task.execution_timeout < dag.dagrun_timeout
        # A model's task runs nothing, so nothing of it could be mended by running it again.
        assert task.retries == 0 if isinstance(task, ModelTask) else task.retries > 0
        assert task.retry_policy is wiring.RETRY


def test_an_asset_has_one_name_and_one_uri(dagbag: Any) -> None:
    """A second name of a URI would silently switch an asset, and its watcher, off."""
    found: set[tuple[str, str]] = set()
    for dag in dagbag.dags.values():
        condition = getattr(dag.timetable, "asset_condition", None)
        if condition is not None:
            found |= {(asset.name, asset.uri) for asset in leaves(condition)}
        for task in dag.tasks:
            found |= {(outlet.name, outlet.uri) for outlet in task.outlets if isinstance(outlet, Asset)}
    assert len({name for name, _ in found}) == len({uri for _, uri in found}) == len(found) == 8


def leaves(condition: Any) -> list[Asset]:
    """The assets of a schedule's condition."""
    if isinstance(condition, Asset):
        return [condition]
    return [asset for part in condition.objects for asset in leaves(part)]


def assets(dag: Any) -> set[str]:
    return {asset.name for asset in leaves(dag.timetable.asset_condition)}


@pytest.mark.parametrize("dag", ["detect_deliveries"], indirect=True)
def test_detect_wakes_on_arrival_and_by_the_clock(dag: Any) -> None:
    assert assets(dag) == {"inbox"}
    (watcher,) = wiring.INBOX.watchers
    assert isinstance(watcher.trigger, InboxTrigger)
    assert dag.timetable.timetable.expression == "*/5 * * * *"


@pytest.mark.parametrize("dag", ["detect_deliveries"], indirect=True)
def test_shape_of_detect(dag: Any) -> None:
    assert edges(dag) == {("register", "judge"), ("judge", "wake_build")}
    assert dag.get_task("judge").is_mapped
    assert dag.get_task("wake_build").is_teardown  # runs whatever became of the judged, and does not hide it
    # An alias: the task decides at run time which loads it wakes.
    assert dag.get_task("register").outlets == [AssetAlias("arrivals")]
    assert [outlet.name for outlet in dag.get_task("wake_build").outlets] == ["ledger"]


@pytest.mark.parametrize("dag", LOADS, indirect=True)
def test_a_load_listens_to_its_source_and_tells_the_build(dag: Any) -> None:
    source = dag.dag_id.removeprefix("load_")
    assert assets(dag) == {f"inbox/{source}"}
    assert [outlet.name for outlet in dag.get_task("announce").outlets] == [f"landing/{source}"]
    assert edges(dag) == {("pending", "load"), ("load", "announce")}
    assert dag.get_task("load").is_mapped
    assert dag.get_task("load").map_index_template == "{{ task.op_kwargs['delivery']['name'] }}"
    assert dag.get_task("announce").is_teardown


@pytest.mark.parametrize("dag", ["build_warehouse"], indirect=True)
def test_build_listens_to_every_source_and_events_fall_together(dag: Any) -> None:
    assert assets(dag) == {"landing/membership", "landing/training", "landing/medical", "ledger"}
    assert dag.timetable.partition_mapper_config == {}
    assert isinstance(dag.timetable.default_partition_mapper, FixedKeyMapper)


@pytest.mark.parametrize("dag", ["build_warehouse"], indirect=True)
def test_shape_of_build(dag: Any) -> None:
    chain = ["plan", "run_dbt", "audit", "publish", "refresh_docs"]
    for before, after in pairwise(chain):
        assert after in dag.get_task(before).downstream_task_ids
    for name in chain:
        assert dag.get_task(name).trigger_rule == "all_success"
    # What is published waits for dbt and the audit, not for the tasks that show models.
    assert not [name for name in dag.get_task("publish").get_flat_relative_ids(upstream=True) if "." in name]


@pytest.mark.parametrize("dag", ["build_warehouse"], indirect=True)
def test_every_model_is_a_task_and_runs_on_no_worker(dag: Any) -> None:
    shown = {task.task_id: task for task in dag.tasks if isinstance(task, ModelTask)}
    assert set(shown) == {"models.staging.stg_member", "models.core.member", "models.marts.coverage"}
    # An ephemeral model is no relation, a seed no model: they are left out, and the chain passes through them.
    assert shown["models.core.member"].upstream_task_ids == {"models.staging.stg_member"}
    assert shown["models.marts.coverage"].upstream_task_ids == {"models.core.member"}
    assert shown["models.staging.stg_member"].upstream_task_ids == {"plan"}
    for task in shown.values():
        assert task.start_from_trigger
        assert task.start_trigger_args.trigger_kwargs == {"model": task.model, "reporter": "run_dbt"}
    assert "run_dbt" in dag.task_ids


@pytest.mark.parametrize("dag", ["build_warehouse"], indirect=True)
def test_a_month_is_asked_for_as_a_month(dag: Any) -> None:
    assert dag.params["month"] is None
    month = dag.params.get_param("month")
    assert month.resolve("2026-09") == "2026-09"
    for wrong in ("2026-13", "2026", "september"):
        with pytest.raises(ParamValidationError):
            month.resolve(wrong)


@pytest.mark.parametrize("dag", ["upkeep"], indirect=True)
def test_upkeep_comes_daily(dag: Any) -> None:
    assert dag.timetable.expression == "30 6 * * *"
    assert set(dag.task_ids) == {"missing_deliveries", "merge_partitions", "fold_vault", "refresh_docs"}


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (psycopg.OperationalError(), RetryAction.RETRY),
        (psycopg.errors.DeadlockDetected(), RetryAction.RETRY),
        (ConnectionResetError(), RetryAction.RETRY),
        (TimeoutError(), RetryAction.RETRY),
        (WarehouseError("another key"), RetryAction.FAIL),
        (psycopg.errors.UndefinedTable(), RetryAction.FAIL),
        (ValueError(), RetryAction.FAIL),
    ],
)
def test_only_what_a_retry_can_mend_is_retried(error: Exception, action: RetryAction) -> None:
    assert wiring.RETRY.evaluate(error, 1, 3).action is action


def test_dag_files_are_short_and_only_wire() -> None:
    """Nothing slow is imported when a file is read: that happens in every task and every few minutes."""
    may = ("airflow.sdk", "datetime", "typing", "ingest.settings", "warehouse")
    for path in FOLDER.glob("*.py"):
        text = path.read_text()
        assert len(text.splitlines()) <= 170, path.name
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.ImportFrom | ast.Import):
                names = [alias.name for alias in statement.names]
                modules = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else names
                assert all(module.startswith(may) for module in modules), (path.name, modules)
    code = (
        "import sys, warehouse.dbt, warehouse.models, warehouse.wiring\n"
        "print(*sorted({'pandas', 'dbt', 'great_expectations'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def edges(dag: Any) -> set[tuple[str, str]]:
    return {(task.task_id, other) for task in dag.tasks for other in task.downstream_task_ids}

"""The DAG files: the set of DAGs, their arguments, the assets between them, and the structure of each."""

import ast
import subprocess
import sys
from datetime import timedelta
from itertools import pairwise
from typing import Any, get_type_hints

import psycopg
import pytest
from airflow.sdk import Asset, AssetAlias, FixedKeyMapper, RetryAction
from airflow.sdk.exceptions import ParamValidationError

from ingest.contracts import source_names
from ingest.errors import WarehouseError
from tests.dags.conftest import FOLDER
from warehouse.orchestration import assets as shared
from warehouse.orchestration.decisions import MAP_INDEX_TEMPLATE
from warehouse.orchestration.model_tasks import ModelTask
from warehouse.orchestration.triggers import InboxTrigger

LOADS = [f"load_{source}" for source in source_names()]
IDS = sorted(["detect_deliveries", *LOADS, "decide_build", "build_warehouse", "upkeep"])


def test_every_file_imports_and_the_dags_are_exactly_these(dagbag: Any) -> None:
    assert dagbag.import_errors == {}
    assert sorted(dagbag.dags) == IDS


@pytest.mark.parametrize("dag", IDS, indirect=True)
def test_a_dag_has_documentation_and_timeouts(dag: Any) -> None:
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
        # The task of a model runs nothing, so a retry would be of no use.
        assert task.retries == 0 if isinstance(task, ModelTask) else task.retries > 0
        assert task.retry_policy is shared.RETRY


def test_an_asset_has_one_name_and_one_uri(dagbag: Any) -> None:
    """A second name of a URI would silently switch an asset, and its watcher, off."""
    found: set[tuple[str, str]] = set()
    for dag in dagbag.dags.values():
        condition = getattr(dag.timetable, "asset_condition", None)
        if condition is not None:
            found |= {(asset.name, asset.uri) for asset in leaves(condition)}
        for task in dag.tasks:
            found |= {(outlet.name, outlet.uri) for outlet in task.outlets if isinstance(outlet, Asset)}
    # the inbox, the ledger, the one that starts a build, and two of each source
    assert len({name for name, _ in found}) == len({uri for _, uri in found}) == len(found) == 3 + 2 * len(LOADS)


def leaves(condition: Any) -> list[Asset]:
    """The assets of a schedule's condition."""
    if isinstance(condition, Asset):
        return [condition]
    return [asset for part in condition.objects for asset in leaves(part)]


def assets(dag: Any) -> set[str]:
    return {asset.name for asset in leaves(dag.timetable.asset_condition)}


@pytest.mark.parametrize("dag", ["detect_deliveries"], indirect=True)
def test_detect_deliveries_starts_on_arrival_and_by_the_clock(dag: Any) -> None:
    assert assets(dag) == {"inbox"}
    (watcher,) = shared.INBOX.watchers
    assert isinstance(watcher.trigger, InboxTrigger)
    assert dag.timetable.timetable.expression == "*/5 * * * *"


@pytest.mark.parametrize("dag", ["detect_deliveries"], indirect=True)
def test_structure_of_detect_deliveries(dag: Any) -> None:
    assert edges(dag) == {("register", "process"), ("process", "wake_build")}
    assert dag.get_task("process").is_mapped
    assert dag.get_task("wake_build").is_teardown  # runs after failures, too, and does not hide them
    # An alias: the task decides at run time which loads it wakes.
    assert dag.get_task("register").outlets == [AssetAlias("arrivals")]
    assert [outlet.name for outlet in dag.get_task("wake_build").outlets] == ["ledger"]


@pytest.mark.parametrize("dag", LOADS, indirect=True)
def test_a_load_starts_with_its_source_and_emits_an_event_for_the_build(dag: Any) -> None:
    source = dag.dag_id.removeprefix("load_")
    assert assets(dag) == {f"inbox/{source}"}
    assert [outlet.name for outlet in dag.get_task("announce").outlets] == [f"landing/{source}"]
    assert edges(dag) == {("pending", "load"), ("load", "announce")}
    assert dag.get_task("load").is_mapped
    assert dag.get_task("load").map_index_template == MAP_INDEX_TEMPLATE
    assert dag.get_task("announce").is_teardown


@pytest.mark.parametrize("dag", ["decide_build"], indirect=True)
def test_any_source_makes_one_task_decide_about_a_build_and_many_events_make_one_run(dag: Any) -> None:
    assert assets(dag) == {*(f"landing/{source}" for source in source_names()), "ledger"}
    assert dag.timetable.partition_mapper_config == {}
    assert isinstance(dag.timetable.default_partition_mapper, FixedKeyMapper)
    (decide,) = dag.tasks
    # An alias: the task decides at run time whether it starts a build.
    assert decide.outlets == [AssetAlias("builds")]


def test_nothing_but_the_decision_starts_a_build(dagbag: Any) -> None:
    timetable = dagbag.dags["build_warehouse"].timetable
    assert {asset.name for asset in leaves(timetable.asset_condition)} == {"build_due"}
    # The event bears the partition key of the run that decided, which a schedule without partitions would not see.
    assert isinstance(timetable.default_partition_mapper, FixedKeyMapper)


def test_the_decision_waits_longer_than_a_build_may_take(dagbag: Any) -> None:
    (decide,) = dagbag.dags["decide_build"].tasks
    assert dagbag.dags["build_warehouse"].dagrun_timeout < timedelta(seconds=decide.timeout) <= decide.execution_timeout


@pytest.mark.parametrize("dag", ["build_warehouse"], indirect=True)
def test_structure_of_build_warehouse(dag: Any) -> None:
    chain = ["plan", "run_dbt", "audit", "publish", "refresh_docs"]
    for before, after in pairwise(chain):
        assert after in dag.get_task(before).downstream_task_ids
    for name in chain[:-1]:
        assert dag.get_task(name).trigger_rule == "all_success"
    # The pages tell of refused deliveries too, where there is nothing to build.
    assert dag.get_task("refresh_docs").trigger_rule == "none_failed"
    # Publication waits for dbt and the audit, not for the tasks that show models.
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
def test_the_form_says_what_a_month_looks_like(dag: Any) -> None:
    """Airflow shows a pattern as it is, so a wrong month is left to the task, which names it in words."""
    assert dag.params["month"] is None
    month = dag.params.get_param("month")
    assert month.resolve("2026-09") == "2026-09"
    assert "pattern" not in month.schema
    assert "as 2026-09" in month.description
    with pytest.raises(ParamValidationError):
        month.resolve(9)


@pytest.mark.parametrize("dag", IDS, indirect=True)
def test_every_task_returns_what_it_did(dag: Any) -> None:
    """Airflow logs the returned value of a task; of one that returns nothing it would log None."""
    functions = [one.python_callable for one in dag.tasks if not isinstance(one, ModelTask)]
    assert [one.__name__ for one in functions if get_type_hints(one)["return"] is type(None)] == []


@pytest.mark.parametrize("dag", ["upkeep"], indirect=True)
def test_upkeep_is_daily(dag: Any) -> None:
    assert dag.timetable.expression == "30 6 * * *"
    assert set(dag.task_ids) == {
        *(
            "missing_deliveries",
            "merge_partitions",
            "compact_vault",
            "check_vault",
            "end_shares",
            "write_shares",
            "refresh_docs",
        )
    }
    assert dag.get_task("write_shares").upstream_task_ids == {"end_shares"}


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
def test_only_temporary_errors_are_retried(error: Exception, action: RetryAction) -> None:
    assert shared.RETRY.evaluate(error, 1, 3).action is action


def test_dag_files_are_short_and_import_nothing_slow() -> None:
    """Airflow parses the files in every task and every few minutes."""
    allowed = ("airflow.sdk", "datetime", "logging", "typing", "ingest.settings", "warehouse")
    files = list(FOLDER.glob("*.py"))
    assert len(files) >= 4
    for path in files:
        text = path.read_text()
        assert len(text.splitlines()) <= 170, path.name
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.ImportFrom | ast.Import):
                names = [alias.name for alias in statement.names]
                modules = [statement.module or ""] if isinstance(statement, ast.ImportFrom) else names
                assert all(module.startswith(allowed) for module in modules), (path.name, modules)
    code = (
        "import sys, warehouse.build.dbt, warehouse.orchestration.model_tasks, warehouse.orchestration.assets\n"
        "print(*sorted({'pandas', 'dbt', 'great_expectations'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def edges(dag: Any) -> set[tuple[str, str]]:
    return {(task.task_id, other) for task in dag.tasks for other in task.downstream_task_ids}

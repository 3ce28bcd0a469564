"""Build, audit and publish the warehouse."""

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    FixedKeyMapper,
    Param,
    PartitionedAssetTimetable,
    PokeReturnValue,
    dag,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException

from ingest.settings import Settings
from warehouse.build import dbt
from warehouse.orchestration import model_tasks
from warehouse.orchestration.assets import ARGUMENTS, BUILD_DUE, SOURCES
from warehouse.orchestration.deadlines import deadline

#: A build waits this long for running loads; then it takes the deliveries that are decided.
MAX_WAIT_FOR_LOADS = timedelta(minutes=5)


@task.sensor(mode="poke", poke_interval=2, timeout=2 * MAX_WAIT_FOR_LOADS.total_seconds())
def plan(*, params: dict[str, Any] | None = None) -> PokeReturnValue:
    """Wait for running loads, then freeze the ledger: which build, with which deliveries."""
    from airflow.sdk import timezone

    from warehouse import operations

    month = (params or {}).get("month")
    if month:
        operations.parse_month(month)  # before the wait for loads
    instance = get_current_context()["ti"]
    loading = timezone.utcnow() - instance.start_date < MAX_WAIT_FOR_LOADS and any(
        instance.get_dr_count(dag_id=f"load_{source}", states=["queued", "running"]) for source in SOURCES
    )
    if loading and operations.pending(Settings()):
        return PokeReturnValue(is_done=False)
    planned = operations.plan_build(Settings(), month)
    if planned is None:
        raise AirflowSkipException("Nothing is new since the last publication")
    return PokeReturnValue(is_done=True, xcom_value=planned)


@task(execution_timeout=timedelta(hours=4), retries=1)
def run_dbt(planned: dict[str, Any]) -> str:
    """One dbt build: every model, then its tests; returns what was built."""
    from warehouse import operations

    instance = get_current_context()["ti"]
    models = model_tasks.read_models(dbt.manifest(Settings()))
    with model_tasks.ModelStatus(
        models, lambda status: instance.xcom_push(key=model_tasks.STATUS_KEY, value=status)
    ) as model_status:
        operations.run_dbt(Settings(), planned, on_result=model_status.record)
    return f"{len(models)} models in {planned['build']}, {len(planned['deliveries'])} deliveries count in them"


@task
def audit(planned: dict[str, Any]) -> str:
    """Great Expectations on the figures of the build; a critical failure ends the run."""
    from warehouse import operations

    operations.audit(Settings(), planned)
    return f"{planned['build']} may be published"


@task
def publish(planned: dict[str, Any]) -> str:
    """Move all stable views to the build in one transaction; returns what is published."""
    from warehouse import operations

    moved = operations.publish(Settings(), planned)
    rows = sum(moved.row_counts.values())
    return f"{planned['build']} is published: {len(moved.row_counts)} relations, {rows} rows"


@task(trigger_rule="none_failed")
def refresh_docs() -> str:
    """Write the portal and dbt's pages: where nothing is new to build, deliveries may have been refused."""
    from warehouse.documentation import pages

    pages.refresh(Settings())
    return str(pages.folder(Settings()))


@dag(
    # The event bears the partition key of the run that decided: a schedule without partitions would not see it.
    schedule=PartitionedAssetTimetable(assets=BUILD_DUE, default_partition_mapper=FixedKeyMapper("all")),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    deadline=deadline(timedelta(hours=2)),
    default_args={**ARGUMENTS, "priority_weight": 50},  # a build does not queue behind waiting loads
    params={
        "month": Param(
            None,
            type=["null", "string"],
            examples=["2026-09"],  # no pattern: the form would show it as it is; the task `plan` says what is wrong
            title="Month",
            description="Year and month as 2026-09: rebuilt even if nothing has changed. Empty: build what is new. "
            "年月，如 2026-09：即使无变化也重新计算；留空则只计算新增内容。",
        ),
    },
    tags=["build", "tier_1"],
    doc_md="""
    ### Build, audit, publish
    **Purpose** Brings the unpublished build up to date with every decided delivery, audits it, and moves the views.
    **Starts** when `decide_build` has found something new. One run at a time; it waits for running loads, so that many
    deliveries at once cost one build, two at most.
    **Ends early** before dbt starts when it is triggered by hand and nothing is new.
    **Rebuild a month** trigger this DAG with the parameter *Month*.
    **Outputs** schema `build_a` or `build_b`, `ops.publication`, the views of `core`, `marts` and `casework`,
    the pages in `home/docs` (the portal and dbt's).
    **Failure** of a model, a test or the audit publishes nothing: readers keep the last publication.
    **Told** (`WAREHOUSE_NOTIFY`): a failure, a publication, a run that has not ended two hours after it was queued.
    **Rerun** clear the whole run, or trigger another one: it makes a new plan. The tasks in *models* only show the
    status of each model (the log is that of *run_dbt*); clearing one of them runs nothing.
    """,
)
def build_warehouse() -> None:
    """Plan, one dbt build, audit, publish, document."""
    planned = plan()
    run_dbt(planned) >> audit(planned) >> publish(planned) >> refresh_docs()

    model_tasks.add_model_tasks(dbt.manifest_path(Settings()), upstream=planned, reporter="run_dbt")


build_warehouse()

"""Build, audit and publish the warehouse."""

from datetime import timedelta
from typing import Any

from airflow.sdk import (
    FixedKeyMapper,
    Param,
    PartitionedAssetTimetable,
    PokeReturnValue,
    TaskGroup,
    dag,
    get_current_context,
    task,
)
from airflow.sdk.exceptions import AirflowSkipException

from ingest.settings import Settings
from warehouse import dbt, models
from warehouse.wiring import ARGUMENTS, LANDING, LEDGER, SOURCES

#: Longest wait for loads under way; then the build takes what there is.
PATIENCE = timedelta(minutes=5)


@dag(
    schedule=PartitionedAssetTimetable(
        assets=LANDING["membership"] | LANDING["training"] | LANDING["medical"] | LEDGER,
        # Whatever was decided, it is one build: events that come before its run is made fall together.
        default_partition_mapper=FixedKeyMapper("all"),
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args={**ARGUMENTS, "priority_weight": 50},  # a build does not queue behind a backlog of loads
    params={
        "month": Param(
            None,
            type=["null", "string"],
            pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])$",
            title="Month",
            description="Rebuild this month (YYYY-MM), whatever has changed. Empty: what is new.",
        ),
    },
    tags=["build", "tier_1"],
    doc_md="""
    ### Build, audit, publish
    **Purpose** Brings the unpublished build up to date with every decided delivery, audits it, and moves the views.
    **Wakes** when deliveries were decided (`landing/<source>`, partitions `sender|period`). One run at a time; it waits
    for loads that are under way, so that a burst of deliveries costs one build, two at most.
    **Ends early** before dbt starts when nothing is new.
    **Rebuild a month** trigger it with the parameter *Month*.
    **Outputs** schema `build_a` or `build_b`, `ops.publication`, the views of `core`, `marts` and `casework`,
    the pages in `home/docs`.
    **Failure** of a model, a test or the audit publishes nothing: readers keep what they see.
    **Rerun** clear the whole run, or trigger another one: it plans anew. The tasks in *models* only show how dbt fared
    with each model (log of *run_dbt*); clearing one runs nothing.
    """,
)
def build_warehouse() -> None:
    """Plan, one dbt build, audit, publish, document."""

    @task.sensor(mode="poke", poke_interval=2, timeout=2 * PATIENCE.total_seconds())
    def plan(*, params: dict[str, Any] | None = None) -> PokeReturnValue:
        """Wait for loads under way, then freeze the ledger: which build, with which deliveries."""
        from airflow.sdk import timezone

        from warehouse import passes

        instance = get_current_context()["ti"]
        loading = timezone.utcnow() - instance.start_date < PATIENCE and any(
            instance.get_dr_count(dag_id=f"load_{source}", states=["queued", "running"]) for source in SOURCES
        )
        if loading and passes.pending(Settings()):
            return PokeReturnValue(is_done=False)
        planned = passes.plan_build(Settings(), (params or {}).get("month"))
        if planned is None:
            raise AirflowSkipException("Nothing is new since the last publication")
        return PokeReturnValue(is_done=True, xcom_value=planned)

    @task(execution_timeout=timedelta(hours=4), retries=1)
    def run_dbt(planned: dict[str, Any]) -> None:
        """One dbt build: every model, then its tests."""
        from warehouse import passes

        instance = get_current_context()["ti"]
        known = models.read(dbt.manifest(Settings()))
        with models.Board(known, lambda told: instance.xcom_push(key=models.BOARD, value=told)) as board:
            passes.run_dbt(Settings(), planned, on_result=board.tell)

    @task
    def audit(planned: dict[str, Any]) -> None:
        """Great Expectations on the figures of the build; a critical failure ends the run."""
        from warehouse import passes

        passes.audit(Settings(), planned)

    @task
    def publish(planned: dict[str, Any]) -> None:
        """Move all stable views to the build in one transaction."""
        from warehouse import passes

        passes.publish(Settings(), planned)

    @task
    def refresh_docs() -> None:
        """The pages about the data, of what is published now."""
        from warehouse import docs

        docs.refresh(Settings())

    planned = plan()
    run_dbt(planned) >> audit(planned) >> publish(planned) >> refresh_docs()

    shown: dict[str, models.ModelTask] = {}
    with TaskGroup("models", tooltip="How dbt fares with each model"):
        layers: dict[str, TaskGroup] = {}
        for model in models.read(dbt.manifest_path(Settings())):
            if model.layer not in layers:
                layers[model.layer] = TaskGroup(model.layer)
            shown[model.unique_id] = models.ModelTask(
                task_id=model.name, task_group=layers[model.layer], model=model.unique_id, reporter="run_dbt", retries=0
            )
            parents = [shown[parent] for parent in model.upstream]
            (parents or planned) >> shown[model.unique_id]


build_warehouse()

"""Find what arrived in the inbox."""

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetAlias, AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from warehouse.wiring import ARGUMENTS, ARRIVED, INBOX, LEDGER, TIMEZONE


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/5 * * * *", timezone=TIMEZONE),
        assets=[INBOX],
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args={**ARGUMENTS, "priority_weight": 100},  # a look at the inbox does not queue behind loads
    tags=["ingest", "tier_1"],
    doc_md="""
    ### Find what arrived
    **Purpose** Compares the inbox with the ledger and wakes the loads of the sources that have something to load.
    **Wakes** when the inbox changes (a trigger looks every two seconds), and every five minutes whatever happens.
    **Inputs** the inbox (`WAREHOUSE_INBOX`), `ops.arrival`.
    **Outputs** a row in `ops.arrival` a package; events of `inbox/<source>`. A package whose manifest names no known
    source is judged here. Where decisions stand that no publication knows and nothing is loading, a build is woken.
    **Rerun** safe at any time: a known package with unchanged content is not registered twice.
    """,
)
def detect_deliveries() -> None:
    """Inbox against ledger."""

    @task(outlets=[AssetAlias("arrivals")])
    def register(*, outlet_events: Any = None) -> list[dict[str, Any]]:
        """Write new packages to the ledger, wake the loads, and return the packages that no load will take."""
        from ingest.settings import Settings
        from warehouse import passes

        undecided = passes.register(Settings())
        for source in sorted({arrival.source for arrival in undecided if arrival.source in ARRIVED}):
            outlet_events[AssetAlias("arrivals")].add(ARRIVED[source])
        return [
            {"arrival_id": arrival.arrival_id, "name": arrival.name}
            for arrival in undecided
            if arrival.source not in ARRIVED
        ]

    @task(map_index_template="{{ task.op_kwargs['delivery']['name'] }}")
    def judge(delivery: dict[str, Any]) -> None:
        """Check a package without a known source; the outcome stands in the ledger and the log."""
        from ingest.settings import Settings
        from warehouse import passes

        passes.load_one(Settings(), delivery["arrival_id"])

    @task(outlets=[LEDGER])
    def wake_build(*, outlet_events: Any = None) -> None:
        """Wake a build where the ledger is ahead of the publication and no load is about to do so."""
        from ingest.settings import Settings
        from warehouse import passes

        instance = get_current_context()["ti"]
        if instance.get_dr_count(dag_id="build_warehouse", states=["queued"]):  # a running one may have planned
            raise AirflowSkipException("A build is about to start")
        if not passes.unpublished(Settings()):
            raise AirflowSkipException("Nothing that is not published, or loads will wake the build")
        outlet_events[LEDGER].add_partitions("ledger")

    # A teardown runs whatever became of the judged and does not hide a failed one from the state of the run.
    judge.expand(delivery=register()) >> wake_build().as_teardown()


detect_deliveries()

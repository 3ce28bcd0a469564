"""Find new packages in the inbox."""

from datetime import timedelta
from typing import Any

from airflow.sdk import AssetAlias, AssetOrTimeSchedule, CronTriggerTimetable, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from warehouse.orchestration.assets import ARGUMENTS, ARRIVED, INBOX, LEDGER, TIMEZONE
from warehouse.orchestration.decisions import MAP_INDEX_TEMPLATE, decide


@task(outlets=[AssetAlias("arrivals")])
def register(*, outlet_events: Any = None) -> list[dict[str, Any]]:
    """Write new packages to the ledger, start the loads, and return the packages that belong to no load."""
    from ingest.errors import NotDecided
    from ingest.settings import Settings
    from warehouse import operations

    failures: list[NotDecided] = []
    undecided = operations.register(Settings(), failures.append)
    for source in sorted({arrival.source for arrival in undecided if arrival.source in ARRIVED}):
        outlet_events[AssetAlias("arrivals")].add(ARRIVED[source])
    return [
        {"arrival_id": arrival.arrival_id, "name": arrival.name}
        for arrival in undecided
        if arrival.source not in ARRIVED
    ] + [{"arrival_id": None, "name": failure.package} for failure in failures]


@task(map_index_template=MAP_INDEX_TEMPLATE)
def process(delivery: dict[str, Any]) -> str:
    """Decide about a package without a known source; returns what was decided.

    A package without ``arrival_id`` could not be registered. That is tried again, and fails this task alone.
    """
    from ingest.settings import Settings
    from warehouse import operations

    if delivery["arrival_id"] is None:
        operations.register(Settings(), only=delivery["name"])
        return "registered"
    status = decide(delivery, get_current_context()).status
    operations.notify(Settings())
    return status


@task(outlets=[LEDGER])
def wake_build(*, outlet_events: Any = None) -> str:
    """Start a build where decisions are not published and no load will start it."""
    from ingest.settings import Settings
    from warehouse import operations

    instance = get_current_context()["ti"]
    # A build that is running may have made its plan already.
    if instance.get_dr_count(dag_id="build_warehouse", states=["queued"]):
        raise AirflowSkipException("A build is queued")
    if not operations.unpublished(Settings()):
        raise AirflowSkipException("Everything is published, or a load will start the build")
    outlet_events[LEDGER].add_partitions("ledger")
    return "A build is due"


@dag(
    schedule=AssetOrTimeSchedule(
        timetable=CronTriggerTimetable("*/5 * * * *", timezone=TIMEZONE),
        assets=[INBOX],
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args={**ARGUMENTS, "priority_weight": 100},  # a scan of the inbox does not queue behind loads
    tags=["ingest", "tier_1"],
    doc_md="""
    ### Find new packages
    **Purpose** Compares the inbox with the ledger and starts the loads of the sources that have undecided packages.
    **Starts** when the inbox changes (a trigger polls it every two seconds), and every five minutes.
    **Inputs** the inbox (`WAREHOUSE_INBOX`), `ops.arrival`.
    **Outputs** a row in `ops.arrival` a package; events of `inbox/<source>`. A package whose manifest names no known
    source is decided here. For a package that cannot be read, one mapped task fails; the others are registered. A build
    is started where decisions are not published and no load is running.
    **Rerun** safe at any time: a known package with unchanged content is not registered twice.
    """,
)
def detect_deliveries() -> None:
    """Register new packages, decide those without a source, start loads and builds."""
    # A teardown task also runs after a failure, which still makes the run a failed one.
    process.expand(delivery=register()) >> wake_build().as_teardown()


detect_deliveries()

"""Decide whether a build is due."""

import logging
from datetime import timedelta
from typing import Any

from airflow.sdk import (
    AssetAlias,
    AssetAny,
    FixedKeyMapper,
    PartitionedAssetTimetable,
    PokeReturnValue,
    dag,
    get_current_context,
    task,
)

from warehouse.orchestration.assets import ARGUMENTS, BUILD_DUE, LANDING, LEDGER

#: Longer than a run of `build_warehouse` may take.
MAX_WAIT_FOR_BUILD = timedelta(hours=6, minutes=30)

log = logging.getLogger(__name__)


@dag(
    schedule=PartitionedAssetTimetable(
        assets=AssetAny(*LANDING.values(), LEDGER),
        # One key for all events: those that come before the next run is created start a single run.
        default_partition_mapper=FixedKeyMapper("all"),
    ),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=7),
    default_args={**ARGUMENTS, "priority_weight": 75},  # before loads, and before the build that it starts
    tags=["build", "tier_1"],
    doc_md="""
    ### Decide whether a build is due
    **Purpose** Starts `build_warehouse` only where the ledger has something that no publication has: a run with nothing
    new is this one task, whose log and returned value say so.
    **Starts** when deliveries were decided (`landing/<source>`, partitions `sender|period`), or `detect_deliveries` has
    found decisions that are not published (`ledger`).
    **Waits** while a build is queued or running: deliveries that it still takes along need no other one. Of several
    runs the last one waits, the others end.
    **Outputs** an event of `build_due`; with nothing new the pages in `home/docs`, for packages may have been refused.
    **Rerun** safe at any time.
    """,
)
def decide_build() -> None:
    """One task: is anything new?"""

    @task.sensor(
        mode="poke",
        poke_interval=2,
        timeout=MAX_WAIT_FOR_BUILD.total_seconds(),
        execution_timeout=MAX_WAIT_FOR_BUILD,
        outlets=[AssetAlias("builds")],
    )
    def decide(*, outlet_events: Any = None) -> PokeReturnValue:
        """Wait for a build that is under way, then compare the ledger with what is published."""
        from ingest.settings import Settings
        from warehouse import operations
        from warehouse.documentation import pages

        instance = get_current_context()["ti"]
        if instance.get_dr_count(dag_id="build_warehouse", states=["queued", "running"]):
            later = instance.get_dr_count(dag_id="decide_build", states=["queued"])
            return PokeReturnValue(is_done=later > 0, xcom_value="A build is under way: a later run decides after it")
        if operations.is_new(Settings()):
            outlet_events[AssetAlias("builds")].add(BUILD_DUE)
            decision = "A build is due: the ledger has decisions or code that no publication has"
        else:
            pages.refresh(Settings())
            decision = "Nothing is new since the last publication: no build"
        log.info(decision)
        return PokeReturnValue(is_done=True, xcom_value=decision)

    decide()


decide_build()

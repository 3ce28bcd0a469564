"""Load deliveries: one DAG a source, one mapped task a delivery."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from warehouse.orchestration.assets import ARGUMENTS, ARRIVED, LANDING, SOURCES
from warehouse.orchestration.deadlines import deadline
from warehouse.orchestration.decisions import MAP_INDEX_TEMPLATE, decide

DOC = """
### Load deliveries of {source}
**Purpose** Check, stage, validate and accept or refuse every undecided delivery of the source, each in its own task.
**Starts** when `detect_deliveries` has found one. A run loads all undecided ones, so a lost event does no harm.
**Outputs** `landing`, `vault` and the ledger (`ops`); an event of `landing/{source}` for each `sender|period` decided.
**Refused** deliveries are a success of their task: its name on the page ends with `refused` and the codes, its log says
why in words, and so does `warehouse explain NAME`. Retried are only temporary failures (a
database or an inbox that is unavailable, a killed process) and *not decided* packages. The other deliveries are built
even if a task fails in the end; every later run tries its delivery again. A delivery whose tasks were killed or crashed
twice is *set aside*: its next task fails at once, and no run tries it until `warehouse retry NAME`.
**Told** (`WAREHOUSE_NOTIFY`): refused deliveries, by the task `announce`, and those set aside; a run that has not
ended four hours after it was queued.
**Rerun** clear the task of a delivery to run it again: an accepted one stays accepted, a refused one is decided again.
"""


def load_deliveries(source: str) -> DAG:
    """The DAG ``load_<source>``."""

    @dag(
        dag_id=f"load_{source}",
        schedule=[ARRIVED[source]],
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=12),
        deadline=deadline(timedelta(hours=4)),
        default_args=ARGUMENTS,
        tags=["ingest", source, "tier_1"],
        doc_md=DOC.format(source=source),
    )
    def load_source() -> None:
        @task
        def pending() -> list[dict[str, Any]]:
            """Undecided deliveries, oldest first."""
            from ingest.settings import Settings
            from warehouse import operations

            return [
                {"arrival_id": arrival.arrival_id, "name": arrival.name}
                for arrival in operations.pending(Settings(), source)
            ]

        @task(map_index_template=MAP_INDEX_TEMPLATE, execution_timeout=timedelta(hours=4))
        def load(delivery: dict[str, Any]) -> dict[str, Any]:
            """Decide one delivery: accepted, refused, duplicate or superseded."""
            outcome = decide(delivery, get_current_context())
            return {"status": outcome.status, "partition": f"{outcome.sender}|{outcome.period}"}

        @task(outlets=[LANDING[source]])
        def announce(outcomes: Any, *, outlet_events: Any = None) -> list[str]:
            """Emit one event for all deliveries of this run, also when a load has failed; tell the refused ones."""
            from ingest.settings import Settings
            from warehouse import operations

            partitions = sorted({outcome["partition"] for outcome in outcomes or () if outcome})
            if not partitions:
                raise AirflowSkipException("No delivery was decided")
            outlet_events[LANDING[source]].add_partitions(partitions)
            operations.notify(Settings())
            return partitions

        # A teardown task also runs after a failure, which still makes the run a failed one.
        announce(load.expand(delivery=pending())).as_teardown()

    return load_source()


for name in SOURCES:
    globals()[f"load_{name}"] = load_deliveries(name)

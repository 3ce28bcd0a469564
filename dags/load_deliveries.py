"""Load deliveries: one DAG a source, one mapped task a delivery."""

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from warehouse.wiring import ARGUMENTS, ARRIVED, LANDING, SOURCES

DOC = """
### Load deliveries of {source}
**Purpose** Check, stage, validate and accept or refuse every undecided delivery of the source, each in its own task.
**Wakes** when `detect_deliveries` has found one. A run takes all that are undecided, so no event can be missed.
**Outputs** `landing`, `vault` and the ledger (`ops`); an event of `landing/{source}` for each `sender|period` decided.
**Refused** deliveries are a success of their task: the reasons stand in its log and in `ops.delivery`. Only faults that
a retry can mend (a database or an inbox out of reach, a killed process) are retried.
**Rerun** clear the task of one delivery to run it again: an accepted one stays as it is, a refused one is judged anew.
"""


def load_deliveries(source: str) -> DAG:
    """The DAG ``load_<source>``."""

    @dag(
        dag_id=f"load_{source}",
        schedule=[ARRIVED[source]],
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(hours=12),
        default_args=ARGUMENTS,
        tags=["ingest", source, "tier_1"],
        doc_md=DOC.format(source=source),
    )
    def load_source() -> None:
        @task
        def pending() -> list[dict[str, Any]]:
            """Undecided deliveries, oldest first."""
            from ingest.settings import Settings
            from warehouse import passes

            return [
                {"arrival_id": arrival.arrival_id, "name": arrival.name}
                for arrival in passes.pending(Settings(), source)
            ]

        @task(
            map_index_template="{{ task.op_kwargs['delivery']['name'] }}",
            execution_timeout=timedelta(hours=4),
        )
        def load(delivery: dict[str, Any]) -> dict[str, Any]:
            """Take one delivery to its end: accepted, refused, duplicate or superseded."""
            from ingest.settings import Settings
            from warehouse import passes

            outcome = passes.load_one(Settings(), delivery["arrival_id"])
            return {"status": outcome.status, "partition": f"{outcome.sender}|{outcome.period}"}

        @task(outlets=[LANDING[source]])
        def announce(outcomes: Any, *, outlet_events: Any = None) -> None:
            """Tell the build, once for all deliveries of this run, also when one of them failed."""
            partitions = sorted({outcome["partition"] for outcome in outcomes or () if outcome})
            if not partitions:
                raise AirflowSkipException("No delivery was decided")
            outlet_events[LANDING[source]].add_partitions(partitions)

        # A teardown runs whatever became of the loads and does not hide a failed one from the state of the run.
        announce(load.expand(delivery=pending())).as_teardown()

    return load_source()


for name in SOURCES:
    globals()[f"load_{name}"] = load_deliveries(name)

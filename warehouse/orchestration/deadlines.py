"""Deadlines of runs: a run that has not ended in time is told (``WAREHOUSE_NOTIFY``), and goes on.

Airflow's scheduler looks at the deadlines; its executor runs the callback in a process of its own, as it does tasks.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from airflow.sdk import DeadlineAlert, DeadlineReference, SyncCallback  # type: ignore[attr-defined] # not in its stub

from ingest.settings import Settings


def deadline(allowed: timedelta) -> DeadlineAlert:
    """A deadline so long after a run was queued: the time that it waits for another run counts, too."""
    return DeadlineAlert(
        name=f"{allowed.total_seconds() / 3600:g} hours",
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=allowed,
        callback=SyncCallback(
            f"{notify_late_run.__module__}.{notify_late_run.__name__}", kwargs={"seconds": allowed.total_seconds()}
        ),
    )


def notify_late_run(seconds: float, context: Mapping[str, Any]) -> None:
    """Tell that the run of the context has missed its deadline of so many seconds."""
    from warehouse.notifications import sending

    run = context["dag_run"]
    sending.notify_late_run(Settings(), run["dag_id"], run["dag_run_id"], timedelta(seconds=seconds))

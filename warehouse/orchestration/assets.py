"""Assets, default arguments and the retry policy that the DAG files share."""

from datetime import timedelta

from airflow.sdk import Asset, AssetWatcher, ExceptionRetryPolicy, RetryAction, RetryRule

from ingest.contracts import source_names
from warehouse.orchestration.triggers import InboxTrigger

SOURCES = source_names()
TIMEZONE = "Asia/Shanghai"

#: The inbox has a new package. An event of this or any asset only starts a run; the ledger says what the run has to do.
INBOX = Asset("inbox", uri="warehouse://inbox", watchers=[AssetWatcher(name="inbox", trigger=InboxTrigger())])
#: Undecided arrivals of one source.
ARRIVED = {source: Asset(f"inbox/{source}", uri=f"warehouse://inbox/{source}") for source in SOURCES}
#: Deliveries of one source were decided; the partition of an event is ``sender|period``.
LANDING = {source: Asset(f"landing/{source}", uri=f"warehouse://landing/{source}") for source in SOURCES}
#: Decisions are not published and no load announces them (of packages without a source, or after a failed build).
LEDGER = Asset("ledger", uri="warehouse://ledger")
#: The ledger has something that no publication has.
BUILD_DUE = Asset("build_due", uri="warehouse://build_due")

#: Retried: a database or an inbox that was unavailable, and packages that could not be decided. Not retried: errors
#: that need a person, and defects of the program.
RETRY = ExceptionRetryPolicy(
    rules=[
        RetryRule("ingest.errors.NotDecided", RetryAction.RETRY),
        RetryRule("ingest.errors.WarehouseError", RetryAction.FAIL, reason="needs a person"),
        RetryRule(["psycopg.OperationalError", "sqlalchemy.exc.OperationalError"], RetryAction.RETRY),
        RetryRule(OSError, RetryAction.RETRY),
    ],
    default=RetryAction.FAIL,
)

#: Default arguments of all tasks. ``retries`` also limits how often a task is run again whose process was killed.
ARGUMENTS = {
    "owner": "data-engineering",
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_policy": RETRY,
    "execution_timeout": timedelta(minutes=10),
}

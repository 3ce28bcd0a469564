"""What the DAG files share: the assets between them, the arguments of their tasks, what is retried."""

from datetime import timedelta

from airflow.sdk import Asset, AssetWatcher, ExceptionRetryPolicy, RetryAction, RetryRule

from warehouse.triggers import InboxTrigger

SOURCES = ("membership", "training", "medical")
TIMEZONE = "Asia/Shanghai"

#: Something lies in the inbox that was not there before. Events only wake: the ledger says what is to be done.
INBOX = Asset("inbox", uri="warehouse://inbox", watchers=[AssetWatcher(name="inbox", trigger=InboxTrigger())])
#: Undecided arrivals of one source.
ARRIVED = {source: Asset(f"inbox/{source}", uri=f"warehouse://inbox/{source}") for source in SOURCES}
#: Deliveries of one source were decided; the partition of an event is ``sender|period``.
LANDING = {source: Asset(f"landing/{source}", uri=f"warehouse://landing/{source}") for source in SOURCES}
#: The ledger holds decisions that no publication knows (packages without a source, a build that broke off).
LEDGER = Asset("ledger", uri="warehouse://ledger")

#: A retry mends a database or an inbox that was away for a moment. It mends neither our errors nor the sender's.
RETRY = ExceptionRetryPolicy(
    rules=[
        RetryRule("ingest.errors.WarehouseError", RetryAction.FAIL, reason="needs a person"),
        RetryRule(["psycopg.OperationalError", "sqlalchemy.exc.OperationalError"], RetryAction.RETRY),
        RetryRule(OSError, RetryAction.RETRY),
    ],
    default=RetryAction.FAIL,
)

#: For the tasks of every DAG. ``retries`` is also how often a task is run again whose process was killed.
ARGUMENTS = {
    "owner": "data-engineering",
    "retries": 3,
    "retry_delay": timedelta(seconds=10),
    "retry_policy": RETRY,
    "execution_timeout": timedelta(minutes=10),
}

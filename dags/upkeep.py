"""The daily round: what has not come, fewer partitions, a smaller vault, and the pages about the data."""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from ingest.settings import Settings
from warehouse.wiring import ARGUMENTS, TIMEZONE


@dag(
    schedule=CronTriggerTimetable("30 6 * * *", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=ARGUMENTS,
    tags=["upkeep", "tier_3"],
    doc_md="""
    ### Daily round
    **Purpose** Tells which deliveries are missing, merges the landing partitions of closed months, keeps one record
    a person in the vault, and writes the pages about the data anew.
    **Wakes** every morning at half past six (Asia/Shanghai).
    **Inputs** the ledger (`ops`). **Outputs** the log of `missing_deliveries` (always to be had from
    `ops.missing_delivery`), the pages in `home/docs`.
    **Rerun** safe at any time.
    """,
)
def upkeep() -> None:
    """Missing deliveries; partitions; vault; pages."""

    @task
    def missing_deliveries() -> None:
        """Log every source, sender and month that should have come: whoever asks senders reads it here."""
        import logging

        from warehouse import passes

        log = logging.getLogger("airflow.task")
        missing = passes.missing(Settings())
        log.info("%s deliveries are missing", len(missing))
        for one in missing:
            log.warning("%s %s %s %s", one.source, one.sender, one.period, "refused" if one.was_refused else "not here")

    @task
    def merge_partitions() -> None:
        """Closed months share a partition a feed: queries over thousands of partitions are slow to plan."""
        import logging

        from warehouse import passes

        for name, count in passes.merge_partitions(Settings()).items():
            logging.getLogger("airflow.task").info("%s holds what %s partitions held", name, count)

    @task
    def fold_vault() -> None:
        """The vault keeps one record a person instead of one a delivery."""
        import logging

        from warehouse import passes

        logging.getLogger("airflow.task").info("persons of %s deliveries folded", passes.fold_vault(Settings()))

    @task
    def refresh_docs() -> None:
        """Data Docs and dbt's documentation."""
        from warehouse import docs

        docs.refresh(Settings())

    missing_deliveries()
    merge_partitions()
    fold_vault()
    refresh_docs()


upkeep()

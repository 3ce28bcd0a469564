"""Daily maintenance: missing deliveries, partitions, the vault, shares, and the pages about the data."""

from datetime import timedelta

from airflow.sdk import CronTriggerTimetable, dag, task

from ingest.settings import Settings
from warehouse.orchestration.assets import ARGUMENTS, TIMEZONE


@task
def missing_deliveries() -> str:
    """Log, and once a day tell, every expected delivery that has not been accepted: source, sender, month."""
    import logging

    from warehouse import operations

    log = logging.getLogger("airflow.task")
    missing = operations.notify_missing(Settings())
    for delivery in missing:
        reason = "refused" if delivery.was_refused else "not received"
        log.warning("%s %s %s %s", delivery.source, delivery.sender, delivery.period, reason)
    return f"{len(missing)} deliveries are missing"


@task
def merge_partitions() -> dict[str, int]:
    """Merge the partitions of closed months, because queries over thousands of partitions are slow to plan.

    Returns of how many partitions each new one was made.
    """
    from warehouse import operations

    return operations.merge_partitions(Settings())


@task
def compact_vault() -> str:
    """Keep one record a person in the vault instead of one a delivery."""
    from warehouse import operations

    return f"persons of {operations.compact_vault(Settings())} deliveries compacted"


@task
def check_vault() -> str:
    """Check that the log of the vault is whole, and note its last entry outside the database."""
    from warehouse import operations

    head = operations.check_vault(Settings())
    return "empty" if head is None else f"{head.entry_id} entries, the last with the hash {head.hash}"


@task
def end_shares() -> str:
    """End shares whose last day is over; log and tell those that end within thirty and within seven days."""
    import logging

    from warehouse import operations

    log = logging.getLogger("airflow.task")
    done = operations.end_shares(Settings())
    for path in done.removed:
        log.info("removed from the outbox: %s", path)
    for notice in done.notices:
        log.warning("the share %s ends on %s, in %s days", notice.name, notice.valid_until, notice.days)
    return f"{len(done.expired)} shares ended, {done.fetched} extracts fetched"


@task
def write_shares() -> list[str]:
    """Write the extracts that are due; returns their paths. One that fails does not keep the others back."""
    from ingest.errors import WarehouseError
    from warehouse import operations

    written, failures = [], []
    for verdict in operations.due_shares(Settings()):
        try:
            extract = operations.write_share(Settings(), verdict)
        except WarehouseError as error:
            failures.append(f"{verdict.name}: {error}")
        else:
            written.append(f"{extract.path}: {extract.rows} rows")
    if failures:
        raise WarehouseError("; ".join(failures))
    return written


@task
def refresh_docs() -> str:
    """Write the portal and dbt's pages: what is late changes with the calendar."""
    from warehouse.documentation import pages

    pages.refresh(Settings())
    return str(pages.folder(Settings()))


@dag(
    schedule=CronTriggerTimetable("30 6 * * *", timezone=TIMEZONE),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=ARGUMENTS,
    tags=["upkeep", "tier_3"],
    doc_md="""
    ### Daily maintenance
    **Purpose** Logs and tells (`WAREHOUSE_NOTIFY`) missing deliveries, merges the landing partitions of closed months,
    compacts the vault to one record a person, checks the vault's log, ends shares whose last day is over, tells of
    those that end soon, writes the extracts that are due, and writes the pages about the data.
    **Starts** every morning at half past six (Asia/Shanghai).
    **Inputs** the ledger (`ops`). **Outputs** the log of `missing_deliveries` (also in the view
    `ops.missing_delivery`) and of `end_shares` (which shares end soon), extracts in the outbox, the pages in
    `home/docs`.
    **Rerun** safe at any time.
    """,
)
def upkeep() -> None:
    """Missing deliveries; partitions; vault; shares; pages."""
    missing_deliveries()
    merge_partitions()
    compact_vault()
    check_vault()
    end_shares() >> write_shares()
    refresh_docs()


upkeep()

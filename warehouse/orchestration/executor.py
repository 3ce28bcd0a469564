"""Airflow's LocalExecutor, which imports large modules once for all tasks.

Every task runs in a process forked from a worker, which is forked from the scheduler. Modules that the scheduler has
imported before it forks are available in all of them; otherwise each delivery would import Great Expectations again
(7 to 15 s). Imports alone start no threads, which a fork would lose: polars, pyarrow and dbt start theirs on first use.
"""

import importlib

from airflow.executors.local_executor import LocalExecutor

from ingest import contracts

MODULES = (
    "polars",
    "pyarrow.csv",
    "great_expectations",
    "great_expectations.expectations",
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "expectations.gate",
    "expectations.audit",
    "warehouse.operations",
    "warehouse.orchestration.model_tasks",
)


class PreloadingExecutor(LocalExecutor):
    """Imports ``MODULES`` and reads the contracts before it forks its workers."""

    def start(self) -> None:
        """Import, read, then start the workers."""
        for module in MODULES:
            importlib.import_module(module)
        contracts.load()
        super().start()

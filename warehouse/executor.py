"""Airflow's LocalExecutor with the heavy imports paid once.

Every task runs in a process forked from a worker, which is forked from the scheduler. What the scheduler has imported
before the first worker is forked is there in all of them: without this, each delivery would import Great Expectations
anew (7 to 15 s). Importing alone starts no threads that a fork would lose (polars, pyarrow and dbt start theirs with
the first work).
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
    "warehouse.passes",
    "warehouse.models",
)


class PreloadingExecutor(LocalExecutor):
    """Imports ``MODULES`` and reads the contracts before it forks its workers."""

    def start(self) -> None:
        """Import, read, then start the workers."""
        for module in MODULES:
            importlib.import_module(module)
        contracts.load()
        super().start()

"""Deadlines of runs: which DAGs have one, and that Airflow's own functions store them and call what they name."""

from datetime import timedelta
from typing import Any

import pytest
import structlog
from airflow.executors.local_executor import LocalExecutor
from airflow.sdk.execution_time.callback_supervisor import execute_callback
from airflow.serialization.decoders import decode_deadline_alert
from airflow.serialization.encoders import encode_deadline_alert

from ingest.contracts import source_names
from ingest.settings import Settings
from warehouse import operations

HOURS = {"build_warehouse": 2, **{f"load_{source}": 4 for source in source_names()}}
CONTEXT = {"dag_run": {"dag_id": "build_warehouse", "dag_run_id": "asset__1"}, "deadline": {"id": "x"}}


@pytest.mark.parametrize("dag", sorted(HOURS), indirect=True)
def test_a_deadline_lies_before_the_end_of_the_run(dag: Any) -> None:
    [alert] = dag.deadline
    assert alert.interval == timedelta(hours=HOURS[dag.dag_id]) < dag.dagrun_timeout
    assert alert.reference.reference_name == "DagRunQueuedAtDeadline"


def test_no_other_dag_has_one(dagbag: Any) -> None:
    assert {name for name, dag in dagbag.dags.items() if dag.deadline} == set(HOURS)


@pytest.mark.parametrize("dag", ["build_warehouse"], indirect=True)
def test_what_airflow_stores_is_called_in_a_process_of_its_executor(
    dag: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert LocalExecutor.supports_callbacks
    stored = decode_deadline_alert(encode_deadline_alert(dag.deadline[0]))
    assert settings.dsn is not None
    assert settings.key is not None
    monkeypatch.setenv("WAREHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("WAREHOUSE_DSN", settings.dsn.get_secret_value())
    monkeypatch.setenv("WAREHOUSE_KEY", settings.key.get_secret_value())
    with operations.open_warehouse(settings) as conn:
        for _ in range(2):
            arguments = {**stored.callback.kwargs, "context": CONTEXT}
            done = execute_callback(stored.callback.path, arguments, "build_warehouse.py", None, structlog.get_logger())
            assert done == (True, None)
        rows = conn.execute("SELECT channel, kind, key, en, sent_at IS NOT NULL FROM ops.notification").fetchall()
    assert rows == [
        (
            "log",
            "deadline",
            "build_warehouse asset__1",
            "The run asset__1 of build_warehouse has not ended 2 hours after it was queued: see Airflow's page.",
            True,
        )
    ]

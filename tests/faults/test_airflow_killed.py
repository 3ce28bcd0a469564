"""SIGKILL to a task and to the scheduler while Airflow works: the warehouse ends as if nothing had happened."""

import os
import re
import signal
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest
from pydantic import SecretStr

from ingest import synthetic
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import state
from tests.serving import START_SECONDS, Serving, temporary_home
from warehouse import operations
from warehouse.local import server

KEY = "key-of-the-tests-" + "0" * 32
KEYRING = Keyring.from_settings(Settings(key=SecretStr(KEY)))

pytestmark = [pytest.mark.timeout(1500), pytest.mark.slow]


def test_killed_task_and_scheduler_end_in_the_same_warehouse(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = tmp_path / "inbox"
    synthetic.generate(inbox, seed=5, provinces=("440000",), months=("2026-08",), members=300, settlements=600)
    monkeypatch.setenv("WAREHOUSE_KEY", KEY)
    with temporary_home() as home:
        serving = Serving(home, inbox, "--once")
        try:
            serving.wait(lambda: "page " in serving.output, START_SECONDS)
            serving.wait(lambda: kill_task_of(serving, "load_medical"), 240)
            serving.wait(lambda: has_started(serving, "run_dbt"), 300)
            os.kill(serving.pid("scheduler"), signal.SIGKILL)
            assert serving.process.wait(timeout=600) == 0, serving.output
        finally:
            serving.stop()
        assert "scheduler ended (-9)" in serving.output
        server.ensure_running(serving.settings)
        disturbed = state.published(server.database_dsn(serving.settings, "warehouse"), KEYRING)
        attempts = tries(serving)

    quiet = settings.model_copy(update={"inbox": str(inbox), "key": SecretStr(KEY)})
    operations.run(quiet, lambda *_: None)
    assert disturbed == state.published(server.ensure_running(quiet), KEYRING)
    # Both kills hit something that was at work, and it was run again.
    assert attempts["load"] > 1
    assert attempts["run_dbt"] > 1


def kill_task_of(serving: Serving, dag_id: str) -> bool:
    """Kill the process of a load that is under way; False while there is none."""
    (run, *_) = serving.call("GET", f"dags/{dag_id}/dagRuns?state=running")["dag_runs"] or [None]
    if run is None:
        return False
    path = f"dags/{dag_id}/dagRuns/{run['dag_run_id']}/taskInstances?state=running"
    ids = {one["id"] for one in serving.call("GET", path)["task_instances"] if one["task_id"] == "load"}
    for process in serving.members():
        with suppress(psutil.Error):
            title = re.search(r"airflow worker -- ([0-9a-f-]{36})", " ".join(process.cmdline()))
            if title and title.group(1) in ids:
                process.kill()
                return True
    return False


def has_started(serving: Serving, task_id: str) -> bool:
    runs = serving.call("GET", "dags/build_warehouse/dagRuns?state=running")["dag_runs"]
    for run in runs:
        path = f"dags/build_warehouse/dagRuns/{run['dag_run_id']}/taskInstances/{task_id}"
        if serving.call("GET", path)["state"] == "running":
            time.sleep(2)
            return True
    return False


def tries(serving: Serving) -> Counter[str]:
    """The greatest number of tries of any instance of a task."""
    with psycopg.connect(server.database_dsn(serving.settings, "airflow")) as conn:
        return Counter(dict(conn.execute("SELECT task_id, max(try_number) FROM task_instance GROUP BY task_id")))

"""Calling dbt in this process."""

import subprocess
import sys
from pathlib import Path

#: A process that calls dbt and ends as a task of Airflow does: without cleaning up.
TASK = """
import os, pathlib, sys
from ingest.settings import Settings
from warehouse.build import dbt
settings = Settings(home=pathlib.Path(sys.argv[1]))
environment = dbt.environment("host=localhost port=5432 user=nobody dbname=none", settings)
dbt.invoke(["parse"], dbt.target(settings, "parse"), environment, variables={"build": "build_a"})
os._exit(0)
"""


def test_no_lock_of_dbt_is_left_to_be_reported(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", TASK, str(tmp_path / "home")], check=True, capture_output=True, text=True, timeout=400
    )
    assert done.stderr == ""

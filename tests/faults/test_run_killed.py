"""SIGKILL to the whole process group of ``warehouse run``, again and again: the last run ends in the same warehouse."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from ingest import synthetic
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import state
from tests.serving import temporary_home
from warehouse import operations
from warehouse.local import server

KEY = "key-of-the-tests-" + "0" * 32
KILLS = 10

pytestmark = [pytest.mark.timeout(1800), pytest.mark.slow]


def run(home: Path, inbox: Path) -> subprocess.Popen[bytes]:
    """``warehouse run`` on the embedded server of a home, in a process group of its own."""
    return subprocess.Popen(
        [Path(sys.executable).with_name("warehouse"), "run", "--inbox", inbox],
        env={**os.environ, "WAREHOUSE_HOME": str(home), "WAREHOUSE_KEY": KEY},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def test_killed_again_and_again(settings: Settings, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    synthetic.generate(inbox, seed=6, provinces=("440000",), months=("2026-08",), members=200, settlements=400)
    quiet = settings.model_copy(update={"inbox": str(inbox), "key": SecretStr(KEY)})
    operations.run(quiet, lambda *_: None)
    killed = 0
    with temporary_home() as home:
        # Later and later, for what was finished is not done again: in starting, loading, building, publishing.
        for attempt in range(KILLS):
            process = run(home, inbox)
            try:
                process.communicate(timeout=2 + 4 * attempt)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
                killed += 1
        last = run(home, inbox)
        output, _ = last.communicate(timeout=600)
        assert last.returncode == 0, output.decode()
        keyring = Keyring.from_settings(Settings(key=SecretStr(KEY)))
        disturbed = state.published(server.database_dsn(Settings(home=home), "warehouse"), keyring)
        assert disturbed == state.published(server.ensure_running(quiet), keyring)
    assert killed >= 4, "the runs were over before they could be killed"

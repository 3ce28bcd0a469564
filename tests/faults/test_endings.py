"""However ``warehouse serve`` ends, no process of its home runs on, and no other process is stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ingest.settings import Settings
from tests.serving import START_SECONDS, Serving, temporary_home
from warehouse.local import server, services

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    with temporary_home() as home:
        (home / "inbox-of-the-test").mkdir()
        try:
            yield home
        finally:
            services.stop(home / "airflow", seconds=0)


def start(home: Path) -> Serving:
    """``warehouse serve`` of a home, once it has started."""
    started = Serving(home, home / "inbox-of-the-test")
    started.wait(lambda: "database  " in started.output, START_SECONDS)
    assert {process.environ()["WAREHOUSE_SERVICE"] for process in started.members()} == set(services.SERVICES)
    return started


def down(home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).with_name("warehouse"), "down"],
        env={**os.environ, "WAREHOUSE_HOME": str(home), **variables},
        capture_output=True,
        text=True,
        timeout=300,
    )


def processes_of(home: Path) -> list[list[str]]:
    """Command lines of all processes with a working directory in this home, or its path in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.cwd().startswith(str(home)) or str(home) in " ".join(process.environ().values()):
                found.append(process.cmdline())
        except (psutil.Error, OSError):
            continue
    return found


@pytest.mark.slow  # Ctrl-C takes the same way: tests/end_to_end/test_airflow.py
def test_a_hangup_stops_services_and_server_in_order(home: Path) -> None:
    command = start(home)
    assert len(processes_of(home)) > len(services.SERVICES)
    assert command.stop(signal.SIGHUP) == 0, command.output
    assert processes_of(home) == []
    assert "database system is shut down" in (home / "postgres/run/postgres.log").read_text()


def test_down_stops_services_of_a_killed_command(home: Path) -> None:
    command = start(home)
    command.process.kill()
    command.process.wait()
    assert command.members()
    assert server.is_running(command.settings)
    result = down(home)
    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr
    assert processes_of(home) == []
    assert down(home).stdout == "nothing was running\n"


@pytest.mark.slow
def test_the_next_start_stops_services_of_a_killed_command_and_reuses_the_ports(home: Path) -> None:
    first = start(home)
    first.process.kill()
    first.process.wait()
    leftovers = first.members()
    second = start(home)
    assert not any(process.is_running() for process in leftovers)
    assert [line for line in second.lines if line.startswith(("page", "database"))] == [
        line for line in first.lines if line.startswith(("page", "database"))
    ]
    result = down(home)  # while it serves
    assert (result.returncode, result.stdout) == (0, "stopped\n"), result.stderr
    assert second.process.wait(timeout=10) == 0
    assert processes_of(home) == []


def test_processes_of_others_are_not_stopped(tmp_path: Path) -> None:
    """GIVEN processes that serve another home, or this one under another user WHEN this home's are stopped THEN they run on."""
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    there.mkdir()
    (tmp_path / "link").symlink_to(here)

    def service(home: Path, **options: int) -> psutil.Popen:
        environment = {"WAREHOUSE_SERVICE_OF": str(home), "WAREHOUSE_SERVICE": "scheduler"}
        return psutil.Popen(["/bin/sleep", "60"], env=environment, **options)

    own, other = service(here), service(there)
    foreign = [other, *([service(here, user=65534, group=65534)] if os.geteuid() == 0 else [])]
    try:
        assert services.running(here, "triggerer") == []
        assert services.stop(tmp_path / "link", seconds=5)
        assert not own.is_running()
        assert not services.stop(here)
        assert [process.poll() for process in foreign] == [None] * len(foreign)
    finally:
        for process in (own, *foreign):
            if process.poll() is None:
                process.kill()
                process.wait()


def test_down_stops_nothing_when_it_cannot_stop_serve(tmp_path: Path) -> None:
    """GIVEN a lock that another process than the one in the file holds WHEN down is called THEN nothing is stopped."""
    with temporary_home() as home:
        settings = Settings(home=home)
        server.ensure_running(settings)
        (home / "airflow").mkdir()
        lock = home / "airflow/lock"
        lock.write_text(str(os.getppid()))
        with subprocess.Popen(["flock", lock, "sleep", "60"], start_new_session=True) as holder:
            try:
                while subprocess.run(["flock", "--nonblock", lock, "true"]).returncode == 0:
                    time.sleep(0.05)
                result = down(home)
                assert result.returncode == 1
                assert "Nothing was stopped" in result.stderr
                assert result.stderr.count("\n") == 1
                assert server.is_running(settings)
            finally:
                os.killpg(holder.pid, signal.SIGTERM)

"""Several first commands at once, on a home that does not exist yet: every one of them works."""

import os
import subprocess
import sys
from pathlib import Path

import psycopg

from ingest import synthetic
from ingest.settings import Settings
from tests.serving import open_to_others, temporary_home
from warehouse.local import server


def run_concurrently(home: Path, number: int, *arguments: str | Path) -> list[str]:
    """Run a command several times at once; returns the output of each. All must succeed."""
    commands = [
        subprocess.Popen(
            [Path(sys.executable).with_name("warehouse"), *arguments],
            env={**os.environ, "WAREHOUSE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(number)
    ]
    outputs = [command.communicate(timeout=400)[0] for command in commands]
    assert [command.returncode for command in commands] == [0] * number, "\n".join(outputs)
    return outputs


def test_status_on_a_new_home() -> None:
    with temporary_home() as home:
        run_concurrently(home / "fresh", 3, "status")
        server.stop(Settings(home=home / "fresh"))
        assert open_to_others(home / "fresh") == []


def test_passes_with_one_inbox_and_special_characters_in_the_path_of_a_home(tmp_path: Path) -> None:
    """From a new server to a publication and its check, in a folder whose name has a meaning in shells and settings."""
    inbox = tmp_path / "inbox"
    synthetic.generate(inbox, provinces=("440000",), months=("2026-08",), members=60, settlements=60)
    with temporary_home() as folder:
        settings = Settings(home=folder / 'o\'neil, \\ "quoted" `id` [y]*;# 工会 数据')
        try:
            outputs = run_concurrently(settings.root, 2, "run", "--inbox", inbox)
            assert any("Published build_" in output for output in outputs)
            assert open_to_others(settings.root) == []
            with psycopg.connect(server.database_dsn(settings, "warehouse")) as conn:
                undecided = "SELECT count(*) FROM ops.arrival WHERE decided_at IS NULL"
                assert conn.execute(undecided).fetchone() == (0,)
                accepted = "SELECT array_agg(name ORDER BY name) FROM ops.delivery WHERE status = 'accepted'"
                published = "SELECT array(SELECT unnest(deliveries) ORDER BY 1) FROM ops.publication WHERE is_current"
                assert conn.execute(accepted).fetchone() == conn.execute(published).fetchone()
            (checked,) = run_concurrently(settings.root, 1, "check")
            assert f"ok  home {settings.root}" in checked
        finally:
            (ended,) = run_concurrently(settings.root, 1, "down")
        assert ended.endswith("stopped\n")
        assert [path.name for path in folder.iterdir()] == [settings.root.name]

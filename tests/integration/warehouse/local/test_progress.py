"""What the command that runs Airflow prints of the ledger."""

from pathlib import Path

import psycopg
import pytest
from rich.console import Console

from ingest.settings import Settings
from tests.packages import enrolment, write
from warehouse.local.progress import ActivityReport


def test_the_line_of_a_refused_delivery_says_why(
    warehouse: psycopg.Connection,
    settings: Settings,
    load_inbox,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    report = ActivityReport(settings, Console(highlight=False), since=0)
    row = enrolment(1)
    del row["started_on"]
    write(tmp_path / "inbox", "bad", {"enrolment": [row]})
    write(tmp_path / "inbox", "good", {"enrolment": [enrolment(1)]})
    load_inbox(tmp_path / "inbox")
    report.print_ledger()
    lines = sorted(line.rstrip() for line in capsys.readouterr().out.splitlines())
    assert lines[0] == "accepted   good"
    assert lines[1].startswith("refused    bad  D_HEADER [enrolment.csv]: the required column started_on")

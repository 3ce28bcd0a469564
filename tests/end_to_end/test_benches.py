"""The benches run: small, so that a change of what they call is seen; what they measure here says nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: Command lines of the benches, and what each prints when it has come to its end.
BENCHES = {
    "load.py --rows 2000 --persons 500 --repeat 1 --large 0 --encoding utf-8": "medical_settlement: 2,000 rows",
    "load.py --feed services_service_record --rows 2000 --persons 500 --repeat 1 --large 0 --encoding utf-8 --no-gate": (
        "services_service_record: 2,000 rows"
    ),
    "parts.py --rows 2000 --persons 500 --repeat 1": "sum ",
    "inbox.py --members 300 --settlements 500 --repeat 1": "a package",
    "build.py --settlements 2000 --members 500 --months 4": "equal",
    "queries.py --settlements 2000 --members 500 --months 13 --runs 2": "50 ms",
}

pytestmark = pytest.mark.slow


def test_every_bench_is_tried() -> None:
    scripts = {path.name for path in (ROOT / "bench").glob("*.py") if "\ndef main(" in path.read_text("utf-8")}
    assert {command.split()[0] for command in BENCHES} == scripts


@pytest.mark.parametrize("command", BENCHES)
def test_a_bench_runs_to_its_end(command: str) -> None:
    script, *options = command.split()
    ran = subprocess.run([sys.executable, ROOT / "bench" / script, *options], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr[-2000:]
    assert BENCHES[command] in ran.stdout

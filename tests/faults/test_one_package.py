"""One package never stops the others: ten that nobody can load lie beside ten sound ones, and one that we fail at."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psycopg
import pytest

from ingest.delivery.manifest import MANIFEST
from ingest.settings import Settings
from tests.end_to_end import figures
from tests.packages import Row, enrolment, text, write
from tests.unit.ingest.delivery.test_package_files import changed
from tests.unit.ingest.readers.test_out_of_range_cells import out_of_range_cell

SENDERS = ("110000", "120000", "130000", "140000", "150000", "210000", "220000", "230000", "310000", "320000")
ROWS = [enrolment(number) for number in range(40)]

pytestmark = pytest.mark.timeout(900)


def sound(inbox: Path) -> dict[str, int]:
    """Ten packages, of other sizes and senders; returns rows by sender."""
    for number, sender in enumerate(SENDERS):
        rows = [enrolment(number * 100 + row, enrolment_id=f"{sender}-{row}") for row in range(10 + number)]
        write(inbox, f"sound-{sender}", {"enrolment": rows}, sender=sender, zipped=number % 2 == 1)
    return {sender: 10 + number for number, sender in enumerate(SENDERS)}


def sheet(inbox: Path, name: str, column: str, number: str, kind: str, rows: Sequence[Row] = ROWS) -> None:
    """A package whose workbook has one number that its format cannot show, in its third row."""
    header = [*rows[0]]
    folder = write(inbox, name, {"enrolment": ""})
    place = folder / "enrolment.xlsx"
    table = [header, *[[row[key] for key in header] for row in rows]]
    out_of_range_cell(place, table, (2, header.index(column)), number, kind)
    described = json.loads((folder / MANIFEST).read_text())
    described["resources"][0] |= {
        "path": place.name,
        "hash": f"sha256:{hashlib.sha256(place.read_bytes()).hexdigest()}",
    }
    (folder / "enrolment.csv").unlink()
    (folder / MANIFEST).write_text(json.dumps(described))


def odd(inbox: Path) -> dict[str, tuple[str, list[str]]]:
    """Ten packages that nobody can load as they are; returns what becomes of each."""
    rows = {"enrolment": text(ROWS)}
    manifests = {name: write(inbox, name, rows) / MANIFEST for name in ("m-fifo", "m-folder", "m-unreadable")}
    for name in ("m-fifo", "m-folder"):
        manifests[name].unlink()
    os.mkfifo(manifests["m-fifo"])
    manifests["m-folder"].mkdir()
    manifests["m-unreadable"].chmod(0)

    files = {name: write(inbox, name, rows) / "enrolment.csv" for name in ("f-fifo", "f-link", "f-unreadable")}
    for name in ("f-fifo", "f-link"):
        files[name].unlink()
    os.mkfifo(files["f-fifo"])
    files["f-link"].symlink_to("/dev/zero")
    files["f-unreadable"].chmod(0)

    os.mkfifo(inbox / "z-fifo.zip")
    place = write(inbox, "z-place", rows, zipped=True)
    content = place.read_bytes()
    place.write_bytes(changed(content, content.rfind(b"PK\5\6") + 16, "<L", 10))

    sheet(inbox, "s-date", "started_on", "-1e17", "yyyy-mm-dd", rows=ROWS[:15])
    hours = [{**row, "enrolment_id": f"H{number}", "attended_hours": 8} for number, row in enumerate(ROWS)]
    sheet(inbox, "s-hours", "attended_hours", "1e17", "[h]:mm:ss", rows=hours)
    return {
        **dict.fromkeys(manifests, ("refused", ["D_MANIFEST"])),
        **dict.fromkeys(("f-fifo", "f-link"), ("refused", ["D_PATH"])),
        "f-unreadable": ("refused", ["D_MISSING_FILE"]),
        "z-fifo": ("refused", ["D_ARCHIVE"]),
        "z-place": ("refused", ["D_ARCHIVE"]),
        "s-date": ("refused", ["D_TOLERANCE"]),  # one of 15 rows
        "s-hours": ("accepted", []),  # one of 40 rows
    }


def run(settings: Settings, inbox: Path) -> tuple[int, str]:
    """``warehouse run``, by somebody who may not read what is not his; how it ended, and all that it said."""
    assert settings.dsn is not None
    assert settings.key is not None
    mere = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
    ended = subprocess.run(
        [*mere, Path(sys.executable).with_name("warehouse"), "run", "--inbox", inbox],
        env={
            **os.environ,
            "WAREHOUSE_HOME": str(settings.home),
            "WAREHOUSE_DSN": settings.dsn.get_secret_value(),
            "WAREHOUSE_KEY": settings.key.get_secret_value(),
            "RUST_BACKTRACE": "1",
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    return ended.returncode, ended.stdout


def enrolments(dsn: str) -> dict[str, int]:
    """What is published: enrolments by sender."""
    with psycopg.connect(dsn) as conn:
        return dict(conn.execute("SELECT sender, sum(enrolments)::integer FROM marts.training_month GROUP BY sender"))


def test_ten_beside_ten(settings: Settings, tmp_path: Path) -> None:
    assert settings.dsn is not None
    inbox, dsn = tmp_path / "inbox", settings.dsn.get_secret_value()
    inbox.mkdir()
    expected = sound(inbox) | {"440000": len(ROWS) - 1}
    wanted = odd(inbox) | {f"sound-{sender}": ("accepted", []) for sender in SENDERS}
    # The folder in which we work on the first arrival is none: a fault of ours, with this package alone.
    write(inbox, "a-ours", {"enrolment": [enrolment(5000)]}, sender="500000")
    obstacle = settings.root / "work" / "1"
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("")

    code, said = run(settings, inbox)
    assert code == 1, said
    assert f"not decided a-ours: File exists ({obstacle})" in said
    assert said.splitlines()[-1].startswith("error: Not decided: a-ours. The next pass tries again")
    assert not [word for word in ("Traceback", "panicked", "backtrace", "Exception") if word in said], said
    with psycopg.connect(dsn) as conn:
        found = {
            name: (status, codes)
            for name, status, codes in conn.execute("SELECT name, status, codes FROM ops.delivery")
        }
        assert found == wanted
        reasons = "SELECT delivery_name, line_number, reasons FROM ops.rejected_row ORDER BY 1"
        assert conn.execute(reasons).fetchall() == [
            ("s-date", 3, ["E_TYPE:started_on"]),
            ("s-hours", 3, ["E_RANGE:attended_hours"]),
        ]
        waiting = conn.execute("SELECT name, status FROM ops.arrival WHERE name = 'a-ours'").fetchall()
        assert waiting == [("a-ours", "received")]
        (detail,) = conn.execute("SELECT detail FROM ops.step WHERE step = 'not decided'").fetchone() or [None]
        assert detail is not None
        assert detail["reason"] == f"File exists ({obstacle})"
        assert detail["trace"]
    assert enrolments(dsn) == expected
    assert figures.disagreements(dsn) == {}

    # The next pass tries it again, and no other.
    obstacle.unlink()
    code, said = run(settings, inbox)
    assert code == 0, said
    assert "0 packages new, 1 decided: 1 accepted" in said
    assert enrolments(dsn) == expected | {"500000": 1}

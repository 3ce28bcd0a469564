"""A loading process killed at any instant: nothing is half there, and the next run ends in the same warehouse."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ingest import contracts
from ingest.landing import tables
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import state
from tests.packages import enrolment, snapshot, write
from warehouse import schema

STEPS = ["checked", "staged", "validated", "accepted", "refused", "duplicate"]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    place = tmp_path / "inbox"
    place.mkdir()
    rows = [enrolment(n) for n in range(4000)]
    write(place, "t-1", {"enrolment": [*rows, rows[5], enrolment(7, score="1"), enrolment(8, result="?")]})
    write(place, "t-2", {"enrolment": [{**enrolment(n), "result": "?"} for n in range(300)]})
    write(place, "t-3", {"enrolment": rows[:50]}, zipped=True)
    write(place, "t-3", {"enrolment": rows[:50]}, location="t-3-again")
    snapshot(place, "m-1", range(500), created="2026-08-01T00:00:00Z")
    snapshot(place, "m-2", range(20, 520), created="2026-08-02T00:00:00Z")
    return place


def start(settings: Settings, inbox: Path, *arguments: str) -> subprocess.Popen[str]:
    assert settings.dsn is not None
    assert settings.key is not None
    environment = {
        **os.environ,
        "WAREHOUSE_HOME": str(settings.home),
        "WAREHOUSE_DSN": settings.dsn.get_secret_value(),
        "WAREHOUSE_KEY": settings.key.get_secret_value(),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.loading", str(inbox), *arguments],
        cwd=Path(__file__).parents[2],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def finish(settings: Settings, inbox: Path) -> None:
    process = start(settings, inbox)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    assert out == "done\n"


def nothing_half_there(conn: psycopg.Connection) -> None:
    """What can be seen of a delivery is all of it, and only of decided ones."""
    for table in tables.layout(contracts.load()):
        seen = conn.execute(
            sql.SQL(
                "SELECT a.status, count(*), (SELECT sum(f.rows_loaded) FROM ops.file AS f"
                " WHERE f.arrival_id = l.delivery_id AND a.source || '_' || f.feed = %s)"
                " FROM {} AS l LEFT JOIN ops.arrival AS a ON a.arrival_id = l.delivery_id"
                " GROUP BY l.delivery_id, a.status, a.source"
            ).format(sql.Identifier("landing", table)),
            [table],
        ).fetchall()
        for status, rows, counted in seen:
            assert status in ("accepted", "superseded")
            assert rows == counted
    assert conn.execute("SELECT count(*) FROM ops.delivery WHERE status = ANY(%s)", [STEPS[:3]]).fetchone() == (0,)


def of(conn: psycopg.Connection, settings: Settings) -> state.State:
    return state.of(conn, contracts.load(), Keyring.from_settings(settings))


def empty(conn: psycopg.Connection) -> None:
    for name in ("ops", "landing", "vault"):
        conn.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE")
    schema.migrate(conn, contracts.load())


def test_killed_at_every_step(warehouse, settings, inbox):
    for step in STEPS:
        process = start(settings, inbox, step)
        assert process.wait(120) == -signal.SIGKILL, step
        nothing_half_there(warehouse)
    finish(settings, inbox)
    found = of(warehouse, settings)
    empty(warehouse)
    finish(settings, inbox)
    assert found == of(warehouse, settings)
    assert {name: status for name, status, *_ in found["deliveries"]} == {
        "m-1": "superseded",
        "m-2": "accepted",
        "t-1": "accepted",
        "t-2": "refused",
        "t-3": "accepted",
    }
    assert found["leftovers"] == []
    assert list((settings.home / "work").iterdir()) == []


def test_killed_at_any_instant(warehouse, settings, inbox):
    begun = time.monotonic()
    finish(settings, inbox)
    undisturbed, seconds = of(warehouse, settings), time.monotonic() - begun
    empty(warehouse)
    chance = random.Random(os.environ.get("PYTEST_SEED", "1"))
    for _ in range(10):
        process = start(settings, inbox)
        time.sleep(chance.uniform(0.02, seconds / 4))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        nothing_half_there(warehouse)
    finish(settings, inbox)
    assert of(warehouse, settings) == undisturbed

"""The tasks with a real database: only the task of a package that cannot be decided fails; the others are loaded."""

import os
from pathlib import Path
from typing import Any

import psycopg
import pytest
from airflow.sdk.exceptions import AirflowFailException

from ingest.errors import NotDecided
from ingest.settings import Settings
from tests.dags.test_tasks import call, emitted, events
from tests.packages import enrolment, write
from warehouse.orchestration import assets


@pytest.mark.timeout(120)
def test_the_others_are_loaded_and_announced(
    dagbag: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.dsn is not None
    assert settings.key is not None
    inbox = tmp_path / "inbox"
    for name, sender in (("a-blocked", "110000"), ("b", "120000"), ("c-fifo", "130000"), ("d", "140000")):
        write(inbox, name, {"enrolment": [enrolment(number) for number in range(3)]}, sender=sender)
    (inbox / "c-fifo" / "datapackage.json").unlink()
    os.mkfifo(inbox / "c-fifo" / "datapackage.json")
    obstacle = settings.root / "work" / "1"  # a file where the working folder of the first arrival should be
    obstacle.parent.mkdir(parents=True)
    obstacle.write_text("")
    monkeypatch.setenv("WAREHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("WAREHOUSE_INBOX", str(inbox))
    monkeypatch.setenv("WAREHOUSE_DSN", settings.dsn.get_secret_value())
    monkeypatch.setenv("WAREHOUSE_KEY", settings.key.get_secret_value())

    accessors = events()
    undecidable = call(dagbag, "detect_deliveries", "register")(outlet_events=accessors)
    assert emitted(accessors) == {"inbox/training"}
    assert [package["name"] for package in undecidable] == ["c-fifo"]
    call(dagbag, "detect_deliveries", "process")(undecidable[0])

    load, outcomes = call(dagbag, "load_training", "load"), []
    for delivery in call(dagbag, "load_training", "pending")():
        if delivery["name"] == "a-blocked":
            with pytest.raises(NotDecided, match=r"a-blocked is not decided: File exists"):
                load(delivery)
        else:
            outcomes.append(load(delivery))
    assert [outcome["status"] for outcome in outcomes] == ["accepted", "accepted"]
    accessors = events()
    call(dagbag, "load_training", "announce")(outcomes, outlet_events=accessors)
    assert accessors[assets.LANDING["training"]].partition_keys == {"120000|2026-07", "140000|2026-07"}

    pending = call(dagbag, "load_training", "pending")
    (undecided,) = pending()
    obstacle.unlink()
    assert load(undecided)["status"] == "accepted"
    assert pending() == []


@pytest.mark.timeout(120)
def test_a_package_that_is_set_aside_fails_without_retries(
    dagbag: Any, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tasks of two attempts at it were killed."""
    assert settings.dsn is not None
    assert settings.key is not None
    inbox, dsn = tmp_path / "inbox", settings.dsn.get_secret_value()
    write(inbox, "a", {"enrolment": [enrolment(1)]})
    monkeypatch.setenv("WAREHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("WAREHOUSE_INBOX", str(inbox))
    monkeypatch.setenv("WAREHOUSE_DSN", dsn)
    monkeypatch.setenv("WAREHOUSE_KEY", settings.key.get_secret_value())
    call(dagbag, "detect_deliveries", "register")(outlet_events=events())
    load, pending = call(dagbag, "load_training", "load"), call(dagbag, "load_training", "pending")
    (delivery,) = pending()
    with psycopg.connect(dsn) as conn:
        conn.execute("UPDATE ops.arrival SET attempts_broken_off = 1, attempt_begun_at = clock_timestamp()")
    with pytest.raises(AirflowFailException, match=r"a is set aside: .*`warehouse retry a` tries it again"):
        load(delivery)
    assert pending() == []
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT kind FROM ops.notification").fetchall() == [("set_aside",)]

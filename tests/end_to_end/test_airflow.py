"""Airflow really running: one start for all checks, in the order of a working day. Then a second start, once."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ingest import synthetic
from ingest.contracts import source_names
from tests import packages
from tests.end_to_end import figures
from tests.serving import START_SECONDS, Serving, open_to_others, temporary_home
from warehouse.local import server

#: A package dropped in while Airflow serves is in the published figures within 90 s on two cores of its own. Here other
#: tests have their share of them.
PROMISE_SECONDS = 3 * 90

pytestmark = pytest.mark.timeout(1200)


def member(inbox: Path, month: int, sender: str = "440000", numbers: range = range(1, 6)) -> str:
    """A membership register of five persons; returns its name."""
    name = f"membership-{sender}-2026-{month:02d}"
    packages.snapshot(
        inbox,
        name,
        numbers,
        sender=sender,
        period=f"2026-{month:02d}",
        created=f"2026-{month + 1:02d}-03T08:00:00+08:00",
    )
    return name


def put(inbox: Path, package: Path) -> None:
    """Hand a package over as a sender does: all at once."""
    package.rename(inbox / package.name)


@pytest.fixture(scope="module")
def serving() -> Iterator[Serving]:
    with temporary_home() as home:
        inbox = home / "inbox-of-the-test"
        for month in (6, 7):
            for sender in ("440000", "350000"):
                member(inbox, month, sender)
        packages.write(inbox, "training-440000-2026-07", {"enrolment": [packages.enrolment(n) for n in range(1, 4)]})
        packages.write(inbox, "unknown-1", {"enrolment": []}, source="weather")
        synthetic.generate(
            inbox, seed=5, provinces=("510000",), months=("2026-07",), members=150, settlements=300, dirty=False
        )
        packages.write(
            inbox,
            "fault-hash",
            {"enrolment": [packages.enrolment(1)]},
            resources={"enrolment": {"hash": "sha256:" + "0" * 64}},
        )
        running = Serving(home, inbox)
        try:
            yield running
        finally:
            running.stop()


def test_a_burst_is_decided_and_published_by_two_builds_at_most(serving: Serving) -> None:
    serving.wait(lambda: "page " in serving.output, START_SECONDS)
    serving.wait(lambda: len(serving.published()) == 5 + len(source_names()), 300)
    serving.wait(serving.at_rest, 120)
    assert serving.publications() <= 2
    decided = dict(serving.query("SELECT name, status FROM ops.delivery"))
    assert decided.pop("fault-hash") == decided.pop("unknown-1") == "refused"
    assert set(decided.values()) == {"accepted"}
    assert "accepted" in serving.output
    assert "fault-hash  D_HASH" in serving.output
    assert "published" in serving.output
    assert f"database  {server.database_dsn(serving.settings, 'warehouse')}" in serving.output
    assert (serving.settings.root / "docs" / "index.html").exists()
    assert [path for path in open_to_others(serving.settings.root) if not path.startswith(("inbox", "elsewhere"))] == []


def task_states(serving: Serving, run: str) -> dict[str, str]:
    """The state of each task of a run; Airflow gives at most 100 a page."""
    path = f"{run}/taskInstances?limit=100"
    count = serving.call("GET", path)["total_entries"]
    pages = [serving.call("GET", f"{path}&offset={offset}")["task_instances"] for offset in range(0, count, 100)]
    return {one["task_id"]: one["state"] for page in pages for one in page}


def test_every_model_is_a_task_that_ended_well(serving: Serving) -> None:
    (run,) = serving.call("GET", "dags/build_warehouse/dagRuns?state=success&order_by=run_after&limit=1")["dag_runs"]
    states = task_states(serving, f"dags/build_warehouse/dagRuns/{run['dag_run_id']}")
    shown = {name: state for name, state in states.items() if name.startswith("models.")}
    assert "models.marts.union_coverage_month" in shown
    assert set(shown.values()) == {"success"}


def test_a_package_dropped_in_is_published_in_time(serving: Serving) -> None:
    name = member(serving.settings.root / "elsewhere", 8)
    start = time.monotonic()
    put(serving.inbox, serving.settings.root / "elsewhere" / name)
    serving.wait(lambda: name in serving.published(), PROMISE_SECONDS)
    assert time.monotonic() - start < PROMISE_SECONDS
    figure = serving.query(
        "SELECT sum(members) FROM marts.union_coverage_month"
        " WHERE month = '2026-08-01' AND sender IN ('440000', '350000')"
    )
    assert figure[0][0] == 5  # the same five persons stand in both senders' registers
    serving.wait(serving.at_rest, 120)


def run_build(serving: Serving, month: str | None) -> dict[str, str]:
    """Trigger ``build_warehouse`` by its form; returns the states of its tasks at the end."""
    run = serving.call(
        "POST", "dags/build_warehouse/dagRuns", {"logical_date": None, "conf": {"month": month} if month else {}}
    )["dag_run_id"]
    path = f"dags/build_warehouse/dagRuns/{run}"
    serving.wait(lambda: serving.call("GET", path)["state"] in ("success", "failed"), 240)
    return task_states(serving, path)


def test_a_build_by_hand_with_nothing_new_ends_before_dbt(serving: Serving) -> None:
    before = serving.publications()
    ended = run_build(serving, None)
    # the portal is written: deliveries may have been refused since
    assert ended.pop("refresh_docs") == "success"
    assert set(ended.values()) == {"skipped"}
    assert serving.publications() == before


def test_a_wake_with_nothing_new_is_one_task_that_says_so(serving: Serving) -> None:
    """The same package once more is decided, as a duplicate, and wakes nothing but the decision about a build."""

    def runs(dag_id: str) -> list[dict[str, Any]]:
        return list(serving.call("GET", f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=100")["dag_runs"])

    builds, decisions = len(runs("build_warehouse")), len(runs("decide_build"))
    member(serving.settings.root / "elsewhere", 8)
    again = serving.settings.root / "elsewhere" / "membership-440000-2026-08"
    again.rename(serving.inbox / "once-more")
    serving.wait(lambda: serving.query("SELECT FROM ops.arrival WHERE status = 'duplicate'"), 120)
    serving.wait(lambda: len(runs("decide_build")) > decisions and serving.at_rest(), 120)
    run = runs("decide_build")[0]
    assert run["state"] == "success"
    path = f"dags/decide_build/dagRuns/{run['dag_run_id']}"
    assert task_states(serving, path) == {"decide": "success"}
    said = serving.call("GET", f"{path}/taskInstances/decide/xcomEntries/return_value")["value"]
    assert said == "Nothing is new since the last publication: no build"
    assert len(runs("build_warehouse")) == builds


def test_a_month_is_rebuilt_from_the_form(serving: Serving) -> None:
    before = serving.publications()
    assert set(run_build(serving, "2026-07").values()) == {"success"}
    assert serving.publications() == before + 1


def test_one_delivery_is_run_again_from_the_page(serving: Serving) -> None:
    (run,) = serving.call("GET", "dags/load_training/dagRuns?state=success&order_by=run_after&limit=1")["dag_runs"]
    path = f"dags/load_training/dagRuns/{run['dag_run_id']}/taskInstances"
    mapped = serving.call("GET", f"{path}/load/listMapped")["task_instances"]
    named = {one["rendered_map_index"]: one for one in mapped}
    assert {"training-440000-2026-07 · accepted", "fault-hash · refused D_HASH"} <= set(named)
    index = named["fault-hash · refused D_HASH"]["map_index"]
    serving.call(
        "POST",
        "dags/load_training/clearTaskInstances",
        {"dry_run": False, "dag_run_id": run["dag_run_id"], "task_ids": [["load", index]], "only_failed": False},
    )
    again = f"{path}/load/{index}"
    serving.wait(lambda: (one := serving.call("GET", again))["try_number"] == 2 and one["state"] == "success", 120)
    serving.wait(serving.at_rest, 120)
    status = dict(serving.query("SELECT name, status FROM ops.delivery"))
    assert status["fault-hash"] == "refused"


def test_published_figures_are_those_of_an_independent_computation(serving: Serving) -> None:
    dsn = server.database_dsn(serving.settings, "warehouse")
    assert figures.disagreements(dsn) == {}
    assert figures.published(dsn, "marts.medical_burden_month")


def test_no_run_failed(serving: Serving) -> None:
    """Who looks for a failure on the page finds none."""
    runs = serving.call("GET", "dags/~/dagRuns?state=failed&limit=100")["dag_runs"]
    assert [(run["dag_id"], run["dag_run_id"]) for run in runs] == []
    assert "failed build_warehouse" not in serving.output


def test_ctrl_c_leaves_nothing_running(serving: Serving) -> None:
    members = serving.members()
    assert len(members) > 4
    serving.stop(signal.SIGINT)
    assert not [process for process in members if psutil.pid_exists(process.pid) and process.is_running()]
    assert not server.is_running(serving.settings)


def test_once_ends_by_itself_and_changes_nothing(serving: Serving) -> None:
    again = Serving(serving.settings.root, serving.inbox, "--once")
    try:
        assert again.process.wait(timeout=START_SECONDS + 120) == 0, again.output
    finally:
        again.stop()
    assert "accepted" not in again.output
    assert "published" not in again.output
    assert not server.is_running(serving.settings)

"""Tasks of the DAGs with the functions that they call replaced."""

import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from airflow.sdk import AssetAlias, PokeReturnValue, RetryAction
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from ingest.errors import NotDecided, WarehouseError
from warehouse import operations
from warehouse.documentation import pages
from warehouse.orchestration import assets
from warehouse.orchestration.decisions import MAP_INDEX_TEMPLATE


@dataclass
class Arrival:
    arrival_id: int
    name: str
    source: str | None


def call(dagbag: Any, dag_id: str, task_id: str) -> Any:
    """The function of a task, with a context of its own if it asks for one."""
    function = dagbag.dags[dag_id].get_task(task_id).python_callable
    if task_id in ("load", "process"):
        function.__globals__["get_current_context"] = dict
    return function


def events() -> Any:
    return OutletEventAccessors()


def emitted(accessors: Any, alias: str = "arrivals") -> set[str]:
    return {event.dest_asset_key.name for event in accessors[AssetAlias(alias)].asset_alias_events}


def test_register_starts_only_loads_of_sources_with_undecided_packages(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    undecided = [Arrival(1, "m", "membership"), Arrival(2, "x", None), Arrival(3, "y", "weather")]
    monkeypatch.setattr(operations, "register", lambda settings, on_fault: undecided)
    accessors = events()
    undecidable = call(dagbag, "detect_deliveries", "register")(outlet_events=accessors)
    assert emitted(accessors) == {"inbox/membership"}
    # No load takes a package without a known source.
    assert undecidable == [{"arrival_id": 2, "name": "x"}, {"arrival_id": 3, "name": "y"}]


def test_a_package_that_cannot_be_registered_has_a_task_that_fails(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are registered and start their loads; the task of this package tries it again."""
    failure = NotDecided("unreadable.zip", "Input/output error")

    def register(settings: Any, on_fault: Any = None, only: str | None = None) -> list[Arrival]:
        if only is not None:
            assert only == "unreadable.zip"
            raise failure
        on_fault(failure)
        return [Arrival(1, "m", "membership")]

    monkeypatch.setattr(operations, "register", register)
    accessors = events()
    undecidable = call(dagbag, "detect_deliveries", "register")(outlet_events=accessors)
    assert emitted(accessors) == {"inbox/membership"}
    assert undecidable == [{"arrival_id": None, "name": "unreadable.zip"}]
    with pytest.raises(NotDecided):
        call(dagbag, "detect_deliveries", "process")(undecidable[0])


@pytest.mark.parametrize(
    ("error", "action"),
    [
        (NotDecided("a", "Input/output error"), RetryAction.RETRY),
        (WarehouseError("another key"), RetryAction.FAIL),
        (psycopg.OperationalError(), RetryAction.RETRY),
        (KeyError("a"), RetryAction.FAIL),
    ],
)
def test_what_is_retried(error: Exception, action: RetryAction) -> None:
    assert assets.RETRY.evaluate(error, 1, 4).action is action


@pytest.mark.parametrize(("unpublished", "queued"), [(True, False), (True, True), (False, False)])
def test_detect_deliveries_starts_a_build_only_where_one_is_due(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch, unpublished: bool, queued: bool
) -> None:
    instance = SimpleNamespace(get_dr_count=lambda dag_id, states: int(queued and states == ["queued"]))
    wake_build = call(dagbag, "detect_deliveries", "wake_build")
    monkeypatch.setitem(wake_build.__globals__, "get_current_context", lambda: {"ti": instance})
    monkeypatch.setattr(operations, "unpublished", lambda settings: unpublished)
    accessors = events()
    if unpublished and not queued:
        wake_build(outlet_events=accessors)
        assert accessors[assets.LEDGER].partition_keys == {"ledger"}
    else:
        with pytest.raises(AirflowSkipException):
            wake_build(outlet_events=accessors)


@pytest.mark.parametrize("later", [0, 2])
def test_of_several_runs_the_last_one_waits_for_a_build(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    runs = {("build_warehouse", "running"): 1, ("decide_build", "queued"): later}
    instance = SimpleNamespace(get_dr_count=lambda dag_id, states: sum(runs.get((dag_id, one), 0) for one in states))
    decide = call(dagbag, "decide_build", "decide")
    monkeypatch.setitem(decide.__globals__, "get_current_context", lambda: {"ti": instance})
    accessors = events()
    assert decide(outlet_events=accessors).is_done is (later > 0)
    assert emitted(accessors, "builds") == set()


@pytest.mark.parametrize(("under_way", "new"), [(True, True), (False, True), (False, False)])
def test_a_build_is_started_only_where_something_is_new_and_none_is_under_way(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, under_way: bool, new: bool
) -> None:
    instance = SimpleNamespace(get_dr_count=lambda dag_id, states: int(under_way and dag_id == "build_warehouse"))
    decide = call(dagbag, "decide_build", "decide")
    monkeypatch.setitem(decide.__globals__, "get_current_context", lambda: {"ti": instance})
    monkeypatch.setattr(operations, "is_new", lambda settings: new)
    refreshed = list[Any]()
    monkeypatch.setattr(pages, "refresh", refreshed.append)
    caplog.set_level(logging.INFO)
    accessors = events()
    result = decide(outlet_events=accessors)
    assert result.is_done is not under_way
    assert emitted(accessors, "builds") == ({"build_due"} if new and not under_way else set())
    # Packages may have been refused where nothing is new to build: the portal tells of them.
    assert len(refreshed) == (not new)
    if not under_way:
        assert result.xcom_value in caplog.text
        assert result.xcom_value.startswith("A build is due" if new else "Nothing is new")


def test_a_load_takes_everything_undecided_of_its_source(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events can be lost or late, so the ledger decides."""
    monkeypatch.setattr(operations, "pending", lambda settings, source: [Arrival(7, f"{source}-a", source)])
    pending = call(dagbag, "load_training", "pending")
    assert pending() == [{"arrival_id": 7, "name": "training-a"}]


def test_a_refused_delivery_is_a_success_that_says_why_and_is_announced(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    outcome = SimpleNamespace(name="a", status="refused", codes=["D_HASH"], sender="440000", period="2026-09")
    monkeypatch.setattr(operations, "load_one", lambda settings, arrival_id: outcome)
    monkeypatch.setattr(operations, "explain", lambda settings, name: f"{name} was cut in transit")
    caplog.set_level(logging.INFO)
    load, context = call(dagbag, "load_medical", "load"), dict[str, Any]()
    load.__globals__["get_current_context"] = lambda: context
    result = load({"arrival_id": 7, "name": "a"})
    assert "a was cut in transit" in caplog.text
    template = dagbag.dags["load_medical"].get_template_env().from_string(MAP_INDEX_TEMPLATE)
    task = SimpleNamespace(op_kwargs={"delivery": {"name": "a"}})
    assert template.render(context, task=task) == "a · refused D_HASH"
    assert template.render(task=task) == "a"  # before it is decided
    assert result == {"status": "refused", "partition": "440000|2026-09"}
    accessors, told = events(), list[Any]()
    monkeypatch.setattr(operations, "notify", told.append)
    call(dagbag, "load_medical", "announce")([result, result], outlet_events=accessors)
    assert len(told) == 1
    assert accessors[assets.LANDING["medical"]].partition_keys == {"440000|2026-09"}


@pytest.mark.parametrize("outcomes", [None, [], [None]])
def test_nothing_decided_is_not_announced(dagbag: Any, outcomes: Any) -> None:
    with pytest.raises(AirflowSkipException):
        call(dagbag, "load_medical", "announce")(outcomes, outlet_events=events())


@pytest.fixture
def plan(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the task ``plan`` in a given situation; returns its result and the months that it passed on."""

    def run(*, loading: bool, undecided: bool, waited: timedelta, planned: Any, month: str | None = None) -> Any:
        months: list[Any] = []
        instance = SimpleNamespace(
            start_date=datetime.now(UTC) - waited, get_dr_count=lambda dag_id, states: int(loading)
        )
        function = call(dagbag, "build_warehouse", "plan")
        monkeypatch.setitem(function.__globals__, "get_current_context", lambda: {"ti": instance})
        monkeypatch.setattr(operations, "pending", lambda settings: ["delivery"] if undecided else [])
        monkeypatch.setattr(operations, "plan_build", lambda settings, month: months.append(month) or planned)
        return function(params={"month": month}), months

    return run


def test_a_build_waits_for_running_loads(plan: Any) -> None:
    result, months = plan(loading=True, undecided=True, waited=timedelta(seconds=1), planned={})
    assert isinstance(result, PokeReturnValue)
    assert not result.is_done
    assert months == []


@pytest.mark.parametrize(
    ("loading", "undecided", "waited"),
    [
        (False, True, timedelta(0)),  # a delivery that cannot be loaded must not delay the others
        (True, False, timedelta(0)),  # the run of a load ends a moment after its last delivery
        (True, True, timedelta(hours=1)),  # the wait is limited
    ],
)
def test_a_build_does_not_wait_without_need(plan: Any, loading: bool, undecided: bool, waited: timedelta) -> None:
    result, months = plan(loading=loading, undecided=undecided, waited=waited, planned={"build": "build_a"})
    assert result.is_done
    assert result.xcom_value == {"build": "build_a"}
    assert months == [None]


def test_a_build_with_nothing_new_ends_before_dbt(plan: Any) -> None:
    with pytest.raises(AirflowSkipException):
        plan(loading=False, undecided=False, waited=timedelta(0), planned=None)


@pytest.mark.parametrize("wrong", ["2026-13", "2026", "september", "2026/09"])
def test_a_wrong_month_fails_at_once_and_says_what_a_month_looks_like(plan: Any, wrong: str) -> None:
    with pytest.raises(WarehouseError, match=r"is not a month: write it as 2026-09"):
        plan(loading=True, undecided=True, waited=timedelta(0), planned={}, month=wrong)


def test_the_month_of_the_form_reaches_the_plan(plan: Any) -> None:
    _, months = plan(loading=False, undecided=False, waited=timedelta(0), planned={}, month="2026-08")
    assert months == ["2026-08"]

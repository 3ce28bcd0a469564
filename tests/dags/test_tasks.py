"""What the tasks of the DAGs do with the functions they call, which are stand-ins here."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import AssetAlias, PokeReturnValue
from airflow.sdk.exceptions import AirflowSkipException
from airflow.sdk.execution_time.context import OutletEventAccessors

from warehouse import passes, wiring


@dataclass
class Arrival:
    arrival_id: int
    name: str
    source: str | None


def call(dagbag: Any, dag_id: str, task_id: str) -> Any:
    """The function of a task."""
    return dagbag.dags[dag_id].get_task(task_id).python_callable


def events() -> Any:
    return OutletEventAccessors()


def woken(accessors: Any) -> set[str]:
    return {event.dest_asset_key.name for event in accessors[AssetAlias("arrivals")].asset_alias_events}


def test_register_wakes_only_the_sources_that_have_something(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    undecided = [Arrival(1, "m", "membership"), Arrival(2, "x", None), Arrival(3, "y", "weather")]
    monkeypatch.setattr(passes, "register", lambda settings: undecided)
    accessors = events()
    judged = call(dagbag, "detect_deliveries", "register")(outlet_events=accessors)
    assert woken(accessors) == {"inbox/membership"}
    # Nobody else would ever look at a package without a known source.
    assert judged == [{"arrival_id": 2, "name": "x"}, {"arrival_id": 3, "name": "y"}]


@pytest.mark.parametrize(("unpublished", "queued"), [(True, False), (True, True), (False, False)])
def test_detect_wakes_a_build_only_where_one_is_due(
    dagbag: Any, monkeypatch: pytest.MonkeyPatch, unpublished: bool, queued: bool
) -> None:
    instance = SimpleNamespace(get_dr_count=lambda dag_id, states: int(queued and states == ["queued"]))
    wake = call(dagbag, "detect_deliveries", "wake_build")
    monkeypatch.setitem(wake.__globals__, "get_current_context", lambda: {"ti": instance})
    monkeypatch.setattr(passes, "unpublished", lambda settings: unpublished)
    accessors = events()
    if unpublished and not queued:
        wake(outlet_events=accessors)
        assert accessors[wiring.LEDGER].partition_keys == {"ledger"}
    else:
        with pytest.raises(AirflowSkipException):
            wake(outlet_events=accessors)


def test_a_load_takes_everything_undecided_of_its_source(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events of a burst can be lost or late; the ledger knows."""
    monkeypatch.setattr(passes, "pending", lambda settings, source: [Arrival(7, f"{source}-a", source)])
    pending = call(dagbag, "load_training", "pending")
    assert pending() == [{"arrival_id": 7, "name": "training-a"}]


def test_a_refused_delivery_is_a_success_and_is_announced(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = SimpleNamespace(status="refused", sender="440000", period="2026-09")
    monkeypatch.setattr(passes, "load_one", lambda settings, arrival_id: outcome)
    told = call(dagbag, "load_medical", "load")({"arrival_id": 7, "name": "a"})
    assert told == {"status": "refused", "partition": "440000|2026-09"}
    accessors = events()
    call(dagbag, "load_medical", "announce")([told, told], outlet_events=accessors)
    assert accessors[wiring.LANDING["medical"]].partition_keys == {"440000|2026-09"}


@pytest.mark.parametrize("outcomes", [None, [], [None]])
def test_nothing_decided_is_not_announced(dagbag: Any, outcomes: Any) -> None:
    with pytest.raises(AirflowSkipException):
        call(dagbag, "load_medical", "announce")(outcomes, outlet_events=events())


@pytest.fixture
def plan(dagbag: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The function of the task ``plan`` with a run of its own: call it with what stands around it."""

    def run(*, loading: bool, undecided: bool, waited: timedelta, planned: Any, month: str | None = None) -> Any:
        asked: list[Any] = []
        instance = SimpleNamespace(
            start_date=datetime.now(UTC) - waited, get_dr_count=lambda dag_id, states: int(loading)
        )
        function = call(dagbag, "build_warehouse", "plan")
        monkeypatch.setitem(function.__globals__, "get_current_context", lambda: {"ti": instance})
        monkeypatch.setattr(passes, "pending", lambda settings: ["one"] if undecided else [])
        monkeypatch.setattr(passes, "plan_build", lambda settings, month: asked.append(month) or planned)
        return function(params={"month": month}), asked

    return run


def test_a_build_waits_for_loads_under_way(plan: Any) -> None:
    result, asked = plan(loading=True, undecided=True, waited=timedelta(seconds=1), planned={})
    assert isinstance(result, PokeReturnValue)
    assert not result.is_done
    assert asked == []


@pytest.mark.parametrize(
    ("loading", "undecided", "waited"),
    [
        (False, True, timedelta(0)),  # a delivery that cannot be loaded must not hold up the others
        (True, False, timedelta(0)),  # the run of a load ends a moment after its last delivery
        (True, True, timedelta(hours=1)),  # enough is enough
    ],
)
def test_a_build_does_not_wait_for_nothing(plan: Any, loading: bool, undecided: bool, waited: timedelta) -> None:
    result, asked = plan(loading=loading, undecided=undecided, waited=waited, planned={"build": "build_a"})
    assert result.is_done
    assert result.xcom_value == {"build": "build_a"}
    assert asked == [None]


def test_a_build_with_nothing_new_ends_before_dbt(plan: Any) -> None:
    with pytest.raises(AirflowSkipException):
        plan(loading=False, undecided=False, waited=timedelta(0), planned=None)


def test_the_month_of_the_form_reaches_the_plan(plan: Any) -> None:
    _, asked = plan(loading=False, undecided=False, waited=timedelta(0), planned={}, month="2026-08")
    assert asked == ["2026-08"]

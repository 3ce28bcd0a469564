"""The task of a model ends with the status of its model; the inbox trigger fires for new packages."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent

from warehouse.orchestration import model_tasks, triggers
from warehouse.orchestration.model_tasks import Model, ModelStatus
from warehouse.orchestration.triggers import InboxTrigger, ModelTrigger

MEMBER, COVERAGE = "model.warehouse.member", "model.warehouse.coverage"


def test_models_come_after_their_parents_with_their_tests(manifest: Path) -> None:
    found = model_tasks.read_models(manifest)
    assert [model.name for model in found] == ["stg_member", "member", "coverage"]
    assert [model.tests for model in found] == [
        (),
        ("test.warehouse.member_unique",),
        ("test.warehouse.coverage_adds_up",),  # not attached to a model by dbt: its last parent
    ]


def test_no_manifest_no_models(tmp_path: Path) -> None:
    assert model_tasks.read_models(tmp_path / "manifest.json") == []


#: The status of models and what it has pushed.
Reporter = tuple[ModelStatus, list[dict[str, str]]]


@pytest.fixture
def reporter(monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(model_tasks, "PUSH_INTERVAL_SECONDS", -1.0)
    pushed: list[dict[str, str]] = []
    models = [
        Model(MEMBER, "member", "core", (), ("test.unique", "test.full")),
        Model(COVERAGE, "coverage", "marts", (MEMBER,), ()),
    ]
    return ModelStatus(models, pushed.append), pushed


def test_a_model_is_finished_with_its_last_test(reporter: Reporter) -> None:
    status, pushed = reporter
    for node in (MEMBER, "test.unique"):
        status.record(node, "success" if node == MEMBER else "pass")
        assert pushed[-1] == {}
    status.record("test.full", "warn")
    assert pushed[-1] == {MEMBER: "success"}


def test_a_failed_test_fails_its_model_at_once_and_for_good(reporter: Reporter) -> None:
    status, pushed = reporter
    status.record("test.unique", "fail")
    assert pushed[-1] == {MEMBER: "failed"}
    status.record(MEMBER, "success")
    status.record("test.full", "pass")
    status.record("seed.warehouse.sex", "success")  # no test of a model
    assert pushed[-1] == {MEMBER: "failed"}


def test_status_is_not_pushed_for_every_node(reporter: Reporter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_tasks, "PUSH_INTERVAL_SECONDS", 3600.0)
    status, pushed = reporter
    with status:
        for node in (MEMBER, "test.unique", "test.full", COVERAGE):
            status.record(node, "success")
        assert pushed == [{}]
    assert pushed[-1] == {MEMBER: "success", COVERAGE: "success"}


def test_a_model_whose_other_tests_are_skipped_is_finished_when_dbt_runs_its_child(
    reporter: Reporter,
) -> None:
    status, pushed = reporter
    with status:
        status.record(MEMBER, "success")
        status.record("test.unique", "pass")
        assert pushed[-1] == {}
        status.record(COVERAGE, "success")
        assert pushed[-1] == {MEMBER: "success", COVERAGE: "success"}


def test_a_model_that_a_successful_build_skipped_is_successful(reporter: Reporter) -> None:
    status, pushed = reporter
    with status:
        pass
    assert pushed[-1] == {MEMBER: "success", COVERAGE: "success"}


def test_a_model_that_a_failed_build_did_not_reach_has_no_status(reporter: Reporter) -> None:
    status, pushed = reporter

    def build() -> None:
        with status:
            status.record("test.full", "fail")
            status.record(COVERAGE, "skipped")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert pushed[-1] == {MEMBER: "failed"}


Statuses = list[tuple[str | None, dict[str, str]]]


def end_of(monkeypatch: pytest.MonkeyPatch, statuses: Statuses) -> Any:
    """The event of a model's trigger, given the reporter's state and the models' status at each poll."""
    polls = iter(statuses)
    monkeypatch.setattr(triggers, "_read_status", lambda *_: next(polls))
    monkeypatch.setattr(ModelTrigger, "INTERVAL_SECONDS", 0.0)
    monkeypatch.setattr(ModelTrigger, "_runs", {})
    trigger = ModelTrigger(MEMBER, "run_dbt")
    trigger._task_instance = SimpleNamespace(dag_id="build_warehouse", run_id="one")

    async def first() -> Any:
        return await anext(aiter(trigger.run()))

    return asyncio.run(first())


@pytest.mark.parametrize(
    ("statuses", "end"),
    [
        ([("queued", {}), ("running", {}), ("running", {MEMBER: "success"})], TaskSuccessEvent),
        ([("running", {MEMBER: "failed"})], TaskFailedEvent),
        ([("up_for_retry", {}), ("running", {}), ("success", {MEMBER: "success"})], TaskSuccessEvent),
        ([("failed", {})], TaskFailedEvent),  # dbt skipped the model, or was killed
        ([("upstream_failed", {})], TaskFailedEvent),
    ],
)
def test_a_model_task_ends_with_the_status_of_its_model(
    monkeypatch: pytest.MonkeyPatch, statuses: Statuses, end: type
) -> None:
    assert isinstance(end_of(monkeypatch, statuses), end)


def test_a_trigger_survives_serialization() -> None:
    for trigger in (ModelTrigger(MEMBER, "run_dbt"), InboxTrigger(3.0)):
        path, arguments = trigger.serialize()
        assert path == f"warehouse.orchestration.triggers.{type(trigger).__name__}"
        assert type(trigger)(**arguments).serialize() == (path, arguments)


def package(inbox: Path, name: str) -> None:
    (inbox / name).mkdir(parents=True)
    (inbox / name / "datapackage.json").write_text("{}")


def test_the_inbox_trigger_fires_at_the_first_poll_and_for_new_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inbox = tmp_path / "inbox"
    package(inbox, "a")
    monkeypatch.setenv("WAREHOUSE_INBOX", str(inbox))
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "home"))

    async def watch() -> None:
        events = aiter(InboxTrigger(0.01).run())
        assert (await anext(events)).payload == {"packages": 1}
        silence = asyncio.ensure_future(anext(events))
        await asyncio.sleep(0.3)
        assert not silence.done()
        package(inbox, "b")
        (inbox / "c").mkdir()  # no manifest yet: not a package
        assert (await asyncio.wait_for(silence, 10)).payload == {"packages": 1}

    asyncio.run(watch())


def test_an_inbox_that_cannot_be_read_is_polled_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "home"))

    async def watch() -> None:
        event = asyncio.ensure_future(anext(aiter(InboxTrigger(0.01).run())))
        await asyncio.sleep(0.2)
        assert not event.done()
        package(tmp_path / "inbox", "a")
        assert (await asyncio.wait_for(event, 10)).payload == {"packages": 1}

    asyncio.run(watch())

"""How a model's task learns what became of its model."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.triggers.base import TaskFailedEvent, TaskSuccessEvent

from warehouse import models, triggers
from warehouse.models import Board, Model
from warehouse.triggers import InboxTrigger, ModelTrigger

MEMBER, COVERAGE = "model.warehouse.member", "model.warehouse.coverage"


def test_models_come_after_their_parents_with_their_tests(manifest: Path) -> None:
    found = models.read(manifest)
    assert [one.name for one in found] == ["stg_member", "member", "coverage"]
    assert [one.tests for one in found] == [
        (),
        ("test.warehouse.member_unique",),
        ("test.warehouse.coverage_adds_up",),  # without a word of dbt: its last parent
    ]


def test_no_manifest_no_models(tmp_path: Path) -> None:
    assert models.read(tmp_path / "manifest.json") == []


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> tuple[Board, list[dict[str, str]]]:
    monkeypatch.setattr(models, "INTERVAL", -1.0)
    told: list[dict[str, str]] = []
    known = [
        Model(MEMBER, "member", "core", (), ("test.unique", "test.full")),
        Model(COVERAGE, "coverage", "marts", (MEMBER,), ()),
    ]
    return Board(known, told.append), told


def test_a_model_is_finished_with_its_last_test(board: tuple[Board, list[dict[str, str]]]) -> None:
    hung, told = board
    for node in (MEMBER, "test.unique"):
        hung.tell(node, "success" if node == MEMBER else "pass")
        assert told[-1] == {}
    hung.tell("test.full", "warn")
    assert told[-1] == {MEMBER: "success"}


def test_a_failed_test_fails_its_model_at_once_and_for_good(board: tuple[Board, list[dict[str, str]]]) -> None:
    hung, told = board
    hung.tell("test.unique", "fail")
    assert told[-1] == {MEMBER: "failed"}
    hung.tell(MEMBER, "success")
    hung.tell("test.full", "pass")
    hung.tell("seed.warehouse.sex", "success")  # nobody's
    assert told[-1] == {MEMBER: "failed"}


def test_the_board_is_not_hung_out_for_every_node(
    board: tuple[Board, list[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "INTERVAL", 3600.0)
    hung, told = board
    with hung:
        for node in (MEMBER, "test.unique", "test.full", COVERAGE):
            hung.tell(node, "success")
        assert told == [{}]
    assert told[-1] == {MEMBER: "success", COVERAGE: "success"}


def test_a_model_whose_other_tests_are_not_run_is_finished_when_dbt_goes_on(
    board: tuple[Board, list[dict[str, str]]],
) -> None:
    hung, told = board
    with hung:
        hung.tell(MEMBER, "success")
        hung.tell("test.unique", "pass")
        assert told[-1] == {}
        hung.tell(COVERAGE, "success")
        assert told[-1] == {MEMBER: "success", COVERAGE: "success"}


def test_what_a_build_left_as_it_stood_is_well(board: tuple[Board, list[dict[str, str]]]) -> None:
    hung, told = board
    with hung:
        pass
    assert told[-1] == {MEMBER: "success", COVERAGE: "success"}


def test_what_dbt_did_not_come_to_is_not(board: tuple[Board, list[dict[str, str]]]) -> None:
    hung, told = board

    def build() -> None:
        with hung:
            hung.tell("test.full", "fail")
            hung.tell(COVERAGE, "skipped")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        build()
    assert told[-1] == {MEMBER: "failed"}


Said = list[tuple[str | None, dict[str, str]]]


def end_of(monkeypatch: pytest.MonkeyPatch, said: Said) -> Any:
    """What a model's trigger makes of the reporter's state and board, look after look."""
    looks = iter(said)
    monkeypatch.setattr(triggers, "_board", lambda *_: next(looks))
    monkeypatch.setattr(ModelTrigger, "SECONDS", 0.0)
    monkeypatch.setattr(ModelTrigger, "_readings", {})
    trigger = ModelTrigger(MEMBER, "run_dbt")
    trigger._task_instance = SimpleNamespace(dag_id="build_warehouse", run_id="one")

    async def first() -> Any:
        return await anext(aiter(trigger.run()))

    return asyncio.run(first())


@pytest.mark.parametrize(
    ("said", "end"),
    [
        ([("queued", {}), ("running", {}), ("running", {MEMBER: "success"})], TaskSuccessEvent),
        ([("running", {MEMBER: "failed"})], TaskFailedEvent),
        ([("up_for_retry", {}), ("running", {}), ("success", {MEMBER: "success"})], TaskSuccessEvent),
        ([("failed", {})], TaskFailedEvent),  # dbt skipped it, or was killed
        ([("upstream_failed", {})], TaskFailedEvent),
    ],
)
def test_a_models_task_ends_as_dbt_says(monkeypatch: pytest.MonkeyPatch, said: Said, end: type) -> None:
    assert isinstance(end_of(monkeypatch, said), end)


def test_a_trigger_can_be_made_again() -> None:
    for trigger in (ModelTrigger(MEMBER, "run_dbt"), InboxTrigger(3.0)):
        path, arguments = trigger.serialize()
        assert path == f"warehouse.triggers.{type(trigger).__name__}"
        assert type(trigger)(**arguments).serialize() == (path, arguments)


def package(inbox: Path, name: str) -> None:
    (inbox / name).mkdir(parents=True)
    (inbox / name / "datapackage.json").write_text("{}")


def test_the_inbox_wakes_at_the_first_look_and_for_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_inbox_out_of_reach_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_INBOX", str(tmp_path / "inbox"))
    monkeypatch.setenv("WAREHOUSE_HOME", str(tmp_path / "home"))

    async def watch() -> None:
        event = asyncio.ensure_future(anext(aiter(InboxTrigger(0.01).run())))
        await asyncio.sleep(0.2)
        assert not event.done()
        package(tmp_path / "inbox", "a")
        assert (await asyncio.wait_for(event, 10)).payload == {"packages": 1}

    asyncio.run(watch())

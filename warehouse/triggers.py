"""What waits in Airflow's triggerer: for packages in the inbox, and for dbt's word about a model."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from airflow.triggers.base import (
    BaseEventTrigger,
    BaseTrigger,
    TaskFailedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)

from ingest.settings import Settings
from warehouse.models import BOARD

log = logging.getLogger(__name__)

#: A package that is still being copied looks different each time. We wait for two equal looks, but not for ever.
PATIENCE = 5

Look = frozenset[tuple[str, str]]


class InboxTrigger(BaseEventTrigger):
    """Fires when the inbox (a folder or any fsspec URL) holds a package it did not hold at the last event.

    The first look fires as well: whatever arrived while nobody watched is found at once. An event only wakes; what is
    to be done with which package stands in the ledger. The inbox comes from the settings, not from an argument:
    arguments are stored in Airflow's database, and a remote inbox has passwords.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, from which the triggerer makes the trigger again."""
        return f"{__name__}.{type(self).__name__}", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event (the number of new packages, for the log) for each change that has come to rest."""
        told: Look | None = None
        before: Look = frozenset()
        unrest = 0
        while True:
            seen = await asyncio.to_thread(_look)
            if seen is not None:
                new = len(seen - told) if told is not None else len(seen)
                unrest = unrest + 1 if seen != before else 0
                if told is None or (new and (unrest == 0 or unrest > PATIENCE)):
                    yield TriggerEvent({"packages": new})
                    told, unrest = seen, 0
                before = seen
            await asyncio.sleep(self.seconds)


def _look() -> Look | None:
    """Place and fingerprint of every package, or None when the inbox is out of reach just now."""
    from ingest.inbox import Inbox  # not while DAG files are parsed

    settings = Settings()
    try:
        packages = Inbox(settings.inbox_url, settings.inbox_options).scan()
        return frozenset((package.location, package.fingerprint) for package in packages)
    except Exception as error:  # noqa: BLE001 - whatever a remote file system raises: look again later
        log.warning("The inbox cannot be read: %s", type(error).__name__)
        return None


@dataclass
class _Reading:
    """The board of one run as it was read last; all its models' triggers share it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    at: float = 0.0
    state: str | None = None
    board: dict[str, str] = field(default_factory=dict)


class ModelTrigger(BaseTrigger):
    """Ends a model's task as soon as the task that runs dbt has told how the model fared (``warehouse.models``)."""

    #: Seconds between two readings, for all models of a run together.
    SECONDS = 2.0
    ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

    _readings: ClassVar[dict[tuple[str, str], _Reading]] = {}

    def __init__(self, model: str, reporter: str) -> None:
        super().__init__()
        self.model = model
        self.reporter = reporter

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, from which the triggerer makes the trigger again."""
        return f"{__name__}.{type(self).__name__}", {"model": self.model, "reporter": self.reporter}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the task's end."""
        while True:
            reading = await self._read()
            if (fate := reading.board.get(self.model)) is not None:
                self.log.info("%s: %s", self.model, fate)
                yield TaskSuccessEvent() if fate == "success" else TaskFailedEvent()
                return
            if reading.state in self.ENDED:
                self.log.warning("dbt ended (%s) without a word about %s", reading.state, self.model)
                yield TaskFailedEvent()
                return
            await asyncio.sleep(self.SECONDS)

    async def _read(self) -> _Reading:
        """The run's board, not older than ``SECONDS``."""
        instance = self.task_instance
        assert instance is not None  # noqa: S101 - a task's trigger always has one
        key = (instance.dag_id, instance.run_id)
        if key not in self._readings:
            for old in [one for one, reading in self._readings.items() if time.monotonic() - reading.at > 3600]:
                del self._readings[old]
        reading = self._readings.setdefault(key, _Reading())
        async with reading.lock:
            if time.monotonic() - reading.at >= self.SECONDS:
                reading.state, reading.board = await asyncio.to_thread(_board, *key, self.reporter)
                reading.at = time.monotonic()
        return reading


def _board(dag_id: str, run_id: str, reporter: str) -> tuple[str | None, dict[str, str]]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[reporter], run_ids=[run_id])
    state = states.get(run_id, {}).get(reporter)
    if state not in ("running", "success", "failed"):
        return state, {}
    return state, XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=reporter, key=BOARD) or {}

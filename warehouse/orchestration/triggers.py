"""Triggers: for new packages in the inbox, and for the status of a dbt model."""

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
from warehouse.orchestration.model_tasks import STATUS_KEY

log = logging.getLogger(__name__)

#: A package that is being copied differs from poll to poll. The trigger waits for two equal polls, at most this many.
MAX_UNSTABLE_POLLS = 5

#: (location, fingerprint) of every package in the inbox.
Snapshot = frozenset[tuple[str, str]]


class InboxTrigger(BaseEventTrigger):
    """Fires when the inbox (a folder or any fsspec URL) has a package that it did not have at the last event.

    The first poll fires as well, so that packages that arrived before the start are found. An event only starts a run;
    the ledger says which packages are new. The inbox is read from the settings and is no argument, because arguments
    are stored in Airflow's database, and the options of a remote inbox contain passwords.
    """

    def __init__(self, seconds: float = 2.0) -> None:
        super().__init__()
        self.seconds = seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, from which the triggerer makes the trigger again."""
        return f"{__name__}.{type(self).__name__}", {"seconds": self.seconds}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield an event with the number of new packages for each change, once two polls are equal."""
        last_reported: Snapshot | None = None
        previous: Snapshot = frozenset()
        unstable_polls = 0
        while True:
            snapshot = await asyncio.to_thread(_scan_inbox)
            if snapshot is not None:
                new = len(snapshot - last_reported) if last_reported is not None else len(snapshot)
                unstable_polls = unstable_polls + 1 if snapshot != previous else 0
                if last_reported is None or (new and (unstable_polls == 0 or unstable_polls > MAX_UNSTABLE_POLLS)):
                    yield TriggerEvent({"packages": new})
                    last_reported, unstable_polls = snapshot, 0
                previous = snapshot
            await asyncio.sleep(self.seconds)


def _scan_inbox() -> Snapshot | None:
    """Location and fingerprint of every package, or None when the inbox cannot be read."""
    from ingest.delivery.inbox import Inbox  # slow to import: not while DAG files are parsed

    settings = Settings()
    try:
        # Packages that cannot be read are left out here; the task `register` reports them.
        packages = Inbox(settings.inbox_url, settings.inbox_options).scan(on_error=lambda _: None)
        return frozenset((package.location, package.fingerprint) for package in packages)
    except Exception as error:  # noqa: BLE001 - remote file systems raise errors of many libraries
        log.warning("The inbox cannot be read: %s", type(error).__name__)
        return None


@dataclass
class _RunStatus:
    """The latest known status of one run, shared by the triggers of all its models."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    read_at: float = 0.0  # on the monotonic clock
    reporter_state: str | None = None
    models: dict[str, str] = field(default_factory=dict)


class ModelTrigger(BaseTrigger):
    """Ends a model's task as soon as the task ``reporter`` has pushed the model's status (see ``model_tasks``)."""

    #: Least time between two requests of a run's status, for all its models together.
    INTERVAL_SECONDS = 2.0
    #: States after which the reporter pushes nothing more.
    ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})

    _runs: ClassVar[dict[tuple[str, str], _RunStatus]] = {}

    def __init__(self, model: str, reporter: str) -> None:
        super().__init__()
        self.model = model
        self.reporter = reporter

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class and arguments, from which the triggerer makes the trigger again."""
        return f"{__name__}.{type(self).__name__}", {"model": self.model, "reporter": self.reporter}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the end of the task: success or failure."""
        while True:
            run = await self._read()
            if (status := run.models.get(self.model)) is not None:
                self.log.info("%s: %s", self.model, status)
                yield TaskSuccessEvent() if status == "success" else TaskFailedEvent()
                return
            if run.reporter_state in self.ENDED:
                self.log.warning("dbt ended (%s) without a result of %s", run.reporter_state, self.model)
                yield TaskFailedEvent()
                return
            await asyncio.sleep(self.INTERVAL_SECONDS)

    async def _read(self) -> _RunStatus:
        """The status of the run, not older than ``INTERVAL_SECONDS``."""
        instance = self.task_instance
        assert instance is not None  # noqa: S101 - a task's trigger always has one
        key = (instance.dag_id, instance.run_id)
        if key not in self._runs:
            now = time.monotonic()
            for old_key in [old_key for old_key, run in self._runs.items() if now - run.read_at > 3600]:
                del self._runs[old_key]
        run = self._runs.setdefault(key, _RunStatus())
        async with run.lock:
            if time.monotonic() - run.read_at >= self.INTERVAL_SECONDS:
                run.reporter_state, run.models = await asyncio.to_thread(_read_status, *key, self.reporter)
                run.read_at = time.monotonic()
        return run


def _read_status(dag_id: str, run_id: str, reporter: str) -> tuple[str | None, dict[str, str]]:
    """State of the task ``reporter`` in a run, and the status of the models that it has pushed."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
    from airflow.sdk.execution_time.xcom import XCom

    states = RuntimeTaskInstance.get_task_states(dag_id=dag_id, task_ids=[reporter], run_ids=[run_id])
    state = states.get(run_id, {}).get(reporter)
    if state not in ("running", "success", "failed"):
        return state, {}
    return state, XCom.get_one(dag_id=dag_id, run_id=run_id, task_id=reporter, key=STATUS_KEY) or {}

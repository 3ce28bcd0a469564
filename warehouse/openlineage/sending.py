"""Sends events from a thread of its own. What they tell of neither waits for their receiver nor fails with it."""

import json
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ingest.settings import Settings

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent
    from openlineage.client.transport import Transport

log = logging.getLogger("warehouse.openlineage")

#: Longest wait at the end of a step for the events on their way.
FLUSH_SECONDS = 2.0
#: Nothing is sent for so long after a failure: a receiver that hangs costs a process one wait, not one a step.
SILENCE_SECONDS = 300.0
#: Of the library's transport by HTTP, unless the setting says otherwise; the library would try six times.
_HTTP_DEFAULTS = {"timeout": FLUSH_SECONDS, "retry": {"total": 0, "connect": 0, "read": 0}}

#: Makes events in the thread that sends them: what it imports and reads costs the step nothing.
Events = Callable[[], "Iterable[RunEvent]"]


class Sender:
    """The way to one receiver, with the events that wait for it."""

    def __init__(self, transport: Mapping[str, object]) -> None:
        self._transport = transport
        self._waiting: queue.SimpleQueue[Events | threading.Event] = queue.SimpleQueue()
        self._silent_until = 0.0
        self._thread: threading.Thread | None = None

    def put(self, events: Events) -> None:
        """Send events soon, unless the receiver has just failed."""
        if not self._is_silent():
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="openlineage", daemon=True)
                self._thread.start()
            self._waiting.put(events)

    def flush(self) -> None:
        """Wait for what is on its way, ``FLUSH_SECONDS`` at most; what is not sent by then is dropped."""
        if self._thread is None or self._is_silent():
            return
        sent = threading.Event()
        self._waiting.put(sent)
        if not sent.wait(FLUSH_SECONDS):
            self._fall_silent(f"the receiver has not taken them within {FLUSH_SECONDS:g} s")

    def _run(self) -> None:
        transport: Transport | None = None
        while True:
            item = self._waiting.get()
            if isinstance(item, threading.Event):
                item.set()
            elif not self._is_silent():
                try:
                    transport = transport or _open(self._transport)
                    for event in item():
                        transport.emit(event)
                except Exception as error:  # noqa: BLE001 - an event must not fail what it tells of
                    self._fall_silent(_reason(error))

    def _is_silent(self) -> bool:
        return time.monotonic() < self._silent_until

    def _fall_silent(self, reason: str) -> None:
        if not self._is_silent():
            self._silent_until = time.monotonic() + SILENCE_SECONDS
            log.warning(
                "Events of OpenLineage are not sent (%s); the next attempt is in %d minutes",
                reason,
                SILENCE_SECONDS // 60,
            )


_senders: dict[tuple[int, str], Sender] = {}


def sender(settings: Settings) -> Sender | None:
    """The sender of this process, None where no receiver is set."""
    if not settings.openlineage:
        return None
    key = os.getpid(), json.dumps(settings.openlineage, sort_keys=True)
    return _senders.setdefault(key, Sender(settings.openlineage))


def _open(transport: Mapping[str, object]) -> "Transport":
    """The library's transport. Its client is left out: that adds variables of the environment and the repository."""
    from openlineage.client.transport import get_default_factory

    configuration: dict[str, Any] = dict(transport)
    if configuration.get("type") == "http":
        configuration = {**_HTTP_DEFAULTS, **configuration}
    return get_default_factory().create(configuration)


def _reason(error: Exception) -> str:
    """What went wrong, without the message: it may hold the receiver's address with a password."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    cause = error.__cause__ or error
    return f"{type(cause).__name__}, {status}" if status else type(cause).__name__

"""When messages are sent: at the end of a step or a pass. Nothing here ever fails the step."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta

import psycopg

from ingest import database
from ingest.settings import Settings
from warehouse.build.planning import BuildPlan
from warehouse.local import server
from warehouse.notifications import channels, events, outbox

log = logging.getLogger("warehouse.notifications")


@dataclass
class _Pass:
    """The step or pass that is under way."""

    failed: bool = False  # a failure was written down


_current: ContextVar[_Pass | None] = ContextVar("notifying_pass", default=None)


def notify(settings: Settings) -> None:
    """Write down refusals, packages set aside and the emergencies of the vault's log, and send what waits."""

    def write(conn: psycopg.Connection) -> None:
        outbox.add(conn, settings.notify, events.emergencies(conn, settings.notify))
        outbox.add(conn, settings.notify, [*events.refused(conn, settings.notify), *events.set_aside(conn)])

    _write(settings, write, send=True)


def write_missing(settings: Settings) -> None:
    """Write down what senders owe, once a day."""
    _write(settings, lambda conn: events.add_missing(conn, settings.notify))


def notify_late_run(settings: Settings, dag: str, run: str, allowed: timedelta) -> None:
    """Send that a run of Airflow has not ended in its time."""
    item = events.late_run(dag, run, allowed)
    _write(settings, lambda conn: outbox.add(conn, settings.notify, [item]), send=True)


@contextmanager
def notifying(settings: Settings) -> Iterator[None]:
    """Send at the end what was written down within, once: where calls are nested, at the end of the outermost.

    After an error only where the failure of a build was written down: otherwise the database may not answer.
    """
    if _current.get() is not None:
        yield
        return
    under_way = _Pass()
    token = _current.set(under_way)
    try:
        yield
    except Exception:
        if under_way.failed:
            notify(settings)
        raise
    else:
        notify(settings)
    finally:
        _current.reset(token)


@contextmanager
def notifying_failure(settings: Settings, step: str, plan: BuildPlan) -> Iterator[None]:
    """The same for a step of a build (dbt, audit or publish), whose failure is told."""
    with notifying(settings):
        try:
            yield
        except Exception:
            _write(
                settings,
                lambda conn: outbox.add(
                    conn, settings.notify, [events.failed(conn, step, plan["build"], plan["token"])]
                ),
            )
            if under_way := _current.get():
                under_way.failed = True
            raise


def _write(settings: Settings, write: Callable[[psycopg.Connection], None], *, send: bool = False) -> None:
    """Write down what there is to tell and, with ``send``, send what waits. An error is logged and goes no further."""
    if not settings.notify:
        return
    try:
        with database.connect(server.ensure_running(settings)) as conn:
            write(conn)
            if send:
                outbox.send(conn, settings.notify)
    except Exception as error:  # noqa: BLE001 - a notification must not fail what it tells of
        log.warning("Notifications wait for the next pass (%s)", channels.reason(error))

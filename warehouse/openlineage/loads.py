"""The runs of loads: one of each delivery, and below it one of each feed."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import psycopg

from ingest import code_texts, contracts, database
from ingest.landing import tables
from ingest.ledger import ledger
from ingest.ledger.ledger import Arrival
from ingest.pipeline import Outcome
from ingest.settings import Settings
from warehouse.local import server
from warehouse.openlineage import sending

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

    from warehouse.openlineage.events import RunId

#: What is said of a package whose decision an internal error prevented.
_NOT_DECIDED = "An internal error prevented the decision; the next pass tries the package again."


class _File(NamedTuple):
    """A file of a delivery, as the ledger counts it."""

    path: str
    feed: str
    rows_read: int
    rows_loaded: int
    rows_rejected: int
    bytes: int


class LoadRuns:
    """The loads that are under way. Nothing here waits or fails: see ``sending``."""

    def __init__(self, settings: Settings, dsn: str) -> None:
        self._settings, self._dsn = settings, dsn
        self._sender = sending.sender(settings)
        self._begun: dict[int, tuple[str, datetime]] = {}
        self._names: dict[str, int] = {}

    def start(self, arrival_id: int, name: str = "") -> None:
        """A package is begun; with its name ``fail`` finds it."""
        if self._sender is not None:
            begun = self._begun[arrival_id] = str(uuid.uuid4()), datetime.now(UTC)
            self._names[name] = arrival_id
            self._sender.put(lambda: self._started(arrival_id, *begun))

    def end(self, outcome: Outcome) -> None:
        """A package is decided."""
        self._end(outcome.arrival_id, decided=True)

    def fail(self, name: str) -> None:
        """An internal error prevented the decision about the package that was begun last under a name."""
        self._end(self._names.get(name, 0), decided=False)

    def close(self) -> None:
        """What is still under way is not decided; wait a little for what is to be sent."""
        for arrival_id in list(self._begun):
            self._end(arrival_id, decided=False)
        if self._sender is not None:
            self._sender.flush()

    def _end(self, arrival_id: int, *, decided: bool) -> None:
        begun = self._begun.pop(arrival_id, None)
        if self._sender is not None and begun is not None:
            at = datetime.now(UTC)
            self._sender.put(lambda: self._ended(arrival_id, *begun, at, decided=decided))

    def _started(self, arrival_id: int, run_id: str, begun_at: datetime) -> Iterator[RunEvent]:
        from warehouse.openlineage import events

        with database.connect(self._dsn) as conn:
            arrival = ledger.arrival(conn, arrival_id)
        package = events.package_file(self._settings, arrival.location)
        run = events.RunId(run_id, _job(arrival), begun_at)
        yield events.event(events.START, run, begun_at, [package], kind="DELIVERY")

    def _ended(
        self, arrival_id: int, run_id: str, begun_at: datetime, at: datetime, *, decided: bool
    ) -> Iterator[RunEvent]:
        from warehouse.openlineage import events

        with database.connect(self._dsn) as conn:
            arrival = ledger.arrival(conn, arrival_id)
            files = _files(conn, arrival_id) if decided else []
        run = events.RunId(run_id, _job(arrival), begun_at)
        if not decided:
            package = events.package_file(self._settings, arrival.location)
            yield events.event(events.FAIL, run, at, [package], (), events.failure(_NOT_DECIDED), "DELIVERY")
            return
        for feed in dict.fromkeys(file.feed for file in files):
            of_feed = events.RunId(str(uuid.uuid4()), f"{_job(arrival)}.{feed}", begun_at, run)
            counted = [file for file in files if file.feed == feed]
            yield events.event(events.START, of_feed, begun_at, kind="FEED")
            yield self._decided(arrival, of_feed, at, counted, "FEED")
        yield self._decided(arrival, run, at, files, "DELIVERY")

    def _decided(self, arrival: Arrival, run: RunId, at: datetime, files: list[_File], kind: str) -> RunEvent:
        """The last event of a delivery, or of one of its feeds."""
        from warehouse.openlineage import events

        refused = arrival.status == "refused"
        decision = events.DecisionRunFacet(
            arrival.status,
            arrival.codes,
            sum(file.rows_read for file in files),
            sum(file.rows_loaded for file in files),
            sum(file.rows_rejected for file in files),
            producer=events.PRODUCER,
        )
        inputs = [
            events.package_file(self._settings, arrival.location, file.path, file.rows_read, file.bytes)
            for file in files
        ]
        outputs = []
        if arrival.source is not None and not refused:
            for feed in dict.fromkeys(file.feed for file in files):
                rows = sum(file.rows_loaded for file in files if file.feed == feed)
                table = contracts.load().feeds[arrival.source, feed].table
                outputs.append(events.output_table(self._dsn, f"{tables.SCHEMA}.{table}", rows))
        return events.event(
            events.FAIL if refused else events.COMPLETE,
            run,
            at,
            inputs or [events.package_file(self._settings, arrival.location)],
            outputs,
            {events.DECISION: decision, **(events.failure(_meaning(arrival.codes)) if refused else {})},
            kind,
        )


@contextmanager
def recorded(settings: Settings) -> Iterator[LoadRuns]:
    """The runs of the loads within; what has not ended at the end is told as not decided."""
    runs = LoadRuns(settings, server.ensure_running(settings))
    try:
        yield runs
    finally:
        runs.close()


def _job(arrival: Arrival) -> str:
    known = arrival.source if arrival.source in contracts.load().sources else None
    return f"load.{known or 'unknown'}"


def _meaning(codes: list[str]) -> str:
    """What the codes of a refusal mean; the ledger's findings may quote words of the sender."""
    texts = code_texts.load()
    return " ".join(f"{code}: {texts[code].meaning.en}" for code in codes)


def _files(conn: psycopg.Connection, arrival_id: int) -> list[_File]:
    rows = conn.execute(
        "SELECT path, feed, rows_read, rows_loaded, rows_rejected, bytes FROM ops.file WHERE arrival_id = %s"
        " ORDER BY file_no",
        [arrival_id],
    )
    return [_File(*row) for row in rows]

"""What can be done with deliveries: register what is in the inbox, load, withdraw, list rejected rows."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg

from ingest import contracts
from ingest.barrier import barrier, stopped_in_order
from ingest.contracts.model import Contracts
from ingest.database import connect
from ingest.delivery.inbox import Inbox
from ingest.delivery.manifest import summarise
from ingest.delivery.package import fallback_name
from ingest.delivery_run import (
    DeliveryRun,
    Gate,
    GateRequest,
    OnRows,
    OnStep,
    identity_of,
    process,
    resolving_snapshots,
)
from ingest.errors import NotDecided, SetAside, WarehouseError, first_in_words
from ingest.landing import staging_tables
from ingest.ledger import ledger
from ingest.ledger.ledger import Arrival
from ingest.privacy.keyring import Keyring, ensure_fingerprint
from ingest.settings import Settings

__all__ = ["Arrival", "Gate", "GateRequest", "Outcome", "load", "pending", "register", "rejects", "withdraw"]


@dataclass(frozen=True)
class Outcome:
    """What was decided about an arrival."""

    arrival_id: int
    name: str
    status: str
    codes: list[str]
    source: str | None
    sender: str | None
    period: str | None
    reason: str = ""  # of a refusal: its first finding in words


# --- registering -----------------------------------------------------------------------------------------------------


def register(
    conn: psycopg.Connection,
    settings: Settings,
    on_fault: Callable[[NotDecided], None] | None = None,
    only: str | None = None,
) -> list[Arrival]:
    """Scan the inbox and record every new package in the ledger, in the order of the scan.

    An internal error with one package does not prevent that the others are recorded.

    Args:
        conn: The warehouse.
        settings: Where the inbox is.
        on_fault: Called with each such error; by default the first one is raised after all others are recorded.
        only: The location of a package; only this one is looked at.
    """
    for owner in sorted({owner for owner, _ in staging_tables.orphaned_tables(conn)}):
        _drop_left_tables(conn, owner)
    inbox = Inbox(settings.inbox_url, settings.inbox_options)
    known = ledger.known_packages(conn)
    new: list[Arrival] = []
    faults: list[NotDecided] = []
    for package in inbox.scan(only, faults.append):
        if (package.location, package.fingerprint) in known:
            continue
        try:
            with barrier(package.location):
                name = fallback_name(Path(package.location), package.is_zip)
                identity = identity_of(summarise(inbox.read_manifest(package), name))
                arrival = ledger.receive(conn, package.location, package.fingerprint, identity)
        except NotDecided as fault:
            faults.append(fault)
        else:
            if arrival is not None:
                new.append(arrival)
    for error in faults:
        if on_fault is None:
            raise error
        on_fault(error)
    return new


def pending(conn: psycopg.Connection, source: str | None = None) -> list[Arrival]:
    """Undecided arrivals in order of arrival, of a source or of all (also those whose source could not be read)."""
    return ledger.undecided(conn, source)


def untried(conn: psycopg.Connection) -> list[Arrival]:
    """Undecided arrivals without an attempt that ended with an internal error: the next pass will decide them."""
    return ledger.untried(conn)


def _drop_left_tables(conn: psycopg.Connection, arrival_id: int) -> None:
    """Drop the staging tables that a killed second attempt at a refused arrival left, unless one is running."""
    arrival = ledger.arrival(conn, arrival_id)
    if arrival.status not in ledger.UNDECIDED:
        with ledger.name_locked(conn, arrival.name, wait=False) as locked:
            if locked:
                staging_tables.drop_orphaned_tables(conn, arrival_id)


# --- loading ---------------------------------------------------------------------------------------------------------


def load(
    dsn: str,
    settings: Settings,
    arrival_id: int,
    gate: Gate | None = None,
    *,
    on_step: OnStep | None = None,
    on_rows: OnRows | None = None,
    known: Contracts | None = None,
) -> Outcome:
    """Decide about an arrival: afterwards it is accepted (or superseded), refused, or a duplicate.

    A decided arrival is returned as it is, but a refused one is processed again. Earlier undecided arrivals of the same
    name are processed first. Safe to call from several workers at once.

    Args:
        dsn: The warehouse.
        settings: Where the inbox and the key are.
        arrival_id: As ``register`` gave it.
        gate: Checks the staged rows before they are accepted; without it they are accepted unchecked.
        on_step: Called after every step with its name and detail.
        on_rows: Called while files are read, with the number of rows so far.
        known: The contracts; by default those of the project.

    Raises:
        NotDecided: For an internal error with this package, or with an earlier one of its name. The error is recorded
            in the ledger, and the next attempt starts over.
        SetAside: The processes of earlier attempts were killed or crashed; nothing is tried until ``retry``.
    """
    known = known or contracts.load()
    keyring = Keyring.from_settings(settings)
    with connect(dsn) as conn:
        ensure_fingerprint(conn, keyring)
        while True:
            arrival = ledger.arrival(conn, arrival_id)
            with ledger.name_locked(conn, arrival.name):
                for undecided in [*ledger.undecided_before(conn, arrival), ledger.arrival(conn, arrival_id)]:
                    if undecided.status in (*ledger.UNDECIDED, "refused"):
                        run = DeliveryRun(conn, dsn, settings, known, keyring, undecided, gate, on_step, on_rows)
                        try:
                            _attempt(run)
                        except SetAside:
                            if undecided.arrival_id == arrival_id:
                                raise
            after = ledger.arrival(conn, arrival_id)
            if after.name == arrival.name:
                return _outcome(conn, after)


def _attempt(run: DeliveryRun) -> None:
    """Process an arrival, and record in the ledger that the attempt begins and how it ends.

    A process that is killed or crashes records no end; that is how the next attempt knows.

    Raises:
        SetAside: Too many attempts were broken off.
    """
    with stopped_in_order():
        _begin(run)
        try:
            with _errors_recorded(run.conn, run.arrival), barrier(run.arrival.name):
                process(run)
        except NotDecided:
            ledger.end_attempt(run.conn, run.id)
            raise
        except BaseException:  # a request to stop, or the loss of the database: this connection may be in any state
            run.conn.close()
            with suppress(psycopg.Error), connect(run.dsn, connect_timeout=5, options="-c lock_timeout=5s") as conn:
                ledger.end_attempt(conn, run.id)
            raise
        ledger.end_attempt(run.conn, run.id)


def _begin(run: DeliveryRun) -> None:
    """Record that an attempt begins, or set the arrival aside."""
    allowed = run.settings.broken_attempts
    if run.arrival.set_aside or not ledger.begin_attempt(run.conn, run.id, allowed):
        times = "once" if allowed == 1 else f"{allowed} times"
        fault = SetAside(run.arrival.name, f"the process that worked on it was killed or crashed, {times}")
        if not run.arrival.set_aside:
            ledger.record_step(run.conn, run.id, ledger.SET_ASIDE, {"reason": fault.reason})
        raise fault


@contextmanager
def _errors_recorded(conn: psycopg.Connection, arrival: Arrival) -> Iterator[None]:
    """Record in the ledger an internal error that prevented the decision on an arrival."""
    try:
        yield
    except NotDecided as fault:
        with suppress(psycopg.Error):  # The error itself is raised, whether it could be recorded or not.
            ledger.record_error(conn, arrival.arrival_id, fault)
        raise


def retry(conn: psycopg.Connection, name: str) -> list[Arrival]:
    """Let the next pass try again what is set aside under a name, or at a location of the inbox; returns it.

    Raises:
        WarehouseError: Nothing of that name is set aside.
    """
    found = ledger.retry(conn, name)
    if not found:
        raise WarehouseError(f"No package named {name!r} is set aside: `warehouse status` lists those that are.")
    return found


def set_aside(conn: psycopg.Connection) -> list[Arrival]:
    """Undecided arrivals that no pass tries until somebody asks for it."""
    return ledger.set_aside(conn)


def withdraw(conn: psycopg.Connection, name: str, reason: str) -> Outcome:
    """Withdraw an accepted delivery: it stops counting, as if it had never come. What it superseded counts again.

    Raises:
        WarehouseError: No accepted delivery has that name.
    """
    with ledger.name_locked(conn, name), conn.transaction():
        name_owner = ledger.name_owner(conn, name)
        if name_owner is None or name_owner.status not in ("accepted", "superseded", "withdrawn"):
            raise WarehouseError(f"There is no accepted delivery named {name!r} to withdraw.")
        if name_owner.status != "withdrawn":
            with resolving_snapshots(conn, contracts.load(), name_owner):
                ledger.withdraw(conn, name_owner.arrival_id, reason)
    return _outcome(conn, ledger.arrival(conn, name_owner.arrival_id))


def rejects(conn: psycopg.Connection, keyring: Keyring, name: str) -> Iterator[dict[str, object]]:
    """Rejected rows of a delivery with their text as delivered: ``file_no, path, feed, line_number, reasons, raw``."""
    with conn.transaction(), conn.cursor(name="rejects") as cursor:
        cursor.execute(
            "SELECT file_no, path, feed, line_number, reasons, raw FROM ops.rejected_row WHERE delivery_name = %s"
            " ORDER BY path, feed, file_no, line_number",
            [name],
        )
        for file_no, path, feed, line_number, reasons, raw in cursor:
            yield {
                "file_no": file_no,
                "path": path,
                "feed": feed,
                "line_number": line_number,
                "reasons": reasons,
                "raw": keyring.decrypt(raw).decode(),
            }


def _outcome(conn: psycopg.Connection, arrival: Arrival) -> Outcome:
    return Outcome(
        arrival.arrival_id,
        arrival.name,
        arrival.status,
        arrival.codes,
        arrival.source,
        arrival.sender,
        arrival.period,
        first_in_words(ledger.findings(conn, arrival.arrival_id)) if arrival.status == "refused" else "",
    )

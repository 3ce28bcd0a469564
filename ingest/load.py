"""The life of a delivery: received, checked, staged, validated, then accepted or refused.

Every step is safe to kill: nothing of an arrival counts before the one transaction that decides about it, and whoever
loads it next starts over.
"""

import ctypes
import gc
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa

from ingest import batches, contracts, deliveries, ledger
from ingest.cleaning import Context
from ingest.contracts.model import Contracts, Feed
from ingest.copying import Copier
from ingest.database import connect
from ingest.deliveries import Checked, CheckRefused
from ingest.errors import DeliveryCode, DeliveryRefused, Finding, WarehouseError
from ingest.identity import Keyring, ensure_fingerprint
from ingest.inbox import Inbox
from ingest.ledger import Arrival, Identity
from ingest.manifest import Manifest, Resource, described
from ingest.packages import fallback_name
from ingest.pipeline import Pipeline
from ingest.readers import Table, open_table
from ingest.settings import Settings
from ingest.staging import Staging, with_text
from ingest.vault import VaultBatch

__all__ = ["Arrival", "Gate", "GateRequest", "Outcome", "load", "pending", "register", "rejects", "withdraw"]

OnStep = Callable[[str, dict[str, object]], None]


@dataclass(frozen=True)
class GateRequest:
    """A staged delivery, for whoever is asked whether it may be accepted."""

    dsn: str
    contracts: Contracts
    arrival_id: int
    manifest: Manifest
    tables: Mapping[str, str]  # feed -> batch table, qualified
    rows_loaded: Mapping[str, int]  # feed -> rows that passed the row checks


#: Says what speaks against a staged delivery; any finding refuses it.
Gate = Callable[[GateRequest], list[Finding]]


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


@dataclass
class _File:
    """A file of the delivery and its counts."""

    resource: Resource
    feed: Feed
    size: int
    sha256: str
    read: int = 0
    rejected: int = 0
    skipped: int = 0
    unknown_columns: tuple[str, ...] = ()
    failed: bool = False

    @property
    def loaded(self) -> int:
        return self.read - self.rejected


# --- the inbox -------------------------------------------------------------------------------------------------------


def register(conn: psycopg.Connection, settings: Settings) -> list[Arrival]:
    """Scan the inbox and write down every package that was not there before, in the order of the scan."""
    for owner in sorted({owner for owner, _ in batches.leftovers(conn)}):
        _sweep(conn, owner)
    inbox = Inbox(settings.inbox_url, settings.inbox_options)
    known = ledger.known_places(conn)
    new: list[Arrival] = []
    for package in inbox.scan():
        if (package.location, package.fingerprint) not in known:
            told = described(inbox.peek(package), fallback_name(Path(package.location), package.is_zip))
            arrival = ledger.receive(conn, package.location, package.fingerprint, _identity(told))
            if arrival is not None:
                new.append(arrival)
    return new


def pending(conn: psycopg.Connection, source: str | None = None) -> list[Arrival]:
    """Arrivals not decided yet, first come first; of one source, or all (those without a readable source too)."""
    return ledger.undecided(conn, source)


def _identity(told: Mapping[str, Any]) -> Identity:
    """What could be read of a manifest that may be wrong."""
    return Identity(
        name=told["name"],
        source=told["source"],
        sender=told["sender"],
        period=told["period"],
        mode=told["mode"],
        created=told["created_at"],
        contract_version=told["contract_version"],
    )


def _sweep(conn: psycopg.Connection, arrival_id: int) -> None:
    """Drop what a killed attempt to judge a refused arrival again left behind."""
    arrival = ledger.arrival(conn, arrival_id)
    if arrival.status not in ledger.UNDECIDED:
        with ledger.name_locked(conn, arrival.name, wait=False) as held:
            if held:
                batches.drop_leftovers(conn, arrival_id)


# --- loading ---------------------------------------------------------------------------------------------------------


def load(
    dsn: str,
    settings: Settings,
    arrival_id: int,
    gate: Gate | None = None,
    *,
    on_step: OnStep | None = None,
    known: Contracts | None = None,
) -> Outcome:
    """Judge an arrival: afterwards it is accepted (or superseded), refused, or a duplicate.

    An arrival that is decided is returned as it is, but a refused one is judged again. Earlier arrivals of the same
    name come first. Safe to call from several workers at once.

    Args:
        dsn: The warehouse.
        settings: Where the inbox and the key are.
        arrival_id: As ``register`` gave it.
        gate: Asked about the staged rows before they are accepted; None asks nobody.
        on_step: Told every step and its detail.
        known: The contracts; by default those of the project.
    """
    known = known or contracts.load()
    keyring = Keyring.from_settings(settings)
    with connect(dsn) as conn:
        ensure_fingerprint(conn, keyring)
        while True:
            arrival = ledger.arrival(conn, arrival_id)
            with ledger.name_locked(conn, arrival.name):
                for one in [*ledger.undecided_before(conn, arrival), ledger.arrival(conn, arrival_id)]:
                    if one.status in (*ledger.UNDECIDED, "refused"):
                        _Attempt(conn, dsn, settings, known, keyring, gate, on_step, one).run()
            after = ledger.arrival(conn, arrival_id)
            if after.name == arrival.name:
                return _outcome(after)


def withdraw(conn: psycopg.Connection, name: str, reason: str) -> Outcome:
    """Withdraw an accepted delivery: it stops counting, as if it had never come. What it superseded counts again.

    Raises:
        WarehouseError: No accepted delivery has that name.
    """
    with ledger.name_locked(conn, name), conn.transaction():
        holder = ledger.holder(conn, name)
        if holder is None or holder.status not in ("accepted", "superseded", "withdrawn"):
            raise WarehouseError(f"There is no accepted delivery named {name!r} to withdraw.")
        if holder.status != "withdrawn":
            with _settling(conn, contracts.load(), holder):
                ledger.withdraw(conn, holder.arrival_id, reason)
    return _outcome(ledger.arrival(conn, holder.arrival_id))


def rejects(conn: psycopg.Connection, keyring: Keyring, name: str) -> Iterator[dict[str, object]]:
    """Rejected rows of a delivery with their text as delivered: ``path, feed, line_number, reasons, raw``."""
    with conn.transaction(), conn.cursor(name="rejects") as cursor:
        cursor.execute(
            "SELECT path, feed, line_number, reasons, raw FROM ops.rejected_row WHERE delivery_name = %s"
            " ORDER BY path, feed, line_number",
            [name],
        )
        for path, feed, line_number, reasons, raw in cursor:
            yield {
                "path": path,
                "feed": feed,
                "line_number": line_number,
                "reasons": reasons,
                "raw": keyring.open(raw).decode(),
            }


def _outcome(arrival: Arrival) -> Outcome:
    return Outcome(
        arrival.arrival_id,
        arrival.name,
        arrival.status,
        arrival.codes,
        arrival.source,
        arrival.sender,
        arrival.period,
    )


class _Attempt:
    """One attempt to judge one arrival, its name held."""

    def __init__(
        self,
        conn: psycopg.Connection,
        dsn: str,
        settings: Settings,
        known: Contracts,
        keyring: Keyring,
        gate: Gate | None,
        on_step: OnStep | None,
        arrival: Arrival,
    ) -> None:
        self.conn, self.dsn, self.settings, self.contracts, self.keyring = conn, dsn, settings, known, keyring
        self.gate, self.on_step, self.arrival, self.id = gate, on_step, arrival, arrival.arrival_id
        self.files: list[_File] = []
        self.batches: dict[str, batches.Batch] = {}
        self.vault = VaultBatch(conn, keyring, self.id)

    def run(self) -> None:
        """Go through the steps to the decision."""
        batches.drop_leftovers(self.conn, self.id)
        # The place is fixed, so that the next attempt finds what a killed one left.
        workdir = self.settings.root / "work" / str(self.id)
        shutil.rmtree(workdir, ignore_errors=True)
        workdir.mkdir(parents=True)
        try:
            self._judge(workdir)
        finally:
            shutil.rmtree(workdir, ignore_errors=True)

    def _judge(self, workdir: Path) -> None:
        inbox = Inbox(self.settings.inbox_url, self.settings.inbox_options)
        package = next(inbox.scan(only=self.arrival.location), None)
        if package is None or package.fingerprint != self.arrival.fingerprint:
            if self.arrival.status != "refused":
                gone = "the package was removed or replaced before it was read; what lies there now is another arrival"
                with self.conn.transaction():
                    ledger.forget_rows(self.conn, self.id)
                    self._refuse([Finding(DeliveryCode.MISSING_FILE, gone)])
            return
        local = inbox.fetch(package, workdir)
        now, found = datetime.now(UTC), list[Finding]()
        try:
            checked: Checked | None = deliveries.check(
                local, package.is_zip, workdir, self.contracts, self.settings, now
            )
        except CheckRefused as refused:
            checked, found = refused.checked, refused.findings
        with self.conn.transaction():
            identity = _identity(deliveries.describe(local, package.is_zip, self.settings))
            ledger.identify(self.conn, self.id, identity)
            if identity.name != self.arrival.name:
                return  # could not be read when it was registered: go on with the right name held
            ledger.forget_rows(self.conn, self.id)
            if checked is None:
                self._refuse(found)
                return
            manifest = checked.manifest
            self._identify(checked)
            holder = ledger.holder(self.conn, manifest.name, but=self.id)
            if holder is not None and holder.content_hash == checked.content_hash:
                self._decide("duplicate", [], {"of": holder.arrival_id})
                return
            if holder is not None:
                other = f"the name belongs to arrival {holder.arrival_id}, which has other content; take a new name"
                found.append(Finding(DeliveryCode.NAME_REUSED, other))
            if found:
                self._refuse(found)
                return
            self._advance("checked", {"files": len(manifest.resources), "content_hash": checked.content_hash})
        if self._stage(checked) and self._validate(manifest):
            self._accept(manifest)

    def _identify(self, checked: Checked) -> None:
        manifest = checked.manifest
        identity = Identity(
            manifest.name,
            manifest.source,
            manifest.sender,
            manifest.period,
            manifest.mode,
            manifest.created,
            manifest.created_date,
            manifest.contract_version,
        )
        ledger.identify(self.conn, self.id, identity, checked.content_hash, manifest.raw)

    # --- staging ---

    def _stage(self, checked: Checked) -> bool:
        """Read, clean, check and copy every file in one transaction; False when that already decides against it."""
        manifest = checked.manifest
        with self.conn.transaction():
            # What is copied goes to the disk as it comes, so that the commit has nothing to wait for.
            self.conn.execute("SET LOCAL backend_flush_after = '512kB'")
            self._create_tables(checked)
            findings = [finding for file in self.files for finding in self._read(file, checked)]
            self._settle_duplicates(checked)
            findings += self._count(manifest)
            if findings:
                self._refuse(findings)
                return False
            for batch in self.batches.values():
                batch.finish()
            self.vault.finish()
            self.keyring.forget()
            self._advance("staged", self._totals())
        return True

    def _create_tables(self, checked: Checked) -> None:
        for resource in checked.manifest.resources:
            feed = self.contracts.feeds[checked.manifest.source, resource.feed]
            self.files.append(_File(resource, feed, checked.sizes[resource.path], checked.sha256[resource.path]))
            if feed.name not in self.batches:
                self.batches[feed.name] = batches.Batch(self.conn, feed, self.id)
                self.batches[feed.name].create()
        self.vault.create()

    def _read(self, file: _File, checked: Checked) -> list[Finding]:
        """Read and check a file while earlier batches of it are copied; returns what refuses it."""
        number = file.resource.index
        batch = self.batches[file.feed.name]
        context = Context(
            checked.manifest.created_date, file.resource.amount_unit, sheet=file.resource.format in ("xlsx", "xls")
        )
        with Copier(self.conn) as copier:
            try:
                table = self._open(file, checked)
                batch.begin_file(number, table.columns)
                staging = Staging(table, batch, self.vault, context, number, file.resource.path)
                with Pipeline(copier.put) as pipeline:
                    for copies in staging.copies():
                        pipeline.put(*copies)
            except DeliveryRefused as refused:
                copier.finish()
                file.failed = True
                batch.forget_file(number)
                ledger.forget_row_warnings(self.conn, self.id, number)
                return refused.findings
        file.read, file.rejected = staging.read, staging.rejected
        file.skipped, file.unknown_columns = table.rows_skipped, table.unknown_columns
        return []

    def _settle_duplicates(self, checked: Checked) -> None:
        """Reject rows whose key stands more than once in the delivery; their text is read a second time."""
        taken_out = False
        for batch in self.batches.values():
            found = batch.find_duplicates()
            for file in self.files:
                if (lines := found.get(file.resource.index)) is not None:
                    batch.begin_file(file.resource.index, ())
                    nothing = [None] * (1 + len(file.feed.keys))
                    for raw in (some.whole() for some in self._open(file, checked).batches()):
                        here = pl.DataFrame({"line_number": raw.line}).with_row_index().join(lines, on="line_number")
                        rows = ((row, line, [reason], *nothing) for row, line, reason in here.iter_rows())
                        batch.rejected(with_text(raw, rows, self.keyring)).run(self.conn)
                        file.rejected += here.height
            if found:
                batch.take_out()
                taken_out = True
        if taken_out:
            self.vault.keep_only_landed([batch.rows for batch in self.batches.values() if batch.feed.has_person])

    def _open(self, file: _File, checked: Checked) -> Table:
        return open_table(checked.files[file.resource.path], file.resource, file.feed, self.settings)

    def _count(self, manifest: Manifest) -> list[Finding]:
        """What the numbers of rows say against the delivery. Files and feeds that could not be read say nothing."""
        findings = [
            Finding(DeliveryCode.ROWS, f"{file.resource.rows} rows announced, {file.read} found", file.resource.path)
            for file in self.files
            if not file.failed and file.resource.rows not in (None, file.read)
        ]
        for name, batch in sorted(self.batches.items()):
            files = [file for file in self.files if file.feed.name == name]
            if any(file.failed for file in files):
                continue
            read, rejected = sum(file.read for file in files), sum(file.rejected for file in files)
            if not read and manifest.mode == "snapshot" and batch.feed.required_in_snapshot:
                findings.append(Finding(DeliveryCode.EMPTY, f"no row in feed {name}, which a snapshot must have"))
            if rejected > batch.feed.tolerance * read:
                findings.append(
                    Finding(
                        DeliveryCode.TOLERANCE,
                        f"{rejected} of {read} rows of feed {name} rejected, more than {batch.feed.tolerance:%}",
                    )
                )
        return findings

    def _validate(self, manifest: Manifest) -> bool:
        """Ask the gate; False when it decided against the delivery."""
        if self.gate is not None:
            _give_memory_back()
            loaded = {name: sum(file.loaded for file in self.files if file.feed.name == name) for name in self.batches}
            tables = {name: batch.name for name, batch in self.batches.items()}
            findings = self.gate(GateRequest(self.dsn, self.contracts, self.id, manifest, tables, loaded))
            if findings:
                self._refuse(findings)
                return False
        with self.conn.transaction():
            self._advance("validated", {})
        return True

    # --- deciding ---

    def _accept(self, manifest: Manifest) -> None:
        """Everything that acceptance changes, in one transaction."""
        with self.conn.transaction(), _settling(self.conn, self.contracts, manifest):
            self.vault.attach()
            for name, batch in sorted(self.batches.items()):
                if any(file.loaded for file in self.files if file.feed.name == name):
                    batch.attach()
            self._decide("accepted", [], self._totals())

    def _refuse(self, findings: list[Finding]) -> None:
        codes = sorted({finding.code.value for finding in findings})
        self._decide("refused", codes, {"codes": codes, "findings": [str(finding) for finding in findings]})

    def _decide(self, status: str, codes: list[str], detail: dict[str, object]) -> None:
        """Write the decision, the files and the rejected rows; clear away what staging needed."""
        with self.conn.transaction():
            for file in self.files:
                if not file.failed:
                    ledger.record_file(
                        self.conn,
                        self.id,
                        file.resource.index,
                        file.resource.path,
                        file.feed.name,
                        read=file.read,
                        rejected=file.rejected,
                        skipped=file.skipped,
                        size=file.size,
                        sha256=file.sha256,
                        unknown_columns=file.unknown_columns,
                    )
            paths = {file.resource.index: file.resource.path for file in self.files}
            for batch in self.batches.values():
                batch.rejections_to_ledger(paths)
            batches.drop_leftovers(self.conn, self.id)
            ledger.decide(self.conn, self.id, status, codes, detail)
        self._tell(status, detail)

    def _advance(self, step: str, detail: dict[str, object]) -> None:
        ledger.advance(self.conn, self.id, step, detail)
        self._tell(step, detail)

    def _tell(self, step: str, detail: dict[str, object]) -> None:
        if self.on_step is not None:
            self.on_step(step, {"arrival_id": self.id, "name": self.arrival.name, **detail})

    def _totals(self) -> dict[str, object]:
        return {
            "rows_read": sum(file.read for file in self.files),
            "rows_loaded": sum(file.loaded for file in self.files),
            "rows_rejected": sum(file.rejected for file in self.files),
        }


def _give_memory_back() -> None:
    """Return what staging used to the system: the allocators would keep it beside what the gate's libraries need."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # only the GNU C library can be asked
        ctypes.CDLL(None).malloc_trim(0)


def _settling(conn: psycopg.Connection, known: Contracts, one: Manifest | Arrival) -> AbstractContextManager[None]:
    """Where a snapshot replaces another: hold its sender and period, and let the last one count afterwards.

    Only a source that can send a complete register has snapshots; others may write the word, it says nothing.
    """
    source, sender, period = one.source, one.sender, one.period
    if not (one.mode == "snapshot" and source and sender and period):
        return nullcontext()
    if any(feed.required_in_snapshot for feed in known.of_source(source)):
        return ledger.last_snapshot_counts(conn, source, sender, period)
    return nullcontext()

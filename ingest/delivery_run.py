"""The steps that decide about one arrival: fetched, checked, staged, validated, then accepted or refused.

Each step is a function of the run and of what the step before returned; a step that already decided about the arrival
returns nothing, and no further step follows. Every step may be killed: nothing of an arrival counts before the one
transaction that decides about it, and the next attempt starts over.
"""

import ctypes
import gc
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pyarrow as pa

from ingest.contracts.model import Contracts, Feed, Kind
from ingest.delivery import integrity
from ingest.delivery.inbox import Inbox
from ingest.delivery.integrity import Checked, CheckRefused
from ingest.delivery.manifest import Manifest, Resource
from ingest.errors import DeliveryCode, DeliveryRefused, Finding
from ingest.landing import staging_tables
from ingest.landing.copy_thread import CopyThread
from ingest.landing.pg_copy import CopySession
from ingest.landing.staging_tables import StagingTable
from ingest.ledger import ledger
from ingest.ledger.ledger import Arrival, Identity
from ingest.privacy import erased
from ingest.privacy.keyring import REPLACED_PATTERN, Keyring
from ingest.privacy.vault import VaultBatch
from ingest.readers import Table, open_table
from ingest.settings import Settings
from ingest.staging import KeptText, Staging, with_text
from ingest.validation.cleaning import Context

#: Share of a column's values above which all of them are replaced, where those hold numbers of persons.
REPLACED_SHARE = 0.01

#: Called with the name of a step and its detail, as the ledger records them.
OnStep = Callable[[str, dict[str, object]], None]
#: Called while a file is read: the file (``name/path``), its rows so far, and those that its manifest states or None.
OnRows = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class GateRequest:
    """A staged delivery, for the gate that decides whether it may be accepted."""

    dsn: str
    contracts: Contracts
    arrival_id: int
    manifest: Manifest
    tables: Mapping[str, str]  # feed -> staging table, qualified
    rows_loaded: Mapping[str, int]  # feed -> rows that passed the row checks


#: Returns the reasons against a staged delivery; any finding refuses it.
Gate = Callable[[GateRequest], list[Finding]]


@dataclass(frozen=True)
class DeliveryRun:
    """One attempt to decide about one arrival, whose name is locked on ``conn``."""

    conn: psycopg.Connection
    dsn: str
    settings: Settings
    contracts: Contracts
    keyring: Keyring
    arrival: Arrival
    gate: Gate | None = None
    on_step: OnStep | None = None
    on_rows: OnRows | None = None

    @property
    def id(self) -> int:
        """The number of the arrival."""
        return self.arrival.arrival_id


@dataclass(frozen=True)
class Fetched:
    """A package on this machine."""

    path: Path
    is_zip: bool


@dataclass(frozen=True)
class StagedFile:
    """A file of the delivery and its counts, or the findings of a file that could not be read to its end."""

    resource: Resource
    feed: Feed
    size: int
    sha256: str
    read: int = 0
    rejected: int = 0
    erased: int = 0  # of the rejected rows, those of persons who were erased
    skipped: int = 0
    unknown_columns: tuple[str, ...] = ()
    header: tuple[str, ...] = ()
    stopped: bool = False  # not read to its end, because the delivery cannot be accepted any more
    replaced: Mapping[str, int] = field(default_factory=dict)  # values replaced by a hash, by column
    replaced_columns: tuple[str, ...] = ()  # columns all of whose values were
    findings: tuple[Finding, ...] = ()

    @property
    def failed(self) -> bool:
        """Whether the file could not be read to its end."""
        return bool(self.findings)

    @property
    def loaded(self) -> int:
        """Rows that passed the row checks."""
        return self.read - self.rejected

    @property
    def faulty(self) -> int:
        """Rejected rows that the sender answers for: without those of persons who were erased."""
        return self.rejected - self.erased


@dataclass(frozen=True)
class Staged:
    """The rows of a delivery in its staging tables, by feed; its persons in the vault's."""

    manifest: Manifest
    files: tuple[StagedFile, ...]
    tables: Mapping[str, StagingTable]
    vault: VaultBatch
    kept_text: KeptText
    erased: frozenset[bytes] = frozenset()  # ``vault.erased`` when staging began

    def of_feed(self, name: str) -> list[StagedFile]:
        """The files of a feed."""
        return [file for file in self.files if file.feed.name == name]

    def rows_loaded(self) -> dict[str, int]:
        """Rows that passed the row checks, by feed."""
        return {name: sum(file.loaded for file in self.of_feed(name)) for name in self.tables}

    def totals(self) -> dict[str, object]:
        """Rows of the delivery, for the ledger."""
        return {
            "rows_read": sum(file.read for file in self.files),
            "rows_loaded": sum(file.loaded for file in self.files),
            "rows_rejected": sum(file.rejected for file in self.files),
        }


def process(run: DeliveryRun) -> None:
    """Go through the steps until the arrival is decided.

    An arrival whose name turns out to be another than the locked one is left undecided, under its right name.
    """
    staging_tables.drop_orphaned_tables(run.conn, run.id)
    # Always the same path, so that the next attempt removes what a killed one left.
    workdir = run.settings.root / "work" / str(run.id)
    shutil.rmtree(workdir, ignore_errors=True)
    workdir.mkdir(parents=True)
    try:
        if (package := _fetch(run, workdir)) is None:
            return
        if (checked := _check(run, package, workdir)) is None:
            return
        if (staged := _stage(run, checked)) is None:
            return
        if _validate(run, staged):
            _accept(run, staged)
    finally:
        shutil.rmtree(workdir, ignore_errors=True)


# --- fetching and checking the package -------------------------------------------------------------------------------


def _fetch(run: DeliveryRun, workdir: Path) -> Fetched | None:
    """Bring the package to this machine; None if it is no longer in the inbox, which refuses it."""
    inbox = Inbox(run.settings.inbox_url, run.settings.inbox_options)
    package = next(inbox.scan(only=run.arrival.location), None)
    if package is not None and package.fingerprint == run.arrival.fingerprint:
        return Fetched(inbox.fetch(package, workdir), package.is_zip)
    if run.arrival.status != "refused":
        gone = "the package was removed or replaced before it was read; what lies there now is another arrival"
        with run.conn.transaction():
            ledger.delete_rows(run.conn, run.id)
            _refuse(run, [Finding(DeliveryCode.MISSING_FILE, gone)])
    return None


def _check(run: DeliveryRun, package: Fetched, workdir: Path) -> Checked | None:
    """Verify the manifest and the files and record who sent what; None if that ends the run."""
    checked: Checked | None
    findings: list[Finding] = []
    try:
        checked = integrity.check(package.path, package.is_zip, workdir, run.contracts, run.settings, datetime.now(UTC))
    except CheckRefused as refused:
        checked, findings = refused.checked, refused.findings
    with run.conn.transaction():
        identity = identity_of(integrity.describe(package.path, package.is_zip, run.settings))
        ledger.identify(run.conn, run.id, identity)
        if identity.name != run.arrival.name:
            return None  # It could not be read when it was registered: the caller locks the right name and repeats.
        ledger.delete_rows(run.conn, run.id)
        if checked is None:
            _refuse(run, findings)
            return None
        manifest = checked.manifest
        ledger.identify(run.conn, run.id, _identity_of_manifest(manifest), checked.content_hash, manifest.to_ledger())
        owner = ledger.name_owner(run.conn, manifest.name, excluding=run.id)
        if owner is not None and owner.content_hash == checked.content_hash:
            _decide(run, "duplicate", [], {"of": owner.arrival_id})
            return None
        if owner is not None:
            reused = f"the name belongs to arrival {owner.arrival_id}, which has other content; take a new name"
            findings.append(Finding(DeliveryCode.NAME_REUSED, reused))
        if findings:
            _refuse(run, findings)
            return None
        _advance(run, "checked", {"files": len(manifest.resources), "content_hash": checked.content_hash})
    return checked


def identity_of(summary: Mapping[str, Any]) -> Identity:
    """What could be read of a manifest that may be wrong: ``summary`` is that of ``ingest.delivery.manifest``."""
    return Identity(
        name=summary["name"],
        source=summary["source"],
        sender=summary["sender"],
        period=summary["period"],
        mode=summary["mode"],
        created=summary["created_at"],
        contract_version=summary["contract_version"],
    )


def _identity_of_manifest(manifest: Manifest) -> Identity:
    return Identity(
        name=manifest.name,
        source=manifest.source,
        sender=manifest.sender,
        period=manifest.period,
        mode=manifest.mode,
        created=manifest.created,
        created_date=manifest.created_date,
        contract_version=manifest.shown_version,
    )


# --- staging ---------------------------------------------------------------------------------------------------------


def _stage(run: DeliveryRun, checked: Checked) -> Staged | None:
    """Read, clean, check and copy every file in one transaction; None if the delivery is refused for its rows."""
    with run.conn.transaction():
        # What is copied goes to the disk as it comes, so that the commit has nothing to wait for.
        run.conn.execute("SET LOCAL backend_flush_after = '512kB'")
        empty = _create_tables(run, checked)
        staged = empty
        for number, file in enumerate(empty.files):
            files = (*staged.files[:number], _read_file(run, checked, staged, file), *staged.files[number + 1 :])
            staged = replace(staged, files=files)
        if not any(file.stopped for file in staged.files):
            staged = _replace_key_columns(run, _reject_duplicates(run, checked, staged))
        findings = [finding for file in staged.files for finding in file.findings] + _count_findings(staged)
        if findings:
            _refuse(run, findings, staged)
            return None
        for table in staged.tables.values():
            table.finish()
        staged.vault.finish()
        run.keyring.clear_cache()
        _advance(run, "staged", staged.totals())
    return staged


def _create_tables(run: DeliveryRun, checked: Checked) -> Staged:
    """The staging tables of the delivery's feeds, and its files, none of which is read yet."""
    files: list[StagedFile] = []
    tables: dict[str, StagingTable] = {}
    for resource in checked.manifest.resources:
        feed = run.contracts.feeds[checked.manifest.source, resource.feed]
        files.append(StagedFile(resource, feed, checked.sizes[resource.path], checked.sha256[resource.path]))
        if feed.name not in tables:
            tables[feed.name] = StagingTable(run.conn, feed, run.id)
            tables[feed.name].create()
    vault = VaultBatch(run.conn, run.keyring, run.id)
    vault.create()
    kept_text = KeptText(run.keyring, run.settings.kept_rejected_rows, run.settings.kept_rejected_bytes)
    return Staged(checked.manifest, tuple(files), tables, vault, kept_text, erased.keys(run.conn))


def _read_file(run: DeliveryRun, checked: Checked, staged: Staged, file: StagedFile) -> StagedFile:
    """Read and check a file while earlier batches of it are copied; returns it with its counts or findings."""
    number, path, stopped = file.resource.index, file.resource.shown_path, False
    staging_table = staged.tables[file.feed.name]
    source, sender = checked.manifest.source, checked.manifest.sender
    context = Context(
        checked.manifest.created_date,
        file.resource.amount_unit,
        sheet=file.resource.format in ("xlsx", "xls"),
        erased=erased.of_feed(
            staged.erased, run.contracts, file.feed, sender, ledger.replaced_columns(run.conn, source, sender)
        ),
    )
    with CopySession(run.conn) as session:
        try:
            table = _open(run, checked, file)
            staging_table.begin_file(number, table.columns)
            rows = Staging(
                *(table, staging_table, staged.vault, staged.kept_text, context, number, path),
                fast_path=run.settings.fast_path,
            )
            with CopyThread(session.put) as copy_thread:
                for jobs in rows.copies():
                    copy_thread.put(*jobs)
                    if run.on_rows is not None:
                        run.on_rows(f"{run.arrival.name}/{path}", rows.read, file.resource.rows)
                    if stopped := staged.kept_text.is_full and _is_beyond_tolerance(staged, file, rows.faulty, table):
                        break
        except DeliveryRefused as refused:
            session.finish()
            staging_table.delete_file(number)
            ledger.delete_row_warnings(run.conn, run.id, number)
            return replace(file, findings=tuple(replace(finding, path=path) for finding in refused.findings))
    return replace(
        file,
        read=rows.read,
        rejected=rows.rejected,
        erased=rows.rejected - rows.faulty,
        skipped=table.rows_skipped,
        unknown_columns=table.unknown_columns,
        header=table.header.cells,
        stopped=stopped,
        replaced=dict(rows.replaced),
    )


def _is_beyond_tolerance(staged: Staged, file: StagedFile, faulty: int, table: Table) -> bool:
    """Whether the feed's tolerance is certainly exceeded, even if no other row of its last file is rejected."""
    files = staged.of_feed(file.feed.name)
    if file is not files[-1] or any(other.failed for other in files):
        return False
    faulty += sum(other.faulty for other in files)
    loaded = sum(other.loaded for other in files) + table.most_rows
    return faulty > file.feed.tolerance * (faulty + loaded)


def _reject_duplicates(run: DeliveryRun, checked: Checked, staged: Staged) -> Staged:
    """Reject rows whose key occurs more than once in the delivery; their text is read a second time."""
    duplicates = {name: found for name, table in staged.tables.items() if (found := table.find_duplicates())}
    files = tuple(
        file
        if (lines := duplicates.get(file.feed.name, {}).get(file.resource.index)) is None
        else replace(file, rejected=file.rejected + _reject_lines(run, checked, staged, file, lines))
        for file in staged.files
    )
    for name in duplicates:
        staged.tables[name].delete_duplicates()
    if duplicates:
        staged.vault.keep_only_landed(
            [table.rows for table in staged.tables.values() if table.feed.has_person],
            [table.rows for table in staged.tables.values()],
        )
    return replace(staged, files=files)


def _replace_key_columns(run: DeliveryRun, staged: Staged) -> Staged:
    """Replace all values of the columns of numbers that a sender fills with identity numbers.

    These are columns in which more than ``REPLACED_SHARE`` of the delivery's values were replaced, and those of which
    that was so in an accepted delivery of the sender before: otherwise a foreigner's number would land as it is, and a
    small delivery would not join a large one.
    """
    source, sender = staged.manifest.source, staged.manifest.sender
    known = ledger.replaced_columns(run.conn, source, sender)
    files = list(staged.files)
    for name, table in staged.tables.items():
        of_feed = staged.of_feed(name)
        read = sum(file.read for file in of_feed)
        counts = sum((Counter(file.replaced) for file in of_feed), Counter[str]())
        columns = tuple(
            column.name
            for column in table.feed.landed
            if column.kind is Kind.IDENTIFIER
            and column.takes_any_text
            and not column.has_form
            and (column.name in known or counts[column.name] > max(1, REPLACED_SHARE * read))
        )
        for column in columns:
            table.replace_values(column, REPLACED_PATTERN, run.keyring.replaced)
        files = [replace(file, replaced_columns=columns) if file.feed.name == name else file for file in files]
    return replace(staged, files=tuple(files))


def _reject_lines(run: DeliveryRun, checked: Checked, staged: Staged, file: StagedFile, lines: pl.DataFrame) -> int:
    """Store lines (``line_number``, ``reason``) of a file as rejected rows; returns how many."""
    table = staged.tables[file.feed.name]
    table.begin_file(file.resource.index, ())
    no_content = [None] * (1 + len(file.feed.keys))
    rejected = 0
    for raw in (batch.to_raw() for batch in _open(run, checked, file).batches()):
        here = pl.DataFrame({"line_number": raw.line}).with_row_index().join(lines, on="line_number")
        rows = ((row, line, [reason], *no_content) for row, line, reason in here.iter_rows())
        table.rejected_rows(with_text(raw, rows, staged.kept_text)).run(run.conn)
        rejected += here.height
    return rejected


def _open(run: DeliveryRun, checked: Checked, file: StagedFile) -> Table:
    return open_table(checked.files[file.resource.path], file.resource, file.feed, run.settings)


def _count_findings(staged: Staged) -> list[Finding]:
    """Findings about the numbers of rows; there are none for files and feeds that could not be read."""
    findings = [
        Finding(DeliveryCode.ROWS, f"{file.resource.rows} rows announced, {file.read} found", file.resource.shown_path)
        for file in staged.files
        if not (file.failed or file.stopped) and file.resource.rows not in (None, file.read)
    ]
    for name, table in sorted(staged.tables.items()):
        files = staged.of_feed(name)
        if any(file.failed for file in files):
            continue
        read, rejected = sum(file.read for file in files), sum(file.faulty for file in files)
        if not read and staged.manifest.mode == "snapshot" and table.feed.required_in_snapshot:
            findings.append(Finding(DeliveryCode.EMPTY, f"no row in feed {name}, which a snapshot must have"))
        if rejected > table.feed.tolerance * read:
            findings.append(
                Finding(
                    DeliveryCode.TOLERANCE,
                    f"{rejected} of {read} rows of feed {name} rejected, more than {table.feed.tolerance:%}"
                    + ("; the rest was not read, because it could not change that" if files[-1].stopped else ""),
                )
            )
    return findings


# --- validating ------------------------------------------------------------------------------------------------------


def _validate(run: DeliveryRun, staged: Staged) -> bool:
    """Whether the gate lets the staged delivery pass; if not, it is refused."""
    if run.gate is not None:
        loaded = staged.rows_loaded()
        _release_memory(sum(loaded.values()))
        tables = {name: table.name for name, table in staged.tables.items()}
        findings = run.gate(GateRequest(run.dsn, run.contracts, run.id, staged.manifest, tables, loaded))
        if findings:
            _refuse(run, findings, staged)
            return False
    with run.conn.transaction():
        _advance(run, "validated", {})
    return True


def _release_memory(rows: int) -> None:
    """Return what staging used to the system: the allocators would keep it beside what the gate's libraries need.

    Only after many rows: it looks at every object of every library, which takes as long as loading a small delivery.
    """
    if rows < 100_000:
        return
    gc.collect()
    pa.default_memory_pool().release_unused()
    with suppress(OSError, AttributeError):  # Only the GNU C library has it.
        ctypes.CDLL(None).malloc_trim(0)


# --- deciding --------------------------------------------------------------------------------------------------------


def _accept(run: DeliveryRun, staged: Staged) -> None:
    """Everything that acceptance changes, in one transaction."""
    with run.conn.transaction(), resolving_snapshots(run.conn, run.contracts, staged.manifest):
        erased.require(run.conn, staged.erased)
        staged.vault.attach()
        for name, rows in sorted(staged.rows_loaded().items()):
            if rows:
                staged.tables[name].attach()
        replaced = {column for file in staged.files for column in file.replaced_columns}
        ledger.record_replaced_columns(run.conn, run.id, staged.manifest.source, staged.manifest.sender, replaced)
        _decide(run, "accepted", [], staged.totals(), staged)


def resolving_snapshots(
    conn: psycopg.Connection, contracts: Contracts, delivery: Manifest | Arrival
) -> AbstractContextManager[None]:
    """Around a decision about a snapshot: locks its sender and period, and lets the last snapshot count afterwards.

    Does nothing for other deliveries, nor in sources that have no snapshots, whatever their senders write as mode.
    """
    source, sender, period = delivery.source, delivery.sender, delivery.period
    if not (delivery.mode == "snapshot" and source and sender and period):
        return nullcontext()
    if contracts.has_snapshots(source):
        return ledger.last_snapshot_counts(conn, source, sender, period)
    return nullcontext()


def _refuse(run: DeliveryRun, findings: list[Finding], staged: Staged | None = None) -> None:
    codes = sorted({finding.code.value for finding in findings})
    _decide(run, "refused", codes, {"codes": codes, "findings": [str(finding) for finding in findings]}, staged)


def _decide(
    run: DeliveryRun, status: str, codes: list[str], detail: dict[str, object], staged: Staged | None = None
) -> None:
    """Record the decision, and of a staged delivery its files and rejected rows; drop the staging tables."""
    with run.conn.transaction():
        if staged is not None:
            _record_files(run, staged.files)
            paths = {file.resource.index: file.resource.shown_path for file in staged.files}
            for table in staged.tables.values():
                table.rejections_to_ledger(paths)
            if staged.kept_text.left_out:
                reasons = Counter[str]()
                for table in staged.tables.values():
                    reasons.update(table.rejections_without_text())
                detail |= {"rejected_rows_not_kept": reasons}
        staging_tables.drop_orphaned_tables(run.conn, run.id)
        ledger.decide(run.conn, run.id, status, codes, detail)
    _report_step(run, status, detail)


def _record_files(run: DeliveryRun, files: Iterable[StagedFile]) -> None:
    for file in files:
        if not file.failed:
            ledger.record_file(
                run.conn,
                run.id,
                file.resource.index,
                file.resource.shown_path,
                file.feed.name,
                read=file.read,
                rejected=file.rejected,
                skipped=file.skipped,
                size=file.size,
                sha256=file.sha256,
                unknown_columns=file.unknown_columns,
                replaced_columns=file.replaced_columns,
                header=file.header,
            )


def _advance(run: DeliveryRun, step: str, detail: dict[str, object]) -> None:
    ledger.advance(run.conn, run.id, step, detail)
    _report_step(run, step, detail)


def _report_step(run: DeliveryRun, step: str, detail: dict[str, object]) -> None:
    if run.on_step is not None:
        run.on_step(step, {"arrival_id": run.id, "name": run.arrival.name, **detail})

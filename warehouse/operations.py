"""The steps of a pass, each a function of its own: the command line, the DAGs and the tests call the same ones.

register → load every undecided arrival → plan → dbt → audit → publish
"""

import getpass
import itertools
import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ingest import contracts, database, pipeline
from ingest.errors import Finding, NotDecided, WarehouseError
from ingest.landing import partitions
from ingest.pipeline import Arrival, GateRequest, OnRows, Outcome
from ingest.privacy import access_log, vault
from ingest.privacy.keyring import Keyring, ensure_fingerprint
from ingest.settings import Settings
from warehouse import erasure, schema, whole_file, workers
from warehouse.access import comments, roles
from warehouse.build import dbt, planning, runner
from warehouse.build import publish as publication
from warehouse.build.planning import BuildPlan
from warehouse.local import preflight, server
from warehouse.notifications import sending, steps
from warehouse.sharing import catalogue, catalogue_files, declaration, extracts, lifecycle, lineage, outbox, policy
from warehouse.sharing.lifecycle import Verdict
from warehouse.sharing.outbox import Extract

_log = logging.getLogger(__name__)

#: From so many deliveries on, processes that load them side by side are worth their start.
MANY = 24

#: Told (stage, text, done, all).
Progress = Callable[[str, str, int, int], None]


@dataclass
class PassReport:
    """What a pass did."""

    registered: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    not_decided: list[NotDecided] = field(default_factory=list)  # for internal errors; the next pass tries them again
    statuses: dict[str, int] = field(default_factory=dict)  # of these packages, once all were loaded
    plan: BuildPlan | None = None
    moved: publication.PublicationResult | None = None


@contextmanager
def open_warehouse(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection to the warehouse: server started, schema and roles up to date, key the right one.

    Raises:
        WarehouseError: Among others, another key than the one the warehouse was begun with.
    """
    with database.connect(server.ensure_running(settings)) as conn:
        preflight.require_database(conn)
        schema.migrate(conn, contracts.load())
        ensure_fingerprint(conn, Keyring.from_settings(settings))
        roles.ensure(conn)
        comments.ensure(conn)
        yield conn


def prepare(settings: Settings) -> None:
    """Whatever the first step would otherwise wait for: server, schema, roles, key, dbt's manifest."""
    with open_warehouse(settings):
        dbt.manifest(settings)


# --- loading ---------------------------------------------------------------------------------------------------------


def register(
    settings: Settings, on_fault: Callable[[NotDecided], None] | None = None, only: str | None = None
) -> list[Arrival]:
    """Compare the inbox with the ledger, write down what is new, and return all that is undecided.

    See ``ingest.pipeline.register`` for packages that an internal error keeps from being recorded (``on_fault``), and
    for a look at ``only`` one.
    """
    with open_warehouse(settings) as conn:
        pipeline.register(conn, settings, on_fault, only)
        return pipeline.pending(conn)


def pending(settings: Settings, source: str | None = None) -> list[Arrival]:
    """Undecided arrivals, of one source or all."""
    with open_warehouse(settings) as conn:
        return pipeline.pending(conn, source)


def set_aside(settings: Settings) -> list[Arrival]:
    """Undecided arrivals that no pass tries, because their processes were killed or crashed too often."""
    with open_warehouse(settings) as conn:
        return pipeline.set_aside(conn)


def load_one(settings: Settings, arrival_id: int) -> Outcome:
    """Take one arrival to its decision, with the gate.

    Raises:
        NotDecided: An internal error prevented it.
        SetAside: Its processes were killed or crashed too often.
    """
    with open_warehouse(settings):
        return pipeline.load(server.ensure_running(settings), settings, arrival_id, _gate)


def explain(settings: Settings, name: str) -> str:
    """What became of a delivery and why, as lines of text.

    Raises:
        WarehouseError: The ledger does not know the name.
    """
    from warehouse import explanation  # only where it is wanted: it brings the templates' library along

    with open_warehouse(settings) as conn:
        return explanation.as_text(explanation.explain(conn, name))


def load_all(
    settings: Settings,
    on_outcome: Callable[[Outcome], None],
    on_fault: Callable[[NotDecided], None],
    on_start: Callable[[str, int, int], None] = lambda *_: None,
    on_rows: OnRows | None = None,
) -> int:
    """Register and load everything that is undecided; one package never stops the others.

    Args:
        settings: Which warehouse.
        on_outcome: Told of every decision.
        on_fault: Called for every package whose decision an internal error prevented.
        on_start: Told (name, number, all) before each package.
        on_rows: Told (file, rows so far, rows that its manifest states or None) while files are read, unless processes
            load them side by side.

    Returns:
        The number of packages that were not in the ledger before.
    """
    with sending.notifying(settings):
        with open_warehouse(settings) as conn:
            new = len(pipeline.register(conn, settings, on_fault))
            arrivals = pipeline.pending(conn)
        begun = itertools.count(1)

        def start(arrival: Arrival) -> None:
            on_start(arrival.name, next(begun), len(arrivals))

        for outcome in _outcomes(settings, arrivals, start, on_rows):
            if isinstance(outcome, NotDecided):
                on_fault(outcome)
            else:
                on_outcome(outcome)
        return new


def _outcomes(
    settings: Settings, arrivals: list[Arrival], on_start: Callable[[Arrival], None], on_rows: OnRows | None
) -> Iterator[Outcome | NotDecided]:
    """Decide about arrivals: one after another, or side by side where so many pay for the start of processes."""
    dsn = server.ensure_running(settings)
    if len(arrivals) >= MANY and settings.load_processes > 1:
        yield from workers.load(dsn, settings, arrivals, _gate, on_start)
        return
    for arrival in arrivals:
        on_start(arrival)
        try:
            yield pipeline.load(dsn, settings, arrival.arrival_id, _gate, on_rows=on_rows)
        except NotDecided as fault:
            yield fault


def _gate(request: GateRequest) -> list[Finding]:
    from expectations import gate  # imports Great Expectations: only where something is staged

    return gate.validate(request)


@dataclass(frozen=True)
class Missing:
    """A delivery that should have come (``ops.missing_delivery``)."""

    source: str
    sender: str
    period: str
    was_refused: bool


def missing(settings: Settings) -> list[Missing]:
    """What senders owe, by source, sender and month."""
    with open_warehouse(settings) as conn, conn.cursor(row_factory=class_row(Missing)) as cursor:
        cursor.execute("SELECT * FROM ops.missing_delivery ORDER BY source, sender, period")
        return cursor.fetchall()


def notify_missing(settings: Settings) -> list[Missing]:
    """Tell what senders owe, at most once a day; returns it."""
    with sending.notifying(settings):
        found = missing(settings)
        sending.write_missing(settings)
        return found


def notify(settings: Settings) -> None:
    """Tell of refused deliveries, and send what could not be sent before. An error is logged and goes no further.

    A step of a build, and a pass, does so itself.
    """
    sending.notify(settings)


def merge_partitions(settings: Settings) -> dict[str, int]:
    """Let the deliveries of closed months share partitions; returns of how many each new one was made."""
    with open_warehouse(settings) as conn:
        return partitions.merge(conn, contracts.load())


def compact_vault(settings: Settings) -> int:
    """Keep one record a person in the vault; returns of how many deliveries the persons were put together."""
    with open_warehouse(settings) as conn:
        return vault.compact(conn)


# --- the vault -------------------------------------------------------------------------------------------------------


def open_person(settings: Settings, person_key: UUID, why: vault.Request | vault.Emergency) -> dict[str, Any] | None:
    """The identifiers of a person, None where the vault has none.

    The request is written to the log first, by the login of ``vault_dsn`` or the owner; an emergency is told before
    the record is read.
    """
    with open_warehouse(settings) as owner:
        access_log.ensure_limit(owner, settings.vault_openings, user())
    own_login = settings.vault_dsn.get_secret_value() if settings.vault_dsn else server.ensure_running(settings)
    keyring = Keyring.from_settings(settings)
    with database.connect(own_login) as conn:
        number = vault.request(conn, person_key, why, user())
        if isinstance(why, vault.Emergency):
            sending.notify(settings)
        return vault.open_requested(conn, keyring, person_key, number, user())


def vault_entries(settings: Settings, person_key: UUID | None, last: int) -> list[access_log.Entry]:
    """The last entries of the vault's log, of one person or all."""
    with open_warehouse(settings) as conn:
        return access_log.entries(conn, person_key, last)


def check_vault(settings: Settings) -> access_log.Head | None:
    """Check that the vault's log is whole and goes on from where the last check found it; returns its last entry.

    Raises:
        WarehouseError: It is not; the message names the first broken entry. The noted entry stays as it was.
    """
    with open_warehouse(settings) as conn:
        access_log.ensure_limit(conn, settings.vault_openings, user())
        with conn.transaction():
            conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            fault = access_log.first_fault(conn, access_log.read_head(settings.vault_head_path))
            head = access_log.head(conn)
        if fault is not None:
            raise WarehouseError(f"The access log of the vault is broken: {fault}.")
        if head is not None:
            whole_file.write_text(settings.vault_head_path, json.dumps(asdict(head)) + "\n")
        return head


def preview_erasure(settings: Settings, person_key: UUID) -> erasure.Preview:
    """What an erasure of a person would take away; changes nothing."""
    with open_warehouse(settings) as conn:
        return erasure.preview(conn, contracts.load(), Keyring.from_settings(settings), person_key)


def erase_person(
    settings: Settings, person_key: UUID, case_number: str, ground: str
) -> tuple[erasure.Receipt, erasure.Preview]:
    """Erase a person; what was computed with his rows goes with the next publication, which completes the erasure."""
    with open_warehouse(settings) as conn, planning.exclusive(server.ensure_running(settings)):
        return erasure.erase(
            conn,
            contracts.load(),
            Keyring.from_settings(settings),
            settings.outbox_path,
            person_key,
            case_number=case_number,
            ground=ground,
            os_user=user(),
        )


def finish_erasures(settings: Settings) -> list[int]:
    """Complete erasures that a publication has made possible, where readers stood in the way then."""
    with open_warehouse(settings) as conn, planning.exclusive(server.ensure_running(settings)):
        return erasure.finish(conn, contracts.load())


def erasures(settings: Settings) -> list[erasure.Receipt]:
    """The receipts of all erasures."""
    with open_warehouse(settings) as conn:
        return erasure.receipts(conn)


# --- building --------------------------------------------------------------------------------------------------------


def unpublished(settings: Settings) -> bool:
    """Whether decisions stand that no publication knows while nothing is left to load.

    A package whose decision an internal error prevents does not count: the others are published without it.
    """
    with open_warehouse(settings) as conn:
        return not pipeline.untried(conn) and planning.is_new(conn)


def is_new(settings: Settings) -> bool:
    """Whether a build would find something to do, with what is decided by now."""
    with open_warehouse(settings) as conn:
        return planning.is_new(conn)


def plan_build(settings: Settings, month: str | None = None) -> BuildPlan | None:
    """Freeze the ledger for the unpublished build; None when nothing is new.

    Args:
        settings: Which warehouse.
        month: ``YYYY-MM``: rebuild this month whatever changed, so that there is something to do.
    """
    with open_warehouse(settings) as conn:
        if month:
            planning.request_month(conn, parse_month(month))
    return planning.create(server.ensure_running(settings), contracts.load())


def parse_month(text: str) -> date:
    """First day of a month written as YYYY-MM."""
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError as error:
        raise WarehouseError(f"{text!r} is not a month: write it as 2026-09.") from error


def run_dbt(
    settings: Settings,
    plan: BuildPlan,
    on_node: dbt.OnNode | None = None,
    on_result: dbt.OnResult | None = None,
) -> None:
    """Run dbt for a plan and store its results; a failed model or test is a WarehouseError."""
    with sending.notifying_failure(settings, "dbt", plan):
        runner.run(server.ensure_running(settings), settings, plan, on_node, on_result)


def audit(settings: Settings, plan: BuildPlan) -> None:
    """Great Expectations on the figures of a build; a critical failure is a WarehouseError."""
    from expectations import audit as figures

    with sending.notifying_failure(settings, "audit", plan):
        failed = figures.audit(server.ensure_running(settings), plan["build"])
        if failed:
            names = "; ".join(sorted({f"{failure.suite}.{failure.expectation}" for failure in failed}))
            raise WarehouseError(
                f"The audit of the figures failed, nothing is published: {names} (ops.validation_result)"
            )


def check_published(settings: Settings, on_node: dbt.OnNode | None = None) -> str | None:
    """Run every data test over everything that is published; returns the build, None when nothing is published."""
    with open_warehouse(settings):
        return runner.check_published(server.ensure_running(settings), settings, on_node)


def publish(settings: Settings, plan: BuildPlan) -> publication.PublicationResult:
    """Move all stable views to a build that passed its audit."""
    dsn = server.ensure_running(settings)

    with (
        sending.notifying_failure(settings, "publish", plan),
        planning.exclusive(dsn),
        database.connect(dsn) as conn,
    ):
        planning.check(conn, plan)
        relations = publication.relations(dbt.manifest(settings))
        known = contracts.load()
        contents = lineage.read_manifest(dbt.manifest(settings), known)
        described = catalogue.describe(contents, known, policy.load(), settings)
        changes = steps.Changes(conn, settings.notify, plan["build"])

        def note(conn: psycopg.Connection, moved: publication.PublicationResult) -> None:
            planning.complete(conn, plan)
            number = _note(conn, plan["build"], plan["deliveries"], moved, plan["ledger_hash"])
            changes.write(conn, number, plan["deliveries"], moved)
            lineage.record(conn, number, contents)
            catalogue.record(conn, number, described)
            lifecycle.published(conn, declaration.folder(settings), number, settings.share_revisions, user())

        moved = publication.move(conn, plan["build"], relations, note)
        erasure.finish(conn, known)
        write_catalogue(conn, settings)
        return moved


def publish_previous(settings: Settings) -> publication.PublicationResult:
    """Return to the publication before the current one. It stays until a delivery is decided or a month asked for."""
    with (
        sending.notifying(settings),
        open_warehouse(settings) as conn,
        planning.exclusive(server.ensure_running(settings)),
    ):
        previous = conn.execute(
            "SELECT b.build FROM ops.build AS b INNER JOIN ops.publication AS p ON p.is_current AND p.build <> b.build"
            " WHERE b.completed_at IS NOT NULL"
        ).fetchone()
        if previous is None:
            raise WarehouseError(
                "There is no previous publication to return to: none was made, or a build that broke off changed it."
            )
        names = conn.execute(
            "SELECT name FROM ops.build_delivery WHERE build = %s AND state = 'done' ORDER BY name COLLATE \"C\"",
            previous,
        )
        deliveries = [name for (name,) in names]
        as_of_now = planning.ledger_hash(conn, dbt.code_hash())
        changes = steps.Changes(conn, settings.notify, previous[0])

        def note(conn: psycopg.Connection, moved: publication.PublicationResult) -> None:
            number = _note(conn, previous[0], deliveries, moved, as_of_now)
            changes.write(conn, number, deliveries, moved)
            lineage.repeat(conn, number, previous[0])
            catalogue.repeat(conn, number, previous[0])
            lifecycle.published(conn, declaration.folder(settings), number, None, user())

        existing = publication.published(conn)
        ruled = [relation for relation in publication.relations(dbt.manifest(settings)) if relation in existing]
        moved = publication.move(conn, previous[0], ruled, note, backwards=True)
        write_catalogue(conn, settings)
        return moved


def _note(
    conn: psycopg.Connection, name: str, deliveries: list[str], moved: publication.PublicationResult, ledger_hash: str
) -> int:
    """Write a publication down as the current one; returns its number."""
    conn.execute("UPDATE ops.publication SET is_current = false WHERE is_current")
    row = conn.execute(
        "INSERT INTO ops.publication (build, deliveries, row_counts, ledger_hash, is_current)"
        " VALUES (%s, %s, %s, %s, true) RETURNING publication_id",
        [name, deliveries, Jsonb(moved.row_counts), ledger_hash],
    ).fetchone()
    return int(row[0]) if row else 0


# --- sharing ---------------------------------------------------------------------------------------------------------


def user() -> str:
    """Who works: the user of this machine, by number where he has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def write_catalogue(conn: psycopg.Connection, settings: Settings) -> None:
    """Write the files of the catalogue. A publication stands without them; the next one or ``upkeep`` writes them."""
    try:
        catalogue_files.write(conn, settings.outbox_path)
    except OSError:
        _log.exception("The files of the catalogue in %s could not be written", settings.outbox_path)


def check_shares(settings: Settings) -> list[Verdict]:
    """Judge every declaration of a share, open what may be served, and close what may not."""
    with open_warehouse(settings) as conn:
        return lifecycle.check(conn, declaration.folder(settings), user())


def write_share(settings: Settings, verdict: Verdict, number: int | None = None) -> Extract:
    """Write the extract of a share from a publication, the current one by default, unless it is there already."""
    with open_warehouse(settings) as conn, planning.exclusive(server.ensure_running(settings)):
        keyring = Keyring.from_settings(settings)
        return extracts.write(conn, settings.outbox_path, keyring, verdict, user(), number)


def due_shares(settings: Settings, number: int | None = None) -> list[Verdict]:
    """The open shares whose extract is to be written today; with a publication all that may be written today."""
    verdicts = check_shares(settings)
    is_due = outbox.is_due if number is None else outbox.may_be_written
    with open_warehouse(settings) as conn:
        return [
            verdict
            for verdict in verdicts
            if verdict.state == "open"
            and not verdict.findings
            and verdict.declaration is not None
            and is_due(conn, verdict.declaration)
        ]


@dataclass(frozen=True)
class ShareUpkeep:
    """What the daily look after the shares did."""

    expired: list[str]
    removed: list[str]  # folders of extracts, below the outbox
    fetched: int  # extracts that recipients have fetched since
    notices: list[lifecycle.Notice]


def end_shares(settings: Settings) -> ShareUpkeep:
    """End shares whose last day is over, with logins, views and extracts; say which end soon; write the catalogue."""
    with sending.notifying(settings):
        check_shares(settings)
        with open_warehouse(settings) as conn:
            fetched = outbox.note_fetched(conn, settings.outbox_path)
            expired = [row.name for row in lifecycle.expire(conn, user())]
            removed = outbox.remove_ended(conn, settings.outbox_path)
            with planning.exclusive(server.ensure_running(settings)):  # no publication writes the same files
                write_catalogue(conn, settings)
            return ShareUpkeep(expired, removed, fetched, steps.share_notices(conn, settings.notify))


def revoke_share(settings: Settings, name: str, reason: str) -> list[str]:
    """End a share at once, with its sessions and extracts; returns the folders that were removed."""
    with open_warehouse(settings) as conn:
        lifecycle.revoke(conn, name, reason, user())
        return outbox.remove_ended(conn, settings.outbox_path)


# --- a whole pass ----------------------------------------------------------------------------------------------------


def build_and_publish(
    settings: Settings, progress: Progress, month: str | None = None
) -> tuple[BuildPlan | None, publication.PublicationResult | None]:
    """Plan, dbt, audit, publish, as one: whoever builds meanwhile waits."""
    with sending.notifying(settings), planning.exclusive(server.ensure_running(settings)):
        plan = plan_build(settings, month)
        if plan is None:
            return None, None
        progress("build", f"dbt: {plan['build']}, {len(plan['deliveries'])} deliveries", 0, 0)
        run_dbt(settings, plan, lambda node, done, total: progress("build", node, done, total))
        progress("audit", "Great Expectations on the figures", 0, 0)
        audit(settings, plan)
        progress("publish", "moving the views", 0, 0)
        return plan, publish(settings, plan)


def run(
    settings: Settings,
    progress: Progress,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    on_fault: Callable[[NotDecided], None] = lambda _: None,
) -> PassReport:
    """One whole pass: afterwards everything in the inbox that can be decided is decided and published."""
    report = PassReport()

    def decided(outcome: Outcome) -> None:
        report.outcomes.append(outcome)
        on_outcome(outcome)

    def failed(fault: NotDecided) -> None:
        report.not_decided.append(fault)
        on_fault(fault)

    with sending.notifying(settings):
        report.registered = load_all(
            settings,
            decided,
            failed,
            lambda *started: progress("load", *started),
            lambda file, rows, stated: progress("read", file, rows, stated or 0),
        )
        with open_warehouse(settings) as conn:  # a later one may have superseded an earlier one
            report.statuses = dict(
                conn.execute(
                    "SELECT status, count(*) FROM ops.arrival WHERE arrival_id = ANY(%s) GROUP BY status",
                    [[outcome.arrival_id for outcome in report.outcomes]],
                ).fetchall()
            )
        sending.write_missing(settings)
        report.plan, report.moved = build_and_publish(settings, progress)
    return report

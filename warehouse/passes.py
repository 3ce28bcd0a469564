"""The steps of a pass, each a function of its own: the command line, the DAGs and the tests call the same ones.

register → load every undecided arrival → plan → dbt → audit → publish
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from ingest import contracts, database, load, partitions, vault
from ingest.errors import Finding, WarehouseError
from ingest.identity import Keyring, ensure_fingerprint
from ingest.load import Arrival, GateRequest, Outcome
from ingest.settings import Settings
from warehouse import build, dbt, plans, roles, server
from warehouse import publish as publication
from warehouse.plans import BuildPlan

#: Told (stage, text, done, all).
Progress = Callable[[str, str, int, int], None]


@dataclass
class PassReport:
    """What a pass did."""

    registered: int = 0
    outcomes: list[Outcome] = field(default_factory=list)
    statuses: dict[str, int] = field(default_factory=dict)  # of these packages, once all were loaded
    plan: BuildPlan | None = None
    moved: publication.Moved | None = None


@contextmanager
def opened(settings: Settings) -> Iterator[psycopg.Connection]:
    """A connection to the warehouse: server started, schema and roles up to date, key the right one.

    Raises:
        WarehouseError: Among others, another key than the one the warehouse was begun with.
    """
    with database.connect(server.ensure_running(settings)) as conn:
        database.migrate(conn, contracts.load())
        ensure_fingerprint(conn, Keyring.from_settings(settings))
        roles.ensure(conn)
        yield conn


def prepare(settings: Settings) -> None:
    """Whatever the first step would otherwise wait for: server, schema, roles, key, dbt's manifest."""
    with opened(settings):
        dbt.manifest(settings)


# --- loading ---------------------------------------------------------------------------------------------------------


def register(settings: Settings) -> list[Arrival]:
    """Compare the inbox with the ledger, write down what is new, and return all that is undecided."""
    with opened(settings) as conn:
        load.register(conn, settings)
        return load.pending(conn)


def pending(settings: Settings, source: str | None = None) -> list[Arrival]:
    """Undecided arrivals, of one source or all."""
    with opened(settings) as conn:
        return load.pending(conn, source)


def load_one(settings: Settings, arrival_id: int) -> Outcome:
    """Take one arrival to its decision, with the gate."""
    with opened(settings):
        return load.load(server.ensure_running(settings), settings, arrival_id, _gate)


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
    with opened(settings) as conn, conn.cursor(row_factory=class_row(Missing)) as cursor:
        cursor.execute("SELECT * FROM ops.missing_delivery ORDER BY source, sender, period")
        return cursor.fetchall()


def merge_partitions(settings: Settings) -> dict[str, int]:
    """Let the deliveries of closed months share partitions; returns of how many each new one was made."""
    with opened(settings) as conn:
        return partitions.merge(conn, contracts.load())


def fold_vault(settings: Settings) -> int:
    """Keep one record a person in the vault; returns of how many deliveries the persons were put together."""
    with opened(settings) as conn:
        return vault.fold(conn)


# --- building --------------------------------------------------------------------------------------------------------


def unpublished(settings: Settings) -> bool:
    """Whether decisions stand that no publication knows while nothing is left to load."""
    with opened(settings) as conn:
        return not load.pending(conn) and plans.is_new(conn)


def plan_build(settings: Settings, month: str | None = None) -> BuildPlan | None:
    """Freeze the ledger for the unpublished build; None when nothing is new.

    Args:
        settings: Which warehouse.
        month: ``YYYY-MM``: rebuild this month whatever changed, so that there is something to do.
    """
    with opened(settings) as conn:
        if month:
            plans.ask_month(conn, parse_month(month))
    return plans.make(server.ensure_running(settings), contracts.load())


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
    build.run(server.ensure_running(settings), settings, plan, on_node, on_result)


def audit(settings: Settings, plan: BuildPlan) -> None:
    """Great Expectations on the figures of a build; a critical failure is a WarehouseError."""
    from expectations import audit as figures

    failed = figures.audit(server.ensure_running(settings), plan["build"])
    if failed:
        names = "; ".join(sorted({f"{one.suite}.{one.expectation}" for one in failed}))
        raise WarehouseError(f"The audit of the figures failed, nothing is published: {names} (ops.validation_result)")


def check_published(settings: Settings, on_node: dbt.OnNode | None = None) -> str | None:
    """Run every data test over everything that is published; returns the build, None when nothing is published."""
    with opened(settings):
        return build.check_published(server.ensure_running(settings), settings, on_node)


def publish(settings: Settings, plan: BuildPlan) -> publication.Moved:
    """Move all stable views to a build that passed its audit."""
    dsn = server.ensure_running(settings)

    def note(conn: psycopg.Connection, moved: publication.Moved) -> None:
        plans.complete(conn, plan)
        _note(conn, plan["build"], plan["deliveries"], moved, plan["ledger_hash"])

    with plans.exclusive(dsn), database.connect(dsn) as conn:
        plans.check(conn, plan)
        wanted = publication.relations(dbt.manifest(settings))
        return publication.move(conn, plan["build"], wanted, note)


def publish_previous(settings: Settings) -> publication.Moved:
    """Return to the publication before the current one. It stays until a delivery is decided or a month asked for."""
    with opened(settings) as conn, plans.exclusive(server.ensure_running(settings)):
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
        as_of_now = plans.ledger_hash(conn, dbt.code_hash())

        def note(conn: psycopg.Connection, moved: publication.Moved) -> None:
            _note(conn, previous[0], deliveries, moved, as_of_now)

        return publication.move(conn, previous[0], (), note, backwards=True)


def _note(
    conn: psycopg.Connection, name: str, deliveries: list[str], moved: publication.Moved, ledger_hash: str
) -> None:
    conn.execute("UPDATE ops.publication SET is_current = false WHERE is_current")
    conn.execute(
        "INSERT INTO ops.publication (build, deliveries, row_counts, ledger_hash, is_current)"
        " VALUES (%s, %s, %s, %s, true)",
        [name, deliveries, Jsonb(moved.row_counts), ledger_hash],
    )


# --- a whole pass ----------------------------------------------------------------------------------------------------


def build_and_publish(
    settings: Settings, progress: Progress, month: str | None = None
) -> tuple[BuildPlan | None, publication.Moved | None]:
    """Plan, dbt, audit, publish, as one: whoever builds meanwhile waits."""
    with plans.exclusive(server.ensure_running(settings)):
        plan = plan_build(settings, month)
        if plan is None:
            return None, None
        progress("build", f"dbt: {plan['build']}, {len(plan['deliveries'])} deliveries", 0, 0)
        run_dbt(settings, plan, lambda node, done, total: progress("build", node, done, total))
        progress("audit", "Great Expectations on the figures", 0, 0)
        audit(settings, plan)
        progress("publish", "moving the views", 0, 0)
        return plan, publish(settings, plan)


def run(settings: Settings, progress: Progress, on_outcome: Callable[[Outcome], None] = lambda _: None) -> PassReport:
    """One whole pass: afterwards everything in the inbox is decided and published."""
    report = PassReport()
    with opened(settings) as conn:
        report.registered = len(load.register(conn, settings))
        arrivals = load.pending(conn)
    for number, arrival in enumerate(arrivals, start=1):
        progress("load", arrival.name, number, len(arrivals))
        report.outcomes.append(load_one(settings, arrival.arrival_id))
        on_outcome(report.outcomes[-1])
    with opened(settings) as conn:  # a later one may have superseded an earlier one
        report.statuses = dict(
            conn.execute(
                "SELECT status, count(*) FROM ops.arrival WHERE arrival_id = ANY(%s) GROUP BY status",
                [[one.arrival_id for one in report.outcomes]],
            ).fetchall()
        )
    report.plan, report.moved = build_and_publish(settings, progress)
    return report

"""The command line: ``warehouse``.

Every command reads its settings from the environment (``WAREHOUSE_…``) and ends with 0, or with one line that says
what is wrong and 1. No command shows a stack trace for something a person can mend.
"""

import csv
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import psycopg
import typer
from psycopg.rows import dict_row
from pydantic import ValidationError
from pydantic_settings import SettingsError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from ingest.errors import WarehouseError
from ingest.settings import Settings

app = typer.Typer(
    name="warehouse",
    help="The union data warehouse: deliveries in, audited, loaded, built, published.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

Inbox = Annotated[str | None, typer.Option(help="Folder or fsspec URL; default: WAREHOUSE_INBOX, else home/inbox.")]
Name = Annotated[str, typer.Argument(help="Name of the delivery.")]
Month = Annotated[str, typer.Option(help="Month, as 2026-09.")]
Reason = Annotated[str, typer.Option(help="Why; kept in the ledger.")]

STYLE = {"accepted": "green", "refused": "red", "superseded": "yellow", "withdrawn": "yellow", "duplicate": "yellow"}


#: Libraries of remote inboxes that have errors of their own kind: no credentials, no such host, ….
_REMOTE = ("aiobotocore", "aiohttp", "botocore", "paramiko", "s3fs")


def main() -> None:
    """Entry of the command ``warehouse``."""
    # Deprecations inside the libraries are nothing that a person at the keyboard can mend.
    warnings.simplefilter("ignore")
    # This logger sets its own level when it is imported.
    logging.getLogger("great_expectations.data_context.types.base").addFilter(
        lambda record: record.levelno > logging.INFO
    )
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    try:
        app()
    except WarehouseError as error:
        _fail(str(error))
    except ValidationError as error:
        _fail("; ".join(f"WAREHOUSE_{'_'.join(map(str, one['loc'])).upper()}: {one['msg']}" for one in error.errors()))
    except SettingsError as error:
        _fail(f"{error}: it must be JSON (see .env.example)")
    except psycopg.OperationalError as error:
        _fail(f"The database does not answer: {str(error).strip().splitlines()[0]}")
    except psycopg.errors.InsufficientPrivilege as error:
        _fail(f"Only the owner of the warehouse may do this: {str(error).strip().splitlines()[0]}")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _REMOTE:
            raise
        _fail(f"The inbox cannot be read: {error}")


def _fail(message: str) -> None:
    err.print("[red]error:[/red] ", end="")
    err.print(message, markup=False)
    sys.exit(1)


def _settings(inbox: str | None = None) -> Settings:
    settings = Settings()
    if inbox is not None and "://" not in inbox:
        if not inbox or not Path(inbox).is_dir():
            raise WarehouseError(f"There is no folder {inbox}.")
        inbox = str(Path(inbox).absolute())
    return settings if inbox is None else settings.model_copy(update={"inbox": inbox})


# --- a pass ----------------------------------------------------------------------------------------------------------


@contextmanager
def _progress() -> Iterator[Any]:
    """Rich progress on a terminal; plain lines are printed by the commands in any case."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.fields[stage]:7}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=out,
        transient=True,
        disable=not out.is_terminal,
    ) as bar:
        tasks: dict[str, Any] = {}

        def report(stage: str, text: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(text, stage=stage, total=total or None)
            bar.update(tasks[stage], description=text, completed=done, total=total or None)

        yield report


@app.command()
def run(inbox: Inbox = None) -> None:
    """One whole pass without Airflow: register, load, build, audit, publish."""
    from warehouse import passes

    settings = _settings(inbox)
    with _progress() as progress:
        report = passes.run(settings, progress, on_outcome=_outcome)
    counted = ", ".join(f"{number} {status}" for status, number in sorted(report.statuses.items()))
    out.print(f"{report.registered} packages new, {len(report.outcomes)} decided: {counted or 'nothing to load'}")
    _published(report.plan, report.moved)


def _outcome(outcome: Any) -> None:
    style = STYLE.get(outcome.status, "white")
    codes = f"  {' '.join(outcome.codes)}" if outcome.codes else ""
    out.print(f"[{style}]{outcome.status:10}[/{style}] {outcome.name}{codes}")


def _published(plan: Any, moved: Any) -> None:
    if plan is None:
        out.print("Nothing is new: the publication stands.")
        return
    out.print(
        f"Published {plan['build']}: {len(plan['deliveries'])} deliveries, {len(moved.row_counts)} relations, "
        f"{sum(moved.row_counts.values())} rows"
    )
    for view in moved.abandoned:
        out.print(f"[yellow]{view} is no longer built; its view stays at the last state. Drop it when nobody needs it.")


@app.command()
def load(inbox: Inbox = None) -> None:
    """Register and load what is undecided; builds nothing."""
    from warehouse import passes

    settings = _settings(inbox)
    for arrival in passes.register(settings):
        _outcome(passes.load_one(settings, arrival.arrival_id))


@app.command()
def build() -> None:
    """Build, audit and publish what is new in the ledger."""
    _build(None)


@app.command()
def rebuild(month: Month) -> None:
    """Rebuild a month whatever changed, and publish."""
    _build(month)


def _build(month: str | None) -> None:
    from warehouse import passes

    with _progress() as progress:
        plan, moved = passes.build_and_publish(_settings(), progress, month)
    _published(plan, moved)


@app.command()
def check() -> None:
    """Run every data test over all that is published (a build tests what changed)."""
    from warehouse import passes

    with _progress() as progress:
        tested = passes.check_published(_settings(), lambda node, done, total: progress("check", node, done, total))
    out.print(f"{tested}: all tests passed" if tested else "Nothing is published yet.")


@app.command()
def publish(
    previous: Annotated[
        bool, typer.Option("--previous", help="Return to the publication before the current one.")
    ] = False,
) -> None:
    """Return to the previous publication (a build publishes by itself)."""
    from warehouse import passes

    if not previous:
        raise WarehouseError(
            "A build publishes by itself (`warehouse build`). To go back: `warehouse publish --previous`."
        )
    moved = passes.publish_previous(_settings())
    out.print(
        f"Back at the previous publication: {sum(moved.row_counts.values())} rows. It stays until something new comes."
    )


@app.command()
def serve(
    once: Annotated[bool, typer.Option("--once", help="Stop when there is nothing more to do.")] = False,
    inbox: Inbox = None,
) -> None:
    """PostgreSQL and Airflow together, until Ctrl-C."""
    from warehouse import airflow

    airflow.serve(_settings(), once=once, inbox=inbox)


# --- the server ------------------------------------------------------------------------------------------------------


@app.command()
def up() -> None:
    """Start the embedded PostgreSQL and bring its schema up to date."""
    from warehouse import passes

    settings = _settings()
    with passes.opened(settings) as conn:
        out.print(f"PostgreSQL {conn.info.server_version // 10000} is up: `warehouse dsn` prints its address.")


@app.command()
def down() -> None:
    """Stop the embedded PostgreSQL."""
    from warehouse import server

    out.print("stopped" if server.stop(_settings()) else "nothing was running")


@app.command()
def dsn(
    role: Annotated[str | None, typer.Option(help="bi_reader, analyst or caseworker, instead of the owner.")] = None,
) -> None:
    """Print the connection string; starts the embedded PostgreSQL where needed."""
    from warehouse import server

    settings = _settings()
    address = server.ensure_running(settings)
    print(address if role is None else server.database_dsn(settings, "warehouse", role=role))  # noqa: T201 - for scripts


# --- the ledger ------------------------------------------------------------------------------------------------------


@app.command()
def status() -> None:
    """Deliveries, builds and publications."""
    from warehouse import passes

    with passes.opened(_settings()) as conn:
        _table(
            conn,
            "Deliveries",
            """
            SELECT d.name, d.sender, d.period, d.mode, d.status, array_to_string(d.codes, ' ') AS codes,
                sum(f.rows_read)::bigint AS read, sum(f.rows_loaded)::bigint AS loaded,
                sum(f.rows_rejected)::bigint AS rejected
            FROM ops.delivery AS d LEFT JOIN ops.delivery_file AS f ON f.delivery_id = d.delivery_id
            GROUP BY d.name, d.source, d.sender, d.period, d.mode, d.status, d.codes
            ORDER BY d.source, d.sender, d.period, d.name
            """,
        )
        _table(
            conn,
            "Other arrivals",
            """
            SELECT a.location, a.name, a.status, array_to_string(a.codes, ' ') AS codes
            FROM ops.arrival AS a
            WHERE a.arrival_id NOT IN (SELECT delivery_id FROM ops.delivery) ORDER BY a.arrival_id
            """,
        )
        _table(
            conn,
            "Builds",
            """
            SELECT b.build, b.build = p.build AS published, b.started_at::timestamptz(0)::text AS started,
                coalesce(b.completed_at::timestamptz(0)::text, 'not complete') AS completed, b.months_asked::text
            FROM ops.build AS b LEFT JOIN ops.publication AS p ON p.is_current ORDER BY b.build
            """,
        )
        _table(
            conn,
            "Publications",
            """
            SELECT publication_id AS id, published_at::timestamptz(0)::text AS published, build,
                cardinality(deliveries) AS deliveries,
                (SELECT sum(n::bigint) FROM jsonb_each_text(row_counts) AS c (relation, n))::bigint AS rows,
                CASE WHEN is_current THEN 'current' END AS state
            FROM ops.publication ORDER BY publication_id DESC LIMIT 10
            """,
        )


def _table(conn: psycopg.Connection, title: str, query: str) -> None:
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query).fetchall()
        names = [column.name for column in cursor.description or ()]
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="right" if isinstance(rows[0][name], int) else "left")
    for row in rows:
        style = STYLE.get(str(row.get("status")))
        table.add_row(*("" if row[name] is None else str(row[name]) for name in names), style=style)
    # A pipe gets the whole width: no name is cut.
    (out if out.is_terminal else Console(width=200, highlight=False)).print(table, soft_wrap=False)


@app.command()
def rejects(
    name: Name,
    out_file: Annotated[Path | None, typer.Option("--out", help="CSV file to write; default: standard output.")] = None,
) -> None:
    """The rejected rows of a delivery as they came, with reasons: the return file for its sender."""
    from ingest import load as loading
    from ingest.identity import Keyring
    from warehouse import passes

    settings = _settings()
    with passes.opened(settings) as conn:
        if conn.execute("SELECT FROM ops.delivery WHERE name = %s", [name]).fetchone() is None:
            raise WarehouseError(f"The ledger knows no delivery named {name!r}.")
        if out_file is None:
            file = sys.stdout
        else:
            # Rows as they came hold names and numbers: nobody else on this machine reads the file.
            if out_file.exists() and not out_file.is_file():
                raise WarehouseError(f"{out_file} is no file.")
            out_file.unlink(missing_ok=True)
            descriptor = os.open(out_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            file = os.fdopen(descriptor, "w", encoding="utf-8-sig", newline="")
        writer = csv.writer(file)
        writer.writerow(["file", "line", "reasons", "row"])
        number = 0
        for row in loading.rejects(conn, Keyring.from_settings(settings), name):
            number += 1
            writer.writerow([row["path"], row["line_number"], " ".join(row["reasons"]), row["raw"]])  # type: ignore[arg-type]
        if out_file is not None:
            file.close()
            out.print(f"{number} rejected rows in {out_file}")


@app.command()
def withdraw(name: Name, reason: Reason) -> None:
    """Withdraw an accepted delivery: with the next build its rows stop counting."""
    from ingest import load as loading
    from warehouse import passes

    if not reason.strip():
        raise WarehouseError("Say why: --reason is kept in the ledger.")
    with passes.opened(_settings()) as conn:
        _outcome(loading.withdraw(conn, name, reason))
    out.print("The next build publishes without it (`warehouse build`).")


@app.command()
def person(
    key: Annotated[str, typer.Argument(help="person_key.")],
    reason: Annotated[str, typer.Option(help="Why; written to vault.access.")],
) -> None:
    """Who a person key stands for. The access is written down, with the name of this machine's user."""
    import getpass

    from ingest import vault
    from ingest.identity import Keyring
    from warehouse import passes

    settings = _settings()
    try:
        UUID(key)
    except ValueError as error:
        raise WarehouseError(f"{key!r} is no person key.") from error
    if not reason.strip():
        raise WarehouseError("Say why: --reason is kept beside the access.")
    with passes.opened(settings) as conn:
        record = vault.open_person(conn, Keyring.from_settings(settings), key, f"{getpass.getuser()}: {reason}")
    if record is None:
        raise WarehouseError("The vault has no such person.")
    for field, value in record.items():
        out.print(f"{field}: {value}", markup=False)


# --- deliveries ------------------------------------------------------------------------------------------------------


@app.command()
def pack(
    place: Annotated[Path, typer.Argument(help="A folder with data files, or one file.")],
    source: Annotated[str, typer.Option(help="membership, training or medical.")],
    sender: Annotated[str, typer.Option(help="Division code of the sender, six digits.")],
    period: Annotated[str, typer.Option(help="Month, as 2026-09.")],
    mode: Annotated[str, typer.Option(help="snapshot or delta.")] = "snapshot",
    name: Annotated[str | None, typer.Option(help="Name of the delivery; default: source-sender-period.")] = None,
    feed: Annotated[str | None, typer.Option(help="Feed of the files, where their headers do not tell.")] = None,
) -> None:
    """Write the manifest for files that came without one."""
    from ingest import contracts
    from warehouse import pack as packing

    folder = packing.pack(
        place,
        contracts.load(),
        _settings(),
        source=source,
        sender=sender,
        period=period,
        mode=mode,
        name=name,
        feed=feed,
    )
    out.print(f"{folder} is a delivery now: move it into the inbox.")


@app.command()
def sample(
    out_folder: Annotated[Path, typer.Option("--out", help="Folder to fill.")] = Path("inbox"),
    seed: Annotated[int, typer.Option(help="Another seed gives other persons.")] = 1,
    members: Annotated[int, typer.Option(help="Persons on the unions' registers.")] = 1_500,
    settlements: Annotated[int, typer.Option(help="Settlements in all months and provinces.")] = 4_000,
    first: Annotated[str, typer.Option(help="First month.")] = "2026-07",
    months: Annotated[int, typer.Option(help="Number of months.", min=1)] = 3,
    provinces: Annotated[str, typer.Option(help="Division codes of the senders.")] = "110000,350000,440000",
    formats: Annotated[str, typer.Option(help="Of csv, txt, xlsx, parquet.")] = "csv,txt,xlsx,parquet",
    clean: Annotated[bool, typer.Option("--clean", help="Without wrong rows and packages.")] = False,
) -> None:
    """Make synthetic deliveries, as untidy as real ones; no identity number can belong to anyone."""
    from ingest import samples
    from warehouse import passes

    start = passes.parse_month(first)
    numbers = range(start.year * 12 + start.month - 1, start.year * 12 + start.month - 1 + months)
    made = samples.generate(
        out_folder,
        seed=seed,
        provinces=provinces.split(","),
        months=[f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers],
        members=members,
        settlements=settlements,
        dirty=not clean,
        formats=formats.split(","),
    )
    out.print(f"{len(made)} packages in {out_folder}")


# --- documentation ---------------------------------------------------------------------------------------------------


@app.command()
def docs() -> None:
    """Write the pages about models, columns and validation results, and say where they lie."""
    from warehouse import docs as pages

    out.print(f"{pages.refresh(_settings())}")


if __name__ == "__main__":
    main()

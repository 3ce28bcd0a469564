"""Commands that read the ledger, and that withdraw a delivery from it."""

import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import psycopg
import typer
from psycopg.rows import dict_row
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse.cli.console import (
    STATUS_COLORS,
    AsJson,
    DeliveryName,
    Inbox,
    err,
    load_settings,
    out,
    print_json,
    print_outcome,
)
from warehouse.cli.files import open_private

app = typer.Typer()

#: What ``status`` shows: the title of each table, and its query.
STATUS_QUERIES = {
    "Deliveries": """
        SELECT d.name, d.sender, d.period, d.mode, d.status, array_to_string(d.codes, ' ') AS codes,
            sum(f.rows_read)::bigint AS read, sum(f.rows_loaded)::bigint AS loaded,
            sum(f.rows_rejected)::bigint AS rejected
        FROM ops.delivery AS d LEFT JOIN ops.delivery_file AS f ON f.delivery_id = d.delivery_id
        WHERE (%(source)s::text IS NULL OR d.source = %(source)s)
            AND (%(sender)s::text IS NULL OR d.sender = %(sender)s)
            AND (%(period)s::text IS NULL OR d.period = %(period)s)
            AND (%(status)s::text IS NULL OR d.status = %(status)s)
        GROUP BY d.name, d.source, d.sender, d.period, d.mode, d.status, d.codes
        ORDER BY d.source, d.sender, d.period, d.name
    """,
    "Other arrivals": """
        SELECT a.location, a.name,
            CASE WHEN a.set_aside_at IS NOT NULL AND a.decided_at IS NULL THEN 'set aside' ELSE a.status END AS status,
            array_to_string(a.codes, ' ') AS codes, (
                SELECT s.detail->>'reason' FROM ops.step AS s
                WHERE s.arrival_id = a.arrival_id AND s.step IN ('not decided', 'set aside') AND a.decided_at IS NULL
                ORDER BY s.at DESC LIMIT 1
            ) AS "not decided because"
        FROM ops.arrival AS a
        WHERE a.arrival_id NOT IN (SELECT delivery_id FROM ops.delivery) ORDER BY a.arrival_id
    """,
    "Builds": """
        SELECT b.build, b.build = p.build AS published, b.started_at::timestamptz(0)::text AS started,
            coalesce(b.completed_at::timestamptz(0)::text, 'not complete') AS completed, b.months_asked::text
        FROM ops.build AS b LEFT JOIN ops.publication AS p ON p.is_current ORDER BY b.build
    """,
    "Publications": """
        SELECT publication_id AS id, published_at::timestamptz(0)::text AS published, build,
            cardinality(deliveries) AS deliveries,
            (SELECT sum(n::bigint) FROM jsonb_each_text(row_counts) AS c (relation, n))::bigint AS rows,
            CASE WHEN is_current THEN 'current' END AS state
        FROM ops.publication ORDER BY publication_id DESC LIMIT 10
    """,
}


#: Deliveries that ``status`` is asked for: values of options, of which those that are given must hold.
STATUS_FILTERS = ("source", "sender", "period", "status")


@app.command()
def status(
    source: Annotated[str | None, typer.Option(help="Only deliveries of this source.")] = None,
    sender: Annotated[str | None, typer.Option(help="Only deliveries of this sender.")] = None,
    period: Annotated[str | None, typer.Option(help="Only deliveries of this month, as 2026-09.")] = None,
    state: Annotated[str | None, typer.Option("--status", help="Only deliveries of this state, as refused.")] = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Show it again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Deliveries, builds and publications."""
    from warehouse import operations

    filters = dict(zip(STATUS_FILTERS, (source, sender, period, state), strict=True))
    with operations.open_warehouse(load_settings()) as conn:
        if as_json:
            print_json({title.lower().replace(" ", "_"): _rows(conn, title, filters) for title in STATUS_QUERIES})
        elif watch:
            _watch(conn, filters)
        else:
            for title in STATUS_QUERIES:
                _print_table(title, _rows(conn, title, filters))


def _watch(conn: psycopg.Connection, filters: dict[str, str | None]) -> None:
    with Live(console=out, auto_refresh=False, screen=out.is_terminal) as live, suppress(KeyboardInterrupt):
        while True:
            tables = [_table(title, rows) for title in STATUS_QUERIES if (rows := _rows(conn, title, filters))]
            live.update(Group(*tables), refresh=True)
            time.sleep(2)


def _rows(conn: psycopg.Connection, title: str, filters: dict[str, str | None]) -> list[dict[str, object]]:
    """The rows of a table of ``status``; of deliveries only those that are filters."""
    with conn.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(STATUS_QUERIES[title], filters if title == "Deliveries" else None).fetchall()


def _print_table(title: str, rows: list[dict[str, object]]) -> None:
    if rows:
        # Output that is no terminal is wide enough for all names.
        (out if out.is_terminal else Console(width=200, highlight=False)).print(_table(title, rows), soft_wrap=False)


def _table(title: str, rows: list[dict[str, object]]) -> Table:
    names = list(rows[0])
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="right" if isinstance(rows[0][name], int) else "left")
    for row in rows:
        style = STATUS_COLORS.get(str(row.get("status")))
        table.add_row(*("" if row[name] is None else str(row[name]) for name in names), style=style)
    return table


@app.command()
def explain(
    name: Annotated[str, typer.Argument(help="Name of the delivery, or the place of its package in the inbox.")],
    as_json: AsJson = False,
) -> None:
    """What became of a delivery and why, in words, with places, and what to do next."""
    from warehouse import explanation, operations

    with operations.open_warehouse(load_settings()) as conn:
        found = explanation.explain(conn, name)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        out.print(explanation.as_text(found), markup=False)


@app.command()
def rejects(
    name: Annotated[
        str | None, typer.Argument(help="Name of the delivery; with --replay by default what the file says.")
    ] = None,
    out_path: Annotated[
        str | None,
        typer.Option("--out", help="A .xlsx or .csv file, or a folder for both; default: csv on standard output."),
    ] = None,
    replay: Annotated[
        Path | None,
        typer.Option("--replay", help="A corrected return file, to put into the inbox as a delta delivery."),
    ] = None,
    inbox: Inbox = None,
) -> None:
    """The rejected rows of a delivery with reasons: the return file for its sender; or take it back corrected."""
    from warehouse import operations

    settings = load_settings(inbox)
    if name is None and replay is None:
        raise WarehouseError("Name the delivery: warehouse rejects NAME.")
    if replay is not None and out_path is not None:
        raise WarehouseError("Either write the return file (--out) or take it back corrected (--replay).")
    with operations.open_warehouse(settings) as conn:
        if replay is not None:
            _replay(conn, settings, replay, name)
        else:
            _write_return_file(conn, settings, str(name), out_path)


def _replay(conn: psycopg.Connection, settings: Settings, path: Path, name: str | None) -> None:
    from ingest import contracts
    from warehouse.cli import replay

    delivery, rows = replay.replay(conn, contracts.load(), settings, path, name)
    out.print(f"{delivery}: {rows} rows are in the inbox; the next pass loads them (`warehouse run`).", markup=False)


def _write_return_file(conn: psycopg.Connection, settings: Settings, name: str, target: str | None) -> None:
    from ingest import contracts, pipeline
    from ingest.privacy.keyring import Keyring
    from warehouse.cli import return_files

    delivery, keyring, count = return_files.find(conn, contracts.load(), name), Keyring.from_settings(settings), 0
    if target is None:
        count = return_files.write_csv(sys.stdout.buffer, pipeline.rejects(conn, keyring, name), bom=False)
    for path in _return_file_paths(target, name):
        with open_private(path) as file:
            if path.suffix.lower() == ".xlsx":
                count = return_files.write_workbook(file, delivery, pipeline.rejects(conn, keyring, name))
            else:
                count = return_files.write_csv(file, pipeline.rejects(conn, keyring, name))
        out.print(f"{count} rejected rows in {path}", markup=False)
    if not count:
        err.print(f"No row of {name} was rejected; `warehouse explain {name}` says what became of it.", markup=False)


def _return_file_paths(target: str | None, name: str) -> list[Path]:
    """The files to write; in a folder, which may be a new one, one of each format, named after the delivery."""
    if target is None:
        return []
    path = Path(target)
    if not (target.endswith("/") or path.is_dir()):
        return [path]
    path.mkdir(mode=0o700, exist_ok=True)
    return [path / f"{name}.xlsx", path / f"{name}.csv"]


@app.command()
def retry(
    name: Annotated[str, typer.Argument(help="Name of the delivery, or the place of its package in the inbox.")],
) -> None:
    """Let the next pass try a package again that is set aside, because its processes were killed or crashed."""
    from ingest import pipeline
    from warehouse import operations

    with operations.open_warehouse(load_settings()) as conn:
        for arrival in pipeline.retry(conn, name):
            out.print(f"{arrival.location}: the next pass tries it again (`warehouse run`).", markup=False)


@app.command()
def withdraw(name: DeliveryName, reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")]) -> None:
    """Withdraw an accepted delivery: with the next build its rows stop counting."""
    from ingest import pipeline
    from warehouse import operations

    if not reason.strip():
        raise WarehouseError("Say why: --reason is kept in the ledger.")
    with operations.open_warehouse(load_settings()) as conn:
        print_outcome(pipeline.withdraw(conn, name, reason))
    out.print("The next build publishes without it (`warehouse build`).")

"""The command that writes a published table as a file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ingest.errors import WarehouseError
from warehouse.cli.console import load_settings, out

app = typer.Typer()


@app.command()
def export(
    table: Annotated[str, typer.Argument(help="Of marts, core or casework, as marts.union_coverage_month.")],
    out_file: Annotated[Path, typer.Option("--out", help="File to write.")],
    format_: Annotated[
        Literal["csv", "parquet", "xlsx"] | None, typer.Option("--format", help="Default: the ending of the file.")
    ] = None,
    labels: Annotated[
        Literal["zh", "en", "names"], typer.Option(help="What the header says: labels, or the columns' names.")
    ] = "names",
    role: Annotated[
        str, typer.Option(help="With whose rights it is read: bi_reader, analyst, caseworker.")
    ] = "analyst",
) -> None:
    """A published table as a csv, parquet or Excel file."""
    from ingest import database
    from warehouse.cli import exporting
    from warehouse.local import server

    kind = format_ or out_file.suffix.lower().removeprefix(".")
    if kind not in set(exporting.Format):
        raise WarehouseError(f"Say --format {', '.join(exporting.Format)}: {out_file.name} does not.")
    with database.connect(server.ensure_running(load_settings())) as conn:
        name, rows = exporting.export(conn, table, out_file, exporting.Format(kind), exporting.Labels(labels), role)
    out.print(f"{name}: {rows} rows in {out_file}", markup=False)

"""Commands that make deliveries: from files that came without a manifest, or of invented people."""

from pathlib import Path
from typing import Annotated

import typer

from ingest.contracts import source_names
from warehouse.cli.console import load_settings, out

app = typer.Typer()


@app.command()
def pack(
    path: Annotated[Path, typer.Argument(help="A folder with data files, or one file.")],
    source: Annotated[str, typer.Option(help=f"One of {', '.join(source_names())}.")],
    sender: Annotated[str, typer.Option(help="Division code of the sender, six digits.")],
    period: Annotated[str, typer.Option(help="Month, as 2026-09.")],
    mode: Annotated[str, typer.Option(help="snapshot or delta.")] = "snapshot",
    name: Annotated[str | None, typer.Option(help="Name of the delivery; default: source-sender-period.")] = None,
    feed: Annotated[str | None, typer.Option(help="Feed of the files, where their headers do not tell.")] = None,
) -> None:
    """Write the manifest for files that came without one."""
    from ingest import contracts
    from warehouse.cli import packing

    folder = packing.pack(
        path,
        contracts.load(),
        load_settings(),
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
    first: Annotated[str, typer.Option(help="First month, as 2026-07.")] = "2026-07",
    months: Annotated[int, typer.Option(help="Number of months.", min=1)] = 3,
    provinces: Annotated[
        str, typer.Option(help="Division codes of the senders, with commas between.")
    ] = "110000,350000,440000",
    formats: Annotated[
        str, typer.Option(help="Of csv, txt, xlsx, parquet, with commas between.")
    ] = "csv,txt,xlsx,parquet",
    clean: Annotated[bool, typer.Option("--clean", help="Without wrong rows and packages.")] = False,
) -> None:
    """Make synthetic deliveries, as untidy as real ones; no identity number can belong to anyone."""
    from ingest import synthetic
    from warehouse import operations

    start = operations.parse_month(first)
    numbers = range(start.year * 12 + start.month - 1, start.year * 12 + start.month - 1 + months)
    packages = synthetic.generate(
        out_folder,
        seed=seed,
        provinces=[code.strip() for code in provinces.split(",")],
        months=[f"{number // 12:04d}-{number % 12 + 1:02d}" for number in numbers],
        members=members,
        settlements=settlements,
        dirty=not clean,
        formats=[name.strip() for name in formats.split(",")],
    )
    out.print(f"{len(packages)} packages in {out_folder}")

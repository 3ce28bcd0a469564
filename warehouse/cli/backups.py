"""Commands that back the embedded server up and bring it back."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest.errors import WarehouseError
from warehouse.cli.console import load_settings, out

app = typer.Typer()


@app.command()
def backup(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    key: Annotated[
        Path | None, typer.Option(help="Write a copy of the key to this file, apart from the backup.")
    ] = None,
) -> None:
    """Copy the embedded PostgreSQL into a folder while it works, and check every hash. Needs WAREHOUSE_WAL_ARCHIVE."""
    from warehouse.local import backup

    backup.backup(load_settings(), folder, key)
    out.print(f"{folder} is whole. The key is not in it: without the key nothing in it can be opened.")


@app.command()
def restore(
    folder: Annotated[Path, typer.Argument(help="A backup.")],
    key: Annotated[Path | None, typer.Option(help="The file with the copy of the key.")] = None,
    to: Annotated[str | None, typer.Option(help="Only what was committed by then: 2026-09-01T18:00:00+08:00.")] = None,
) -> None:
    """Bring a backup back into a home without a warehouse, with all that the write-ahead log has since."""
    from warehouse.local import backup

    settings = load_settings()
    backup.restore(settings, folder, key, _time(to) if to else None)
    out.print(f"PostgreSQL in {settings.root} is up, as of {to or 'the last change that was kept'}.")


def _time(text: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = None
    if time is None or time.tzinfo is None:
        raise WarehouseError(f"{text!r} is no time with an offset: write it as 2026-09-01T18:00:00+08:00.")
    return time

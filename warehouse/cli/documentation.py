"""The command that writes the pages about the data."""

import typer

from warehouse.cli.console import load_settings, out

app = typer.Typer()


@app.command()
def docs() -> None:
    """Write the pages about models, columns and validation results, and say where they lie."""
    from warehouse.documentation import pages

    out.print(f"{pages.refresh(load_settings())}", markup=False)

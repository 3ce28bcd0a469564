"""Commands that start and stop PostgreSQL and Airflow."""

from typing import Annotated

import typer

from warehouse.cli.console import Inbox, load_checked_settings, load_settings, out

app = typer.Typer()


@app.command()
def serve(
    once: Annotated[bool, typer.Option("--once", help="Stop when there is nothing more to do.")] = False,
    inbox: Inbox = None,
) -> None:
    """PostgreSQL and Airflow together, until Ctrl-C."""
    from warehouse.local import serve

    serve.serve(load_settings(), once=once, inbox=inbox)


@app.command()
def up() -> None:
    """Start the embedded PostgreSQL and bring its schema up to date."""
    from warehouse import operations

    with operations.open_warehouse(load_checked_settings()) as conn:
        out.print(f"PostgreSQL {conn.info.server_version // 10000} is up: `warehouse dsn` prints its address.")


@app.command()
def down() -> None:
    """Stop whatever of this home runs: PostgreSQL, Airflow, and `warehouse serve` itself."""
    from warehouse.local import serve

    out.print("stopped" if serve.down(load_settings()) else "nothing was running")


@app.command()
def dsn(
    role: Annotated[str | None, typer.Option(help="bi_reader, analyst or caseworker, instead of the owner.")] = None,
) -> None:
    """Print the connection string; starts the embedded PostgreSQL where needed."""
    from warehouse.local import server

    settings = load_settings()
    address = server.ensure_running(settings)
    print(address if role is None else server.database_dsn(settings, "warehouse", role=role))  # noqa: T201 - for scripts

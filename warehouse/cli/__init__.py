"""The command line: ``warehouse``.

Every command reads its settings from the environment (``WAREHOUSE_…``) and ends with 0, with 1 and one line that says
what is wrong, or with 2 where it is called wrongly. A stack trace means a defect of the program.
"""

import importlib.metadata
import logging
import os
import sys
import warnings
from typing import Annotated

import psycopg
import typer
from pydantic import ValidationError
from pydantic_settings import SettingsError

from ingest.errors import WarehouseError
from warehouse.cli import backups, deliveries, documentation, export, passes, persons, senders, services, sharing, users
from warehouse.cli.console import err, out

app = typer.Typer(
    name="warehouse",
    help="The union data warehouse: deliveries in, audited, loaded, built, published.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for group in (passes, services, backups, deliveries, persons, senders, export, sharing, users, documentation):
    app.add_typer(group.app)


def _print_version(requested: bool) -> None:
    if requested:
        out.print(f"warehouse {importlib.metadata.version('union-data-warehouse')}")
        raise typer.Exit


#: Commands that write packages, which another user may read: whoever owns the inbox.
_WRITES_PACKAGES = ("pack", "sample")


@app.callback()
def options(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """What holds for every command."""
    if context.invoked_subcommand not in _WRITES_PACKAGES:
        # What lies in the home is its owner's alone; the services that a command starts inherit this. A program that
        # calls a command in its own process has its own mask again afterwards.
        before = os.umask(0o077)
        context.call_on_close(lambda: os.umask(before))


#: Libraries of remote inboxes, which raise exceptions of their own: no credentials, unknown host, ….
_INBOX_LIBRARIES = ("aiobotocore", "aiohttp", "botocore", "paramiko", "s3fs")


def main() -> None:
    """Entry of the command ``warehouse``."""
    _configure_libraries()
    try:
        app()
    except WarehouseError as error:
        _fail(str(error))
    except ValidationError as error:
        problems = ((problem["loc"], problem["msg"]) for problem in error.errors())
        _fail("; ".join(f"WAREHOUSE_{'_'.join(map(str, names)).upper()}: {message}" for names, message in problems))
    except SettingsError as error:
        _fail(f"{error}: it must be JSON (see .env.example)")
    except psycopg.OperationalError as error:
        _fail(f"The database does not answer: {str(error).strip().splitlines()[0]}")
    except psycopg.errors.InsufficientPrivilege as error:
        _fail(f"Only the owner of the warehouse may do this: {str(error).strip().splitlines()[0]}")
    except OSError as error:
        _fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))
    except Exception as error:
        if type(error).__module__.partition(".")[0] not in _INBOX_LIBRARIES:
            raise
        _fail(f"The inbox cannot be read: {error}")


def _configure_libraries() -> None:
    """Keep warnings and notices of the libraries off the terminal: the user of a command cannot act on them."""
    warnings.simplefilter("ignore")
    # A filter, because Great Expectations sets the level of this logger when it is imported.
    logging.getLogger("great_expectations.data_context.types.base").addFilter(
        lambda record: record.levelno > logging.INFO
    )
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    os.environ["RUST_BACKTRACE"] = "0"  # panics of polars are caught where a package is loaded (ingest.barrier)


def _fail(message: str) -> None:
    """Print the message to standard error and end with 1."""
    err.print("[red]error:[/red] ", end="")
    err.print(message, markup=False)
    sys.exit(1)

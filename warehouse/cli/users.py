"""Commands for the logins of people: their roles and the divisions whose rows they see."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ingest.errors import WarehouseError
from warehouse.cli.console import AsJson, load_settings, out, print_json

app = typer.Typer()
user = typer.Typer(help="Logins of people: their roles and the divisions whose rows they see.", no_args_is_help=True)
app.add_typer(user, name="user")

Name = Annotated[str, typer.Argument(help="Name of the login.")]
Divisions = Annotated[
    str, typer.Option(help="Division codes whose rows it sees, as 44,3502; 100000 is the whole country.")
]


@user.command()
def add(
    name: Name,
    role: Annotated[
        list[str], typer.Option(help="engineer, steward, analyst, bi, caseworker or auditor; may be given again.")
    ],
    divisions: Divisions,
    password_file: Annotated[
        Path | None, typer.Option(help="New file for the password, which its owner alone may read.")
    ] = None,
) -> None:
    """Make a login and give out its password once: on the terminal, or in a file."""
    from warehouse import operations
    from warehouse.access import divisions as codes
    from warehouse.access import users

    chosen = codes.parse(divisions)
    with operations.open_warehouse(load_settings()) as conn:
        descriptor = None if password_file is None else _new_private(password_file)
        try:
            password = users.add(conn, name, list(dict.fromkeys(role)), chosen, operations.user())
        except BaseException:
            if password_file is not None and descriptor is not None:
                os.close(descriptor)
                password_file.unlink()
            raise
        info = conn.info
        out.print(f"host={info.host} port={info.port} dbname={info.dbname}", markup=False)
    out.print(f"login: {name}", markup=False)
    if descriptor is None:
        out.print(f"password: {password}", markup=False)
        out.print("The password is not kept anywhere: hand it over now.")
        return
    with os.fdopen(descriptor, "w") as file:
        file.write(f"{password}\n")
    out.print(f"password: in {password_file}", markup=False)


def _new_private(path: Path) -> int:
    """A new file that its owner alone may read, open for writing; it must not exist, so that nobody holds it open."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise WarehouseError(f"{path} exists already: name a new file for the password.") from None


@user.command()
def divisions(name: Name, codes: Annotated[str, typer.Argument(help="As for --divisions of `add`.")]) -> None:
    """Let a login see other divisions, from its next query on."""
    from warehouse import operations
    from warehouse.access import divisions as rule
    from warehouse.access import users

    chosen = rule.parse(codes)
    with operations.open_warehouse(load_settings()) as conn:
        users.change_divisions(conn, name, chosen, operations.user())
    out.print(f"{name} sees {', '.join(chosen)}", markup=False)


@user.command()
def remove(name: Name) -> None:
    """Take roles, divisions and password from a login, and end its sessions."""
    from warehouse import operations
    from warehouse.access import users

    with operations.open_warehouse(load_settings()) as conn:
        ended = users.remove(conn, name, operations.user())
    out.print(f"{name} may no longer log in; {ended} sessions ended", markup=False)


@user.command("list")
def list_users(as_json: AsJson = False) -> None:
    """The logins that see rows by division, and what they see. Any other login sees rows for everyone only."""
    from warehouse import operations
    from warehouse.access import users

    with operations.open_warehouse(load_settings()) as conn:
        logins = users.listed(conn)
    if as_json:
        print_json([asdict(login) for login in logins])
        return
    for login in logins:
        out.print(f"{login.login}  {','.join(login.roles) or '-'}  {','.join(login.divisions)}", markup=False)

"""Commands for shares: what leaves the warehouse, for whom, for what, until when."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ingest.errors import WarehouseError
from warehouse.cli.console import AsJson, load_settings, out, print_json

if TYPE_CHECKING:  # importing these takes longer than `--help` should
    from datetime import date

    from warehouse.sharing.lifecycle import Verdict
    from warehouse.sharing.register import ShareRow

app = typer.Typer()
share = typer.Typer(help="Shares: what leaves the warehouse, for whom, for what, until when.", no_args_is_help=True)
app.add_typer(share, name="share")

Name = Annotated[str, typer.Argument(help="Name of the share.")]
Names = Annotated[list[str] | None, typer.Argument(help="Names of shares; default: all.")]
_STATE_COLORS = {"open": "green", "approved": "cyan", "declared": "cyan", "expired": "yellow"}


@share.command()
def check(names: Names = None, as_json: AsJson = False) -> None:
    """Judge declarations, open what may be served, and say with which codes the others are refused."""
    from warehouse import operations
    from warehouse.sharing import lifecycle

    verdicts = lifecycle.chosen(operations.check_shares(load_settings()), names or [])
    if as_json:
        print_json(
            [
                {
                    "name": verdict.name,
                    "version": verdict.version,
                    "state": verdict.state,
                    "codes": verdict.codes,
                    "findings": [str(finding) for finding in verdict.findings],
                }
                for verdict in verdicts
            ]
        )
    else:
        for verdict in verdicts:
            _print_verdict(verdict)
    _fail_if_refused(verdicts, named=bool(names))


def _print_verdict(verdict: "Verdict") -> None:
    color = _STATE_COLORS.get(verdict.state, "red")
    version = "" if verdict.version is None else f" version {verdict.version}"
    out.print(f"[{color}]{verdict.state:9}[/{color}] {verdict.name}{version}  {' '.join(verdict.codes)}".rstrip())
    for finding in verdict.findings:
        out.print(f"          {finding}", markup=False)


def _fail_if_refused(verdicts: "Sequence[Verdict]", *, named: bool) -> None:
    """End with 1 where a share is refused. One that only waits for its approval counts where it was named."""
    refused = [verdict.name for verdict in verdicts if verdict.findings and (named or not verdict.is_pending)]
    if refused:
        raise typer.Exit(1)


@share.command("list")
def list_shares(as_json: AsJson = False) -> None:
    """All shares the ledger knows, with recipients, ends and codes; of hidden cells the publication of each month."""
    from warehouse import operations
    from warehouse.sharing import register, release

    settings = load_settings()
    operations.check_shares(settings)
    with operations.open_warehouse(settings) as conn:
        day, rows, stands = register.today(conn), register.rows(conn), release.stands(conn)
    open_resources = {row.declaration.resource for row in rows if row.state == "open" and row.declaration}
    months = {
        resource: {f"{month:%Y-%m}": number for month, number in stands[resource].items()}
        for resource in sorted(open_resources & stands.keys())
    }
    shares = [_share(row, day) for row in rows]
    if as_json:
        print_json({"shares": shares, "publications": months})
        return
    _print_shares(shares)
    for resource, numbers in months.items():
        listed = ", ".join(f"{month} {number}" for month, number in numbers.items())
        out.print(f"{resource} stands on publications: {listed}", markup=False)


def _share(row: "ShareRow", day: "date") -> dict[str, object]:
    """What is listed of a share on a day."""
    declared = row.declaration
    return {
        "share": row.name,
        "version": row.version,
        "state": row.state,
        "recipient": declared.recipient.name if declared else None,
        "resource": declared.resource if declared else None,
        "persons": declared.persons if declared else None,
        "until": row.valid_until,
        "days_left": None if row.valid_until is None else max(0, (row.valid_until - day).days),
        "codes": row.codes,
    }


def _print_shares(shares: Sequence[dict[str, object]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Shares", title_justify="left")
    for name in ("share", "version", "state", "recipient", "resource", "persons", "until", "days_left", "codes"):
        table.add_column(name.replace("_", " "))
    for row in shares:
        cells = (" ".join(value) if isinstance(value, list) else value for value in row.values())
        table.add_row(
            *("" if cell is None else str(cell) for cell in cells),
            style=_STATE_COLORS.get(str(row["state"]), "red"),
        )
    (out if out.is_terminal else Console(width=240, highlight=False)).print(table, soft_wrap=False)


@share.command()
def approve(
    name: Name,
    by: Annotated[str, typer.Option(help="Who approves it.")],
    document: Annotated[str, typer.Option(help="Number of the document that says so.")],
) -> None:
    """Approve the content of a declaration as it is now."""
    from warehouse import operations
    from warehouse.sharing import declaration, lifecycle

    if not by.strip() or not document.strip():
        raise WarehouseError("Say who approves, and with which document: both are kept in the ledger.")
    settings = load_settings()
    folder = declaration.folder(settings)
    with operations.open_warehouse(settings) as conn:
        _print_verdict(lifecycle.approve(conn, folder, name, by.strip(), document.strip(), operations.user()))


@share.command()
def login(name: Name) -> None:
    """Make a login that may read the view of an open share, until the share ends."""
    from warehouse import operations
    from warehouse.sharing import lifecycle

    settings = load_settings()
    (verdict,) = lifecycle.chosen(operations.check_shares(settings), [name])
    with operations.open_warehouse(settings) as conn:
        role, password = lifecycle.login(conn, verdict, operations.user())
        info = conn.info
        out.print(f"host={info.host} port={info.port} dbname={info.dbname}", markup=False)
    out.print(f"login: {role}", markup=False)
    out.print(f"password: {password}", markup=False)
    out.print("The password is not kept anywhere: hand it over now.")


@share.command()
def write(
    name: Annotated[str | None, typer.Argument(help="Name of the share; default: all that are due.")] = None,
    publication: Annotated[
        int | None, typer.Option(help="Its number; default: the current one. Without a name: every open extract of it.")
    ] = None,
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Print the passphrase of a share that names persons.")
    ] = False,
) -> None:
    """Write extracts to the outbox."""
    from ingest.privacy.keyring import Keyring
    from warehouse import operations
    from warehouse.sharing import lifecycle, protection

    settings = load_settings()
    if name is None and passphrase:
        raise WarehouseError("Name the share: --passphrase is of one share.")
    if name is None:
        verdicts = operations.due_shares(settings, publication)
    else:
        verdicts = lifecycle.chosen(operations.check_shares(settings), [name])
    failures: list[WarehouseError] = []
    for verdict in verdicts:
        try:
            extract = operations.write_share(settings, verdict, publication)
        except WarehouseError as error:
            failures.append(error)
            continue
        out.print(f"{settings.outbox_path / extract.path}: {extract.rows} rows, {extract.bytes} bytes", markup=False)
        if passphrase and verdict.declaration is not None and verdict.declaration.persons == "identified":
            phrase = protection.passphrase(Keyring.from_settings(settings), extract.name, extract.version)
            out.print(f"passphrase: {phrase} (send it another way than the extract)", markup=False)
    if not verdicts:
        out.print("No extract is due.")
    if failures:
        raise WarehouseError("; ".join(map(str, failures)))


@share.command()
def revoke(name: Name, reason: Annotated[str, typer.Option(help="Why; kept in the ledger.")]) -> None:
    """End a share at once, with its logins, sessions, view and extracts."""
    from warehouse import operations

    if not reason.strip():
        raise WarehouseError("Say why: --reason is kept in the ledger.")
    for path in operations.revoke_share(load_settings(), name, reason):
        out.print(f"removed from the outbox: {path}", markup=False)
    out.print(f"{name} is revoked.", markup=False)


@share.command()
def affected(
    subject: Annotated[str, typer.Argument(help="Name of a delivery, or a person_key.")],
    as_json: AsJson = False,
) -> None:
    """Extracts that hold data of a withdrawn delivery or an erased person, with who has them."""
    from warehouse import operations
    from warehouse.sharing import outbox

    with operations.open_warehouse(load_settings()) as conn:
        person = _person_key(subject)
        if person is None and conn.execute("SELECT FROM ops.delivery WHERE name = %s", [subject]).fetchone() is None:
            raise WarehouseError(f"The ledger knows no delivery named {subject!r}, and it is no person_key.")
        found = outbox.affected(conn, None if person else subject, person)
    if as_json:
        print_json([asdict(extract) for extract in found])
        return
    for extract in found:
        out.print(
            f"{extract.recipient} ({extract.uscc}): {extract.name} version {extract.version}, "
            f"publication {extract.publication}, written {extract.written_at:%Y-%m-%d}, "
            f"to be deleted by {extract.retained_until}: {extract.path}",
            markup=False,
        )
    if not found:
        out.print("No extract is affected.")


def _person_key(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None

"""Commands of the vault: opening a person, and the log of who did."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from ingest.errors import WarehouseError
from warehouse.cli.console import AsJson, load_settings, out, print_json

if TYPE_CHECKING:
    from ingest.privacy.access_log import Purpose
    from warehouse.erasure import Receipt

app = typer.Typer()
vault_group = typer.Typer(help="The vault: who opened whom, and whether its log is whole.", no_args_is_help=True)
app.add_typer(vault_group, name="vault")


@app.command()
def person(
    key: Annotated[str, typer.Argument(help="person_key.")],
    case: Annotated[str, typer.Option(help="Number of the case.")] = "",
    purpose: Annotated[str, typer.Option(help="One of `warehouse vault purposes`.")] = "",
    reason: Annotated[str | None, typer.Option(help="In words; without names.")] = None,
    emergency: Annotated[
        bool, typer.Option("--emergency", help="At once, with a reason alone; the auditor is told.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Who a person key stands for. Case, purpose, login and this machine's user are written down first."""
    from ingest.privacy import vault
    from warehouse import operations

    settings = load_settings()
    person_key = _person_key(key)
    if emergency and (case or purpose):
        raise WarehouseError("Either --emergency or a case with its purpose.")
    if reason is not None and not reason.strip():
        raise WarehouseError("Say why: --reason is kept beside the access.")
    if emergency and reason is None:
        raise WarehouseError("Say why: an emergency needs --reason.")
    if not emergency and not (case.strip() and purpose.strip()):
        raise WarehouseError("Name the case and the purpose: --case, and --purpose from `warehouse vault purposes`.")
    why = vault.Emergency(reason or "") if emergency else vault.Request(case.strip(), purpose.strip(), reason)
    record = operations.open_person(settings, person_key, why)
    if record is None:
        raise WarehouseError("The vault has no such person.")
    if as_json:
        print_json(dict(record))
        return
    for field, value in record.items():
        out.print(f"{field}: {value}", markup=False)


@app.command()
def erase(
    key: Annotated[str, typer.Argument(help="person_key.")],
    case: Annotated[str, typer.Option(help="Number of the request's case.")] = "",
    ground: Annotated[str, typer.Option(help="One of `warehouse vault grounds`.")] = "",
    confirm: Annotated[bool, typer.Option("--confirm", help="Erase; without it nothing is changed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Erase a person by law: shows what would go, by table; with --confirm it goes, for good. Gives a receipt."""
    from warehouse import erasure, operations

    settings, person_key = load_settings(), _person_key(key)
    if not (case.strip() and ground.strip()):
        raise WarehouseError("Name the case and the ground: --case, and --ground from `warehouse vault grounds`.")
    erasure.require_ground(ground.strip())
    receipt = None
    if confirm:
        receipt, found = operations.erase_person(settings, person_key, case.strip(), ground.strip())
    else:
        found = operations.preview_erasure(settings, person_key)
    if as_json:
        print_json({"receipt": asdict(receipt) if receipt else None, **asdict(found)})
        return
    for table, rows in found.rows.items():
        out.print(f"{rows:8}  {table}", markup=False)
    for package in found.packages:
        out.print(f"inbox: {package} holds the person; the warehouse does not change it", markup=False)
    for extract in found.extracts:
        out.print(f"extract: {extract.path}, given to {extract.recipient}: let it be erased there", markup=False)
    if receipt is None:
        out.print("Nothing was changed. With --confirm the person is erased, which cannot be undone.")
        return
    _print_receipt(receipt)
    out.print("The next build publishes without the person and completes the erasure (`warehouse build`).")


def _print_receipt(receipt: "Receipt") -> None:
    completed = f"complete since {receipt.completed_at:%Y-%m-%d %H:%M:%S%z}" if receipt.completed_at else "not complete"
    out.print(
        f"Erasure {receipt.erasure_id} {receipt.erased_at:%Y-%m-%d %H:%M:%S%z} {receipt.ground}, entry"
        f" {receipt.log_entry} of the log, {sum(receipt.rows.values())} rows, {completed}, sha256 {receipt.digest}",
        markup=False,
    )


@vault_group.command()
def erasures(as_json: AsJson = False) -> None:
    """Receipts of all erasures; they do not say whom."""
    from warehouse import operations

    found = operations.erasures(load_settings())
    if as_json:
        print_json([asdict(receipt) for receipt in found])
        return
    for receipt in found:
        _print_receipt(receipt)


@vault_group.command()
def grounds(as_json: AsJson = False) -> None:
    """The legal grounds on which a person may be erased."""
    from ingest.privacy import access_log

    _print_purposes(access_log.erasure_grounds(), as_json)


@vault_group.command()
def purposes(as_json: AsJson = False) -> None:
    """The purposes for which a person may be opened."""
    from ingest.privacy import access_log

    _print_purposes(access_log.purposes(), as_json)


def _print_purposes(known: "list[Purpose]", as_json: bool) -> None:
    if as_json:
        print_json([asdict(purpose) for purpose in known])
        return
    for purpose in known:
        out.print(f"{purpose.code:12} {purpose.label_en} · {purpose.label_zh}", markup=False)


@vault_group.command()
def log(
    key: Annotated[str | None, typer.Argument(help="person_key; default: all persons.")] = None,
    last: Annotated[int, typer.Option(min=1, help="So many entries, the last ones.")] = 50,
    as_json: AsJson = False,
) -> None:
    """Requests and openings: number, time, event, login, claimed user, client, person, case, purpose, reason."""
    from warehouse import operations

    entries = operations.vault_entries(load_settings(), _person_key(key) if key else None, last)
    if as_json:
        print_json([asdict(entry) for entry in entries])
        return
    for entry in entries:
        event = "EMERGENCY " + entry.event if entry.is_emergency else entry.event
        if entry.request_id is not None:
            event += f" of {entry.request_id}"
        facts = (entry.os_user, entry.client, entry.person_key, entry.case_number, entry.purpose, entry.note)
        out.print(
            f"{entry.entry_id} {entry.at:%Y-%m-%d %H:%M:%S%z} {event} by {entry.login}  "
            + " | ".join("-" if fact is None else str(fact) for fact in facts),
            markup=False,
        )


@vault_group.command()
def check(as_json: AsJson = False) -> None:
    """Whether the log of the vault is whole: no entry was changed or removed, also since the check before."""
    from warehouse import operations

    head = operations.check_vault(load_settings())
    if as_json:
        print_json({"entries": head.entry_id if head else 0, "last_hash": head.hash if head else None})
    elif head is None:
        out.print("The log of the vault is empty.")
    else:
        out.print(f"The log of the vault is whole: {head.entry_id} entries, the last with the hash {head.hash}")


def _person_key(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise WarehouseError(f"{text!r} is no person key.") from error

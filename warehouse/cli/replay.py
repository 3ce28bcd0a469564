"""Makes a delivery of a corrected return file: a delta of the same source, sender and period."""

import csv
import re
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat

import polars as pl
import psycopg

from ingest.contracts import Contracts
from ingest.delivery.inbox import Inbox
from ingest.delivery.manifest import Resource
from ingest.errors import DeliveryRefused, WarehouseError
from ingest.readers import Table, open_table
from ingest.readers.sheet import sheet_names
from ingest.settings import Settings
from warehouse.cli import packing, return_files
from warehouse.cli.return_files import DELIVERY_PROPERTY, DeliveredFile, Delivery
from warehouse.sharing.tables import FORMULA

_MAX_PROPERTIES_BYTES = 64 * 1024
_PROPERTIES_PART = "docProps/custom.xml"
_NOT_REPLAYED = {
    "refused": "was refused as a whole, so that none of its rows counts: send the whole package again under a new name",
    "superseded": "was replaced by a later snapshot of its month: correct the rows of that one",
    "withdrawn": "was withdrawn, so that none of its rows counts: send the whole package again under a new name",
}


@dataclass(frozen=True)
class Corrected:
    """The corrected rows of one file of the delivery."""

    file: DeliveredFile
    header: Sequence[str]
    rows: list[list[str]]


def replay(
    conn: psycopg.Connection[Any], contracts: Contracts, settings: Settings, path: Path, name: str | None = None
) -> tuple[str, int]:
    """Write a corrected return file as a delta delivery into the inbox.

    Args:
        conn: A connection that may read ``ops``.
        contracts: The contracts of all feeds.
        settings: The inbox, and limits of the readers.
        path: The corrected return file, xlsx or csv; or one sheet of it that was saved as csv.
        name: The delivery that it corrects; by default what the workbook says, else the name of the file.

    Returns:
        The name of the new delivery, and its number of rows.

    Raises:
        WarehouseError: The delivery or a feed is not known, the delivery does not count, or the file cannot be read as
            a return file of it.
    """
    if not path.is_file():
        raise WarehouseError(f"There is no file {path}.")
    delivery = return_files.find(conn, contracts, name or _delivery_name(conn, path))
    if delivery.status in _NOT_REPLAYED:
        raise WarehouseError(f"{delivery.name} {_NOT_REPLAYED[delivery.status]}.")
    if not delivery.files:
        raise WarehouseError(f"No row of {delivery.name} was rejected: there is nothing to correct.")
    try:
        if path.suffix.lower() == ".xlsx":
            read = _read_workbook(path, settings, delivery)
        else:
            read = _read_csv(path, contracts, settings, delivery)
        corrected = [part for part in read if part.rows]
    except DeliveryRefused as refused:
        raise WarehouseError(f"{path.name} cannot be read as a return file: {refused}") from refused
    if not corrected:
        raise WarehouseError(f"{path.name} holds no row.")
    return _write(conn, contracts, settings, delivery, corrected)


# --- which delivery --------------------------------------------------------------------------------------------------


def _delivery_name(conn: psycopg.Connection[Any], path: Path) -> str:
    """The name of the delivery of a return file, by the workbook's property or the name of the file."""
    named = _named_in_workbook(path) or path.stem
    if conn.execute("SELECT FROM ops.delivery WHERE name = %s", [named]).fetchone() is None:
        raise WarehouseError(
            f"{path.name} does not say of which delivery it is: warehouse rejects NAME --replay {path.name}"
        )
    return named


def _named_in_workbook(path: Path) -> str | None:
    """The property of a workbook that names the delivery; None where there is none."""
    found: dict[str, str] = {}
    current = ""

    def start(_: str, attributes: dict[str, str]) -> None:
        nonlocal current
        current = attributes.get("name", current)

    def text(content: str) -> None:
        found[current] = found.get(current, "") + content

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.CharacterDataHandler = start, text
    try:
        with zipfile.ZipFile(path) as archive, archive.open(_PROPERTIES_PART) as part:
            parser.Parse(part.read(_MAX_PROPERTIES_BYTES), True)
    except (zipfile.BadZipFile, KeyError, expat.ExpatError, NotImplementedError, RuntimeError):
        return None
    return found.get(DELIVERY_PROPERTY, "").strip() or None


# --- what was corrected ----------------------------------------------------------------------------------------------


def _read_workbook(path: Path, settings: Settings, delivery: Delivery) -> Iterator[Corrected]:
    """The rows of each sheet, read as those of a delivery are."""
    by_sheet = {file.sheet: file for file in delivery.files.values()}
    names = [name for name in sheet_names(path) if name != return_files.REASONS_SHEET]
    if not names or not set(names) <= set(by_sheet):
        foreign = ", ".join(name for name in names if name not in by_sheet) or "none"
        raise WarehouseError(
            f"The return file of {delivery.name} has the sheets {', '.join(by_sheet)}; {path.name} has {foreign}."
        )
    for name in names:
        file = by_sheet[name]
        resource = Resource(name, file.contract.name, path.name, "xlsx", sheet=name)
        yield _corrected(file, open_table(path, resource, file.contract, settings))


def _read_csv(path: Path, contracts: Contracts, settings: Settings, delivery: Delivery) -> Iterator[Corrected]:
    """The rows of the return file in csv, or of one of its sheets that was saved as csv."""
    with path.open(encoding=packing.detect_encoding(path), newline="", errors="replace") as text:
        rows = csv.reader(text)
        header = [cell.removeprefix("\ufeff").strip() for cell in next(rows, [])]
        if tuple(header) == return_files.CSV_HEADER:
            yield from _read_raw_rows(rows, path, delivery)
            return
    entry, table = packing.describe_file(path, path.parent, contracts, settings, str(delivery.source), None)
    files = [file for file in delivery.files.values() if file.resource.feed == entry["feed"]]
    if len({file.resource.amount_unit for file in files}) != 1:
        feeds = ", ".join(sorted({file.resource.feed for file in delivery.files.values()}))
        raise WarehouseError(
            f"{path.name} has the header of {entry['feed']}; {delivery.name} has rejected rows of {feeds}."
            if not files
            else f"The files of {entry['feed']} in {delivery.name} have different units: correct the workbook (xlsx)."
        )
    yield _corrected(files[0], table)


def _read_raw_rows(rows: Iterator[list[str]], path: Path, delivery: Delivery) -> Iterator[Corrected]:
    """The rows of the return file in csv, whose last column is a row of the sender's file as its text was."""
    by_path: dict[str, list[DeliveredFile]] = {}
    for file in delivery.files.values():
        by_path.setdefault(file.resource.path, []).append(file)
    found: dict[int, Corrected] = {}
    for row in rows:
        if not any(row):
            continue
        if len(row) != len(return_files.CSV_HEADER):
            raise WarehouseError(f"{path.name} has a row of {len(row)} fields; a return file has 4.")
        files = by_path.get(_original(row[0]), [])
        if len(files) != 1:
            raise WarehouseError(
                f"{delivery.name} has no rejected row of a file {row[0]}."
                if not files
                else f"{row[0]} has several sheets of {delivery.name}: correct the return file in xlsx."
            )
        (file,) = files
        if file.header is None:
            raise WarehouseError(
                f"The header of {file.resource.path} is not kept: send the corrected rows as a package of your own."
            )
        corrected = found.setdefault(file.number, Corrected(file, file.header, []))
        corrected.rows.append(file.fields(_original(row[3])))
    yield from found.values()


def _original(text: str) -> str:
    """A cell of the return file in csv without the apostrophe that kept a spreadsheet from taking it for a formula."""
    return text[1:] if text.startswith("'") and FORMULA.match(text[1:]) else text


def _corrected(file: DeliveredFile, table: Table) -> Corrected:
    """The contract's columns of a table as text; what else it has was never loaded."""
    rows: list[list[str]] = []
    for batch in table.batches():
        raw = batch.to_raw()
        blank = raw.line.filter(raw.frame.select(pl.all_horizontal(pl.all().str.strip_chars() == "")).to_series())
        if lines := [*(line for line, _ in raw.ragged), *blank]:
            raise WarehouseError(
                f"{file.sheet}: rows that do not stand in the columns of the header, the first in line {min(lines)}:"
                " put their values there, or remove the rows."
            )
        cells = {name: raw.frame[name].to_list() for name in table.columns}
        for name, damaged in raw.imprecise.items():
            for row in damaged.arg_true():
                # As in sheets, where it is known for a number that has lost its last digits.
                cells[name][row] = f"{float(cells[name][row]):.15G}"
        rows += map(list, zip(*cells.values(), strict=True))
    return Corrected(file, table.columns, rows)


# --- the delivery ----------------------------------------------------------------------------------------------------


def _write(
    conn: psycopg.Connection[Any],
    contracts: Contracts,
    settings: Settings,
    delivery: Delivery,
    corrected: Sequence[Corrected],
) -> tuple[str, int]:
    """Write the package; returns its name and number of rows."""
    inbox = Inbox(settings.inbox_url, settings.inbox_options)
    name = _free_name(conn, inbox, delivery.name)
    properties = packing.made_properties(
        contracts,
        name=name,
        source=str(delivery.source),
        sender=str(delivery.sender),
        period=str(delivery.period),
        mode="delta",
    )
    with tempfile.TemporaryDirectory(dir=settings.root) as work:
        folder, entries = Path(work) / name, []
        folder.mkdir()
        for part in corrected:
            path = folder / f"{part.file.number + 1}-{part.file.resource.feed}.csv"
            with path.open("w", encoding="utf-8", newline="") as text:
                csv.writer(text).writerows([part.header, *part.rows])
            entry, _ = packing.describe_file(
                path, folder, contracts, settings, properties["source"], part.file.contract.name
            )
            if part.file.resource.amount_unit != "yuan":
                entry["amount_unit"] = part.file.resource.amount_unit
            entries.append(entry)
        packing.write_manifest(folder, contracts, properties, entries)
        inbox.add(folder)
    return name, sum(len(part.rows) for part in corrected)


def _free_name(conn: psycopg.Connection[Any], inbox: Inbox, name: str) -> str:
    """``<name>-corrected-<number>`` with the first number that neither the ledger nor the inbox has."""
    pattern = re.compile(re.escape(name) + r"-corrected-(\d+)")
    taken = {str(known) for (known,) in conn.execute("SELECT name FROM ops.arrival")} | inbox.names()
    numbers = [int(found[1]) for known in taken if (found := pattern.fullmatch(known.removesuffix(".zip")))]
    return f"{name}-corrected-{max(numbers, default=0) + 1}"

"""Synthetic deliveries, as untidy as real ones, of persons who do not exist.

Columns, headers and what is wrong with a row come from the contracts; identity numbers carry area codes (``pp99nn``)
that were never issued, phones and names are made up. The same arguments give the same bytes.
"""

import importlib.util
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from functools import partial
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl

from ingest.contracts import Contracts, Feed, load
from ingest.errors import RowCode, WarehouseError
from ingest.synthetic import files, generic, medical
from ingest.synthetic.draws import Draws
from ingest.synthetic.faults import Fault, FaultyRows, add_faults, faults
from ingest.synthetic.style import Style, render, style_of
from ingest.synthetic.world import RowMaker, Rows, World
from ingest.validation.constants import MAINLAND_PREFIXES

PROVINCES = ("110000", "350000", "440000")
MONTHS = ("2026-07", "2026-08", "2026-09")
FORMATS = ("csv", "txt", "xlsx", "parquet")

#: The first and the last month that can be made: their persons were born and employed decades before.
FIRST_MONTH, LAST_MONTH = date(2000, 1, 1), date(2089, 12, 1)

#: When a source delivers, by default: days after the month's end, and the time of that day.
_DAYS_AFTER = 5
_CREATED_AT = "T12:00:00+08:00"
#: The share of the wrong rows that a delivery may have which a file is given, and their greatest number.
_FAULTY_SHARE, _MAX_FAULTY = Decimal("0.8"), 60
#: So many rows of a feed are collected before the first is written, to choose the form of its files by their number.
_MAX_BUFFERED_ROWS = 4_000
#: The number of rows of a feed that has more, as far as the form of its files is concerned.
_UNKNOWN_ROWS = 10**9


@dataclass(frozen=True)
class _Delivery:
    """One package to write."""

    name: str
    source: str
    province: int
    month: int
    snapshot: bool
    days_after: int  # of the month's end


def generate(
    out: Path,
    *,
    seed: int = 1,
    provinces: Sequence[str] = PROVINCES,
    months: Sequence[str] = MONTHS,
    members: int = 1_500,
    settlements: int = 4_000,
    dirty: bool = True,
    formats: Sequence[str] = FORMATS,
    contracts: Contracts | None = None,
) -> list[Path]:
    """Writes deliveries of every source, province and month into a folder.

    Args:
        out: The inbox to fill; made when missing.
        seed: Of all random draws.
        provinces: Division codes of the senders, provinces of the mainland.
        months: ``YYYY-MM``, in order and without gaps.
        members: Persons on the unions' registers; most are insured too, some train.
        settlements: Settlements in all months and provinces; refunds and reports of the other province are added.
        dirty: With invalid rows of every row code, untidy cells, and repeated, late, incomplete and faulty packages.
        formats: Which of ``csv``, ``txt``, ``xlsx``, ``parquet`` senders use.
        contracts: Other contracts than the shipped ones.

    Returns:
        The packages, in the order written.

    Raises:
        WarehouseError: An argument is of no use, or a package of that name already lies there.
    """
    _check_provinces(provinces)
    _check_months(months)
    _check_numbers(members, settlements)
    _check_formats(formats)
    contracts = contracts or load()
    world = World(
        draws=Draws(seed),
        provinces=tuple(provinces),
        months=tuple(date.fromisoformat(f"{month}-01") for month in months),
        persons=members,
        settlements=settlements,
        code_lists=contracts.code_lists,
    )
    writer = _Sender(out=out, contracts=contracts, world=world, formats=tuple(formats), dirty=dirty)
    out.mkdir(parents=True, exist_ok=True)
    written = [writer.deliver(delivery) for delivery in _plan(world, contracts)]
    return written + (_faulty_packages(writer) if dirty else [])


def row_maker(feed: Feed) -> RowMaker:
    """The function that makes the rows of a feed: that of its source's module (``ROW_MAKERS``), else a generic one."""
    return getattr(_module(feed.source), "ROW_MAKERS", {}).get(feed.name) or partial(generic.rows, feed)


def _module(source: str) -> ModuleType | None:
    """The module of this package that is named like a source, where there is one."""
    name = f"{__name__}.{source}"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _check_provinces(provinces: Sequence[str]) -> None:
    known = [f"{prefix}0000" for prefix in MAINLAND_PREFIXES]
    if unknown := [code for code in provinces if code not in known]:
        raise WarehouseError(f"no province has the code {', '.join(map(repr, unknown))}: there are {', '.join(known)}")
    if not provinces:
        raise WarehouseError(f"at least one province is needed: there are {', '.join(known)}")
    if len(set(provinces)) < len(provinces):
        raise WarehouseError("a province is named twice")


def _check_months(months: Sequence[str]) -> None:
    if not months:
        raise WarehouseError("at least one month is needed")
    try:
        first_days = [date.fromisoformat(f"{month}-01") for month in months]
    except ValueError as error:
        raise WarehouseError("months are written YYYY-MM") from error
    numbers = [day.year * 12 + day.month for day in first_days]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise WarehouseError("months come in order and without gaps")
    if first_days[0] < FIRST_MONTH or first_days[-1] > LAST_MONTH:
        raise WarehouseError(f"months lie between {FIRST_MONTH:%Y-%m} and {LAST_MONTH:%Y-%m}")


def _check_numbers(members: int, settlements: int) -> None:
    if members < 1:
        raise WarehouseError("at least one person is needed")
    if settlements < 0:
        raise WarehouseError("the number of settlements is 0 or positive")


def _check_formats(formats: Sequence[str]) -> None:
    if unknown := sorted(set(formats) - set(FORMATS)):
        raise WarehouseError(f"no sender writes {', '.join(map(repr, unknown))}: formats are {', '.join(FORMATS)}")
    if not formats:
        raise WarehouseError(f"at least one format is needed: formats are {', '.join(FORMATS)}")


def _plan(world: World, contracts: Contracts) -> Iterator[_Delivery]:
    """The packages to write: senders differ in when they send snapshots and deltas."""
    last = len(world.months) - 1
    for month, first_day in enumerate(world.months):
        for province, code in enumerate(world.provinces):
            for source in contracts.sources:
                registers = any(feed.required_in_snapshot for feed in contracts.of_source(source))
                sends_snapshot = (True, month == 0, month in {0, last})[province % 3]
                yield _Delivery(
                    name=f"{source}-{code}-{first_day:%Y-%m}",
                    source=source,
                    province=province,
                    month=month,
                    snapshot=registers and sends_snapshot,
                    days_after=getattr(_module(source), "DAYS_AFTER", _DAYS_AFTER),
                )


@dataclass
class _Sender:
    """Writes the packages of all senders of a world."""

    out: Path
    contracts: Contracts
    world: World
    formats: tuple[str, ...]
    dirty: bool
    faults_made: Counter[str] = field(default_factory=Counter)  # by feed
    possible: dict[str, list[Fault]] = field(default_factory=dict)  # by feed

    def deliver(self, delivery: _Delivery) -> Path:
        """Writes one package: its files, then its manifest."""
        folder = self.out / delivery.name
        if folder.exists() or folder.with_name(folder.name + ".zip").exists():
            raise WarehouseError(f"{folder} already exists: nothing that was delivered is overwritten")
        folder.mkdir(parents=True)
        resources = list(
            chain.from_iterable(
                self._feed(folder, delivery, feed) for feed in self.contracts.of_source(delivery.source)
            )
        )
        zipped = self._below(f"zip/{delivery.name}", 3) == 0
        return files.finish(folder, self._manifest(delivery, resources), zipped=zipped)

    def _manifest(self, delivery: _Delivery, resources: list[dict[str, Any]]) -> dict[str, Any]:
        created = date.fromisoformat(str(self.world.last_day(delivery.month))) + timedelta(delivery.days_after)
        return {
            "name": delivery.name,
            "created": f"{created}{getattr(_module(delivery.source), 'CREATED_AT', _CREATED_AT)}",
            "source": delivery.source,
            "sender": self.world.provinces[delivery.province],
            "period": f"{self.world.months[delivery.month]:%Y-%m}",
            "mode": "snapshot" if delivery.snapshot else "delta",
            "contract_version": self.contracts.of_source(delivery.source)[0].version,
            "title": "synthetic",
            "resources": resources,
        }

    def _feed(self, folder: Path, delivery: _Delivery, feed: Feed) -> Iterator[dict[str, Any]]:
        """Writes the files of one feed: one, or two of different styles where it has few rows."""
        make_rows = row_maker(feed)
        rows = (
            part
            for part in make_rows(self.world, delivery.province, delivery.month, delivery.snapshot)
            if len(part.index)
        )
        head: list[Rows] = []
        while sum(len(part.index) for part in head) <= _MAX_BUFFERED_ROWS and (part := next(rows, None)) is not None:
            head.append(part)
        row_count = sum(len(part.index) for part in head)
        if row_count > _MAX_BUFFERED_ROWS:
            yield self._file(folder, delivery, feed, feed.name, chain(head, rows), rows=_UNKNOWN_ROWS)
            return
        if not row_count and not (delivery.snapshot and feed.required_in_snapshot):
            return
        if row_count < 60 or not self.dirty or self._below(f"split/{delivery.name}/{feed.name}", 2):
            yield self._file(folder, delivery, feed, feed.name, head, rows=row_count)
            return
        cut = row_count // 3
        for number, parts in enumerate((_slice(head, 0, cut), _slice(head, cut, row_count)), start=1):
            yield self._file(folder, delivery, feed, f"{feed.name}-{number}", parts, rows=row_count)

    def _file(
        self, folder: Path, delivery: _Delivery, feed: Feed, name: str, parts: Iterable[Rows], rows: int
    ) -> dict[str, Any]:
        draws = self.world.draws
        style = style_of(draws, f"{delivery.name}/{name}", feed, rows, self.formats, dirty=self.dirty)
        written = 0
        with files.open_file(folder / files.file_name(name, style), feed, style) as file:
            for part in parts:
                rows_to_write = FaultyRows(render(feed, part, draws, style), [])
                if self.dirty and not style.typed:
                    rows_to_write = self._add_faults(feed, rows_to_write.frame, with_ragged=style.format != "xlsx")
                file.write(rows_to_write.frame)
                for cells in rows_to_write.ragged:
                    file.raw(cells)
                written += rows_to_write.frame.height + len(rows_to_write.ragged)
        return files.resource(folder, name, feed, style, written)

    def _add_faults(self, feed: Feed, frame: pl.DataFrame, *, with_ragged: bool) -> FaultyRows:
        """Makes a few rows invalid; each file continues in the feed's list of faults where the file before ended."""
        if feed.table not in self.possible:
            self.possible[feed.table] = faults(feed)
        possible = [fault for fault in self.possible[feed.table] if with_ragged or fault.code is not RowCode.COLUMNS]
        left = min(int(frame.height * feed.tolerance * _FAULTY_SHARE), _MAX_FAULTY)
        chosen: list[Fault] = []
        while left > 0:
            fault = possible[self.faults_made[feed.table] % len(possible)]
            self.faults_made[feed.table] += 1
            left -= fault.rows
            if left >= 0:
                chosen.append(fault)
        return add_faults(feed, frame, chosen)

    def _below(self, purpose: str, bound: int) -> int:
        return int(self.world.draws.below(purpose, np.zeros(1, dtype=np.uint64), bound)[0])


def _slice(parts: Iterable[Rows], start: int, end: int) -> Iterator[Rows]:
    """Rows ``start`` to ``end`` of all parts together."""
    passed = 0
    for part in parts:
        position = np.arange(passed, passed + len(part.index))
        keep = (position >= start) & (position < end)
        if keep.any():
            yield part.filter(keep)
        passed += len(part.index)


# --- faulty packages -------------------------------------------------------------------------------------------------


def _faulty_packages(sender: _Sender) -> list[Path]:
    """Packages that are superseded, sent twice, half copied, or refused."""
    last = len(sender.world.months) - 1
    codes, periods = sender.world.provinces, [f"{month:%Y-%m}" for month in sender.world.months]
    early = _Delivery(f"membership-{codes[0]}-{periods[last]}.early", "membership", 0, last, True, 1)
    late = _Delivery(f"membership-{codes[-1]}-{periods[0]}.late", "membership", len(codes) - 1, 0, False, 40)
    changes: list[tuple[str, Callable[[Path, dict[str, Any]], None]]] = [
        ("again", lambda folder, manifest: None),  # noqa: ARG005 - the same package at another place
        ("fault-hash", _wrong_hash),
        ("fault-path", _unsafe_path),
        ("fault-header", _no_header),
    ]
    written = [sender.deliver(early), sender.deliver(late)]
    delta = _Delivery("fault", "training", 0, last, False, 20)
    for name, change in changes:
        clean = replace(sender, dirty=False, formats=("csv",))
        folder = sender.out / name
        made = clean.deliver(replace(delta, name=name))
        if made.suffix == ".zip":
            shutil.unpack_archive(made, folder)
            made.unlink()
        manifest = json.loads((folder / "datapackage.json").read_text("utf-8"))
        change(folder, manifest)
        (folder / "datapackage.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), "utf-8")
        written.append(folder)
    shutil.copytree(sender.out / "again", sender.out / "again-copy")
    broken = sender.out / "fault-archive.zip"
    broken.write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    unfinished = sender.out / "unfinished-folder"
    unfinished.mkdir()
    shutil.copy(next((sender.out / "again").glob("*.csv")), unfinished)
    return [*written, sender.out / "again-copy", broken, unfinished]


def _wrong_hash(folder: Path, manifest: dict[str, Any]) -> None:  # noqa: ARG001 - all changes have the same arguments
    manifest["resources"][0]["hash"] = "sha256:" + "0" * 64


def _unsafe_path(folder: Path, manifest: dict[str, Any]) -> None:  # noqa: ARG001 - all changes have the same arguments
    manifest["resources"][0]["path"] = "../" + manifest["resources"][0]["path"]


def _no_header(folder: Path, manifest: dict[str, Any]) -> None:
    """A required column is missing."""
    resource = manifest["resources"][0]
    path = folder / resource["path"]
    lines = [line.split(",", 1)[1] for line in path.read_text("utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    resource |= {"bytes": path.stat().st_size, "hash": f"sha256:{files.digest(path, 'sha256')}"}


# --- one big file ----------------------------------------------------------------------------------------------------


def settlement_file(path: Path, rows: int, persons: int, encoding: str = "utf-8", seed: int = 1) -> list[str]:
    """Writes one CSV of settlements for measuring: header, then ``rows`` valid rows of 26 columns.

    The columns are the required ones, those of the hard money identities, and the first others of the contract.

    Args:
        path: The file.
        rows: Data rows.
        persons: How many persons the rows are of.
        encoding: ``utf-8`` or ``gb18030``.
        seed: Of all random draws.

    Returns:
        The columns, in file order.
    """
    feed = load().feeds["medical", "settlement"]
    narrow = replace(feed, columns=_narrowed(feed, 26))
    style = Style(encoding=encoding)
    world = World(Draws(seed), ("440000",), (date(2026, 7, 1),), persons, rows, load().code_lists)
    with files.open_file(path, narrow, style) as file:
        for index in world.events(0, 0, rows):
            refunded = np.zeros(len(index), dtype=np.bool_)
            file.write(render(narrow, medical.settled(world, index, 0, 0, refunded), world.draws, style))
    return [column.name for column in narrow.columns]


def feed_file(path: Path, feed: Feed, rows: int, persons: int, encoding: str = "utf-8", seed: int = 1) -> int:
    """Writes one CSV of a feed for measuring: header, then valid rows of all columns, month after month.

    Args:
        path: The file.
        feed: The feed, one that is delivered as events or changes (no snapshot).
        rows: Data rows at most; fewer when 24 months do not make as many.
        persons: How many persons the sender has; how many rows they make depends on the feed.
        encoding: ``utf-8`` or ``gb18030``.
        seed: Of all random draws.

    Returns:
        Data rows written.
    """
    style = Style(encoding=encoding)
    months = tuple(date(2024 + (9 + month) // 12, (9 + month) % 12 + 1, 1) for month in range(24))
    world = World(Draws(seed), ("440000",), months, persons, rows, load().code_lists)
    make_rows, written = row_maker(feed), 0
    with files.open_file(path, feed, style) as file:
        parts = chain.from_iterable(make_rows(world, 0, month, False) for month in range(len(months)))
        for part in _slice(parts, 0, rows):
            file.write(render(feed, part, world.draws, style))
            written += len(part.index)
    return written


def _narrowed(feed: Feed, width: int) -> tuple[Any, ...]:
    reversals = {rule.reversal_column for rule in feed.signs}
    summed = {name for rule in feed.sums if rule.hard for name in (*rule.left, *rule.right)}
    needed = [column.name for column in feed.columns if column.required or column.name in summed]
    others = [column.name for column in feed.columns if column.name not in {*needed, *reversals}]
    chosen = {*needed, *others[: width - len(needed)]}
    return tuple(column for column in feed.columns if column.name in chosen)

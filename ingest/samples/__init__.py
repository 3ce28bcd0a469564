"""Synthetic deliveries, as untidy as real ones, of persons who do not exist.

Columns, headers and what is wrong with a row come from the contracts; identity numbers carry area codes (``pp99nn``)
that were never issued, phones and names are made up. The same arguments give the same bytes.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from ingest.contracts import Contracts, Feed, load
from ingest.errors import RowCode, WarehouseError
from ingest.samples import files, medical, membership, training
from ingest.samples.draws import Draws
from ingest.samples.faults import Fault, faults, spoil
from ingest.samples.style import Style, render, style_of
from ingest.samples.world import Rows, Teller, World

PROVINCES = ("110000", "350000", "440000")
MONTHS = ("2026-07", "2026-08", "2026-09")
FORMATS = ("csv", "txt", "xlsx", "parquet")

#: Who tells the rows of a feed. A feed that nobody tells gets a few of persons drawn at random.
TELLERS: Mapping[tuple[str, str], Teller] = {
    ("membership", "organisation"): membership.organisations,
    ("membership", "member"): membership.members,
    ("training", "enrolment"): training.enrolments,
    ("training", "certificate"): training.certificates,
    ("training", "fund"): training.funds,
    ("medical", "person"): medical.persons,
    ("medical", "insurance"): medical.spells,
    ("medical", "settlement"): medical.settlements,
}

_CREATED = {"membership": "T08:15:00+08:00", "training": "T09:00:00+08:00", "medical": "T10:00:00+08:00"}
_DAYS_AFTER = {"membership": 3, "training": 6, "medical": 7}
#: Of a hundred rows at most this many are made wrong, below the share that refuses a delivery; and at most so many.
_WRONG, _MOST = 4, 60
#: Up to so many rows of a feed are looked at before they are written; how many more there are is not known.
_FEW, _MANY = 4_000, 10**9


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
        seed: Another one gives other persons.
        provinces: Division codes of the senders.
        months: ``YYYY-MM``, in order and without gaps.
        members: Persons on the unions' registers; most are insured too, some train.
        settlements: Settlements in all months and provinces; refunds and far ends come on top.
        dirty: With wrong rows of every row code, untidy cells, packages that come twice, late, half or wrong.
        formats: Which of ``csv``, ``txt``, ``xlsx``, ``parquet`` senders use.
        contracts: Other contracts than the shipped ones.

    Returns:
        The packages, in the order written.

    Raises:
        WarehouseError: An argument is of no use, or a package of that name already lies there.
    """
    _check(provinces, months, members, formats)
    contracts = contracts or load()
    writer = _Sender(
        out=out,
        contracts=contracts,
        world=World(
            draws=Draws(seed),
            provinces=tuple(provinces),
            months=tuple(date.fromisoformat(f"{month}-01") for month in months),
            persons=members,
            settlements=settlements,
            code_lists=contracts.code_lists,
        ),
        formats=tuple(formats),
        dirty=dirty,
    )
    out.mkdir(parents=True, exist_ok=True)
    written = [writer.deliver(delivery) for delivery in _plan(writer.world, contracts)]
    return written + (_mishaps(writer) if dirty else [])


def _check(provinces: Sequence[str], months: Sequence[str], members: int, formats: Sequence[str]) -> None:
    if not provinces or not all(len(code) == 6 and code.isdecimal() for code in provinces):
        raise WarehouseError("provinces are division codes of six digits, such as 350000")
    if len(set(provinces)) < len(provinces):
        raise WarehouseError("a province is named twice")
    if not months:
        raise WarehouseError("at least one month is needed")
    try:
        numbers = [day.year * 12 + day.month for day in (date.fromisoformat(f"{month}-01") for month in months)]
    except ValueError as error:
        raise WarehouseError("months are written YYYY-MM") from error
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise WarehouseError("months come in order and without gaps")
    if members < 1:
        raise WarehouseError("at least one person is needed")
    if unknown := set(formats) - set(FORMATS):
        raise WarehouseError(f"no sender writes {', '.join(sorted(unknown))}: formats are {', '.join(FORMATS)}")


def _plan(world: World, contracts: Contracts) -> Iterator[_Delivery]:
    """What is sent: each sender has its own habit of snapshots and deltas."""
    last = len(world.months) - 1
    for month, first_day in enumerate(world.months):
        for province, code in enumerate(world.provinces):
            for source in contracts.sources:
                registers = any(feed.required_in_snapshot for feed in contracts.of_source(source))
                habit = (True, month == 0, month in {0, last})[province % 3]
                yield _Delivery(
                    name=f"{source}-{code}-{first_day:%Y-%m}",
                    source=source,
                    province=province,
                    month=month,
                    snapshot=registers and habit,
                    days_after=_DAYS_AFTER.get(source, 5),
                )


@dataclass
class _Sender:
    """Writes packages; all senders of one world."""

    out: Path
    contracts: Contracts
    world: World
    formats: tuple[str, ...]
    dirty: bool
    spoilt: Counter[str] = field(default_factory=Counter)  # faults made so far, by feed
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
            "created": f"{created}{_CREATED.get(delivery.source, 'T12:00:00+08:00')}",
            "source": delivery.source,
            "sender": self.world.provinces[delivery.province],
            "period": f"{self.world.months[delivery.month]:%Y-%m}",
            "mode": "snapshot" if delivery.snapshot else "delta",
            "contract_version": self.contracts.of_source(delivery.source)[0].version,
            "title": "synthetic",
            "resources": resources,
        }

    def _feed(self, folder: Path, delivery: _Delivery, feed: Feed) -> Iterator[dict[str, Any]]:
        """Writes the files of one feed: one, or two of different styles where there is little to tell."""
        teller = TELLERS.get((feed.source, feed.name), _anybody)
        rows = (
            part for part in teller(self.world, delivery.province, delivery.month, delivery.snapshot) if len(part.index)
        )
        head: list[Rows] = []
        while sum(len(part.index) for part in head) <= _FEW and (part := next(rows, None)) is not None:
            head.append(part)
        told = sum(len(part.index) for part in head)
        if told > _FEW:
            yield self._file(folder, delivery, feed, feed.name, chain(head, rows), rows=_MANY)
            return
        if not told and not (delivery.snapshot and feed.required_in_snapshot):
            return
        if told < 60 or not self.dirty or self._below(f"split/{delivery.name}/{feed.name}", 2):
            yield self._file(folder, delivery, feed, feed.name, head, rows=told)
            return
        cut = told // 3
        for number, parts in enumerate((_slice(head, 0, cut), _slice(head, cut, told)), start=1):
            yield self._file(folder, delivery, feed, f"{feed.name}-{number}", parts, rows=told)

    def _file(
        self, folder: Path, delivery: _Delivery, feed: Feed, name: str, parts: Iterable[Rows], rows: int
    ) -> dict[str, Any]:
        draws = self.world.draws
        style = style_of(draws, f"{delivery.name}/{name}", feed, rows, self.formats, dirty=self.dirty)
        written = 0
        with files.open_file(folder / files.file_name(name, style), feed, style) as file:
            for part in parts:
                frame = render(feed, part, draws, style)
                ragged: list[list[str]] = []
                if self.dirty and not style.plain:
                    frame, ragged = self._spoil(feed, frame, ragged_too=style.format != "xlsx")
                file.write(frame)
                for cells in ragged:
                    file.raw(cells)
                written += frame.height + len(ragged)
        return files.resource(folder, name, feed, style, written)

    def _spoil(self, feed: Feed, frame: pl.DataFrame, *, ragged_too: bool) -> tuple[pl.DataFrame, list[list[str]]]:
        """Makes a few rows wrong; each file goes on in the feed's list of faults where the one before ended."""
        if feed.table not in self.possible:
            self.possible[feed.table] = faults(feed)
        possible = [fault for fault in self.possible[feed.table] if ragged_too or fault.code is not RowCode.COLUMNS]
        left = min(frame.height * _WRONG // 100, _MOST)
        wanted: list[Fault] = []
        while left > 0:
            fault = possible[self.spoilt[feed.table] % len(possible)]
            self.spoilt[feed.table] += 1
            left -= fault.rows
            if left >= 0:
                wanted.append(fault)
        spoilt = spoil(feed, frame, wanted)
        return spoilt.frame, spoilt.ragged

    def _below(self, what: str, bound: int) -> int:
        return int(self.world.draws.below(what, np.zeros(1, dtype=np.uint64), bound)[0])


def _slice(parts: Iterable[Rows], start: int, end: int) -> Iterator[Rows]:
    """Rows ``start`` to ``end`` of all parts together."""
    passed = 0
    for part in parts:
        place = np.arange(passed, passed + len(part.index))
        keep = (place >= start) & (place < end)
        if keep.any():
            yield part.filter(keep)
        passed += len(part.index)


def _anybody(world: World, province: int, month: int, snapshot: bool) -> Iterator[Rows]:  # noqa: ARG001 - a Teller
    """Rows of a feed that this package knows nothing of: persons drawn at random."""
    for index in world.events(province, month, max(world.persons // len(world.provinces) // 10, 10)):
        yield Rows(index, world.person(world.anyone("anybody", index, province)))


# --- packages that go wrong ------------------------------------------------------------------------------------------


def _mishaps(sender: _Sender) -> list[Path]:
    """Packages that are superseded, sent twice, half copied, or refused."""
    last = len(sender.world.months) - 1
    codes, periods = sender.world.provinces, [f"{month:%Y-%m}" for month in sender.world.months]
    early = _Delivery(f"membership-{codes[0]}-{periods[last]}.early", "membership", 0, last, True, 1)
    late = _Delivery(f"membership-{codes[-1]}-{periods[0]}.late", "membership", len(codes) - 1, 0, False, 40)
    mishaps: list[tuple[str, Callable[[Path, dict[str, Any]], None]]] = [
        ("again", lambda folder, manifest: None),  # noqa: ARG005 - the same package at another place
        ("fault-hash", _wrong_hash),
        ("fault-path", _unsafe_path),
        ("fault-header", _no_header),
    ]
    written = [sender.deliver(early), sender.deliver(late)]
    delta = _Delivery("fault", "training", 0, last, False, 20)
    for name, change in mishaps:
        plain = replace(sender, dirty=False, formats=("csv",))
        place = sender.out / name
        made = plain.deliver(replace(delta, name=name))
        if made.suffix == ".zip":
            shutil.unpack_archive(made, place)
            made.unlink()
        manifest = json.loads((place / "datapackage.json").read_text("utf-8"))
        change(place, manifest)
        (place / "datapackage.json").write_text(json.dumps(manifest, ensure_ascii=False, indent=1), "utf-8")
        written.append(place)
    shutil.copytree(sender.out / "again", sender.out / "again-copy")
    broken = sender.out / "fault-archive.zip"
    broken.write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    unfinished = sender.out / "unfinished-folder"
    unfinished.mkdir()
    shutil.copy(next((sender.out / "again").glob("*.csv")), unfinished)
    return [*written, sender.out / "again-copy", broken, unfinished]


def _wrong_hash(folder: Path, manifest: dict[str, Any]) -> None:  # noqa: ARG001 - one of several
    manifest["resources"][0]["hash"] = "sha256:" + "0" * 64


def _unsafe_path(folder: Path, manifest: dict[str, Any]) -> None:  # noqa: ARG001 - one of several
    manifest["resources"][0]["path"] = "../" + manifest["resources"][0]["path"]


def _no_header(folder: Path, manifest: dict[str, Any]) -> None:
    """A required column is missing."""
    described = manifest["resources"][0]
    path = folder / described["path"]
    lines = [line.split(",", 1)[1] for line in path.read_text("utf-8").splitlines()]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    described |= {"bytes": path.stat().st_size, "hash": f"sha256:{files.digest(path, 'sha256')}"}


# --- one big file ----------------------------------------------------------------------------------------------------


def settlement_file(path: Path, rows: int, persons: int, encoding: str = "utf-8", seed: int = 1) -> list[str]:
    """Writes one CSV of settlements for measuring: header, then ``rows`` right rows of 26 columns.

    The columns are the required ones, those of the hard money identities, and the first others that are told.

    Args:
        path: The file.
        rows: Data rows.
        persons: How many persons the rows are of.
        encoding: ``utf-8`` or ``gb18030``.
        seed: Another one gives other rows.

    Returns:
        The columns, in file order.
    """
    feed = load().feeds["medical", "settlement"]
    narrow = replace(feed, columns=_narrowed(feed, 26))
    style = Style(encoding=encoding)
    told = World(Draws(seed), ("440000",), (date(2026, 7, 1),), persons, rows, load().code_lists)
    with files.open_file(path, narrow, style) as file:
        for index in told.events(0, 0, rows):
            refunded = np.zeros(len(index), dtype=np.bool_)
            file.write(render(narrow, medical.settled(told, index, 0, 0, refunded), told.draws, style))
    return [column.name for column in narrow.columns]


def _narrowed(feed: Feed, width: int) -> tuple[Any, ...]:
    reversals = {rule.reversal_column for rule in feed.signs}
    summed = {name for rule in feed.sums if rule.hard for name in (*rule.left, *rule.right)}
    needed = [column.name for column in feed.columns if column.required or column.name in summed]
    others = [column.name for column in feed.columns if column.name not in {*needed, *reversals}]
    chosen = {*needed, *others[: width - len(needed)]}
    return tuple(column for column in feed.columns if column.name in chosen)

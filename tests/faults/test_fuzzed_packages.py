"""Sound packages with seeded damage: each ends in a decision, its counts agree, and those beside it are loaded.

``PYTEST_SEED`` chooses other damage. A failure names the numbers of the packages; ``damaged`` makes one again.
"""

import hashlib
import io
import json
import os
import random
import shutil
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import psycopg
import pytest
import xlsxwriter

from ingest import pipeline
from ingest.errors import NotDecided
from ingest.settings import Settings
from tests.packages import Row, enrolment, manifest_of, text, write

#: Packages of one pass, beside which sound ones lie.
BESIDE, SOUND_ROWS = 50, 12
ROWS = [enrolment(number, score=str(number)) for number in range(40)]  # of which two may be rejected
#: What a program that writes texts, numbers or JSON may put where it does not belong.
HOSTILE: list[Any] = [
    "",
    None,
    True,
    -1,
    1e308,
    10**30,
    "\0",
    "\ud800",
    "../x",
    "无",
    "x" * 70_000,
    [],
    {},
    [[]],
    "sm3:",
]
TOKENS = (b"\0", b'"', b'""', b",", b"\t", b"\r", b"\n", b"\xff\xfe", b"\xef\xbb\xbf", b"\x81", b"'", b"=", b"\\", b"<",
          b"&#0;", b"<c r=\"ZZZ9999999\">", b"NaN", b"1e400", b"9" * 400, "合计".encode(), b"," * 300)  # fmt: skip


def sheet(rows: list[Row]) -> bytes:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as book:
        page = book.add_worksheet()
        page.write_row(0, 0, list(rows[0]))
        for number, row in enumerate(rows, 1):
            page.write_row(number, 0, list(row.values()))
    return out.getvalue()


def parquet(rows: list[Row]) -> bytes:
    out = io.BytesIO()
    pl.DataFrame(rows).write_parquet(out, compression="uncompressed")
    return out.getvalue()


#: The data file of a sound package, by its ending and further properties of its resource.
KINDS: list[tuple[str, dict[str, Any], Callable[[], bytes]]] = [
    ("csv", {}, lambda: text(ROWS).encode()),
    ("csv", {"encoding": "gb18030"}, lambda: text(ROWS).encode("gb18030")),
    ("txt", {"encoding": "utf-16"}, lambda: text(ROWS).replace(",", "\t").encode("utf-16")),
    ("xlsx", {}, lambda: sheet(ROWS)),
    ("parquet", {}, lambda: parquet(ROWS)),
]


def damaged_bytes(chance: random.Random, content: bytes) -> bytes:
    """One to four changes: bytes replaced, inserted, left out, repeated; or the end cut off."""
    data = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        at, length = chance.randrange(len(data) + 1), chance.choice((1, 1, 2, 8, 64))
        match chance.randrange(6):
            case 0:
                data[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                data[at:at] = chance.choice(TOKENS)
            case 2:
                del data[at : at + length]
            case 3:
                data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
            case 4:
                data[at : at + length] = chance.randbytes(length)
            case 5 if chance.random() < 0.3:
                del data[at:]
    return bytes(data)


def damaged_json(chance: random.Random, value: Any) -> Any:
    """One value of a document replaced, or one key left out or renamed."""
    if isinstance(value, dict) and value and chance.random() < 0.85:
        key = chance.choice(sorted(value))
        match chance.randrange(5):
            case 0:
                return {name: one for name, one in value.items() if name != key}
            case 1:
                return {("x" + name if name == key else name): one for name, one in value.items()}
            case _:
                return value | {key: damaged_json(chance, value[key])}
    if isinstance(value, list) and value and chance.random() < 0.8:
        return [*value, *value] if chance.random() < 0.2 else [damaged_json(chance, value[0]), *value[1:]]
    return chance.choice(HOSTILE)


def damaged_workbook(chance: random.Random, content: bytes) -> bytes:
    """A part of a workbook damaged inside its archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(out, "w") as target:
        chosen = chance.choice(source.namelist())
        for name in source.namelist():
            part = source.read(name)
            target.writestr(name, damaged_bytes(chance, part) if name == chosen else part)
    return out.getvalue()


def damaged(inbox: Path, number: int, seed: int) -> str:
    """Write the package of a number; returns where it lies and what is wrong with it."""
    chance = random.Random(f"{seed} {number}")
    ending, properties, make = KINDS[number % len(KINDS)]
    content = make()
    wrong = chance.choice(("manifest", "manifest text", "archive", "data", "data", "data", "part"))
    if wrong == "data" or (wrong == "part" and ending != "xlsx"):
        content = damaged_bytes(chance, content)
    elif wrong == "part":
        content = damaged_workbook(chance, content)
    path = f"enrolment.{ending}"
    entry = {"name": "enrolment", "path": path, "hash": f"sha256:{hashlib.sha256(content).hexdigest()}", **properties}
    described: Any = manifest_of(f"fuzzed-{number}", [entry], sender="110000")
    if wrong == "manifest":
        described = damaged_json(chance, described)
    manifest = json.dumps(described).encode()
    if wrong == "manifest text":
        manifest = damaged_bytes(chance, manifest)
    files = {path: content, "datapackage.json": manifest}
    place = inbox / f"p-{number:06}"
    if wrong == "archive" or chance.random() < 0.3:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
        packed = out.getvalue()
        place.with_suffix(".zip").write_bytes(damaged_bytes(chance, packed) if wrong == "archive" else packed)
    else:
        place.mkdir()
        for name, data in files.items():
            (place / name).write_bytes(data)
    return f"{place.name} ({ending}, {wrong})"


def one_round(
    conn: psycopg.Connection, settings: Settings, dsn: str, inbox: Path, numbers: range, seed: int
) -> tuple[Counter[str], list[str]]:
    """Damaged packages and a sound one loaded together; returns how they ended, and what is wrong with that."""
    shutil.rmtree(inbox, ignore_errors=True)
    inbox.mkdir()
    labels = {label.split(" ")[0]: label for label in (damaged(inbox, number, seed) for number in numbers)}
    sound = f"sound-{numbers.start}"
    write(inbox, sound, {"enrolment": [enrolment(number) for number in range(SOUND_ROWS)]})
    failed: list[str] = []
    faults: list[NotDecided] = []
    pipeline.register(conn, settings, faults.append)
    outcomes: Counter[str] = Counter()
    for arrival in pipeline.pending(conn):
        label = labels.get(arrival.location.removesuffix(".zip"), arrival.location)
        try:
            outcome = pipeline.load(dsn, settings, arrival.arrival_id)
        except NotDecided as fault:
            failed.append(f"{label}: {fault} {fault.trace[-3:]}")
            outcomes["not decided"] += 1
            continue
        outcomes[outcome.status] += 1
        if outcome.status not in ("accepted", "refused", "duplicate") or (
            (outcome.status == "refused") != bool(outcome.codes)
        ):
            failed.append(f"{label}: {outcome}")
    failed += [f"{fault.package}: {fault} {fault.trace[-3:]}" for fault in faults]
    seen = {location for (location,) in conn.execute("SELECT location FROM ops.arrival")}
    failed += [
        f"{path.name} is not in the ledger" for path in inbox.iterdir() if path.name not in seen and is_due(path)
    ]
    found = conn.execute(
        "SELECT status, rows_read, rows_loaded FROM ops.delivery AS d INNER JOIN ops.delivery_file AS f"
        " USING (delivery_id) WHERE name = %s",
        [sound],
    ).fetchall()
    if found != [("accepted", SOUND_ROWS, SOUND_ROWS)]:
        failed.append(f"{sound}: {found}")
    return outcomes, failed


def is_due(package: Path) -> bool:
    """Whether a package is complete, so that it must be in the ledger."""
    return package.suffix == ".zip" or (package / "datapackage.json").exists()


def disagreements(conn: psycopg.Connection) -> list[tuple[Any, ...]]:
    """Files whose counts are not those of the rows that are kept: rejected ones, and landed ones once accepted."""
    return conn.execute(
        """
        SELECT a.location, a.status, f.path, f.rows_read, f.rows_loaded, f.rows_rejected
        FROM ops.file AS f INNER JOIN ops.arrival AS a USING (arrival_id)
        WHERE f.rows_read <> f.rows_loaded + f.rows_rejected
            OR f.rows_rejected <> (
                SELECT count(*) FROM ops.rejection AS r WHERE r.arrival_id = f.arrival_id AND r.file_no = f.file_no
            )
            OR CASE WHEN a.status = 'accepted' THEN f.rows_loaded ELSE 0 END <> (
                SELECT count(*) FROM landing.training_enrolment AS l
                WHERE l.delivery_id = f.arrival_id AND l.file_no = f.file_no
            ) AND f.feed = 'enrolment'
        """
    ).fetchall()


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(300, marks=pytest.mark.timeout(900)),
        pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(14_400)]),
    ],
)
def test_every_damaged_package_is_decided(
    warehouse: psycopg.Connection, settings: Settings, database_dsn: str, tmp_path: Path, count: int
) -> None:
    inbox, seed = tmp_path / "inbox", int(os.environ.get("PYTEST_SEED", "1"))
    settings = settings.model_copy(update={"inbox": str(inbox)})
    outcomes: Counter[str] = Counter()
    failed: list[str] = []
    for start in range(0, count, BESIDE):
        ended, wrong = one_round(
            warehouse, settings, database_dsn, inbox, range(start, min(start + BESIDE, count)), seed
        )
        outcomes += ended
        failed += wrong
    print(f"{count} tried, {len(failed)} failed: {dict(outcomes)}")  # noqa: T201  shown with -s, and on failure
    assert not failed, "\n".join(failed)
    assert disagreements(warehouse) == []
    # Damage of every kind has both ends: what does no harm is loaded.
    assert outcomes["accepted"] > count // 20
    assert outcomes["refused"] > count // 4

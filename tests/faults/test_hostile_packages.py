"""Packages made to do harm end in a code, never in a trace, an effect, or a machine out of memory."""

import datetime as dt
import hashlib
import json
import os
import resource
import stat
import struct
import threading
import zipfile
from pathlib import Path
from typing import Any, Self

import psycopg
import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from ingest import contracts, database, pipeline
from ingest.delivery.inbox import Inbox
from ingest.delivery.integrity import check
from ingest.errors import DeliveryRefused
from ingest.readers import open_table
from ingest.settings import Settings
from tests.packages import enrolment, manifest_of, text, write
from warehouse import schema

NOW = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
ROWS = text([enrolment(number) for number in range(30)]).encode()


def manifest(content: bytes = ROWS, path: str = "enrolment.csv", **more: Any) -> bytes:
    entry = {"name": "enrolment", "path": path, "hash": f"sha256:{hashlib.sha256(content).hexdigest()}", **more}
    return json.dumps(manifest_of("hostile", [entry])).encode()


def judge(package: Path, workdir: Path, limits: Settings | None = None) -> tuple[list[str], int, int]:
    """Check and read a package whole: codes, rows read, rows that could not be split. Anything but a refusal raises."""
    limits = limits or Settings(home=workdir)
    workdir.mkdir(parents=True, exist_ok=True)
    read = ragged = 0
    try:
        checked = check(package, package.is_file(), workdir, contracts.load(), limits, NOW)
        for entry in checked.manifest.resources:
            feed = contracts.load().feeds[checked.manifest.source, entry.feed]
            table = open_table(checked.files[entry.path], entry, feed, limits)
            for batch in (some.to_raw() for some in table.batches()):
                read += batch.frame.height + len(batch.ragged)
                ragged += len(batch.ragged)
                batch.raw(range(batch.frame.height))
    except DeliveryRefused as refused:
        return refused.codes, read, ragged
    return [], read, ragged


def archive(package: Path, entries: list[tuple[str | zipfile.ZipInfo, bytes]], **options: Any) -> Path:
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED, **options) as target:
        for name, content in entries:
            target.writestr(name, content)
    return package


def everything_below(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


# --- archives ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["../evil.csv", "/evil.csv", "a/../../evil.csv", "..\\evil.csv", "C:\\evil.csv", "C:/evil.csv", "~/evil.csv",
     "a/./b", "a//b", "..", "\x01.csv", "x" * 300],
)  # fmt: skip
def test_an_entry_that_leads_out_of_the_archive(tmp_path: Path, name: str) -> None:
    package = archive(tmp_path / "p.zip", [("enrolment.csv", ROWS), (name, b"x"), ("datapackage.json", manifest())])
    before = everything_below(tmp_path)
    codes, _, _ = judge(package, tmp_path / "work")
    assert codes == ["D_PATH"]
    assert {entry for entry in everything_below(tmp_path) - before if not entry.startswith("work")} == set()


@pytest.mark.parametrize("listed", [True, False])
def test_a_link_in_an_archive(tmp_path: Path, listed: bool) -> None:
    link = zipfile.ZipInfo("enrolment.csv" if listed else "other.csv")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    entries = [(link, b"/etc/passwd"), ("datapackage.json", manifest(b"/etc/passwd" if listed else ROWS))]
    package = archive(tmp_path / "p.zip", [*entries, *([] if listed else [("enrolment.csv", ROWS)])])
    codes, read, _ = judge(package, tmp_path / "work")
    assert (codes, read) == (["D_PATH"], 0)
    assert not any(entry.is_symlink() for entry in (tmp_path / "work").rglob("*"))


def test_a_bomb_is_stopped_by_what_it_says_of_itself(tmp_path: Path) -> None:
    bomb = b"a" * 50_000_000
    package = archive(tmp_path / "p.zip", [("enrolment.csv", bomb), ("datapackage.json", manifest(bomb))])
    codes, _, _ = judge(package, tmp_path / "work")
    assert codes == ["D_ARCHIVE"]
    assert everything_below(tmp_path / "work") == set(), "nothing of it is left behind"


@pytest.mark.parametrize("declared", [10, 2**32 - 2])
def test_a_bomb_that_lies_about_its_size(tmp_path: Path, declared: int) -> None:
    bomb = b"a" * 50_000_000
    package = archive(tmp_path / "p.zip", [("enrolment.csv", bomb), ("datapackage.json", manifest(bomb))])
    size, lie = struct.pack("<L", len(bomb)), struct.pack("<L", declared)
    package.write_bytes(package.read_bytes().replace(size, lie))
    codes, _, _ = judge(package, tmp_path / "work")
    assert codes == ["D_ARCHIVE"]
    assert sum(file.stat().st_size for file in (tmp_path / "work").rglob("*")) < 10_000_000


def test_the_absolute_limit_counts_all_files(tmp_path: Path) -> None:
    noise = os.urandom(40_000)
    properties = json.loads(manifest(noise))
    entry = properties["resources"][0]
    properties["resources"] = [entry | {"name": f"e{i}", "path": f"{i}.csv", "feed": "enrolment"} for i in range(5)]
    entries: list[tuple[str | zipfile.ZipInfo, bytes]] = [(f"{i}.csv", noise) for i in range(5)]
    package = archive(tmp_path / "p.zip", [*entries, ("datapackage.json", json.dumps(properties).encode())])
    assert judge(package, tmp_path / "a", Settings(home=tmp_path, archive_bytes=150_000))[0] == ["D_ARCHIVE"]
    assert judge(package, tmp_path / "b", Settings(home=tmp_path, archive_bytes=200_000))[0] != ["D_ARCHIVE"]


def test_unlisted_bombs_are_left_alone(tmp_path: Path) -> None:
    entries = [("enrolment.csv", ROWS), ("bomb", b"a" * 10_000_000), ("datapackage.json", manifest())]
    assert judge(archive(tmp_path / "p.zip", entries), tmp_path / "work") == ([], 30, 0)


def test_encrypted_doubled_and_hidden(tmp_path: Path) -> None:
    plain = [("enrolment.csv", ROWS), ("datapackage.json", manifest())]
    package = archive(tmp_path / "encrypted.zip", plain)
    data = bytearray(package.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(mark)
        while at >= 0:
            data[at + offset] |= 1
            at = data.find(mark, at + 1)
    package.write_bytes(data)
    assert judge(package, tmp_path / "a")[0] == ["D_ARCHIVE"]
    with pytest.warns(UserWarning, match="Duplicate"):
        package = archive(tmp_path / "doubled.zip", [*plain, ("enrolment.csv", b"other")])
    assert judge(package, tmp_path / "b")[0] == ["D_ARCHIVE"]
    package = archive(tmp_path / "nested.zip", [("a/b/enrolment.csv", ROWS), ("a/b/datapackage.json", manifest())])
    assert judge(package, tmp_path / "c")[0] == ["D_MANIFEST"], "the manifest stands at the top or in the only folder"
    package = archive(
        tmp_path / "two.zip", [("a/enrolment.csv", ROWS), ("a/datapackage.json", manifest()), ("b/x", b"")]
    )
    assert judge(package, tmp_path / "d")[0] == ["D_MANIFEST"]


def intact(package: Path) -> bool:
    """Whether an archive still gives out what was put into it, as far as the standard library can tell."""
    try:
        with zipfile.ZipFile(package) as source:
            return source.read("enrolment.csv") == ROWS and source.read("datapackage.json") == manifest()
    except Exception:  # noqa: BLE001 - reading a damaged archive raises this and that
        return False


CHANGES = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=4)


@examples(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHANGES, st.one_of(st.just(1.0), st.floats(0, 1)))
@example([], 1.0)
@example([(0.5, 0)], 1.0)
@example([], 0.9)
def test_damaged_archives(tmp_path: Path, changes: list[tuple[float, int]], kept: float) -> None:
    """A damaged archive is refused and nothing of it is read; one that gives out what was put into it is read whole.

    Attributes that nobody needs may be damaged too: such an archive may be refused or read.
    """
    package = archive(tmp_path / "p.zip", [("enrolment.csv", ROWS), ("datapackage.json", manifest())])
    sound = package.read_bytes()
    content = bytearray(sound)
    for where, value in changes:
        content[int(where * len(content))] = value
    package.write_bytes(content[: int(kept * len(content))])
    codes, read, ragged = judge(package, tmp_path / "work")
    if package.read_bytes() == sound:
        assert codes == []
    if codes:
        assert set(codes) <= {"D_ARCHIVE", "D_PATH", "D_MANIFEST", "D_MISSING_FILE", "D_HASH"}
        assert (read, ragged) == (0, 0)
    else:
        assert intact(package)
        assert (read, ragged) == (30, 0)


# --- text --------------------------------------------------------------------------------------------------------


class Peak:
    """The memory this process takes while the block runs, above what it had."""

    def __enter__(self) -> Self:
        self.before, self.most, self.ended = self._now(), 0, threading.Event()
        self.watcher = threading.Thread(target=self._watch)
        self.watcher.start()
        return self

    def _now(self) -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    def _watch(self) -> None:
        while not self.ended.wait(0.01):
            self.most = max(self.most, self._now())

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.watcher.join()

    @property
    def taken(self) -> int:
        return self.most - self.before


@pytest.mark.parametrize("size", [200 * 1024**2, pytest.param(1024**3, marks=pytest.mark.slow)])
def test_a_line_of_one_gibibyte(tmp_path: Path, size: int) -> None:
    """A sparse file: a header, a good row, and a line without end that is all NUL."""
    package = tmp_path / "long"
    package.mkdir()
    lines = ROWS.splitlines(keepends=True)
    with (package / "enrolment.csv").open("wb") as stream:
        stream.write(lines[0] + lines[1])
        stream.seek(size)
        stream.write(b"\n" + lines[2])
    digest = hashlib.sha256(lines[0] + lines[1])
    rest, zeros = size - len(lines[0] + lines[1]), bytes(1024**2)
    for _ in range(rest // len(zeros)):
        digest.update(zeros)
    digest.update(zeros[: rest % len(zeros)] + b"\n" + lines[2])
    properties = json.loads(manifest())
    properties["resources"][0]["hash"] = f"sha256:{digest.hexdigest()}"
    (package / "datapackage.json").write_text(json.dumps(properties))
    judge(write(tmp_path, "warm", {"enrolment": ROWS.decode()}), tmp_path / "work")
    with Peak() as peak:
        assert judge(package, tmp_path / "work") == ([], 3, 1)
    assert peak.taken < 150 * 1024**2


@pytest.mark.parametrize(
    ("content", "read", "ragged"),
    [
        (ROWS.replace(b"E1,", b"E\0,"), 30, 1),
        (ROWS.replace(b"E1,", b'"E1,'), 30, 1),  # a quote that is never closed costs its own line alone
        (ROWS + b"\0" * 100_000, 31, 1),
        (ROWS + b'"' * 100_001, 31, 1),
        (ROWS + b"," * 2_000_000, 31, 1),
        (ROWS + b"\r\n\r" * 50_000, 30, 0),
        (ROWS + b"x\n" * 50_000, 50_030, 50_000),
        (ROWS.splitlines()[0], 0, 0),
    ],
)
def test_text_that_is_no_table(tmp_path: Path, content: bytes, read: int, ragged: int) -> None:
    package = tmp_path / "p"
    package.mkdir()
    (package / "enrolment.csv").write_bytes(content)
    (package / "datapackage.json").write_bytes(manifest(content))
    assert judge(package, tmp_path / "work") == ([], read, ragged)


@examples(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.binary(max_size=300),
    st.sampled_from(["csv", "txt", "xlsx", "xls", "parquet"]),
    st.sampled_from(["utf-8", "gbk", "utf-16"]),
    st.booleans(),
)
def test_any_bytes_in_any_format(tmp_path: Path, content: bytes, kind: str, encoding: str, header: bool) -> None:
    content = ROWS.splitlines(keepends=True)[0] + content if header else content
    package = tmp_path / "p"
    package.mkdir(exist_ok=True)
    (package / "enrolment.csv").write_bytes(content)
    (package / "datapackage.json").write_bytes(manifest(content, format=kind, encoding=encoding))
    judge(package, tmp_path / "work")


# --- through to the ledger ---------------------------------------------------------------------------------------


def test_hostile_packages_leave_the_ledger_whole(settings: Settings, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    settings = settings.model_copy(update={"inbox": str(inbox)})
    statement = "x'); DROP TABLE ops.arrival; --"
    good = [enrolment(number) for number in range(40)]
    write(inbox, "sql-header", {"enrolment": [row | {statement: statement} for row in good]})
    write(inbox, "sql-value", {"enrolment": [*good, enrolment(99, provider_name=statement, result=statement)]})
    write(inbox, "sql-feed", {"enrolment": good}, feeds={"enrolment": statement})
    write(inbox, "sql-title", {"enrolment": good}, title=statement, **{statement: statement})
    write(inbox, "nul", {"enrolment": text(good) + "E\0" + "," * 12 + "\n"})
    write(inbox, "nul-header", {"enrolment": text(good).replace("enrolment_id", "enrol\0ment_id")})
    for name, shape in {
        "list": b"[]",
        "number": b"1",
        "deep": b"[" * 100_000,
        "nul-text": b'{"name": "\\u0000"}',
    }.items():
        (inbox / name).mkdir()
        (inbox / name / "datapackage.json").write_bytes(shape)
    archive(inbox / "up.zip", [("../x", b""), ("enrolment.csv", ROWS), ("datapackage.json", manifest())])
    dsn = database.dsn(settings)
    with database.connect(dsn, autocommit=True) as conn:
        schema.migrate(conn, contracts.load())
        tables = _tables(conn)
        arrivals = pipeline.register(conn, settings)
    assert len(arrivals) == len(list(Inbox(str(inbox)).scan())) == 11
    decided = {}
    for arrival in arrivals:
        outcome = pipeline.load(dsn, settings, arrival.arrival_id, None)
        decided[arrival.location] = (outcome.status, outcome.codes)
    accepted = {"sql-header", "sql-value", "sql-title", "nul"}
    assert {name for name, (status, _) in decided.items() if status == "accepted"} == accepted
    assert {name: codes for name, (_, codes) in decided.items() if name not in accepted} == {
        "sql-feed": ["D_FEED"],
        "nul-header": ["D_HEADER"],
        "list": ["D_MANIFEST"],
        "number": ["D_MANIFEST"],
        "deep": ["D_MANIFEST"],
        "nul-text": ["D_MANIFEST"],
        "up.zip": ["D_PATH"],
    }
    with database.connect(dsn, autocommit=True) as conn:
        assert {name for name in _tables(conn) if "_enrolment_" not in name} >= tables
        reasons = conn.execute("SELECT delivery_name, reasons FROM ops.rejected_row ORDER BY delivery_name").fetchall()
        assert reasons == [("nul", ["E_COLUMNS"]), ("sql-value", ["E_CODE:result"])]


def _tables(conn: psycopg.Connection) -> set[str]:
    return {
        name for (name,) in conn.execute("SELECT oid::regclass::text FROM pg_class WHERE relkind IN ('r', 'p', 'v')")
    }

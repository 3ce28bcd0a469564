"""No identifier of a person leaves the vault: invented ones in every place that a sender fills are found nowhere else."""

import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest

from ingest import contracts, synthetic
from ingest.contracts.model import Kind
from ingest.settings import Settings
from tests import identifiers
from tests.conftest import fresh_database
from tests.identifiers import MARK, Package, Person, Search

KNOWN = contracts.load()
#: Senders, and what each plants: one row a file, so that a column is not replaced as a whole, or many.
ONE_ROW, PASSPORTS, MANY_ROWS = ("110000", "350000", "440000"), "510000", "330000"
KEY = "test-key-" + "0" * 32
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(900)


@dataclass
class Programs:
    """Runs programs, and keeps what they write and how they and their children appear in the list of processes."""

    environment: dict[str, str]
    written: dict[str, str] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)

    def __call__(self, *arguments: str, codes: Sequence[int] = (0,)) -> str:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **self.environment},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watch = threading.Thread(target=self._watch, args=(process,), daemon=True)
        watch.start()
        out, _ = process.communicate()
        watch.join()
        assert process.returncode in codes, out[-6000:]
        self.written[" ".join(arguments)] = out
        return out

    def _watch(self, process: subprocess.Popen[str]) -> None:
        while process.poll() is None:
            for one in psutil.process_iter():
                with suppress(psutil.Error):
                    self.seen.add("\n".join(one.cmdline()))
            with suppress(psutil.Error):
                for one in (parent := psutil.Process(process.pid), *parent.children(recursive=True)):
                    with suppress(psutil.Error):
                        self.seen.add("\n".join(f"{key}={value}" for key, value in one.environ().items()))
            time.sleep(0.1)


@dataclass
class World:
    """A published warehouse to which all of it was sent."""

    settings: Settings
    dsn: str
    run: Programs
    search: Search
    returned: list[str]  # by tasks of the DAGs
    planted: dict[tuple[str, str], int]  # rows with an identifier, by landing table and column
    folder: Path  # what commands wrote


@pytest.fixture(scope="module")
def world(
    server_settings: Settings, migrated_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("identifiers")
    with fresh_database(server_settings, "test_identifiers", migrated_database) as dsn:
        settings = Settings(home=folder / "home", inbox=str(folder / "inbox"), dsn=dsn, key=KEY)
        planted = fill(folder / "inbox")
        search = Search(frozenset(numbers(folder / "inbox")))
        run = Programs(
            {
                "WAREHOUSE_HOME": str(folder / "home"),
                "WAREHOUSE_INBOX": str(folder / "inbox"),
                "WAREHOUSE_DSN": dsn,
                "WAREHOUSE_KEY": KEY,
                "WAREHOUSE_NOTIFY": '[{"type": "log"}]',
                "AIRFLOW_HOME": str(folder / "home" / "airflow"),
                "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder}/home/airflow.db",
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            }
        )
        told = run("tests/dag_tasks.py", str(ROOT / "dags"), "--any-source")
        returned = [line for line in told.splitlines() if line.startswith("returned ")]
        made = World(settings, dsn, run, search, returned, planted, folder / "written")
        made.folder.mkdir()
        yield made


def fill(inbox: Path) -> dict[tuple[str, str], int]:
    """Deliveries of every feed with identifiers in every text, and packages with them in everything else."""
    senders = (*ONE_ROW, PASSPORTS, MANY_ROWS)
    paths = synthetic.generate(
        inbox,
        seed=11,
        provinces=senders,
        months=("2026-07",),
        members=600,
        settlements=600,
        dirty=False,
        formats=("csv",),
    )
    planted: dict[tuple[str, str], int] = {}
    for number, path in enumerate(paths):
        package = Package.read(path)
        if package.manifest["sender"] == ONE_ROW[0]:
            refuse(package.copy(path.parent / f"{package.folder.name}.refused"), number)
        for entry in package.manifest["resources"]:
            plant(package, entry, number, planted)
        package.write()
    hostile(inbox, Package.read(inbox / "training-350000-2026-07"))
    return planted


def plant(package: Package, entry: dict[str, Any], number: int, planted: dict[tuple[str, str], int]) -> None:
    """Plant identifiers in the first rows of a file, and one rejected row where the feed bears it."""
    feed, rows, sender = package.feed(KNOWN, entry), package.rows(entry), package.manifest["sender"]
    turn = (*ONE_ROW, PASSPORTS, MANY_ROWS).index(sender)
    for place in range(min(len(rows), 8) if sender == MANY_ROWS else 1):
        person = Person(number * 20 + place, has_passport=sender == PASSPORTS)
        rows[place], columns = identifiers.planted(feed, rows[place], person, turn + place)
        for column in columns:
            planted[feed.table, column] = planted.get((feed.table, column), 0) + 1
    if len(rows) * feed.tolerance >= 2:
        rows[-1] = identifiers.spoiled(feed, rows[-1], Person(number * 20 + 18), turn)
    if len(rows) > 10 and (owned := identifiers.one_person_business(feed, rows[-2], Person(number * 20 + 19))):
        rows[-2] = owned
    package.write_rows(entry, rows, ("csv", "xlsx", "parquet")[number % 3], *(f"{MARK}备注",) * (turn % 2))


def refuse(package: Package, number: int) -> None:
    """A delivery whose rows are all wrong."""
    for entry in package.manifest["resources"]:
        feed = package.feed(KNOWN, entry)
        rows = [
            identifiers.spoiled(feed, row, Person(number * 20 + turn % 20), turn)
            for turn, row in enumerate(package.rows(entry)[:20])
        ]
        package.write_rows(entry, rows, "csv")
        entry["rows"] = len(rows)
    package.write(name=package.folder.name.lower())


def hostile(inbox: Path, sound: Package) -> None:
    """Packages with identifiers in every property of the manifest, in names of files and packages, and in headers."""
    person = Person(9999)
    everything = f"{person.name} {person.certno} {person.phone}"
    formed = (person.certno.lower(), f"1.0.0-{person.certno.lower()}", f"{person.phone}.csv")
    made = iter(range(10_000))

    def another(**changes: Any) -> Package:
        number = next(made)
        package = sound.copy(inbox / f"hostile-{number}")
        package.write(**{"name": f"hostile-{number}", **changes})
        return package

    of_resource = (*sound.manifest["resources"][0], "format", "encoding", "sheet", "amount_unit", "dialect")
    of_dialect = ("delimiter", "quoteChar", "headerRows", "commentChar")
    for name in (*sound.manifest, "description", everything):
        another(**{name: everything})
    for name in (*of_resource, everything):
        change_resource(another(), {name: everything})
    for name in (*of_dialect, everything):
        change_resource(another(), {"dialect": {name: everything}})
    for text in (everything, *formed):
        another(**dict.fromkeys((*sound.manifest, "description", text), text))
        change_resource(another(), dict.fromkeys((*of_resource, text), text))
        change_resource(another(), {"dialect": dict.fromkeys((*of_dialect, text), text)})
        change_resource(another(), {"feed": text})
        another(name=f"t-{text}")
        broken = another()
        (broken.folder / "datapackage.json").write_text(f'{{"{text}": 1, "{text}": {text}', "utf-8")
        another().folder.rename(inbox / f"{text} 的文件")
        renamed = another()
        entry = renamed.manifest["resources"][0]
        path = (renamed.folder / entry["path"]).rename(renamed.folder / f"{text}.{entry['path'].rpartition('.')[2]}")
        change_resource(renamed, {"path": path.name})
    hostile_files(another, everything)
    hostile_zip(inbox, another().folder, everything)


def change_resource(package: Package, changes: dict[str, Any]) -> None:
    """Change the entry of the first file."""
    package.manifest["resources"][0] |= changes
    package.write()


def hostile_files(another: Any, text: str) -> None:
    """Files whose first row is no header, or that are not of the format that they are said to be of."""
    for kind in ("csv", "xlsx", "parquet"):
        first = another()
        entry = first.manifest["resources"][0]
        rows = [{f"{text}{position}": text for position in range(5)}] * 3
        first.write_rows(entry, rows, kind, text[:20])
        first.write()
        for other in ("csv", "xlsx", "parquet", "xls"):
            wrong = first.copy(first.folder.with_name(f"{first.folder.name}-as-{other}"))
            change_resource(wrong, {"format": other})
            wrong.write(name=wrong.folder.name)


def hostile_zip(inbox: Path, folder: Path, text: str) -> None:
    """A zip whose name and entries have an identifier, one of them leading out; and a file that is no zip."""
    with zipfile.ZipFile(inbox / f"{text}.zip", "w") as archive:
        for path in folder.iterdir():
            archive.write(path, f"{text}/{path.name}")
        archive.writestr(f"../{text}/x.csv", text)
    (inbox / f"没有 {text}.zip").write_bytes(text.encode())


def numbers(inbox: Path) -> Iterator[str]:
    """All identity numbers of the planted persons and of the rows of the synthetic senders."""
    for number in range(10_000):
        yield Person(number).certno
        yield Person(number, has_passport=True).certno
    for path in inbox.glob("*/*.csv"):
        header, *lines = path.read_text("utf-8", errors="replace").splitlines() or [""]
        if "certno" in header.split(","):
            position = header.split(",").index("certno")
            yield from {number for line in lines if len(number := line.split(",")[position]) > 8}


# --- what was sent -----------------------------------------------------------------------------------------------


def test_identifiers_were_sent_in_every_text_of_every_feed(world: World) -> None:
    """So that the searches below are no searches for nothing: they were accepted, rejected and refused."""
    wanted = {
        (feed.table, column.name)
        for feed in KNOWN.feeds.values()
        for column in feed.columns
        if (column.takes_any_text or column.is_free_text)
        and not column.has_form
        and column.kind is not Kind.USCC
        and column.code_match not in ("prefix", "first_two")
        and (column.max_length or 200) >= len(Person(1).certno)
    }
    assert set(world.planted) == wanted
    with psycopg.connect(world.dsn) as conn:
        assert wanted - identifiers.replaced_columns(conn) == set()
        states = conn.execute("SELECT name, status FROM ops.arrival WHERE name NOT LIKE 'hostile%'").fetchall()
        landed = {name for name, status in states if status in ("accepted", "superseded")}
        assert {f"{source}-{sender}-2026-07" for source in KNOWN.sources for sender in ONE_ROW} <= landed, states
        feeds = (
            "SELECT DISTINCT a.source, r.feed FROM ops.rejection AS r INNER JOIN ops.arrival AS a USING (arrival_id)"
        )
        assert set(conn.execute(feeds).fetchall()) == {(feed.source, feed.name) for feed in KNOWN.feeds.values()}
        refused = conn.execute("SELECT count(*) FROM ops.arrival WHERE status = 'refused'").fetchone()
        assert refused is not None
        assert refused[0] > 50


# --- where nothing of them is ----------------------------------------------------------------------------------------


def test_nothing_is_in_any_table_outside_of_the_vault(world: World) -> None:
    with psycopg.connect(world.dsn) as conn:
        assert world.search.database(conn) == {}


def test_nothing_is_in_what_programs_write_or_in_the_list_of_processes(world: World) -> None:
    assert {name: found for name, text in world.run.written.items() if (found := world.search.everything(text))} == {}
    assert [found for text in world.run.seen if (found := world.search.everything(text))] == []


def test_tasks_return_nothing(world: World) -> None:
    assert len(world.returned) > 10
    assert [line for line in world.returned if world.search.everything(line)] == []

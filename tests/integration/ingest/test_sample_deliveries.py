"""The sample deliveries end as their READMEs say, in the order of the inbox and in others.

With the gate they do in ``tests/end_to_end/test_figures.py``. Each inbox is loaded once for all tests that only read.
The oracle has read the definitions as they are meant: over the sample deliveries it says what is expected of them.
"""

import csv
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from ingest import contracts, database, pipeline
from ingest.errors import DeliveryCode, Finding, RowCode
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import oracle, state
from tests.conftest import fresh_database
from tests.end_to_end import figures
from tests.packages import ALL_SOURCES, SAMPLES

EVERY_SAMPLE = pytest.mark.parametrize("samples", [SAMPLES, ALL_SOURCES], ids=lambda folder: folder.name)
#: What stands in the columns that are dropped when a file is read.
DROPPED = "门口即弃"


def stand_in(request: pipeline.GateRequest) -> list[Finding]:
    """Decides as the gate must on the samples, without the seconds that Great Expectations takes."""
    refused = request.manifest.name.startswith(("fault-expectation-", "fault2-expectation-"))
    return [Finding(DeliveryCode.EXPECTATION, "stand-in")] if refused else []


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def fits(actual: str, expected: str) -> bool:
    """``CODE:column`` against ``CODE:column``; a bare code stands for any column."""
    return any(one in (actual, actual.partition(":")[0]) or one == actual for one in expected.split("|"))


def compare_deliveries(conn: psycopg.Connection, expected: Path) -> None:
    seen = {
        location: (name, status, set(codes), source, sender, period, mode)
        for location, name, status, codes, source, sender, period, mode in conn.execute(
            "SELECT location, name, status, codes, source, sender, period, mode FROM ops.arrival"
        )
    }
    rows = read(expected / "deliveries.csv")
    packages = Counter(row["name"] for row in rows)
    twins: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found = seen.pop(row["location"], None)
        if row["status"] == "absent":
            assert found is None, row["location"]
            continue
        assert found is not None, row["location"]
        name, status, codes, *told = found
        assert name == row["name"]
        if row["source"]:
            assert told == [row["source"], row["sender"], row["period"], row["mode"]], name
        must, may = set(row["codes"].split()), set(row["may_codes"].split())
        if packages[name] > 1:  # which of them is accepted is a matter of which came first
            twins[name].append((row["status"], must, status, codes))
        else:
            assert (status, codes - may) == (row["status"], must), name
    assert not seen
    for name, group in twins.items():
        wanted = sorted((status, sorted(codes)) for status, codes, *_ in group)
        assert sorted((status, sorted(codes)) for *_, status, codes in group) == wanted, name


def compare_files(conn: psycopg.Connection, expected: Path) -> None:
    found = {
        (name, path): tuple(values)
        for name, path, *values in conn.execute(
            "SELECT delivery_name, path, feed, rows_read, rows_loaded, rows_rejected FROM ops.delivery_file AS f"
            " INNER JOIN ops.delivery AS d ON f.delivery_name = d.name"
            " WHERE d.status IN ('accepted', 'superseded') OR 'D_TOLERANCE' = ANY(d.codes)"
        )
    }
    numbers = ("rows_read", "rows_loaded", "rows_rejected")
    wanted = {
        (row["name"], row["path"]): (row["feed"], *(int(row[number]) for number in numbers))
        for row in read(expected / "files.csv")
    }
    assert found == wanted


def compare_rejected(conn: psycopg.Connection, expected: Path) -> None:
    found = {
        (name, path, feed, line): reasons
        for name, path, feed, line, reasons in conn.execute(
            "SELECT r.delivery_name, r.path, r.feed, r.line_number, r.reasons FROM ops.rejected_row AS r"
        )
        if (name, path) in {(row["name"], row["path"]) for row in read(expected / "files.csv")}
    }
    problems = []
    for row in read(expected / "rejected_rows.csv"):
        key = (row["name"], row["path"], row["feed"], int(row["line"]))
        reasons = found.pop(key, None)
        if reasons is None:
            problems.append(f"{key} is not rejected; expected {row['reasons']}")
            continue
        must, may = row["reasons"].split(), row["may"].split()
        problems += [f"{key}: {one} missing in {reasons}" for one in must if not any(fits(r, one) for r in reasons)]
        problems += [f"{key}: {r} unexpected" for r in reasons if not any(fits(r, one) for one in must + may)]
    problems += [f"{key}: rejected for {reasons}" for key, reasons in found.items()]
    assert not problems, "\n".join(problems)


def compare_warnings(conn: psycopg.Connection, expected: Path) -> None:
    """Of lines that were loaded; only two codes are told."""
    told = {RowCode.PLACEHOLDER_DATE, RowCode.CODE_LOCAL}
    rejected = {(row["name"], row["path"], row["line"]) for row in read(expected / "rejected_rows.csv")}
    files = {(row["name"], row["path"]): row["feed"] for row in read(expected / "files.csv")}
    wanted = {
        (row["name"], row["path"], row["line"]): set(row["codes"].split())
        for row in read(expected / "row_warnings.csv")
    }
    # the feeds of the first samples are not told of
    feeds = {row["feed"] for row in read(expected / "core.csv")}
    found = {
        (name, path, str(line)): codes
        for name, path, line, given in conn.execute(
            "SELECT delivery_name, path, line_number, codes FROM ops.row_warning"
        )
        if files.get((name, path)) in feeds
        and (codes := {code.partition(":")[0] for code in given} & told)
        and (name, path, str(line)) not in rejected
    }
    assert found == wanted


def compare_all(conn: psycopg.Connection, samples: Path) -> None:
    compare_deliveries(conn, samples / "expected")
    compare_files(conn, samples / "expected")
    compare_rejected(conn, samples / "expected")
    if (samples / "expected" / "row_warnings.csv").exists():
        compare_warnings(conn, samples / "expected")


@dataclass
class Loaded:
    """Sample deliveries in a warehouse of their own."""

    settings: Settings
    conn: psycopg.Connection

    @property
    def dsn(self) -> str:
        return database.dsn(self.settings)

    def load(self) -> list[pipeline.Outcome]:
        """Load what is not decided yet, in the order of the inbox."""
        pipeline.register(self.conn, self.settings)
        pending = pipeline.pending(self.conn)
        return [pipeline.load(self.dsn, self.settings, arrival.arrival_id, stand_in) for arrival in pending]


@pytest.fixture(scope="module")
def loaded(
    server_settings: Settings, migrated_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[Path], Loaded]]:
    """Loads samples when they are first asked for; the tests change nothing."""
    with ExitStack() as databases:

        @cache
        def load(samples: Path) -> Loaded:
            name = f"test_{samples.name}"
            dsn = databases.enter_context(fresh_database(server_settings, name, migrated_database))
            home, inbox, key = tmp_path_factory.mktemp(samples.name), str(samples / "inbox"), SecretStr("k" * 40)
            settings = Settings(home=home, inbox=inbox, dsn=SecretStr(dsn), key=key)
            found = Loaded(settings, databases.enter_context(database.connect(dsn)))
            found.load()
            return found

        yield load


@EVERY_SAMPLE
def test_as_they_come_and_once_more(loaded: Callable[[Path], Loaded], samples: Path) -> None:
    """A second pass over the same inbox changes nothing."""
    found = loaded(samples)

    def everything() -> object:
        steps = found.conn.execute("SELECT * FROM ops.step ORDER BY arrival_id, at, step").fetchall()
        return steps, state.of(found.conn, contracts.load(), Keyring.from_settings(found.settings))

    compare_all(found.conn, samples)
    rows = found.conn.execute("SELECT count(*) FROM ops.file WHERE rows_read <> rows_loaded + rows_rejected")
    assert rows.fetchone() == (0,)
    before = everything()
    assert found.load() == []
    assert everything() == before


@EVERY_SAMPLE
def test_figures_of_the_oracle_are_the_expected_ones(loaded: Callable[[Path], Loaded], samples: Path) -> None:
    expected = figures.oracle_of(loaded(samples).dsn)
    wrong = {
        path.stem: difference
        for path in figures.tables_of(samples)
        if (difference := figures.unlike_table(path, expected.rows_of(path.stem)))
    }
    assert wrong == {}


def test_every_figure_of_the_oracle_is_expected_somewhere() -> None:
    """A figure that no table of expected rows holds would be tried by nothing."""
    assert {path.stem for path in figures.tables_of(ALL_SOURCES)} == set(oracle.FIGURES)


def test_without_the_fast_path(warehouse, load_inbox, settings):
    load_inbox(SAMPLES / "inbox", gate=stand_in, chosen=settings.model_copy(update={"fast_path": False}))
    compare_all(warehouse, SAMPLES)


@pytest.mark.parametrize(
    ("samples", "seed"),
    [(SAMPLES, 1), (ALL_SOURCES, 3)],
    ids=["samples-1", "samples-part2-3"],
)
def test_in_any_order(warehouse, load_inbox, samples, seed):
    order = sorted(place.name for place in (samples / "inbox").iterdir())
    random.Random(seed).shuffle(order)
    load_inbox(samples / "inbox", order=order, gate=stand_in)
    compare_all(warehouse, samples)


def test_what_is_dropped_when_read_is_kept_nowhere(loaded: Callable[[Path], Loaded]) -> None:
    """Neither in a table nor in the sealed text of a rejected row, where columns that are not known stay."""
    samples = loaded(ALL_SOURCES)
    warehouse, keyring = samples.conn, Keyring.from_settings(samples.settings)
    drop = {(feed.source, feed.name): bool(feed.dropped) for feed in contracts.load().feeds.values()}
    found = Counter()
    for name, source in warehouse.execute("SELECT name, source FROM ops.delivery").fetchall():
        for row in pipeline.rejects(warehouse, keyring, name):
            found[drop[source, row["feed"]], DROPPED in str(row["raw"])] += 1
    assert found[True, False] > 1_000
    assert found[False, True] > 0  # there the same text stands in a column that no contract knows
    assert found[True, True] == 0
    tables = warehouse.execute(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname IN ('landing', 'ops')"
    ).fetchall()
    assert len(tables) > len(drop)
    for (table,) in tables:
        rows = warehouse.execute(f"SELECT count(*) FROM {table} AS one WHERE one::text LIKE %s", [f"%{DROPPED}%"])
        assert rows.fetchone() == (0,), table

"""Publication with concurrent readers, and killed: no reader ever sees two builds at once."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from ingest.database import connect
from ingest.errors import WarehouseError
from warehouse.access.divisions import EVERYONE
from warehouse.build import planning, publish
from warehouse.build.publish import Relation

#: Views are replaced in name order, core.zulu before marts.alpha; readers use both orders.
RELATIONS = [
    Relation("core", "zulu", EVERYONE),
    Relation("marts", "alpha", EVERYONE),
    *(Relation("marts", f"more_{n}", EVERYONE) for n in range(8)),
]


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as conn:
        for build in ("build_a", "build_b"):
            conn.execute(f"CREATE SCHEMA {build}")
            for relation in RELATIONS:
                conn.execute(f"CREATE TABLE {build}.{relation.name} AS SELECT '{build}' AS build")
        yield conn


class Reader(threading.Thread):
    """Reads two views repeatedly, each time in one statement or transaction, and stores the results."""

    def __init__(self, dsn: str, stop: threading.Event, *, style: str) -> None:
        super().__init__()
        self.dsn, self.stop, self.style = dsn, stop, style
        self.seen: list[tuple[str, str]] = []
        self.errors: list[Exception] = []

    def run(self) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True) as conn:
                conn.execute("SET ROLE analyst")
                while not self.stop.is_set():
                    self.seen.append(self.read(conn))
                    time.sleep(random.uniform(0, 0.02))
        except psycopg.Error as error:
            self.errors.append(error)

    def read(self, conn: psycopg.Connection) -> tuple[str, str]:
        first, second = ("core.zulu", "marts.alpha") if "forwards" in self.style else ("marts.alpha", "core.zulu")
        if "joined" in self.style:
            row = conn.execute(f"SELECT a.build, b.build FROM {first} AS a CROSS JOIN {second} AS b").fetchone()
            assert row is not None
            return row[0], row[1]
        level = "REPEATABLE READ" if "repeatable" in self.style else "READ COMMITTED"
        with conn.transaction():
            conn.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
            first_row = conn.execute(f"SELECT build FROM {first}").fetchone()
            time.sleep(random.uniform(0, 0.01))
            second_row = conn.execute(f"SELECT build FROM {second}").fetchone()
        assert first_row is not None
        assert second_row is not None
        return first_row[0], second_row[0]


STYLES = [f"{kind} {order}" for kind in ("joined", "transaction", "repeatable") for order in ("forwards", "backwards")]


def test_readers_never_see_two_builds(conn: psycopg.Connection, database: str) -> None:
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    stop = threading.Event()
    readers = [Reader(database, stop, style=style) for style in STYLES]
    for reader in readers:
        reader.start()
    try:
        for number in range(20):
            publish.move(conn, ("build_b", "build_a")[number % 2], RELATIONS, lambda *_: None, max_wait=60)
            time.sleep(0.01)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    for reader in readers:
        assert reader.errors == []  # deadlocks are never reported to a reader
        assert {pair for pair in reader.seen if pair[0] != pair[1]} == set(), reader.style
    seen = {pair[0] for reader in readers for pair in reader.seen}
    assert seen == {"build_a", "build_b"}, "no reader saw a publication: the test proves nothing"


def test_publication_waits_for_a_snapshot_from_before_the_build(conn: psycopg.Connection, database: str) -> None:
    """The reader has no lock on a view, but its snapshot is older than the end of the build."""
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    with psycopg.connect(database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SET ROLE analyst")
        reader.execute("SELECT 1 FROM pg_class")
        conn.execute("TRUNCATE build_b.zulu")
        conn.execute("INSERT INTO build_b.zulu VALUES ('build_b')")
        with pytest.raises(WarehouseError, match=rf"\(pid {reader.info.backend_pid}\)"):
            publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=0.3)
        assert reader.execute("SELECT build FROM core.zulu").fetchall() == [("build_a",)]
    publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=0.3)
    with psycopg.connect(database) as reader:
        assert reader.execute("SELECT build FROM core.zulu").fetchall() == [("build_b",)]


def test_a_waiting_build_does_not_delay_the_publication_of_the_running_one(
    conn: psycopg.Connection, database: str
) -> None:
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    started = threading.Event()

    def second() -> None:
        started.set()
        with planning.exclusive(database):
            pass

    waiting = threading.Thread(target=second)
    with planning.exclusive(database):
        waiting.start()
        started.wait()
        time.sleep(1)
        assert waiting.is_alive()
        publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=5)
    waiting.join(30)
    assert not waiting.is_alive()


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_publication_succeeds_although_some_reader_is_always_active(
    conn: psycopg.Connection, database: str, seconds: float
) -> None:
    """WHEN the views are read at every moment THEN publication makes new readers queue once."""
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    stop, errors, waits = threading.Event(), [], []

    def read(level: str) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as reader:
                reader.execute("SET ROLE analyst")
                while not stop.is_set():
                    start = time.monotonic()
                    with reader.transaction():
                        reader.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
                        reader.execute("SELECT pg_sleep(%s) FROM core.zulu", [seconds])
                        reader.execute("SELECT * FROM marts.alpha")
                    waits.append(time.monotonic() - start)
        except psycopg.Error as error:
            errors.append(error)

    levels = ["READ COMMITTED", "REPEATABLE READ", "READ COMMITTED"]
    readers = [threading.Thread(target=read, args=[level]) for level in levels]
    for reader in readers:
        reader.start()
        time.sleep(seconds / 3)
    try:
        start = time.monotonic()
        publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=60)
        took = time.monotonic() - start
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert took < 40
    assert max(waits) < seconds + 5
    assert len(waits) > took / seconds, "the readers had gaps: the test proves nothing"


PUBLISHER = """
import sys
from ingest.database import connect
from tests.faults.test_publish import RELATIONS
from warehouse.build import publish
with connect(sys.argv[1]) as conn:
    number = 0
    while True:
        number += 1
        publish.move(conn, ("build_b", "build_a")[number % 2], RELATIONS, lambda *_: None)
        print(number, flush=True)
"""


def test_a_killed_publication_leaves_all_views_at_one_build(conn: psycopg.Connection, database: str) -> None:
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    query = " UNION ".join(f"SELECT build FROM {relation}" for relation in RELATIONS)
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, database], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        assert process.stdout.readline(), "it has not published"
        time.sleep(random.Random(attempt).uniform(0, 0.05))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(conn.execute(query).fetchall()) == 1
        # The next publication succeeds.
        publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=60)
        assert conn.execute(query).fetchall() == [("build_b",)]


def test_an_open_transaction_delays_publication_but_no_other_reader(conn: psycopg.Connection, database: str) -> None:
    """WHEN an analyst's transaction stays open THEN publication waits with short locks, and others can read."""
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as other:
        holder.execute("SELECT * FROM marts.alpha")
        publisher = threading.Thread(
            target=lambda: publish.move(conn, "build_b", RELATIONS, lambda *_: None, max_wait=60)
        )
        publisher.start()
        waits = []
        for _ in range(20):
            start = time.monotonic()
            assert other.execute("SELECT build FROM marts.alpha").fetchone() == ("build_a",)
            waits.append(time.monotonic() - start)
            time.sleep(0.05)
        assert max(waits) < 5  # locks are short
        assert publisher.is_alive()
        holder.rollback()
        publisher.join()
        assert other.execute("SELECT build FROM marts.alpha").fetchone() == ("build_b",)

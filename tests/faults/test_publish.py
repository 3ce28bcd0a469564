"""Publication among readers, and killed half-way: nobody ever sees two builds at once."""

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

from ingest import contracts
from ingest.database import connect, migrate
from ingest.errors import WarehouseError
from warehouse import plans, publish, roles
from warehouse.publish import Relation

#: In name order core.zulu comes first of the two, and readers ask in both orders.
RELATIONS = [Relation("core", "zulu"), Relation("marts", "alpha"), *(Relation("marts", f"more_{n}") for n in range(8))]


@pytest.fixture
def conn(database: str) -> Iterator[psycopg.Connection]:
    with connect(database) as conn:
        migrate(conn, contracts.load())
        roles.ensure(conn)
        for build in ("build_a", "build_b"):
            conn.execute(f"CREATE SCHEMA {build}")
            for relation in RELATIONS:
                conn.execute(f"CREATE TABLE {build}.{relation.name} AS SELECT '{build}' AS build")
        yield conn


class Reader(threading.Thread):
    """Reads two views over and over, each time as one question, and keeps what it saw."""

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
            one = conn.execute(f"SELECT build FROM {first}").fetchone()
            time.sleep(random.uniform(0, 0.01))
            two = conn.execute(f"SELECT build FROM {second}").fetchone()
        assert one is not None
        assert two is not None
        return one[0], two[0]


STYLES = [f"{kind} {order}" for kind in ("joined", "transaction", "repeatable") for order in ("forwards", "backwards")]


def test_readers_never_see_a_torn_pair(conn: psycopg.Connection, database: str) -> None:
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    stop = threading.Event()
    readers = [Reader(database, stop, style=style) for style in STYLES]
    for reader in readers:
        reader.start()
    try:
        for number in range(20):
            publish.move(conn, ("build_b", "build_a")[number % 2], RELATIONS, lambda *_: None, patience=60)
            time.sleep(0.01)
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    for reader in readers:
        assert reader.errors == []  # no deadlock is ever the reader's
        assert {pair for pair in reader.seen if pair[0] != pair[1]} == set(), reader.style
    seen = {pair[0] for reader in readers for pair in reader.seen}
    assert seen == {"build_a", "build_b"}, "the readers saw no publication move: the test shows nothing"


def test_a_reader_with_rows_of_before_the_build_is_outlasted(conn: psycopg.Connection, database: str) -> None:
    """He has asked for something else, so he holds no view; but what he sees is from before the build ended."""
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    with psycopg.connect(database) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SET ROLE analyst")
        reader.execute("SELECT 1 FROM pg_class")
        conn.execute("TRUNCATE build_b.zulu")
        conn.execute("INSERT INTO build_b.zulu VALUES ('build_b')")
        with pytest.raises(WarehouseError, match=rf"\(pid {reader.info.backend_pid}\)"):
            publish.move(conn, "build_b", RELATIONS, lambda *_: None, patience=0.3)
        assert reader.execute("SELECT build FROM core.zulu").fetchall() == [("build_a",)]
    publish.move(conn, "build_b", RELATIONS, lambda *_: None, patience=0.3)
    with psycopg.connect(database) as reader:
        assert reader.execute("SELECT build FROM core.zulu").fetchall() == [("build_b",)]


def test_a_build_that_waits_for_its_turn_does_not_hold_up_the_publication_before(
    conn: psycopg.Connection, database: str
) -> None:
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    began = threading.Event()

    def second() -> None:
        began.set()
        with plans.exclusive(database):
            pass

    waiting = threading.Thread(target=second)
    with plans.exclusive(database):
        waiting.start()
        began.wait()
        time.sleep(1)
        assert waiting.is_alive()
        publish.move(conn, "build_b", RELATIONS, lambda *_: None, patience=5)
    waiting.join(30)
    assert not waiting.is_alive()


@pytest.mark.parametrize("seconds", [0.1, 2.0])
def test_readers_without_a_gap_between_them_do_not_keep_a_publication_away(
    conn: psycopg.Connection, database: str, seconds: float
) -> None:
    """WHEN somebody reads at every moment THEN publication lets them queue for once."""
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    stop, errors, waits = threading.Event(), [], []

    def read(level: str) -> None:
        try:
            with psycopg.connect(database, autocommit=True) as reader:
                reader.execute("SET ROLE analyst")
                while not stop.is_set():
                    begun = time.monotonic()
                    with reader.transaction():
                        reader.execute(f"SET TRANSACTION ISOLATION LEVEL {level}")
                        reader.execute("SELECT pg_sleep(%s) FROM core.zulu", [seconds])
                        reader.execute("SELECT * FROM marts.alpha")
                    waits.append(time.monotonic() - begun)
        except psycopg.Error as error:
            errors.append(error)

    levels = ["READ COMMITTED", "REPEATABLE READ", "READ COMMITTED"]
    readers = [threading.Thread(target=read, args=[level]) for level in levels]
    for reader in readers:
        reader.start()
        time.sleep(seconds / 3)
    try:
        begun = time.monotonic()
        publish.move(conn, "build_b", RELATIONS, lambda *_: None, patience=60)
        took = time.monotonic() - begun
    finally:
        stop.set()
        for reader in readers:
            reader.join()
    assert errors == []
    assert took < 40
    assert max(waits) < seconds + 5
    assert len(waits) > took / seconds, "they did not read all the time: the test shows nothing"


PUBLISHER = """
import sys
from ingest.database import connect
from tests.faults.test_publish import RELATIONS
from warehouse import publish
with connect(sys.argv[1]) as conn:
    number = 0
    while True:
        number += 1
        publish.move(conn, ("build_b", "build_a")[number % 2], RELATIONS, lambda *_: None)
        print(number, flush=True)
"""


def test_killed_half_way_the_views_agree(conn: psycopg.Connection, database: str) -> None:
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    query = " UNION ".join(f"SELECT build FROM {relation}" for relation in RELATIONS)
    for attempt in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, database], stdout=subprocess.PIPE, start_new_session=True
        )
        assert process.stdout is not None
        process.stdout.readline()  # it is at work
        time.sleep(random.Random(attempt).uniform(0, 0.05))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert len(conn.execute(query).fetchall()) == 1
        # and whoever comes next publishes
        publish.move(conn, "build_b", RELATIONS, lambda *_: None, patience=60)
        assert conn.execute(query).fetchall() == [("build_b",)]


def test_a_reader_holding_on_delays_but_does_not_block_others(conn: psycopg.Connection, database: str) -> None:
    """WHEN an analyst's transaction stays open THEN publication waits in short turns and others go on reading."""
    publish.move(conn, "build_a", RELATIONS, lambda *_: None)
    with psycopg.connect(database) as holder, psycopg.connect(database, autocommit=True) as other:
        holder.execute("SELECT * FROM marts.alpha")
        publisher = threading.Thread(
            target=lambda: publish.move(conn, "build_b", RELATIONS, lambda *_: None, patience=60)
        )
        publisher.start()
        waits = []
        for _ in range(20):
            begun = time.monotonic()
            assert other.execute("SELECT build FROM marts.alpha").fetchone() == ("build_a",)
            waits.append(time.monotonic() - begun)
            time.sleep(0.05)
        assert max(waits) < 5  # turns are short while somebody holds on
        assert publisher.is_alive()
        holder.rollback()
        publisher.join()
        assert other.execute("SELECT build FROM marts.alpha").fetchone() == ("build_b",)

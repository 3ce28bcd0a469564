"""Copies into several tables over one connection."""

from collections.abc import Iterator

import polars as pl
import psycopg
import pytest
from psycopg import sql

from ingest.errors import WarehouseError
from ingest.landing import pg_copy
from ingest.landing.pg_copy import CopyJob, CopySession


@pytest.fixture
def tables(warehouse: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """Two tables that are gone afterwards."""
    with warehouse.transaction(force_rollback=True):
        warehouse.execute(
            "CREATE TABLE ops.main (number bigint, word varchar(4)); CREATE TABLE ops.other (number bigint)"
        )
        yield warehouse


def main(*numbers: int, word: str = "w") -> CopyJob:
    frame = pl.DataFrame({"number": numbers, "word": word}, schema={"number": pl.Int64, "word": pl.String})
    return CopyJob.of_frame(sql.Identifier("ops", "main"), frame)


def other(*numbers: int) -> CopyJob:
    return CopyJob.of_rows(sql.Identifier("ops", "other"), ["number"], [[number] for number in numbers])


def numbers(conn: psycopg.Connection, table: str) -> list[int]:
    return [number for (number,) in conn.execute(f"SELECT number FROM ops.{table} ORDER BY number")]


def copies(conn: psycopg.Connection) -> int:
    """How often something has been copied into the main table: rows of one COPY are one command of the transaction."""
    (found,) = conn.execute("SELECT count(DISTINCT cmin::text) FROM ops.main").fetchone() or (0,)
    return int(found)


def test_what_goes_into_one_table_is_one_copy(tables):
    with CopySession(tables) as session:
        for number in range(5):
            session.put(main(number), other(number, -number), other())
    assert numbers(tables, "main") == [0, 1, 2, 3, 4]
    assert numbers(tables, "other") == [-4, -3, -2, -1, 0, 0, 1, 2, 3, 4]
    assert copies(tables) == 1


def test_deferred_jobs_are_bounded(tables, monkeypatch):
    deferred = main(*range(100, 110))
    monkeypatch.setattr(pg_copy, "_MAX_PENDING_BYTES", 2 * deferred.size)
    with CopySession(tables) as session:
        for number in range(6):
            session.put(main(number), deferred)
    assert len(numbers(tables, "main")) == 66
    assert copies(tables) == 2 + 6


def test_nothing_to_copy(tables):
    with CopySession(tables) as session:
        session.put(main(), other())
        session.put(main(), other(1))
        session.finish()
        session.put(other(2))
        session.put(main(3), other(4))
    assert (numbers(tables, "main"), numbers(tables, "other")) == ([3], [1, 2, 4])


@pytest.mark.parametrize("rows", [1, 300_000], ids=["at its end", "while it runs"])
def test_a_value_that_does_not_fit(tables, rows):
    def run() -> None:
        with tables.transaction(), CopySession(tables) as session:
            session.put(main(1, word="too long"))
            for _ in range(4):
                session.put(main(*range(rows)), other(1))

    with pytest.raises(WarehouseError, match=r"ops.*main.*column word: SQLSTATE 22001") as caught:
        run()
    assert "too long" not in str(caught.value)
    assert numbers(tables, "main") == numbers(tables, "other") == []


def test_an_internal_error_aborts_the_copy(tables):
    def run() -> None:
        with tables.transaction(), CopySession(tables) as session:
            session.put(main(1), other(1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run()
    assert numbers(tables, "main") == numbers(tables, "other") == []

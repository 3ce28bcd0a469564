"""A person who is erased leaves counts, the list of erased persons, and figures as if he had never been delivered."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from ingest.errors import NotDecided, WarehouseError
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests.conftest import fresh_database
from tests.packages import ALL_SOURCES
from warehouse import operations


def build(settings: Settings) -> bool:
    return operations.build_and_publish(settings, lambda *_: None)[0] is not None


#: Counts of files whose rows landed: those of refused deliveries are counted as they were decided about.
FILES = (
    "SELECT f.* FROM ops.file AS f INNER JOIN ops.arrival AS a USING (arrival_id)"
    " WHERE a.status IN ('accepted', 'superseded') ORDER BY arrival_id, file_no"
)


@pytest.fixture(autouse=True)
def told_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No notification of what the samples have refused."""
    monkeypatch.setenv("WAREHOUSE_NOTIFY", "[]")


def load(settings: Settings, inbox: Path) -> None:
    faults: list[NotDecided] = []
    operations.load_all(settings.model_copy(update={"inbox": str(inbox), "notify": ()}), lambda _: None, faults.append)
    assert faults == []


def key_of(settings: Settings, number: str) -> UUID:
    """The key of a resident."""
    import polars as pl

    return UUID(bytes=Keyring.from_settings(settings).person_keys(pl.Series([f"CN|{number}"]))[0])


def mentions(conn: psycopg.Connection, text: str) -> set[str]:
    """Every table of the database, whatever its schema, in a row of which a text stands."""
    tables = conn.execute(
        "SELECT n.nspname, c.relname FROM pg_class AS c INNER JOIN pg_namespace AS n ON c.relnamespace = n.oid"
        " WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema)'"
    ).fetchall()
    found = set()
    for schema, name in tables:
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} AS t WHERE t::text LIKE %s)").format(
            sql.Identifier(schema, name)
        )
        if conn.execute(query, [f"%{text}%"]).fetchone() == (True,):
            found.add(f"{schema}.{name}")
    return found


def contents(conn: psycopg.Connection) -> dict[str, list[str]]:
    """The rows of every published relation, but for when it was decided about deliveries."""
    row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
    assert row is not None
    tables = conn.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s) AND relkind = 'r' ORDER BY 1", row
    ).fetchall()
    times = ["received_at", "decided_at", "first_received_at", "last_received_at"]
    return {
        name: sorted(
            text
            for (text,) in conn.execute(
                sql.SQL("SELECT (to_jsonb(t) - %s::text[])::text FROM {} AS t").format(sql.Identifier(row[0], name)),
                [times],
            )
        )
        for (name,) in tables
    }


@contextmanager
def another(settings: Settings, server_settings: Settings, template: str, name: str) -> Iterator[Settings]:
    """Settings of another warehouse with the same key."""
    with fresh_database(server_settings, name, template) as dsn:
        yield settings.model_copy(update={"dsn": SecretStr(dsn), "home": settings.home.with_name(name)})


@pytest.mark.slow
def test_builds_after_an_erasure_are_those_without_the_person(
    settings: Settings, server_settings: Settings, migrated_database: str
) -> None:
    # GIVEN published deliveries of all sources, and a person who is in as many of them as any
    load(settings, ALL_SOURCES / "inbox")
    assert build(settings)
    with operations.open_warehouse(settings) as conn:
        feeds = [
            row[0]
            for row in conn.execute(
                "SELECT relname FROM pg_class AS c WHERE relkind = 'p' AND relnamespace ="
                " 'landing'::regnamespace AND EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attname = 'person_key')"
            )
        ]
        union = " UNION ALL ".join(
            f"SELECT DISTINCT person_key, '{feed}' AS feed FROM landing.{feed}" for feed in feeds
        )
        rows = conn.execute(
            f"SELECT person_key FROM ({union}) AS f WHERE person_key IN (SELECT person_key FROM landing.medical_person)"
            " GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).fetchall()
        [(person,)] = rows
        assert len(mentions(conn, str(person))) > 10
        # WHEN the person is erased
        receipt, was = operations.erase_person(settings, person, "2026-7", "consent_withdrawn")
        assert was.rows["landing.medical_insurance"] > 0  # which names persons by their number with the sender
        assert sum(was.rows.values()) == sum(receipt.rows.values()) > 10
        assert receipt.completed_at is None
        with pytest.raises(WarehouseError, match="no previous publication"):
            operations.publish_previous(settings)
        # THEN the next build is none of everything, and after it nothing has the person but the list
        plan, _ = operations.build_and_publish(settings, lambda *_: None)
        assert plan is not None
        assert (plan["full_refresh"], plan["copy_of"]) == (False, "build_a")
        assert mentions(conn, str(person)) == {"vault.erased"}
        [receipt] = operations.erasures(settings)
        assert receipt.completed_at is not None
        assert conn.execute("SELECT count(*) FROM vault.taken_out").fetchone() == (0,)
        without, files = contents(conn), conn.execute(FILES).fetchall()
        listed = conn.execute("SELECT key_hash FROM vault.erased").fetchall()
        assert operations.check_published(settings) == "build_b"  # all tests over all that is published
    # AND all is as in a warehouse that had the person on its list before the first delivery came
    with another(settings, server_settings, migrated_database, "erased") as others:
        with operations.open_warehouse(others) as conn:
            conn.execute("INSERT INTO vault.erasure (ground, entry_id, counts) VALUES ('unlawful', 1, '{}')")
            conn.cursor().executemany("INSERT INTO vault.erased VALUES (%s, 1)", listed)
        load(others, ALL_SOURCES / "inbox")
        assert build(others)
        with operations.open_warehouse(others) as conn:
            assert mentions(conn, str(person)) == {"vault.erased"}
            assert conn.execute(FILES).fetchall() == files
            expected = contents(conn)
    assert without.keys() == expected.keys()
    different = {
        name: (set(without[name]) ^ set(expected[name])) for name in expected if without[name] != expected[name]
    }
    assert {name: sorted(rows)[:4] for name, rows in different.items()} == {}

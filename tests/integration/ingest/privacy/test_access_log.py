"""The vault's log: who may open whom, how often, and that nobody changes what is written down."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from uuid import UUID

import psycopg
import pytest

from ingest import contracts, database
from ingest.errors import WarehouseError
from ingest.privacy import access_log, vault
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import shares
from warehouse import schema
from warehouse.access import roles
from warehouse.local import server

ONE, OTHER = (UUID(person) for person in shares.PERSONS[:2])
CASE = vault.Request("2026-7", "aid", "the amount of the inpatient aid")


@pytest.fixture(autouse=True)
def filled(warehouse: psycopg.Connection, keyring: Keyring) -> None:
    shares.fill_vault(warehouse, keyring)
    roles.ensure(warehouse)


@pytest.fixture
def caseworker(server_settings: Settings, warehouse: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A login of the role, of his own."""
    with database.connect(server.database_dsn(server_settings, warehouse.info.dbname, role="caseworker")) as conn:
        yield conn


@contextmanager
def forging(server_settings: Settings, warehouse: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A superuser who has switched the triggers off."""
    layout = server._layout(server_settings)
    with server._as_superuser(layout, warehouse.info.dbname) as conn:
        conn.execute("SET session_replication_role = replica")
        yield conn


def ask(conn: psycopg.Connection, why: vault.Request | vault.Emergency = CASE, person: UUID = ONE) -> int:
    return vault.request(conn, person, why, "zhang")


# --- opening ---------------------------------------------------------------------------------------------------------


def test_an_opening_is_written_down_whole(
    warehouse: psycopg.Connection, caseworker: psycopg.Connection, keyring: Keyring
) -> None:
    record = vault.open_person(caseworker, keyring, ONE, CASE, "zhang")
    assert record == {"name": "测试0", "certno": "110101199001010000"}
    asked, opened = access_log.entries(warehouse)
    for entry, event, request_id in ((asked, "request", None), (opened, "opening", 1)):
        assert (entry.event, entry.request_id, entry.login, entry.os_user) == (event, request_id, "caseworker", "zhang")
        assert (entry.person_key, entry.case_number, entry.purpose) == (ONE, "2026-7", "aid")
        assert str(entry.client) == "127.0.0.1"
        assert not entry.is_emergency
    assert asked.note == CASE.reason
    assert asked.at < opened.at
    assert warehouse.execute("SELECT who, reason, at, opened_at FROM vault.access").fetchall() == [
        ("caseworker", CASE.reason, asked.at, opened.at)
    ]


@pytest.mark.parametrize(
    ("why", "words"),
    [
        (vault.Request(" ", "aid"), "Name the case"),
        (vault.Request("7", "curiosity"), "'curiosity' is no purpose .* aid, contact"),
        (vault.Request("7", ""), "is no purpose"),
        (vault.Emergency(" \n"), "Say why"),
    ],
)
def test_a_request_says_why(
    warehouse: psycopg.Connection, caseworker: psycopg.Connection, why: vault.Request, words: str
) -> None:
    with pytest.raises(WarehouseError, match=words):
        ask(caseworker, why)
    assert access_log.entries(warehouse) == []


def test_nobody_opens_a_person_unseen(
    server_settings: Settings, warehouse: psycopg.Connection, caseworker: psycopg.Connection, keyring: Keyring
) -> None:
    """What opens a person needs a request that can no longer be rolled back, of the same login, of this minute."""

    def open_(number: int) -> bytes:
        return caseworker.execute("SELECT vault.open_person(%s)", [number]).fetchone()[0]  # type: ignore[index]

    def ask_by_hand() -> int:
        asked = caseworker.execute("SELECT vault.ask_for_person(%s, '7', 'aid')", [ONE]).fetchone()
        return int(asked[0])  # type: ignore[index]

    first = pytest.raises(psycopg.errors.RaiseException, match="first")
    with first, caseworker.transaction():
        open_(ask_by_hand())
    with caseworker.transaction():
        with caseworker.transaction():
            asked = ask_by_hand()
        with pytest.raises(psycopg.errors.RaiseException, match="first"), caseworker.transaction():
            open_(asked)
    with forging(server_settings, warehouse) as conn:
        conn.execute("UPDATE audit.entry SET at = at - interval '2 minutes'")
    with pytest.raises(psycopg.errors.RaiseException, match="first"):
        open_(asked)
    of_another = ask(warehouse)
    with pytest.raises(psycopg.errors.RaiseException, match="first"):
        open_(of_another)
    assert json.loads(keyring.decrypt(open_(ask_by_hand()), ONE.bytes))["name"] == "测试0"


def test_a_request_opens_once(caseworker: psycopg.Connection, keyring: Keyring) -> None:
    number = ask(caseworker)
    assert vault.open_requested(caseworker, keyring, ONE, number, "zhang") is not None
    with pytest.raises(WarehouseError, match=f"Request {number} was opened at .*: each opens once"):
        vault.open_requested(caseworker, keyring, ONE, number, "zhang")


def test_a_login_opens_so_many_persons_a_day(
    server_settings: Settings, warehouse: psycopg.Connection, caseworker: psycopg.Connection, keyring: Keyring
) -> None:
    assert warehouse.execute("SELECT audit.openings_per_day()").fetchone() == (50,)
    access_log.ensure_limit(warehouse, 2, "owner")
    access_log.ensure_limit(warehouse, 2, "owner")
    assert [(entry.event, entry.note) for entry in access_log.entries(warehouse)] == [("limit", "2")]
    for _ in range(2):
        vault.open_person(caseworker, keyring, ONE, CASE, "zhang")
    with pytest.raises(WarehouseError, match="Caseworker has opened 2 persons today"):
        vault.open_person(caseworker, keyring, ONE, CASE, "another name changes nothing")
    assert vault.open_person(warehouse, keyring, ONE, CASE, "zhang")  # another login
    assert vault.open_person(caseworker, keyring, OTHER, vault.Emergency("flood"), "zhang")
    with forging(server_settings, warehouse) as conn:  # the day is over
        conn.execute("UPDATE audit.entry SET at = at - interval '1 day'")
    assert vault.open_person(caseworker, keyring, ONE, CASE, "zhang")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        caseworker.execute("SELECT audit.set_openings_per_day(1000, 'zhang')")


def test_a_record_that_was_moved_to_another_person_does_not_open(
    warehouse: psycopg.Connection, keyring: Keyring
) -> None:
    warehouse.execute(
        "UPDATE vault.folded SET sealed = (SELECT sealed FROM vault.folded WHERE person_key = %s)"
        " WHERE person_key = %s",
        [OTHER, ONE],
    )
    with pytest.raises(WarehouseError, match="belongs to another person"):
        vault.open_person(warehouse, keyring, ONE, CASE, "zhang")
    with pytest.raises(WarehouseError, match="belongs to another person"):
        vault.open_for_share(warehouse, keyring, [ONE], "share x", "x", "me")


def test_many_at_once_make_one_chain_and_keep_the_limit(
    warehouse: psycopg.Connection, server_settings: Settings
) -> None:
    access_log.ensure_limit(warehouse, 10, "owner")
    dsn = server.database_dsn(server_settings, warehouse.info.dbname, role="caseworker")

    def ask_often(_: int) -> int:
        made = 0
        with database.connect(dsn) as conn, suppress(WarehouseError):
            for _ in range(5):
                ask(conn)
                made += 1
        return made

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(ask_often, range(4))) == 10
    assert [entry.entry_id for entry in access_log.entries(warehouse)] == list(range(1, 12))
    assert access_log.first_fault(warehouse) is None


def test_a_reader_of_an_old_snapshot_adds_nothing(
    caseworker: psycopg.Connection, warehouse: psycopg.Connection
) -> None:
    caseworker.execute("SET default_transaction_isolation = 'repeatable read'")
    with pytest.raises(WarehouseError, match="Open persons in a read committed transaction"):
        ask(caseworker)
    assert access_log.entries(warehouse) == []


# --- the log ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit.entry SET note = 'x'",
        "DELETE FROM audit.entry",
        "TRUNCATE audit.entry",
        "DROP TABLE audit.entry",
        "ALTER TABLE audit.entry DISABLE TRIGGER only_added",
        "DROP SCHEMA audit CASCADE",
        "CREATE OR REPLACE FUNCTION audit.openings_per_day() RETURNS integer LANGUAGE sql AS 'SELECT 1000'",
        "INSERT INTO audit.entry SELECT * FROM audit.entry",
        "SELECT audit.append(e) FROM audit.entry AS e",
        "SET ROLE vault_log",
    ],
)
def test_neither_case_worker_nor_builder_changes_the_log(
    warehouse: psycopg.Connection, caseworker: psycopg.Connection, statement: str
) -> None:
    ask(caseworker)
    for conn in (caseworker, warehouse):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(statement.encode())
    assert access_log.first_fault(warehouse) is None


def test_its_owner_does_not_change_the_log_by_mistake(
    server_settings: Settings, warehouse: psycopg.Connection, caseworker: psycopg.Connection
) -> None:
    ask(caseworker)
    with server._as_superuser(server._layout(server_settings), warehouse.info.dbname) as conn:
        for statement in ("UPDATE audit.entry SET note = ''", "DELETE FROM audit.entry", "TRUNCATE audit.entry"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
                conn.execute(statement)


@pytest.mark.parametrize(
    ("forgery", "fault"),
    [
        ("UPDATE audit.entry SET person_key = gen_random_uuid() WHERE entry_id = 3", "entry 3 was changed"),
        ("UPDATE audit.entry SET at = at - interval '1 day' WHERE entry_id = 3", "entry 3 was changed"),
        ("UPDATE audit.entry SET login = 'other' WHERE entry_id >= 3", "entry 3 was changed"),
        ("DELETE FROM audit.entry WHERE entry_id = 3", "entry 3 is missing"),
        ("DELETE FROM audit.entry WHERE entry_id = 1", "entry 1 is missing"),
        (
            "DELETE FROM audit.entry WHERE entry_id = 3; UPDATE audit.entry SET entry_id = entry_id - 1"
            " WHERE entry_id > 3",
            "entry 3 was changed",
        ),
        (
            "UPDATE audit.entry SET note = 'x' WHERE entry_id = 3;"
            " UPDATE audit.entry AS e SET hash = audit.digest(e) WHERE entry_id = 3",
            "entry 4 does not follow entry 3, which was changed",
        ),
        ("DELETE FROM audit.entry WHERE entry_id = 6", "entry 6 is missing: it was the last one at the check before"),
        (
            "UPDATE audit.entry SET note = 'x' WHERE entry_id = 6;"
            " UPDATE audit.entry AS e SET hash = audit.digest(e) WHERE entry_id = 6",
            "entry 6 is not the one that it was at the check before",
        ),
    ],
)
def test_a_check_names_the_first_broken_entry(
    server_settings: Settings,
    warehouse: psycopg.Connection,
    caseworker: psycopg.Connection,
    keyring: Keyring,
    forgery: str,
    fault: str,
) -> None:
    for _ in range(3):
        vault.open_person(caseworker, keyring, ONE, CASE, "zhang")
    noted = access_log.head(warehouse)
    assert noted is not None
    assert noted.entry_id == 6
    assert access_log.first_fault(warehouse, noted) is None
    with forging(server_settings, warehouse) as conn:
        for statement in forgery.split(";"):
            conn.execute(statement.encode())
    assert access_log.first_fault(warehouse, noted) == fault


def test_the_chain_is_the_same_in_every_session(warehouse: psycopg.Connection, caseworker: psycopg.Connection) -> None:
    caseworker.execute("SET TimeZone = 'America/New_York'")
    caseworker.execute("SET DateStyle = 'German'")
    caseworker.execute("SET IntervalStyle = 'iso_8601'")
    ask(caseworker)
    ask(warehouse)
    assert access_log.first_fault(warehouse) is None


def test_an_auditor_reads_the_log_and_nothing_else(warehouse: psycopg.Connection, keyring: Keyring) -> None:
    vault.open_person(warehouse, keyring, ONE, CASE, "zhang")
    warehouse.execute("GRANT auditor TO CURRENT_USER")
    try:
        with warehouse.transaction():
            warehouse.execute("SET LOCAL ROLE auditor")
            assert len(access_log.entries(warehouse)) == 2
            assert access_log.first_fault(warehouse) is None
            for statement in ("SELECT * FROM vault.person", "SELECT vault.open_person(1)", "SELECT audit.open(1, '')"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege), warehouse.transaction():
                    warehouse.execute(statement.encode())
    finally:
        warehouse.execute("REVOKE auditor FROM CURRENT_USER")


# --- migration -------------------------------------------------------------------------------------------------------


def test_the_log_stays_when_its_schema_is_migrated_again(
    server_settings: Settings, warehouse: psycopg.Connection, caseworker: psycopg.Connection
) -> None:
    ask(caseworker)
    with forging(server_settings, warehouse) as conn:
        conn.execute("UPDATE audit.setting SET value = 'an older one'")
    warehouse.execute("DELETE FROM ops.setting WHERE name = 'schema'")
    schema.migrate(warehouse, contracts.load())
    assert ask(caseworker) == 2
    assert access_log.first_fault(warehouse) is None
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        warehouse.execute("SET ROLE vault_log")


def test_a_log_of_an_earlier_version_is_left_as_it_was(warehouse: psycopg.Connection, keyring: Keyring) -> None:
    warehouse.execute("DROP VIEW vault.access")
    warehouse.execute("CREATE TABLE vault.access (at timestamptz, who text, person_key uuid, reason text)")
    warehouse.execute("INSERT INTO vault.access VALUES (now(), 'x', %s, 'case 1')", [ONE])
    warehouse.execute("DELETE FROM ops.setting WHERE name = 'schema'")
    schema.migrate(warehouse, contracts.load())
    assert warehouse.execute("SELECT person_key, reason FROM vault.access_before").fetchall() == [(ONE, "case 1")]
    vault.open_person(warehouse, keyring, ONE, CASE, "zhang")
    assert warehouse.execute("SELECT count(*) FROM vault.access").fetchone() == (1,)


def test_an_owner_who_may_not_make_roles_is_given_the_statements(
    server_settings: Settings, warehouse: psycopg.Connection
) -> None:
    """GIVEN an owner without the right to make roles THEN he is told what to do, and can migrate once it is done."""
    with server._as_superuser(server._layout(server_settings), warehouse.info.dbname) as conn:
        conn.execute("CREATE ROLE plain_owner")
        conn.execute("UPDATE ops.setting SET value = 'x' WHERE name = 'schema'")
        try:
            for granted in (False, True):
                if granted:
                    conn.execute("GRANT vault_log TO plain_owner")
                with conn.transaction(force_rollback=True):
                    conn.execute("DROP SCHEMA audit CASCADE")
                    conn.execute(f"GRANT CREATE ON DATABASE {warehouse.info.dbname} TO plain_owner".encode())
                    conn.execute("SET LOCAL SESSION AUTHORIZATION plain_owner")
                    if granted:
                        access_log.migrate(conn)
                        assert access_log.first_fault(conn) is None
                        continue
                    with pytest.raises(WarehouseError, match='GRANT vault_log TO "plain_owner"'):
                        access_log.migrate(conn)
        finally:
            conn.execute("DROP OWNED BY plain_owner")
            conn.execute("DROP ROLE plain_owner")

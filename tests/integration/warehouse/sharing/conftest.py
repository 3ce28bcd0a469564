"""What the tests of sharing have: a published hand-made build, a folder of declarations, and real logins."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest.database import connect
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import shares
from tests.conftest import fresh_database
from warehouse.sharing import views


@pytest.fixture
def empty(database: str) -> Iterator[psycopg.Connection]:
    """Two builds, nothing published."""
    with connect(database) as conn:
        shares.make_builds(conn)
        yield conn
    drop_roles(database)


def drop_roles(dsn: str) -> None:
    """Drop the roles of shares, which belong to the server and so to every test."""
    with connect(dsn) as conn:
        for (name,) in conn.execute("SELECT DISTINCT name FROM ops.share").fetchall():
            views.remove(conn, name)
        for (login,) in conn.execute("SELECT login FROM ops.share_login").fetchall():
            conn.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(login)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of declarations."""
    (tmp_path / "shares").mkdir()
    return tmp_path / "shares"


@pytest.fixture
def conn(empty: psycopg.Connection, folder: Path) -> psycopg.Connection:
    """A published build."""
    shares.publish_build(empty, folder, "build_a")
    return empty


@pytest.fixture(scope="module")
def judging(
    server_settings: Settings, migrated_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[psycopg.Connection]:
    """A published build for tests that only ask what is wrong with a declaration: nothing is approved there."""
    with fresh_database(server_settings, "test_judging", migrated_database) as dsn, connect(dsn) as conn:
        shares.make_builds(conn)
        shares.publish_build(conn, tmp_path_factory.mktemp("shares"), "build_a")
        yield conn


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring.from_settings(settings)


class Readers:
    """Connects with the logins of shares."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def __call__(self, login: tuple[str, str]) -> psycopg.Connection:
        parameters = {**conninfo_to_dict(self._dsn), "user": login[0], "password": login[1]}
        return psycopg.connect(make_conninfo(**parameters), autocommit=True)


@pytest.fixture
def reader(database: str) -> Readers:
    return Readers(database)

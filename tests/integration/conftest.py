"""What the tests of loading share: a migrated database, and a way to load a whole inbox."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ingest import database, pipeline
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests.conftest import BUILDS_DATABASE, fresh_database
from tests.worlds import Builds
from warehouse.build import dbt


@pytest.fixture
def warehouse(database_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a fresh warehouse."""
    with database.connect(database_dsn) as conn:
        yield conn


@pytest.fixture
def database_dsn(database: str) -> str:
    """DSN of a fresh warehouse."""
    return database


@pytest.fixture
def keyring(settings: Settings) -> Keyring:
    return Keyring.from_settings(settings)


Loader = Callable[..., list[pipeline.Outcome]]


@pytest.fixture
def load_inbox(warehouse: psycopg.Connection, settings: Settings, database_dsn: str) -> Loader:
    """Register what is in an inbox and load it, in a given order of locations, or as it comes."""

    def run(
        inbox: Path, order: Sequence[str] | None = None, gate: pipeline.Gate | None = None, chosen: Settings = settings
    ) -> list[pipeline.Outcome]:
        here = chosen.model_copy(update={"inbox": str(inbox)})
        pipeline.register(warehouse, here)
        arrivals = pipeline.pending(warehouse)
        if order is not None:
            arrivals.sort(key=lambda arrival: order.index(arrival.location))
        return [pipeline.load(database_dsn, here, arrival.arrival_id, gate) for arrival in arrivals]

    return run


@pytest.fixture(scope="session")
def seeded_database(
    server_settings: Settings, migrated_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Name of a database with an empty warehouse and the seeds of both build schemas."""
    name, folder = "seeded", tmp_path_factory.mktemp("seeds")
    with ExitStack() as copy:
        # dbt knows the database by the name that it has for the tests
        with (
            fresh_database(server_settings, BUILDS_DATABASE, migrated_database) as dsn,
            pytest.MonkeyPatch.context() as patch,
        ):
            seeds = Builds(dsn, Settings(home=folder, dsn=SecretStr(dsn)), patch, folder)
            for schema in dbt.BUILDS:
                seeds.dbt(schema, "seed")
            seeds.conn.close()
            copy.enter_context(fresh_database(server_settings, name, BUILDS_DATABASE))
        yield name


@pytest.fixture
def builds(
    warehouse: psycopg.Connection,
    database_dsn: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> Iterator[Builds]:
    """dbt over a fresh warehouse."""
    made = Builds(database_dsn, settings, monkeypatch, tmp_path)
    yield made
    made.conn.close()

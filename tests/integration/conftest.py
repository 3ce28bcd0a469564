"""What the tests of loading share: a migrated database, the sample deliveries, and a way to load a whole inbox."""

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
import pytest

from ingest import contracts, database, load
from ingest.settings import Settings
from tests.worlds import Builds


@pytest.fixture(scope="session")
def samples() -> Path:
    """The sample deliveries: ``UNION_SAMPLES``, or beside the repository. They are no part of it."""
    beside = Path(__file__).parents[3] / "shared" / "samples"
    place = Path(os.environ.get("UNION_SAMPLES", beside))
    if not (place / "inbox").is_dir():
        pytest.skip(f"no sample deliveries at {place}")
    return place


@pytest.fixture
def warehouse(database_dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a fresh warehouse."""
    with database.connect(database_dsn) as conn:
        database.migrate(conn, contracts.load())
        yield conn


@pytest.fixture
def database_dsn(database: str) -> str:
    return database


Loader = Callable[..., list[load.Outcome]]


@pytest.fixture
def load_inbox(warehouse: psycopg.Connection, settings: Settings, database_dsn: str) -> Loader:
    """Register what is in an inbox and load it, in a given order of locations, or as it comes."""

    def run(
        inbox: Path, order: Sequence[str] | None = None, gate: load.Gate | None = None, chosen: Settings = settings
    ) -> list[load.Outcome]:
        here = chosen.model_copy(update={"inbox": str(inbox)})
        load.register(warehouse, here)
        arrivals = load.pending(warehouse)
        if order is not None:
            arrivals.sort(key=lambda arrival: order.index(arrival.location))
        return [load.load(database_dsn, here, arrival.arrival_id, gate) for arrival in arrivals]

    return run


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

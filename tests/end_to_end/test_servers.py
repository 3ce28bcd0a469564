"""A whole pass on each PostgreSQL that this machine has, with an owner who is no superuser; and behind PgBouncer.

Debian's packages ``postgresql-15`` (or another version) and ``pgbouncer`` are enough. The embedded server is one of them;
``tests.postgres.installed`` says how others are found.
"""

from pathlib import Path

import psycopg
import pytest
from pydantic import SecretStr

from ingest import synthetic
from ingest.settings import Settings
from tests import postgres
from tests.integration.warehouse.local.test_preflight import bouncer, needs_bouncer, public_folder  # noqa: F401
from warehouse import operations
from warehouse.local import preflight

INSTALLED = postgres.installed()
KEY = SecretStr("test-key-" + "0" * 32)

pytestmark = pytest.mark.slow


def loads_builds_and_publishes(dsn: str, home: Path) -> None:
    """Two passes: the first builds everything, the second what a further delivery changes."""
    settings = Settings(home=home, inbox=str(home / "inbox"), dsn=SecretStr(dsn), key=KEY)
    synthetic.generate(home / "inbox", members=60, settlements=60, dirty=False)
    packages = sorted((home / "inbox").iterdir())
    later = packages[-1].rename(home / packages[-1].name)
    preflight.require(settings)
    for _ in range(2):
        report = operations.run(settings, lambda *_: None)
        assert report.not_decided == []
        assert report.moved is not None
        if later.exists():
            later = later.rename(home / "inbox" / later.name)
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT count(*) FROM ops.publication").fetchone() == (2,)
        found = conn.execute("SELECT sum(members) FROM marts.union_coverage_month").fetchone()
        assert found is not None
        assert found[0] > 0


@pytest.mark.parametrize("version", range(15, 19))
def test_a_pass_on_postgresql(version: int, tmp_path: Path) -> None:
    if version not in INSTALLED:
        pytest.skip(f"PostgreSQL {version} is not installed, and {postgres.FURTHER} names no folder of its programs")
    with postgres.running(INSTALLED[version], "max_locks_per_transaction=512") as server:
        loads_builds_and_publishes(postgres.make_owner(server), tmp_path)


@needs_bouncer
@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_readers_may_come_through_a_pooler(mode: str, tmp_path: Path, public_folder: Path) -> None:  # noqa: F811
    """GIVEN PgBouncer in front of a published warehouse THEN a reader sees through it what he sees without it."""
    query = "SELECT month, sum(members) FROM marts.union_coverage_month GROUP BY month ORDER BY month"
    with postgres.running(INSTALLED[max(INSTALLED)], "max_locks_per_transaction=512") as server:
        loads_builds_and_publishes(postgres.make_owner(server), tmp_path)
        with psycopg.connect(server.dsn("warehouse"), autocommit=True) as conn:
            conn.execute("ALTER ROLE bi_reader LOGIN PASSWORD 'of-a-reader'")
        dsn = server.dsn("warehouse", "bi_reader", "of-a-reader")
        with psycopg.connect(dsn) as direct, bouncer(dsn, public_folder, f"pool_mode = {mode}") as pooled:
            rows = direct.execute(query).fetchall()
            assert rows
            with psycopg.connect(pooled) as reader, psycopg.connect(pooled) as other:
                assert reader.execute(query).fetchall() == rows == other.execute(query).fetchall()
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    reader.execute("SELECT FROM core.person")

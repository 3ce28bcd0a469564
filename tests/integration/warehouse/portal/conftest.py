"""The portal of a small warehouse: every kind of decision, and a publication with a few indicators."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb
from pydantic import SecretStr

from expectations import gate
from ingest import contracts, pipeline
from ingest.database import connect
from ingest.settings import Settings
from tests.conftest import fresh_database
from tests.packages import enrolment, register_of, write
from warehouse.build import dbt
from warehouse.portal import pages
from warehouse.sharing import lineage

#: What only rows of persons say: no page may.
SECRET = "机密内容"
REJECTED = "Unfug123"


@pytest.fixture(scope="session")
def portal(
    server_settings: Settings, migrated_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Path]:
    """The folder of the portal."""
    home = tmp_path_factory.mktemp("portal")
    with fresh_database(server_settings, "test_portal", migrated_database) as dsn:
        settings = Settings(home=home, inbox=str(home / "inbox"), dsn=SecretStr(dsn), key=SecretStr("k" * 40))
        _fill(home / "inbox")
        with connect(dsn) as conn:
            pipeline.register(conn, settings)
            for arrival in pipeline.pending(conn):
                pipeline.load(dsn, settings, arrival.arrival_id, gate.validate)
            _publish(conn, settings)
        pages.write(dsn, home / "docs")
        yield home / "docs"


def _fill(inbox: Path) -> None:
    """Packages that are accepted with rejected rows and warnings, refused for form and for content, and repeated."""
    inbox.mkdir()
    rows = [enrolment(number, provider_name=SECRET) for number in range(1, 100)]
    rows[10]["result"] = REJECTED
    rows[20]["started_on"] = "2026-99-99"
    write(inbox, "training-440000-2026-07", {"enrolment": rows})
    write(inbox, "training-440000-2026-07", {"enrolment": rows}, location="again")
    write(inbox, "training-440000-2026-07", {"enrolment": rows[:5]}, location="reused")
    write(inbox, "training-110000-2026-05", {"enrolment": rows[:50]}, sender="110000", period="2026-05")
    bad = [{key: value for key, value in row.items() if key != "started_on"} for row in rows]
    write(inbox, "bad", {"enrolment": bad}, period="2026-06")
    members = register_of(["A1"], range(1, 301), joined_on="2026-08-01")
    write(inbox, "members", members, source="membership", mode="snapshot", created="2026-08-01T00:00:00Z")
    (inbox / "<b>broken.zip").write_bytes(b"no archive")


def _publish(conn: psycopg.Connection, settings: Settings) -> None:
    """A publication of all tables as the project describes them, and the rows of an indicator."""
    conn.execute("CREATE SCHEMA IF NOT EXISTS marts")
    conn.execute(
        "CREATE TABLE marts.reform_indicator AS"
        " SELECT 'joining_rate' AS indicator, month, admdvs, 1.0 AS numerator, 2.0 AS denominator, value FROM (VALUES"
        " (date '2026-06-01', '440000', 0.5), ('2026-07-01', '440000', 0.6),"
        " ('2026-07-01', '100000', 0.6), ('2026-07-01', '110000', NULL)"
        ") AS made_up (month, admdvs, value)"
    )
    conn.execute(
        "CREATE TABLE marts.reform_indicator_progress AS SELECT *, value >= target AS reaches_target FROM ("
        "SELECT *, 0.55 AS value_year_before,"
        " CASE WHEN admdvs = '100000' THEN 0.7 WHEN admdvs = '440000' THEN 0.6 END AS target"
        " FROM marts.reform_indicator) AS beside"
    )
    row = conn.execute(
        "INSERT INTO ops.publication (build, deliveries, row_counts, ledger_hash, is_current)"
        " VALUES ('build_a', '{training-440000-2026-07}', %s, 'x', true) RETURNING publication_id",
        [Jsonb({"marts.reform_indicator": 4})],
    ).fetchone()
    assert row is not None
    lineage.record(conn, row[0], lineage.read_manifest(dbt.manifest(settings), contracts.load()))
    conn.execute(
        "INSERT INTO ops.validation_result (build, suite, expectation, severity, success, observed)"
        " VALUES ('build_a', 'figures', 'rows_add_up', 'critical', true, '{\"observed_value\": 1}')"
    )

"""dbt called by hand as the engineers' guide says: from the project's folder, with a profile in the home folder.

One plain ``dbt build`` over an empty warehouse serves all tests; it runs dbt's unit tests, every one in the yml files.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from ingest import database
from ingest.settings import Settings
from tests.conftest import DBT_UNIT_TEST, fresh_database
from warehouse.build import dbt

Results = dict[str, dict[str, Any]]

BUILD, TEST, DOCS = ("build",), ("test", "--select", "union_coverage_month"), ("docs", "generate")


def written() -> list[str]:
    """``model.name`` of the unit tests in all yml files, as read without dbt."""
    made = (dbt.PROJECT / "target", dbt.PROJECT / "logs")
    return sorted(
        f"{test['model']}.{test['name']}"
        for ending in ("yml", "yaml")
        for path in dbt.PROJECT.rglob(f"*.{ending}")
        if not any(path.is_relative_to(folder) for folder in made)
        for test in (yaml.safe_load(path.read_text("utf-8")) or {}).get("unit_tests", [])
    )


class ByHand:
    """The command dbt, each time in a process of its own; what it makes stays out of the project."""

    def __init__(self, dsn: str, folder: Path) -> None:
        server = conninfo_to_dict(dsn)
        output = {
            "type": "postgres",
            "schema": dbt.BUILDS[1],
            "threads": 2,
            "host": server["host"],
            "port": int(server["port"] or 5432),
            "dbname": server["dbname"],
            "user": server["user"],
            "password": server.get("password", ""),
        }
        profile = folder / "home" / ".dbt" / "profiles.yml"
        profile.parent.mkdir(parents=True)
        profile.write_text(yaml.safe_dump({"warehouse": {"target": "by_hand", "outputs": {"by_hand": output}}}))
        self.target = folder / "target"
        self._environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("WAREHOUSE_", "DBT_"))
        } | {
            "HOME": str(folder / "home"),
            "DBT_TARGET_PATH": str(self.target),
            "DBT_LOG_PATH": str(folder / "logs"),
        }

    def __call__(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).with_name("dbt")), *command],
            cwd=dbt.PROJECT,
            env=self._environment,
            capture_output=True,
            text=True,
        )


@pytest.fixture(scope="module")
def dsn(server_settings: Settings, migrated_database: str) -> Iterator[str]:
    """DSN of an empty warehouse."""
    with fresh_database(server_settings, "dbt_by_hand", migrated_database) as dsn:
        yield dsn


@pytest.fixture(scope="module")
def conn(dsn: str) -> Iterator[psycopg.Connection]:
    """The warehouse, in which the ledger says that the second build schema is complete."""
    with database.connect(dsn) as conn:
        conn.execute(
            "INSERT INTO ops.build (build, code_hash, ledger_hash, completed_at) VALUES ('build_b', 'c', 'l', now())"
        )
        yield conn


@pytest.fixture(scope="module")
def call(dsn: str, tmp_path_factory: pytest.TempPathFactory) -> ByHand:
    return ByHand(dsn, tmp_path_factory.mktemp("by_hand"))


@pytest.fixture(scope="module")
def results(conn: psycopg.Connection, call: ByHand) -> Results:
    """What dbt says of every node of a build, by unique id."""
    done = call(*BUILD)
    path = call.target / "run_results.json"
    assert path.exists(), done.stdout[-4000:]  # if some node failed: which one, the results say
    content = json.loads(path.read_text("utf-8"))
    return {result["unique_id"]: result for result in content["results"]}


@pytest.mark.parametrize("test", written())
def test_unit_test_of_dbt(test: str, results: Results, record_property: Callable[[str, bool], None]) -> None:
    result = results.get(f"unit_test.warehouse.{test}", {"status": "not among the tests that ran", "message": None})
    record_property(DBT_UNIT_TEST, result["status"] in ("pass", "fail"))
    assert result["status"] == "pass", result["message"]


def test_every_unit_test_that_ran_is_counted(results: Results) -> None:
    ran = sorted(key.split(".", 2)[2] for key in results if key.startswith("unit_test."))
    assert ran == written()


def test_a_plain_build_over_an_empty_warehouse_succeeds(results: Results) -> None:
    wrong = {
        key: result["message"]
        for key, result in results.items()
        # dbt does nothing for an exposure, and says so
        if result["status"] not in ("success", "pass") and not key.startswith("exposure.")
    }
    assert wrong == {}


def held(conn: psycopg.Connection) -> tuple[object, ...] | None:
    """What the ledger says of the schema, and what stands in one of its tables."""
    return conn.execute(
        "SELECT b.code_hash, b.ledger_hash, b.completed_at IS NOT NULL, (SELECT count(*) FROM build_b.calendar_month)"
        " FROM ops.build AS b WHERE b.build = 'build_b'"
    ).fetchone()


@pytest.mark.usefixtures("results")
def test_build_test_and_docs_by_hand(conn: psycopg.Connection, call: ByHand) -> None:
    for command in (TEST, DOCS):
        done = call(*command)
        assert done.returncode == 0, done.stdout[-4000:]
    # what was built by hand is nothing that the next pass may go on from
    code, ledger, complete, months = held(conn)  # type: ignore[misc]
    assert (code, ledger, complete) == (None, None, False)
    assert months > 0

    # WHEN the schema is published and a row would come again with a build
    conn.execute("DELETE FROM build_b.calendar_month")
    conn.execute(
        "UPDATE ops.build SET code_hash = 'c', ledger_hash = 'l', completed_at = now() WHERE build = 'build_b'"
    )
    conn.execute(
        "INSERT INTO ops.publication (build, deliveries, row_counts, ledger_hash, is_current)"
        " VALUES ('build_b', '{}', '{}', 'l', true)"
    )
    for command in (BUILD, TEST, DOCS):
        done = call(*command)
        assert done.returncode != 0, command
        assert "The schema build_b is published" in done.stdout, done.stdout[-4000:]
        assert held(conn) == ("c", "l", True, 0)

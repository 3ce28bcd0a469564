"""Builds: bring the build schema that nobody reads up to date, with dbt, as planned (``plans``)."""

import secrets
import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import copies, dbt, plans, publish
from warehouse.dbt import BUILDS, PARSED, OnNode, OnResult
from warehouse.plans import BuildPlan, exclusive

#: dbt's unit tests look at the code, not at the data: `make test` runs them.
DBT_FLAGS = ("--exclude-resource-type", "unit_test")

#: Tests of keys that a table's unique index refuses to break; a full build and the weekly run ask them all the same.
GUARDED_BY_INDEX = ("test_name:unique", "test_name:unique_combination_of_columns")

#: For builds of much at once (``plans.LARGE_ROWS``).
LARGE_OPTIONS = "-c enable_nestloop=off"


def run(
    dsn: str,
    settings: Settings,
    plan: BuildPlan,
    on_node: OnNode | None = None,
    on_result: OnResult | None = None,
) -> None:
    """Run ``dbt build`` for a plan, in this process, and store how every node fared.

    Raises:
        WarehouseError: A model or a test failed, or dbt could not start. Nothing is published then.
    """
    folder = dbt.target(settings, plan["build"])
    command = ["build", *DBT_FLAGS, "--threads", str(settings.dbt_threads)]
    if plan["full_refresh"]:
        command.append("--full-refresh")
    else:
        # The code is the one that built this schema: seeds, views and calendars stand as they were. A copy lacks views.
        static = [] if plan["copy_of"] is not None else ["tag:static"]
        command += ["--indirect-selection", "cautious", "--exclude", "tag:weekly", *GUARDED_BY_INDEX, *static]
    results = folder / "run_results.json"
    results.unlink(missing_ok=True)
    parsed = dbt.target(settings, "parse") / PARSED
    if plan["build"] == BUILDS[0] and parsed.exists() and not (folder / PARSED).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parsed, folder / PARSED)
    with exclusive(dsn):
        with connect(dsn) as conn:
            plans.check(conn, plan)
            if plan["copy_of"] is not None:
                copies.copy(conn, plan["copy_of"], plan["build"])
            if plan["full_refresh"]:
                copies.set_aside(conn, plan["build"], plan["token"])
        try:
            listeners = [
                *([dbt.listener(on_node)] if on_node else []),
                *([dbt.result_listener(on_result)] if on_result else []),
            ]
            variables = dbt.environment(dsn, settings)
            if plan["large"]:
                variables["PGOPTIONS"] = f"{variables.get('PGOPTIONS', '')} {LARGE_OPTIONS}".strip()
            dbt.invoke(command, folder, variables, variables=plan["vars"], listeners=listeners)
        except WarehouseError as error:
            raise WarehouseError(f"Nothing is published. {error}") from error
        finally:
            if results.exists():
                with connect(dsn) as conn:
                    dbt.record(conn, plan["build"], plan["token"], results)
        dbt.keep_manifest(settings, folder)
        with connect(dsn) as conn:
            _vacuum_marts(conn, plan["build"], folder / "manifest.json")


def _vacuum_marts(conn: psycopg.Connection, build: str, manifest: Path) -> None:
    """Note that everybody sees the marts' rows: dashboards add up many rows of few columns, out of an index alone then.

    After the build, for while other models are being built their transactions might not see them.
    """
    for relation in publish.relations(manifest):
        if relation.schema == "marts":
            conn.execute(sql.SQL("VACUUM {}").format(sql.Identifier(build, relation.name)))


def check_published(dsn: str, settings: Settings, on_node: OnNode | None = None) -> str | None:
    """Run all data tests over everything that is published, not only over what changed; changes nothing.

    Returns:
        The build that was tested, None when nothing is published.

    Raises:
        WarehouseError: A test failed (results stand in ``ops.dbt_result``).
    """
    # Holding the lock, so that no build begins in the schema under test.
    with exclusive(dsn), connect(dsn) as conn:
        row = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()
        if row is None:
            return None
        build, token = str(row[0]), secrets.token_hex(8)
        folder = dbt.target(settings, f"check_{build}")
        variables = {"build": build, "full_tests": True}
        listeners = [dbt.listener(on_node)] if on_node else []
        results = folder / "run_results.json"
        results.unlink(missing_ok=True)
        try:
            command = ["test", *DBT_FLAGS, "--threads", str(settings.dbt_threads)]
            dbt.invoke(command, folder, dbt.environment(dsn, settings), variables=variables, listeners=listeners)
        finally:
            if results.exists():
                dbt.record(conn, build, token, results)
        return build

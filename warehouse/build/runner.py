"""Runs dbt on the unpublished build schema, according to a plan (``planning``)."""

import secrets
import shutil
from pathlib import Path

import psycopg
from psycopg import sql

from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse.build import clone_schema, dbt, planning, publish, selection
from warehouse.build.dbt import BUILDS, PARTIAL_PARSE, OnNode, OnResult, OnStart
from warehouse.build.planning import BuildPlan, exclusive

#: dbt's unit tests test the code, not the data: `make test` runs them.
DBT_FLAGS = ("--exclude-resource-type", "unit_test")

#: Tests of keys that a unique index already guarantees; run in full builds and weekly only.
GUARDED_BY_INDEX = ("test_name:unique", "test_name:unique_combination_of_columns")

#: Connection options of builds that change much (``planning.LARGE_ROWS``).
LARGE_OPTIONS = "-c enable_nestloop=off"


def run(
    dsn: str,
    settings: Settings,
    plan: BuildPlan,
    on_node: OnNode | None = None,
    on_result: OnResult | None = None,
    on_start: OnStart | None = None,
) -> None:
    """Run ``dbt build`` for a plan, in this process, and store the result of every node.

    Raises:
        WarehouseError: A model or a test failed, or dbt could not start. Nothing is published then.
    """
    folder = dbt.target(settings, plan["build"])
    results = folder / "run_results.json"
    results.unlink(missing_ok=True)
    parsed = dbt.target(settings, "parse") / PARTIAL_PARSE
    if plan["build"] == BUILDS[0] and parsed.exists() and not (folder / PARTIAL_PARSE).exists():
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(parsed, folder / PARTIAL_PARSE)
    with exclusive(dsn):
        with connect(dsn) as conn:
            planning.check(conn, plan)
            if plan["copy_of"] is not None:
                clone_schema.copy(conn, plan["copy_of"], plan["build"])
            if plan["full_refresh"]:
                clone_schema.rename_referenced_tables(conn, plan["build"], plan["token"])
        try:
            listeners = [
                *([dbt.listener(on_node)] if on_node else []),
                *([dbt.result_listener(on_result)] if on_result else []),
                *([dbt.start_listener(on_start)] if on_start else []),
            ]
            variables = dbt.environment(dsn, settings)
            if plan["large"]:
                variables["PGOPTIONS"] = f"{variables.get('PGOPTIONS', '')} {LARGE_OPTIONS}".strip()
            dbt.invoke(_command(settings, plan), folder, variables, variables=plan["vars"], listeners=listeners)
        except WarehouseError as error:
            raise WarehouseError(f"Nothing is published. {error}") from error
        finally:
            if results.exists():
                with connect(dsn) as conn:
                    dbt.record(conn, plan["build"], plan["token"], results)
        dbt.keep_manifest(settings, folder)
        with connect(dsn) as conn:
            _vacuum_marts(conn, plan["build"], folder / "manifest.json")


def _command(settings: Settings, plan: BuildPlan) -> list[str]:
    """The arguments of dbt for a plan."""
    command = ["build", *DBT_FLAGS, "--threads", str(settings.dbt_threads)]
    if plan["full_refresh"]:
        return [*command, "--full-refresh"]
    # The same code has built this schema, so seeds, views and calendars are up to date. A copy lacks views.
    static = [] if plan["copy_of"] is not None else ["tag:static"]
    # A test is left out with the last of the models that it reads (cautious).
    unchanged = (
        []
        if plan["changed_sources"] is None
        else selection.unchanged_models(dbt.manifest(settings), plan["changed_sources"])
    )
    excluded = ["tag:weekly", *GUARDED_BY_INDEX, *static, *unchanged]
    return [*command, "--indirect-selection", "cautious", "--exclude", *excluded]


def _vacuum_marts(conn: psycopg.Connection, build: str, manifest: Path) -> None:
    """Vacuum the marts, so that dashboards can read few columns of many rows by index-only scans.

    Only after the build: while other transactions run, vacuum cannot mark new rows as visible to all.
    """
    for relation in publish.relations(manifest):
        if relation.schema == "marts":
            conn.execute(sql.SQL("VACUUM {}").format(sql.Identifier(build, relation.name)))


def check_published(dsn: str, settings: Settings, on_node: OnNode | None = None) -> str | None:
    """Run all data tests over everything that is published, not only over what changed. Changes nothing.

    Returns:
        The build that was tested, None when nothing is published.

    Raises:
        WarehouseError: A test failed; the results are in ``ops.dbt_result``.
    """
    # With the lock, so that no build starts in the schema under test.
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

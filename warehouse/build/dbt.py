"""Calls dbt in this process, with its folders, settings and events, and stores its results.

One invocation at a time: dbt reads its connection from the environment of the process.
"""

import gc
import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq

from ingest import contracts
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import whole_file
from warehouse.local import server

PROJECT = Path(__file__).resolve().parents[2] / "dbt_project"
#: The folder of the profile with which this module calls dbt.
PROFILE = PROJECT / "profile"
CONTRACTS = Path(contracts.__file__).resolve().parent
BUILDS = ("build_a", "build_b")
#: dbt's cache of a parse, which the next one with the same variables and environment reuses.
PARTIAL_PARSE = "partial_parse.msgpack"

_ENVIRONMENT_LOCK = threading.Lock()

#: Called with (name of the node, number of finished nodes, number of all nodes).
OnNode = Callable[[str, int, int], None]
#: Called with (unique id, dbt's status) of every finished node, including tests, from dbt's threads.
OnResult = Callable[[str, str], None]
#: Called with the unique id of every node that begins, from dbt's threads.
OnStart = Callable[[str], None]


def code_hash() -> str:
    """Hash of the files that determine what dbt builds: its project, the contracts and code lists."""
    files = [
        *(path for ending in ("sql", "yml", "yaml", "csv") for path in PROJECT.rglob(f"*.{ending}")),
        *(path for ending in ("yaml", "csv") for path in CONTRACTS.rglob(f"*.{ending}")),
    ]
    generated = {PROJECT / "target", PROJECT / "logs"}
    return hash_files(path for path in files if generated.isdisjoint(path.parents))


def hash_files(files: Iterable[Path]) -> str:
    """Hash of the names and contents of files, whatever their order."""
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment(dsn: str, settings: Settings) -> dict[str, str]:
    """Environment variables with which dbt finds the warehouse (see ``dbt_project/profile``). Holds a password."""
    options = {option.keyword.decode(): option for option in pq.Conninfo.parse(dsn.encode())}
    parameters = {name: option.val.decode() for name, option in options.items() if option.val}
    result = {
        "WAREHOUSE_DBT_HOST": parameters.pop("host", "") or parameters.get("hostaddr", "localhost"),
        "WAREHOUSE_DBT_PORT": parameters.pop("port", "5432"),
        "WAREHOUSE_DBT_USER": parameters.pop("user", ""),
        "WAREHOUSE_DBT_PASSWORD": parameters.pop("password", ""),
        "WAREHOUSE_DBT_DBNAME": parameters.pop("dbname", ""),
        "WAREHOUSE_DBT_THREADS": str(settings.dbt_threads),
        # dbt that a user starts may do less: dbt_project/macros/by_hand.sql
        "WAREHOUSE_DBT_CALLER": "warehouse",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    # libpq reads the other parameters of the DSN (sslmode, certificates, …) from its own variables.
    for name, value in parameters.items():
        if variable := options[name].envvar:
            result[variable.decode()] = value
    return result


def target(settings: Settings, build: str) -> Path:
    """Dbt's target folder for a build. One for each, because changed variables make dbt parse the whole project."""
    return settings.root / "dbt" / build


def manifest_path(settings: Settings) -> Path:
    """Path of dbt's last manifest. It may be missing, or older than the code."""
    return settings.root / "dbt" / "manifest.json"


def manifest(settings: Settings) -> Path:
    """Path of dbt's manifest of the current project, which is parsed where the last manifest is older than the code."""
    path = manifest_path(settings)
    hash_file = path.with_name("manifest.code")
    if not (path.exists() and hash_file.exists() and hash_file.read_text() == code_hash()):
        folder = target(settings, "parse")
        # Parsing needs no connection, but the first build reuses its cache only if the environment is the same.
        is_running = settings.dsn is not None or server.is_running(settings)
        dsn = server.ensure_running(settings) if is_running else "host=localhost port=5432 user=nobody dbname=none"
        invoke(["parse"], folder, environment(dsn, settings), variables={"build": BUILDS[0]})
        keep_manifest(settings, folder)
    return path


def keep_manifest(settings: Settings, folder: Path) -> None:
    """Store the manifest of a target folder as that of the current code."""
    path = manifest_path(settings)
    with whole_file.replaced(path) as file:
        file.write((folder / "manifest.json").read_bytes())
    whole_file.write_text(path.with_name("manifest.code"), code_hash())


def document(dsn: str, settings: Settings, build: str) -> Path:
    """Let dbt write its documentation of a build as a single page; returns the page's path."""
    folder = target(settings, build)
    invoke(["docs", "generate", "--static"], folder, environment(dsn, settings), variables={"build": build})
    return folder / "static_index.html"


def invoke(
    command: list[str],
    folder: Path,
    environment: dict[str, str],
    *,
    variables: dict[str, Any],
    listeners: Sequence[Callable[[Any], None]] = (),
) -> None:
    """Call dbt in this process.

    Args:
        command: The arguments of dbt, without the options that are the same for all calls.
        folder: Target folder, which gets ``logs`` too.
        environment: Variables that are set while dbt runs.
        variables: dbt's ``--vars``.
        listeners: Called with every event of dbt.

    Raises:
        WarehouseError: dbt or one of its nodes failed.
    """
    # Slow to import (2 s): only where dbt runs.
    from dbt.cli.main import dbtRunner

    from warehouse.build import connections

    connections.install()
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        *command,
        *("--project-dir", str(PROJECT)),
        *("--profiles-dir", str(PROFILE)),
        *("--target-path", str(folder)),
        *("--log-path", str(folder / "logs")),
        *("--vars", json.dumps(variables)),
        *("--log-level", "none"),
        *("--log-level-file", "info"),
    ]
    try:
        with _environment_set(environment):
            result = dbtRunner(callbacks=list(listeners)).invoke(arguments)
        if not result.success:
            raise _failure(result, folder) from result.exception
    finally:
        result = None  # it refers to dbt's locks
        _free_locks()


def _free_locks() -> None:
    """Free the locks that dbt keeps of a run.

    Each is a semaphore of the operating system. One that is left when the process ends without cleaning up, as a task
    of Airflow does, is reported on standard error, which stands in red in the task's log.
    """
    from dbt.adapters.factory import reset_adapters

    reset_adapters()
    gc.collect()  # manifests and their locks refer to each other


@contextmanager
def _environment_set(environment: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while; of several threads one at a time."""
    with _ENVIRONMENT_LOCK:
        before = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _failure(result: Any, folder: Path) -> WarehouseError:
    """The error that says why dbt's result is no success."""
    if result.exception is not None:
        return WarehouseError(f"dbt could not do its work: {result.exception}")
    failed = [
        f"{node.node.name}: {_first_line(node.message) or node.status}"
        for node in result.result.results
        if node.status in ("error", "fail", "runtime error")
    ]
    shown = " | ".join(failed[:8]) + (f" | and {len(failed) - 8} more" if len(failed) > 8 else "")
    return WarehouseError(f"dbt: {len(failed)} failed: {shown} (log: {folder / 'logs'})")


def _first_line(message: str | None) -> str | None:
    """The first line of an error message; further lines of a database error may quote a row."""
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    if lines and " Error in " in lines[0]:  # "Database Error in model …" repeats the name of the node
        lines = lines[1:] or lines
    return lines[0][:500] if lines else None


def listener(on_node: OnNode) -> Callable[[Any], None]:
    """Turn dbt's events into calls of ``on_node``."""
    # Name of the event -> its field with the number of nodes.
    totals = {"LogModelResult": "total", "LogSeedResult": "total", "LogTestResult": "num_models"}

    def listen(event: Any) -> None:
        if field := totals.get(event.info.name):
            on_node(event.data.node_info.node_name, event.data.index, getattr(event.data, field))

    return listen


def result_listener(on_result: OnResult) -> Callable[[Any], None]:
    """Turn dbt's events into calls of ``on_result``."""

    def listen(event: Any) -> None:
        if event.info.name == "NodeFinished":
            on_result(event.data.node_info.unique_id, event.data.run_result.status)

    return listen


def start_listener(on_start: OnStart) -> Callable[[Any], None]:
    """Turn dbt's events into calls of ``on_start``."""

    def listen(event: Any) -> None:
        if event.info.name == "NodeStart":
            on_start(event.data.node_info.unique_id)

    return listen


def record(conn: psycopg.Connection, build: str, token: str, results: Path) -> None:
    """Store dbt's ``run_results.json`` in ``ops.dbt_result``, in place of earlier results of the same token."""
    content = json.loads(results.read_text(encoding="utf-8"))
    rows = [
        (
            build,
            token,
            node["unique_id"],
            node["unique_id"].split(".", 1)[0],
            node["status"],
            node.get("failures"),
            node["execution_time"],
            _first_line(node.get("message")),
            content["metadata"]["generated_at"],
        )
        for node in content["results"]
    ]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("DELETE FROM ops.dbt_result WHERE token = %s", [token])
        cursor.executemany(
            "INSERT INTO ops.dbt_result (build, token, node, resource_type, status, failures, seconds, message, run_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )

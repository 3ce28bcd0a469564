"""dbt, called in this process: where it lies, what it is told, what it tells.

One invocation at a time: dbt reads its connection from the environment of the process.
"""

import hashlib
import json
import os
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import pq

from ingest import contracts
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import server

PROJECT = Path(__file__).resolve().parents[1] / "dbt_project"
CONTRACTS = Path(contracts.__file__).resolve().parent
BUILDS = ("build_a", "build_b")
#: What dbt keeps of a parse, for the next one with the same variables and environment.
PARSED = "partial_parse.msgpack"

_ENVIRONMENT = threading.Lock()

#: Told (node, finished, all) as dbt goes on.
OnNode = Callable[[str, int, int], None]
#: Told (unique id, dbt's status) of every node that is finished, tests too; called from dbt's threads.
OnResult = Callable[[str, str], None]


def code_hash() -> str:
    """Hash of everything that decides what dbt builds: its project, the contracts and code lists."""
    digest = hashlib.sha256()
    files = [
        *(path for ending in ("sql", "yml", "yaml", "csv") for path in PROJECT.rglob(f"*.{ending}")),
        *(path for ending in ("yaml", "csv") for path in CONTRACTS.rglob(f"*.{ending}")),
    ]
    made = {PROJECT / "target", PROJECT / "logs"}
    for path in sorted(path for path in files if made.isdisjoint(path.parents)):
        digest.update(f"{path.name}\0{path.stat().st_size}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def environment(dsn: str, settings: Settings) -> dict[str, str]:
    """Environment variables with which dbt finds the warehouse (see ``dbt_project/profiles.yml``). Holds a password."""
    options = {option.keyword.decode(): option for option in pq.Conninfo.parse(dsn.encode())}
    given = {name: option.val.decode() for name, option in options.items() if option.val}
    result = {
        "WAREHOUSE_DBT_HOST": given.pop("host", "") or given.get("hostaddr", "localhost"),
        "WAREHOUSE_DBT_PORT": given.pop("port", "5432"),
        "WAREHOUSE_DBT_USER": given.pop("user", ""),
        "WAREHOUSE_DBT_PASSWORD": given.pop("password", ""),
        "WAREHOUSE_DBT_DBNAME": given.pop("dbname", ""),
        "WAREHOUSE_DBT_THREADS": str(settings.dbt_threads),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    # Whatever else the DSN says (sslmode, certificates, …) libpq takes from its own variables.
    for name, value in given.items():
        if variable := options[name].envvar:
            result[variable.decode()] = value
    return result


def target(settings: Settings, build: str) -> Path:
    """Dbt's target folder for a build. One each: a changed variable makes dbt parse the whole project anew."""
    return settings.root / "dbt" / build


def manifest_path(settings: Settings) -> Path:
    """Where dbt's last manifest lies; it need not be there, nor of the code as it is now."""
    return settings.root / "dbt" / "manifest.json"


def manifest(settings: Settings) -> Path:
    """Dbt's manifest of the project as it is now; parsed where the last one is older than the code."""
    path = manifest_path(settings)
    mark = path.with_name("manifest.code")
    if not (path.exists() and mark.exists() and mark.read_text() == code_hash()):
        folder = target(settings, "parse")
        # Parsing connects to nothing, but what it has parsed serves the first build only with the same environment.
        there = settings.dsn is not None or server.is_running(settings)
        dsn = server.ensure_running(settings) if there else "host=localhost port=5432 user=nobody dbname=none"
        invoke(["parse"], folder, environment(dsn, settings), variables={"build": BUILDS[0]})
        keep_manifest(settings, folder)
    return path


def keep_manifest(settings: Settings, folder: Path) -> None:
    """Keep the manifest of a target folder as that of the code as it is now."""
    path = manifest_path(settings)
    part = path.with_name(f"manifest.{os.getpid()}.part")
    part.write_bytes((folder / "manifest.json").read_bytes())
    part.replace(path)
    path.with_name("manifest.code").write_text(code_hash())


def document(dsn: str, settings: Settings, build: str) -> Path:
    """Have dbt write its documentation of a build as one page, and return it."""
    folder = target(settings, build)
    invoke(["docs", "generate", "--static"], folder, environment(dsn, settings), variables={"build": build})
    return folder / "static_index.html"


def invoke(
    command: list[str],
    folder: Path,
    variables_of_environment: dict[str, str],
    *,
    variables: dict[str, Any],
    listeners: Sequence[Callable[[Any], None]] = (),
) -> None:
    """Call dbt in this process. Its log goes to a file below ``folder``."""
    # 2 s to import: only where dbt really runs
    from dbt.cli.main import dbtRunner

    from warehouse import connections

    connections.keep()
    folder.mkdir(parents=True, exist_ok=True)
    arguments = [
        *command,
        *("--project-dir", str(PROJECT)),
        *("--profiles-dir", str(PROJECT)),
        *("--target-path", str(folder)),
        *("--log-path", str(folder / "logs")),
        *("--vars", json.dumps(variables)),
        *("--log-level", "none"),
        *("--log-level-file", "info"),
    ]
    runner = dbtRunner(callbacks=list(listeners))
    with _ENVIRONMENT, warnings.catch_warnings():
        # types are declared for the columns of all code lists; not every list has each of them
        warnings.filterwarnings("ignore", category=RuntimeWarning, module="agate")
        before = {name: os.environ.get(name) for name in variables_of_environment}
        os.environ.update(variables_of_environment)
        try:
            result = runner.invoke(arguments)
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value
    if result.success:
        return
    if result.exception is not None:
        raise WarehouseError(f"dbt could not do its work: {result.exception}") from result.exception
    failed = [
        f"{one.node.name}: {_brief(one.message) or one.status}"
        for one in result.result.results
        if one.status in ("error", "fail", "runtime error")
    ]
    shown = " | ".join(failed[:8]) + (f" | and {len(failed) - 8} more" if len(failed) > 8 else "")
    raise WarehouseError(f"dbt: {len(failed)} failed: {shown} (log: {folder / 'logs'})")


def _brief(message: str | None) -> str | None:
    """What went wrong in one line; the further lines of a database error may quote a row."""
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    if lines and " Error in " in lines[0]:  # "Database Error in model …": which node, the caller knows
        lines = lines[1:] or lines
    return lines[0][:500] if lines else None


def listener(on_node: OnNode) -> Callable[[Any], None]:
    """Turn dbt's events into calls of ``on_node``."""
    # Name of the event -> the field that holds how many nodes there are.
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


def record(conn: psycopg.Connection, build: str, token: str, results: Path) -> None:
    """Store dbt's ``run_results.json`` in ``ops.dbt_result``, under the token of its run."""
    content = json.loads(results.read_text(encoding="utf-8"))
    rows = [
        (
            build,
            token,
            one["unique_id"],
            one["unique_id"].split(".", 1)[0],
            one["status"],
            one.get("failures"),
            one["execution_time"],
            _brief(one.get("message")),
            content["metadata"]["generated_at"],
        )
        for one in content["results"]
    ]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("DELETE FROM ops.dbt_result WHERE token = %s", [token])
        cursor.executemany(
            "INSERT INTO ops.dbt_result (build, token, node, resource_type, status, failures, seconds, message, run_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            rows,
        )

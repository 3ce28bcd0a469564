r"""How long a delivery takes from file to accepted rows, as a ratio to ``\copy`` of the same file.

The file holds settlements (26 columns, a person in five rows), or all columns of another feed (``--feed``). The
baseline is psql's ``\copy`` into a table of text columns made in the same transaction. Ours is all of
``ingest.pipeline.load``: hashes, reading, cleaning, checks, person keys, vault, duplicates, landing, ledger;
with the gate and without. Every run has a database of its own on one embedded server, settings and all the same. Best
of several; Great Expectations' import is told apart.

    python bench/load.py                                   # 1,000,000 rows, both encodings, memory at 5,000,000
    python bench/load.py --rows 200000 --large 0 --no-gate # a quick look
    python bench/load.py --feed employment_social_insurance_month --large 0
    python bench/load.py --feed services_service_record --large 0
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

KEY = "bench-key-" + "0" * 32
#: The feed that is measured unless another is named, by its table in ``landing``.
SETTLEMENTS = "medical_settlement"


# --- the process that is measured -----------------------------------------------------------------------------------


def load_once(dsn: str, home: str, inbox: str, with_gate: bool) -> dict[str, Any]:
    """Register and load the one package of an inbox; called in a process of its own."""
    import resource

    from pydantic import SecretStr

    from ingest import pipeline
    from ingest.database import connect
    from ingest.settings import Settings

    import_seconds = 0.0

    def gate(request: pipeline.GateRequest) -> list[Any]:
        """The gate as a pass calls it: imported once something is staged."""
        nonlocal import_seconds
        begun = time.perf_counter()
        from expectations.gate import validate

        import_seconds = time.perf_counter() - begun
        return validate(request)

    settings = Settings(home=Path(home), dsn=SecretStr(dsn), inbox=inbox, key=SecretStr(KEY))
    with connect(dsn) as conn:
        (arrival,) = pipeline.register(conn, settings)
    steps: list[tuple[str, float]] = []
    started = time.perf_counter()

    def on_step(*step: Any) -> None:
        steps.append((str(step[-2] if len(step) > 1 else step[0]), round(time.perf_counter() - started, 2)))

    outcome = pipeline.load(dsn, settings, arrival.arrival_id, gate if with_gate else None, on_step=on_step)
    return {
        "seconds": time.perf_counter() - started - import_seconds,
        "import_seconds": import_seconds,
        "status": outcome.status,
        "codes": outcome.codes,
        "steps": steps,
        "cpu": time.process_time(),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


# --- the bench ------------------------------------------------------------------------------------------------------


@dataclass
class TextFile:
    """A CSV file."""

    file: Path
    columns: list[str]
    encoding: str


@dataclass
class Package(TextFile):
    """One delivery with one file."""

    inbox: Path
    rows: int
    table: str


@contextmanager
def work_folder(base: Path | None = None) -> Iterator[Path]:
    """A temporary folder, in which the embedded server may run as another user."""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base, ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def make_package(folder: Path, rows: int, persons: int, encoding: str, feed_name: str = SETTLEMENTS) -> Package:
    """Write the file and its manifest; ``feed_name`` is that of the table in ``landing``."""
    import hashlib

    from ingest import contracts
    from ingest.synthetic import feed_file, settlement_file

    feed = next(feed for feed in contracts.load().feeds.values() if feed.table == feed_name)
    package = folder / f"inbox-{encoding}-{rows}" / "bench"
    package.mkdir(parents=True)
    file = package / f"{feed.name}.csv"
    if feed_name == SETTLEMENTS:
        columns = settlement_file(file, rows, persons, encoding)
    else:
        columns, rows = [column.name for column in feed.columns], feed_file(file, feed, rows, persons, encoding)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    manifest = {
        "name": "bench",
        "created": "2026-10-03T08:15:00+08:00",
        "source": feed.source,
        "sender": "440000",
        "period": "2026-09",
        "mode": "delta",
        "contract_version": "1.0.0",
        "resources": [
            {"name": feed.name, "path": file.name, "encoding": encoding, "rows": rows, "hash": f"sha256:{digest}"}
        ],
    }
    (package / "datapackage.json").write_text(json.dumps(manifest))
    return Package(file, columns, encoding, package.parent, rows, feed.table)


@contextmanager
def database(admin: str, settings: Any, name: str = "bench") -> Iterator[str]:
    """A fresh database with the warehouse's schema, gone afterwards."""
    import psycopg

    from ingest import contracts
    from ingest.database import connect
    from warehouse.local import server
    from warehouse.schema import migrate

    with psycopg.connect(admin, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE IF EXISTS {name}")
        conn.execute(f"CREATE DATABASE {name}")
    dsn = server.database_dsn(settings, name)
    try:
        with connect(dsn) as conn:
            migrate(conn, contracts.load())
            conn.execute("CHECKPOINT")
        yield dsn
    finally:
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE {name}")


def baseline(dsn: str, *files: TextFile) -> float:
    r"""Seconds of one psql that copies files with ``\copy`` into tables of text columns, made in one transaction."""
    from warehouse.local import server

    script = "BEGIN;\n"
    for number, text in enumerate(files):
        columns = ", ".join(f'"{column}" text' for column in text.columns)
        script += (
            f"CREATE TABLE copied_{number} ({columns});\n\\copy copied_{number} FROM '{text.file}'"
            f" WITH (FORMAT csv, HEADER, ENCODING '{text.encoding}')\n"
        )
    script += "COMMIT;\n"
    started = time.perf_counter()
    psql = subprocess.run(
        [server.bin_dir() / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", dsn], input=script, text=True, check=False
    )
    assert psql.returncode == 0
    return time.perf_counter() - started


def ours(dsn: str, home: Path, package: Package, with_gate: bool) -> dict[str, Any]:
    """One load in a process of its own, its memory watched from outside."""
    import psutil
    import psycopg

    child = subprocess.Popen(
        [sys.executable, __file__, "--child", dsn, str(home), str(package.inbox), str(int(with_gate))],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    process, peak = psutil.Process(child.pid), 0
    while child.poll() is None:
        try:
            tree = [process, *process.children(recursive=True)]
            peak = max(peak, sum(process.memory_info().rss for process in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    assert child.stdout is not None
    result: dict[str, Any] = json.loads(child.stdout.read().splitlines()[-1])
    assert result["status"] == "accepted", result
    with psycopg.connect(dsn) as conn:
        assert conn.execute(f"SELECT count(*) FROM landing.{package.table}").fetchone() == (package.rows,)
    # sampling can miss the top of the main process, its own count cannot; children are in the samples only
    return result | {"peak": max(peak, result["peak"])}


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Make the files, run everything, print the ratios."""
    from ingest.settings import Settings
    from warehouse.local import server

    settings = Settings(home=folder / "home", dsn=None)
    admin = server.ensure_running(settings)
    kinds = ["copy", "ours", *(["gate"] if arguments.gate else [])]
    peaks: dict[int, int] = {}
    try:
        for encoding in arguments.encoding:
            package = make_package(folder, arguments.rows, arguments.persons, encoding, arguments.feed)
            print(f"{arguments.feed}: {package.rows:,} rows, {package.file.stat().st_size / 1e6:,.0f} MB, {encoding}")
            best: dict[str, float] = {}
            for _ in range(arguments.repeat):
                for kind in kinds:
                    with database(admin, settings) as dsn:
                        if kind == "copy":
                            seconds, note = baseline(dsn, package), ""
                        else:
                            result = ours(dsn, settings.home, package, kind == "gate")
                            seconds = result["seconds"]
                            if kind == "ours":
                                peaks[arguments.rows] = max(peaks.get(arguments.rows, 0), result["peak"])
                            note = f"peak {result['peak'] / 1e6:,.0f} MB, cpu {result['cpu']:.1f} s, {result['steps']}"
                            if kind == "gate":
                                note += f", import apart {result['import_seconds']:.1f} s"
                    best[kind] = min(best.get(kind, seconds), seconds)
                    print(f"  {kind:5} {seconds:6.2f} s  {note}", flush=True)
            ratios = ", ".join(f"{kind} {best[kind] / best['copy']:.2f}" for kind in kinds[1:])
            print(f"best: {', '.join(f'{kind} {seconds:.2f} s' for kind, seconds in best.items())}; ratios: {ratios}")
            shutil.rmtree(package.inbox)
        if arguments.large:
            package = make_package(folder, arguments.large, arguments.persons, arguments.encoding[0], arguments.feed)
            with database(admin, settings) as dsn:
                result = ours(dsn, settings.home, package, with_gate=False)
            growth = result["peak"] / peaks[arguments.rows] - 1
            print(
                f"{arguments.large:,} rows: {result['seconds']:.1f} s, peak {result['peak'] / 1e6:,.0f} MB, "
                f"{growth:+.0%} against {arguments.rows:,} rows"
            )
    finally:
        server.stop(settings)


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--child"]:
        dsn, home, inbox, gate = sys.argv[2:]
        print(json.dumps(load_once(dsn, home, inbox, gate == "1")))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feed", default=SETTLEMENTS, help="table of the feed in landing")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--encoding", nargs="+", default=["utf-8", "gb18030"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--large", type=int, default=5_000_000, help="rows of the second memory measurement; 0: none")
    parser.add_argument("--gate", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent))
    with work_folder(arguments.folder) as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()

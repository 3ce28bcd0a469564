r"""How long a delivery takes from file to accepted rows, as a ratio to ``\copy`` of the same file.

The file holds settlements (26 columns, a person in five rows). The baseline is psql's ``\copy`` into a table of text
columns made in the same transaction. Ours is all of ``ingest.load.load``: hashes, reading, cleaning, checks, person
keys, vault, duplicates, landing, ledger, acceptance; with the gate and without. Every run has a database of its own on
one embedded server, settings and all the same. Best of several; Great Expectations' import is told apart.

    python bench/load.py                                   # 1,000,000 rows, both encodings, memory at 5,000,000
    python bench/load.py --rows 200000 --large 0 --no-gate # a quick look
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


# --- the process that is measured -----------------------------------------------------------------------------------


def load_once(dsn: str, home: str, inbox: str, with_gate: bool) -> dict[str, Any]:
    """Register and load the one package of an inbox; called in a process of its own."""
    import resource

    from pydantic import SecretStr

    from ingest import load
    from ingest.database import connect
    from ingest.settings import Settings

    import_seconds = 0.0

    def gate(request: load.GateRequest) -> list[Any]:
        """The gate as a pass calls it: imported once something is staged."""
        nonlocal import_seconds
        begun = time.perf_counter()
        from expectations.gate import validate

        import_seconds = time.perf_counter() - begun
        return validate(request)

    settings = Settings(home=Path(home), dsn=SecretStr(dsn), inbox=inbox, key=SecretStr(KEY))
    with connect(dsn) as conn:
        (arrival,) = load.register(conn, settings)
    steps: list[tuple[str, float]] = []
    started = time.perf_counter()

    def told(*step: Any) -> None:
        steps.append((str(step[-2] if len(step) > 1 else step[0]), round(time.perf_counter() - started, 2)))

    outcome = load.load(dsn, settings, arrival.arrival_id, gate if with_gate else None, on_step=told)
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
class Package:
    """One delivery with one file."""

    inbox: Path
    file: Path
    columns: list[str]
    encoding: str
    rows: int


def make_package(folder: Path, rows: int, persons: int, encoding: str) -> Package:
    """Write the file and its manifest."""
    import hashlib

    from ingest.samples import settlement_file

    package = folder / f"inbox-{encoding}-{rows}" / "bench"
    package.mkdir(parents=True)
    file = package / "settlement.csv"
    columns = settlement_file(file, rows, persons, encoding)
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    manifest = {
        "name": "bench",
        "created": "2026-10-03T08:15:00+08:00",
        "source": "medical",
        "sender": "440000",
        "period": "2026-09",
        "mode": "delta",
        "contract_version": "1.0.0",
        "resources": [
            {"name": "settlement", "path": file.name, "encoding": encoding, "rows": rows, "hash": f"sha256:{digest}"}
        ],
    }
    (package / "datapackage.json").write_text(json.dumps(manifest))
    return Package(package.parent, file, columns, encoding, rows)


@contextmanager
def database(admin: str, settings: Any, name: str = "bench") -> Iterator[str]:
    """A fresh database with the warehouse's schema, gone afterwards."""
    import psycopg

    from ingest import contracts
    from ingest.database import connect, migrate
    from warehouse import server

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


def baseline(dsn: str, package: Package) -> float:
    r"""Seconds of psql's ``\copy`` into a table of text columns, made in the same transaction."""
    from warehouse import server

    columns = ", ".join(f'"{column}" text' for column in package.columns)
    script = (
        f"BEGIN;\nCREATE TABLE copied ({columns});\n"
        f"\\copy copied FROM '{package.file}' WITH (FORMAT csv, HEADER, ENCODING '{package.encoding}')\nCOMMIT;\n"
    )
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
            peak = max(peak, sum(one.memory_info().rss for one in tree))
        except psutil.NoSuchProcess:
            pass
        time.sleep(0.1)
    assert child.stdout is not None
    result: dict[str, Any] = json.loads(child.stdout.read().splitlines()[-1])
    assert result["status"] == "accepted", result
    with psycopg.connect(dsn) as conn:
        assert conn.execute("SELECT count(*) FROM landing.medical_settlement").fetchone() == (package.rows,)
    # sampling can miss the top of the main process, its own count cannot; children are in the samples only
    return result | {"peak": max(peak, result["peak"])}


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Make the files, run everything, print the ratios."""
    from ingest.settings import Settings
    from warehouse import server

    settings = Settings(home=folder / "home", dsn=None)
    admin = server.ensure_running(settings)
    kinds = ["copy", "ours", *(["gate"] if arguments.gate else [])]
    peaks: dict[int, int] = {}
    try:
        for encoding in arguments.encoding:
            package = make_package(folder, arguments.rows, arguments.persons, encoding)
            print(f"{arguments.rows:,} rows, {package.file.stat().st_size / 1e6:,.0f} MB, {encoding}")
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
            package = make_package(folder, arguments.large, arguments.persons, arguments.encoding[0])
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
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--encoding", nargs="+", default=["utf-8", "gb18030"])
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--large", type=int, default=5_000_000, help="rows of the second memory measurement; 0: none")
    parser.add_argument("--gate", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent))
    base = arguments.folder or Path(tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="bench-load-", dir=base))
    folder.chmod(0o755)  # the embedded server may run as another user
    try:
        measure(arguments, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()

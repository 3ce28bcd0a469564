r"""What a usual inbox costs: hundreds of packages of a few small files each, in all formats.

``load.py`` loads one large file. Here the inbox is made by the synthetic senders, of every source. Measured is all from
registration to the last decision, the gate and the start of processes included: in seconds a package, and as a ratio
to ``\copy`` of the accepted rows as text, all in one psql.

    python bench/inbox.py
    python bench/inbox.py --members 20000 --settlements 200000   # the same packages with more rows
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psycopg
from pydantic import SecretStr

from bench.load import KEY, TextFile, baseline, database, work_folder
from ingest import contracts, synthetic
from ingest.landing import tables
from ingest.pipeline import Outcome
from ingest.settings import Settings
from warehouse import operations
from warehouse.local import server

PROVINCES = ("110000", "350000", "440000", "530000")


def load_once(dsn: str, home: str, inbox: str) -> dict[str, Any]:
    """Register and load all packages of an inbox; called in a process of its own."""
    import resource

    settings = Settings(home=Path(home), dsn=SecretStr(dsn), inbox=inbox, key=SecretStr(KEY))
    with operations.open_warehouse(settings):
        started = time.perf_counter()
    outcomes: list[Outcome] = []
    operations.load_all(settings, outcomes.append, print)
    return {
        "seconds": time.perf_counter() - started,
        "packages": len(outcomes),
        "statuses": Counter(outcome.status for outcome in outcomes),
        "peak": max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        * 1024,
    }


def ours(dsn: str, home: Path, inbox: Path) -> dict[str, Any]:
    """One load of the whole inbox in a process of its own."""
    child = subprocess.run(
        [sys.executable, __file__, "--child", dsn, str(home), str(inbox)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    result: dict[str, Any] = json.loads(child.stdout.splitlines()[-1])
    return result


def write_text(dsn: str, folder: Path) -> tuple[list[TextFile], int]:
    """Write the accepted rows as one CSV file a feed; returns the files and the number of rows."""
    files = []
    rows = 0
    with psycopg.connect(dsn) as conn:
        for feed in contracts.load().feeds.values():
            path = folder / f"{feed.table}.csv"
            with conn.cursor() as cursor, path.open("wb") as file:
                with cursor.copy(f"COPY (SELECT * FROM landing.{feed.table}) TO STDOUT (FORMAT csv, HEADER)") as copy:
                    for piece in copy:
                        file.write(piece)
                rows += cursor.rowcount
            files.append(TextFile(path, list(tables.columns(feed)), "utf-8"))
    return files, rows


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Make the inbox, load it and copy its rows, print both."""
    inbox = folder / "inbox"
    months = [f"2026-{month:02d}" for month in range(1, 10)]
    made = synthetic.generate(
        inbox,
        seed=arguments.seed,
        provinces=PROVINCES,
        months=months,
        members=arguments.members,
        settlements=arguments.settlements,
    )
    files = [path for path in inbox.rglob("*") if path.is_file() and path.name != "datapackage.json"]
    print(f"{len(made)} packages, {len(files)} files, {sum(file.stat().st_size for file in files) / 1e6:,.0f} MB")
    settings = Settings(home=folder / "home", dsn=None)
    admin = server.ensure_running(settings)
    results, copies = [], []
    try:
        for turn in range(arguments.repeat):
            with database(admin, settings) as dsn:
                result = ours(dsn, settings.home, inbox)
                results.append(result)
                if not turn:
                    texts, rows = write_text(dsn, folder)
                copies.append(baseline(dsn, *texts))
            each = result["seconds"] / result["packages"]
            print(
                f"  {result['seconds']:6.2f} s ({each:.3f} s a package), "
                f"peak {result['peak'] / 1e6:,.0f} MB, {result['statuses']}; "
                f"\\copy of {rows:,} rows {copies[-1]:.2f} s",
                flush=True,
            )
        best = min(results, key=lambda result: result["seconds"])
        print(
            f"best: {best['seconds'] / best['packages']:.3f} s a package, "
            f"ratio to \\copy {best['seconds'] / min(copies):.1f}"
        )
    finally:
        server.stop(settings)


def main() -> None:
    """Command line."""
    if sys.argv[1:2] == ["--child"]:
        print(json.dumps(load_once(*sys.argv[2:])))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--members", type=int, default=4_000)
    parser.add_argument("--settlements", type=int, default=20_000)
    parser.add_argument("--repeat", type=int, default=3)
    arguments = parser.parse_args()
    with work_folder() as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()

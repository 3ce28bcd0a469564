r"""What each part of a load costs by itself, as a ratio to ``\copy`` of the same file.

``load.py`` tells how long a load takes. Here its parts run one after another, so that their sum tells what cores could
do at best. Seconds of processor time, of our process and of the server's; ``\copy`` runs before and after, because the
machine's speed varies.

    python bench/parts.py                          # 1,000,000 rows
    python bench/parts.py --rows 200000 --encoding gb18030
    python bench/parts.py --feed services_service_record
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

import psutil
import psycopg
from pydantic import SecretStr

from bench.load import KEY, SETTLEMENTS, Package, baseline, database, make_package, work_folder
from ingest import contracts, pipeline
from ingest.database import connect
from ingest.delivery import integrity
from ingest.delivery.integrity import Checked
from ingest.landing import staging_tables
from ingest.landing.pg_copy import CopySession
from ingest.privacy.keyring import Keyring
from ingest.privacy.vault import VaultBatch
from ingest.readers import open_table
from ingest.settings import Settings
from ingest.staging import KeptText, Staging
from ingest.validation.cleaning import Context
from warehouse.local import server


class Clock:
    """Processor seconds by part: of this process, and of the server's process behind a connection.

    Of a part within a part only what is not the inner one's is the outer one's.
    """

    def __init__(self, conn: psycopg.Connection) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(lambda: [0.0, 0.0])
        self._server = psutil.Process(conn.info.backend_pid)
        self._running: list[str] = []
        self._since = self._now()

    def _now(self) -> tuple[float, float]:
        times = self._server.cpu_times()
        return time.process_time(), times.user + times.system

    def _charge(self) -> None:
        before, self._since = self._since, self._now()
        if self._running:
            for side, (then, now) in enumerate(zip(before, self._since, strict=True)):
                self.seconds[self._running[-1]][side] += now - then

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """What is done within belongs to this part."""
        self._charge()
        self._running.append(name)
        yield
        self._charge()
        self._running.pop()

    def timed(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        """A function that belongs to a part."""

        def timed(*arguments: Any) -> Any:
            with self.part(name):
                return call(*arguments)

        return timed


def run(dsn: str, settings: Settings, package: Package) -> dict[str, list[float]]:
    """Go through a load part by part; the steps that only write a line into the ledger are left out."""
    known = contracts.load()
    with connect(dsn) as conn:
        clock = Clock(conn)
        (arrival,) = pipeline.register(conn, settings)
        with clock.part("hash"):
            checked = integrity.check(package.file.parent, False, settings.root, known, settings, datetime.now(UTC))
        manifest = checked.manifest
        conn.execute("UPDATE ops.arrival SET created = %s", [manifest.created])
        feed = known.feeds[manifest.source, manifest.resources[0].feed]
        batch = staging_tables.StagingTable(conn, feed, arrival.arrival_id)
        vault = VaultBatch(conn, Keyring.from_settings(settings), arrival.arrival_id)
        with conn.transaction():
            _stage(clock, batch, vault, checked, settings)
            with clock.part("count, look for repeated keys, index persons"):
                batch.find_duplicates()
                batch.finish()
                vault.finish()
        with conn.transaction(), clock.part("attach rows and persons"):
            vault.attach()
            batch.attach()
        return clock.seconds


def _stage(
    clock: Clock, batch: staging_tables.StagingTable, vault: VaultBatch, checked: Checked, settings: Settings
) -> None:
    (resource,) = checked.manifest.resources
    batch.create()
    vault.create()
    table = open_table(checked.files[resource.path], resource, batch.feed, settings)
    batch.begin_file(resource.index, table.columns)
    rows = table.batches()
    table.batches = lambda: iter(clock.timed("read, split into fields", lambda: next(rows, None)), None)  # type: ignore[method-assign]
    vault.encrypted = clock.timed("seal persons", vault.encrypted)  # type: ignore[method-assign]
    keyring = vault.keyring
    keyring.resident_keys = clock.timed("make person keys", keyring.resident_keys)  # type: ignore[method-assign]
    context = Context(checked.manifest.created_date, resource.amount_unit)
    kept_text = KeptText(vault.keyring, settings.kept_rejected_rows, settings.kept_rejected_bytes)
    copies = Staging(table, batch, vault, kept_text, context, resource.index, resource.path).copies()
    with CopySession(batch.conn) as copier:
        while True:
            with clock.part("check, write COPY's binary format"):
                some = next(copies, None)
            with clock.part("copy"):
                if some is None:
                    copier.finish()
                    break
                copier.put(*some)
    # the server copies while we go on, whatever we do then
    for part in [part for part in clock.seconds if part != "copy"]:
        clock.seconds["copy"][1] += clock.seconds[part][1]
        clock.seconds[part][1] = 0.0


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    """Make the file, run everything, print seconds and ratios."""
    settings = Settings(home=folder / "home", dsn=None, key=SecretStr(KEY))
    admin = server.ensure_running(settings)
    try:
        package = make_package(folder, arguments.rows, arguments.persons, arguments.encoding, arguments.feed)
        copies: list[float] = []
        found: list[dict[str, list[float]]] = []
        for turn in range(2 * arguments.repeat + 1):
            with database(admin, settings) as dsn:
                if turn % 2 == 0:
                    copies.append(baseline(dsn, package))
                else:
                    ours: dict[str, Any] = {"inbox": str(package.inbox), "dsn": SecretStr(dsn)}
                    found.append(run(dsn, settings.model_copy(update=ours), package))
        unit = min(copies)
        seconds = ", ".join(f"{value:.2f}" for value in copies)
        print(f"{arguments.feed}: {package.rows:,} rows, {arguments.encoding}; \\copy {seconds} s")
        title = "best of each, in units of the best \\copy"
        print(f"{title:45} {'ours':>6} {'server':>6}")
        sums = [0.0, 0.0]
        for name in found[0]:
            best = [min(run[name][side] for run in found) / unit for side in (0, 1)]
            sums = [total + part for total, part in zip(sums, best, strict=True)]
            print(f"{name:45} {best[0]:6.2f} {best[1]:6.2f}")
        print(f"{'sum':45} {sums[0]:6.2f} {sums[1]:6.2f}")
    finally:
        server.stop(settings)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--persons", type=int, default=200_000)
    parser.add_argument("--encoding", default="utf-8")
    parser.add_argument("--feed", default=SETTLEMENTS, help="table of the feed in landing")
    parser.add_argument("--repeat", type=int, default=2)
    arguments = parser.parse_args()
    with work_folder() as folder:
        measure(arguments, folder)


if __name__ == "__main__":
    main()

"""What a build costs, in relation to a full one: summed execution time of all dbt nodes, data tests included.

    python bench/build.py [--settlements 2000000] [--members 200000] [--home FOLDER]

24 months of ten senders are written straight into the landing schema (see ``world.py``). Measured, in this order:

1. a full build of everything but the last month of one sender;
2. that sender's last month arrives (membership snapshot, training, medical, services, employment): the aim is at most
   0.05 of the full build;
3. one settlement of a year before is reversed;
4. nothing new: decided from the ledger, without dbt;
5. a month that nobody had delivered before: all senders' states are carried into it, so it cannot cost less than its
   share of all months.

Afterwards the incremental result is compared with a full build of the same deliveries, table by table.
"""

import argparse
import tempfile
import time
from pathlib import Path

import psycopg
from world import FIRST_MONTH, World, add_months

from ingest import contracts, database
from ingest.settings import Settings
from warehouse import schema
from warehouse.build import planning, runner
from warehouse.local import server


def main() -> None:
    """Run everything and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--settlements", type=int, default=2_000_000)
    arguments.add_argument("--members", type=int, default=200_000)
    arguments.add_argument("--months", type=int, default=24)
    arguments.add_argument("--threads", type=int, default=2)
    arguments.add_argument("--top", type=int, default=12, help="nodes to list for each build")
    arguments.add_argument("--home", type=Path, help="kept after the run; default: a folder that is removed")
    arguments.add_argument("--no-compare", action="store_true", help="leave out the last comparison")
    options = arguments.parse_args()
    if options.home is not None:
        run(options.home, options)
        return
    with tempfile.TemporaryDirectory(prefix="bench-build-") as folder:
        run(Path(folder), options)


def run(home: Path, options: argparse.Namespace) -> None:
    """The whole measurement in one home."""
    settings = Settings(home=home, dbt_threads=options.threads)
    world = World(members=options.members, settlements=options.settlements, months=options.months)
    dsn = server.ensure_running(settings)
    try:
        with database.connect(dsn) as conn:
            schema.migrate(conn, contracts.load())
            Bench(conn, dsn, settings, world, options.top).run(compare=not options.no_compare)
    finally:
        server.stop(settings)


class Bench:
    """The steps, on one connection."""

    def __init__(self, conn: psycopg.Connection, dsn: str, settings: Settings, world: World, top: int) -> None:
        self.conn, self.dsn, self.settings, self.world, self.top = conn, dsn, settings, world, top
        self.full = 0.0

    def run(self, *, compare: bool) -> None:
        """Deliver and build, step by step."""
        world, conn = self.world, self.conn
        *earlier, last = world.month_list
        *others, late = world.senders
        begun = time.monotonic()
        for month in world.month_list:
            for sender in world.senders if month in earlier else others:
                self._deliver(sender, month)
        print(f"landing filled in {time.monotonic() - begun:.0f} s", flush=True)
        self._measure("full build", full=True)
        # As autovacuum leaves a warehouse that stands; it would be at work beside what is measured next.
        self.conn.execute("VACUUM (ANALYZE)")
        self._deliver(late, last)
        self._measure("a new month of one sender")
        world.reversal(conn, others[0], last)
        self._measure("reversal of a year-old settlement")
        begun = time.monotonic()
        assert planning.create(self.dsn, contracts.load()) is None
        print(f"\nnothing new: {time.monotonic() - begun:.2f} s in all, without dbt", flush=True)
        self._deliver(late, add_months(FIRST_MONTH, world.months))
        self._measure("a month nobody had delivered before, by one sender")
        if compare:
            incremental = self._content()
            self._measure("full build again", full=True)
            differing = sorted(table for table, content in self._content().items() if incremental.get(table) != content)
            print(f"\nincremental against full: {'differ in ' + ', '.join(differing) if differing else 'equal'}")

    def _deliver(self, sender: str, month: object) -> None:
        self.world.membership(self.conn, sender, month)  # type: ignore[arg-type]
        self.world.training(self.conn, sender, month)  # type: ignore[arg-type]
        self.world.medical(self.conn, sender, month)  # type: ignore[arg-type]
        self.world.services(self.conn, sender, month)  # type: ignore[arg-type]
        self.world.employment(self.conn, sender, month)  # type: ignore[arg-type]

    def _measure(self, name: str, *, full: bool = False) -> None:
        """One build of what the ledger says, into build_a, taken as published at once."""
        if full:
            self.conn.execute("UPDATE ops.build SET code_hash = NULL")
            self.conn.execute("UPDATE ops.publication SET is_current = false")
        self.conn.execute("CHECKPOINT")
        begun = time.monotonic()
        plan = planning.create(self.dsn, contracts.load())
        assert plan is not None
        assert plan["full_refresh"] == full
        runner.run(self.dsn, self.settings, plan)
        wall = time.monotonic() - begun
        with self.conn.transaction():
            planning.complete(self.conn, plan)
            # as if build_b were what readers see: the next build is of build_a again
            self.conn.execute("DELETE FROM ops.publication")
            self.conn.execute(
                "INSERT INTO ops.publication (build, deliveries, row_counts, ledger_hash, is_current)"
                " VALUES ('build_b', '{}', '{}', %s, true)",
                [plan["ledger_hash"]],
            )
        rows = self.conn.execute(
            "SELECT node, resource_type, seconds::float FROM ops.dbt_result WHERE token = %s ORDER BY seconds DESC",
            [plan["token"]],
        ).fetchall()
        total = sum(seconds for *_, seconds in rows)
        if full and not self.full:
            self.full = total
        kinds = {kind: sum(seconds for _, other, seconds in rows if other == kind) for _, kind, _ in rows}
        print(
            f"\n{name}: {total:.1f} s in {len(rows)} nodes = {total / self.full:.4f} of the full build"
            f" (wall {wall:.1f} s; " + ", ".join(f"{kind} {seconds:.1f}" for kind, seconds in kinds.items()) + ")"
        )
        for node, _, seconds in rows[: self.top]:
            print(f"  {seconds:8.2f} s  {node.split('.', 2)[2]}")
        print(flush=True)

    def _content(self) -> dict[str, tuple[int, int]]:
        """Rows and a hash of each published table, whatever their order."""
        tables = self.conn.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'build_a'::regnamespace AND relkind = 'r'"
        ).fetchall()
        return {
            table: self.conn.execute(
                f'SELECT count(*), coalesce(sum(hashtextextended(t::text, 0)::numeric), 0) FROM build_a."{table}" AS t'
            ).fetchone()  # type: ignore[misc]
            for (table,) in tables
        }


if __name__ == "__main__":
    main()

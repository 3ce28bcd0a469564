"""How many bytes a member takes, relation by relation.

    python bench/size.py [--members 2000 6000] [--settlements-a-member 13.3] [--top 25]

Two warehouses are made from sample deliveries of twelve months, by the usual pass from the inbox to the publication.
What the larger one has more, divided by the members that it has more, is what a member and year take: code lists,
calendars and the first page of each table drop out. Indexes, TOAST and the vault are included; the second of the two
build schemas, which is empty after a first pass, is not.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import psycopg

from ingest import synthetic
from ingest.settings import Settings
from warehouse import operations
from warehouse.local import server

MONTHS = tuple(f"2025-{month:02}" for month in range(1, 13))
#: Partitions count for the table that they belong to, and indexes and TOAST for theirs.
SIZES = """
SELECT coalesce(pg_partition_root(c.oid), c.oid)::regclass::text AS relation,
    sum(pg_total_relation_size(c.oid))::bigint AS bytes, sum(greatest(c.reltuples, 0))::bigint AS "rows"
FROM pg_class AS c
WHERE c.relkind IN ('r', 'm') AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema)'
GROUP BY 1
"""
Sizes = dict[str, tuple[int, int]]


def measure(members: int, settlements: int) -> Sizes:
    """Bytes and rows of every relation of a new warehouse of this size."""
    with tempfile.TemporaryDirectory(prefix="bench-size-") as folder:
        settings = Settings(home=Path(folder), inbox=f"{folder}/inbox", notify=())
        synthetic.generate(Path(folder, "inbox"), members=members, settlements=settlements, months=MONTHS, dirty=False)
        try:
            report = operations.run(settings, lambda *_: None)
            if report.not_decided or report.moved is None or set(report.statuses) != {"accepted"}:
                raise SystemExit("the pass failed: nothing to measure")
            with psycopg.connect(server.ensure_running(settings), autocommit=True) as conn:
                conn.execute("ANALYZE")
                return {name: (size, rows) for name, size, rows in conn.execute(SIZES).fetchall()}
        finally:
            server.stop(settings)


def schema_of(relation: str) -> str:
    """The schema of a relation's name."""
    return relation.partition(".")[0]


def main() -> None:
    """Measure both and print the tables."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--members", type=int, nargs=2, default=(2000, 6000))
    arguments.add_argument("--settlements-a-member", type=float, default=13.3)
    arguments.add_argument("--top", type=int, default=25, help="relations to list")
    options = arguments.parse_args()
    few, many = (measure(members, round(members * options.settlements_a_member)) for members in options.members)
    more = options.members[1] - options.members[0]
    found = []
    for name, (size, rows) in many.items():
        size_before, rows_before = few.get(name, (0, 0))
        found.append(((size - size_before) / more, (rows - rows_before) / more, name))
    print("| relation | rows a member and year | bytes a row | bytes a member and year |\n|---|---|---|---|")
    for size, rows, name in sorted(found, reverse=True)[: options.top]:
        print(f"| `{name}` | {rows:.2f} | {size / rows if rows > 0 else float('nan'):.0f} | {size:,.0f} |")
    totals: dict[str, float] = defaultdict(float)
    for size, _, name in found:
        totals[schema_of(name)] += size
    print("\n| schema | bytes a member and year |\n|---|---|")
    for schema, size in sorted(totals.items(), key=lambda item: -item[1]):
        print(f"| `{schema}` | {size:,.0f} |")
    print(f"| all | {sum(totals.values()):,.0f} |")


if __name__ == "__main__":
    main()

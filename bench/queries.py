"""Twenty questions that a dashboard asks, each of them many times with other months and places: how long they take.

    python bench/queries.py --dsn ADDRESS [--schema marts]         on a warehouse that stands
    python bench/queries.py [--members 1000000] [--home FOLDER]    builds one first (see ``build.py``), schema build_a

Aim: 95 of 100 answers of each question within 50 ms, at 1,000,000 members on two cores. The time is what the reader
waits: sending the question, planning, running, fetching every row.
"""

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from world import World

from ingest import contracts, database
from ingest.settings import Settings
from warehouse import schema
from warehouse.build import planning, runner
from warehouse.local import server

TARGET_MS = 50

#: Question -> SQL. Places: {s} the schema; %(month)s, %(sender)s, %(admdvs)s, %(year)s are drawn anew for each run.
QUESTIONS: Mapping[str, str] = {
    "joining rate of every province in a month": """
        SELECT sender, sender_name, sum(members) AS members, sum(members)::numeric / nullif(sum(employees), 0) AS rate
        FROM {s}.union_coverage_month WHERE month = %(month)s GROUP BY sender, sender_name ORDER BY sender""",
    "members of a province, month by month": """
        SELECT month, sum(members), sum(women_members), sum(new_form_members)
        FROM {s}.union_coverage_month WHERE sender = %(sender)s GROUP BY month ORDER BY month""",
    "counties of a province, ranked by joining rate": """
        SELECT admdvs, region_name, sum(members)::numeric / nullif(sum(employees), 0) AS rate
        FROM {s}.union_coverage_month WHERE month = %(month)s AND sender = %(sender)s
        GROUP BY admdvs, region_name ORDER BY rate DESC NULLS LAST""",
    "industries of a county": """
        SELECT industry, industry_label, sum(organisations), sum(members)
        FROM {s}.union_coverage_month WHERE admdvs = %(admdvs)s AND month = %(month)s
        GROUP BY industry, industry_label ORDER BY 4 DESC""",
    "new members of a year by nature of the employer": """
        SELECT employer_nature_label, sum(joined) FROM {s}.union_coverage_month
        WHERE month BETWEEN %(month)s::date - interval '11 months' AND %(month)s GROUP BY employer_nature_label""",
    "one county over time": """
        SELECT month, sum(members), sum(employees) FROM {s}.union_coverage_month
        WHERE admdvs = %(admdvs)s GROUP BY month ORDER BY month""",
    "duplicate memberships of all provinces in a month": """
        SELECT * FROM {s}.duplicate_membership_month WHERE month = %(month)s ORDER BY duplicate_rows DESC""",
    "duplicate memberships of a province over time": """
        SELECT month, duplicate_rows FROM {s}.duplicate_membership_month WHERE sender = %(sender)s ORDER BY month""",
    "skill structure of the country in a month": """
        SELECT skill_rank, sum(members) FROM {s}.skill_structure_month WHERE month = %(month)s GROUP BY skill_rank""",
    "high-skilled share of every province over time": """
        SELECT month, sender, sum(members) FILTER (WHERE skill_rank >= 3)::numeric
            / nullif(sum(members) FILTER (WHERE skill_rank >= 1), 0) AS share
        FROM {s}.skill_structure_month GROUP BY month, sender ORDER BY month, sender""",
    "skill structure of a county, two months compared": """
        SELECT month, skill_rank, sum(members) FROM {s}.skill_structure_month
        WHERE admdvs = %(admdvs)s AND month IN (%(month)s, (%(month)s::date - interval '3 months')::date)
        GROUP BY month, skill_rank ORDER BY month, skill_rank""",
    "training by type and month in a province": """
        SELECT month, training_type, sum(enrolments), sum(passed), sum(subsidy_amount)
        FROM {s}.training_month WHERE sender = %(sender)s GROUP BY month, training_type ORDER BY month""",
    "who paid for the training of a year": """
        SELECT funding_source, sum(enrolments), sum(subsidy_amount) FROM {s}.training_month
        WHERE month BETWEEN %(month)s::date - interval '11 months' AND %(month)s GROUP BY funding_source""",
    "education funds: counties below 60 % for front-line workers": """
        SELECT sender, admdvs, frontline_share, compliance_rate FROM {s}.training_fund_year
        WHERE year = %(year)s AND frontline_share < 0.60 ORDER BY frontline_share LIMIT 20""",
    "insurance of members by province in a month": """
        SELECT sender, sender_name, sum(members), sum(employee_insured), sum(resident_insured), sum(uninsured)
        FROM {s}.insurance_coverage_month WHERE month = %(month)s GROUP BY sender, sender_name""",
    "counties with the most uninsured members": """
        SELECT admdvs, region_name, sum(uninsured) AS uninsured FROM {s}.insurance_coverage_month
        WHERE month = %(month)s GROUP BY admdvs, region_name ORDER BY uninsured DESC LIMIT 20""",
    "medical burden of a division by category, a year": """
        SELECT category, category_label, sum(persons), sum(medfee), sum(psn_pay) FROM {s}.medical_burden_month
        WHERE insu_admdvs = %(admdvs)s AND month BETWEEN %(month)s::date - interval '11 months' AND %(month)s
        GROUP BY category, category_label""",
    "share that persons bear, month by month, in-patient": """
        SELECT month, sum(psn_pay) / nullif(sum(medfee), 0) FROM {s}.medical_burden_month
        WHERE category = 'inpatient' AND NOT is_suppressed GROUP BY month ORDER BY month""",
    "all reform indicators of a province in a month": """
        SELECT indicator, numerator, denominator, value FROM {s}.reform_indicator
        WHERE admdvs = %(sender)s AND month = %(month)s ORDER BY indicator""",
    "one indicator, all provinces, the months of a year": """
        SELECT admdvs, month, value FROM {s}.reform_indicator
        WHERE indicator = 'high_skilled_share' AND month BETWEEN %(month)s::date - interval '11 months' AND %(month)s
        ORDER BY admdvs, month""",
}


def main() -> None:
    """Ask everything and print the table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--dsn")
    arguments.add_argument("--schema", default="marts")
    arguments.add_argument("--members", type=int, default=1_000_000)
    arguments.add_argument(
        "--settlements",
        type=int,
        default=1_000_000,
        help="of all months; what the questions read hardly grows with them",
    )
    arguments.add_argument("--months", type=int, default=24)
    arguments.add_argument("--runs", type=int, default=100)
    arguments.add_argument("--home", type=Path, help="of a warehouse to build in, or that build.py left; kept")
    options = arguments.parse_args()
    if options.dsn is not None:
        with psycopg.connect(options.dsn, autocommit=True) as conn:
            ask(conn, options.schema, options.runs)
    elif options.home is not None:
        _in_home(options.home, options)
    else:
        with tempfile.TemporaryDirectory(prefix="bench-queries-") as folder:
            _in_home(Path(folder), options)


def _in_home(home: Path, options: argparse.Namespace) -> None:
    settings = Settings(home=home, dbt_threads=2)
    dsn = server.ensure_running(settings)
    try:
        with database.connect(dsn) as conn:
            schema.migrate(conn, contracts.load())
            if conn.execute("SELECT to_regclass('build_a.reform_indicator')").fetchone() == (None,):
                world = World(members=options.members, settlements=options.settlements, months=options.months)
                for month in world.month_list:
                    for sender in world.senders:
                        world.membership(conn, sender, month)
                        world.training(conn, sender, month)
                        world.medical(conn, sender, month)
                plan = planning.create(dsn, contracts.load())
                assert plan is not None
                runner.run(dsn, settings, plan)
            ask(conn, "build_a", options.runs)
    finally:
        server.stop(settings)


def ask(conn: psycopg.Connection, schema: str, runs: int) -> None:
    """Every question ``runs`` times, in random order of months and places; the first round is not counted."""
    draw = random.Random(1)
    schema_name = sql.Identifier(schema)
    months = _column(conn, schema_name, "SELECT DISTINCT month FROM {s}.union_coverage_month ORDER BY 1")
    senders = _column(conn, schema_name, "SELECT DISTINCT sender FROM {s}.union_coverage_month ORDER BY 1")
    admdvs = _column(conn, schema_name, "SELECT DISTINCT admdvs FROM {s}.union_coverage_month ORDER BY 1")
    years = _column(conn, schema_name, "SELECT DISTINCT year FROM {s}.training_fund_year ORDER BY 1")
    slow = 0
    print(f"{'question':<58} {'rows':>6} {'p50 ms':>8} {'p95 ms':>8} {'max ms':>8}")
    for question, text in QUESTIONS.items():
        taken, rows = [], 0
        for run in range(runs + 1):
            chosen = {
                "month": draw.choice(months),
                "sender": draw.choice(senders),
                "admdvs": draw.choice(admdvs),
                "year": draw.choice(years),
            }
            begun = time.perf_counter()
            rows = len(conn.execute(sql.SQL(text).format(s=schema_name), chosen).fetchall())
            if run:
                taken.append((time.perf_counter() - begun) * 1000)
        p95 = statistics.quantiles(taken, n=20)[-1]
        slow += p95 > TARGET_MS
        mark = "  !" if p95 > TARGET_MS else ""
        print(f"{question:<58} {rows:>6} {statistics.median(taken):>8.1f} {p95:>8.1f} {max(taken):>8.1f}{mark}")
    print(f"\n{len(QUESTIONS) - slow} of {len(QUESTIONS)} questions answered within {TARGET_MS} ms (95th percentile)")


def _column(conn: psycopg.Connection, schema_name: sql.Identifier, text: str) -> list[Any]:
    return [value for (value,) in conn.execute(sql.SQL(text).format(s=schema_name)).fetchall()]


if __name__ == "__main__":
    main()

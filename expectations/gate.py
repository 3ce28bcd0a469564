"""The gate before a delivery is accepted: every staged batch against its suite.

Critical expectations look at the delivery alone, so that acceptance does not depend on the order of arrival; what is
compared with earlier deliveries only warns.
"""

import importlib
import importlib.util

import psycopg
from great_expectations.expectations.expectation import Expectation

from expectations import runner
from expectations.base import base_suite
from expectations.history import previous
from expectations.own import Facts
from ingest.contracts import Feed
from ingest.errors import DeliveryCode, Finding
from ingest.load import GateRequest


def suite_of(facts: Facts) -> list[Expectation]:
    """The whole suite of a feed: the contract's part, then the feed's own where a module for it exists."""
    name = f"expectations.feeds.{facts.feed.table}"
    own = importlib.import_module(name).expectations(facts) if importlib.util.find_spec(name) else []
    return [*base_suite(facts.feed), *own]


def validate(request: GateRequest) -> list[Finding]:
    """Validate every staged batch of a delivery and store the results.

    Args:
        request: The staged delivery.

    Returns:
        One finding a failed critical expectation; they refuse the delivery.
    """
    results: list[runner.Result] = []
    with psycopg.connect(request.dsn, autocommit=True) as conn, runner.connected(request.dsn) as engine:
        for name, table in sorted(request.tables.items()):
            feed: Feed = request.contracts.feeds[request.manifest.source, name]
            before = previous(conn, request.manifest, name)
            facts = Facts(
                feed=feed,
                mode=request.manifest.mode,
                created_date=request.manifest.created_date,
                month=request.manifest.month,
                tables=request.tables,
                rows_loaded=request.rows_loaded[name],
                previous_rows=before.rows,
                previous_sums=before.sums,
            )
            schema, _, relation = table.partition(".")
            results.extend(runner.run(engine, schema, relation, feed.table, suite_of(facts)))
        runner.store(conn, results, delivery_name=request.manifest.name, arrival_id=request.arrival_id)
    return [
        Finding(DeliveryCode.EXPECTATION, f"{result.expectation}: {result.description}")
        for result in results
        if result.stops
    ]

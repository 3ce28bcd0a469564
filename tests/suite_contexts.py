"""What a suite is told in tests."""

from datetime import date
from typing import Any

from expectations.building_blocks import SuiteContext
from ingest import contracts
from ingest.contracts import Feed


def context_of(feed: Feed, **arguments: Any) -> SuiteContext:
    """A snapshot of 10 rows of a feed, delivered with all others of its source, after another one."""
    given: dict[str, Any] = {
        "mode": "snapshot",
        "created_date": date(2026, 10, 3),
        "month": date(2026, 9, 1),
        "tables": {other.name: f"landing.{other.table}_1" for other in contracts.load().of_source(feed.source)},
        "rows_loaded": 10,
        "previous_rows": 10,
        "previous_sums": {column.name: 1.0 for column in feed.landed},
    }
    return SuiteContext(feed=feed, **given | arguments)

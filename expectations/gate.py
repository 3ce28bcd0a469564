"""The gate before a delivery is accepted: every staged batch against its suite.

Critical expectations look at the delivery alone, so that acceptance does not depend on the order of arrival; what is
compared with earlier deliveries only warns.
"""

from collections.abc import Mapping
from typing import Protocol

import psycopg

from expectations import runner
from expectations.building_blocks import SuiteContext
from expectations.history import Previous, previous
from expectations.suites import suite_of
from ingest.contracts import Contracts
from ingest.delivery.manifest import Manifest
from ingest.errors import DeliveryCode, Finding


class StagedDelivery(Protocol):
    """What the gate must know of a delivery; loading hands it over (``GateRequest``) and knows nothing of this room."""

    @property
    def dsn(self) -> str:
        """Where the staged tables are: libpq connection string."""

    @property
    def contracts(self) -> Contracts:
        """The contracts that the delivery was read by."""

    @property
    def arrival_id(self) -> int:
        """Number of the arrival in the ledger."""

    @property
    def manifest(self) -> Manifest:
        """The delivery's manifest."""

    @property
    def tables(self) -> Mapping[str, str]:
        """Qualified staged table of each feed."""

    @property
    def rows_loaded(self) -> Mapping[str, int]:
        """Rows of each feed that passed the row checks."""


def validate(request: StagedDelivery) -> list[Finding]:
    """Validate every staged batch of a delivery and store the results.

    Args:
        request: The staged delivery.

    Returns:
        One finding a failed critical expectation, in both languages; they refuse the delivery.
    """
    results: list[runner.Result] = []
    with psycopg.connect(request.dsn, autocommit=True) as conn:
        known = previous(conn, request.manifest)
        for name, table in sorted(request.tables.items()):
            feed = request.contracts.feeds[request.manifest.source, name]
            before = known.get(name, Previous())
            context = SuiteContext(
                feed=feed,
                mode=request.manifest.mode,
                created_date=request.manifest.created_date,
                month=request.manifest.month,
                tables=request.tables,
                rows_loaded=request.rows_loaded[name],
                previous_rows=before.rows,
                previous_sums=before.sums,
            )
            results.extend(runner.run(conn, table, feed.table, suite_of(context)))
        runner.store(conn, results, delivery_name=request.manifest.name, arrival_id=request.arrival_id)
    return [
        Finding(DeliveryCode.EXPECTATION, f"{result.expectation}: {result.description} {result.description_zh}".strip())
        for result in results
        if result.stops
    ]

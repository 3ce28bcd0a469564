"""The audit of a build: Great Expectations on its figures, after dbt's own tests and before publication."""

import psycopg

from expectations import runner
from expectations.suites import figures


def audit(dsn: str, build: str) -> list[runner.Result]:
    """Run the figures' suites on a build schema and store every result.

    Args:
        dsn: libpq connection string.
        build: The build schema, which nobody reads yet.

    Returns:
        The critical results that failed; empty when the build may be published.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        present = {
            str(name)
            for (name,) in conn.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s", [build]
            )
        }
        results = [
            result
            for table, suite in figures.suites().items()
            if table in present
            for result in runner.run(conn, f"{build}.{table}", table, suite)
        ]
        runner.store(conn, results, build=build)
    return [result for result in results if result.stops]

"""Suites without a database."""

from collections.abc import Iterator
from datetime import date
from typing import Any

from expectations import figures, gate, runner
from expectations.own import Facts
from ingest import contracts


def every_expectation() -> Iterator[Any]:
    known = contracts.load()
    for (source, _), feed in known.feeds.items():
        facts = Facts(
            feed=feed,
            mode="snapshot",
            created_date=date(2026, 10, 3),
            month=date(2026, 9, 1),
            tables={name: f"landing.{source}_{name}_1" for origin, name in known.feeds if origin == source},
            rows_loaded=10,
            previous_rows=10,
            previous_sums={column.name: 1.0 for column in feed.landed},
        )
        yield from gate.suite_of(facts)
    for suite in figures.suites().values():
        yield from suite


def arguments(metric: Any) -> dict[str, Any]:
    """Of a metric, without those that are not given and the one that has nothing to do with counts."""
    given = {**metric.metric_domain_kwargs, **metric.metric_value_kwargs}
    return {key: value for key, value in given.items() if value is not None and key != "result_format"}


def test_an_expectation_is_told_what_the_library_would_tell_it() -> None:
    seen = set()
    for expectation in every_expectation():
        asked = expectation.get_validation_dependencies(runtime_configuration={"result_format": "BOOLEAN_ONLY"})
        library = {name: arguments(metric) for name, metric in asked.metric_configurations.items()}
        assert {name: arguments(metric) for name, metric in runner.needs(expectation).items()} == library
        seen.add(type(expectation))
    assert len(seen) >= 9

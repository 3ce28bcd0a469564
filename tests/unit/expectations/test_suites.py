"""Suites without a database."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import great_expectations
import great_expectations.expectations as gxe
import psycopg
import pytest
from great_expectations.expectations.row_conditions import Column
from psycopg import sql

from expectations import private_gx, suites
from expectations.contract_suite import base_suite
from expectations.suites import figures, suite_of
from ingest import contracts
from tests.suite_contexts import context_of


def every_expectation() -> Iterator[Any]:
    for feed in contracts.load().feeds.values():
        yield from suite_of(context_of(feed))
    for suite in figures.suites().values():
        yield from suite


def test_the_fast_path_was_tried_with_the_release_at_hand() -> None:
    assert great_expectations.__version__ == private_gx.VERSION, (
        "Great Expectations is another release than the fast path was tried with: every gate goes the slow, public way."
        " Let the tests of this module and of tests/integration/expectations/test_runner.py pass with private_gx.VERSION changed."
    )


def test_every_expectation_is_judged_by_the_numbers_that_the_library_asks_for() -> None:
    seen = set()
    for expectation in every_expectation():
        asked = expectation.get_validation_dependencies(runtime_configuration={"result_format": "BOOLEAN_ONLY"})
        numbers = private_gx.numbers(expectation, sql.Identifier("landing", "any"))
        assert numbers is not None
        assert numbers.keys() == set(asked.get_metric_names())
        seen.add(type(expectation))
    assert seen == private_gx.LISTED.keys(), "an expectation is listed that no suite has"


def test_every_expectation_is_described_in_both_languages() -> None:
    for expectation in every_expectation():
        english, chinese = expectation.description, (expectation.meta or {}).get("zh")
        assert english, expectation
        assert english.endswith(".")
        assert chinese, expectation
        assert re.search("[\u4e00-\u9fff]", chinese)
        assert chinese.endswith("。")


@pytest.mark.parametrize(
    "expectation",
    [
        gxe.ExpectColumnMaxToBeBetween(column="x", min_value=1),
        gxe.ExpectColumnValuesToNotBeNull(column="x", row_condition=Column("y") > 1),
        gxe.ExpectColumnPairValuesAToBeGreaterThanB(column_A="x", column_B="y", ignore_row_if="neither"),
    ],
)
def test_what_is_not_listed_goes_the_public_way(expectation: Any, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as conn:
        assert private_gx.verdicts(conn, "pg_catalog.pg_class", [expectation], {"result_format": "BASIC"}) is None


def test_a_feed_without_a_module_has_the_suite_of_its_contract() -> None:
    feed = replace(contracts.load().feeds["membership", "member"], name="badge")
    assert [each.configuration for each in suite_of(context_of(feed))] == [
        each.configuration for each in base_suite(feed)
    ]
    unheard = replace(feed, source="nursery")
    assert len(suite_of(context_of(unheard))) == len(base_suite(feed))


def test_every_module_of_a_feed_has_a_contract() -> None:
    folder = Path(suites.__file__).parent
    modules = {
        (path.parent.name, path.stem)
        for path in folder.glob("*/*.py")
        if path.stem != "__init__" and path.parent.name != "figures"
    }
    assert modules
    assert modules <= contracts.load().feeds.keys()

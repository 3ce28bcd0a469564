"""Deliveries through one whole pass to published figures, which naive Python over the accepted rows confirms."""

from collections import Counter
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import synthetic
from ingest.settings import Settings
from tests import disclosure, oracle
from tests.disclosure import __main__ as script
from tests.end_to_end import figures
from tests.integration.ingest.test_sample_deliveries import compare_all
from tests.packages import ALL_SOURCES, SAMPLES
from warehouse import operations
from warehouse.local import server

#: The page that says which suppressed cells the samples' figures give away.
SECURITY = Path(__file__).parents[2] / "docs" / "security.md"


def go(settings: Settings) -> operations.PassReport:
    return operations.run(settings, lambda *_: None)


def dsn_of(settings: Settings) -> str:
    return server.ensure_running(settings)


def observed(dsn: str, samples: Path) -> disclosure.Marts:
    """Published marts of the sources that samples have: without the others' figures, which are all 0."""
    expected = disclosure.from_tables(samples / "expected" / "figures")
    named = {row["indicator"] for row in expected["reform_indicator"]}
    return {
        mart: [row for row in rows if expected[mart] and row.get("indicator") in {None, *named}]
        for mart, rows in disclosure.from_database(dsn).items()
    }


def dump(dsn: str, relations: list[str]) -> dict[str, Counter[Any]]:
    with psycopg.connect(dsn) as conn:
        return {name: Counter(map(repr, conn.execute(f"SELECT * FROM {name}").fetchall())) for name in relations}


def relations_of(dsn: str) -> list[str]:
    with psycopg.connect(dsn) as conn:
        return [
            f"{schema}.{name}"
            for schema, name in conn.execute(
                "SELECT schemaname, viewname FROM pg_views WHERE schemaname IN ('core', 'marts', 'casework') ORDER BY 1, 2"
            )
        ]


def test_generated_deliveries_in_two_halves(settings: Settings, tmp_path: Path) -> None:
    """The second half arrives on top of the first, in an order of its own; then nothing is new."""
    everything, inbox = tmp_path / "all", tmp_path / "inbox"
    packages = synthetic.generate(everything, seed=11, members=700, settlements=2500)
    inbox.mkdir()
    here = settings.model_copy(update={"inbox": str(inbox)})
    odd = [package for number, package in enumerate(sorted(packages)) if number % 2]
    for package in odd:
        package.rename(inbox / package.name)
    first = go(here)
    assert first.moved is not None
    dsn = dsn_of(here)
    assert figures.disagreements(dsn) == {}

    for package in everything.iterdir():
        package.rename(inbox / package.name)
    second = go(here)
    assert second.moved is not None
    assert second.plan is not None
    assert second.plan["build"] != first.plan["build"]  # type: ignore[index]
    assert figures.disagreements(dsn) == {}
    empty = [name for name in oracle.FIGURES if not figures.published(dsn, name)]
    assert empty == [], "a sample without rows proves nothing"

    before = dump(dsn, relations_of(dsn))
    third = go(here)
    assert third.outcomes == []
    assert third.plan is None
    assert dump(dsn, relations_of(dsn)) == before


@pytest.mark.parametrize(
    "samples", [pytest.param(SAMPLES, marks=pytest.mark.slow), ALL_SOURCES], ids=lambda folder: folder.name
)
def test_sample_deliveries_equal_their_expected_figures(settings: Settings, samples: Path) -> None:
    here = settings.model_copy(update={"inbox": str(samples / "inbox")})
    assert go(here).moved is not None
    dsn = dsn_of(here)
    with psycopg.connect(dsn) as conn:
        compare_all(conn, samples)
    assert figures.unlike_expected(dsn, samples) == {}
    assert figures.unlike_counts(dsn, samples) == {}
    assert figures.disagreements(dsn) == {}
    given_away = script.report(observed(dsn, samples))
    assert [line for line in given_away.splitlines() if line not in SECURITY.read_text("utf-8").splitlines()] == []

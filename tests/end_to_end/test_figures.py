"""Deliveries through one whole pass to published figures, which naive Python over the accepted rows confirms."""

import csv
import os
from collections import Counter
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest import samples
from ingest.settings import Settings
from tests import oracle
from tests.end_to_end import figures
from warehouse import passes, server

SAMPLES = Path(os.environ.get("UNION_SAMPLES", Path(__file__).parents[3] / "shared" / "samples"))


def go(settings: Settings) -> passes.PassReport:
    return passes.run(settings, lambda *_: None)


def dsn_of(settings: Settings) -> str:
    return server.ensure_running(settings)


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
    packages = samples.generate(everything, seed=11, members=700, settlements=2500)
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


def cell(value: Any) -> Any:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return str(value)
    return number.quantize(Decimal("0.01"))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no folder of sample deliveries with expected figures is at hand")
def test_sample_deliveries_equal_their_expected_figures(settings: Settings) -> None:
    here = settings.model_copy(update={"inbox": str(SAMPLES / "inbox")})
    assert go(here).moved is not None
    dsn = dsn_of(here)
    wrong = {}
    for path in sorted((SAMPLES / "expected" / "figures").glob("*.csv")):
        with path.open(encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or [])
            expected = Counter(tuple(cell(row[column]) for column in columns) for row in reader)
        actual = Counter(tuple(cell(row[column]) for column in columns) for row in figures.published(dsn, path.stem))
        if expected != actual:
            wrong[path.stem] = {"missing": list(expected - actual)[:3], "surplus": list(actual - expected)[:3]}
    assert wrong == {}
    assert figures.disagreements(dsn) == {}

"""What is written in one place only: the columns of a feed, the constants of the row rules."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

from ingest.contracts import Feed, load
from ingest.stripping import NULL_WORDS
from ingest.synthetic import style

ROOT = Path(__file__).parents[3]
#: Where a feed's columns may stand: the contracts, dbt's models, the page generated from these; and the second reading of
#: the figures, with the rows on the edges of its rules.
ALLOWED = (
    "ingest/contracts/",
    "dbt_project/models/",
    "docs/dictionary.md",
    "tests/oracle/",
    "tests/edge_rows.py",
)
#: So many lines that name this share of a feed's columns list them.
LINES, SHARE = 60, 0.8


@cache
def hand_written() -> list[Path]:
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    return [
        ROOT / name
        for name in tracked
        if name.endswith((".py", ".sql", ".yml", ".yaml", ".json", ".toml", ".md", ".sh"))
        and not name.startswith(ALLOWED)
        and (ROOT / name).is_file()
    ]


@cache
def words_of_lines(text: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(re.findall(r"[a-z_0-9]+", line)) for line in text.lower().splitlines())


def lists(text: str, feed: Feed) -> bool:
    names = {column.name for column in feed.columns}
    if len(names & frozenset().union(*words_of_lines(text))) < SHARE * len(names):
        return False
    lines = [names & words for words in words_of_lines(text)]
    return any(
        len(set().union(*lines[begin : begin + LINES])) >= SHARE * len(names)
        for begin in range(max(1, len(lines) - LINES + 1))
    )


@pytest.mark.parametrize("feed", load().feeds.values(), ids=lambda feed: feed.table)
def test_columns_are_listed_nowhere_else(feed: Feed) -> None:
    found = [path.relative_to(ROOT) for path in hand_written() if lists(path.read_text(encoding="utf-8"), feed)]
    assert found == [], f"the columns of {feed.table} stand again in {found}: read them from its contract"


def test_a_listing_would_be_seen() -> None:
    feed = next(iter(load().feeds.values()))
    assert lists(", ".join(column.name for column in feed.columns), feed)


@pytest.mark.parametrize(
    ("constant", "module"),
    [
        (r"10X98765432", "ingest/validation/constants.py"),  # check characters of residents' numbers
        (r"7, 9, 10, 5, 8", "ingest/validation/constants.py"),  # and their weights
        (r"ABCDEFGHJKLMNPQRTUWXY", "ingest/validation/constants.py"),  # alphabet of credit codes
        (r"pow\(3, ", "ingest/validation/constants.py"),  # and their weights
        (r"\[3-9\]|\(3, 9\)|13_?000_?000_?000", "ingest/validation/constants.py"),  # mobile numbers
        (r"\b2099\b", "ingest/validation/constants.py"),  # placeholder dates
        (r"不详", "ingest/stripping.py"),  # null words
    ],
)
def test_constants_of_rules_are_written_once(constant: str, module: str) -> None:
    modules = sorted((ROOT / "ingest").rglob("*.py"))
    found = [path for path in modules if re.search(constant, path.read_text(encoding="utf-8"))]
    assert [path.relative_to(ROOT).as_posix() for path in found] == [module]


def test_synthetic_senders_write_null_words_where_there_is_no_value() -> None:
    assert set(style._EMPTY) <= set(NULL_WORDS)

"""A feed's columns are listed in its contract, its staging model and later SQL, and in no other file written by hand."""

import re
import subprocess
from pathlib import Path

import pytest

from ingest.contracts import Feed, load

ROOT = Path(__file__).parents[2]
#: Where a feed's columns may stand: the contracts, dbt's models, and the page generated from these.
ALLOWED = ("ingest/contracts/", "dbt_project/models/", "docs/dictionary.md")
#: A file that names this share of a feed's columns lists them.
SHARE = 0.8


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


def lists(text: str, feed: Feed) -> bool:
    words = set(re.findall(r"[a-z_0-9]+", text.lower()))
    names = [column.name for column in feed.columns]
    return sum(name in words for name in names) >= SHARE * len(names)


@pytest.mark.parametrize("feed", load().feeds.values(), ids=lambda feed: feed.table)
def test_columns_are_listed_nowhere_else(feed: Feed) -> None:
    found = [path.relative_to(ROOT) for path in hand_written() if lists(path.read_text(encoding="utf-8"), feed)]
    assert found == [], f"the columns of {feed.table} stand again in {found}: read them from its contract"


def test_a_listing_would_be_seen() -> None:
    feed = next(iter(load().feeds.values()))
    assert lists(", ".join(column.name for column in feed.columns), feed)

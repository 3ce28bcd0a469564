"""The seeds of sharing, and the page that explains the codes."""

import re

import pytest

from ingest import contracts
from tests.worlds import PROJECT
from warehouse.sharing import policy
from warehouse.sharing.codes import ShareCode


def test_purposes_name_sources_that_deliver() -> None:
    known = set(contracts.load().sources)
    purposes = policy.load().purposes
    assert set(purposes) == {
        *("mutual-aid", "hardship-visit", "insurance-check", "training-service", "job-service"),
        *("rights-protection", "statistics", "audit", "research"),
    }
    assert all(sources and sources <= known for sources in purposes.values())


def test_exceptions_are_purposes() -> None:
    known = policy.load()
    assert all(row.purposes_excepted <= known.purposes.keys() for row in known.never)
    assert all(row.reason for row in known.never)


def test_no_column_that_names_a_row_of_a_person_is_shared() -> None:
    """Shares could be joined by the numbers under which senders keep persons."""
    known = policy.load()
    numbers = {
        column.name
        for feed in contracts.load().feeds.values()
        if feed.has_person
        for column in feed.keys
        if column.classification == "personal" and column.kind.value == "identifier"
    }
    assert numbers
    assert [name for name in sorted(numbers) if known.forbidden("core.any", name, "statistics") is None] == []


@pytest.mark.parametrize("guide", ["sharing.md", "sharing.zh-CN.md"])
def test_the_guide_explains_every_code(guide: str) -> None:
    text = (PROJECT.parent / "docs" / guide).read_text("utf-8")
    assert re.findall(r"^\| `(S_\w+)` \|", text, re.MULTILINE) == list(ShareCode)

"""The data dictionary says what the models and the contracts say."""

import re

from ingest.contracts import load
from warehouse.documentation import dictionary


def test_the_committed_page_is_of_these_models() -> None:
    assert dictionary.PAGE.read_text(encoding="utf-8") == dictionary.page(), "run: make generate"


def test_every_feed_and_column_that_is_delivered_is_there() -> None:
    page = dictionary.page()
    for feed in load().feeds.values():
        section = page.partition(f"#### {feed.source}.{feed.name} ")[2].partition("\n###")[0]
        assert re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE) == [column.name for column in feed.columns]


def test_every_published_column_is_described_in_both_languages() -> None:
    silent = [
        (model["name"], column["name"])
        for schema in dictionary.SCHEMAS
        for model in dictionary.models(schema)
        for column in model.get("columns") or []
        if not re.search("[a-z]", column.get("description") or "")
        or not re.search("[\u4e00-\u9fff]", column.get("description") or "")
    ]
    assert silent == []

"""The data dictionary says what the models say."""

import re

from warehouse import dictionary


def test_the_committed_page_is_of_these_models() -> None:
    assert dictionary.PAGE.read_text(encoding="utf-8") == dictionary.page(), "run: python -m warehouse.dictionary"


def test_every_published_column_is_described_in_both_languages() -> None:
    silent = [
        (model["name"], column["name"])
        for schema in dictionary.SCHEMAS
        for model in dictionary._models(schema)
        for column in model.get("columns") or []
        if not re.search("[a-z]", column.get("description") or "")
        or not re.search("[\u4e00-\u9fff]", column.get("description") or "")
    ]
    assert silent == []

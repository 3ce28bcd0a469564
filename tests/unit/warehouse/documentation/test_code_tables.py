"""The senders' guide lists the codes as ``ingest/code_texts.yaml`` has them."""

import pytest

from ingest import code_texts
from warehouse.documentation import code_tables


def test_the_committed_guide_has_these_tables() -> None:
    guide = code_tables.PAGE.read_text(encoding="utf-8")
    assert guide == code_tables.page(guide), "run: make generate"


def test_every_code_has_one_line() -> None:
    guide = code_tables.PAGE.read_text(encoding="utf-8")
    for code, text in code_texts.load().items():
        lines = [line for line in guide.splitlines() if line.startswith(f"| `{code}` |")]
        assert len(lines) == 1, code
        assert text.remedy.zh in lines[0]


def test_a_guide_without_the_place_of_a_table_is_told_of() -> None:
    with pytest.raises(ValueError, match="no place for the codes of a delivery"):
        code_tables.page("# For senders")

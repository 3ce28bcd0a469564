"""The parts of a table's description, and charts."""

from ingest.code_texts import Text
from warehouse.portal import catalogue, charts

DESCRIPTION = """\
Overview 概述: Members by month.
各月会员。

Rules 规则: None. 无。

Example query 查询示例: All of it.
全部。

    select 1
    from marts.x
"""


def test_a_description_has_parts_and_a_query() -> None:
    overview, rules, example = catalogue.parts(DESCRIPTION)
    assert overview.text == Text(en="Members by month.", zh="各月会员。")
    assert (rules.heading, rules.query) == (Text(en="Rules", zh="规则"), None)
    assert example.text == Text(en="All of it.", zh="全部。")
    assert example.query == "select 1\nfrom marts.x"


def test_a_description_without_headings_is_an_overview() -> None:
    [part] = catalogue.parts("Members. 会员。")
    assert part.heading.en == "Overview"
    assert part.text == Text(en="Members.", zh="会员。")


def test_a_month_without_a_value_is_a_gap_and_the_names_of_lines_are_in_both_languages() -> None:
    chart = charts.lines(["2026-01", "2026-02"], [(Text(en="A", zh="甲"), {"2026-02": 0.5})], is_share=True, bold=0)
    [line] = chart["data"]
    assert line["y"] == [None, 0.5]
    assert line["name"] == {"en": "A", "zh": "甲"}
    assert chart["layout"]["yaxis"]["tickformat"] == ".1%"
    assert charts.bars(["2026-01"], [(Text(en="A", zh="甲"), {"2026-01": 3})])["data"][0]["y"] == [3]

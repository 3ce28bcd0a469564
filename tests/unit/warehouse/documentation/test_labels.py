"""The short labels of columns."""

import pytest

from warehouse.documentation import labels


@pytest.mark.parametrize(
    ("description", "chinese", "english"),
    [
        (
            "First day of the month the classes began in. 开班月份首日。",
            "开班月份首日",
            "First day of the month the classes began in",
        ),
        (
            "Base organisations: status 1, level 90. 基层工会组织数（状态正常）。",
            "基层工会组织数",
            "Base organisations",
        ),
        ("Members ÷ employees; empty without. 入会率：会员÷职工；可大于1。", "入会率", "Members ÷ employees"),
        ("Share (0 to 1.5) of them. 占比，无则为空。", "占比", "Share"),
        ("At least 1.5 hours. 至少一个半小时。", "至少一个半小时", "At least 1.5 hours"),
        ("只有中文。", "只有中文", ""),
        ("", "", ""),
    ],
)
def test_the_first_phrase_of_each_language(description: str, chinese: str, english: str) -> None:
    assert (labels.chinese(description), labels.english(description)) == (chinese, english)


def test_labels_of_a_table_are_distinct() -> None:
    columns = [("a", "Persons. 人数。"), ("b", "Persons; all. 人数，全部。"), ("c", "")]
    assert labels.distinct(columns, labels.chinese) == ["人数 a", "人数 b", "c"]

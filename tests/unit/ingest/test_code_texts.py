"""Every code has a text in both languages, and no text is of a code that there is not."""

import re

from ingest import code_texts
from ingest.errors import DeliveryCode, RowCode

CHINESE = re.compile("[\u4e00-\u9fff]")


def test_every_code_and_no_other_has_a_text() -> None:
    assert set(code_texts.load()) == {code.value for code in (*DeliveryCode, *RowCode)}


def test_each_says_what_it_means_and_what_to_do_in_both_languages() -> None:
    for code, text in code_texts.load().items():
        for one in (text.meaning, text.remedy):
            assert one.en.endswith("."), code
            assert not CHINESE.search(one.en), code
            assert one.zh.endswith("。"), code
            assert CHINESE.search(one.zh), code

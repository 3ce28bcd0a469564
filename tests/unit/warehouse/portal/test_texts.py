"""The two halves of a description, and names of regions."""

import csv

import pytest

from warehouse.build import dbt
from warehouse.documentation.dictionary import SCHEMAS, models
from warehouse.portal import catalogue, texts


@pytest.mark.parametrize(
    ("description", "english", "chinese"),
    [
        ("Members. 会员数。", "Members.", "会员数。"),
        (
            "Province, or 100000 for all. 省级代码，100000为全国。",
            "Province, or 100000 for all.",
            "省级代码，100000为全国。",
        ),
        ("Over\ntwo lines.\n100000 为\n全国 API 键。", "Over two lines.", "100000 为全国 API 键。"),
        ("Is it? 是吗？", "Is it?", "是吗？"),
        ("Only English.", "Only English.", "Only English."),
        ("只有中文。", "只有中文。", "只有中文。"),
    ],
)
def test_a_description_has_two_halves(description: str, english: str, chinese: str) -> None:
    found = texts.halves(description)
    assert (found.en, found.zh) == (english, chinese)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_every_published_description_falls_into_halves(schema: str) -> None:
    described = models(schema)
    assert described
    for model in described:
        parts = catalogue.parts(model["description"])
        assert [f"{part.heading.en} {part.heading.zh}" for part in parts] == list(catalogue.PARTS), model["name"]
        found = [part.text for part in parts if part.text.en] + [
            texts.halves(one["description"]) for one in model["columns"]
        ]
        wrong = [text for text in found if is_chinese(text.en) or not is_chinese(text.zh)]
        assert wrong == [], model["name"]
        assert parts[-1].query


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= character <= "\u9fff" for character in text)


def test_every_province_has_a_name_in_both_languages() -> None:
    with (dbt.PROJECT / "seeds" / "division.csv").open(encoding="utf-8", newline="") as file:
        codes = {row["admdvs"] for row in csv.DictReader(file) if row["level"] in ("province", "country")}
    assert texts.regions().keys() == codes
    assert all(is_chinese(text.zh) and not is_chinese(text.en) for text in texts.regions().values())
    assert texts.region("440000").en == "Guangdong"
    assert texts.region("x").en == texts.region("x").zh == "x"
    assert texts.region(None).en == "—"


def test_what_lies_between_arrival_and_decision_is_one_state() -> None:
    assert [texts.state(one) for one in ("received", "checked", "staged", "refused")] == ["received"] * 3 + ["refused"]

"""Whose the rows of a relation are, as its model says it, and what may be written for divisions."""

from typing import Any

import pytest

from ingest.errors import WarehouseError
from warehouse.access import divisions
from warehouse.access.divisions import EVERYONE, WHOLE_COUNTRY, DivisionRule


def node(*columns: str, never_empty: tuple[str, ...] = (), **meta: str) -> dict[str, Any]:
    return {
        "name": "model",
        "meta": {"publish": "core", **meta},
        "columns": {
            name: {"constraints": [{"type": "not_null"}] if name in never_empty else []} for name in (*columns, "other")
        },
    }


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (node("sender", "admdvs", never_empty=("admdvs", "sender")), DivisionRule("division", ("admdvs",))),
        (node("sender", "admdvs", never_empty=("sender",)), DivisionRule("division", ("admdvs", "sender"))),
        (node("sender", "insu_admdvs"), DivisionRule("division", ("insu_admdvs", "sender"))),
        (node("sender"), DivisionRule("division", ("sender",))),
        (node("sender", "admdvs", "place", division="place"), DivisionRule("division", ("place",))),
        (node("sender", division="everyone", division_reason="A code list."), EVERYONE),
        (node(division="country", division_reason="Nobody knows whose."), WHOLE_COUNTRY),
    ],
)
def test_the_rule_follows_from_the_model(model: dict[str, Any], rule: DivisionRule) -> None:
    assert divisions.rule_of(model["name"], model["meta"], model["columns"]) == rule


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (node(), r"none of the columns admdvs, insu_admdvs, sender"),
        (node("sender", division="everyone"), r"division_reason must say why"),
        (node("sender", division="country", division_reason=" "), r"division_reason must say why"),
        (node("sender", division="region"), r"'region', which is no column"),
    ],
)
def test_a_model_without_a_rule_is_an_error(model: dict[str, Any], words: str) -> None:
    with pytest.raises(WarehouseError, match=words):
        divisions.rule_of(model["name"], model["meta"], model["columns"])


@pytest.mark.parametrize(
    ("text", "codes"),
    [
        ("44,35", ["35", "44"]),
        ("440000", ["44"]),
        ("440100, 3502 ，440103", ["3502", "4401", "440103"]),
        ("100000", ["100000"]),
        ("44,44", ["44"]),
    ],
)
def test_codes_are_cut_to_what_they_begin_with(text: str, codes: list[str]) -> None:
    assert divisions.parse(text) == codes


@pytest.mark.parametrize("text", ["", " , ", "4", "440", "44010", "99", "44x", "%", "440199999", "10", "4400%"])
def test_what_is_no_division_is_refused(text: str) -> None:
    with pytest.raises(WarehouseError, match="division"):
        divisions.parse(text)

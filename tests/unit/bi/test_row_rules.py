"""Superset adds to a query what the warehouse's view says of rows, with the name of whoever asks."""

import re

import pytest

from bi import bundle, row_rules
from warehouse.access import divisions
from warehouse.documentation.dictionary import models

MODELS = {model["name"]: model for model in models("marts")}


@pytest.mark.parametrize("name", bundle.load()["datasets"])
def test_a_dataset_goes_by_the_columns_of_the_view(name: str) -> None:
    columns = {column["name"]: column for column in MODELS[name]["columns"]}
    rule = divisions.rule_of(name, MODELS[name].get("config", {}).get("meta", {}), columns)
    condition = row_rules.condition(MODELS[name])
    assert condition is not None
    assert {word for word in re.findall(r"\w+", condition) if word in columns} == set(rule.columns)
    assert "d.login = '{{ current_username() }}'" in condition


def test_rows_for_everyone_have_no_condition() -> None:
    meta = {"division": "everyone", "division_reason": "they name codes"}
    assert row_rules.condition({"name": "codes", "config": {"meta": meta}, "columns": [{"name": "code"}]}) is None


def test_rows_of_the_country_are_for_logins_that_see_it() -> None:
    meta = {"division": "country", "division_reason": "they tell of persons"}
    condition = row_rules.condition({"name": "lists", "config": {"meta": meta}, "columns": [{"name": "person_key"}]})
    assert condition is not None
    assert "sees_country" in condition
    assert "starts_with" not in condition

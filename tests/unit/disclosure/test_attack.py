"""The attack finds what follows from published figures, and claims nothing that does not."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests import disclosure, oracle
from tests.disclosure import __main__ as script
from tests.disclosure.attack import Finding
from tests.disclosure.knowledge import place_of
from tests.disclosure.published import as_observed, from_rows, rules
from tests.integration.dbt_project.test_figures import SUPPRESSED, oracle_over
from tests.packages import ALL_SOURCES, SAMPLES

PAGE = Path(__file__).parents[3] / "docs" / "security.md"
MONTH, SENDER = "2026-07-01", "440000"


def insurance(admdvs: str, members: int, employee_insured: int | None) -> dict[str, Any]:
    names = ("resident_insured", "uninsured", "flexible", "retired", "employee_insured_rate")
    rest = dict.fromkeys(names) if employee_insured is None else dict.fromkeys(names, 0)
    shown = {"uninsured": members - employee_insured} if employee_insured is not None else {}
    row = {"month": MONTH, "sender": SENDER, "admdvs": admdvs, "members": members, "employee_insured": employee_insured}
    return {**row, **rest, **shown, "is_suppressed": employee_insured is None}


def rate(indicator: str, admdvs: str, numerator: int, denominator: int) -> dict[str, Any]:
    row = {"indicator": indicator, "month": MONTH, "admdvs": admdvs}
    return {**row, "numerator": numerator, "denominator": denominator}


def attack(**rows: list[dict[str, Any]]) -> dict[tuple[str, ...], tuple[int, bool]]:
    """Values that are found of made-up marts, and whether by sums alone."""
    found = disclosure.attack({mart: [as_observed(row) for row in rows.get(mart, [])] for mart in rules()})
    return {(*one.cell.key[-1:], one.cell.measure): (one.value, one.by_sums) for one in found.findings}


def test_a_lone_hidden_row_is_the_rest_of_its_province() -> None:
    """What the rule's second row protects from: without it, the province's indicator less the other rows shows the row."""
    rows = [insurance("440101", 40, 30), insurance("440102", 5, None)]
    sums = [rate("employee_insured_rate", place, 33, 45) for place in (SENDER, "100000")]
    found = attack(insurance_coverage_month=rows, reform_indicator=sums)
    assert found["440102", "employee_insured"] == (3, True)


def test_two_hidden_rows_share_the_rest() -> None:
    rows = [insurance("440101", 40, 30), insurance("440102", 5, None), insurance("440103", 6, None)]
    sums = [rate("employee_insured_rate", place, 33, 51) for place in (SENDER, "100000")]
    assert attack(insurance_coverage_month=rows, reform_indicator=sums) == {}


@pytest.mark.parametrize(("rest", "each"), [(0, (0, 0)), (11, (5, 6))])
def test_two_hidden_rows_have_no_choice_at_the_ends(rest: int, each: tuple[int, int]) -> None:
    rows = [insurance("440101", 40, 30), insurance("440102", 5, None), insurance("440103", 6, None)]
    sums = [rate("employee_insured_rate", place, 30 + rest, 51) for place in (SENDER, "100000")]
    found = attack(insurance_coverage_month=rows, reform_indicator=sums)
    places = (("440102", each[0]), ("440103", each[1]))
    assert all(found[place, "employee_insured"] == (value, False) for place, value in places)


def reach(group: str, members: int, reached: int | None) -> dict[str, Any]:
    row = {"month": MONTH, "sender": SENDER, "admdvs": "440101", "service_group": group, "members": members}
    return {**row, "reached": reached, "reach_rate": None, "is_suppressed": reached is None}


def test_a_row_of_one_member_that_is_hidden_is_a_member_reached() -> None:
    found = attack(service_reach_month=[reach("1", 1, None), reach("2", 1, None), reach("any", 1, None)])
    assert set(found.values()) == {(1, False)}


def test_a_row_that_follows_a_small_one_is_not_taken_for_small() -> None:
    """Of two hidden rows one may have more than 10 persons, so their sum may be 25; with 3 hidden rows none may."""
    two = [reach("1", 60, None), reach("2", 60, None), reach("3", 60, 30), reach("any", 60, 55)]
    assert attack(service_reach_month=two) == {}
    three = [reach(group, 60, None) for group in "123"]
    assert attack(service_reach_month=[*three, reach("any", 60, 30)]) != {}


def test_figures_that_contradict_the_relations_are_an_error() -> None:
    with pytest.raises(AssertionError, match="contradict"):
        attack(service_reach_month=[reach("1", 60, 20), reach("any", 60, 15)])


@pytest.mark.parametrize("seed", [101, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2, 3, 102, 103))])
def test_what_the_attack_finds_is_true(seed: int) -> None:
    """Every value found is the one that the rule hid; and something is found, else this would show nothing."""
    figures = oracle_over(seed)
    marts = from_rows({mart: figures.rows_of(f"marts.{mart}") for mart in rules()})
    hidden = {place: value for mart in SUPPRESSED for place, value in _cells(figures, mart)}
    found = {tuple(one.cell): one.value for one in disclosure.attack(marts).findings if tuple(one.cell) in hidden}
    assert found
    assert found == {place: hidden[place] for place in found}


def _cells(figures: oracle.Oracle, relation: str) -> list[tuple[tuple[Any, ...], int]]:
    mart = relation.removeprefix("marts.")
    rows = [as_observed(row) for row in SUPPRESSED[relation][0](figures)]
    return [
        ((mart, place_of(mart, row), name), value) for row in rows for name, value in row.items() if value is not None
    ]


@pytest.mark.parametrize(
    "samples", [SAMPLES, pytest.param(ALL_SOURCES, marks=pytest.mark.slow)], ids=lambda folder: folder.name
)
def test_the_page_says_what_the_samples_give_away(samples: Path) -> None:
    """A line more or another number is a change of what readers can infer: judge it, then change the page."""
    lines = set(PAGE.read_text("utf-8").splitlines())
    given_away = script.report(disclosure.from_tables(samples / "expected" / "figures"))
    assert [line for line in given_away.splitlines() if line not in lines] == []


def test_without_indicators_only_public_numbers_and_zeros_give_cells_away() -> None:
    """Within the marts themselves no sum shows a cell: a total of 0, or a public number of members, is what is left."""
    marts = disclosure.from_tables(ALL_SOURCES / "expected" / "figures")
    alone = disclosure.attack({**marts, "reform_indicator": []})
    assert not [one for one in alone.findings if one.by_sums]
    assert not [one for one in alone.findings if not _follows_from_zero_or_one(one)]


def _follows_from_zero_or_one(found: Finding) -> bool:
    return found.value == 0 or (found.cell.measure == "reached" and found.value == 1)


def test_the_script_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    script.main(str(SAMPLES / "expected" / "figures"), "--cells")
    out = capsys.readouterr().out
    assert re.search(r"^\| `insurance_coverage_month` \| \d+ \| 0 \| 0 \| 0 \|$", out, re.MULTILINE)

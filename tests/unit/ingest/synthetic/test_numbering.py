"""Synthetic persons: their numbers are right, nobody's, and different; draws depend on nothing but seed and number."""

from datetime import date

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import uscc
from stdnum.iso7064 import mod_11_2

from ingest.contracts import load
from ingest.synthetic import numbering
from ingest.synthetic.draws import Draws
from ingest.synthetic.world import World, as_number

EVERYBODY = np.arange(20_000, dtype=np.uint64)


def world(seed: int = 7, persons: int = 20_000) -> World:
    return World(Draws(seed), ("110000", "350000", "440000"), (date(2026, 7, 1),), persons, 1_000, load().code_lists)


def people(index: np.ndarray = EVERYBODY, seed: int = 7) -> pl.DataFrame:
    return pl.DataFrame(world(seed).person(index))


def test_resident_numbers_are_right_and_belong_to_nobody() -> None:
    cards = people().filter(pl.col("person.document").is_in(["01", "17"]))
    assert cards.height > 18_000
    for document, number, born, sex in cards.select(
        "person.document", "person.number", "person.birth", "person.sex"
    ).iter_rows():
        assert mod_11_2.is_valid(number)
        pair, area = int(number[:2]), number[2:6]
        assert pair in (numbering.PERMITS if document == "17" else numbering.PROVINCES)
        assert "9901" <= area <= "9999"  # an area code that was never issued
        assert number[6:14] == born.strftime("%Y%m%d")
        assert int(number[16]) % 2 == (sex == "1")


def test_foreigners_numbers_name_a_country_that_does_not_exist() -> None:
    cards = people().filter(pl.col("person.document") == "07")["person.number"]
    assert len(cards) > 50
    assert all(mod_11_2.is_valid(number) and number.startswith("9999") for number in cards)


def test_no_two_persons_share_a_number() -> None:
    assert people()["person.number"].is_unique().all()
    far = np.concatenate([EVERYBODY, EVERYBODY + np.uint64(49_500), EVERYBODY + np.uint64(49_500 * 77)])
    assert people(far)["person.number"].is_unique().all()


def test_phones_are_of_a_range_made_for_this() -> None:
    assert people()["person.phone"].str.contains("^1990000[0-9]{4}$").all()


@given(
    division=st.integers(110_000, 659_999),
    body=st.integers(100_000_000, 999_999_999),
    first=st.sampled_from([91, 52, 81, 89]),
)
def test_credit_codes_have_their_check_character(first: int, division: int, body: int) -> None:
    (code,) = numbering.credit_code(first, np.array([division]), np.array([body]))
    assert uscc.is_valid(code) or _only_division_unknown(code)


def _only_division_unknown(code: str) -> bool:
    return uscc.calc_check_digit(code[:-1]) == code[-1]


@given(st.dates(date(1960, 1, 1), date(2030, 12, 31)))
def test_days_as_numbers(day: date) -> None:
    assert as_number(np.array([day], dtype="datetime64[D]"))[0] == int(day.strftime("%Y%m%d"))


def test_draws_depend_on_seed_purpose_and_number_only() -> None:
    one, other = Draws(1), Draws(2)
    whole = one.bits("a", EVERYBODY)
    parts = np.concatenate([one.bits("a", EVERYBODY[:77]), one.bits("a", EVERYBODY[77:])])
    assert (whole == parts).all()
    assert (whole != other.bits("a", EVERYBODY)).all()
    assert (whole != one.bits("b", EVERYBODY)).all()


@pytest.mark.parametrize("weights", [[1, 1], [90, 5, 5], [0, 1, 0]])
def test_weights_are_kept(weights: list[float]) -> None:
    drawn = np.bincount(Draws(1).weighted("w", EVERYBODY, weights), minlength=len(weights)) / len(EVERYBODY)
    assert drawn == pytest.approx(np.array(weights) / sum(weights), abs=0.02)


def test_a_person_is_the_same_in_every_batch() -> None:
    assert people()[100:200].equals(people(EVERYBODY[100:200]))
    assert not people(seed=8).equals(people())

"""Check digits and calendar arithmetic against independent references."""

from calendar import monthrange
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from ingest.kernels.byte_column import digits
from ingest.validation import identity_numbers

MAN = "11010519491231002X"
USCC_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"


def matrix(*texts: str) -> identity_numbers.Matrix:
    return np.array([list(text.encode()) for text in texts], dtype=np.uint8)


@pytest.mark.parametrize(
    ("number", "right"),
    [
        ("11010519491231002X", True),  # the example of GB 11643
        ("440199199003072517", False),
        ("110105194912310021", False),
        ("1101051949123100AX", False),
        ("11010519491231002x", False),  # upper case is the caller's business
    ],
)
def test_resident_check_digit(number: str, right: bool) -> None:
    assert identity_numbers.resident_check(matrix(number)).tolist() == [right]


@given(st.lists(st.tuples(st.text("0123456789", min_size=17, max_size=17), st.sampled_from("0123456789X")), min_size=1))
def test_resident_check_digit_agrees_with_stdnum(pairs: list[tuple[str, str]]) -> None:
    texts = [body + check for body, check in pairs]
    right = [ric.calc_check_digit(text) == text[-1] for text in texts]
    assert identity_numbers.resident_check(matrix(*texts)).tolist() == right
    full = [body + ric.calc_check_digit(body + "0") for body, _ in pairs]
    assert identity_numbers.resident_check(matrix(*full)).all()


@given(st.lists(st.text("0123456789", min_size=15, max_size=15), min_size=1))
def test_fifteen_digits_are_upgraded_with_the_century_and_a_right_check_digit(texts: list[str]) -> None:
    long = [bytes(row).decode() for row in identity_numbers.upgrade(matrix(*texts))]
    assert [text[:6] + text[8:17] for text in long] == texts
    assert all(text[6:8] == "19" and ric.calc_check_digit(text) == text[17] for text in long)


def test_what_a_resident_number_says() -> None:
    read = identity_numbers.residents(matrix("11010519491231002X", "990105194912310029", "110105200002300011"))
    assert read.checked[0]
    assert read.province.tolist() == [True, False, True]
    assert read.dated.tolist() == [True, True, False]  # 30 February
    assert date(1970, 1, 1).toordinal() + read.birth[0] == date(1949, 12, 31).toordinal()
    assert read.year[0] == 1949
    assert read.male.tolist() == [False, False, True]


@pytest.mark.parametrize(("pair", "right"), [("81", True), ("82", True), ("83", True), ("84", False), ("10", False)])
def test_first_pair_is_a_province(pair: str, right: bool) -> None:
    assert identity_numbers.residents(matrix(f"{pair}0105194912310021")).province[0] == right


@pytest.mark.parametrize(
    ("code", "right"),
    [
        ("91110000600037341L", True),
        ("91110000600037341M", False),
        ("9111000I600037341L", False),
        ("A1110000600037341L", False),
        ("N2110000MA00000128", True),
        ("9A110000MA0000012W", True),
        ("91A10000MA00000125", False),
        ("91110000600037341l", False),
    ],
)
def test_uscc(code: str, right: bool) -> None:
    assert identity_numbers.uscc_check(matrix(code)).tolist() == [right]


@given(st.lists(st.text(USCC_ALPHABET + "IO", min_size=18, max_size=18), min_size=1))
def test_uscc_agrees_with_stdnum(texts: list[str]) -> None:
    """Where the first two places are digits: it takes no letters there, which the standard does."""
    texts = ["91" + text[2:] for text in texts]
    made = ["9" * 8 + text[8:17].replace("I", "1").replace("O", "0") for text in texts]
    texts = texts + [body + uscc.calc_check_digit(body) for body in made]
    assert identity_numbers.uscc_check(matrix(*texts)).tolist() == [uscc.is_valid(text) for text in texts]


@given(st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 99), st.integers(0, 99)), min_size=1))
def test_dates_agree_with_the_calendar(parts: list[tuple[int, int, int]]) -> None:
    year, month, day = (np.array(column, dtype=np.int32) for column in zip(*parts, strict=True))
    real = [y >= 1 and 1 <= m <= 12 and 1 <= d <= monthrange(y, m)[1] for y, m, d in parts]
    assert identity_numbers.real_dates(year, month, day).tolist() == real
    days = identity_numbers.epoch_days(year, np.clip(month, 1, 12), day)
    for (y, m, d), is_real, number in zip(parts, real, days, strict=True):
        if is_real:
            assert date(1970, 1, 1).toordinal() + number == date(y, m, d).toordinal()


def test_the_days_of_every_month_of_years_with_and_without_a_leap_day() -> None:
    parts = [(y, m, d) for y in (0, 1, 1900, 2000, 2023, 2024, 9999, 10_000) for m in range(14) for d in range(33)]
    year, month, day = (np.array(column, dtype=np.int32) for column in zip(*parts, strict=True))
    real = [1 <= y <= 9999 and 1 <= m <= 12 and 1 <= d <= monthrange(y, m)[1] for y, m, d in parts]
    assert identity_numbers.real_dates(year, month, day).tolist() == real


@pytest.mark.parametrize("neighbour", "/:")
def test_characters_beside_the_digits_are_none(neighbour: str) -> None:
    assert digits(matrix("0123456789", "01234567" + neighbour + "9")).tolist() == [True, False]
    for place in range(17):
        number = MAN[:place] + neighbour + MAN[place + 1 :]
        read = identity_numbers.residents(matrix(number))
        assert not read.checked[0]
        assert bool(read.province[0]) == (place > 1)
        assert bool(read.dated[0]) == (not 6 <= place < 14)


def test_a_first_pair_that_is_no_number_is_no_province() -> None:
    # as figures these characters would make 50, a province
    assert not identity_numbers.residents(matrix("4:" + MAN[2:])).province[0]

"""Direct identifiers where they do not belong: which are found, and what lands instead."""

import re
from dataclasses import replace
from datetime import date

import numpy as np
import polars as pl
import pytest
from stdnum.cn import ric, uscc

from ingest.contracts import load
from ingest.contracts.model import Column, Feed
from ingest.privacy.keyring import REPLACED_PATTERN, Keyring
from ingest.validation.cleaning import Context
from ingest.validation.identifiers import find_numbers, span
from ingest.validation.rules import CheckedBatch, check
from tests.unit.ingest.validation.test_rules import Rows, member, settlement

CREATED = date(2026, 10, 3)
CONTEXT = Context(CREATED)
KEYRING = Keyring("k" * 40)
FEEDS = load().feeds
MEMBER, ORGANISATION = FEEDS["membership", "member"], FEEDS["membership", "organisation"]
KEY, NAME = MEMBER.by_name["member_id"], ORGANISATION.by_name["org_name"]
WITH_PATTERN = replace(NAME, pattern="^.*$")


def resident(body: str) -> str:
    return body + ric.calc_check_digit(body + "0")


MAN, CHILD = resident("44990019900307251"), resident("44990020250101251")
ENDS_WITH_X = next(number for serial in range(100) if (number := resident(f"44990019900307{serial:03d}")).endswith("X"))
WRONG = MAN[:17] + ("1" if MAN[17] != "1" else "2")
FULL_WIDTH = MAN.translate(str.maketrans("0123456789X", "０１２３４５６７８９Ｘ"))
ONE_PERSON = "92440100600037341" + uscc.calc_check_digit("92440100600037341")
COMPANY = "91110000600037341L"


def found(column: Column, text: str) -> bool:
    rows = np.zeros(3, dtype=np.bool_)
    find_numbers(column, span(pl.Series(["", text, None])), CREATED, rows)
    assert not rows[0]
    assert not rows[2]
    return bool(rows[1])


@pytest.mark.parametrize(
    ("text", "in_key", "in_name", "with_pattern"),
    [
        (MAN, True, True, True),
        (ENDS_WITH_X, True, True, True),
        (ENDS_WITH_X.lower(), True, True, True),
        (f"会员{MAN}号", True, True, True),
        (f"M{ENDS_WITH_X}Y", True, True, True),
        (FULL_WIDTH, True, True, True),
        (f"440000{MAN}01", True, True, True),  # within more digits
        ("7" * 1000 + MAN, True, True, True),
        (CHILD, True, True, True),
        (f"{CHILD}1", False, False, False),  # a division, a recent day, a serial number
        (WRONG, False, False, False),
        (resident("44990020261004251"), False, False, False),  # born after the delivery was made
        (resident("99990019900307251"), False, False, False),  # no province
        ("449900900307251", True, True, False),
        ("号449900900307251号", True, True, False),
        ("4499009003072511", False, False, False),
        ("449900901307251", False, False, False),  # no date
        ("13900000000", False, True, False),
        ("电话：13900000000。", False, True, False),
        ("１３９００００００００", False, True, False),
        ("113900000000", False, False, False),
        ("12900000000", False, False, False),
        ("M440000000000012345", False, False, False),
        (COMPANY, False, False, False),
    ],
)
def test_which_texts_hold_a_number_of_a_person(text: str, in_key: bool, in_name: bool, with_pattern: bool) -> None:
    assert (found(KEY, text), found(NAME, text), found(WITH_PATTERN, text)) == (in_key, in_name, with_pattern)


def run(feed: Feed, *rows: dict[str, str]) -> CheckedBatch:
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = pl.DataFrame(
        {name: [row.get(name, "") for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )
    return check(Rows(frame, pl.Series(range(2, len(rows) + 2), dtype=pl.Int64)), feed, CONTEXT, KEYRING)


def test_a_key_that_is_an_identity_number_lands_as_a_hash_and_is_remarked_upon() -> None:
    checked = run(MEMBER, member(member_id=MAN), member(member_id="M2"), member(member_id=f"A{MAN}"))
    first, second, third = checked.good["member_id"].to_list()
    assert re.fullmatch(REPLACED_PATTERN, first)
    assert re.fullmatch(REPLACED_PATTERN, third)
    assert second == "M2"
    assert first != third
    assert checked.warnings["codes"].to_list() == [["W_IDENTIFIER:member_id"]] * 2
    assert checked.replaced == {"member_id": 2}
    assert checked.texts.select("line_number", "column", "text").rows() == [
        (2, "member_id", MAN),
        (4, "member_id", f"A{MAN}"),
    ]
    assert checked.texts["person_key"].to_list() == checked.good["person_key"].to_list()[::2]


def test_equal_numbers_have_one_hash_in_all_feeds_and_of_another_key_another_one() -> None:
    (key,) = run(MEMBER, member(member_id=MAN)).good["member_id"]
    (other,) = run(FEEDS["medical", "settlement"], settlement(psn_no=MAN)).good["psn_no"]
    assert key == other
    assert Keyring("l" * 40).replaced(pl.Series([MAN])).to_list() != [key]
    assert KEYRING.replaced(pl.Series([MAN, None, MAN])).to_list() == [key, None, key]


@pytest.mark.parametrize(
    "row",
    [
        {"member_id": "13800000000", "mobile": "13800000000"},
        {"member_id": "工13800000000", "mobile": "13800000000"},
        {"member_id": "E12345678", "cert_type": "08", "certno": "E12345678"},
        {"member_id": "王小明1", "name": "王小明"},
    ],
)
def test_a_key_that_holds_what_its_row_says_of_the_person_lands_as_a_hash(row: dict[str, str]) -> None:
    (key,) = run(MEMBER, member(**row)).good["member_id"]
    assert re.fullmatch(REPLACED_PATTERN, key)


def test_the_key_of_a_rejected_row_is_replaced_too_so_that_it_is_compared_with_others() -> None:
    checked = run(MEMBER, member(member_id=MAN), member(member_id=MAN, status="x"))
    assert checked.rejected["member_id"].to_list() == checked.good["member_id"].to_list()
    assert checked.texts.height == 1


def test_a_free_text_lands_as_the_code_for_other_and_a_listed_one_as_its_code() -> None:
    reasons = ["转移", "30", "", "其他", f" 王小明 {MAN} 13900000000", "不"]
    checked = run(MEMBER, *(member(member_id=f"M{n}", change_reason=text) for n, text in enumerate(reasons)))
    assert checked.good["change_reason"].to_list() == ["30", "30", None, "99", "99", "99"]
    assert checked.texts["text"].to_list() == [f"王小明 {MAN} 13900000000", "不"]
    assert checked.warnings["codes"].to_list() == [["W_FREE_TEXT:change_reason"]] * 2
    assert checked.good["content_hash"].n_unique() == 6
    assert run(MEMBER, member(change_reason="因" * 201)).rejected["reasons"].to_list() == [["E_LENGTH:change_reason"]]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"employer_uscc": ONE_PERSON}, ("王**", "王**")),
        ({"employer_uscc": COMPANY}, ("王小明饭店", "王小明饭店工会")),
        ({"employer_nature": "600"}, ("王**", "王**")),
        ({"employer_nature": "个体"}, ("王**", "王**")),
        ({"employer_nature": "170"}, ("王小明饭店", "王小明饭店工会")),
        ({}, ("王小明饭店", "王小明饭店工会")),
    ],
)
def test_the_name_of_a_one_person_business_lands_masked(row: dict[str, str], expected: tuple[str, str]) -> None:
    given = {"org_code": "O1", "org_level": "90", "org_type": "1", "admdvs": "440100", "status": "1"}
    checked = run(ORGANISATION, given | {"org_name": "王小明饭店工会", "employer_name": "王小明饭店"} | row)
    assert checked.good.select("employer_name", "org_name").rows() == [expected]
    kept = {} if expected[0] == "王小明饭店" else {"employer_name": "王小明饭店", "org_name": "王小明饭店工会"}
    assert dict(checked.texts.select("column", "text").rows()) == kept
    assert checked.texts["person_key"].null_count() == len(kept)

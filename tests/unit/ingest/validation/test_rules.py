"""Rows against the contracts: identity numbers, rules over columns, what a checked batch holds."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum.cn import ric

from ingest.contracts import load
from ingest.contracts.model import Feed
from ingest.privacy.keyring import Keyring
from ingest.validation.cleaning import Context
from ingest.validation.rules import CheckedBatch, check

CONTEXT = Context(date(2026, 10, 3))
KEYRING = Keyring("k" * 40)
MEMBER = load().feeds["membership", "member"]
SETTLEMENT = load().feeds["medical", "settlement"]
FUND = load().feeds["training", "fund"]
ORGANISATION = load().feeds["membership", "organisation"]


def resident(body: str) -> str:
    return body + ric.calc_check_digit(body + "0")


MAN = resident("44990019900307251")
WOMAN = resident("44990019900307252")
ENDS_WITH_X = resident("44990019900307118")


@dataclass
class Rows:
    frame: pl.DataFrame
    line: pl.Series
    imprecise: dict[str, pl.Series] = field(default_factory=dict)


def member(**values: str) -> dict[str, str]:
    return {
        "member_id": "M1",
        "org_code": "O1",
        "name": "张三",
        "cert_type": "01",
        "certno": MAN,
        "joined_on": "2020-01-02",
        "status": "1",
    } | values


def settlement(**values: str) -> dict[str, str]:
    return {
        "setl_id": "S1",
        "psn_no": "P1",
        "psn_name": "张三",
        "psn_cert_type": "01",
        "certno": MAN,
        "insutype": "310",
        "psn_type": "1101",
        "insu_admdvs": "440100",
        "fixmedins_code": "H44010000001",
        "begndate": "2026-09-01",
        "enddate": "2026-09-03",
        "setl_time": "2026-09-03 10:00:00",
        "med_type": "21",
        "refd_setl_flag": "0",
        "vali_flag": "1",
        "medfee_sumamt": "100",
        "fund_pay_sumamt": "60",
        "psn_pay": "40",
    } | values


def run(feed: Feed, rows: list[dict[str, str]], context: Context = CONTEXT, **marks: Any) -> CheckedBatch:
    names = list(dict.fromkeys(name for row in rows for name in row))
    frame = pl.DataFrame(
        {name: [row.get(name, "") for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )
    return check(Rows(frame, pl.Series(range(2, len(rows) + 2), dtype=pl.Int64), **marks), feed, context, KEYRING)


def reasons(feed: Feed, row: dict[str, str], context: Context = CONTEXT, **marks: Any) -> list[str]:
    found = run(feed, [row], context, **marks).rejected["reasons"].to_list()
    return found[0] if found else []


def warnings(feed: Feed, row: dict[str, str]) -> list[str]:
    found = run(feed, [row]).warnings["codes"].to_list()
    return found[0] if found else []


# --- identity numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cert_type", "certno", "expected"),
    [
        ("01", MAN, []),
        ("17", resident("81000019900307251"), []),
        ("01", ENDS_WITH_X, []),
        ("01", ENDS_WITH_X.lower(), []),
        ("01", "449900900307251", []),  # 15 digits
        ("01", "4499009003072", ["E_ID:certno"]),
        ("01", "44990090030725X", ["E_ID:certno"]),
        ("01", MAN[:17] + ("1" if MAN[17] != "1" else "2"), ["E_ID:certno"]),
        ("01", resident("99990019900307251"), ["E_ID:certno"]),  # no province
        ("01", resident("44990019900230251"), ["E_ID:certno"]),  # 30 February
        ("01", resident("44990018991231251"), ["E_ID:certno"]),
        ("01", resident("44990019000101251"), []),
        ("01", resident("44990020261003251"), []),  # the delivery's date
        ("01", resident("44990020261004251"), ["E_ID:certno"]),
        ("01", "１" + MAN[1:], ["E_ID:certno"]),
        ("01", "４" + MAN[1:], []),
        ("07", resident("91560019900307251"), []),
        ("07", resident("81560019900307251"), ["E_ID:certno"]),
        ("07", resident("91560019900307251")[:17] + "A", ["E_ID:certno"]),
        ("07", "ABC123456789012", []),  # the old form: 15 characters
        ("07", "证件号码一二", []),  # 18 bytes, but six characters
        ("07", "证" * 18, ["E_ID:certno"]),
        ("07", resident("91560019900307251")[:17] + "证", ["E_ID:certno"]),
        ("08", "E12345678", []),
        ("08", "E12", ["E_ID:certno"]),
        ("08", "E" * 50, []),
        ("08", "E" * 51, ["E_ID:certno"]),
        ("01", "4.49901E+17", ["E_SCI:certno"]),
        ("08", "4.49901E+17", ["E_SCI:certno"]),
        ("01", "4.4E+017", ["E_SCI:certno"]),  # as Windows prints it
        ("01", "#VALUE!", ["E_TYPE:certno"]),
        ("#REF!", MAN, ["E_TYPE:cert_type"]),
        ("01", "", ["E_REQUIRED:certno"]),
        ("01", "不详", ["E_REQUIRED:certno"]),
        ("77", "12", ["E_CODE:cert_type"]),  # not checked without a type
        ("", "12", ["E_REQUIRED:cert_type"]),
        ("", "4.49901E+17", ["E_REQUIRED:cert_type"]),
        ("", "", ["E_REQUIRED:cert_type", "E_REQUIRED:certno"]),
    ],
)
def test_identity_numbers(cert_type: str, certno: str, expected: list[str]) -> None:
    assert reasons(MEMBER, member(cert_type=cert_type, certno=certno)) == expected


def test_a_number_ending_in_000_with_a_wrong_check_digit_was_rounded_by_a_spreadsheet() -> None:
    assert reasons(MEMBER, member(certno="449900199003082000")) == ["E_SCI:certno"]
    # the 0 is the check digit here: a number like any other
    assert reasons(MEMBER, member(certno="449900199003072000")) == []


def test_a_numeric_cell_of_more_than_15_digits_is_damaged_whatever_it_reads() -> None:
    assert reasons(MEMBER, member(), imprecise={"certno": pl.Series([True])}) == ["E_SCI:certno"]
    assert reasons(MEMBER, member(), imprecise={"certno": pl.Series([False])}) == []


def test_one_person_under_two_types_of_one_class_has_one_key() -> None:
    rows = [
        member(member_id="1"),
        member(member_id="2", cert_type="17"),
        member(member_id="3", certno=f"'{MAN} "),
        member(member_id="4", certno="449900900307251"),
        member(member_id="5", certno=MAN[:6] + MAN[6:]),
        member(member_id="6", cert_type="08"),
    ]
    keys = run(MEMBER, rows).good["person_key"].to_list()
    assert len(set(keys[:5])) == 1
    assert keys[5] != keys[0]


def test_the_case_of_a_check_character_makes_no_other_person() -> None:
    assert ENDS_WITH_X.endswith("X")
    rows = [member(member_id="1", certno=ENDS_WITH_X), member(member_id="2", certno=ENDS_WITH_X.lower())]
    checked = run(MEMBER, rows)
    assert len(set(checked.good["person_key"].to_list())) == 1
    assert checked.persons["certno"].to_list() == [ENDS_WITH_X]


def test_other_documents_keep_the_case_of_their_letters() -> None:
    persons = run(MEMBER, [member(cert_type="08", certno="e12345678")]).persons
    assert persons["certno"].to_list() == ["e12345678"]


def test_sex_and_birth_year_come_from_the_number_else_from_the_columns() -> None:
    rows = [
        member(member_id="1", sex="2", birth_date="1991-01-01"),
        member(member_id="2", certno=WOMAN),
        member(member_id="3", cert_type="08", certno="E12345", sex="女", birth_date="1985-05-06"),
        member(member_id="4", cert_type="08", certno="E12346", sex="9"),
    ]
    good = run(MEMBER, rows).good
    assert good["person_sex"].to_list() == ["1", "2", "2", None]
    assert good["person_birth_year"].to_list() == [1990, 1990, 1985, None]


def test_disagreement_with_the_number_is_a_warning() -> None:
    assert warnings(MEMBER, member(sex="2", birth_date="1991-01-01")) == ["W_SEX_ID:sex", "W_BIRTH_ID:birth_date"]
    assert warnings(MEMBER, member(sex="1", birth_date="1990-03-07")) == []
    assert warnings(MEMBER, member(sex="9")) == []
    assert warnings(MEMBER, member(cert_type="08", certno="E12345", sex="2")) == []


# --- rules over columns ---------------------------------------------------------------------------------------------


def test_all_codes_that_hold_are_listed_with_their_columns() -> None:
    row = member(name="无", joined_on="昨天", status="8", certno="123", birth_date="1850-05-05")
    expected = ["E_REQUIRED:name", "E_ID:certno", "E_RANGE:birth_date", "E_TYPE:joined_on", "E_CODE:status"]
    assert reasons(MEMBER, row) == expected


def test_a_placeholder_in_a_required_date_is_a_missing_value() -> None:
    row = member(joined_on="1900-01-01")
    assert reasons(MEMBER, row) == ["E_REQUIRED:joined_on"]
    assert warnings(MEMBER, row) == ["W_PLACEHOLDER_DATE:joined_on"]  # warnings of rejected rows are kept as well


def test_an_end_before_its_start() -> None:
    assert reasons(MEMBER, member(status_changed_on="2020-01-01")) == ["E_ORDER:status_changed_on"]
    assert reasons(MEMBER, member(status_changed_on="2020-01-02")) == []
    # skipped where a column it needs is wrong
    assert reasons(MEMBER, member(joined_on="2026-11-29", status_changed_on="2020-01-01")) == ["E_RANGE:joined_on"]


def test_a_required_column_that_the_file_lacks_is_missing_in_every_row() -> None:
    row = member()
    del row["status"]
    assert reasons(MEMBER, row) == ["E_REQUIRED:status"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),
        ({"psn_pay": "40.01"}, []),
        ({"psn_pay": "40.02"}, ["E_SUM:psn_pay"]),
        ({"psn_pay": "39.98"}, ["E_SUM:psn_pay"]),
        ({"psn_pay": "35", "ownpay_hosp_part": "5"}, []),
        ({"acct_pay": "10", "cash_payamt": "30"}, []),
        ({"acct_pay": "10", "cash_payamt": "40"}, ["E_SUM:cash_payamt"]),
        ({"acct_pay": "10"}, []),  # cash not given
        ({"psn_pay": "无"}, ["E_REQUIRED:psn_pay"]),
        ({"medfee_sumamt": "壹佰"}, ["E_TYPE:medfee_sumamt"]),
        ({"acct_pay": "12.345", "cash_payamt": "1"}, ["E_TYPE:acct_pay"]),
    ],
)
def test_hard_sums(values: dict[str, str], expected: list[str]) -> None:
    assert reasons(SETTLEMENT, settlement(**values)) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, []),  # no fund given, no part of the fee given
        ({"hifp_pay": "60"}, []),
        ({"hifp_pay": "50", "maf_pay": "9.95"}, []),
        ({"hifp_pay": "50", "maf_pay": "9.94"}, ["W_SUM:fund_pay_sumamt"]),
        ({"hifp_pay": "0"}, ["W_SUM:fund_pay_sumamt"]),
        ({"inscp_amt": "90", "fulamt_ownpay_amt": "10"}, []),
        ({"inscp_amt": "90"}, ["W_SUM:medfee_sumamt"]),
        ({"fulamt_ownpay_amt": "10"}, []),
        ({"fixmedins_code": "X1"}, ["W_CODE_LOCAL:fixmedins_code"]),
        ({"insutype": "39902", "psn_type": "116014"}, ["W_CODE_LOCAL:insutype", "W_CODE_LOCAL:psn_type"]),
    ],
)
def test_soft_sums_and_local_codes(values: dict[str, str], expected: list[str]) -> None:
    row = settlement(**values)
    assert warnings(SETTLEMENT, row) == expected
    assert reasons(SETTLEMENT, row) == []


def test_amounts_are_positive_and_those_of_a_reversal_negative() -> None:
    minus = {"medfee_sumamt": "-100", "fund_pay_sumamt": "-60", "psn_pay": "-40"}
    assert reasons(SETTLEMENT, settlement(**minus, init_setl_id="S0")) == []
    nothing = minus | {"fund_pay_sumamt": "0", "psn_pay": "-100"}
    assert reasons(SETTLEMENT, settlement(**nothing, init_setl_id="S0")) == []
    assert reasons(SETTLEMENT, settlement(fund_pay_sumamt="0", psn_pay="100")) == []
    names = ["medfee_sumamt", "fund_pay_sumamt", "psn_pay"]
    assert reasons(SETTLEMENT, settlement(**minus)) == [f"E_RANGE:{name}" for name in names]
    assert reasons(SETTLEMENT, settlement(init_setl_id="S0")) == [f"E_RANGE:{name}" for name in names]
    # unclear whether it is a reversal: the sign is not judged
    assert reasons(SETTLEMENT, settlement(**minus, init_setl_id="S" * 31)) == ["E_LENGTH:init_setl_id"]


def test_rules_of_fund_and_organisation() -> None:
    fund = {"employer_uscc": "91110000600037341L", "year": "2025", "employer_name": "某公司", "admdvs": "110101"}
    assert reasons(FUND, fund | {"spent": "10", "frontline_spent": "10"}) == []
    assert reasons(FUND, fund | {"spent": "10", "frontline_spent": "10.01"}) == ["E_SUM:frontline_spent"]
    assert reasons(FUND, fund | {"spent": "-1", "frontline_spent": "0"}) == ["E_RANGE:spent"]
    assert warnings(FUND, fund | {"spent": "10", "frontline_spent": "1", "accrued": "9"}) == ["W_SUM:spent"]
    assert warnings(FUND, fund | {"spent": "10", "accrued": "9.99"}) == ["W_SUM:spent"]
    assert warnings(FUND, fund | {"spent": "10", "accrued": "9.99", "carried_in": "0.01"}) == []
    wan = Context(date(2026, 10, 3), "wanyuan")
    assert reasons(FUND, fund | {"spent": "0.001", "frontline_spent": "0.001001"}, wan) == ["E_SUM:frontline_spent"]
    union = {
        "org_code": "1",
        "org_name": "某工会",
        "org_level": "90",
        "org_type": "1",
        "admdvs": "110101",
        "status": "1",
    }
    assert warnings(ORGANISATION, union | {"employees": "5", "women_employees": "6"}) == ["W_SUM:women_employees"]
    assert warnings(ORGANISATION, union | {"employees": "5", "women_employees": "5"}) == []
    assert warnings(ORGANISATION, union | {"employees": "5", "migrant_employees": "6"}) == ["W_SUM:migrant_employees"]
    assert warnings(ORGANISATION, union | {"employees": "5", "migrant_employees": "5"}) == []


def test_a_flag_of_only_zeros_is_zero() -> None:
    assert run(SETTLEMENT, [settlement(refd_setl_flag="000")]).good["refd_setl_flag"].to_list() == ["0"]


def test_missing_amounts_land_as_zero_but_do_not_count_as_given() -> None:
    rows = [settlement(setl_id="1", hifp_pay="60"), settlement(setl_id="2"), settlement(setl_id="3", hifp_pay="0")]
    checked = run(SETTLEMENT, rows)
    assert checked.good["hifp_pay"].to_list() == [60, 0, 0]
    assert checked.good["maf_pay"].to_list() == [0, 0, 0]  # the file lacks the column
    assert checked.warnings["line_number"].to_list() == [4]  # only there a fund is given, and they do not add up


# --- what a checked batch holds -------------------------------------------------------------------------------------


def test_good_rows_hold_the_landed_columns_and_no_identifier() -> None:
    checked = run(MEMBER, [member(mobile="13800000000")])
    expected = ["line_number", "content_hash", "person_key", "person_sex", "person_birth_year"]
    expected += [column.name for column in MEMBER.landed]
    assert checked.good.columns == expected
    assert checked.good["line_number"].to_list() == [2]
    everything = repr(checked.good.rows())
    assert not [text for text in (MAN, "张三", "13800000000") if text in everything]
    assert checked.persons.to_dicts() == [
        {
            "person_key": checked.good["person_key"][0],
            "name": "张三",
            "cert_type": "01",
            "certno": MAN,
            "mobile": "13800000000",
        }
    ]


def test_persons_of_rejected_rows_do_not_reach_the_vault() -> None:
    checked = run(MEMBER, [member(status="8"), member(member_id="2", certno=WOMAN)])
    assert checked.persons["certno"].to_list() == [WOMAN]


def test_a_feed_without_persons_has_none() -> None:
    fund = {"employer_uscc": "91110000600037341L", "year": "2025", "employer_name": "某公司", "admdvs": "110101"}
    checked = run(FUND, [fund | {"spent": "10", "frontline_spent": "1"}])
    assert checked.persons.is_empty()
    assert "person_key" not in checked.good.columns


def test_rejected_rows_have_their_place_key_and_content_hash() -> None:
    rejected = run(MEMBER, [member(), member(status="8"), member(member_id="", status="8")]).rejected
    assert rejected["line_number"].to_list() == [3, 4]
    assert rejected["row"].to_list() == [1, 2]
    assert rejected["member_id"].to_list() == ["M1", None]
    assert [value is None for value in rejected["content_hash"]] == [False, True]


def hashes(*rows: dict[str, str], feed: Feed = SETTLEMENT, context: Context = CONTEXT) -> list[int]:
    checked = run(feed, list(rows), context)
    by_line = dict(checked.good.select("line_number", "content_hash").iter_rows())
    by_line |= dict(checked.rejected.select("line_number", "content_hash").iter_rows())
    return [by_line[line] for line in sorted(by_line)]


def test_the_content_hash_is_that_of_the_cleaned_values() -> None:
    same = [
        settlement(),
        settlement(psn_pay="40.00"),
        settlement(begndate="2026年9月1日", setl_time="20260903100000"),
        settlement(psn_name=" 张 三 ", refd_setl_flag="000", insutype="职工基本医疗保险"),
        settlement(hifp_pay="", gend="不详"),
        settlement(cash_payamt="壹"),  # a wrong value is no value
    ]
    assert len(set(hashes(*same))) == 1
    others = [settlement(psn_name="李四"), settlement(certno=WOMAN), settlement(hosp_lv="1"), settlement(setl_id="S2")]
    assert len(set(hashes(settlement(), *others))) == 5


def test_the_content_hash_depends_on_neither_file_nor_unit() -> None:
    (yuan,) = hashes(settlement())
    scaled = {name: str(int(settlement()[name]) / 10_000) for name in ("medfee_sumamt", "fund_pay_sumamt", "psn_pay")}
    (wanyuan,) = hashes(settlement(**scaled), context=Context(date(2026, 10, 3), "wanyuan"))
    (with_more_columns,) = hashes(settlement(gend="", hosp_lv="", maf_pay="", brdy=""))
    assert yuan == wanyuan == with_more_columns


DIRT = st.sampled_from(
    ["", "无", "1", "男", "２", "2026-01-02", "2026/1/2", "昨天", "1900-01-01", MAN, WOMAN, "E12345", "x" * 60]
)
MEMBERS = st.builds(
    lambda values: member(**values),
    st.dictionaries(st.sampled_from([column.name for column in MEMBER.columns]), DIRT, max_size=4),
)


def outcome(batches: list[CheckedBatch]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        "good": sorted(row for batch in batches for row in batch.good.iter_rows()),
        "rejected": sorted(
            (line, tuple(codes), content, key)
            for batch in batches
            for line, _, codes, content, key in batch.rejected.iter_rows()
        ),
        "warnings": sorted((line, tuple(codes)) for batch in batches for line, codes in batch.warnings.iter_rows()),
    }


@settings(max_examples=25, deadline=None)
@given(st.lists(MEMBERS, min_size=2, max_size=12), st.integers(1, 11), st.integers(1, 60))
def test_where_a_file_is_cut_into_batches_does_not_matter(rows: list[dict[str, str]], cut: int, copies: int) -> None:
    names = [column.name for column in MEMBER.columns]
    rows = rows * copies
    cut = cut * copies % len(rows)
    frame = pl.DataFrame(
        {name: [row.get(name, "") for row in rows] for name in names}, schema=dict.fromkeys(names, pl.String)
    )
    line = pl.Series(range(2, len(rows) + 2), dtype=pl.Int64)
    whole = check(Rows(frame, line), MEMBER, CONTEXT, KEYRING)
    parts = [
        check(Rows(frame[start:end], line[start:end]), MEMBER, CONTEXT, KEYRING)
        for start, end in ((0, cut), (cut, len(rows)))
    ]
    assert str(outcome([whole])) == str(outcome(parts))
    assert whole.good.height + whole.rejected.height == len(rows)

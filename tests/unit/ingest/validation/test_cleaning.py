"""Single values: one table a rule, with results written by hand; and properties over any text."""

import re
import unicodedata
from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest import stripping
from ingest.contracts.model import CodeList, Column, Kind
from ingest.stripping import ERROR_WORDS
from ingest.validation import cleaning
from ingest.validation.cleaning import Cleaned, Context, clean

YUAN = Context(date(2026, 10, 3))
WANYUAN = Context(date(2026, 10, 3), "wanyuan")
SEX = CodeList("sex", {"0": "未知", "1": "男", "2": "女", "9": "未说明"}, {"男性": "1"})
CERT = CodeList("cert_type", {"01": "居民身份证", "07": "外国人永久居留证", "17": "港澳台居民居住证"}, {})
INSURANCE = CodeList("insutype", {"310": "职工基本医疗保险", "399": "其他"}, {})
PERSON_TYPE = CodeList("psn_type", {"11": "在职", "1101": "职工在职", "12": "退休人员", "17": "其他居民"}, {})
MED_TYPE = CodeList("med_type", {"11": "普通门诊", "1102": "新冠门诊"}, {})
#: Codes of more than one length: none has lost a leading zero.
GROUPS = CodeList("groups", {"1": "甲", "01": "乙", "10": "丙"}, {})
#: Codes of letters have none to lose.
LETTERS = CodeList("letters", {"AB": "甲", "CD": "乙"}, {})
LEVEL = CodeList("skill_level", {"高级工": "高级工"}, {"三级/高级工": "高级工", "3": "高级工"})


def one(text: str, kind: Kind, context: Context = YUAN, **rules: object) -> tuple[str | None, list[str]]:
    """Cleaned text and codes of one value."""
    cleaned = clean(pl.Series([text]), Column("c", "列", kind, **rules), context)  # type: ignore[arg-type]
    return cleaned.text[0], [str(code) for code, mask in cleaned.flags.items() if mask[0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" a b\t", "a b"),
        ("\u00a0\u3000\u200b\ufeffx\u200b", "x"),
        ("'0123", "0123"),
        ('="0123"', "0123"),
        ('=" \'0123 "', "0123"),
        ("it's", "it's"),
        *((word, None) for word in cleaning.NULL_WORDS),
        ("　不详 ", None),
        ("NULL.", "NULL."),
        ("**", "**"),
    ],
)
def test_blanks_marks_and_null_words(text: str, expected: str | None) -> None:
    assert one(text, Kind.TEXT) == (expected, [])


def test_null_words_are_those_of_the_specification() -> None:
    assert " ".join(cleaning.NULL_WORDS) == " null NULL nan NaN None - / 无 空 不详 #N/A ***"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("张 三", "张三"),
        ("张 三　丰", "张三丰"),
        ("一 二 三 四", "一二三四"),
        ("Li  Lei", "Li  Lei"),
        ("李 Lei", "李 Lei"),
        *((f"古丽{dot}娜", "古丽·娜") for dot in "•・‧∙．·"),
        ("ＡＢ", "ＡＢ"),  # names keep their forms
    ],
)
def test_names(text: str, expected: str) -> None:
    assert one(text, Kind.NAME) == (expected, [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("１２３Ａ", "123A"), ("123.0", "123"), ("12.30", "12.30"), ("A.0", "A.0"), ("0012", "0012"), ("－", None)],
)
def test_identifiers(text: str, expected: str | None) -> None:
    assert one(text, Kind.IDENTIFIER) == (expected, [])


@pytest.mark.parametrize(
    ("text", "rules", "expected"),
    [
        ("1", {"code_list": SEX}, ("1", [])),
        ("男", {"code_list": SEX}, ("1", [])),
        ("男性", {"code_list": SEX}, ("1", [])),
        ("２.0", {"code_list": SEX}, ("2", [])),
        ("3", {"code_list": SEX}, (None, ["E_CODE"])),
        ("无", {"code_list": SEX}, (None, [])),
        ("1", {"code_list": CERT}, ("01", [])),
        ("7.0", {"code_list": CERT}, ("07", [])),
        ("1", {"code_list": GROUPS}, ("1", [])),
        ("1", {"code_list": LETTERS, "code_match": "open"}, ("1", ["W_CODE_LOCAL"])),
        ("01", {"code_list": GROUPS}, ("01", [])),
        ("2", {"code_list": GROUPS}, (None, ["E_CODE"])),
        ("77", {"code_list": CERT}, (None, ["E_CODE"])),
        ("3", {"code_list": LEVEL}, ("高级工", [])),
        ("三级/高级工", {"code_list": LEVEL}, ("高级工", [])),
        ("特高级", {"code_list": LEVEL}, (None, ["E_CODE"])),
        ("39902", {"code_list": INSURANCE, "code_match": "prefix"}, ("39902", ["W_CODE_LOCAL"])),
        ("310", {"code_list": INSURANCE, "code_match": "prefix"}, ("310", [])),
        ("310_01", {"code_list": INSURANCE, "code_match": "prefix"}, ("310_01", ["W_CODE_LOCAL"])),
        ("310甲", {"code_list": INSURANCE, "code_match": "prefix"}, ("310甲", ["W_CODE_LOCAL"])),
        ("999", {"code_list": INSURANCE, "code_match": "prefix"}, (None, ["E_CODE"])),
        ("31", {"code_list": INSURANCE, "code_match": "prefix"}, (None, ["E_CODE"])),
        ("116014", {"code_list": PERSON_TYPE, "code_match": "first_two"}, ("116014", ["W_CODE_LOCAL"])),
        ("11-1", {"code_list": PERSON_TYPE, "code_match": "first_two"}, ("11-1", ["W_CODE_LOCAL"])),
        ("1101", {"code_list": PERSON_TYPE, "code_match": "first_two"}, ("1101", [])),
        ("34", {"code_list": PERSON_TYPE, "code_match": "first_two"}, (None, ["E_CODE"])),
        ("53_04", {"code_list": MED_TYPE, "code_match": "open"}, ("53_04", ["W_CODE_LOCAL"])),
        ("000", {"code_list": SEX, "strip_leading_zeros": True}, ("0", [])),
        ("001", {"code_list": SEX, "strip_leading_zeros": True}, ("1", [])),
        ("007", {"code_list": SEX, "strip_leading_zeros": True}, (None, ["E_CODE"])),
    ],
)
def test_codes(text: str, rules: dict[str, object], expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.CODE, **rules) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02", ("2026-01-02", [])),
        ("20260102", ("2026-01-02", [])),
        ("2026/1/2", ("2026-01-02", [])),
        ("2026/01/02", ("2026-01-02", [])),
        ("2026.1.2", ("2026-01-02", [])),
        ("2026年1月2日", ("2026-01-02", [])),
        ("2026-01-02 03:04:05", ("2026-01-02", [])),
        ("2026/1/2 0:00:00", ("2026-01-02", [])),
        ("20260102030405", ("2026-01-02", [])),
        ("2026年1月2日 3:04", ("2026-01-02", [])),
        ("２０２６-０１-02", ("2026-01-02", [])),
        ("2024-02-29", ("2024-02-29", [])),
        ("2026-02-29", (None, ["E_TYPE"])),
        ("2026-13-01", (None, ["E_TYPE"])),
        ("2026-01-02 25:00:00", (None, ["E_TYPE"])),
        ("2026-01/02", (None, ["E_TYPE"])),
        ("45000", (None, ["E_TYPE"])),
        ("昨天", (None, ["E_TYPE"])),
        ("1900-01-02", ("1900-01-02", [])),
        ("1899-12-31", (None, ["E_RANGE"])),
        ("2026-10-03", ("2026-10-03", [])),
        ("2026-10-04", (None, ["E_RANGE"])),
        ("1900-01-01", (None, ["W_PLACEHOLDER_DATE"])),
        ("1970/1/1", (None, ["W_PLACEHOLDER_DATE"])),
        ("20991231", (None, ["W_PLACEHOLDER_DATE"])),
        ("9999年12月31日", (None, ["W_PLACEHOLDER_DATE"])),
        ("0000-00-00", (None, ["W_PLACEHOLDER_DATE"])),
        ("0000-00-00 00:00:00", (None, ["W_PLACEHOLDER_DATE"])),
        ("", (None, [])),
    ],
)
def test_dates(text: str, expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.DATE) == expected


def test_a_date_may_lie_ahead_where_the_contract_says_so() -> None:
    assert one("2027-01-02", Kind.DATE, may_lie_ahead=True) == ("2027-01-02", [])
    assert one("1899-01-02", Kind.DATE, may_lie_ahead=True) == (None, ["E_RANGE"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02 03:04:05", ("2026-01-02 03:04:05", [])),
        ("2026/01/02 03:04:05", ("2026-01-02 03:04:05", [])),
        ("2026-01-02T03:04:05", ("2026-01-02 03:04:05", [])),
        ("20260102030405", ("2026-01-02 03:04:05", [])),
        ("2026/1/2 3:04:05", ("2026-01-02 03:04:05", [])),
        ("2026-01-02", ("2026-01-02 00:00:00", [])),
        ("2026-01-02 03:04", ("2026-01-02 03:04:00", [])),
        ("2026-01-02 03:04:05.999", ("2026-01-02 03:04:05", [])),
        ("2026-10-03 23:59:59", ("2026-10-03 23:59:59", [])),
        ("2026-10-04 00:00:00", (None, ["E_RANGE"])),
        ("2026-13-01 00:00:00", (None, ["E_TYPE"])),
        ("2026-01-02 24:00:00", (None, ["E_TYPE"])),
        ("2026-01-02 00:60:00", (None, ["E_TYPE"])),
        ("1970-01-01 08:00:00", (None, ["W_PLACEHOLDER_DATE"])),
    ],
)
def test_date_times(text: str, expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.DATETIME) == expected


@pytest.mark.parametrize(
    ("text", "context", "cents", "codes"),
    [
        ("12.30", YUAN, 1230, []),
        ("1,234.5", YUAN, 123450, []),
        ("1，234．50", YUAN, 123450, []),  # full-width
        ("921.9900", YUAN, 92199, []),
        ("12.345", YUAN, None, ["E_TYPE"]),
        ("12.3456789", YUAN, None, ["E_TYPE"]),
        ("-0.01", YUAN, -1, []),
        ("+5", YUAN, 500, []),
        (".5", YUAN, 50, []),
        ("1,23", YUAN, None, ["E_TYPE"]),
        ("1e3", YUAN, None, ["E_TYPE"]),
        ("1.2.3", YUAN, None, ["E_TYPE"]),
        ("壹佰", YUAN, None, ["E_TYPE"]),
        ("99999999999999.99", YUAN, 9_999_999_999_999_999, []),
        ("100000000000000", YUAN, None, ["E_RANGE"]),
        ("9" * 60, YUAN, None, ["E_RANGE"]),
        ("***", YUAN, None, []),
        ("0.000100", WANYUAN, 100, []),
        ("1.5", WANYUAN, 1_500_000, []),
        ("0.0000001", WANYUAN, None, ["E_TYPE"]),
        ("10000000000", WANYUAN, None, ["E_RANGE"]),
    ],
)
def test_money(text: str, context: Context, cents: int | None, codes: list[str]) -> None:
    column = Column("c", "列", Kind.MONEY, sql_type="numeric(16,2)")
    cleaned = clean(pl.Series([text]), column, context)
    assert (cleaned.value[0], [str(code) for code in cleaned.flags]) == (cents, codes)
    assert (cleaned.text[0] is None) == (cents is None)
    if cents is not None:
        assert Decimal(cleaned.text[0]) * 100 == cents


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", ("12", [])),
        ("1,200", ("1200", [])),
        ("12.0", ("12", [])),
        ("3.5", (None, ["E_TYPE"])),
        ("12a", (None, ["E_TYPE"])),
        ("-3", (None, ["E_RANGE"])),
        ("2147483647", ("2147483647", [])),
        ("2147483648", (None, ["E_RANGE"])),
        ("9" * 30, (None, ["E_RANGE"])),
    ],
)
def test_integers(text: str, expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.INTEGER, sql_type="integer", minimum=Decimal(0)) == expected


def test_the_years_of_a_fund_end_with_that_of_the_delivery() -> None:
    rules = {"sql_type": "smallint", "minimum": Decimal(1990), "maximum_year": True}
    assert one("2026", Kind.INTEGER, **rules) == ("2026", [])
    assert one("2027", Kind.INTEGER, **rules) == (None, ["E_RANGE"])
    assert one("1989", Kind.INTEGER, **rules) == (None, ["E_RANGE"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("99.5", ("99.5", [])),
        ("100", ("100", [])),
        ("100.0", ("100", [])),
        ("100.01", (None, ["E_RANGE"])),
        ("100.00000000001", (None, ["E_RANGE"])),
        ("-0.000000000001", (None, ["E_RANGE"])),
        ("99.99999999999", ("100", [])),
        ("33.33333333333333", ("33.3333333333", [])),
        ("-1", (None, ["E_RANGE"])),
        ("十课时", (None, ["E_TYPE"])),
    ],
)
def test_numbers(text: str, expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.NUMBER, sql_type="numeric", minimum=Decimal(0), maximum=Decimal(100)) == expected


@pytest.mark.parametrize("digits", [8, 28, 37, 38])
def test_numbers_of_the_widest_types(digits: int) -> None:
    """Up to the 38 digits that PostgreSQL's columns and ours may have."""
    whole = digits - 4
    assert one("243.5", Kind.NUMBER, sql_type=f"numeric({digits},4)") == ("243.5", [])
    assert one("9" * whole, Kind.NUMBER, sql_type=f"numeric({digits},4)") == ("9" * whole, [])
    assert one("1" + "0" * whole, Kind.NUMBER, sql_type=f"numeric({digits},4)") == (None, ["E_RANGE"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [(text, ("true", [])) for text in ("1", "是", "Y", "y", "true", "TRUE", "１")]
    + [(text, ("false", [])) for text in ("0", "否", "N", "false")]
    + [("也许", (None, ["E_TYPE"])), ("2", (None, ["E_TYPE"])), ("", (None, []))],
)
def test_flags(text: str, expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.FLAG) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("91110000600037341L", ("91110000600037341L", [])),
        ("９1110000600037341L", ("91110000600037341L", [])),
        ("91110000600037341l", ("91110000600037341L", [])),
        ("91110000600037341M", (None, ["E_USCC"])),
        ("81110108000100087A", (None, ["E_USCC"])),
        ("123", (None, ["E_USCC"])),
        ("", (None, [])),
    ],
)
def test_uscc(text: str, expected: tuple[str | None, list[str]]) -> None:
    assert one(text, Kind.USCC, uscc_first="^[^8]") == expected


def test_a_uscc_with_the_wrong_first_digits_is_wrong_even_if_its_check_is_right() -> None:
    assert one("91110000600037341L", Kind.USCC, uscc_first="^8[19]") == (None, ["E_USCC"])


def test_lengths_patterns_and_divisions() -> None:
    assert one("一二三", Kind.NAME, max_length=3) == ("一二三", [])
    assert one("一二三四", Kind.NAME, max_length=3) == (None, ["E_LENGTH"])
    assert one("ab", Kind.IDENTIFIER, min_length=3) == (None, ["E_LENGTH"])
    occupation = {"pattern": "^[0-9]-[0-9]{2}$"}
    assert one("4-02", Kind.IDENTIFIER, **occupation) == ("4-02", [])
    assert one("4-2", Kind.IDENTIFIER, **occupation) == (None, ["E_PATTERN"])
    assert one("x4-02", Kind.IDENTIFIER, **occupation) == (None, ["E_PATTERN"])
    local = {"pattern": "^[HP][0-9]{11}$", "pattern_code": "W_CODE_LOCAL"}
    assert one("X1", Kind.IDENTIFIER, **local) == ("X1", ["W_CODE_LOCAL"])
    assert one("440100", Kind.DIVISION) == ("440100", [])
    assert one("44010", Kind.DIVISION) == (None, ["E_PATTERN"])


def test_a_wrong_mobile_number_is_no_value() -> None:
    assert one("13800000000", Kind.MOBILE) == ("13800000000", [])
    assert one("12800000000", Kind.MOBILE) == (None, ["W_MOBILE"])
    assert one("", Kind.MOBILE) == (None, [])


# --- properties -----------------------------------------------------------------------------------------------------

MARKS = " \t\u00a0\u3000\u200b\ufeff'\"=.,-/·•．０１9年月日:T无空张三aX12*E+"
ANY = st.one_of(
    st.text(MARKS, max_size=14),
    st.text(max_size=8),
    st.sampled_from(["2026-01-02", "20260102030405", "1,234.50", "99.9900", "91110000600037341L", "男", "1e5", "01.0"]),
)
COLUMNS = [
    Column("c", "列", kind, sql_type={Kind.MONEY: "numeric(16,2)", Kind.INTEGER: "integer"}.get(kind, "text"))
    for kind in Kind
    if kind not in (Kind.CODE, Kind.CERT_TYPE)
] + [Column("c", "列", Kind.CODE, code_list=SEX), Column("c", "列", Kind.CERT_TYPE, code_list=CERT)]


def rows(cleaned: Cleaned) -> list[tuple[object, ...]]:
    codes = [
        tuple(sorted(code for code, mask in cleaned.flags.items() if mask[row])) for row in range(len(cleaned.text))
    ]
    return list(zip(cleaned.text, cleaned.value, codes, strict=True))


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.kind)
@settings(max_examples=25, deadline=None)
@given(texts=st.lists(ANY, min_size=1, max_size=12))
def test_cleaning_what_is_clean_changes_nothing(column: Column, texts: list[str]) -> None:
    first = clean(pl.Series(texts), column, YUAN)
    again = clean(first.text, column, YUAN)
    assert again.text.to_list() == first.text.to_list()
    assert again.value.to_list() == first.value.to_list()
    assert not [code for code in again.flags if code != "W_CODE_LOCAL"]


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.kind)
@settings(max_examples=12, deadline=None)
@given(texts=st.lists(ANY, min_size=1, max_size=12))
def test_neighbours_and_repetition_do_not_matter(column: Column, texts: list[str]) -> None:
    """The quick ways depend on what the rest of the column looks like; the result must not."""
    alone = [rows(clean(pl.Series([text]), column, YUAN))[0] for text in texts]
    assert rows(clean(pl.Series(texts), column, YUAN)) == alone
    copies = -(-cleaning._SAMPLE // len(texts)) + 1
    repeated = rows(clean(pl.Series(texts * copies), column, YUAN))
    assert repeated == alone * copies


DATE = re.compile(r"([0-9]{4})(?:-([0-9]{2})-([0-9]{2})|/([0-9]{1,2})/([0-9]{1,2})|\.([0-9]{1,2})\.([0-9]{1,2}))")


@settings(max_examples=100, deadline=None)
@given(st.from_regex(DATE, fullmatch=True))
def test_dates_agree_with_a_slow_reference(text: str) -> None:
    year, month, day = (int(part) for part in DATE.fullmatch(text).groups() if part is not None)  # type: ignore[union-attr]
    expected: str | None
    try:
        read = date(year, month, day)
    except ValueError:
        expected = "W_PLACEHOLDER_DATE" if (year, month, day) == (0, 0, 0) else "E_TYPE"
    else:
        placeholders = {date(1900, 1, 1), date(1970, 1, 1), date(2099, 12, 31), date(9999, 12, 31)}
        inside = date(1900, 1, 1) <= read <= YUAN.created_date
        expected = "W_PLACEHOLDER_DATE" if read in placeholders else None if inside else "E_RANGE"
    value, codes = one(text, Kind.DATE)
    assert codes == ([expected] if expected else [])
    assert value == (None if expected else read.isoformat())


@settings(max_examples=100, deadline=None)
@given(st.datetimes(datetime(1900, 1, 2), datetime(2026, 10, 3)), st.sampled_from(["-", "/"]), st.sampled_from(" T"))
def test_date_times_agree_with_the_standard_library(moment: datetime, dash: str, gap: str) -> None:
    text = moment.strftime(f"%Y{dash}%m{dash}%d{gap}%H:%M:%S")
    cleaned = clean(pl.Series([text, "x"]), Column("c", "列", Kind.DATETIME), YUAN)
    if moment.date() != date(1970, 1, 1):
        assert cleaned.text[0] == moment.strftime("%Y-%m-%d %H:%M:%S")
        assert cleaned.value[0] == (moment.replace(microsecond=0) - datetime(1970, 1, 1)).total_seconds()


@settings(max_examples=100, deadline=None)
@example("+.0", YUAN)
@example("-.00", YUAN)
@given(st.text("0123456789.,-+", max_size=12), st.sampled_from([YUAN, WANYUAN]))
def test_money_agrees_with_decimal_arithmetic(text: str, context: Context) -> None:
    column = Column("c", "列", Kind.MONEY, sql_type="numeric(16,2)")
    plain = re.fullmatch(r"[+-]?(([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]*)?|\.[0-9]+)", text)
    expected = None
    if plain:
        cents = Decimal(text.replace(",", "")) * (100 if context is YUAN else 1_000_000)
        if cents == int(cents) and abs(cents) < 10**16:
            expected = int(cents)
    assert clean(pl.Series([text]), column, context).value[0] == expected


def test_normalisation_is_nfkc() -> None:
    text = "①Ⅳ㎏ﬁ"
    assert one(text, Kind.IDENTIFIER)[0] == unicodedata.normalize("NFKC", text)


# --- errors of a sheet's cells ------------------------------------------------------------------------------------

KINDS = {kind: Column("c", "列", kind, code_list=SEX if kind in (Kind.CODE, Kind.CERT_TYPE) else None) for kind in Kind}


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("required", [True, False])
@pytest.mark.parametrize("context", [YUAN, WANYUAN])
def test_an_error_of_a_cell_is_of_no_type(kind: Kind, required: bool, context: Context) -> None:
    column = replace(KINDS[kind], required=required)
    texts = [*ERROR_WORDS, *(f" '{text}\u3000" for text in ERROR_WORDS), *(f'="{text}"' for text in ERROR_WORDS)]
    for rows in (texts, texts * 60, [texts[0]]):
        cleaned = clean(pl.Series(rows), column, context)
        assert cleaned.text.to_list() == cleaned.value.to_list() == [None] * len(rows)
        assert list(cleaned.flags) == ["E_TYPE"]
        assert cleaned.flags["E_TYPE"].all()
    assert clean(pl.Series(["#N/A"]), column, context).flags == {}, "this one is no value"


@pytest.mark.parametrize("text", ["#REF", "#REF!x", "1#REF!", "#ref!", "#12", "#"])
def test_what_only_begins_like_an_error_is_a_text(text: str) -> None:
    assert one(text, Kind.TEXT) == (text, [])
    assert one(text, Kind.NAME) == (text, [])


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from(" \t\r\n\u00a0\u3000\u200b\ufeff'=\"a-"), max_size=12), min_size=1, max_size=8))
def test_a_text_is_stripped_like_a_column(texts: list[str]) -> None:
    assert stripping.stripped(pl.Series(texts)).to_list() == [stripping.strip(text) for text in texts]


def test_what_is_remembered_of_a_list_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many texts a column of codes holds, and however long they are."""
    monkeypatch.setattr(cleaning, "_TEXTS", 50)
    monkeypatch.setattr(cleaning, "_CHARACTERS", 1_000)
    column = Column("c", "列", Kind.FLAG, sql_type="boolean")
    vocabulary = cleaning._vocabulary(column)
    for size in (1, 400):
        for start in range(0, 200, 10):
            texts = ["是", *(f"{number:0{size}}" for number in range(start, start + 10))]
            assert clean(pl.Series(texts), column, YUAN).text[0] == "true"
            assert len(vocabulary.numbers) <= 50
            assert sum(map(len, vocabulary.numbers)) <= max(1_000, sum(map(len, texts)))

"""The contracts: valid by their own standard, complete by the specification, and the only place that decides."""

import csv
import json
import re
import shutil
import subprocess
import sys
from datetime import date
from decimal import Decimal
from importlib import resources
from pathlib import Path

import jsonschema
import polars as pl
import pytest
import yaml

from ingest.contracts import ROOT, ContractError, Contracts, Feed, Kind, Role, header_key, load, source_names
from ingest.contracts.model import CLASSIFICATIONS
from ingest.errors import RowCode
from ingest.validation.cleaning import Context, clean

FILES = sorted(ROOT.glob("*/[!_]*.yaml"))
FEEDS = list(load().feeds.values())
#: The first feeds of the interface: what their contracts say is written down here. Other feeds may come.
INTERFACE = (
    "membership_organisation",
    "membership_member",
    "training_enrolment",
    "training_certificate",
    "training_fund",
    "medical_person",
    "medical_insurance",
    "medical_settlement",
)
LISTS = sorted((ROOT / "codes").glob("*.csv"))


def feed(table: str) -> Feed:
    return next(one for one in FEEDS if one.table == table)


def copied(root: Path) -> Path:
    return Path(shutil.copytree(ROOT, root / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__")))


def edit(root: Path, place: str, old: str, new: str) -> Contracts:
    path = root / place
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")
    load.cache_clear()
    return load(root)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_valid_by_the_standard(path: Path) -> None:
    schema = json.loads(resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8"))
    contract = yaml.safe_load(path.read_text("utf-8"))
    errors = [
        f"{error.json_path}: {error.message}" for error in jsonschema.Draft201909Validator(schema).iter_errors(contract)
    ]
    assert errors == []
    assert contract["apiVersion"] == "v3.1.0"


def test_every_feed_of_the_interface_has_a_contract() -> None:
    assert set(load().feeds) >= {
        ("membership", "organisation"),
        ("membership", "member"),
        ("training", "enrolment"),
        ("training", "certificate"),
        ("training", "fund"),
        ("medical", "person"),
        ("medical", "insurance"),
        ("medical", "settlement"),
    }
    registers = {"membership_organisation", "membership_member", "medical_person", "medical_insurance"}
    assert all((feed(table).kind == "register") == (table in registers) for table in INTERFACE)
    assert {one.table for one in FEEDS if one.required_in_snapshot} == {"membership_organisation", "membership_member"}
    assert {name: said.snapshots for name, said in load().source_files.items()}.items() >= {
        ("membership", True),
        ("training", False),
        ("medical", False),
    }
    assert all(feed(table).versions == (1,) and feed(table).tolerance == Decimal("0.05") for table in INTERFACE)


def test_names_of_sources_are_known_without_reading_contracts() -> None:
    assert source_names() == load().sources
    code = "import sys; from ingest.contracts import source_names; source_names(); print('yaml' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@pytest.mark.parametrize("one", FEEDS, ids=lambda one: one.table)
def test_described_in_both_languages_with_purpose_and_retention(one: Feed) -> None:
    assert one.purpose
    assert re.fullmatch(r"\d+ year", one.retention)
    for thing in (one, *one.columns):
        assert thing.description.isascii(), thing.name
        assert re.search(r"[\u4e00-\u9fff]", thing.description_zh), thing.name
        assert thing.label, thing.name


@pytest.mark.parametrize("one", FEEDS, ids=lambda one: one.table)
def test_direct_identifiers_do_not_land(one: Feed) -> None:
    direct = {Kind.CERTNO, Kind.MOBILE}
    name = one.role(Role.PERSON_NAME)
    assert {column.name for column in one.columns if column.personal} == {
        column.name for column in one.columns if column.kind in direct or column is name
    }
    assert not any(column.personal for column in one.landed)
    assert (name is not None) == one.has_person


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}.{path.stem}")
def test_each_column_of_each_contract_has_a_class(path: Path) -> None:
    (schema,) = yaml.safe_load(path.read_text("utf-8"))["schema"]
    classes = {item["name"]: item.get("classification") for item in schema["properties"]}
    assert {name for name, given in classes.items() if given not in CLASSIFICATIONS} == set()


@pytest.mark.parametrize("one", FEEDS, ids=lambda one: one.table)
def test_of_free_texts_a_code_lands(one: Feed) -> None:
    for column in one.columns:
        assert column.is_free_text == (column.code_match == "free")
        if column.is_free_text:
            assert column.other_code in column.code_list.codes  # type: ignore[union-attr]
            assert column.landed_classification == "personal"
        else:
            assert column.landed_classification == column.classification


def test_roles_of_the_interface() -> None:
    found = {
        (one.table, column.role): column.name for one in FEEDS for column in one.columns if column.role is not None
    }
    assert found.items() >= {
        (("membership_member", Role.SEX), "sex"),
        (("membership_member", Role.BIRTH_DATE), "birth_date"),
        (("medical_person", Role.SEX), "gend"),
        (("medical_person", Role.BIRTH_DATE), "brdy"),
        (("medical_settlement", Role.SEX), "gend"),
        (("medical_settlement", Role.BIRTH_DATE), "brdy"),
        (("medical_settlement", Role.EVENT_DATE), "setl_time"),
        (("medical_insurance", Role.EMPLOYER), "emp_uscc"),
    }
    born = {(one.table, c.name) for one in FEEDS for c in one.columns if c.label == "出生日期"}
    assert born == {(table, name) for (table, role), name in found.items() if role is Role.BIRTH_DATE}


def test_settlement_follows_the_table_dialect_and_knows_the_other() -> None:
    settlement = feed("medical_settlement")
    names = [column.name for column in settlement.columns]
    money = [column.name for column in settlement.columns if column.kind is Kind.MONEY]
    assert names[-19:] == [*money, "updt_time"]  # files without a header rely on the order
    assert len(money) == 18
    for table, interface in {
        "psn_pay": "psn_part_amt",
        "cash_payamt": "psn_cash_pay",
        "othfund_pay": "oth_pay",
        "inscp_amt": "inscp_scp_amt",
        "ownpay_hosp_part": "hosp_part_amt",
    }.items():
        assert settlement.headers[interface] == settlement.headers[table] == table
    (sign,) = settlement.signs
    assert set(sign.columns) == set(money)
    assert sign.reversal_column == "init_setl_id"
    required = {name for name in money if settlement.by_name[name].required}
    assert required == {"medfee_sumamt", "fund_pay_sumamt", "psn_pay"}
    assert all(settlement.by_name[name].default_zero != (name in required) for name in money)


def test_money_identities() -> None:
    hard = {(one.table, rule.name): rule for one in FEEDS for rule in one.sums if rule.hard}
    soft = {(one.table, rule.name): rule for one in FEEDS for rule in one.sums if not rule.hard}
    assert set(hard) >= {
        ("medical_settlement", "person_pays_the_rest"),
        ("medical_settlement", "cash_is_the_rest_of_own_pay"),
        ("training_fund", "frontline_within_spent"),
    }
    of_settlements = {name: rule.tolerance for (table, name), rule in hard.items() if table == "medical_settlement"}
    assert set(of_settlements.values()) == {Decimal("0.01")}
    assert hard["training_fund", "frontline_within_spent"].tolerance == 0
    rest = hard["medical_settlement", "person_pays_the_rest"]
    assert rest.right == {"medfee_sumamt": 1, "fund_pay_sumamt": -1, "ownpay_hosp_part": -1}
    assert len([table for table, _ in soft if table in INTERFACE]) == 5
    funds = soft["medical_settlement", "funds_add_up"]
    assert funds.tolerance == Decimal("0.05")
    assert set(funds.when_any) == set(funds.right)
    assert len(funds.right) == 8


def test_order_rules() -> None:
    assert {(one.table, rule.later) for one in FEEDS if one.table in INTERFACE for rule in one.orders} == {
        ("membership_member", "status_changed_on"),
        ("training_enrolment", "ended_on"),
        ("medical_insurance", "paus_insu_date"),
        ("medical_settlement", "enddate"),
    }
    ahead = {(table, column.name) for table in INTERFACE for column in feed(table).columns if column.may_lie_ahead}
    assert ahead == {("medical_insurance", "paus_insu_date")}


def test_bounds_follow_the_type_where_the_contract_names_none() -> None:
    money = feed("medical_settlement").by_name["psn_pay"]
    assert money.maximum == Decimal("99999999999999.99")
    assert money.minimum == -money.maximum
    employees = feed("membership_organisation").by_name["employees"]
    assert (employees.minimum, employees.maximum) == (0, 2**31 - 1)
    year = feed("training_fund").by_name["year"]
    assert (year.minimum, year.maximum_year) == (1990, True)
    assert feed("training_enrolment").by_name["score"].maximum == 100


def test_columns_of_the_national_tables_that_nobody_needs_are_dropped() -> None:
    settlement = feed("medical_settlement")
    for header in ("tel", "mdtrt_cert_no", "ssc_cardno", "dise_name", "dscg_maindiag_code", "opter_name", "联系电话"):
        assert header_key(header) in settlement.dropped
    assert {"hsecfc", "mob", "live_addr", "crter_name"} <= feed("medical_person").dropped
    assert not any(one.dropped & one.headers.keys() for one in FEEDS)


@pytest.mark.parametrize("header", ["证件号码", " CERTNO\t", "certNo", "\ufeff证件号码", "证件 号码"])
def test_headers_match_without_case_blanks_and_tabs(header: str) -> None:
    assert feed("membership_member").headers[header_key(header)] == "certno"


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_code_lists_are_complete(path: Path) -> None:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:4] == ["code", "label", "label_en", "spellings"]
    assert all(row["code"] and row["label"] and row["label_en"].isascii() for row in rows)
    listed = load().code_lists[path.stem]
    assert any(column.code_list is listed for one in FEEDS for column in one.columns), "no contract uses the list"
    assert all(listed.spellings[code] == code for code in listed.codes)


def test_skill_spellings_of_the_interface() -> None:
    skill = load().code_lists["skill_level"]
    by_rank = {
        "0": "学徒工",
        "1": "初级工 五级 五级/初级工 5",
        "2": "中级工 四级 四级/中级工 4",
        "3": "高级工 三级 三级/高级工 3",
        "4": "技师 二级 二级/技师 2",
        "5": "高级技师 一级 一级/高级技师 1",
        "6": "特级技师",
        "7": "首席技师",
    }
    ranks = {spelling: skill.extra["rank"].get(code) for spelling, code in skill.spellings.items()}
    assert ranks == {"无等级": None, **{text: rank for rank, texts in by_rank.items() for text in texts.split()}}


def test_medical_ethnicity_is_the_national_list_and_three_more() -> None:
    national, medical = load().code_lists["ethnicity"], load().code_lists["naty"]
    assert len(national.codes) == 56
    assert national.codes.items() <= medical.codes.items()
    assert medical.codes.keys() - national.codes.keys() == {"97", "98", "99"}


def test_cards_of_residents_are_one_class_of_person() -> None:
    cert_type = load().code_lists["cert_type"]
    assert {code for code, cls in cert_type.extra["person_class"].items() if cls == "CN"} == {"01", "17"}
    assert all(cls == code for code, cls in cert_type.extra["person_class"].items() if cls != "CN")


def test_categories_of_care_go_by_the_first_two_digits() -> None:
    category = load().code_lists["med_type"].extra["category"]
    for code, name in category.items():
        assert category.get(code[:2], name) == name, code
    assert {name for code, name in category.items() if "21" <= code[:2] <= "28"} == {"inpatient"}
    assert set(category.values()) == {"outpatient", "chronic", "inpatient", "pharmacy", "maternity", "other"}


def test_how_codes_match() -> None:
    matches = {
        (one.table, column.name): column.code_match
        for one in FEEDS
        for column in one.columns
        if column.code_match != "exact"
    }
    assert set(matches.values()) == {"prefix", "open", "first_two", "free"}
    settlement = feed("medical_settlement").by_name
    assert settlement["insutype"].code_match == "prefix"
    assert settlement["med_type"].code_match == "open"
    assert settlement["psn_type"].code_match == "first_two"
    assert {code for code in settlement["psn_type"].code_list.codes if len(code) == 2} == {  # type: ignore[union-attr]
        str(number) for number in range(11, 18)
    }


#: The registers among the further feeds; all other ones are events.
REGISTERS = {"rights_regime", "honours_studio", "employment_employment_spell"}
FURTHER = {
    "rights": {"regime", "collective_contract", "contract_unit", "dispute_case"},
    "honours": {"honour", "studio", "contest"},
    "funds": {"fund_budget", "audit_finding"},
    "employment": {"employment_spell", "social_insurance_month"},
    "services": {"service_record"},
}


def test_further_feeds_of_the_interface() -> None:
    for source, names in FURTHER.items():
        of_source = load().of_source(source)
        assert {one.name for one in of_source} == names
        assert not load().has_snapshots(source)
        assert {one.table for one in of_source if one.kind == "register"} == REGISTERS & {
            f"{source}_{n}" for n in names
        }
        assert [one.table for one in of_source if one.tolerance != Decimal("0.05")] == (
            ["funds_fund_budget"] if source == "funds" else []
        )
        for one in of_source:
            for column in one.columns:
                assert column.kind is not Kind.USCC or column.uscc_first == "^[^8]", one.table
                assert column.may_lie_ahead == (column.name in {"valid_from", "valid_to", "contract_to", "due_on"}) or (
                    (one.name, column.name) == ("contest", "ended_on")
                )
            assert all(rule.hard and rule.tolerance == 0 and rule.op == "<=" for rule in one.sums)
    assert feed("funds_fund_budget").tolerance == 0
    assert not feed("services_service_record").requires_person
    assert feed("funds_fund_budget").by_name["actual"].minimum < 0  # type: ignore[operator]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("维权支出", "E4"),
        ("E4", "E4"),
        ("Ｅ４", "E4"),
        ("事业收入", "I6"),
        ("事业支出", "E9"),
        ("502", None),
        ("502维权支出", None),
        ("502.0", None),
    ],
)
def test_an_account_is_named_not_numbered(text: str, code: str | None) -> None:
    """502 is another account in the accounting system of 2010 than in that of 2021."""
    cleaned = clean(pl.Series([text]), feed("funds_fund_budget").by_name["account"], Context(date(2026, 10, 3)))
    assert cleaned.text[0] == code
    assert list(cleaned.flags) == ([] if code else [RowCode.CODE])


def test_two_kinds_of_insurance_never_share_a_list() -> None:
    """410 is work injury insurance in one source and long-term care in the other."""
    lists = load().code_lists
    assert lists["insurance_kind"].codes["410"] == "工伤保险"
    assert lists["insutype"].codes["410"] == "长期照护保险"
    assert feed("employment_social_insurance_month").by_name["insurance_kind"].code_list is lists["insurance_kind"]


def test_groups_of_services_and_classes_of_regimes_follow_the_first_digit() -> None:
    lists = load().code_lists
    assert all(code[0] == group for code, group in lists["service_type"].extra["service_group"].items())
    classes = lists["regime_kind"].extra["regime_class"]
    assert {code: classes[code] for code in classes} == {
        code: "1" if code == "1" else "2" if code[0] == "2" else "N" for code in lists["regime_kind"].codes
    }


# --- a contract decides, wherever it lies ----------------------------------------------------------------------------


def test_a_new_alias_and_length_take_effect(tmp_path: Path) -> None:
    root = copied(tmp_path)
    changed = edit(root, "training/fund.yaml", "value: [年份]", "value: [年份, 核算期]")
    assert changed.feeds["training", "fund"].headers[header_key("核算期")] == "year"
    changed = edit(root, "training/fund.yaml", "maxLength: 200", "maxLength: 7")
    assert changed.feeds["training", "fund"].by_name["employer_name"].max_length == 7
    assert load().feeds["training", "fund"].by_name["employer_name"].max_length == 200


def test_a_new_spelling_takes_effect(tmp_path: Path) -> None:
    root = copied(tmp_path)
    changed = edit(root, "codes/sex.csv", "男性|", "汉子|男性|")
    assert changed.feeds["membership", "member"].by_name["sex"].code_list.spellings["汉子"] == "1"  # type: ignore[union-attr]


def test_a_ninth_feed_is_a_file(tmp_path: Path) -> None:
    root = copied(tmp_path)
    text = (root / "training/certificate.yaml").read_text("utf-8")
    (root / "training/contest.yaml").write_text(text.replace("certificate\n", "contest\n"), "utf-8")
    contracts = load(root)
    assert contracts.feeds.keys() - load().feeds.keys() == {("training", "contest")}
    assert contracts.feeds["training", "contest"].table == "training_contest"


@pytest.mark.parametrize(
    ("place", "old", "new", "message"),
    [
        ("training/fund.yaml", "value: [年份]", "value: [年份, 行政区划]", "names both"),
        ("training/fund.yaml", "property: maximumYear", "property: maximunYear", "unknown custom property maximunYear"),
        ("training/fund.yaml", "left: [frontline_spent]", "left: [frontline]", "unknown frontline"),
        ("training/fund.yaml", "domain: training", "domain: medical", "its folder 'training'"),
        ("training/certificate.yaml", "value: certificate_status", "value: no_such_list", "no code list"),
        ("training/certificate.yaml", "^([YS]", "^(([YS]", "no regular expression"),
        ("training/certificate.yaml", "value: certno", "value: certificate_number", "certno: kind: Input should be"),
        ("training/certificate.yaml", "version: 1.0.0", "version: one", "not semantic"),
        ("training/certificate.yaml", "kind: DataContract", "kind: [", "not a data contract"),
        ("codes/sex.csv", "男性|", "女|男性|", "means both"),
        ("codes/sex.csv", "9,未说明", "2,未说明", "stands twice"),
        ("codes/_lists.yaml", "sex:\n", "sexes:\n", "sex, sexes"),
        ("codes/_lists.yaml", "rank: smallint", "grade: smallint", "grade"),
        ("training/_source.yaml", "snapshots: false", "snapshot: false", "unknown custom property snapshot"),
        ("membership/_source.yaml", "snapshots: true", "snapshots: false", "is required in one"),
    ],
)
def test_a_wrong_contract_is_named(tmp_path: Path, place: str, old: str, new: str, message: str) -> None:
    root = copied(tmp_path)
    with pytest.raises(ContractError, match=re.escape(message)) as raised:
        edit(root, place, old, new)
    assert place in str(raised.value)


def test_a_column_without_a_class_is_no_contract(tmp_path: Path) -> None:
    root = copied(tmp_path)
    with pytest.raises(ContractError, match="member_id: its classification is none of public, internal"):
        edit(root, "membership/member.yaml", "        classification: personal\n", "")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('otherCode, value: "99"', 'otherCode, value: "98"', "otherCode is a code of the list"),
        ("        classification: free_text", "        classification: personal", "is a code with codeMatch free"),
        ("value: free}", "value: open}", "is a code with codeMatch free"),
    ],
)
def test_a_free_text_says_which_code_lands(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(ContractError, match=message):
        edit(copied(tmp_path), "membership/member.yaml", old, new)

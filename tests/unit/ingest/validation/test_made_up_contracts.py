"""What contracts can say, tried on feeds that no source has: months, columns given together, limits, an optional person."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
import xlsxwriter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contracts import Column, ContractError, Contracts, Feed, Kind, load
from ingest.delivery.manifest import Resource
from ingest.landing import tables
from ingest.readers import open_table
from ingest.synthetic.faults import faults
from ingest.validation.cleaning import Context, clean
from ingest.validation.rules import CheckedBatch, check
from tests.made_up import column, copy_of_contracts, person, rule, usual_row, write_feed, write_list, write_source
from tests.packages import certno
from tests.unit.ingest.validation.test_fast_path import KEYRING, LIMITS, both_ways, written

CONTEXT = Context(date(2026, 10, 3))
MONTH = Column("month", "费款所属期", Kind.MONTH, sql_type="date")

#: A contribution: months, an open list, limits of numbers and counts, columns given together, an employer.
PAYMENT = [
    column("payment_id", "identifier", key=True, options={"maxLength": 40}),
    *person(),
    column("month", "month", required=True, role="event_date"),
    column("first_month", "month"),
    column("platform", "code", codeList="platform", codeMatch="open", options={"maxLength": 40}),
    column("adjustment", "number", options={"minimum": -50, "maximum": 100}),
    column("members", "integer", options={"minimum": 2, "maximum": 10000}),
    column("winners", "integer", options={"minimum": 0}),
    column("promoted", "integer", options={"minimum": 0}),
    column("amount", "money", options={"minimum": 0}),
    column("recovered", "money", options={"minimum": 0}),
    column("closed_on", "date"),
    column("outcome", "code", codeList="outcome"),
    column("due_on", "date", mayLieAhead=True),
]
PAYMENT_RULES = [
    rule("closed", kind="together", columns=["closed_on", "outcome"]),
    rule("winners", kind="sum", left=["winners", "promoted"], op="<=", right=["members"]),
    rule("recovered", kind="sum", left=["recovered"], op="<=", right=["amount"]),
    rule("due", kind="order", earlier="closed_on", later="due_on"),
    rule("months", kind="order", earlier="first_month", later="month"),
]
#: A visit by somebody who may be unknown.
VISIT = [
    column("visit_id", "identifier", key=True),
    *person(required=False),
    column("served_on", "date", required=True),
]
VISIT_RULES = [rule("person", kind="together", columns=["name", "cert_type", "certno"])]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = copy_of_contracts(tmp_path_factory.mktemp("made-up") / "contracts")
    write_source(root, "sport")
    write_list(root, "platform", {"didi": "滴滴出行", "meituan": "美团"})
    write_list(root, "outcome", {"1": "和解", "2": "撤回"})
    write_feed(root, "sport", "payment", PAYMENT, rules=PAYMENT_RULES, tolerance="0", dropped=["联系电话", "phone"])
    write_feed(root, "sport", "visit", VISIT, kind="register", rules=VISIT_RULES)
    return root


@pytest.fixture(scope="module")
def contracts(root: Path) -> Contracts:
    return load(root)


@pytest.fixture(scope="module")
def payment(contracts: Contracts) -> Feed:
    return contracts.feeds["sport", "payment"]


@pytest.fixture(scope="module")
def visit(contracts: Contracts) -> Feed:
    return contracts.feeds["sport", "visit"]


def run(feed: Feed, *rows: dict[str, str], folder: Path) -> CheckedBatch:
    """The checks over rows as they are delivered."""
    (folder / "f").write_bytes(written(feed, list(rows)))
    (batch,) = open_table(folder / "f", Resource(feed.name, feed.name, "f", "csv"), feed, LIMITS).batches()
    return check(batch.to_raw(), feed, CONTEXT, KEYRING)


# --- months -------------------------------------------------------------------------------------------------------


def month(text: str, column: Column = MONTH, context: Context = CONTEXT) -> tuple[str | None, list[str]]:
    cleaned = clean(pl.Series([text]), column, context)
    assert (cleaned.value[0] is None) == (cleaned.text[0] is None)
    return cleaned.text[0], sorted(cleaned.flags)


@pytest.mark.parametrize(
    "text",
    [
        "202401", "202401.0", "2024-01", "2024/01", "2024年1月", "2024年01月", "２０２４０１", " 2024-01 ", '="202401"',
        "2024-01-31", "20240131", "2024/1/31", "2024.1.31", "2024年1月31日", "2024-01-31 10:11:12", "20240131101112",
    ],
)  # fmt: skip
def test_forms_of_a_month(text: str) -> None:
    assert month(text) == ("2024-01-01", [])


@pytest.mark.parametrize(
    "text",
    ["2024.1", "2024-1", "2024/1", "2024.01", "24-01", "202413", "202400", "2024-00", "2024年13月", "45292", "202401.5",
     "2024-02-30", "2024-01-01 25:00:00", "000001", "一月", "2024-01-", "2024 01"],
)  # fmt: skip
def test_what_is_no_month(text: str) -> None:
    assert month(text) == (None, ["E_TYPE"])


@pytest.mark.parametrize(
    ("text", "kept"),
    [("199001", "1990-01-01"), ("198912", None), ("1989-12-31", None), ("202610", "2026-10-01"), ("202611", None),
     ("2026-10-31", "2026-10-01"), ("999912", None)],
)  # fmt: skip
def test_bounds_of_a_month(text: str, kept: str | None) -> None:
    assert month(text) == (kept, [] if kept else ["E_RANGE"])


def test_a_month_may_lie_ahead_where_the_contract_says_so() -> None:
    ahead = Column("month", "月份", Kind.MONTH, may_lie_ahead=True)
    assert month("203012", ahead) == ("2030-12-01", [])
    assert month("198912", ahead) == (None, ["E_RANGE"])


@pytest.mark.parametrize("text", ["1900-01-01", "19700101", "2099-12-31", "9999/12/31", "0000-00-00"])
def test_a_placeholder_date_is_no_month(text: str) -> None:
    assert month(text) == (None, ["W_PLACEHOLDER_DATE"])


@pytest.mark.parametrize("text", ["", "无", "-", "null"])
def test_no_month(text: str) -> None:
    assert month(text) == (None, [])


def test_months_of_a_sheet(tmp_path: Path, payment: Feed) -> None:
    path = tmp_path / "payment.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet, day = book.add_worksheet(), book.add_format({"num_format": "yyyy-mm-dd"})
        sheet.write_row(0, 0, ["payment_id", "name", "cert_type", "certno", "month"])
        for line, value in enumerate((202401, 45292, 20240115, "2024-01", "45292", 202401.0, 24.01), start=1):
            sheet.write_row(line, 0, [f"P{line}", "某人", "01", certno(line)])
            sheet.write(line, 4, value)
        sheet.write_row(8, 0, ["P8", "某人", "01", certno(8)])
        sheet.write_datetime(8, 4, date(2024, 1, 15), day)
    (batch,) = open_table(path, Resource("payment", "payment", path.name, "xlsx"), payment, LIMITS).batches()
    checked = check(batch.to_raw(), payment, Context(date(2026, 10, 3), sheet=True), KEYRING)
    assert checked.good["payment_id"].to_list() == ["P1", "P4", "P6", "P8"]
    assert set(checked.good["month"]) == {date(2024, 1, 1)}
    assert checked.rejected["reasons"].to_list() == [["E_TYPE:month"]] * 4


@pytest.mark.parametrize("values", [[date(2024, 1, 15)], [202401], [202401.0], ["2024年1月"]])
def test_months_of_a_parquet_file(tmp_path: Path, payment: Feed, values: list[object]) -> None:
    path = tmp_path / "payment.parquet"
    row = {"payment_id": ["P1"], "name": ["某人"], "cert_type": ["01"], "certno": [certno(1)], "month": values}
    pl.DataFrame(row).write_parquet(path)
    (batch,) = open_table(path, Resource("payment", "payment", path.name, "parquet"), payment, LIMITS).batches()
    assert check(batch.to_raw(), payment, CONTEXT, KEYRING).good["month"].to_list() == [date(2024, 1, 1)]


# --- rules --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({"closed_on": "", "outcome": ""}, []),
        ({"closed_on": ""}, ["E_REQUIRED:closed_on"]),
        ({"outcome": "无"}, ["E_REQUIRED:outcome"]),
        ({"closed_on": "9999-12-31"}, ["E_REQUIRED:closed_on"]),  # a placeholder is no value
        ({"closed_on": "昨天", "outcome": ""}, ["E_TYPE:closed_on", "E_REQUIRED:outcome"]),  # a wrong one is given
        ({"closed_on": "", "outcome": "9"}, ["E_CODE:outcome", "E_REQUIRED:closed_on"]),
        ({"winners": "2", "promoted": "2", "members": "4"}, []),
        ({"winners": "3", "promoted": "2", "members": "4"}, ["E_SUM:winners"]),
        ({"winners": "", "promoted": "5", "members": "4"}, ["E_SUM:winners"]),  # a missing left side is 0
        ({"winners": "9", "members": ""}, []),  # judged only where the right side is given
        ({"winners": "9", "members": "x"}, ["E_TYPE:members"]),
        ({"recovered": "1.00", "amount": "0.99"}, ["E_SUM:recovered"]),
        ({"recovered": "1.00", "amount": ""}, []),
        ({"recovered": "-1"}, ["E_RANGE:recovered"]),
        ({"due_on": "2026-01-01"}, ["E_ORDER:due_on"]),
        ({"due_on": "2030-01-01"}, []),
        ({"closed_on": "1899-12-31"}, ["E_RANGE:closed_on"]),  # out of its bounds alone
        ({"first_month": "2026-02"}, ["E_ORDER:month"]),
        ({"first_month": "2026年1月"}, []),
        ({"adjustment": "-50"}, []),
        ({"adjustment": "-50.001"}, ["E_RANGE:adjustment"]),
        ({"adjustment": "100.01"}, ["E_RANGE:adjustment"]),
        ({"members": "1"}, ["E_RANGE:members"]),
        ({"members": "10001"}, ["E_RANGE:members"]),
        ({"platform": "Didi"}, []),
        ({"platform": "x" * 41}, ["E_LENGTH:platform"]),
    ],
)
def test_reasons(tmp_path: Path, payment: Feed, values: dict[str, str], reasons: list[str]) -> None:
    found = run(payment, usual_row(payment) | values, folder=tmp_path).rejected["reasons"].to_list()
    assert found == ([reasons] if reasons else [])


def test_an_open_list_keeps_what_it_does_not_know(tmp_path: Path, payment: Feed) -> None:
    rows = [
        usual_row(payment, number) | {"platform": text} for number, text in enumerate(["美团", "Didi", "didi", "x"])
    ]
    checked = run(payment, *rows, folder=tmp_path)
    assert checked.good["platform"].to_list() == ["meituan", "Didi", "didi", "x"]
    assert dict(checked.warnings.iter_rows()) == {3: ["W_CODE_LOCAL:platform"], 5: ["W_CODE_LOCAL:platform"]}


def test_dropped_columns_are_not_in_the_text_of_rejected_rows(tmp_path: Path, payment: Feed) -> None:
    row = usual_row(payment) | {"联系电话": "13911112222", "PHONE": "13911113333", "winners": "x"}
    (tmp_path / "f").write_bytes(written(payment, [row]))
    (batch,) = open_table(tmp_path / "f", Resource("payment", "payment", "f", "csv"), payment, LIMITS).batches()
    (text,) = batch.to_raw().raw([0])
    assert "1391111" not in text
    assert row["payment_id"] in text


def test_a_feed_may_tolerate_nothing(payment: Feed) -> None:
    assert payment.tolerance == Decimal(0)


def test_what_the_landing_table_looks_like(payment: Feed) -> None:
    assert tables.columns(payment)["month"] == "date"
    assert {"name", "certno"} & tables.columns(payment).keys() == set()


# --- a person who may be missing ------------------------------------------------------------------------------------


def test_a_person_may_be_missing_but_not_in_part(tmp_path: Path, visit: Feed) -> None:
    nobody = {"name": "", "cert_type": "", "certno": ""}
    rows = [
        usual_row(visit, 1),
        usual_row(visit, 2) | nobody,
        usual_row(visit, 3) | nobody,
        usual_row(visit, 4) | {"certno": ""},
        usual_row(visit, 5) | {"name": "", "certno": "123"},
    ]
    checked = run(visit, *rows, folder=tmp_path)
    assert checked.good["person_key"].is_null().to_list() == [False, True, True]
    assert checked.persons.height == 1
    assert checked.rejected["reasons"].to_list() == [["E_REQUIRED:certno"], ["E_ID:certno", "E_REQUIRED:name"]]


@pytest.mark.parametrize("name", ["payment", "visit"])
def test_usual_rows_take_the_fast_path(tmp_path: Path, contracts: Contracts, name: str) -> None:
    feed = contracts.feeds["sport", name]
    rows = [usual_row(feed, number) for number in range(3)]
    if name == "visit":
        rows.append(usual_row(feed, 4) | {"name": "", "cert_type": "", "certno": ""})
    assert both_ways(feed, written(feed, rows), tmp_path, CONTEXT) == len(rows)


TEXT = st.sampled_from(
    ["", "无", "1", "2", "01", "07", "99", "x", "didi", "美团", "-50", "100.001", "0", "-1", "1.005", "1e3", "202401",
     "2024-1", "2024年1月", "2024-01", "2026-01-02", "9999-12-31", "2030-01-01", certno(1), certno(2), "E12345678"]
)  # fmt: skip


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(["payment", "visit"]), st.data())
def test_the_fast_path_gives_what_the_checks_give(
    tmp_path: Path, contracts: Contracts, name: str, data: st.DataObject
) -> None:
    feed = contracts.feeds["sport", name]
    names = st.sampled_from([one.name for one in feed.columns])
    changes = data.draw(st.lists(st.dictionaries(names, TEXT, max_size=4), min_size=1, max_size=20))
    rows = [usual_row(feed, number) | change for number, change in enumerate(changes)]
    both_ways(feed, written(feed, rows), tmp_path, CONTEXT)


def test_the_fast_path_takes_rows_without_a_person(tmp_path: Path, contracts: Contracts) -> None:
    feed = contracts.feeds["sport", "visit"]
    row = usual_row(feed, 1) | {"name": "", "cert_type": "", "certno": ""}
    assert both_ways(feed, written(feed, [row]), tmp_path, CONTEXT) == 1


# --- synthetic faults -------------------------------------------------------------------------------------------------


def test_synthetic_faults_know_months_and_columns_given_together(tmp_path: Path, payment: Feed) -> None:
    made = [fault for fault in faults(payment) if fault.apply and fault.column in ("month", "closed_on")]
    codes = {(str(one.code), one.column) for one in made}
    assert codes >= {("E_TYPE", "month"), ("E_RANGE", "month"), ("E_REQUIRED", "closed_on")}
    for fault in made:
        row = usual_row(payment)
        fault.apply(row)  # type: ignore[misc]
        (reasons,) = run(payment, row, folder=tmp_path).rejected["reasons"].to_list()
        assert f"{fault.code}:{fault.column}" in reasons


# --- contracts that cannot be -----------------------------------------------------------------------------------------

KEY = column("id", "identifier", key=True)


@pytest.mark.parametrize(
    ("columns", "rules", "message"),
    [
        (
            [KEY, column("a", "date"), column("b", "integer")],
            [rule("r", kind="order", earlier="a", later="b")],
            "dates",
        ),
        ([KEY, column("a", "text")], [rule("r", kind="sum", left=["a"], op="<=", right=["a"])], "is no number"),
        ([KEY, column("a", "text")], [rule("r", kind="together", columns=["a"])], "at least 2"),
        ([KEY, column("a", "text")], [rule("r", kind="together", columns=["a", "id"])], "id is required"),
        ([KEY, column("a", "text")], [rule("r", kind="together", columns=["a", "b"])], "unknown b"),
        ([KEY, column("a", "text")], [rule("r", kind="apart", columns=["a"])], "is no rule"),
        ([KEY, column("a", "text", role="sex")], [], "cannot be the sex"),
        ([KEY, column("a", "date", role="event_date"), column("b", "date", role="event_date")], [], "both a and b"),
        ([KEY, column("a", "code", codeList="org_type", role="age")], [], "role"),
        ([KEY, column("a", "code", codeList="industry", role="sex")], [], "holds 1"),
        ([KEY, column("a", "mobile")], [], "direct_identifier"),
        ([KEY, column("a", "name", role="person_name")], [], "direct_identifier"),
        ([KEY, column("a", "mobile", classification="direct_identifier")], [], "needs an identity number"),
        ([KEY, *person()[:2], person(required=False)[2]], [], "both required or neither"),
        ([KEY, {**column("a", "month"), "physicalType": "text"}], [], "is stored as date"),
    ],
)
def test_what_a_contract_cannot_say(
    tmp_path: Path, columns: list[dict[str, object]], rules: list[dict[str, object]], message: str
) -> None:
    root = copy_of_contracts(tmp_path / "contracts")
    write_source(root, "sport")
    write_feed(root, "sport", "thing", columns, rules=rules)
    with pytest.raises(ContractError, match=message):
        load(root)


def test_a_folder_of_feeds_says_who_sends_them(tmp_path: Path) -> None:
    root = copy_of_contracts(tmp_path / "contracts")
    write_feed(root, "sport", "thing", [KEY])
    with pytest.raises(ContractError, match=r"no _source\.yaml"):
        load(root)

"""The return file in the sender's own columns, and its way back as a delivery."""

import csv
import json
import re
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
import python_calamine

from ingest import code_texts, pipeline
from ingest.privacy.keyring import Keyring
from tests import packages
from tests.integration.conftest import Loader
from tests.integration.warehouse.cli.conftest import Runner
from tests.packages import enrolment, write
from warehouse.cli.return_files import REASONS_SHEET, SHEET_HEADER

#: The columns as the sender has them: an order of its own, labels and names, one that the contract does not know.
HEADER = [
    "机构顺序号",
    "result",
    "enrolment_id",
    "姓名",
    "cert_type",
    "certno",
    "provider_name",
    "training_type",
    "started_on",
]
SHEET = "1 培训报名"


@pytest.fixture
def inbox(settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = settings.root / "inbox"
    folder.mkdir()
    return folder


def row(number: int, **more: str) -> list[str]:
    found = {"机构顺序号": str(number), **enrolment(number, **more)}
    return [found["name" if column == "姓名" else column] for column in HEADER]


def deliver(inbox: Path, name: str, rows: list[list[str]], **more: object) -> None:
    lines = [";".join(f"|{cell}|" if ";" in cell else cell for cell in cells) for cells in [HEADER, *rows]]
    dialect = {"dialect": {"delimiter": ";", "quoteChar": "|"}}
    write(inbox, name, {"enrolment": "\n".join(lines) + "\n"}, resources={"enrolment": dialect}, **more)


@pytest.fixture
def accepted(inbox: Path, load_inbox: Loader) -> list[list[str]]:
    """The rejected rows of an accepted delivery ``t-1``: a wrong code, a formula, a wrong number of fields."""
    wrong = [row(1, result="x"), row(2, provider_name='=HYPERLINK("a;b")', started_on="soon"), [*row(3), "more"]]
    deliver(inbox, "t-1", [*wrong, *map(row, range(4, 91))])
    (outcome,) = load_inbox(inbox)
    assert outcome.status == "accepted"
    return wrong


def sheet(path: Path, name: str = SHEET) -> list[list[object]]:
    return python_calamine.load_workbook(path).get_sheet_by_name(name).to_python()


def edit(source: Path, target: Path, change: Callable[[str], str]) -> Path:
    """A copy of a workbook whose first sheet a person has changed."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for part in old.namelist():
            content = old.read(part)
            if part.endswith("sheet1.xml"):
                content = change(content.decode()).encode()
            new.writestr(part, content)
    return target


def drop_row(xml: str, number: int) -> str:
    return re.sub(rf'<row r="{number}".*?</row>', "", xml)


def landed(conn: psycopg.Connection) -> int:
    (count,) = conn.execute("SELECT count(*) FROM landing.training_enrolment").fetchone()
    return count


# --- the file --------------------------------------------------------------------------------------------------------


def test_the_workbook_has_the_senders_columns(command: Runner, accepted: list[list[str]], tmp_path: Path) -> None:
    path = tmp_path / "return.xlsx"
    code, out, _ = command("rejects", "t-1", "--out", str(path))
    assert (code, out) == (0, f"3 rejected rows in {path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    header, *rows = sheet(path)
    assert header == [*SHEET_HEADER, *HEADER]
    assert rows[0] == ["2", "E_CODE:result", *accepted[0]]
    assert rows[1] == ["3", "E_TYPE:started_on", *accepted[1]]
    # It cannot be told which field is one too many, so that the text stands in the first cell alone.
    assert rows[2][:3] == ["4", "E_COLUMNS", ";".join(accepted[2])]
    assert set(rows[2][3:]) == {""}
    with zipfile.ZipFile(path) as archive:
        assert "<f>" not in archive.read("xl/worksheets/sheet1.xml").decode()


def test_wrong_cells_are_coloured_and_say_what_to_do(command: Runner, accepted: None, tmp_path: Path) -> None:
    path = tmp_path / "return.xlsx"
    command("rejects", "t-1", "--out", str(path))
    with zipfile.ZipFile(path) as archive:
        cells = re.findall(r'<c r="(\w+)" s="(\d+)"', archive.read("xl/worksheets/sheet1.xml").decode())
        comments = archive.read("xl/comments1.xml").decode()
    styles = dict(cells)
    wrong = {"D2", "K3", "B4"}  # result, started_on, and the reasons where no cell is to blame
    assert {cell for cell, style in cells if style == styles["D2"]} == wrong
    assert set(re.findall(r'<comment ref="(\w+)"', comments)) == wrong
    told = code_texts.load()["E_CODE"]
    for text in ("E_CODE:result", told.meaning.zh, told.meaning.en, told.remedy.zh, told.remedy.en):
        assert text in comments


def test_the_reasons_are_counted_and_explained(command: Runner, accepted: None, tmp_path: Path) -> None:
    path = tmp_path / "return.xlsx"
    command("rejects", "t-1", "--out", str(path))
    told = code_texts.load()["E_CODE"]
    texts = [told.meaning.zh, told.meaning.en, told.remedy.zh, told.remedy.en]
    header, *rows = sheet(path, REASONS_SHEET)
    assert len(header) == 9
    assert ["E_CODE", "result", "结果", 1.0, *texts, SHEET] in rows
    assert {found[0] for found in rows} == {"E_CODE", "E_TYPE", "E_COLUMNS"}


def test_columns_that_are_never_kept_are_not_in_the_header(
    command: Runner, inbox: Path, load_inbox: Loader, tmp_path: Path
) -> None:
    names = ["bank_account", *enrolment(1)]
    rows = [
        {"bank_account": "6222", **enrolment(number, result="x" if number == 1 else "1")} for number in range(1, 41)
    ]
    write(inbox, "t-1", {"enrolment": packages.text(rows, names)})
    load_inbox(inbox)
    command("rejects", "t-1", "--out", str(tmp_path / "return.xlsx"))
    header, found = sheet(tmp_path / "return.xlsx")
    assert header == [*SHEET_HEADER, *names[1:]]
    assert found[2:] == list(enrolment(1, result="x").values())


def test_a_folder_gets_both_formats(command: Runner, accepted: None, tmp_path: Path) -> None:
    code, _, _ = command("rejects", "t-1", "--out", f"{tmp_path}/new/")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["t-1.csv", "t-1.xlsx"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "new").iterdir()} == {0o600}


def test_a_row_that_begins_like_a_formula_is_defused_in_csv(
    command: Runner, inbox: Path, load_inbox: Loader, tmp_path: Path
) -> None:
    rows = [row(1, result="x"), *map(row, range(2, 41))]
    rows[0][0] = "=1+1"
    deliver(inbox, "t-1", rows)
    load_inbox(inbox)
    command("rejects", "t-1", "--out", str(tmp_path / "t-1.csv"))
    (found,) = csv.DictReader((tmp_path / "t-1.csv").open(encoding="utf-8-sig", newline=""))
    assert found["row"].startswith("'=1+1;x;E1;")


# --- and its way back ------------------------------------------------------------------------------------------------


def test_a_corrected_workbook_comes_back_as_a_delta(
    command: Runner, accepted: None, inbox: Path, load_inbox: Loader, warehouse: psycopg.Connection, tmp_path: Path
) -> None:
    command("rejects", "t-1", "--out", str(tmp_path / "sent.xlsx"))
    corrected = edit(
        tmp_path / "sent.xlsx",
        tmp_path / "corrected.xlsx",
        lambda xml: drop_row(xml.replace("<t>x</t>", "<t>1</t>").replace("<t>soon</t>", "<t>46204</t>"), 4),
    )
    code, out, error = command("rejects", "--replay", str(corrected))
    assert (code, error) == (0, "")
    assert "t-1-corrected-1: 2 rows" in out
    manifest = json.loads((inbox / "t-1-corrected-1" / "datapackage.json").read_text("utf-8"))
    kept = {name: manifest[name] for name in ("source", "sender", "period", "mode")}
    assert kept == {"source": "training", "sender": "440000", "period": "2026-07", "mode": "delta"}
    assert [entry["feed"] for entry in manifest["resources"]] == ["enrolment"]
    (outcome,) = load_inbox(inbox)
    assert (outcome.name, outcome.status) == ("t-1-corrected-1", "accepted")
    assert landed(warehouse) == 87 + 2
    started = warehouse.execute("SELECT started_on::text FROM landing.training_enrolment WHERE enrolment_id = 'E2'")
    assert started.fetchone() == ("2026-07-01",)
    assert warehouse.execute("SELECT count(*) FROM ops.row_warning WHERE delivery_name <> 't-1'").fetchone() == (0,)
    assert "t-1-corrected-2" in command("rejects", "--replay", str(corrected))[1]


def test_a_row_that_is_not_corrected_is_rejected_again(
    command: Runner,
    accepted: None,
    inbox: Path,
    load_inbox: Loader,
    warehouse: psycopg.Connection,
    keyring: Keyring,
    tmp_path: Path,
) -> None:
    command("rejects", "t-1", "--out", str(tmp_path / "sent.xlsx"))
    returned = edit(tmp_path / "sent.xlsx", tmp_path / "t-1.xlsx", lambda xml: drop_row(xml, 4))
    assert command("rejects", "--replay", str(returned))[0] == 0
    (outcome,) = load_inbox(inbox)
    assert outcome.status == "refused"
    reasons = [found["reasons"] for found in pipeline.rejects(warehouse, keyring, "t-1-corrected-1")]
    assert reasons == [["E_CODE:result"], ["E_TYPE:started_on"]]


def test_a_row_that_is_still_in_one_cell_is_not_lost(
    command: Runner, accepted: None, inbox: Path, tmp_path: Path
) -> None:
    command("rejects", "t-1", "--out", str(tmp_path / "t-1.xlsx"))
    code, _, error = command("rejects", "--replay", str(tmp_path / "t-1.xlsx"))
    assert code == 1
    assert "1 培训报名: rows that do not stand in the columns of the header, the first in line 4" in error
    assert [path.name for path in inbox.iterdir()] == ["t-1"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "gb18030"])
def test_a_corrected_csv_comes_back(
    command: Runner,
    accepted: None,
    inbox: Path,
    load_inbox: Loader,
    warehouse: psycopg.Connection,
    tmp_path: Path,
    encoding: str,
) -> None:
    command("rejects", "t-1", "--out", str(tmp_path / "t-1.csv"))
    text = (tmp_path / "t-1.csv").read_text("utf-8-sig")
    text = text.replace(";x;", ";1;").replace("soon", "2026-06-02").replace(";more", "")
    (tmp_path / "t-1.csv").write_text(text, encoding)
    code, out, error = command("rejects", "--replay", str(tmp_path / "t-1.csv"))
    assert (code, error) == (0, "")
    assert "t-1-corrected-1: 3 rows" in out
    (outcome,) = load_inbox(inbox)
    assert outcome.status == "accepted"
    assert landed(warehouse) == 90


def test_a_sheet_saved_as_csv_comes_back(command: Runner, accepted: None, inbox: Path, tmp_path: Path) -> None:
    with (tmp_path / "saved.csv").open("w", encoding="gb18030", newline="") as file:
        csv.writer(file).writerows([[*SHEET_HEADER, *HEADER], ["2", "E_CODE:result", *row(1)]])
    assert command("rejects", "t-1", "--replay", str(tmp_path / "saved.csv"))[0] == 0
    (data,) = (inbox / "t-1-corrected-1").glob("*.csv")
    (found,) = csv.DictReader(data.open(encoding="utf-8"))
    assert found["enrolment_id"] == "E1"
    assert not set(SHEET_HEADER) & set(found)


def test_the_unit_of_the_file_stays(command: Runner, inbox: Path, load_inbox: Loader, tmp_path: Path) -> None:
    rows = [enrolment(number, result="x" if number == 1 else "1") for number in range(1, 41)]
    write(inbox, "t-1", {"enrolment": rows}, resources={"enrolment": {"amount_unit": "wanyuan"}})
    load_inbox(inbox)
    command("rejects", "t-1", "--out", str(tmp_path / "t-1.xlsx"))
    command("rejects", "--replay", str(tmp_path / "t-1.xlsx"))
    manifest = json.loads((inbox / "t-1-corrected-1" / "datapackage.json").read_text("utf-8"))
    assert [entry["amount_unit"] for entry in manifest["resources"]] == ["wanyuan"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.xlsx", "no workbook", "no xlsx workbook"),
        ("x.csv", "a,b\n1,2\n", "is not that of a feed of training"),
        ("x.csv", "file,line,reasons,row\n", "holds no row"),
        ("x.csv", "file,line,reasons,row\nother.csv,2,E_CODE:result,a;b\n", "no rejected row of a file other.csv"),
        ("x.csv", "file,line,reasons,row\nother.csv\n", "a row of 1 fields"),
    ],
)
def test_what_is_no_return_file_is_refused_in_words(
    command: Runner, accepted: None, inbox: Path, tmp_path: Path, name: str, content: str, words: str
) -> None:
    (tmp_path / name).write_text(content)
    code, _, error = command("rejects", "t-1", "--replay", str(tmp_path / name))
    assert (code, error.count("\n")) == (1, 1)
    assert words in error
    assert [path.name for path in inbox.iterdir()] == ["t-1"]


def test_a_workbook_of_another_delivery_is_refused(
    command: Runner, accepted: None, inbox: Path, load_inbox: Loader, tmp_path: Path
) -> None:
    budget = {"org_code": "A1", "year": "2026"}
    write(inbox, "f-1", {"fund_budget": [budget]}, source="funds")
    load_inbox(inbox)
    command("rejects", "t-1", "--out", str(tmp_path / "t-1.xlsx"))
    code, _, error = command("rejects", "f-1", "--replay", str(tmp_path / "t-1.xlsx"))
    assert code == 1
    assert "f-1 was refused as a whole" in error

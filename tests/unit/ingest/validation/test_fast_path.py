"""Plain rows: what compiled code makes of a row is what the checks would make of it."""

import csv
import io
import os
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from stdnum.cn import ric, uscc

from ingest import contracts
from ingest.contracts.model import Column, Feed, Kind, Role
from ingest.delivery.manifest import Resource
from ingest.kernels import values
from ingest.landing.pg_copy import encode_rows
from ingest.landing.tables import columns, dtype
from ingest.privacy.keyring import Keyring
from ingest.readers import TextBatch, open_table
from ingest.settings import Settings
from ingest.stripping import ERROR_WORDS, NULL_WORDS
from ingest.validation import value_cache
from ingest.validation.cleaning import Context
from ingest.validation.fast_path import FastPath
from ingest.validation.identifiers import business_names
from ingest.validation.rules import check
from tests.made_up import usual_row

CONTEXT = Context(date(2026, 10, 3))
KEYRING = Keyring("k" * 40)
FEEDS = contracts.load().feeds
LIMITS = Settings(home=Path("unused"))


def resident(body: str) -> str:
    return body + ric.calc_check_digit(body + "0")


#: The code of a one-person business.
ONE_PERSON = "92440100600037341" + uscc.calc_check_digit("92440100600037341")
MAN, WOMAN = resident("44990019900307251"), resident("44990019900307252")
BASE = {
    ("membership", "organisation"): {
        "org_code": "O1", "org_name": "某工会", "org_level": "90", "org_type": "1", "admdvs": "440100", "status": "1",
        "employees": "10", "women_employees": "3", "has_open_affairs": "是", "founded_on": "2010-05-01",
    },
    ("membership", "member"): {
        "member_id": "M1", "org_code": "O1", "name": "张三", "cert_type": "01", "certno": MAN, "sex": "1",
        "birth_date": "1990-03-07", "mobile": "13800000000", "joined_on": "2020-01-02", "status": "1",
    },
    ("training", "enrolment"): {
        "enrolment_id": "E1", "name": "张三", "cert_type": "01", "certno": MAN, "provider_name": "某学校",
        "training_type": "2", "started_on": "2026-01-02", "planned_hours": "40", "attended_hours": "38.50",
        "result": "1", "score": "90", "subsidy_amount": "1000.00",
    },
    ("training", "certificate"): {
        "certificate_no": "Y000000000000000000001", "name": "张三", "cert_type": "01", "certno": MAN,
        "skill_level": "3", "issued_on": "2025-01-02", "status": "1",
    },
    ("training", "fund"): {
        "employer_uscc": "91110000600037341L", "year": "2025", "employer_name": "某公司", "admdvs": "110101",
        "spent": "10.50", "frontline_spent": "1", "accrued": "5", "trainees": "3",
    },
    ("medical", "person"): {
        "psn_no": "P1", "psn_cert_type": "01", "certno": MAN, "psn_name": "张三", "gend": "1",
        "updt_time": "2026-09-03 10:00:00",
    },
    ("medical", "insurance"): {
        "psn_insu_rlts_id": "R1", "psn_no": "P1", "insutype": "310", "psn_type": "1101", "psn_insu_stas": "1",
        "crt_insu_date": "2020-01-01", "paus_insu_date": "2030-01-01", "insu_admdvs": "440100",
    },
    ("medical", "settlement"): {
        "setl_id": "S1", "init_setl_id": "", "psn_no": "P1", "psn_name": "张三", "psn_cert_type": "01", "certno": MAN,
        "gend": "1", "brdy": "1990-03-07", "insutype": "310", "psn_type": "1101", "insu_admdvs": "440100",
        "fixmedins_code": "H44010000001", "fixmedins_name": "某医院", "begndate": "2026-09-01", "enddate": "2026-09-03",
        "setl_time": "2026-09-03 10:00:00", "med_type": "21", "refd_setl_flag": "0", "vali_flag": "1",
        "medfee_sumamt": "12345678.90", "fund_pay_sumamt": "12345670.90", "psn_pay": "8", "hifp_pay": "12345670.90",
    },
}  # fmt: skip

#: Of feeds that have come since, what their contracts say.
BASE = {key: usual_row(feed) for key, feed in FEEDS.items()} | BASE


def both_ways(feed: Feed, content: bytes, folder: Path, context: Context = CONTEXT) -> int:
    """Compare the rows that the fast path takes with the full check of the same rows; returns how many it takes."""
    path = folder / "f.csv"
    path.write_bytes(content)
    table = open_table(path, Resource(feed.name, feed.name, "f.csv", "csv"), feed, LIMITS)
    fast_path, found = FastPath(feed, context, KEYRING, table.columns), 0
    for batch in table.batches():
        if not isinstance(batch, TextBatch):
            continue
        usual, rows = fast_path.take(batch.fields)
        persons, warnings = fast_path.collected()
        lines = batch.fields.lines[usual].tolist()
        found += len(lines)
        raw = batch.to_raw()
        checked = check(raw, feed, context, KEYRING)
        good = checked.good.filter(pl.col("line_number").is_in(lines))
        assert good["line_number"].to_list() == lines, "the fast path takes no row that the full check rejects"
        kinds = columns(feed)
        typed = good.select(pl.col(name).cast(dtype(kinds[name])) for name in fast_path.columns)
        assert bytes(rows).hex() == b"".join(encode_rows(typed)).hex()
        expected = {line: codes for line, codes in checked.warnings.iter_rows() if line in lines}
        assert dict(warnings.iter_rows()) == expected
        if feed.has_person and lines:
            alone = check(batch.reparse(*_taken(batch, usual)), feed, context, KEYRING).persons
            assert set(alone.iter_rows()) <= set(persons.select(alone.columns).iter_rows())
            assert set(persons["person_key"]) == set(alone["person_key"])
    return found


def _taken(batch: TextBatch, usual: np.ndarray) -> tuple[bytes, np.ndarray]:
    rows = batch.select(np.flatnonzero(usual))
    return rows.content, rows.lines


def written(feed: Feed, rows: list[dict[str, str]]) -> bytes:
    sink = io.StringIO(newline="")
    names = list(dict.fromkeys(name for row in rows for name in row))
    writer = csv.DictWriter(sink, names, restval="")
    writer.writeheader()
    writer.writerows(rows)
    return sink.getvalue().encode()


# --- every feed ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(BASE), ids=".".join)
def test_a_row_in_the_usual_form_is_plain(tmp_path: Path, key: tuple[str, str]) -> None:
    feed = FEEDS[key]
    assert both_ways(feed, written(feed, [BASE[key]] * 3), tmp_path) == 3


TEXT = st.sampled_from(
    [
        *NULL_WORDS, *ERROR_WORDS, "1", "2", "01", "07", "08", "17", "99", "男", "310", "31099", "116014", "3101", "000", "２", "x", " x ",
        "a b", "王 芳", "扎西·多吉", "扎西•多吉", "扎西．多吉", "张三\u3000", "\ufeff张", "㛃", "（某）公司", "'x", '="x"', "a.0", "12.0",
        "2026-01-02", "2026/01/02", "2026/1/2", "20260102", "2026-02-30", "2024-02-29", "1900-01-01", "1970-01-01",
        "2026-10-04", "2026-01-02 03:04:05", "2026-01-02T03:04:05", "2026/01/02 03:04", "2026-01-02 24:00:00",
        "2026-01-02 03-04-05", "2026-01-02 03:04-05", "2099-12-31", "1899-12-31", "0000-01-01", "2026-13-01", "202x-01-02",
        "0", "-0", "0.00", "0.5", ".5", "5.", "1.234", "1.230", "-12.34", "1,234.50", "1e3", "9999.99", "10000", "10000.01",
        "100000000", "99999999999999.99", "999999999999999", "00012.5", "+5", "--5", "1.2.3", "123456789012345678901",
        MAN, WOMAN, MAN.lower(), MAN[:-1], MAN[:-1] + "A", resident("99990719760412349"), resident("00990019900307251"),
        resident("44990020990307251"), resident("44990019900230251"), resident("44990018991231251"), "449900900307251",
        "E12345678", "E12", "4.4E+17", "4E+17", "字第00103538号", "证" * 51, "证" * 50, "e" * 50, "null", "NULL", "N123",
        "13800000000", "12800000000", "1380000000x", "是", "否", "Y", "TRUE", "H44010000001", "h44010000001",
        "91110000600037341L", ONE_PERSON, "91110000600037341l", f"工号{MAN}", f"{MAN}01", "电话13900000000",
        "4499009003072519", "a449900900307251b", "个体", "600", "张三退会", "转移", "81110000600037341L", "440100", "44010", "999999", "x" * 30, "x" * 31,
        "汉" * 50, "汉" * 51, "é", "𬱖", "-", "不详吧", "无人", "a'b", 'a"b', "a,b", "a\nb",
    ]
)  # fmt: skip
KEYS = st.sampled_from(sorted(BASE))
#: What is worth trying in a column of a kind more often than anything.
OF_KIND = {
    Kind.DATE: st.sampled_from(["1900-01-01", "1970-01-01", "2099-12-31", "9999-12-31", "1899-12-31", "2026-10-03", "2026-10-04", "2026/01/02", "2026-02-29", "2026/01-02"]),
    Kind.DATETIME: st.sampled_from(["1970-01-01 00:00:00", "2026-10-03 23:59:59", "2026-10-04 00:00:00", "2026-01-02", "2026-01-02T03:04:60", "2026-01-02x03:04:05"]),
    Kind.CERTNO: st.sampled_from([WOMAN, resident("00990019900307251"), resident("44990020990307251"), resident("44990019900230251"), resident("44990018991231251"), resident("99995919990725789"), MAN[:-1] + "9", "E12345678", "4E+17", "123", "字第1号证"]),
    Kind.CERT_TYPE: st.sampled_from(["01", "1", "17", "07", "08", "99"]),
    Kind.CODE: st.sampled_from(["1", "2", "男", "女", "0", "000", "31099", "116014", "9"]),
    Kind.NAME: st.sampled_from(["扎西·多吉", "扎西•多吉", "扎西‧多吉", "扎西∙多吉", "扎西・多吉", "扎西．多吉", "王 芳", "王\u3000芳", "王\u00a0芳", "王\u200b芳", "不详", "汉" * 51]),
    Kind.MONEY: st.sampled_from(["0.00", "8", "12345678.90", "-0.01", "0.015", "100000000000000", "99999999999999.99"]),
}  # fmt: skip


def value_of(column: Column) -> st.SearchStrategy[tuple[str, str]]:
    return st.tuples(st.just(column.name), st.one_of(OF_KIND.get(column.kind, TEXT), TEXT))


@st.composite
def files(draw: st.DrawFn) -> tuple[tuple[str, str], list[dict[str, str]]]:
    key = draw(KEYS)
    values_ = st.sampled_from(FEEDS[key].columns).flatmap(value_of)
    rows = draw(st.lists(st.lists(values_, max_size=3).map(dict), min_size=1, max_size=30))
    return key, [BASE[key] | row for row in rows]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files(), st.sampled_from([CONTEXT, Context(date(2026, 10, 3), "wanyuan")]))
@example((("medical", "settlement"), [BASE["medical", "settlement"] | {"psn_cert_type": "07"}]), CONTEXT)
@example(
    (("membership", "member"), [BASE["membership", "member"] | {"cert_type": "99", "certno": "字第1号证"}]), CONTEXT
)
def test_plain_rows_are_what_the_checks_make_of_them(
    tmp_path: Path, file: tuple[tuple[str, str], list[dict[str, str]]], context: Context
) -> None:
    key, rows = file
    both_ways(FEEDS[key], written(FEEDS[key], rows), tmp_path, context)


@pytest.mark.parametrize("key", sorted(BASE), ids=".".join)
def test_a_row_with_an_identifier_where_it_does_not_belong_is_never_plain(tmp_path: Path, key: tuple[str, str]) -> None:
    feed = FEEDS[key]
    texts = [column for column in feed.columns if column.takes_any_text or column.is_free_text]
    rows = [
        BASE[key] | {column.name: text} for column in texts for text in (MAN, f"x{MAN}", f"{MAN}7", "449900900307251")
    ]
    rows += [BASE[key] | {column.name: "某13900000000"} for column in texts if column.kind in (Kind.TEXT, Kind.NAME)]
    names = [column.name for column in business_names(feed)]
    if names and (employer := feed.role(Role.EMPLOYER)) is not None:
        rows.append(BASE[key] | dict.fromkeys(names, "张三饭店") | {employer.name: ONE_PERSON})
    assert both_ways(feed, written(feed, rows), tmp_path) == 0


@pytest.mark.parametrize("key", sorted(BASE), ids=".".join)
def test_a_row_with_an_error_of_a_cell_is_never_plain(tmp_path: Path, key: tuple[str, str]) -> None:
    rows = [BASE[key] | {column.name: text} for column in FEEDS[key].columns for text in ERROR_WORDS]
    assert both_ways(FEEDS[key], written(FEEDS[key], rows), tmp_path) == 0


FREE_TEXT = st.text(
    st.sampled_from(" \t\u00a0\u3000\u200b\ufeff•・‧∙．·'=\"\x7f\x0b-/a1.０é中无空不详㐀\U0002cc56"), max_size=8
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(FREE_TEXT, FREE_TEXT, FREE_TEXT, FREE_TEXT), min_size=1, max_size=12))
def test_texts_that_cleaning_changes_are_never_plain(tmp_path: Path, texts: list[tuple[str, ...]]) -> None:
    key = ("membership", "member")
    names = ("name", "change_reason", "org_code", "member_id")
    rows = [BASE[key] | dict(zip(names, some, strict=True)) for some in texts]
    both_ways(FEEDS[key], written(FEEDS[key], rows), tmp_path)


AMOUNT = st.one_of(
    st.decimals(-(10**14), 10**14, places=2).map(str), st.integers(0, 10**15).map(str), st.from_regex(r"[0-9.,-]{0,9}")
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(AMOUNT, min_size=1, max_size=20), st.booleans(), st.sampled_from(["yuan", "wanyuan"]))
def test_amounts_of_any_size(tmp_path: Path, amounts: list[str], reversal: bool, unit: Any) -> None:
    key = ("medical", "settlement")
    original = "S0" if reversal else ""
    rows = [BASE[key] | {"hifp_pay": amount.strip(), "init_setl_id": original} for amount in amounts]
    rows += [
        row | {"medfee_sumamt": amount, "psn_pay": amount, "fund_pay_sumamt": "0"}
        for row, amount in zip(rows, amounts, strict=True)
    ]
    both_ways(FEEDS[key], written(FEEDS[key], rows), tmp_path, Context(date(2026, 10, 3), unit))


# --- what stands twice --------------------------------------------------------------------------------------------


def test_values_that_come_again_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_cache, "_MAX_BYTES", 4096)
    known = value_cache.ValueCache(FEEDS["medical", "settlement"].by_name["med_type"], CONTEXT)
    for batch in range(50):
        texts = [b"21", *(b"%d-%d-" % (batch, number) + b"x" * 500 for number in range(20))]
        buffer, ends = np.frombuffer(b"".join(texts), dtype=np.uint8), np.cumsum([len(text) for text in texts])
        starts = np.append(0, ends[:-1])
        found = known.numbers(buffer, starts.astype(np.int32), ends.astype(np.int32))
        assert [known.texts[number] for number in found] == [text.decode() for text in texts]
        assert len(known.texts) <= 2 * len(texts)
        assert len(known.buffer) <= 2 * len(buffer)


def test_what_is_collected_is_told_so_that_it_can_be_asked_for_in_time(tmp_path: Path) -> None:
    feed, base = FEEDS["medical", "settlement"], BASE["medical", "settlement"]
    (tmp_path / "f").write_bytes(written(feed, [base | {"psn_type": "116014"}] * 100))  # a remark upon every row
    table = open_table(tmp_path / "f", Resource("settlement", "settlement", "f", "csv"), feed, LIMITS)
    fast_path = FastPath(feed, CONTEXT, KEYRING, table.columns)
    (batch,) = table.batches()
    fast_path.take(batch.fields)
    first = fast_path.held
    fast_path.take(batch.fields)  # no new person, as many remarks
    assert fast_path.held - first > first / 2 > 0
    assert fast_path.collected()[1].height == 100
    assert fast_path.held == 0


def test_where_nothing_can_be_kept_loops_are_compiled_all_the_same() -> None:
    code = "import numpy; from ingest.kernels.gather import is_strictly_increasing as f;"
    code += (
        "a = numpy.array([0], dtype=numpy.int32); print(f(numpy.zeros(1, dtype=numpy.uint8), a, a + numpy.int32(1)))"
    )
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "numba.core.caching.ZipCacheLocator"}  # our source lies in no zip
    told = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | nowhere, capture_output=True, text=True, check=True
    )
    assert told.stdout == "True\n"


def test_a_loop_is_compiled_anew_when_one_that_it_has_built_in_changes(tmp_path: Path) -> None:
    package = tmp_path / "ingest" / "kernels"
    package.mkdir(parents=True)
    (tmp_path / "ingest" / "__init__.py").touch()
    for name in ("__init__", "unaligned", "copy_format"):
        source = Path(values.__file__).with_name(f"{name}.py")
        (package / source.name).write_text(source.read_text())
    code = "import numpy as np; from ingest.kernels.copy_format import write_text; out = np.zeros(12, dtype=np.uint8);"
    code += "place = np.zeros(1, dtype=np.int32); block = np.frombuffer(b'abcdefgh', dtype=np.uint8);"
    code += "write_text(block, place, place + np.int32(8), out, np.zeros(1, dtype=np.int64)); print(out[4:].tobytes())"

    def written_by_it() -> str:
        environment = {name: value for name, value in os.environ.items() if name != "NUMBA_CACHE_DIR"}
        command = [sys.executable, "-c", code]
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert written_by_it() == "b'abcdefgh'"
    words = package / "unaligned.py"
    changed = words.read_text().replace(
        "out[start + np.uintp(index)] = (value", "out[start + np.uintp(index)] = 65 | (value"
    )
    assert changed != words.read_text()
    words.write_text(changed)
    assert written_by_it() != "b'abcdefgh'"


def test_a_record_is_told_once_and_again_when_it_changed(tmp_path: Path) -> None:
    feed = FEEDS["membership", "member"]
    base = BASE["membership", "member"]
    rows = [
        base | {"member_id": f"M{n}", "name": name} for n, name in enumerate(["张三", "张三", "李四", "李四", "张三"])
    ]
    (tmp_path / "f").write_bytes(written(feed, rows))
    table = open_table(tmp_path / "f", Resource("member", "member", "f", "csv"), feed, LIMITS)
    fast_path = FastPath(feed, CONTEXT, KEYRING, table.columns)
    (batch,) = table.batches()
    fast_path.take(batch.fields)
    assert fast_path.collected()[0]["name"].to_list() == ["张三", "李四", "张三"]
    fast_path.take(batch.fields)
    assert fast_path.collected()[0]["name"].to_list() == ["李四", "张三"]

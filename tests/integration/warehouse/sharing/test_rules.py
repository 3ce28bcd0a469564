"""What a declaration is refused for: one code a change, all codes where several hold."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest.errors import WarehouseError
from tests import shares
from warehouse.sharing import lifecycle, register
from warehouse.sharing.codes import ShareCode

AGREEMENT = {"kind": "agreement", "reference": "协议", "number": "GX-1", "on": "2026-09-01"}
ORGANISATION = {
    "resource": "core.organisation",
    "columns": ["sender", "org_code"],
    "rows": [{"column": "sender", "op": "=", "value": "440000"}],
}
BURDEN = {"resource": "marts.burden", "columns": ["month", "persons", "cost"], "rows": []}


def codes(conn: psycopg.Connection, folder: Path, content: dict[str, Any], name: str | None = None) -> list[str]:
    path = shares.save(folder, content, name)
    verdicts = {verdict.name: verdict for verdict in lifecycle.check(conn, folder, "declarer")}
    return [code for code in verdicts[path.stem].codes if code != ShareCode.APPROVAL]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"rows": []},
        {"rows": [{"column": "month", "op": "last_months", "value": 12}]},
        {"rows": [{"column": "month", "op": ">=", "value": "2026-07-01"}]},
        {"rows": [{"column": "sender", "op": "prefix", "value": "44"}]},
        {"rows": [{"column": "members", "op": "in", "values": [1, 2]}]},
        {"valid": {"from": "2026-11-01", "until": "2027-11-01"}},  # 366 days
        {"basis": {"kind": "statute", "reference": "统计法"}},
        ORGANISATION,
        {
            **ORGANISATION,
            "basis": {"kind": "consent", "reference": "同意书"},
            "rows": [*ORGANISATION["rows"], {"column": "has_consent", "op": "=", "value": True}],
        },
        BURDEN,
        {**BURDEN, "rows": [{"column": "category", "op": "=", "value": "inpatient"}]},
    ],
    ids=str,
)
def test_what_may_be_shared(judging: psycopg.Connection, folder: Path, changes: dict[str, Any]) -> None:
    assert codes(judging, folder, shares.declared(**changes)) == []


@pytest.mark.parametrize(
    ("code", "changes"),
    [
        ("S_NAME", {"share": "Coverage"}),
        ("S_NAME", {"share": "a" * 64}),
        ("S_RESOURCE", {"resource": "marts.nothing"}),
        ("S_RESOURCE", {"resource": "ops.share"}),
        ("S_RESOURCE", {"resource": "build_a.coverage"}),
        ("S_RESOURCE", {"resource": "coverage"}),
        ("S_COLUMN", {"columns": ["month", "nothing"]}),
        ("S_COLUMN", {**ORGANISATION, "columns": ["org_code", "phone"]}),
        ("S_ROWS", {"rows": [{"column": "nothing", "op": "=", "value": "x"}]}),
        ("S_ROWS", {"rows": [{"column": "sender", "op": "like", "value": "x"}]}),
        ("S_ROWS", {"rows": [{"column": "sender", "op": "="}]}),
        ("S_ROWS", {"rows": [{"column": "sender", "op": "=", "value": 440000}]}),
        ("S_ROWS", {"rows": [{"column": "sender", "op": "prefix", "value": ""}]}),
        ("S_ROWS", {"rows": [{"column": "sender", "op": "in", "values": []}]}),
        ("S_ROWS", {"rows": [{"column": "members", "op": "=", "value": 1.5}]}),
        ("S_ROWS", {"rows": [{"column": "members", "op": "prefix", "value": "1"}]}),
        ("S_ROWS", {"rows": [{"column": "month", "op": ">=", "value": "2026-13-01"}]}),
        ("S_ROWS", {"rows": [{"column": "members", "op": "last_months", "value": 3}]}),
        ("S_ROWS", {"rows": [{"column": "month", "op": "last_months", "value": 0}]}),
        ("S_ROWS", {**ORGANISATION, "rows": []}),
        ("S_ROWS", {**ORGANISATION, "rows": [{"column": "sender", "op": ">=", "value": "0"}]}),
        ("S_PURPOSE", {"purpose": {"code": "advertising", "text": "x"}}),
        ("S_PURPOSE", {**BURDEN, "purpose": {"code": "training-service", "text": "x"}}),
        ("S_BASIS", {"basis": {"kind": "favour", "reference": "x"}}),
        ("S_BASIS", {"basis": {"kind": "statute"}}),
        ("S_BASIS", {"basis": {"kind": "statute", "reference": " "}}),
        ("S_BASIS", {"basis": {"kind": "agreement", "reference": "x", "number": "1"}}),
        ("S_BASIS", {"basis": {"kind": "agreement", "reference": "x", "on": "2026-09-01"}}),
        ("S_BASIS", {"basis": {"kind": "consent", "reference": "x"}}),
        ("S_RECIPIENT", {"recipient": {"name": "x", "uscc": "11440000MB2D000011", "admdvs": "440000"}}),
        ("S_RECIPIENT", {"recipient": {"name": "x", "uscc": "11440000MB2D00001d", "admdvs": "440000"}}),
        ("S_RECIPIENT", {"recipient": {"name": "x", "uscc": "", "admdvs": "440000"}}),
        ("S_VALID", {"valid": {"from": "2027-01-02", "until": "2027-01-01"}}),
        ("S_VALID", {"valid": {"from": "2026-11-01", "until": "2027-11-02"}}),  # 367 days
        ("S_ONWARD", {"onward": True}),
        ("S_SMALL", {**BURDEN, "rows": [{"column": "persons", "op": ">=", "value": 11}]}),
    ],
    ids=str,
)
def test_each_defect_has_its_code(
    judging: psycopg.Connection, folder: Path, code: str, changes: dict[str, Any]
) -> None:
    assert codes(judging, folder, shares.declared(**changes)) == [code]


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        (["S_PERSONS"], {"serve": {"as": "view"}}),
        (["S_COLUMN", "S_PERSONS"], {"persons": "none"}),
        (["S_PERSONS"], {"persons": "none", "columns": ["scheme_code"]}),
        (["S_VALID"], {"persons": "identified", "valid": {"from": "2026-11-01", "until": "2027-02-01"}}),  # 93 days
        ([], {"persons": "identified", "valid": {"from": "2026-11-01", "until": "2027-01-31"}}),  # 92 days
        (["S_ROWS"], {"rows": [{"column": "person_key", "op": "=", "value": shares.PERSONS[0]}]}),
        (["S_PURPOSE"], {"purpose": {"code": "training-service", "text": "x"}}),
    ],
    ids=str,
)
def test_rows_of_persons(
    judging: psycopg.Connection, folder: Path, expected: list[str], changes: dict[str, Any]
) -> None:
    assert codes(judging, folder, shares.payout(**changes)) == expected


def test_pseudonyms_need_persons(judging: psycopg.Connection, folder: Path) -> None:
    content = shares.declared(persons="pseudonym", serve={"as": "extract", "format": "csv", "every": "once"})
    assert codes(judging, folder, content) == ["S_PERSONS"]


def test_all_codes_that_hold_are_listed(judging: psycopg.Connection, folder: Path) -> None:
    content = shares.declared(
        onward=True, extra=1, columns=["x"], recipient={"name": "x", "uscc": "y", "admdvs": "440000"}
    )
    assert codes(judging, folder, content, "other") == [
        "S_COLUMN",
        "S_DECLARATION",
        "S_NAME",
        "S_ONWARD",
        "S_RECIPIENT",
    ]


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ("title", ["S_COLUMN", "S_DECLARATION", "S_ONWARD", "S_RECIPIENT"]),
        ("columns", ["S_DECLARATION", "S_ONWARD", "S_RECIPIENT"]),
        ("recipient", ["S_COLUMN", "S_DECLARATION", "S_ONWARD"]),
        ("version", ["S_COLUMN", "S_DECLARATION", "S_ONWARD", "S_RECIPIENT"]),
        ("resource", ["S_DECLARATION", "S_ONWARD", "S_RECIPIENT"]),
        ("purpose", ["S_DECLARATION", "S_ONWARD", "S_RECIPIENT"]),
        ("onward", ["S_COLUMN", "S_DECLARATION", "S_RECIPIENT"]),
        *(
            (key, ["S_COLUMN", "S_DECLARATION", "S_ONWARD", "S_RECIPIENT"])
            for key in ("share", "basis", "attribute", "rows", "valid", "serve", "retention_days")
        ),
        ("persons", ["S_DECLARATION", "S_ONWARD", "S_RECIPIENT"]),
    ],
)
def test_beside_a_missing_key_all_other_codes_are_listed(
    judging: psycopg.Connection, folder: Path, missing: str, expected: list[str]
) -> None:
    """GIVEN three faults and a missing key THEN what does not depend on the key is judged, and nothing made up."""
    content = shares.declared(onward=True, columns=["x"], recipient={"name": "x", "uscc": "y", "admdvs": "440000"})
    del content[missing]
    assert codes(judging, folder, content, "coverage-gd") == expected


@pytest.mark.parametrize("changes", [{"onward": True}, {"onward": True, "retention_days": "90"}], ids=str)
def test_a_missing_approval_is_listed_beside_a_defect(
    judging: psycopg.Connection, folder: Path, changes: dict[str, Any]
) -> None:
    shares.save(folder, shares.declared(**changes))
    (verdict,) = lifecycle.check(judging, folder, "declarer")
    assert {"S_APPROVAL", "S_ONWARD"} <= set(verdict.codes)
    assert verdict.state == "refused"
    with pytest.raises(WarehouseError, match="cannot be approved: S_"):
        lifecycle.approve(judging, folder, "coverage-gd", "li", "DOC", "declarer")


def test_what_is_over_when_declared_is_refused_and_what_is_over_later_is_expired(
    conn: psycopg.Connection, folder: Path
) -> None:
    today = register.today(conn)
    over = shares.declared(valid={"from": str(today - timedelta(9)), "until": str(today - timedelta(1))})
    assert codes(conn, folder, over) == ["S_VALID"]
    conn.execute("UPDATE ops.share_step SET at = at - interval '5 days'")
    assert codes(conn, folder, over) == ["S_EXPIRED"]


def test_what_was_over_when_declared_stays_refused_and_may_be_mended(conn: psycopg.Connection, folder: Path) -> None:
    today = register.today(conn)
    over = shares.declared(valid={"from": str(today - timedelta(9)), "until": str(today - timedelta(1))})
    assert codes(conn, folder, over) == ["S_VALID"]
    assert lifecycle.expire(conn, "me") == []
    (verdict,) = lifecycle.check(conn, folder, "declarer")
    assert verdict.state == "refused"
    assert codes(conn, folder, shares.declared()) == []


@pytest.mark.parametrize(
    ("relation", "column", "excepted"),
    [("core.settlement", "", "insurance-check"), ("core.organisation", "org_code", "audit")],
)
def test_what_is_never_shared(
    conn: psycopg.Connection,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    relation: str,
    column: str,
    excepted: str,
) -> None:
    from warehouse.sharing import policy

    known = policy.load()
    rows = (policy.Never("core.organisation", column, frozenset({"audit"}), "因为"),)
    monkeypatch.setattr(policy, "load", lambda: policy.Policy(known.purposes, rows))
    expected = ["S_COLUMN"] if column else ["S_RESOURCE"]
    assert codes(conn, folder, shares.declared(**ORGANISATION)) == expected
    audit = shares.declared(**ORGANISATION, purpose={"code": "audit", "text": "x"})
    assert codes(conn, folder, audit) == []
    assert known.forbidden("core.settlement", "", "statistics")
    assert known.forbidden("core.settlement", "", "insurance-check") is None
    assert known.forbidden("core.member_month", "member_id", "audit")


def test_two_shares_of_one_recipient_do_not_differ_by_a_hidden_cell(conn: psycopg.Connection, folder: Path) -> None:
    rows = [{"column": "sender", "op": "=", "value": "440000"}]
    first = shares.declared(**{**BURDEN, "share": "burden-b"})
    assert codes(conn, folder, first) == []
    shares.approve(conn, folder, "burden-b")
    assert codes(conn, folder, shares.declared(**{**BURDEN, "share": "burden-a", "rows": rows})) == ["S_SMALL"]
    other = {"name": "x", "uscc": shares.OTHER_USCC, "admdvs": "440000"}
    content = shares.declared(**{**BURDEN, "share": "burden-a", "rows": rows, "recipient": other})
    assert codes(conn, folder, content) == []
    same = shares.declared(**{**BURDEN, "share": "burden-c", "columns": ["month", "cost"]})
    assert codes(conn, folder, same) == []
    (verdict,) = [one for one in lifecycle.check(conn, folder, "me") if one.name == "burden-b"]
    assert (verdict.state, verdict.codes) == ("open", [])


@pytest.mark.parametrize(
    ("changes", "approvers", "is_open"),
    [
        ({"attribute": "unconditional"}, [], False),
        ({"attribute": "unconditional"}, ["declarer"], True),
        ({"attribute": "conditional"}, ["declarer"], False),
        ({"attribute": "conditional"}, ["Declarer ", "declarer"], False),
        ({"attribute": "conditional"}, ["li"], True),
    ],
)
def test_approvals(
    conn: psycopg.Connection, folder: Path, changes: dict[str, Any], approvers: list[str], is_open: bool
) -> None:
    shares.save(folder, shares.declared(**changes))
    lifecycle.check(conn, folder, "declarer")
    if approvers:
        shares.approve(conn, folder, "coverage-gd", approvers)
    (verdict,) = lifecycle.check(conn, folder, "somebody")
    assert verdict.codes == ([] if is_open else ["S_APPROVAL"])
    assert verdict.state == ("open" if is_open else "declared")


def test_two_approve_what_names_persons(conn: psycopg.Connection, folder: Path) -> None:
    valid = {"from": "2026-11-01", "until": "2027-01-31"}
    shares.save(folder, shares.payout(persons="identified", valid=valid, attribute="unconditional"))
    assert shares.approve(conn, folder, "payout", ["li", "li"]).codes == ["S_APPROVAL"]
    assert shares.approve(conn, folder, "payout", ["wang"]).codes == []


def test_a_draft_may_change_and_an_approved_version_may_not(conn: psycopg.Connection, folder: Path) -> None:
    assert codes(conn, folder, shares.declared(columns=["nothing"])) == ["S_COLUMN"]
    assert codes(conn, folder, shares.declared()) == []
    shares.approve(conn, folder, "coverage-gd", ["li"])
    assert codes(conn, folder, shares.declared(columns=["month"])) == ["S_CHANGED", "S_NAME"]
    row = conn.execute("SELECT state, columns FROM ops.share").fetchone()
    assert row == ("changed", ["month", "sender", "members"])

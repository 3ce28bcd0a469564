"""Declarations: what the JSON Schema refuses, and what YAML would misread."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import shares
from warehouse.sharing import declaration
from warehouse.sharing.codes import ShareCode


def load(tmp_path: Path, content: dict[str, Any]) -> declaration.DeclarationFile:
    return declaration.load(shares.save(tmp_path, content))


def test_a_declaration_is_read_whole(tmp_path: Path) -> None:
    file = load(tmp_path, shares.payout())
    assert file.findings == ()
    declared = file.declaration
    assert declared is not None
    assert declared.content == shares.payout()
    assert (declared.schema, declared.relation, declared.every) == ("casework", "entitlement", "month")
    assert declared.rows[0].operands == ("second-claim",)


def test_dates_and_the_key_on_stay_what_they_are(tmp_path: Path) -> None:
    """YAML 1.1 takes ``on`` for a truth value and 2026-10-01 for a date."""
    path = shares.save(tmp_path, shares.declared())
    text = path.read_text("utf-8").replace("'on'", "on").replace("'2026-09-01'", "2026-09-01")
    assert "on: 2026-09-01" in text
    path.write_text(text, "utf-8")
    declared = declaration.load(path).declaration
    assert declared is not None
    assert str(declared.basis.on) == "2026-09-01"


@pytest.mark.parametrize("key", sorted(shares.declared()))
def test_a_missing_key_is_refused(tmp_path: Path, key: str) -> None:
    content = shares.declared()
    del content[key]
    file = declaration.load(shares.save(tmp_path, content, "coverage-gd"))
    assert file.declaration is None
    assert {finding.code for finding in file.findings} == {ShareCode.DECLARATION}


@pytest.mark.parametrize(
    "changes",
    [
        {"version": "1"},
        {"version": 1.5},
        {"version": 1.0},
        {"retention_days": 90.0},
        {"version": 0},
        {"version": True},
        {"title": "覆盖"},
        {"title": {"zh": " ", "en": "x"}},
        {"recipient": {"name": "x", "uscc": shares.USCC, "admdvs": 440000}},
        {"attribute": "never"},
        {"columns": []},
        {"columns": ["month", "month"]},
        {"rows": {"column": "sender"}},
        {"persons": "anonymous"},
        {"valid": {"from": "2026-11-01", "until": "2026-02-30"}},
        {"valid": {"from": "20261101", "until": "2027-01-01"}},
        {"serve": {"as": "extract"}},
        {"serve": {"as": "view", "every": "month"}},
        {"serve": {"as": "extract", "format": "xlsx", "every": "month"}},
        {"retention_days": "90"},
        {"retention_days": 10**9},
        {"version": 10**10},
        {"onward": "no"},
    ],
    ids=str,
)
def test_a_wrong_type_or_value_is_refused(tmp_path: Path, changes: dict[str, Any]) -> None:
    file = load(tmp_path, shares.declared(**changes))
    assert file.declaration is None
    assert {finding.code for finding in file.findings} == {ShareCode.DECLARATION}


def test_of_an_unknown_key_the_rest_is_still_judged(tmp_path: Path) -> None:
    content = shares.declared(note="x")
    content["recipient"]["phone"] = "1"
    file = load(tmp_path, content)
    assert [finding.code for finding in file.findings] == [ShareCode.DECLARATION] * 2
    assert file.declaration is not None


def test_of_a_wrong_value_the_rest_is_still_judged(tmp_path: Path) -> None:
    content = shares.declared(retention_days="90", onward=True)
    del content["title"]
    file = load(tmp_path, content)
    assert file.declaration is None
    assert file.version == 1
    assert file.broken == {"title", "retention_days"}
    assert file.draft is not None
    assert (file.draft.resource, file.draft.onward) == ("marts.coverage", True)


@pytest.mark.parametrize(
    "text", ["share: [", "- a\n", "a: 1\na: 2\n", "\x00", "", "? [a, b]\n: 1\n", "!!python/object:os.system {}\n"]
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, "utf-8")
    file = declaration.load(path)
    assert {finding.code for finding in file.findings} == {ShareCode.DECLARATION}
    assert (file.declaration, file.version) == (None, None)


def test_the_shipped_examples_are_declarations() -> None:
    files = declaration.load_all(declaration.SHIPPED)
    assert [(file.declaration.persons, file.declaration.serve_as) for file in files if file.declaration] == [
        ("pseudonym", "extract"),
        ("none", "view"),
    ]
    assert all(not file.findings for file in files)


def test_the_schema_lists_every_key_that_is_read() -> None:
    assert set(
        yaml.safe_load((Path(declaration.__file__).parent / "declaration.schema.json").read_text())["required"]
    ) == set(shares.declared())

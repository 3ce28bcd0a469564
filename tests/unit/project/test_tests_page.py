"""docs/tests.md names a test for every rule, and each of them exists."""

import ast
import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[3]
RULES = [
    line.strip("|").split(" | ", 1)
    for line in (ROOT / "docs" / "tests.md").read_text("utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| rule |")
]


def unit_tests_of_dbt() -> set[str]:
    files = (yaml.safe_load(path.read_text("utf-8")) for path in (ROOT / "dbt_project" / "models").rglob("*.yml"))
    return {f"dbt:{test['name']}" for content in files for test in content.get("unit_tests", [])}


def functions_of_pytest() -> set[str]:
    return {
        f"{path.relative_to(ROOT / 'tests').as_posix()}::{node.name}"
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_rule_names_tests_that_exist() -> None:
    there = unit_tests_of_dbt() | functions_of_pytest()
    assert len(RULES) > 80
    for rule, cell in RULES:
        named = re.findall(r"`([^`]+)`", cell)
        assert named, f"no test: {rule}"
        assert [test for test in named if test not in there] == [], rule

"""No function is longer than can be read at once."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FOLDERS = ("ingest", "expectations", "warehouse", "dags", "bi", "bench", "docker", "tests", "docs")
#: From ``def`` to the last line, docstring included.
MOST_LINES = 50


@pytest.mark.parametrize("folder", FOLDERS)
def test_functions_have_at_most_fifty_lines(folder: str) -> None:
    found = {
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}": length
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES
    }
    assert found == {}

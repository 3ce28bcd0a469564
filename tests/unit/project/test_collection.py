"""Pytest looks into every folder of tests: a folder that it passes over would be tests that nobody runs."""

from fnmatch import fnmatch
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]


def test_no_folder_of_tests_is_passed_over(pytestconfig: pytest.Config) -> None:
    folders = {path.parent.relative_to(TESTS) for path in TESTS.rglob("test_*.py") if "data" not in path.parts}
    patterns = pytestconfig.getini("norecursedirs")
    assert len(folders) > 10
    assert [str(folder) for folder in folders for part in folder.parts if any(fnmatch(part, p) for p in patterns)] == []

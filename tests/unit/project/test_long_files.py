"""Files that take long come first, and pytest-xdist hands them out in this order."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.plugins import long_files

TESTS = Path(__file__).parents[2]


def test_long_files_exist() -> None:
    assert [name for name in long_files.LONG_FILES if not (TESTS / name).is_file()] == []
    assert len(set(long_files.LONG_FILES)) == len(long_files.LONG_FILES)


def test_long_files_come_first_and_the_others_keep_their_order() -> None:
    first, second = long_files.LONG_FILES[:2]
    paths = [TESTS / name for name in ("unit/test_b.py", second, "unit/test_a.py", first, second)]
    items = [SimpleNamespace(path=path, number=number) for number, path in enumerate([*paths, Path("/elsewhere.py")])]
    long_files.pytest_collection_modifyitems(items)  # type: ignore[arg-type]
    assert [item.number for item in items] == [3, 1, 4, 0, 2, 5]


def test_pytest_xdist_keeps_the_order(pytestconfig: pytest.Config) -> None:
    assert not pytestconfig.option.loadscopereorder

"""Files that take long are begun first, so that the workers of pytest-xdist end at about the same time.

``--dist loadfile`` gives whole files to the workers. By itself it begins with the files of most tests, which are short
tests; a file of few tests that take minutes would come last, when the other workers have nothing left to do.
"""

from pathlib import Path

import pytest

#: Files below ``tests`` that take long, the longest first (docs/tests.md has the times).
LONG_FILES = (
    "end_to_end/test_airflow.py",
    "integration/dbt_project/test_incremental.py",
    "end_to_end/test_figures.py",
    "end_to_end/test_docs.py",
    "integration/dbt_project/test_unit_tests.py",
    "faults/test_endings.py",
    "integration/dbt_project/test_medical.py",
    "faults/test_one_package.py",
    "end_to_end/test_sharing.py",
    "integration/dbt_project/test_employment.py",
    "integration/dbt_project/test_figures.py",
    "integration/warehouse/local/test_first_commands.py",
    "integration/ingest/test_sample_deliveries.py",
    "faults/test_kills.py",
    "faults/test_order.py",
)
_RANKS = {name: rank for rank, name in enumerate(LONG_FILES)}


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Let pytest-xdist keep the order."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of long files to the front, and leave all others in their order."""
    folder = Path(__file__).parents[1]
    items.sort(
        key=lambda item: (
            _RANKS.get(item.path.relative_to(folder).as_posix(), len(_RANKS))
            if item.path.is_relative_to(folder)
            else len(_RANKS)
        )
    )

"""The count of skipped tests fails a run, in one process and under pytest-xdist as ``make test`` runs it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
pytest_plugins = ["pytester"]

PASSES = "def test_it(): pass"
#: Every way to skip: five tests, and the whole of another module.
SKIPS = {
    "test_ways": """
        import unittest

        import pytest

        @pytest.fixture
        def driver():
            pytest.skip("no driver here")

        def test_fixture(driver): pass

        def test_call():
            pytest.skip("no server here")

        @pytest.mark.skip(reason="no room here")
        def test_mark(): pass

        @pytest.mark.xfail(reason="no time yet", run=False)
        def test_expected_to_fail(): pass

        class Test(unittest.TestCase):
            @unittest.skip("no luck here")
            def test_unittest(self): pass
    """,
    "test_module": "import pytest; pytest.importorskip('no_such_module')",
}
HOW = pytest.mark.parametrize("how", [(), ("-n", "2", "--dist", "loadfile")], ids=["alone", "xdist"])


def run(pytester: pytest.Pytester, *options: str, **modules: str) -> pytest.RunResult:
    pytester.makeconftest('pytest_plugins = ["tests.plugins.skips"]')
    pytester.syspathinsert(ROOT)
    pytester.makepyfile(test_passes=PASSES, **modules)
    return pytester.runpytest_inprocess("-ra", *options)


@HOW
@pytest.mark.parametrize(("most", "ends"), [(5, pytest.ExitCode.TESTS_FAILED), (6, pytest.ExitCode.OK)])
def test_more_skips_than_may_be_fail_the_run(pytester: pytest.Pytester, how: tuple, most: int, ends: int) -> None:
    result = run(pytester, *how, "--max-skips", str(most), **SKIPS)
    assert result.ret == ends
    assert ("6 tests were skipped, at most 5 may be (--max-skips)" in result.outlines) == (most == 5)
    for reason in ("driver here", "server here", "room here", "time yet", "luck here", "could not import"):
        assert reason in result.stdout.str()


@pytest.mark.parametrize("mark", ["skip", "xfail(run=False)"])
def test_a_skip_without_a_reason_fails_the_run(pytester: pytest.Pytester, mark: str) -> None:
    silent = f"import pytest\n@pytest.mark.{mark}\ndef test_x(): pass"
    result = run(pytester, "--max-skips", "9", test_silent=silent)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "skipped without a reason: test_silent.py::test_x" in result.outlines


def test_without_the_option_nothing_changes(pytester: pytest.Pytester) -> None:
    assert run(pytester, **SKIPS).ret == pytest.ExitCode.OK


def test_other_outcomes_stay(pytester: pytest.Pytester) -> None:
    result = run(pytester, "--max-skips", "9", test_fails="def test_x(): assert False", **SKIPS)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1, skipped=5, xfailed=1, failed=1)

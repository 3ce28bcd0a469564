"""Nothing is skipped in silence: with ``--max-skips N`` a run fails that skips more tests, or one without a reason.

A test that is expected to fail (``xfail``) counts as skipped. ``-ra`` in ``pyproject.toml`` lists them with their reasons.
"""

from typing import Any

import pytest

#: What pytest writes where ``skip`` and ``xfail`` were given no reason.
_NO_REASON = {"", "unconditional skip"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--max-skips", type=int, metavar="N", help="fail when more than N tests are skipped, or one without a reason"
    )


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that passed; with pytest-xdist only the process that collects all reports does."""
    if session.exitstatus == pytest.ExitCode.OK and _complaint(session.config):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if complaint := _complaint(config):
        terminalreporter.write_line(complaint, red=True)


def _complaint(config: pytest.Config) -> str:
    """What is wrong with the skipped tests of this run, or nothing."""
    most, reporter = config.getoption("max_skips"), config.pluginmanager.getplugin("terminalreporter")
    if most is None or reporter is None or hasattr(config, "workerinput"):
        return ""
    skipped = {
        report.nodeid: _reason(report) for kind in ("skipped", "xfailed") for report in reporter.getreports(kind)
    }
    silent = sorted(name for name, reason in skipped.items() if reason in _NO_REASON)
    if silent:
        return f"skipped without a reason: {', '.join(silent)}"
    return f"{len(skipped)} tests were skipped, at most {most} may be (--max-skips)" if len(skipped) > most else ""


def _reason(report: Any) -> str:
    if hasattr(report, "wasxfail"):
        return report.wasxfail.removeprefix("reason: ").removeprefix("[NOTRUN]").strip()
    return report.longrepr[2].removeprefix("Skipped: ").removeprefix("Skipped")

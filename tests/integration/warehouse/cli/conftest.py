"""What the tests of the commands share: a way to run one in this process."""

import sys

import pytest

from ingest.settings import Settings
from warehouse import cli


class Runner:
    """Runs commands in this process and captures their output."""

    def __init__(self, settings: Settings, capsys: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch) -> None:
        self.capsys, self.patch = capsys, patch
        assert settings.dsn is not None
        assert settings.key is not None
        patch.setenv("WAREHOUSE_HOME", str(settings.home))
        patch.setenv("WAREHOUSE_DSN", settings.dsn.get_secret_value())
        patch.setenv("WAREHOUSE_KEY", settings.key.get_secret_value())
        patch.setenv("COLUMNS", "300")

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, standard output, standard error."""
        self.capsys.readouterr()
        self.patch.setattr(sys, "argv", ["warehouse", *arguments])
        with pytest.raises(SystemExit) as exit_:
            cli.main()
        output = self.capsys.readouterr()
        return exit_.value.code if isinstance(exit_.value.code, int) else 0, output.out, output.err


@pytest.fixture
def command(settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Runner:
    return Runner(settings, capsys, monkeypatch)

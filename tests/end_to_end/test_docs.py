"""What the guides promise: their SQL runs on a published sample, their commands do what they say."""

import re
import subprocess
from pathlib import Path

import psycopg
import pytest

from ingest import samples
from ingest.settings import Settings
from warehouse import passes, server

ROOT = Path(__file__).parents[2]
GUIDES = ("README.md", "README.zh-CN.md", "docs/analysts.md", "docs/analysts.zh-CN.md")


def blocks(path: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with a published sample, as `make run` leaves it, on a server of its own."""
    home = tmp_path_factory.mktemp("served")
    settings = Settings(home=home, inbox=str(home / "inbox"))
    samples.generate(home / "inbox", members=900, settlements=3000, dirty=False)
    passes.run(settings, lambda *_: None)
    yield settings  # type: ignore[misc]
    server.stop(settings)


def test_both_languages_ask_the_same_twenty_questions() -> None:
    english, chinese = blocks("docs/analysts.md", "sql"), blocks("docs/analysts.zh-CN.md", "sql")
    assert english == chinese
    assert len(english) == 20


def test_every_question_has_an_answer(served: Settings) -> None:
    """Asked by the role that the guide names."""
    guide = (ROOT / "docs/analysts.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^Questions ([0-9, and]+) read `casework`", guide, flags=re.MULTILINE)
    of_caseworkers = {int(number) for number in re.findall("[0-9]+", listed)}
    server.ensure_running(served)
    silent = []
    for number, query in enumerate(blocks("docs/analysts.md", "sql"), start=1):
        role = "caseworker" if number in of_caseworkers else "analyst"
        with psycopg.connect(server.database_dsn(served, "warehouse", role=role)) as conn:
            if not conn.execute(query).fetchall():
                silent.append(number)
    # A rate that fell three months in a row, an employer twice below the bound: few months need not have one.
    assert set(silent) <= {2, 9, 13, 18}


@pytest.mark.parametrize("guide", GUIDES)
def test_commands_of_the_guides(served: Settings, guide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(served.root))
    monkeypatch.setenv("PATH", f"{server.bin_dir()}:/usr/local/bin:/usr/bin:/bin")
    for command in "".join(blocks(guide, "sh")).splitlines():
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), command
            continue  # `make run` and `make test` have tests of their own, and this is one of them
        command = command.replace(".warehouse/inbox", str(served.root / "inbox"))
        ran = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, input="\\q\n")
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"


@pytest.mark.parametrize("guide", ["docs/analysts.md", "docs/analysts.zh-CN.md"])
def test_python_of_the_guides(served: Settings, guide: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(served.root))
    monkeypatch.chdir(ROOT)
    for block in blocks(guide, "python"):
        exec(compile(block, guide, "exec"), {})  # noqa: S102 - the guide's own example

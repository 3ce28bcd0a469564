"""The guides name every command, and no command that there is not."""

import re
from pathlib import Path

import pytest
import typer

from warehouse.cli import app

ROOT = Path(__file__).parents[3]
GUIDES = sorted([*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").glob("*.md") if path.name != "dictionary.md")])


def named(guide: Path) -> set[tuple[str, str]]:
    """Commands with the word after each, in backticks and in blocks of shell."""
    text = guide.read_text("utf-8")
    code = [*re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL), *re.findall(r"`([^`\n]+)`", text)]
    return {
        (command, word)
        for one in code
        for command, word in re.findall(r"(?:^|bin/|\()warehouse ([a-z]+)(?: ([a-z]+\b))?", one, re.MULTILINE)
    }


def commands(group: object) -> dict[str, object]:
    """The commands of a group by name; a command that is no group has none."""
    return getattr(group, "commands", {})


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_named_commands_exist(guide: Path) -> None:
    known = commands(typer.main.get_command(app))
    assert sorted(command for command, _ in named(guide) if command not in known) == []
    words = {(command, word) for command, word in named(guide) if commands(known[command]) and word}
    assert sorted(pair for pair in words if pair[1] not in commands(known[pair[0]])) == []


def test_every_command_is_named_in_a_guide() -> None:
    found = {command for guide in GUIDES for command, _ in named(guide)}
    assert sorted(commands(typer.main.get_command(app)).keys() - found) == []

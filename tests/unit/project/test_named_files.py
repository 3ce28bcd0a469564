"""What the guides name exists: files by their path, and the tables of the glossary."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: A guide that has its readers create files; a test of its own follows it.
CREATES_FILES = "add-a-feed.md"
GUIDES = [
    guide
    for folder in (".", "docs", "bench", "dbt_project")
    for guide in sorted((ROOT / folder).glob("*.md"))
    if guide.name != CREATES_FILES
]
#: Folders that a path in a guide may be relative to, beside the guide's own.
FOLDERS = (ROOT, ROOT / "dbt_project", ROOT / "tests")
PUBLISHED = ("core", "marts", "casework")


def paths(text: str) -> set[str]:
    """Paths in backticks, in links, and of tests in commands."""
    quoted = re.findall(r"`([\w.-]+/[\w./-]*)`", text)
    linked = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text)
    return {*quoted, *linked, *re.findall(r"\btests/[\w/]+\.py", text)}


def is_there(path: str, guide: Path) -> bool:
    return any((folder / path).exists() for folder in (guide.parent, *FOLDERS))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: str(guide.relative_to(ROOT)))
def test_named_files_exist(guide: Path) -> None:
    ours = {path.name for path in ROOT.iterdir()} | {path.name for folder in FOLDERS[1:] for path in folder.iterdir()}
    named = {path for path in paths(guide.read_text("utf-8")) if path.split("/")[0] in ours or path.endswith(".md")}
    assert [path for path in sorted(named) if not is_there(path, guide)] == []


def test_the_glossary_names_published_tables() -> None:
    models = {path.stem for schema in PUBLISHED for path in (ROOT / "dbt_project" / "models" / schema).rglob("*.sql")}
    named = re.findall(rf"`(?:{'|'.join(PUBLISHED)})\.(\w+)`", (ROOT / "docs" / "glossary.md").read_text("utf-8"))
    assert named
    assert set(named) <= models

"""What docs/scale.md says of the SQL of this project, on the way to a database of several machines, is so."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DBT = ROOT / "dbt_project"
PAGE = (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
#: The unique indexes of a model, as its configuration writes them.
UNIQUE = re.compile(r"\{'columns': \[([^\]]*)\], 'unique': true\}")


def sql(path: Path) -> str:
    """The SQL of a file without comments."""
    return re.sub(r"\{#.*?#\}|--[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.mark.parametrize(
    "words", [r"\bmerge\s+into\b", r"\bwith\s+recursive\b", r"\b(rollup|cube)\s*\(|\bgrouping\s+sets\b"]
)
def test_no_statement_that_a_distributed_table_does_not_take(words: str) -> None:
    files = [
        path for folder in ("models", "macros", "materializations", "tests") for path in (DBT / folder).rglob("*.sql")
    ]
    assert len(files) > 150
    assert [path.name for path in files if re.search(words, sql(path), re.IGNORECASE)] == []


def test_tables_of_persons_whose_key_lacks_the_person_are_those_of_the_page() -> None:
    found = set()
    for folder in ("core", "casework", "intermediate"):
        for path in (DBT / "models" / folder).rglob("*.sql"):
            text = path.read_text(encoding="utf-8")
            keys = UNIQUE.findall(text)
            if "'columns': ['person_key'" in text and any("'person_key'" not in key for key in keys):
                found.add(path.stem)
    (row,) = [line for line in PAGE.splitlines() if line.startswith("| no unique key without the distribution column")]
    assert found
    assert found == set(re.findall(r"`(\w+)`", row)) - {"person_key"}

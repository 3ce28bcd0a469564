"""Writes the tables of codes in the senders' guide from ``ingest/code_texts.yaml``.

``make generate`` writes them; a test fails when they are out of date.
"""

import re
from pathlib import Path

from ingest import code_texts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "senders.md"
#: Where each table stands in the guide: the name in its marks, and how its codes begin.
TABLES = {"codes of a delivery": "D_", "codes of rejected rows": "E_", "codes of warnings": "W_"}


def page(text: str) -> str:
    """The guide with its tables of codes written anew.

    Args:
        text: The guide as it is, with the marks around each table.

    Raises:
        ValueError: A table's marks are missing.
    """
    for name, prefix in TABLES.items():
        table = "\n".join(_table(prefix))
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        text, found = marks.subn(lambda marked, table=table: f"{marked[1]}{table}\n{marked[2]}", text)  # type: ignore[misc]
        if not found:
            raise ValueError(f"{PAGE.name} has no place for the {name}.")
    return text


def _table(prefix: str) -> list[str]:
    lines = ["| code 代码 | meaning 含义 | what to do 处理 |", "|---|---|---|"]
    for code, text in code_texts.load().items():
        if code.startswith(prefix):
            meaning, remedy = (f"{part.en} {part.zh}".replace("|", "\\|") for part in (text.meaning, text.remedy))
            lines.append(f"| `{code}` | {meaning} | {remedy} |")
    return lines


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")

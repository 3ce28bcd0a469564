"""The data dictionary as a page: every published table and column, from the descriptions of the dbt models.

``python -m warehouse.dictionary`` writes ``docs/dictionary.md`` anew; a test says when that is due.
"""

from pathlib import Path
from typing import Any

import yaml

PROJECT = Path(__file__).resolve().parent.parent
MODELS = PROJECT / "dbt_project" / "models"
PAGE = PROJECT / "docs" / "dictionary.md"
#: Folder of models -> the schema in which their views stand.
SCHEMAS = ("marts", "core", "casework")

HEAD = """# Data dictionary · 数据字典

Generated from the descriptions of the models (`python -m warehouse.dictionary`). The same texts stand in the database
as comments. 由模型说明生成，数据库注释与此相同。
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for schema in SCHEMAS:
        parts.append(f"## {schema}\n")
        parts.extend(_table(schema, model) for model in _models(schema))
    return "\n".join(parts)


def _models(schema: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for path in sorted((MODELS / schema).rglob("*.yml")):
        found.extend((yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models") or [])
    return sorted(found, key=lambda model: str(model["name"]))


def _table(schema: str, model: dict[str, Any]) -> str:
    lines = [f"### {schema}.{model['name']}\n", f"{_flat(model.get('description'))}\n", "| column | type | meaning |"]
    lines.append("|---|---|---|")
    lines.extend(
        f"| `{column['name']}` | {column.get('data_type', '')} | {_flat(column.get('description'))} |"
        for column in model.get("columns") or []
    )
    return "\n".join([*lines, ""])


def _flat(text: str | None) -> str:
    return " ".join((text or "").split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

"""Generates ``docs/dictionary.md``: published tables from the dbt models, delivered files from the contracts.

``make generate`` writes it; a test fails when it is out of date.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from ingest.contracts import Contracts, Feed, load
from warehouse.build import dbt_metrics

PROJECT = Path(__file__).resolve().parents[2]
MODELS = PROJECT / "dbt_project" / "models"
PAGE = PROJECT / "docs" / "dictionary.md"
#: Folders of published models, which are also the schemas of their views.
SCHEMAS = ("marts", "core", "casework")

HEAD = """# Data dictionary · 数据字典

Generated from the descriptions of the models and the contracts (`make generate`). The texts of tables
stand in the database as comments too. What is delivered stands at the end. 由模型与合同说明生成，数据库注释与此相同；
报送数据表见文末。
"""

METRICS = """## Metrics · 指标

The indicators of `marts.reform_indicator` are metrics of dbt's semantic layer too, by these names; group or filter them
by region. `marts.reform_indicator` 的各项指标同时定义为 dbt 语义层的指标，名称如下；请按地区分组或筛选。

| metric | label | meaning |
|---|---|---|
"""

DELIVERED = """## Deliveries · 报送数据表

What senders deliver, by source and feed. A header is the name, the Chinese label or an alias of the contract; K part of
the key, R required. 报送内容：表头可用列名、中文名称或别名；K 为主键，R 为必填。
"""


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for schema in SCHEMAS:
        parts.append(f"## {schema}\n")
        parts.extend(_table(schema, model) for model in models(schema))
    parts.extend([_metrics(), DELIVERED, *_delivered(load())])
    return "\n".join(parts)


def _metrics() -> str:
    lines = [f"| `{code}` | {label.zh} | {_flat(label.en)} |" for code, label in dbt_metrics.labels().items()]
    return METRICS + "\n".join([*lines, ""])


def _delivered(contracts: Contracts) -> Iterator[str]:
    """For each source a heading and its sender, and a table for each feed."""
    for name in contracts.sources:
        source = contracts.source_files[name]
        sent = "snapshots and deltas 全量与增量" if source.snapshots else "deltas 增量"
        yield f"### {name}: {source.title} · {source.title_zh}\n"
        yield f"Sent by {source.sender} {source.sender_zh}, as {sent}.\n"
        for feed in contracts.of_source(name):
            yield _feed(feed)


def _feed(feed: Feed) -> str:
    lines = [
        f"#### {feed.source}.{feed.name} · {feed.label}\n",
        f"{_flat(f'{feed.description} {feed.description_zh}')} ({feed.kind})\n",
        "| column | label | type | | meaning |",
        "|---|---|---|---|---|",
    ]
    for column in feed.columns:
        code_list = f" `{column.code_list.name}`" if column.code_list is not None else ""
        flags = " ".join(flag for flag, is_set in (("K", column.key), ("R", column.required)) if is_set)
        meaning = _flat(f"{column.description} {column.description_zh}")
        lines.append(f"| `{column.name}` | {column.label} | {column.kind}{code_list} | {flags} | {meaning} |")
    return "\n".join([*lines, ""])


def models(schema: str) -> list[dict[str, Any]]:
    """The published models of a schema as their yml files describe them, texts of doc blocks filled in."""
    found: list[dict[str, Any]] = []
    for path in sorted((MODELS / schema).rglob("*.yml")):
        found.extend((yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("models") or [])
    blocks = _blocks()
    for described in (node for model in found for node in (model, *(model.get("columns") or []))):
        text = str(described.get("description") or "")
        described["description"] = _REFERENCE.sub(lambda match: blocks[match[1]], text)
    return sorted(found, key=lambda model: str(model["name"]))


#: How a description refers to a text that stands in a doc block of the project.
_REFERENCE = re.compile(r"\{\{ doc\('(\w+)'\) \}\}")


def _blocks() -> dict[str, str]:
    """The doc blocks of the project, by name."""
    block = re.compile(r"\{% docs (\w+) %\}(.*?)\{% enddocs %\}", re.DOTALL)
    return {name: text for path in MODELS.rglob("*.md") for name, text in block.findall(path.read_text("utf-8"))}


def _table(schema: str, model: dict[str, Any]) -> str:
    lines = [f"### {schema}.{model['name']}\n", f"{model['description']}\n", "| column | type | meaning |"]
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

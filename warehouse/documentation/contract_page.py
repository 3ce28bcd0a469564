"""Generates ``docs/contracts.md``, the reference of contracts, from the classes with which the loader reads them.

``make generate`` writes it; a test fails when it is out of date.
"""

from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from ingest.contracts import properties
from ingest.contracts.properties import KINDS, ROLES, RULES, Properties

PAGE = Path(__file__).resolve().parents[2] / "docs" / "contracts.md"

HEAD = """# What a contract may say · 合同可用属性

Generated from the loader's own classes (`make generate`). 由合同加载程序生成。

A contract is a file of the [Open Data Contract Standard](https://bitol-io.github.io/open-data-contract-standard/) 3.1:
`ingest/contracts/<source>/<feed>.yaml`. Of the standard's own fields these decide: `version`, `domain` (the source),
`schema` (one, named like the file) with `businessName`, `description` and `properties`; of a column `name`,
`businessName` (a header too), `description`, `physicalType` (of the landing table), `primaryKey`, `required`,
`classification` (`public`, `internal`, `personal`, `health`; what is a `direct_identifier` goes to the vault and does
not land), `logicalTypeOptions` (`minLength`, `maxLength`, `pattern`, `minimum`, `maximum`), and `slaProperties` with
`retention`. The order of the columns is that of a file without a header. What this warehouse adds are the properties
below; an unknown one is an error. How a feed is added: [add-a-feed.md](add-a-feed.md).
合同采用开放数据合同标准 3.1；下列为本仓库附加的属性，未知属性视为错误。新增数据表见 add-a-feed.md。
"""

_GROUPS: dict[str, type[Properties]] = {
    "Source · 来源": properties.SourceProperties,
    "Code list · 代码清单": properties.CodeListProperties,
    "Contract · 合同": properties.ContractProperties,
    "Description · 说明": properties.DescriptionProperties,
    "Feed · 数据表": properties.FeedProperties,
    "Column · 列": properties.ColumnProperties,
}


def page() -> str:
    """The whole page, as Markdown."""
    parts = [HEAD]
    for title, group in _GROUPS.items():
        parts += [f"## {title}", *_group(group)]
    parts += ["## Kinds of columns · 列的类型", *_values(KINDS), "## Roles of columns · 列的角色", *_values(ROLES)]
    parts += ["## Rules · 规则", _docstring(properties.Rule)]
    for name, rule in RULES.items():
        parts += [f"### {name}", *_group(rule)]
    return "\n".join(parts).rstrip() + "\n"


def _group(group: type[Properties]) -> Iterator[str]:
    yield _docstring(group)
    yield "| property | values | default | meaning |"
    yield "|---|---|---|---|"
    for field in group.model_fields.values():
        meaning = _cell(field.description or "")
        yield f"| `{field.alias}` | {_value_description(group, field)} | {_default(field)} | {meaning} |"
    yield ""


def _values(texts: Any) -> Iterator[str]:
    yield ""
    yield "| value | meaning |"
    yield "|---|---|"
    for value, text in texts.items():
        yield f"| `{value}` | {_cell(text)} |"
    yield ""


def _docstring(group: type[Properties]) -> str:
    return " ".join((group.__doc__ or "").split()) + "\n"


def _value_description(group: type[Properties], field: FieldInfo) -> str:
    """The possible values of a property, described from its JSON schema."""
    schema = group.model_json_schema()
    property_schema = schema["properties"][field.alias or ""]
    return " or ".join(dict.fromkeys(_type_names(property_schema, schema.get("$defs", {}))))


def _type_names(schema: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    if "$ref" in schema:
        yield "see below"
    elif "anyOf" in schema:
        for alternative in schema["anyOf"]:
            if (
                alternative.get("type") != "null" and "pattern" not in alternative
            ):  # the text form of a decimal is left out
                yield from _type_names(alternative, definitions)
    elif "enum" in schema:
        yield ", ".join(f"`{value}`" for value in schema["enum"])
    elif "const" in schema:
        yield f"`{schema['const']}`"
    elif schema["type"] == "array":
        yield "list"
    elif schema["type"] == "object":
        yield "mapping"
    else:
        yield {"string": "text", "boolean": "`true`, `false`"}.get(schema["type"], schema["type"])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.default
    if value in (None, "", (), {}):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value.value if isinstance(value, Enum) else value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

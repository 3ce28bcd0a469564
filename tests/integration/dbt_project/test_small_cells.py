"""Every mart that draws on rows of persons says in its metadata how it treats small cells, and its code does that."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ingest import contracts
from tests.integration.dbt_project.test_project import manifest  # noqa: F401 - a fixture, parsed once here
from warehouse.sharing import lineage
from warehouse.sharing.lineage import SUPPRESSED, PublishedRelation

Node = dict[str, Any]
#: Columns that repeat the key in words, or as a number.
LABELS = ("_label", "_name", "_key")
#: Classes of columns that say something of a person.
OF_PERSONS = {"personal", "health"}


@pytest.fixture
def marts(manifest: Node, tmp_path: Path) -> dict[str, tuple[Node, PublishedRelation]]:  # noqa: F811
    """Published marts: what dbt knows of them, and what they draw on."""
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(manifest), "utf-8")
    nodes = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] == "model"}
    relations = lineage.read_manifest(path, contracts.load())
    return {
        name: (nodes[name], one)
        for one in relations
        for schema, _, name in [one.relation.partition(".")]
        if schema == "marts"
    }


def rule_of(node: Node) -> dict[str, Any]:
    rule: dict[str, Any] = node["config"]["meta"].get("small_cells", {})
    return rule


def feeds_of_persons(relation: PublishedRelation) -> set[str]:
    """Feeds upstream with a column that says something of a person."""
    feeds = contracts.load().feeds.values()
    return {
        name
        for feed in feeds
        if (name := f"{feed.source}.{feed.name}") in relation.feeds
        and OF_PERSONS & {column.classification for column in feed.columns}
    }


def undeclared(marts: dict[str, tuple[Node, PublishedRelation]]) -> dict[str, list[str]]:
    """Marts that draw on feeds of persons for which their metadata has neither a rule nor a reason to have none."""
    found = {}
    for name, (node, relation) in marts.items():
        rule = rule_of(node)
        covered = set(rule["of"]) if rule.get("none") else feeds_of_persons(relation) if "persons" in rule else set()
        if missing := feeds_of_persons(relation) - covered:
            found[name] = sorted(missing)
    return found


def shown_columns(node: Node, relation: PublishedRelation) -> set[str]:
    """Columns of a mart with a rule whose values show in suppressed rows, by its code."""
    hidden = re.findall(r"unless_suppressed\((?:[^{}]|\n)*?\}\}\s+as\s+(\w+)", node["raw_code"])
    rest = {column.name for column in relation.columns} - set(hidden) - {SUPPRESSED}
    return {name for name in rest if not name.endswith(LABELS)}


def as_called(rule: dict[str, Any]) -> str:
    """The call of the macro that a rule asks for."""
    if "category" not in rule:
        return f"is_small_cell('{rule['persons']}')"
    group = ", ".join(f"'{name}'" for name in rule["group"])
    total = f", total='{rule['total']}'" if "total" in rule else ""
    return f"'{rule['persons']}', [{group}], '{rule['category']}'{total}) }}}}"


def with_rule(marts: dict[str, tuple[Node, PublishedRelation]]) -> dict[str, tuple[Node, PublishedRelation]]:
    return {name: one for name, one in marts.items() if "persons" in rule_of(one[0])}


def test_marts_of_persons_have_a_rule_or_a_reason(marts: dict[str, tuple[Node, PublishedRelation]]) -> None:
    assert with_rule(marts)
    assert undeclared(marts) == {}


def test_a_new_source_of_a_mart_without_rule_is_noticed(marts: dict[str, tuple[Node, PublishedRelation]]) -> None:
    """As when a count of insured members is added to a mart of membership."""
    node, relation = marts["union_coverage_month"]
    more = replace(relation, feeds=(*relation.feeds, "medical.insurance"))
    assert undeclared({"union_coverage_month": (node, more)}) == {"union_coverage_month": ["medical.insurance"]}
    assert set(undeclared({"new": ({"config": {"meta": {}}}, relation)})) == {"new"}


def test_the_code_calls_the_rule_of_the_metadata(marts: dict[str, tuple[Node, PublishedRelation]]) -> None:
    assert {
        name: as_called(rule_of(node))
        for name, (node, _) in with_rule(marts).items()
        if as_called(rule_of(node)) not in node["raw_code"]
    } == {}


def test_rows_that_are_suppressed_show_what_the_metadata_says(
    marts: dict[str, tuple[Node, PublishedRelation]],
) -> None:
    """A new column of such a mart is hidden in suppressed rows, or named as shown."""
    wrong = {}
    for name, (node, relation) in with_rule(marts).items():
        rule = rule_of(node)
        if not rule.get("removed"):
            found = shown_columns(node, relation)
            expected = {*rule["shown"], *relation.keys}
            if found != expected:
                wrong[name] = sorted(found ^ expected)
    assert wrong == {}


def test_marts_with_suppressed_rows_have_a_rule(marts: dict[str, tuple[Node, PublishedRelation]]) -> None:
    suppressing = {name for name, (_, relation) in marts.items() if relation.hides_small_cells}
    removing = {name for name, (node, _) in with_rule(marts).items() if rule_of(node).get("removed")}
    assert suppressing == set(with_rule(marts)) - removing

"""The graph of dbt's manifest: what a node reads, what reads it, and which tests belong to it."""

from typing import Any

import pytest

from warehouse.build import dbt_graph
from warehouse.build.dbt_graph import DbtGraph, Node


def entry(resource_type: str, name: str, *parents: str, **properties: Any) -> dict[str, Any]:
    return {"resource_type": resource_type, "name": name, "depends_on": {"nodes": list(parents)}, **properties}


@pytest.fixture
def graph() -> DbtGraph:
    """A table of a source, and four models upon it; two of them read each other's parents."""
    return dbt_graph.from_manifest(
        {
            "nodes": {
                "mart": entry("model", "mart", "fact", "inline"),
                "fact": entry("model", "fact", "inline", "seed"),
                "inline": entry("model", "inline", "staged", config={"materialized": "ephemeral"}),
                "staged": entry("model", "staged", "landed", config={"meta": {"publish": "core"}}),
                "seed": {"resource_type": "seed", "name": "seed"},
                "generic": entry("test", "generic", "seed", "fact", attached_node="fact"),
                "singular": entry("test", "singular", "fact", "mart"),
                "of_macros": entry("test", "of_macros"),
            },
            "sources": {"landed": {"resource_type": "source", "name": "landed", "fqn": ["project", "landed"]}},
            "exposures": {"dashboard": entry("exposure", "dashboard", "mart")},
        }
    )


def names(nodes: list[Node]) -> list[str]:
    return [node.name for node in nodes]


def test_parents_come_before_children(graph: DbtGraph) -> None:
    order = names(list(graph.in_dependency_order()))
    assert sorted(order) == sorted(graph.nodes)
    assert all(order.index(parent) < order.index(key) for key, node in graph.nodes.items() for parent in node.parents)


def test_neighbours(graph: DbtGraph) -> None:
    assert names(list(graph.parents(graph.nodes["fact"]))) == ["inline", "seed"]
    assert names(graph.children(graph.nodes["inline"])) == ["mart", "fact"]
    assert graph.children(graph.nodes["of_macros"]) == []


def test_ancestors_come_once(graph: DbtGraph) -> None:
    assert sorted(names(graph.ancestors(graph.nodes["mart"]))) == ["fact", "inline", "landed", "seed", "staged"]
    assert graph.ancestors(graph.nodes["landed"]) == []


def test_a_node_without_a_relation_is_replaced_by_its_parents(graph: DbtGraph) -> None:
    nearest = graph.nearest_ancestors(graph.nodes["mart"], lambda node: node.is_relation)
    assert names(nearest) == ["fact", "staged"]
    assert names(graph.nearest_ancestors(graph.nodes["fact"], lambda node: "publish" in node.meta)) == ["staged"]


def test_a_test_of_several_nodes_belongs_to_the_last_unless_it_is_attached_to_one(graph: DbtGraph) -> None:
    assert names(graph.tests(graph.nodes["fact"])) == ["generic"]
    assert names(graph.tests(graph.nodes["mart"])) == ["singular"]
    assert graph.tests(graph.nodes["seed"]) == []


def test_relations_are_models_seeds_and_snapshots(graph: DbtGraph) -> None:
    assert {key for key, node in graph.nodes.items() if node.is_relation} == {"mart", "fact", "staged", "seed"}

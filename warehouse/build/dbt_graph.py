"""The graph in dbt's ``manifest.json``: models, seeds, snapshots, tests and sources, and what each of them reads.

Exposures, metrics and semantic models of the manifest are left out: nothing here asks for them.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

#: Resource types with a table or view of their own in a build, unless they are ephemeral.
_RELATION_TYPES = frozenset({"model", "seed", "snapshot"})


@dataclass(frozen=True)
class Node:
    """A node of the graph, with the properties of the manifest that the warehouse reads."""

    unique_id: str
    resource_type: str  # model, seed, snapshot, test, source, …
    name: str
    alias: str  # name of its relation
    schema: str
    source_name: str  # of a source; otherwise empty
    path: tuple[str, ...]  # dbt's fqn: project, folders, name
    materialized: str  # empty for a source
    description: str
    meta: Mapping[str, Any]
    columns: Mapping[str, Mapping[str, Any]]  # by name, as the manifest has them
    parents: tuple[str, ...]  # unique ids of what it reads, in the order of the manifest
    attached_node: str | None  # of a generic test: the unique id of the node that it is written at
    test_metadata: Mapping[str, Any] = field(default_factory=dict)  # of a generic test: its name and arguments

    @property
    def is_relation(self) -> bool:
        """Whether a build has a table or view of it."""
        return self.resource_type in _RELATION_TYPES and self.materialized != "ephemeral"


@dataclass(frozen=True)
class DbtGraph:
    """Nodes by unique id."""

    nodes: Mapping[str, Node]

    def of_type(self, resource_type: str) -> Iterator[Node]:
        """The nodes of a type, in the order of the manifest."""
        return (node for node in self.nodes.values() if node.resource_type == resource_type)

    def in_dependency_order(self) -> Iterator[Node]:
        """All nodes, parents before children."""
        sorter = TopologicalSorter({key: node.parents for key, node in sorted(self.nodes.items())})
        return (self.nodes[key] for key in sorter.static_order() if key in self.nodes)

    def parents(self, node: Node) -> Iterator[Node]:
        """The nodes that a node reads."""
        return (self.nodes[key] for key in node.parents if key in self.nodes)

    def children(self, node: Node) -> list[Node]:
        """The nodes that read a node."""
        return self._children.get(node.unique_id, [])

    def tests(self, node: Node) -> list[Node]:
        """The tests of a node: those attached to it, and tests of several nodes of which it is the last."""
        return self._tests.get(node.unique_id, [])

    def ancestors(self, node: Node) -> list[Node]:
        """Everything that a node is made of, directly or through other nodes, each once."""
        found: dict[str, Node] = {}
        pending = list(self.parents(node))
        while pending:
            parent = pending.pop()
            if parent.unique_id not in found:
                found[parent.unique_id] = parent
                pending.extend(self.parents(parent))
        return list(found.values())

    def nearest_ancestors(self, node: Node, condition: Callable[[Node], bool]) -> list[Node]:
        """The ancestors for which a condition holds, without those that are reached through another such one only."""
        found: dict[str, Node] = {}
        for parent in self.parents(node):
            nearest = [parent] if condition(parent) else self.nearest_ancestors(parent, condition)
            found.update((ancestor.unique_id, ancestor) for ancestor in nearest)
        return list(found.values())

    @cached_property
    def _children(self) -> dict[str, list[Node]]:
        children: dict[str, list[Node]] = {}
        for node in self.nodes.values():
            for parent in node.parents:
                children.setdefault(parent, []).append(node)
        return children

    @cached_property
    def _tests(self) -> dict[str, list[Node]]:
        tests: dict[str, list[Node]] = {}
        for test in self.of_type("test"):
            if tested := test.attached_node or (test.parents[-1] if test.parents else None):
                tests.setdefault(tested, []).append(test)
        return tests


def read(manifest: Path) -> DbtGraph:
    """The graph of a manifest file."""
    return from_manifest(json.loads(manifest.read_text(encoding="utf-8")))


def from_manifest(content: Mapping[str, Any]) -> DbtGraph:
    """The graph of a manifest's content."""
    return DbtGraph({key: _node(key, entry) for part in ("nodes", "sources") for key, entry in content[part].items()})


def _node(unique_id: str, entry: Mapping[str, Any]) -> Node:
    """A node from its entry in the manifest; kinds of nodes lack properties that have no meaning for them."""
    config = entry.get("config") or {}
    return Node(
        unique_id=unique_id,
        resource_type=entry["resource_type"],
        name=entry["name"],
        alias=entry.get("alias") or entry["name"],
        schema=entry.get("schema") or "",
        source_name=entry.get("source_name") or "",
        path=tuple(entry.get("fqn") or ()),
        materialized=config.get("materialized") or "",
        description=entry.get("description") or "",
        meta=config.get("meta") or {},
        columns=entry.get("columns") or {},
        parents=tuple((entry.get("depends_on") or {}).get("nodes") or ()),
        attached_node=entry.get("attached_node"),
        test_metadata=entry.get("test_metadata") or {},
    )

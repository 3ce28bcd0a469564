"""Which models a build can leave out, because nothing that they are made of has changed.

A model whose sources have the same deliveries as when the schema was last complete would get the rows that it has:
models read tables of the build and nothing else, no clock either. Dbt's manifest says what a model is made of.
"""

from collections.abc import Collection
from pathlib import Path

from warehouse.build import dbt_graph
from warehouse.build.dbt_graph import DbtGraph, Node

#: Folder of the tables of changed keys. They hold the keys of one build, so they are emptied where a model reads them.
CHANGED_KEYS = "changed_keys"
#: Schema of the tables that deliveries are loaded into.
LANDING = "landing"
#: The ledger as frozen for a build. What it says of a delivery concerns the source of that delivery alone; a model that
#: reads the deliveries of a source, and none of their rows, says so in its ``meta``.
FROZEN_LEDGER = frozenset({"build", "build_delivery"})
#: ``meta`` of a model: the sources whose deliveries it reads in ``int_delivery``.
DELIVERIES_OF = "deliveries_of"
#: In place of a source: tables outside of the project that may change at any time, such as those of the ledger.
ANY = "*"


def unchanged_models(manifest: Path, changed_sources: Collection[str]) -> list[str]:
    """Names of the models that keep their rows when only deliveries of some sources came or went.

    Args:
        manifest: Dbt's manifest of the code that built the schema.
        changed_sources: Names of sources.

    Returns:
        In alphabetical order. Models without any row of a delivery, such as the list of deliveries, are not among them.
    """
    graph = dbt_graph.read(manifest)
    changed = {*changed_sources, ANY}
    sources = sources_of_models(graph)
    unchanged = {model for model, made_of in sources.items() if made_of and changed.isdisjoint(made_of)}
    for model in reversed(sources):  # children before their parents
        node = graph.nodes[model]
        if CHANGED_KEYS in node.path:
            children = {child.unique_id for child in graph.children(node) if child.resource_type == "model"}
            if not children <= unchanged:
                unchanged.discard(model)
    return sorted(graph.nodes[model].name for model in unchanged)


def sources_of_models(graph: DbtGraph) -> dict[str, set[str]]:
    """The sources that each model is made of, by unique id, parents before children."""
    sources: dict[str, set[str]] = {}
    for node in graph.in_dependency_order():
        if node.resource_type == "model":
            declared = node.meta.get(DELIVERIES_OF, ())
            sources[node.unique_id] = set(declared).union(
                *(sources.get(parent.unique_id) or _sources_of_table(parent) for parent in graph.parents(node))
            )
    return sources


def _sources_of_table(node: Node) -> set[str]:
    """The sources of a parent that is no model: a table outside of the project, or a seed, which has none."""
    if node.resource_type != "source":
        return set()
    if node.schema == LANDING:
        return {node.source_name}
    return set() if node.name in FROZEN_LEDGER else {ANY}

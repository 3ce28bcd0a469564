"""Which models a build can leave out, because nothing that they are made of has changed.

A model whose sources have the same deliveries as when the schema was last complete would get the rows that it has:
models read tables of the build and nothing else, no clock either. Dbt's manifest says what a model is made of.
"""

import json
from collections.abc import Collection, Mapping
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

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
    graph = json.loads(manifest.read_text(encoding="utf-8"))
    changed = {*changed_sources, ANY}
    sources = sources_of_models(graph)
    unchanged = {model for model, made_of in sources.items() if made_of and changed.isdisjoint(made_of)}
    for model in reversed(sources):  # children before their parents
        if CHANGED_KEYS in graph["nodes"][model]["fqn"]:
            children = {child for child in graph["child_map"][model] if child in sources}
            if not children <= unchanged:
                unchanged.discard(model)
    return sorted(graph["nodes"][model]["name"] for model in unchanged)


def sources_of_models(graph: Mapping[str, Any]) -> dict[str, set[str]]:
    """The sources that each model of a manifest is made of, by unique id, parents before children."""
    models = {key: node for key, node in graph["nodes"].items() if node["resource_type"] == "model"}
    parents = {key: list(node["depends_on"]["nodes"]) for key, node in models.items()}
    tables = {key: _source_of(node) for key, node in graph["sources"].items()}
    sources: dict[str, set[str]] = {}
    for key in TopologicalSorter(parents).static_order():
        if key in models:
            declared = models[key]["config"]["meta"].get(DELIVERIES_OF, ())
            inherited = (sources.get(parent) or tables.get(parent, set()) for parent in parents[key])
            sources[key] = set(declared).union(*inherited)
    return sources


def _source_of(node: Mapping[str, Any]) -> set[str]:
    """The source of a table outside of the project."""
    if node["schema"] == LANDING:
        return {node["source_name"]}
    return set() if node["name"] in FROZEN_LEDGER else {ANY}

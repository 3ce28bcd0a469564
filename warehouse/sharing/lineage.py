"""What a publication consists of: sources, upstream relations, columns and their classes, from dbt's manifest.

It is written down with the publication (``ops.publication_relation``), so that shares are judged by what was published,
not by the code that happens to be installed.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.contracts import Contracts, Feed

#: Classes of columns, from the least to the most protected.
CLASSES = ("public", "internal", "personal", "health", "direct_identifier")
PERSON_KEY = "person_key"
#: A mart with this column hides cells of few persons.
SUPPRESSED = "is_suppressed"
#: Key columns of marts that every share may filter on (see ``rules``), and the columns that date a row.
MONTH, YEAR = "month", "year"

#: Columns that say where and when a row was delivered, nothing of a person.
_OF_DELIVERY = frozenset({"sender", "sender_name", MONTH, "month_key", YEAR, "delivery_name", "scheme_code"})

Node = dict[str, Any]
_CHINESE = re.compile("[\u4e00-\u9fff]")
#: What a description says of a unit, and the unit.
_UNITS = ((re.compile(r"\byuan\b"), "元"), (re.compile(r"^Days\b"), "天"), (re.compile(r"^Hours\b"), "学时"))


@dataclass(frozen=True)
class SharedColumn:
    """A published column. ``title`` is Chinese, ``description`` in both languages."""

    name: str
    type: str
    title: str
    description: str
    classification: str
    code_list: str | None = None
    unit: str | None = None


@dataclass(frozen=True)
class PublishedRelation:
    """A published relation as it stood in a publication."""

    relation: str  # schema.name
    description: str
    sources: tuple[str, ...]  # sources of deliveries
    feeds: tuple[str, ...]  # source.feed
    upstream: tuple[str, ...]  # the nearest published relations
    keys: tuple[str, ...]
    columns: tuple[SharedColumn, ...]

    @cached_property
    def by_name(self) -> dict[str, SharedColumn]:
        """Columns by name."""
        return {column.name: column for column in self.columns}

    @property
    def schema(self) -> str:
        """The stable schema."""
        return self.relation.partition(".")[0]

    @property
    def has_persons(self) -> bool:
        """Whether its rows are those of persons."""
        return PERSON_KEY in self.by_name

    @property
    def hides_small_cells(self) -> bool:
        """Whether it is a mart with suppressed cells."""
        return self.schema == "marts" and SUPPRESSED in self.by_name


def read_manifest(path: Path, contracts: Contracts) -> list[PublishedRelation]:
    """The published relations of a dbt manifest, by name."""
    manifest = json.loads(path.read_text(encoding="utf-8"))
    graph = _Graph(manifest, contracts)
    return sorted((graph.relation(key) for key in graph.published), key=lambda one: one.relation)


class _Graph:
    """The part of dbt's manifest that lineage needs."""

    def __init__(self, manifest: Mapping[str, Any], contracts: Contracts) -> None:
        self._nodes: dict[str, Node] = {**manifest["nodes"], **manifest["sources"]}
        self._parents: dict[str, list[str]] = manifest["parent_map"]
        self._contracts = contracts
        self.published = {
            key: f"{node['config']['meta']['publish']}.{node['alias']}"
            for key, node in manifest["nodes"].items()
            if (node["config"].get("meta") or {}).get("publish")
        }
        self._keys: dict[str, list[list[str]]] = {}
        for node in manifest["nodes"].values():
            if node["resource_type"] == "test" and (key := _key_of_test(node)):
                self._keys.setdefault(str(node.get("attached_node")), []).append(key)

    def relation(self, key: str) -> PublishedRelation:
        """A published node."""
        node = self._nodes[key]
        feeds = self._feeds(key)
        name = self.published[key]
        return PublishedRelation(
            relation=name,
            description=str(node["description"]),
            sources=tuple(sorted({feed.source for feed in feeds})),
            feeds=tuple(f"{feed.source}.{feed.name}" for feed in feeds),
            upstream=tuple(sorted(set(self._nearest(key)))),
            keys=tuple(min(self._keys.get(key, [[]]), key=lambda columns: len(list(columns)))),
            columns=tuple(_columns(name.partition(".")[0], node["columns"], feeds)),
        )

    def _feeds(self, key: str) -> list[Feed]:
        """The feeds that a node draws on, directly or not, in name order."""
        tables = {source["name"] for source in self._sources(key, set())}
        return [feed for _, feed in sorted(self._contracts.feeds.items()) if feed.table in tables]

    def _sources(self, key: str, seen: set[str]) -> Iterator[Node]:
        for parent in self._parents.get(key, ()):
            if parent in seen:
                continue
            seen.add(parent)
            if parent.startswith("source."):
                yield self._nodes[parent]
            else:
                yield from self._sources(parent, seen)

    def _nearest(self, key: str) -> Iterator[str]:
        """The published relations upstream, without what lies behind them."""
        for parent in self._parents.get(key, ()):
            if parent in self.published:
                yield self.published[parent]
            else:
                yield from self._nearest(parent)


def _key_of_test(node: Node) -> list[str]:
    """The key columns that a test of a model says are unique; none of another test."""
    test = node.get("test_metadata") or {}
    if test.get("name") == "unique_combination_of_columns":
        return list(test["kwargs"]["combination_of_columns"])
    return [test["kwargs"]["column_name"]] if test.get("name") == "unique" else []


def _columns(schema: str, columns: Mapping[str, Node], feeds: list[Feed]) -> Iterator[SharedColumn]:
    has_persons = PERSON_KEY in columns
    for name, column in columns.items():
        delivered = [(feed, feed.by_name[name]) for feed in feeds if name in feed.by_name]
        declared = (column["config"].get("meta") or {}).get("classification")
        lists = {landed.code_list.name for _, landed in delivered if landed.code_list is not None}
        yield SharedColumn(
            name=name,
            type=str(column["data_type"]),
            title=delivered[0][1].label if delivered else _chinese(column["description"]),
            description=str(column["description"]),
            classification=declared or _classify(schema, name, feeds, has_persons=has_persons),
            code_list=lists.pop() if len(lists) == 1 else None,
            unit=_unit(str(column["description"])),
        )


def _classify(schema: str, column: str, feeds: list[Feed], *, has_persons: bool) -> str:
    """The class of a column that its description does not state.

    Of a mart ``internal``: it counts, and hides small cells where it must. Otherwise the highest class that the
    contracts of the feeds upstream give to a column of this name; where rows are not those of persons, feeds without
    persons come first. What no contract knows is derived: ``personal`` beside a person, else ``internal``.
    """
    if schema == "marts" or column in _OF_DELIVERY:
        return "internal"
    base = column.removesuffix("_label")
    known = [(feed.has_person, feed.by_name[base].landed_classification) for feed in feeds if base in feed.by_name]
    if not has_persons and any(not of_person for of_person, _ in known):
        known = [one for one in known if not one[0]]
    if not known:
        return "personal" if has_persons else "internal"
    return max((classification for _, classification in known), key=CLASSES.index)


def _unit(description: str) -> str | None:
    """The unit that a description names."""
    return next((unit for pattern, unit in _UNITS if pattern.search(description)), None)


def _chinese(description: str) -> str:
    """The Chinese half of a description, "English. 中文。", without its full stop."""
    found = _CHINESE.search(description)
    return description[found.start() :].strip().rstrip("。") if found else description


def record(conn: psycopg.Connection, publication: int, relations: Iterable[PublishedRelation]) -> None:
    """Write down what a publication consists of, in its transaction."""
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO ops.publication_relation"
            " (publication_id, relation, description, sources, feeds, upstream, keys, columns)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    publication,
                    one.relation,
                    one.description,
                    list(one.sources),
                    list(one.feeds),
                    list(one.upstream),
                    list(one.keys),
                    Jsonb([vars(column) for column in one.columns]),
                )
                for one in relations
            ],
        )


def repeat(conn: psycopg.Connection, publication: int, build: str) -> None:
    """Write down that a publication consists of what the one before of the same build did."""
    conn.execute(
        "INSERT INTO ops.publication_relation"
        " (publication_id, relation, description, sources, feeds, upstream, keys, columns)"
        " SELECT %s, r.relation, r.description, r.sources, r.feeds, r.upstream, r.keys, r.columns"
        " FROM ops.publication_relation AS r WHERE r.publication_id ="
        " (SELECT max(p.publication_id) FROM ops.publication AS p WHERE p.build = %s AND p.publication_id < %s)",
        [publication, build, publication],
    )


def read(conn: psycopg.Connection, publication: int) -> dict[str, PublishedRelation]:
    """What a publication consists of, by relation."""
    rows = conn.execute(
        "SELECT relation, description, sources, feeds, upstream, keys, columns"
        " FROM ops.publication_relation WHERE publication_id = %s",
        [publication],
    )
    return {
        relation: PublishedRelation(
            relation,
            description,
            tuple(sources),
            tuple(feeds),
            tuple(upstream),
            tuple(keys),
            tuple(SharedColumn(**column) for column in columns),
        )
        for relation, description, sources, feeds, upstream, keys, columns in rows
    }

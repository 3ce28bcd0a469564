"""What a publication consists of: sources, upstream relations, columns and their classes, from dbt's manifest.

It is written down with the publication (``ops.publication_relation``), so that shares are judged by what was published,
not by the code that happens to be installed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ingest.contracts import Contracts, Feed
from warehouse.build import dbt_graph
from warehouse.build.dbt_graph import DbtGraph, Node

#: Classes of columns, from the least to the most protected.
CLASSES = ("public", "internal", "personal", "health", "direct_identifier")
PERSON_KEY = "person_key"
#: A mart with this column hides cells of few persons.
SUPPRESSED = "is_suppressed"
#: Key columns of marts that every share may filter on (see ``rules``), and the columns that date a row.
MONTH, YEAR = "month", "year"

#: Columns that say where and when a row was delivered, nothing of a person.
_OF_DELIVERY = frozenset({"sender", "sender_name", MONTH, "month_key", YEAR, "delivery_name", "scheme_code"})

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
    graph = dbt_graph.read(path)
    relations = (_relation(graph, node, contracts) for node in graph.nodes.values() if _is_published(node))
    return sorted(relations, key=lambda relation: relation.relation)


def _is_published(node: Node) -> bool:
    return bool(node.meta.get("publish"))


def _published_name(node: Node) -> str:
    """Stable schema and name of a published node."""
    return f"{node.meta['publish']}.{node.alias}"


def _relation(graph: DbtGraph, node: Node, contracts: Contracts) -> PublishedRelation:
    tables = {ancestor.name for ancestor in graph.ancestors(node) if ancestor.resource_type == "source"}
    feeds = [feed for _, feed in sorted(contracts.feeds.items()) if feed.table in tables]
    upstream = graph.nearest_ancestors(node, _is_published)
    keys = [key for test in graph.tests(node) if (key := _unique_columns(test))]
    return PublishedRelation(
        relation=_published_name(node),
        description=node.description,
        sources=tuple(sorted({feed.source for feed in feeds})),
        feeds=tuple(f"{feed.source}.{feed.name}" for feed in feeds),
        upstream=tuple(sorted(map(_published_name, upstream))),
        keys=min(keys, key=len, default=()),
        columns=tuple(_columns(node.meta["publish"], node.columns, feeds)),
    )


def _unique_columns(test: Node) -> tuple[str, ...]:
    """The columns whose values a test says are unique together; empty for another test."""
    arguments = test.test_metadata.get("kwargs", {})
    match test.test_metadata.get("name"):
        case "unique_combination_of_columns":
            return tuple(arguments["combination_of_columns"])
        case "unique":
            return (arguments["column_name"],)
    return ()


def _columns(schema: str, columns: Mapping[str, Mapping[str, Any]], feeds: list[Feed]) -> Iterator[SharedColumn]:
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
        known = [classified for classified in known if not classified[0]]
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
                    relation.relation,
                    relation.description,
                    list(relation.sources),
                    list(relation.feeds),
                    list(relation.upstream),
                    list(relation.keys),
                    Jsonb([vars(column) for column in relation.columns]),
                )
                for relation in relations
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

"""The catalogue of published tables, as the current publication has written them down."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import psycopg
import yaml

from ingest.code_texts import Text
from ingest.contracts import CodeList, Contracts
from warehouse.build import dbt
from warehouse.portal import ledger
from warehouse.portal.texts import halves
from warehouse.sharing import lineage
from warehouse.sharing.lineage import SharedColumn

#: The parts of a table's description, by the heading that they begin with.
PARTS = ("Overview 概述", "Grain and key 粒度与键", "Rules 规则", "Example query 查询示例")
_HEADINGS = re.compile(f"^({'|'.join(PARTS)}): ?", re.MULTILINE)


@dataclass(frozen=True)
class Column:
    """A published column."""

    name: str
    type: str
    text: Text
    classification: str
    code_list: str | None


@dataclass(frozen=True)
class Part:
    """A part of a table's description: heading, text, and the query where it is the example's."""

    heading: Text
    text: Text
    query: str | None


@dataclass(frozen=True)
class Table:
    """A published table. ``upstream`` and ``downstream`` are published tables, ``feeds`` the deliveries behind it."""

    relation: str
    parts: list[Part]
    keys: tuple[str, ...]
    columns: list[Column]
    feeds: list[tuple[str, Text]]
    upstream: tuple[str, ...]
    downstream: list[str]
    rows: int | None
    dbt_page: str

    @property
    def page(self) -> str:
        """Its page, from the portal's folder."""
        return f"tables/{self.relation}.html"

    @property
    def overview(self) -> Text:
        """What it is, in a sentence or two."""
        return self.parts[0].text


@dataclass(frozen=True)
class Codes:
    """A code list: code and label in both languages."""

    name: str
    label: Text
    codes: list[tuple[str, Text]]
    tables: list[str]


def read(conn: psycopg.Connection, contracts: Contracts) -> list[Table]:
    """The tables of the current publication, by name; none before there is a publication."""
    current = conn.execute("SELECT publication_id FROM ops.publication WHERE is_current").fetchone()
    relations = lineage.read(conn, current[0]) if current else {}
    rows = ledger.row_counts(conn)
    project = yaml.safe_load((dbt.PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))["name"]
    return [
        Table(
            relation=name,
            parts=parts(relation.description),
            keys=relation.keys,
            columns=[_column(column, contracts) for column in relation.columns],
            feeds=[(feed, _feed(feed, contracts)) for feed in relation.feeds],
            upstream=relation.upstream,
            downstream=sorted(other.relation for other in relations.values() if name in other.upstream),
            rows=rows.get(name),
            dbt_page=f"dbt.html#!/model/model.{project}.{name.partition('.')[2]}",
        )
        for name, relation in sorted(relations.items())
    ]


def code_lists(contracts: Contracts, tables: Iterable[Table]) -> list[Codes]:
    """All code lists of the contracts, with the tables that have their codes."""
    used = [(column.code_list, table.relation) for table in tables for column in table.columns]
    return [
        Codes(
            name=name,
            label=Text(zh=code_list.label or name, en=code_list.label_en or name),
            codes=_codes(code_list),
            tables=list(dict.fromkeys(table for code_list, table in used if code_list == name)),
        )
        for name, code_list in sorted(contracts.code_lists.items())
    ]


def parts(description: str) -> list[Part]:
    """The parts of a table's description; one without headings is an overview."""
    pieces = _HEADINGS.split(description)
    found = list(zip(pieces[1::2], pieces[2::2], strict=True)) or [(PARTS[0], description)]
    return [_part(heading, text) for heading, text in found]


def _part(heading: str, text: str) -> Part:
    """A part; lines that are indented by four blanks are a query."""
    lines = text.strip("\n").split("\n")
    query = "\n".join(line[4:] for line in lines if line.startswith("    "))
    words = "\n".join(line for line in lines if not line.startswith("    "))
    english, _, chinese = heading.rpartition(" ")
    return Part(Text(en=english, zh=chinese), halves(words), query or None)


def _column(column: SharedColumn, contracts: Contracts) -> Column:
    code_list = column.code_list if column.code_list in contracts.code_lists else None
    return Column(column.name, column.type, halves(column.description), column.classification, code_list)


def _feed(name: str, contracts: Contracts) -> Text:
    source, _, feed = name.partition(".")
    known = contracts.feeds.get((source, feed))
    return Text(zh=known.label, en=feed.replace("_", " ").capitalize()) if known else Text(zh=name, en=name)


def _codes(code_list: CodeList) -> list[tuple[str, Text]]:
    english = code_list.extra.get("label_en", {})
    return [(code, Text(zh=label, en=english.get(code, label))) for code, label in code_list.codes.items()]

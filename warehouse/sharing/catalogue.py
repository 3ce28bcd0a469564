"""The catalogue of resources: what may be shared, how, and for what.

What it says of a relation is written down with each publication (``ops.catalogue_resource``) and follows from dbt's
descriptions and lineage, the contracts, the seeds and the settings. Which relations it shows follows from them and from
the declarations of shares (``ops.share_catalogue``); ``marts.share_catalogue`` shows that view to readers.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import class_row

from ingest.contracts import Contracts, Feed
from ingest.settings import Settings
from warehouse.sharing.declaration import Declaration
from warehouse.sharing.lineage import CLASSES, PublishedRelation
from warehouse.sharing.outbox import CHINA
from warehouse.sharing.policy import Policy

#: The kinds of legal basis under which a resource may be asked for that no seed offers. Consent is of persons.
_BASIS_KINDS, _CONSENT = ("statute", "agreement"), "consent"
_OVERVIEW = re.compile(r"Overview 概述: (.*?)(?:\n\s*\n|$)", re.DOTALL)
_CHINESE = re.compile("[\u4e00-\u9fff]")
_END_OF_LABEL = re.compile(r"[.:;。：；](?:\s|$)|[。：；]")


@dataclass(frozen=True)
class Resource:
    """What the catalogue says of one relation of a publication: a row of ``ops.catalogue_resource``."""

    resource: str
    identifier: str
    label_zh: str
    label_en: str
    description: str
    subject_areas: list[str]
    subject_labels: list[str]
    provider_name: str
    provider_code: str
    formats: list[str]
    is_offered: bool
    attribute: str | None
    purposes: list[str]
    basis_kinds: list[str]
    serve: list[str]
    is_open: bool
    frequency: str | None
    sources: list[str]
    classification: str


@dataclass(frozen=True)
class Entry:
    """A resource as the catalogue shows it: a row of ``ops.share_catalogue``."""

    resource: str
    identifier: str
    label_zh: str
    label_en: str
    description: str
    schema_name: str
    subject_areas: list[str]
    subject_labels: list[str]
    provider_name: str
    provider_code: str
    formats: list[str]
    access: str
    purposes: list[str]
    basis_kinds: list[str]
    serve: list[str]
    is_open: bool
    frequency: str | None
    published_at: datetime
    sources: list[str]
    classification: str


@dataclass(frozen=True)
class Item:
    """A column of a resource in the catalogue: a row of ``ops.share_catalogue_item``."""

    resource: str
    position: int
    column_name: str
    label: str
    data_type: str
    unit: str | None
    code_list: str | None
    classification: str
    description: str


def describe(
    relations: Iterable[PublishedRelation], contracts: Contracts, policy: Policy, settings: Settings
) -> list[Resource]:
    """What the catalogue says of each relation of a publication."""
    return [_describe(relation, contracts, policy, settings) for relation in relations]


def _describe(relation: PublishedRelation, contracts: Contracts, policy: Policy, settings: Settings) -> Resource:
    feeds = [feed for feed in contracts.feeds.values() if f"{feed.source}.{feed.name}" in relation.feeds]
    offer = policy.offers.get(relation.relation)
    purposes = _purposes(relation, policy)
    description = overview(relation.description)
    english, chinese = languages(description)
    serve = ["extract"] if relation.has_persons else ["view", "extract"]
    consent = [_CONSENT] if any(_CONSENT in name for name in relation.by_name) else []
    return Resource(
        resource=relation.relation,
        identifier=f"{relation.relation}.v{_major(feeds)}",
        label_zh=_label(chinese),
        label_en=_label(english),
        description=description,
        subject_areas=list(relation.sources),
        subject_labels=[contracts.source_files[source].title_zh for source in relation.sources],
        provider_name=settings.federation_name,
        provider_code=settings.federation_uscc,
        formats=[*(["database"] if "view" in serve else []), "csv", "parquet"],
        is_offered=offer is not None,
        attribute=(offer.attribute if offer else None) if purposes else "none",
        purposes=purposes,
        basis_kinds=list(offer.basis_kinds) if offer else [*_BASIS_KINDS, *consent],
        serve=serve,
        is_open=relation.schema == "marts" and relation.relation in settings.open_marts,
        frequency=_frequency(feeds),
        sources=list(relation.upstream),
        classification=max((column.classification for column in relation.columns), key=CLASSES.index, default="public"),
    )


def _purposes(relation: PublishedRelation, policy: Policy) -> list[str]:
    """The purposes that a relation may serve: each covers all its sources, and the seeds do not exclude it."""
    offer = policy.offers.get(relation.relation)
    return [
        code
        for code, sources in policy.purposes.items()
        if sources.issuperset(relation.sources)
        and policy.forbidden(relation.relation, "", code) is None
        and (offer is None or code in offer.purposes)
    ]


def _major(feeds: Iterable[Feed]) -> int:
    """The highest major version of the contracts that a relation draws on; 1 where it draws on none."""
    return max((int(feed.version.partition(".")[0]) for feed in feeds), default=1)


def _frequency(feeds: Iterable[Feed]) -> str | None:
    """How often the most frequent of some feeds is delivered."""
    units = {"D": 1, "W": 7, "M": 30, "Y": 365}
    durations = [feed.frequency for feed in feeds if feed.frequency]
    return min(durations, key=lambda duration: int(duration[1:-1]) * units[duration[-1]], default=None)


def overview(description: str) -> str:
    """The overview of a model's description on one line, in both languages; all of a description without one."""
    found = _OVERVIEW.search(description)
    return " ".join((found[1] if found else description).split())


def languages(text: str) -> tuple[str, str]:
    """The English and the Chinese half of a text, "English. 中文。"."""
    found = _CHINESE.search(text)
    start = found.start() if found else len(text)
    return text[:start].strip(), text[start:].strip()


def _label(text: str) -> str:
    """The first sentence of a text, or what precedes its first colon or semicolon."""
    return _END_OF_LABEL.split(text, maxsplit=1)[0].strip()


def record(conn: psycopg.Connection, publication: int, resources: Iterable[Resource]) -> None:
    """Write down what the catalogue says of the relations of a publication, in its transaction."""
    names = [field.name for field in fields(Resource)]
    statement = sql.SQL("INSERT INTO ops.catalogue_resource (publication_id, {}) VALUES (%s, {})").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(sql.Placeholder() * len(names))
    )
    with conn.cursor() as cursor:
        cursor.executemany(statement, [[publication, *asdict(resource).values()] for resource in resources])


def repeat(conn: psycopg.Connection, publication: int, build: str) -> None:
    """Write down of a publication what the one before of the same build said."""
    names = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(Resource))
    conn.execute(
        sql.SQL(
            "INSERT INTO ops.catalogue_resource (publication_id, {names}) SELECT {publication}, {names}"
            " FROM ops.catalogue_resource WHERE publication_id = (SELECT max(p.publication_id)"
            " FROM ops.publication AS p WHERE p.build = {build} AND p.publication_id < {publication})"
        ).format(names=names, publication=sql.Literal(publication), build=sql.Literal(build))
    )


def entries(conn: psycopg.Connection) -> list[tuple[Entry, list[Item]]]:
    """The catalogue of the current publication: each resource with its columns, by name."""
    items: dict[str, list[Item]] = {}
    with conn.transaction():
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        with conn.cursor(row_factory=class_row(Entry)) as cursor:
            found = cursor.execute(_select(Entry, "share_catalogue", "resource")).fetchall()
        with conn.cursor(row_factory=class_row(Item)) as cursor:
            for item in cursor.execute(_select(Item, "share_catalogue_item", "resource, position")):
                items.setdefault(item.resource, []).append(item)
    return [(entry, items.get(entry.resource, [])) for entry in found]


def _select(row: type[Entry | Item], view: str, order: str) -> sql.Composed:
    names = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(row))
    return sql.SQL("SELECT {} FROM {} ORDER BY {}").format(names, sql.Identifier("ops", view), sql.SQL(order))


def elements(conn: psycopg.Connection, publication: int, declared: Declaration) -> dict[str, Any]:
    """The elements of the catalogue for the resource of a share, as they stand in the manifest of its extract.

    They follow from the publication and the share alone, so that an extract that is written again has equal bytes.
    """
    row = conn.execute("SELECT published_at FROM ops.publication WHERE publication_id = %s", [publication]).fetchone()
    with conn.cursor(row_factory=class_row(Resource)) as cursor:
        names = sql.SQL(", ").join(sql.Identifier(field.name) for field in fields(Resource))
        resource = cursor.execute(
            sql.SQL("SELECT {} FROM ops.catalogue_resource WHERE publication_id = %s AND resource = %s").format(names),
            [publication, declared.resource],
        ).fetchone()
    if row is None or resource is None:
        return {}
    described = {name: value for name, value in asdict(resource).items() if name not in ("is_offered", "attribute")}
    access = resource.attribute or declared.attribute
    return properties(Entry(**described, access=access, schema_name=declared.schema, published_at=row[0]))


def properties(entry: Entry) -> dict[str, Any]:
    """The elements of the catalogue as properties of a Data Package; its columns are the schema of its resources."""
    return {
        "id": entry.identifier,
        "title": entry.label_zh,
        "title_en": entry.label_en,
        "keywords": [entry.schema_name, *entry.subject_labels],
        "description": entry.description,
        "contributors": [{"title": entry.provider_name, "roles": ["publisher"], "uscc": entry.provider_code}],
        "formats": entry.formats,
        "access": entry.access,
        "conditions": {"purposes": entry.purposes, "basis": entry.basis_kinds},
        "serve": entry.serve,
        "open": entry.is_open,
        "frequency": entry.frequency,
        "created": timestamp(entry.published_at),
        "sources": [{"title": source, "path": source} for source in entry.sources],
        "classification": entry.classification,
    }


def timestamp(moment: datetime) -> str:
    """A moment as the catalogue writes it: China's time, to the second."""
    return moment.astimezone(CHINA).isoformat(timespec="seconds")

"""The catalogue as files in the outbox: DCAT 3 (JSON-LD), and a Data Package of Data Packages.

``catalogue/catalogue.jsonld`` and ``catalogue/datapackage.json``, beside a folder for each resource with its own
``datapackage.json``. They describe what may be shared and hold no data.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from warehouse import whole_file
from warehouse.sharing import catalogue, outbox
from warehouse.sharing.catalogue import Entry, Item
from warehouse.sharing.tables import OutputColumn

#: Folder below the outbox. Folders of recipients are named by six digits.
FOLDER = "catalogue"
JSON_LD = "catalogue.jsonld"
_PROFILE = "https://datapackage.org/profiles/2.0/datapackage.json"
_DATABASE = "database"
_MEDIA_TYPES = {
    "csv": "https://www.iana.org/assignments/media-types/text/csv",
    "parquet": "https://www.iana.org/assignments/media-types/application/vnd.apache.parquet",
}
#: Dublin Core's terms for the frequencies of contracts (ISO 8601 durations).
_FREQUENCIES = {"P1D": "daily", "P1W": "weekly", "P1M": "monthly", "P3M": "quarterly", "P1Y": "annual"}
#: What the national catalogue calls the ways of sharing.
_ACCESS_LABELS = {"unconditional": "无条件共享", "conditional": "有条件共享", "none": "不予共享"}
_CONTEXT: dict[str, Any] = {
    "dcat": "http://www.w3.org/ns/dcat#",
    "dct": "http://purl.org/dc/terms/",
    "foaf": "http://xmlns.com/foaf/0.1/",
    "skos": "http://www.w3.org/2004/02/skos/core#",
    "rdfs": "http://www.w3.org/2000/01/rdf-schema#",
    "csvw": "http://www.w3.org/ns/csvw#",
    "xsd": "http://www.w3.org/2001/XMLSchema#",
}

Described = Sequence[tuple[Entry, Sequence[Item]]]


def write(conn: psycopg.Connection, folder: Path) -> list[Path]:
    """Write the catalogue of the current publication below the outbox; returns the files, none before the first one.

    Each file appears whole. What lists others comes after them, and resources that left the catalogue go last.
    """
    described = catalogue.entries(conn)
    if not described:
        return []
    root = folder / FOLDER
    packages = [(entry, data_package(entry, items)) for entry, items in described]
    contents = {f"{entry.resource}/{outbox.MANIFEST}": package for entry, package in packages}
    contents[JSON_LD] = dcat(described)
    contents[outbox.MANIFEST] = package_of_packages([entry for entry, _ in described])
    for path, content in contents.items():
        _write(root / path, content)
    for stale in sorted(path for path in root.iterdir() if path.is_dir()):
        if f"{stale.name}/{outbox.MANIFEST}" not in contents:
            shutil.rmtree(stale)
    return [root / path for path in contents]


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write_text(path, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def package_of_packages(entries: Sequence[Entry]) -> dict[str, Any]:
    """The Data Package whose resources are the Data Packages of the resources."""
    return {
        "$schema": _PROFILE,
        "name": FOLDER,
        "title": "工会数据资源共享目录",
        "description": "Catalogue of the resources that may be shared. 可共享的数据资源目录。",
        "created": catalogue.timestamp(entries[0].published_at),
        "resources": [
            {
                "name": _name(entry),
                "title": entry.label_zh,
                "path": f"{entry.resource}/{outbox.MANIFEST}",
                "profile": "data-package",
                "format": "json",
                "mediatype": "application/json",
                "encoding": "utf-8",
            }
            for entry in entries
        ],
    }


def data_package(entry: Entry, items: Sequence[Item]) -> dict[str, Any]:
    """The Data Package of one resource: a table without rows for each format in which it is given out."""
    fields = [_field(item) for item in items]
    return {
        "$schema": _PROFILE,
        "name": _name(entry),
        **catalogue.properties(entry),
        "resources": [
            {
                "name": format_,
                "title": entry.label_zh,
                "data": [],
                "format": format_,
                "schema": {"fields": fields},
            }
            for format_ in entry.formats
        ],
    }


def _name(entry: Entry) -> str:
    return entry.resource.replace(".", "-").replace("_", "-")


def _field(item: Item) -> dict[str, Any]:
    column = OutputColumn(item.column_name, item.data_type, item.label, item.description)
    more = {"unit": item.unit, "codeList": item.code_list, "classification": item.classification}
    return column.field() | {key: value for key, value in more.items() if value is not None}


def dcat(described: Described) -> dict[str, Any]:
    """The catalogue as DCAT 3, in JSON-LD."""
    newest = described[0][0]
    return {
        "@context": _CONTEXT,
        "@id": "urn:union-data-warehouse:catalogue",
        "@type": "dcat:Catalog",
        "dct:title": _both("Catalogue of shared union data", "工会数据资源共享目录"),
        "dct:description": _both("Resources that may be shared, and how.", "可共享的数据资源及其共享方式。"),
        "dct:language": ["zh", "en"],
        "dct:publisher": _publisher(newest),
        "dct:modified": _moment(newest),
        "dcat:dataset": [_dataset(entry, items) for entry, items in described],
    }


def _dataset(entry: Entry, items: Sequence[Item]) -> dict[str, Any]:
    english, chinese = catalogue.languages(entry.description)
    themes = [(entry.schema_name, None), *zip(entry.subject_areas, entry.subject_labels, strict=True)]
    rights = {"dct:rights": _rights("; ".join([*entry.purposes, *entry.basis_kinds]))} if entry.purposes else {}
    frequency = _FREQUENCIES.get(entry.frequency or "", "irregular")
    return {
        "@id": _iri(entry.resource),
        "@type": "dcat:Dataset",
        "dct:identifier": entry.identifier,
        "dct:title": _both(entry.label_en, entry.label_zh),
        "dct:description": _both(english, chinese),
        "dcat:theme": [_theme(name, label) for name, label in themes],
        "dcat:keyword": [{"@value": label, "@language": "zh"} for label in entry.subject_labels],
        "dct:publisher": _publisher(entry),
        "dct:accessRights": [
            _rights(entry.access, _ACCESS_LABELS[entry.access]),
            _rights("open" if entry.is_open else "not open", "开放" if entry.is_open else "不开放"),
            _rights(entry.classification),
        ],
        **rights,
        "dct:accrualPeriodicity": {
            "@id": f"http://purl.org/cld/freq/{frequency}",
            "@type": "dct:Frequency",
        },
        "dct:issued": _moment(entry),
        "dct:modified": _moment(entry),
        "dct:source": [{"@id": _iri(source)} for source in entry.sources],
        "dcat:distribution": [_distribution(entry, format_) for format_ in entry.formats],
        "csvw:tableSchema": {"@type": "csvw:Schema", "csvw:column": {"@list": [_column(item) for item in items]}},
    }


def _distribution(entry: Entry, format_: str) -> dict[str, Any]:
    serving, serving_zh = ("view", "数据库视图") if format_ == _DATABASE else ("extract", "数据文件")
    return {
        "@id": f"{_iri(entry.resource)}:{format_}",
        "@type": "dcat:Distribution",
        "dct:title": _both(f"{serving}, {format_}", f"{serving_zh}（{format_}）"),
        "dct:format": {"@type": "dct:MediaTypeOrExtent", "rdfs:label": format_},
        **({"dcat:mediaType": {"@id": _MEDIA_TYPES[format_]}} if format_ in _MEDIA_TYPES else {}),
    }


def _column(item: Item) -> dict[str, Any]:
    node = {
        "@type": "csvw:Column",
        "csvw:name": item.column_name,
        "csvw:title": {"@value": item.label, "@language": "zh"},
        "csvw:datatype": item.data_type,
        "dct:description": item.description,
        "dct:accessRights": _rights(item.classification),
    }
    if item.unit is not None:
        node["dct:extent"] = {"@type": "dct:SizeOrDuration", "rdfs:label": item.unit}
    if item.code_list is not None:
        node["dct:conformsTo"] = {"@id": f"urn:union-data-warehouse:code-list:{item.code_list}"}
    return node


def _theme(name: str, label: str | None) -> dict[str, Any]:
    labels = [{"@value": name, "@language": "en"}, *([{"@value": label, "@language": "zh"}] if label else [])]
    return {"@id": f"urn:union-data-warehouse:theme:{name}", "@type": "skos:Concept", "skos:prefLabel": labels}


def _publisher(entry: Entry) -> dict[str, Any]:
    return {
        "@id": f"urn:uscc:{entry.provider_code}",
        "@type": "foaf:Organization",
        "foaf:name": entry.provider_name,
        "dct:identifier": entry.provider_code,
    }


def _rights(*labels: str) -> dict[str, Any]:
    return {"@type": "dct:RightsStatement", "rdfs:label": labels[0] if len(labels) == 1 else list(labels)}


def _both(english: str, chinese: str) -> list[dict[str, str]]:
    texts = (("en", english), ("zh", chinese))
    return [{"@value": text, "@language": language} for language, text in texts if text]


def _moment(entry: Entry) -> dict[str, str]:
    return {"@value": catalogue.timestamp(entry.published_at), "@type": "xsd:dateTime"}


def _iri(resource: str) -> str:
    return f"urn:union-data-warehouse:{resource}"

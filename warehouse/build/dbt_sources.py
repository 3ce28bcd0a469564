"""Generates the files of the dbt project that follow from the contracts.

These are the sources with their tables, the names and types of the code lists, and the macros that list feeds and code
lists. Run ``make generate`` after a change of a contract; running it again changes nothing.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ingest.contracts import Contracts, Feed, load
from ingest.contracts.model import Role
from ingest.landing import tables

#: The dbt project beside this package.
PROJECT = Path(__file__).parents[2] / "dbt_project"

_WRITTEN = "Written by `make generate` from ingest/contracts: change those, not this file."
_HEADER = f"# {_WRITTEN}\n"

#: Descriptions of the columns that landing tables have besides those of the contract.
_LANDING_COLUMNS = {
    "delivery_id": "The delivery the row came with. 所属交付。",
    "file_no": "Place of the file in the delivery's manifest. 文件在清单中的序号。",
    "line_number": "Line of the row in its file, from 1. 行在文件中的行号，从1起。",
    "content_hash": "Hash of the row's cleaned contract columns. 清洗后合同列的散列值。",
    "person_key": "Keyed hash of the identity number; the same person has one key in all sources. "
    "证件号码的带密钥散列；同一人在各来源中相同。",
    "person_sex": "Sex: by the number of a resident, else by the column; 1 male, 2 female. "
    "性别：1男2女，居民证件以号码为准。",
    "person_birth_year": "Year of birth: by the number of a resident, else by the column. "
    "出生年份，居民证件以号码为准。",
}


def documents(contracts: Contracts) -> Iterator[tuple[Path, str]]:
    """Path below the dbt project, and text, of every generated file."""
    yield Path("macros", "contracts.sql"), _macros(contracts)
    yield Path("seeds", "code_list.csv"), _code_lists(contracts)
    yield Path("seeds", "_codes__seeds.yml"), _HEADER + _dump(_seeds(contracts))
    for source in contracts.sources:
        body = {
            "version": 2,
            "sources": [
                {
                    "name": source,
                    "description": _bilingual(f"Rows of {source} deliveries, as landed.", f"{source} 交付的落地行。"),
                    "schema": tables.SCHEMA,
                    "tables": [_table(feed) for feed in contracts.of_source(source)],
                }
            ],
        }
        yield Path("models", "staging", source, f"_{source}__sources.yml"), _HEADER + _dump(body)


def write(contracts: Contracts, project: Path = PROJECT) -> list[Path]:
    """Write the generated files below ``project``; returns those that changed."""
    changed = []
    for relative, text in documents(contracts):
        path = project / relative
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed


def _dump(body: dict[str, Any]) -> str:
    return yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)


def _macros(contracts: Contracts) -> str:
    """Macros that return lists of feeds, code lists and sources."""
    feeds = [feed for _, feed in sorted(contracts.feeds.items())]
    snapshots = [source for source in contracts.sources if contracts.has_snapshots(source)]
    macros = [
        _macro(
            "person_feeds",
            "Staging models of the feeds that carry an identity number; each has person_key, sex, birth_year.",
            _list(f"'stg_{feed.source}__{feed.name}'" for feed in feeds if feed.has_person),
        ),
        _macro(
            "organisation_references",
            "Staging models of the feeds whose rows name a union organisation, each with the column that does.",
            _list(
                f"('stg_{feed.source}__{feed.name}', '{column.name}')"
                for feed in feeds
                if (column := feed.role(Role.ORGANISATION)) is not None and feed.keys != (column,)
            ),
        ),
        _macro(
            "code_lists",
            "The code lists of the contracts; each is a seed.",
            _list(map(repr, sorted(contracts.code_lists))),
        ),
        _macro(
            "free_texts",
            "Columns whose texts do not land: the texts that have a code, and what lands for every other one.",
            "{" + "".join(_free_texts(feeds)) + "\n    }",
        ),
        _macro("snapshot_sources", "Sources whose senders deliver complete registers.", _list(map(repr, snapshots))),
    ]
    return "\n".join([f"{{# {_WRITTEN} #}}", *macros])


def _free_texts(feeds: Iterable[Feed]) -> Iterator[str]:
    for feed in feeds:
        for column in feed.columns:
            if column.is_free_text and column.code_list is not None:
                known = {text: code for text, code in column.code_list.spellings.items() if text != code}
                yield f"\n        '{feed.table}.{column.name}': {{"
                yield f"\n            'codes': {list(column.code_list.codes)!r},"
                yield f"\n            'texts': {known!r},"
                yield f"\n            'other': {column.other_code!r},\n        }},"


def _macro(name: str, description: str, value: str) -> str:
    return f"\n{{# {description} #}}\n{{% macro {name}() %}}\n    {{{{ return({value}) }}}}\n{{% endmacro %}}\n"


def _list(items: Iterable[str]) -> str:
    return "[" + "".join(f"\n        {item}," for item in items) + "\n    ]"


def _code_lists(contracts: Contracts) -> str:
    """The seed with the names of the code lists, as CSV."""
    sink = io.StringIO(newline="")
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["list", "label", "label_en", "standard"])
    for name, code_list in sorted(contracts.code_lists.items()):
        writer.writerow([name, code_list.label, code_list.label_en, code_list.standard])
    return sink.getvalue()


def _seeds(contracts: Contracts) -> dict[str, Any]:
    """Properties of the seeds: codes are text with leading zeros, which dbt would read as numbers."""
    return {
        "version": 2,
        "seeds": [
            {
                "name": name,
                "description": _bilingual(
                    f"Codes: {code_list.label_en} ({code_list.standard}).", f"代码清单：{code_list.label}。"
                ),
                "config": {"column_types": dict(code_list.types)},
            }
            for name, code_list in sorted(contracts.code_lists.items())
        ],
    }


def _table(feed: Feed) -> dict[str, Any]:
    return {
        "name": feed.table,
        "description": _bilingual(feed.description, feed.description_zh),
        "config": {
            "meta": {
                "label": feed.label,
                "kind": feed.kind,
                "contract": f"{feed.source}.{feed.name} {feed.version}",
                "purpose": feed.purpose,
                "retention": feed.retention,
            }
        },
        "columns": [_column(feed, name, kind) for name, kind in tables.columns(feed).items()],
    }


def _column(feed: Feed, name: str, kind: str) -> dict[str, Any]:
    column = feed.by_name.get(name)
    if column is None:
        classification = "personal" if name in tables.PERSON else "internal"
        return {
            "name": name,
            "description": _LANDING_COLUMNS[name],
            "data_type": kind,
            "config": {"meta": {"classification": classification}},
        }
    meta = {"label": column.label, "classification": column.landed_classification}
    if column.role is not None:
        meta["role"] = str(column.role)
    if column.code_list is not None:
        meta["code_list"] = column.code_list.name
    return {
        "name": name,
        "description": _bilingual(column.description, column.description_zh),
        "data_type": kind,
        "config": {"meta": meta},
    }


def _bilingual(english: str, chinese: str) -> str:
    return f"{english} {chinese}".strip()


def main(project: Annotated[Path, typer.Option(help="The dbt project to write into.")] = PROJECT) -> None:
    """Write the files of the dbt project that follow from the contracts."""
    for path in write(load(), project):
        typer.echo(f"written: {path}")


if __name__ == "__main__":
    typer.run(main)

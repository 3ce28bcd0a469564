"""Writes what follows from the contracts into the dbt project: one file of sources for each source.

Run ``python -m ingest.contracts.generate`` after a change of a contract; running it again changes nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml

from ingest import landing
from ingest.contracts import Contracts, Feed, load

#: The dbt project beside this package.
PROJECT = Path(__file__).parents[2] / "dbt_project"

_HEADER = "# Written by `python -m ingest.contracts.generate` from ingest/contracts: change those, not this file.\n"

#: What the columns say that landing adds to those of a contract.
_ADDED = {
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
    """Path below the dbt project and text of every generated file."""
    for source in contracts.sources:
        body = {
            "version": 2,
            "sources": [
                {
                    "name": source,
                    "description": _both(f"Rows of {source} deliveries, as landed.", f"{source} 交付的落地行。"),
                    "schema": landing.SCHEMA,
                    "tables": [_table(feed) for feed in contracts.of_source(source)],
                }
            ],
        }
        text = yaml.safe_dump(body, sort_keys=False, allow_unicode=True, width=120)
        yield Path("models", "staging", source, f"_{source}__sources.yml"), _HEADER + text


def write(contracts: Contracts, project: Path = PROJECT) -> list[Path]:
    """Writes the generated files below ``project``; returns those whose text was not yet there."""
    changed = []
    for relative, text in documents(contracts):
        path = project / relative
        if not path.exists() or path.read_text("utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
            changed.append(path)
    return changed


def _table(feed: Feed) -> dict[str, Any]:
    return {
        "name": feed.table,
        "description": _both(feed.description, feed.description_zh),
        "config": {
            "meta": {
                "label": feed.label,
                "kind": feed.kind,
                "contract": f"{feed.source}.{feed.name} {feed.version}",
                "purpose": feed.purpose,
                "retention": feed.retention,
            }
        },
        "columns": [_column(feed, name, kind) for name, kind in landing.columns(feed).items()],
    }


def _column(feed: Feed, name: str, kind: str) -> dict[str, Any]:
    column = feed.by_name.get(name)
    if column is None:
        classification = "personal" if name in landing.PERSON else "internal"
        return {
            "name": name,
            "description": _ADDED[name],
            "data_type": kind,
            "config": {"meta": {"classification": classification}},
        }
    meta = {"label": column.label, "classification": column.classification}
    if column.code_list is not None:
        meta["code_list"] = column.code_list.name
    return {
        "name": name,
        "description": _both(column.description, column.description_zh),
        "data_type": kind,
        "config": {"meta": meta},
    }


def _both(english: str, chinese: str) -> str:
    return f"{english} {chinese}".strip()


def main(project: Annotated[Path, typer.Option(help="The dbt project to write into.")] = PROJECT) -> None:
    """Writes the dbt sources that follow from the contracts."""
    for path in write(load(), project):
        typer.echo(f"written: {path}")


if __name__ == "__main__":
    typer.run(main)

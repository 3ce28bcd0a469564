"""What a publication consists of: read from a manifest, kept with the publication."""

import json
from pathlib import Path
from typing import Any

import psycopg

from ingest import contracts
from warehouse.sharing import lineage


def node(alias: str, publish: str | None, columns: dict[str, dict[str, Any]], *parents: str) -> dict[str, Any]:
    return {
        "name": alias,
        "alias": alias,
        "resource_type": "model",
        "description": f"{alias}. 说明。",
        "config": {"meta": {"publish": publish} if publish else {}},
        "columns": {
            name: {"data_type": "text", "description": f"The {name}. 列。", "config": {"meta": {}}} | column
            for name, column in columns.items()
        },
        "depends_on": {"nodes": list(parents)},
    }


def source(source_name: str, table: str) -> dict[str, Any]:
    return {"resource_type": "source", "source_name": source_name, "name": table}


def unique(model: str, *columns: str) -> dict[str, Any]:
    return {
        "resource_type": "test",
        "name": f"unique_{model}",
        "config": {},
        "attached_node": model,
        "test_metadata": {
            "name": "unique_combination_of_columns",
            "kwargs": {"combination_of_columns": list(columns)},
        },
    }


def manifest(tmp_path: Path) -> Path:
    marked = {"config": {"meta": {"classification": "health"}}}
    content = {
        "nodes": {
            "model.list": node(
                "list",
                "casework",
                {"person_key": {}, "status": {}, "sender": {}, "sum": {}, "ill": marked},
                "model.between",
                "source.ledger",
            ),
            "model.union": node(
                "union",
                "core",
                {"org_code": {}, "employer_name": {}, "guess": {}},
                "source.organisation",
                "source.spell",
            ),
            "model.mart": node(
                "mart", "marts", {"month": {}, "status": {}, "is_suppressed": {}}, "model.list", "model.between"
            ),
            "model.between": node("between", None, {}, "source.member", "model.union"),
            "test.list": unique("model.list", "person_key"),
            "test.mart": unique("model.mart", "month", "status"),
        },
        "sources": {
            "source.member": source("membership", "membership_member"),
            "source.organisation": source("membership", "membership_organisation"),
            "source.spell": source("employment", "employment_employment_spell"),
            "source.ledger": source("ops", "delivery"),
        },
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


def test_sources_upstream_keys_and_classes(tmp_path: Path) -> None:
    found = {one.relation: one for one in lineage.read_manifest(manifest(tmp_path), contracts.load())}
    assert set(found) == {"casework.list", "core.union", "marts.mart"}
    people, union, mart = found["casework.list"], found["core.union"], found["marts.mart"]
    assert people.sources == ("employment", "membership")
    assert people.feeds == ("employment.employment_spell", "membership.member", "membership.organisation")
    assert people.upstream == ("core.union",)
    assert mart.upstream == ("casework.list", "core.union")
    assert (people.keys, mart.keys) == (("person_key",), ("month", "status"))
    assert (people.has_persons, union.has_persons) == (True, False)
    assert [one.relation for one in found.values() if one.hides_small_cells] == ["marts.mart"]
    classes = {name: column.classification for name, column in people.by_name.items()}
    assert classes == {
        "person_key": "personal",
        "status": "personal",
        "sender": "internal",
        "sum": "personal",
        "ill": "health",
    }
    # an employer of a union is no employer of a person
    assert {column.classification for column in union.columns} == {"internal"}
    assert {column.classification for column in mart.columns} == {"internal"}
    assert people.by_name["sum"].title == "列"
    organisation = contracts.load().feeds[("membership", "organisation")]
    assert union.by_name["org_code"].title == organisation.by_name["org_code"].label


def test_it_is_kept_with_the_publication_and_comes_back_with_its_build(
    warehouse: psycopg.Connection, tmp_path: Path
) -> None:
    relations = lineage.read_manifest(manifest(tmp_path), contracts.load())
    for number, build in ((1, "build_a"), (2, "build_b"), (3, "build_a")):
        warehouse.execute(
            "INSERT INTO ops.publication (publication_id, build, deliveries, row_counts, ledger_hash, is_current)"
            " VALUES (%s, %s, '{}', '{}', '', false)",
            [number, build],
        )
    lineage.record(warehouse, 1, relations)
    lineage.record(warehouse, 2, relations[:1])
    lineage.repeat(warehouse, 3, "build_a")
    assert lineage.read(warehouse, 3) == {one.relation: one for one in relations}
    assert set(lineage.read(warehouse, 2)) == {relations[0].relation}

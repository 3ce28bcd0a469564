"""The dbt project keeps to its own layers: what its parsed manifest says of models, sources, tests and descriptions."""

import json
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tests.worlds import PROJECT
from warehouse.build import dbt_graph, selection
from warehouse.build.dbt import PROFILE
from warehouse.build.runner import GUARDED_BY_INDEX

Node = dict[str, Any]
PREFIXES = {"staging": "stg_", "intermediate": "int_"}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Node:
    """Parsed without a database."""
    from dbt.cli.main import dbtRunner

    target = tmp_path_factory.mktemp("dbt")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HOST", "USER", "PASSWORD", "DBNAME"):
            patch.setenv(f"WAREHOUSE_DBT_{name}", "none")
        patch.setenv("WAREHOUSE_DBT_PORT", "1")
        patch.setenv("WAREHOUSE_DBT_THREADS", "1")
        places = ("--project-dir", str(PROJECT), "--profiles-dir", str(PROFILE), "--target-path", str(target))
        result = dbtRunner().invoke(["--quiet", "--log-level-file", "none", "parse", *places])
    assert result.success, result.exception
    found: Node = json.loads((target / "manifest.json").read_text("utf-8"))
    return found


@pytest.fixture
def models(manifest: Node) -> dict[str, Node]:
    return {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}


def folder(node: Node) -> PurePosixPath:
    """Where a node is written, below the project's models."""
    return PurePosixPath(Path(node["original_file_path"]).as_posix()).parent.relative_to("models")


def layer(node: Node) -> str:
    return folder(node).parts[0]


def test_each_source_is_read_by_one_staging_model_and_by_nothing_else(manifest: Node, models: dict[str, Node]) -> None:
    readers: dict[str, list[str]] = {source: [] for source in manifest["sources"]}
    wrong = []
    for key, node in models.items():
        parents = node["depends_on"]["nodes"]
        sources = [parent for parent in parents if parent.startswith("source.")]
        for source in sources:
            readers[source].append(key)
        if (layer(node) == "staging") != (len(sources) == 1) or (sources and len(parents) > 1):
            wrong.append(node["name"])
    assert wrong == [], "staging reads one source and no model; nothing else reads a source"
    assert [source for source, of in readers.items() if len(of) != 1] == []


def test_a_model_is_made_of_the_sources_whose_deliveries_it_reads(manifest: Node, models: dict[str, Node]) -> None:
    """Otherwise a build would leave it out where only these deliveries have changed."""
    sources = selection.sources_of_models(dbt_graph.from_manifest(manifest))
    named = {key: set(re.findall(r"\bsource *= *'(\w+)'", node["raw_code"])) for key, node in models.items()}
    assert sum(bool(names) for names in named.values()) >= 10
    assert [models[key]["name"] for key, names in named.items() if not names <= sources[key]] == []


def test_names_and_folders_tell_the_layer(manifest: Node, models: dict[str, Node]) -> None:
    wrong = [
        node["name"]
        for node in models.values()
        if {prefix: node["name"].startswith(prefix) for prefix in PREFIXES.values()}
        != {prefix: layer(node) == of for of, prefix in PREFIXES.items()}
        # a description, and so its tests, stands beside its model
        or PurePosixPath(node["patch_path"].partition("://")[2]).parent.relative_to("models") != folder(node)
    ]
    assert wrong == []
    assert [one["name"] for one in manifest["sources"].values() if folder(one).name != one["source_name"]] == []


def test_every_model_has_a_test_of_its_key(manifest: Node, models: dict[str, Node]) -> None:
    tests: dict[str, set[tuple[str, str | None]]] = {key: set() for key in models}
    for node in manifest["nodes"].values():
        if node["resource_type"] == "test" and node.get("attached_node") in tests:
            tests[node["attached_node"]].add((node["test_metadata"]["name"], node["column_name"]))
    for key, node in models.items():
        for column in node["columns"].values():
            tests[key] |= {(constraint["type"], column["name"]) for constraint in column["constraints"]}
    keyless = [
        models[key]["name"]
        for key, told in tests.items()
        if not any(
            name == "unique_combination_of_columns" or (name == "unique" and ("not_null", column) in told)
            for name, column in told
        )
    ]
    assert keyless == []


def test_a_unique_index_guards_each_key_that_builds_do_not_test(manifest: Node, models: dict[str, Node]) -> None:
    """``warehouse.build.runner.GUARDED_BY_INDEX``; keys that only the weekly run tests say so."""
    names = {name.partition(":")[2] for name in GUARDED_BY_INDEX}
    bare = []
    for node in manifest["nodes"].values():
        test = node.get("test_metadata") or {}
        model = models.get(node.get("attached_node") or "")
        if model is None or test.get("name") not in names or "weekly" in node["tags"]:
            continue
        key = test["kwargs"].get("combination_of_columns") or [test["kwargs"]["column_name"]]
        unique = [sorted(index["columns"]) for index in model["config"].get("indexes") or [] if index.get("unique")]
        if sorted(key) not in unique:
            bare.append(model["name"])
    assert bare == []


def test_everything_is_described_in_both_languages(manifest: Node, models: dict[str, Node]) -> None:
    nodes = [*models.values(), *manifest["sources"].values()]
    texts = {(node["name"], ""): node["description"] for node in nodes}
    texts |= {
        (node["name"], column["name"]): column["description"] for node in nodes for column in node["columns"].values()
    }
    texts |= {(node["source_name"], "source"): node["source_description"] for node in manifest["sources"].values()}
    both = re.compile("[a-zA-Z].*[\u4e00-\u9fff]|[\u4e00-\u9fff].*[a-zA-Z]", re.DOTALL)
    assert [what for what, text in texts.items() if not both.search(text)] == []


def test_what_is_published_is_public_under_a_contract_and_nothing_else_is(models: dict[str, Node]) -> None:
    for node in models.values():
        published = "publish" in node["config"]["meta"]
        assert published == (layer(node) in ("core", "marts", "casework")), node["name"]
        assert published == (node["access"] == "public"), node["name"]
        assert published == node["config"]["contract"]["enforced"], node["name"]


def test_no_relation_is_written_by_its_name(models: dict[str, Node]) -> None:
    """A name that follows FROM or JOIN with a dot in it would hide an edge of the graph."""
    named = re.compile(r"\b(?:from|join)\s+[a-z_]+\.[a-z_]", re.IGNORECASE)
    assert [node["name"] for node in models.values() if named.search(re.sub("--.*", "", node["raw_code"]))] == []


def test_days_and_months_are_counted_by_the_macro(models: dict[str, Node]) -> None:
    wrong = [node["name"] for node in models.values() if "generate_series" in node["raw_code"]]
    assert wrong == [], "a series of dates is counted in the session's zone: use the macro every()"


def test_a_view_that_builds_leave_alone_stands_on_no_table_that_they_replace(models: dict[str, Node]) -> None:
    """dbt's ``table`` drops the old table and the views on it; a view with the tag ``static`` is not made again."""
    wrong = [
        (node["name"], models[parent]["name"])
        for node in models.values()
        if node["config"]["materialized"] == "view" and "static" in node["config"]["tags"]
        for parent in node["depends_on"]["nodes"]
        if parent in models
        and models[parent]["config"]["materialized"] == "table"
        and "static" not in models[parent]["config"]["tags"]
    ]
    assert wrong == []


def test_built_in_names_keep_the_meaning_that_dbt_gives_them(manifest: Node) -> None:
    """Own materializations have names of their own; every incremental model says how."""
    own, built_in = (
        {
            name.removeprefix("materialization_").rsplit("_", 1)[0]
            for name in (
                macro["name"]
                for macro in manifest["macros"].values()
                if (macro["package_name"] == "warehouse") == is_own
            )
            if name.startswith("materialization_")
        }
        for is_own in (True, False)
    )
    assert {"table", "incremental", "seed", "view"} <= built_in
    assert own
    assert own & built_in == set()


def test_building_by_changed_keys_is_one_idea(models: dict[str, Node]) -> None:
    by_name = {node["name"]: node for node in models.values()}
    inside = {name for name, node in by_name.items() if folder(node).name == "changed_keys"}
    assert inside == {name for name in by_name if name.startswith("int_changed_")}
    wrong = []
    for name, node in by_name.items():
        config = node["config"]
        keys = config.get("changed_keys")
        if keys is None:
            right = config["materialized"] != "incremental"
        else:
            right = (config["materialized"], config["incremental_strategy"]) == ("incremental", "changed_keys")
            right &= keys in inside and by_name[keys]["unique_id"] in node["depends_on"]["nodes"]
        if not right:
            wrong.append(name)
    assert wrong == []


def test_the_picture_shows_every_reference_back_to_a_published_model(models: dict[str, Node]) -> None:
    """docs/incremental-builds.md: what it draws is so, and no published model is read by another intermediate one."""
    page = (PROJECT.parent / "docs" / "incremental-builds.md").read_text("utf-8")
    picture = re.search(r"```mermaid\n(.*?)```", page, re.DOTALL)
    assert picture is not None
    chains = [line.split(" --> ") for line in map(str.strip, picture[1].splitlines()) if " --> " in line]
    drawn = {(one, two) for chain in chains for one, two in pairwise(chain)}
    edges = {
        (models[parent]["name"], node["name"])
        for node in models.values()
        for parent in node["depends_on"]["nodes"]
        if parent in models
    }
    assert drawn - edges == set()
    layers = {node["name"]: layer(node) for node in models.values()}
    back = {(one, two) for one, two in edges if layers[two] == "intermediate" and layers[one] not in PREFIXES}
    assert back
    assert back - drawn == set()


def test_published_models_say_overview_key_rules_and_an_example(models: dict[str, Node]) -> None:
    parts = ("Overview 概述: ", "Grain and key 粒度与键: ", "Rules 规则: ", "Example query 查询示例: ")
    wrong = []
    for node in models.values():
        if "publish" not in node["config"]["meta"]:
            continue
        paragraphs = node["description"].split("\n\n")
        both = all(re.search("[a-z]", text) and re.search("[\u4e00-\u9fff]", text) for text in paragraphs[:4])
        headed = [text.startswith(part) for text, part in zip(paragraphs, parts, strict=False)] == [True] * 4
        # as a comment in the database it is read as it is written
        if not (both and headed and paragraphs[4].startswith("    select ") and "**" not in node["description"]):
            wrong.append(node["name"])
    assert wrong == []


def test_what_several_columns_say_stands_once(models: dict[str, Node]) -> None:
    files = {PROJECT / node["patch_path"].partition("://")[2] for node in models.values() if layer(node) != "staging"}
    written = Counter(
        text
        for path in files
        for text in re.findall(r'^ {8}description: "([^{].*)"$', path.read_text("utf-8"), re.MULTILINE)
    )
    assert [text for text, times in written.items() if times > 1] == []

"""The files that follow from the contracts: of the dbt project, and the page of what a contract may say."""

import re
from pathlib import Path

import yaml

from ingest.contracts import Kind, Role, load
from ingest.contracts.properties import KINDS, ROLES, RULES
from ingest.landing import tables as landing
from tests.made_up import column, copy_of_contracts, person, write_feed, write_list, write_source
from warehouse.build import dbt_metrics
from warehouse.build.dbt_sources import PROJECT, documents, write
from warehouse.documentation import contract_page


def test_the_committed_files_follow_from_the_contracts() -> None:
    stale = [path for path, text in documents(load()) if (PROJECT / path).read_text("utf-8") != text]
    assert stale == [], "run: make generate"


def test_the_committed_metrics_are_those_of_the_seed() -> None:
    assert (PROJECT / dbt_metrics.PAGE).read_text("utf-8") == dbt_metrics.document(), "run: make generate"
    stated = yaml.safe_load(dbt_metrics.document())["metrics"]
    assert [one["name"] for one in stated] == list(dbt_metrics.labels())
    for one in stated:
        assert re.search("[a-z].*[\u4e00-\u9fff]", one["description"]), one["name"]


def test_the_committed_page_says_what_the_loader_reads() -> None:
    assert contract_page.PAGE.read_text("utf-8") == contract_page.page(), "run: make generate"


def test_the_page_explains_every_kind_and_role() -> None:
    assert KINDS.keys() == set(Kind)
    assert ROLES.keys() == set(Role)
    for text in (*KINDS.values(), *ROLES.values()):
        assert re.search("[a-z].*[\u4e00-\u9fff]", text), text
    rules = {f"| `rule` | `{name}` | required | `{name}` |" for name in RULES}
    lines = [line for line in contract_page.page().splitlines() if line.startswith("| `") and line not in rules]
    assert [line for line in lines if not re.search("[\u4e00-\u9fff]", line)] == []


def test_generating_twice_gives_no_difference(tmp_path: Path) -> None:
    first = write(load(), tmp_path)
    assert len(first) == len(load().sources) + 3
    texts = {path: path.read_bytes() for path in first}
    assert write(load(), tmp_path) == []
    assert {path: path.read_bytes() for path in first} == texts


def test_sources_hold_every_landing_column_described_in_both_languages() -> None:
    tables = {
        table["name"]: table
        for path, text in documents(load())
        if path.match("*__sources.yml")
        for source in yaml.safe_load(text)["sources"]
        for table in source["tables"]
    }
    layout = landing.layout(load())
    assert set(tables) == set(layout)
    for name, columns in layout.items():
        written = tables[name]["columns"]
        assert {one["name"]: one["data_type"] for one in written} == columns
        for one in written:
            assert re.search(r"[A-Za-z]{3}", one["description"]), one["name"]
            assert re.search(r"[\u4e00-\u9fff]", one["description"]), one["name"]
            assert one["config"]["meta"]["classification"] in {"public", "internal", "personal", "health"}


def test_a_new_source_is_in_every_file(tmp_path: Path) -> None:
    root = copy_of_contracts(tmp_path / "contracts")
    write_source(root, "sport", snapshots=True)
    write_list(root, "platform", {"didi": "滴滴出行"})
    code = column("platform", "code", codeList="platform")
    write_feed(root, "sport", "run", [column("run_id", "identifier", key=True), *person(), code])
    texts = {str(path): text for path, text in documents(load(root))}
    assert "name: sport_run" in texts["models/staging/sport/_sport__sources.yml"]
    assert "'stg_sport__run'," in texts["macros/contracts.sql"]
    assert "'platform'," in texts["macros/contracts.sql"]
    assert "'sport'," in texts["macros/contracts.sql"]
    assert "platform,样例,made up,none" in texts["seeds/code_list.csv"]
    assert "platform" in {seed["name"] for seed in yaml.safe_load(texts["seeds/_codes__seeds.yml"])["seeds"]}

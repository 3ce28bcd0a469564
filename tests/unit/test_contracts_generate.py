"""The dbt sources that follow from the contracts."""

import re
import shutil
from pathlib import Path

import yaml

from ingest import landing
from ingest.contracts import ROOT, load
from ingest.contracts.generate import PROJECT, documents, write


def test_the_committed_sources_follow_from_the_contracts() -> None:
    stale = [path for path, text in documents(load()) if (PROJECT / path).read_text("utf-8") != text]
    assert stale == [], "run: python -m ingest.contracts.generate"


def test_generating_twice_gives_no_difference(tmp_path: Path) -> None:
    first = write(load(), tmp_path)
    assert len(first) == len(load().sources)
    texts = {path: path.read_bytes() for path in first}
    assert write(load(), tmp_path) == []
    assert {path: path.read_bytes() for path in first} == texts


def test_sources_hold_every_landing_column_described_in_both_languages() -> None:
    tables = {
        table["name"]: table
        for _, text in documents(load())
        for source in yaml.safe_load(text)["sources"]
        for table in source["tables"]
    }
    layout = landing.layout(load())
    assert set(tables) == set(layout)
    for name, columns in layout.items():
        written = tables[name]["columns"]
        assert {column["name"]: column["data_type"] for column in written} == columns
        for column in written:
            assert re.search(r"[A-Za-z]{3}", column["description"]), column["name"]
            assert re.search(r"[\u4e00-\u9fff]", column["description"]), column["name"]
            assert column["config"]["meta"]["classification"] in {"public", "internal", "personal", "health"}


def test_a_new_source_gets_its_file(tmp_path: Path) -> None:
    root = Path(shutil.copytree(ROOT, tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__")))
    (root / "sport").mkdir()
    text = (root / "training/fund.yaml").read_text("utf-8")
    (root / "sport/fund.yaml").write_text(text.replace("domain: training", "domain: sport"), "utf-8")
    project = tmp_path / "project"
    assert project / "models/staging/sport/_sport__sources.yml" in write(load(root), project)

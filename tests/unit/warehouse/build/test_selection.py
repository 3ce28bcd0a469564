"""A build leaves out what is made of unchanged sources alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from warehouse.build.selection import unchanged_models

#: Name of each model -> its folder, and what it reads.
MODELS = {
    "int_delivery": ("ops", ["build_delivery"]),
    "int_month_covered": ("ops", ["int_delivery"]),
    "scorecard": ("ops", ["delivery"]),
    "register": ("core", ["membership_member", "int_delivery"]),
    "int_changed_member": ("changed_keys", ["register"]),
    "int_changed_settlement": ("changed_keys", ["medical_settlement", "int_delivery"]),
    "settlement": ("core", ["int_changed_settlement", "medical_settlement"]),
    "hardship": ("casework", ["settlement", "int_changed_member"]),
    "honour": ("core", ["honours_honour", "int_delivery"]),
    "honour_month": ("marts", ["honour", "int_month_covered"]),
    "calendar": ("core", []),
}
SOURCES = {
    "build_delivery": "ops",
    "delivery": "ops",
    "membership_member": "membership",
    "medical_settlement": "medical",
    "honours_honour": "honours",
}


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """A manifest with as much of dbt's own as is read."""
    nodes: dict[str, Any] = {
        f"model.{name}": {
            "resource_type": "model",
            "name": name,
            "fqn": ["warehouse", folder, name],
            "config": {"meta": {"deliveries_of": ["membership"]} if name == "int_month_covered" else {}},
            "depends_on": {"nodes": [f"{'model' if parent in MODELS else 'source'}.{parent}" for parent in parents]},
        }
        for name, (folder, parents) in MODELS.items()
    }
    tests: dict[str, Any] = {
        f"test.of_{key}": {"resource_type": "test", "name": f"of_{node['name']}", "depends_on": {"nodes": [key]}}
        for key, node in nodes.items()
    }
    sources = {
        f"source.{table}": {
            "resource_type": "source",
            "schema": "ops" if source == "ops" else "landing",
            "source_name": source,
            "name": table,
        }
        for table, source in SOURCES.items()
    }
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"nodes": nodes | tests, "sources": sources}))
    return path


@pytest.mark.parametrize(
    ("changed", "unchanged"),
    [
        # changed keys are emptied for the models that read them, and left alone with these
        (["medical"], ["honour", "honour_month", "int_month_covered", "register"]),
        (["membership"], ["honour", "int_changed_settlement", "settlement"]),
        (["honours"], ["hardship", "int_changed_member", "int_changed_settlement", "int_month_covered", "register"]),
        (["honours", "medical", "membership"], []),
    ],
)
def test_models_of_other_sources_keep_their_rows(manifest: Path, changed: list[str], unchanged: list[str]) -> None:
    expected = {*unchanged, *(["settlement"] if changed == ["honours"] else [])}
    assert unchanged_models(manifest, changed) == sorted(expected)

"""The DAG files as Airflow reads them, in an Airflow home of their own and without a database."""

import atexit
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest

# Airflow reads its settings when it is imported first: before any test module does so.
if "AIRFLOW_HOME" not in os.environ:
    os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="airflow-")
    atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{os.environ['AIRFLOW_HOME']}/airflow.db"

FOLDER = Path(__file__).parents[2] / "dags"


def node(kind: str, name: str, *parents: str, layer: str = "marts", **more: Any) -> dict[str, Any]:
    """A node as dbt's manifest has it, as far as it is read."""
    return {
        "resource_type": kind,
        "name": name,
        "fqn": ["warehouse", layer, name],
        "config": {"materialized": more.pop("materialized", "table")},
        "depends_on": {"macros": [], **({} if kind == "seed" else {"nodes": list(parents)})},
        **more,
    }


MANIFEST = {
    "nodes": {
        "seed.warehouse.sex": node("seed", "sex", layer="seeds"),
        "model.warehouse.stg_member": node(
            "model", "stg_member", "source.warehouse.landing.member", layer="staging", materialized="view"
        ),
        "model.warehouse.inline": node(
            "model", "inline", "model.warehouse.stg_member", layer="intermediate", materialized="ephemeral"
        ),
        "model.warehouse.member": node("model", "member", "model.warehouse.inline", "seed.warehouse.sex", layer="core"),
        "model.warehouse.coverage": node("model", "coverage", "model.warehouse.member"),
        "test.warehouse.member_unique": node(
            "test", "member_unique", "model.warehouse.member", attached_node="model.warehouse.member"
        ),
        "test.warehouse.coverage_adds_up": node(
            "test", "coverage_adds_up", "model.warehouse.member", "model.warehouse.coverage"
        ),
    },
    "sources": {"source.warehouse.landing.member": {"resource_type": "source", "name": "member", "schema": "landing"}},
}


@pytest.fixture(scope="session")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("home") / "dbt" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps(MANIFEST))
    return path


@pytest.fixture(scope="session")
def dagbag(manifest: Path) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WAREHOUSE_HOME", str(manifest.parents[1]))
        return DagBag(FOLDER)


@pytest.fixture
def dag(dagbag: Any, request: pytest.FixtureRequest) -> Any:
    """The DAG named by an indirect parameter."""
    return dagbag.dags[request.param]

"""docker-compose.yml, the image and .env.example: valid, without secrets, and consistent with the code.

``tests/data/compose-spec.json`` is the JSON schema of the Compose specification (Apache-2.0), from
github.com/compose-spec/compose-spec at 170098ba07d9.
"""

import json
import re
import runpy
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest.settings import Settings

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def interpolated(value: Any) -> Any:
    """A Compose file with its variables replaced by their defaults."""
    if isinstance(value, dict):
        return {key: interpolated(item) for key, item in value.items()}
    if isinstance(value, list):
        return [interpolated(item) for item in value]
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) if isinstance(value, str) else value


def test_valid_by_the_compose_specification(compose: dict[str, Any]) -> None:
    schema = json.loads((ROOT / "tests/data/compose-spec.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(interpolated(compose))
    with pytest.raises(jsonschema.ValidationError):  # the schema does look inside services
        jsonschema.Draft7Validator(schema).validate({"services": {"x": {"imagee": "y"}}})


def test_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {"postgres", "api-server", "scheduler", "dag-processor", "triggerer"} <= set(services)
    assert services["postgres"]["image"] == "postgres:18"
    ours = [one for name, one in services.items() if name not in ("postgres", "redis")]
    assert len({one["image"] for one in ours}) == 1
    assert services["worker"]["profiles"] == services["redis"]["profiles"] == ["celery"]
    assert all(str(port).startswith("127.0.0.1:") for one in services.values() for port in one.get("ports", []))


def test_files_secrets_and_services_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for one in services.values():
        assert set(one.get("secrets", [])) <= set(compose["secrets"])
        assert set(one.get("depends_on", {})) <= set(services)
        for volume in one.get("volumes", []):
            source = interpolated(volume).split(":")[0]
            assert source in compose["volumes"] or source == "./inbox" or (ROOT / source).exists()


def test_modules_in_settings_exist(compose: dict[str, Any]) -> None:
    environment = interpolated(compose["services"]["scheduler"]["environment"])
    module, _, name = environment["AIRFLOW__CORE__EXECUTOR"].rpartition(".")
    assert (ROOT / module.replace(".", "/")).with_suffix(".py").exists()
    assert f"class {name}(" in (ROOT / module.replace(".", "/")).with_suffix(".py").read_text()


def test_no_secret_in_the_file(compose: dict[str, Any]) -> None:
    secret = {
        (name, str(value))
        for one in compose["services"].values()
        for name, value in one.get("environment", {}).items()
        if re.search("PASSWORD|SECRET|KEY|TOKEN", name)
    }
    assert secret
    assert [name for name, value in secret if not value.startswith(("/run/secrets/", "/data/"))] == []
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / ".env.example").read_text()
    assert re.findall(r"://[^\s/:]+:[^\s/@]+@", text) == ["://user:password@"]  # the made-up one of .env.example
    assert all(set(one) == {"file"} for one in compose["secrets"].values())


def test_secret_files_are_made_and_ignored(compose: dict[str, Any], tmp_path: Path) -> None:
    import subprocess

    for _ in range(2):
        subprocess.run([ROOT / "docker/make-secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {f"./secrets/{name}" for name in made} == {secret["file"] for secret in compose["secrets"].values()}
    assert Settings(notify=json.loads(made.pop("warehouse_notify"))) == Settings()
    assert len(set(made.values())) == len(made)
    assert all(len(text) >= 43 for text in made.values())
    ignored = subprocess.run(["git", "check-ignore", "secrets/warehouse_key", ".env"], cwd=ROOT, capture_output=True)
    assert ignored.stdout.split() == [b"secrets/warehouse_key", b".env"]


def test_the_entry_turns_secret_files_into_settings(
    compose: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in compose["secrets"]:
        (tmp_path / name).write_text(f"p@ss/{name}\n")
    monkeypatch.setenv("WAREHOUSE_SECRETS", str(tmp_path))
    monkeypatch.delenv("WAREHOUSE_DSN", raising=False)
    entry = runpy.run_path(str(ROOT / "docker/entrypoint.py"))
    made = entry["environment"]()
    assert made["WAREHOUSE_DSN"] == "postgresql://warehouse:p%40ss%2Fwarehouse_password@postgres:5432/warehouse"
    assert made["WAREHOUSE_KEY"] == "p@ss/warehouse_key"
    assert made["WAREHOUSE_NOTIFY"] == "p@ss/warehouse_notify"
    entry["write_passwords"](tmp_path / "airflow/passwords.json")
    assert json.loads((tmp_path / "airflow/passwords.json").read_text()) == {"admin": "p@ss/airflow_page_password"}
    (tmp_path / "warehouse_key").unlink()
    with pytest.raises(SystemExit, match="warehouse_key"):
        entry["environment"]()


def test_env_example_names_every_setting() -> None:
    text = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?(WAREHOUSE_\w+)=", text, re.MULTILINE))
    assert {f"WAREHOUSE_{name.upper()}" for name in Settings.model_fields} <= named
    in_compose = set(re.findall(r"\$\{(\w+):-", (ROOT / "docker-compose.yml").read_text()))
    assert in_compose <= named | set(re.findall(r"^#?(POSTGRES_\w+)=", text, re.MULTILINE))


def test_image_and_make_use_one_version_of_uv() -> None:
    versions = {
        re.search(r"UV_VERSION\s*:?=\s*([\d.]+)", (ROOT / name).read_text()).group(1)  # type: ignore[union-attr]
        for name in ("Makefile", "Dockerfile")
    }
    assert len(versions) == 1


def test_image_has_all_the_code() -> None:
    copied = set(re.findall(r"^COPY (\w+) ", (ROOT / "Dockerfile").read_text(), re.MULTILINE))
    assert {"ingest", "expectations", "warehouse", "dbt_project", "dags"} <= copied
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied <= allowed

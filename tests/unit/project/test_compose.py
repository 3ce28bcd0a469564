"""docker-compose.yml, the image and .env.example: valid, without secrets, and consistent with the code.

``tests/data/compose-spec.json`` is the JSON schema of the Compose specification (Apache-2.0), from
github.com/compose-spec/compose-spec at 170098ba07d9.
"""

import hashlib
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ingest.settings import Settings
from warehouse.local import server

ROOT = Path(__file__).parents[3]
COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
#: Secret -> the services that use it. A service that is added here needs a reason: what does it do with the secret?
SECRETS = {
    "postgres_password": {"postgres"},
    "warehouse_password": {"postgres", "prepare", "scheduler", "worker", "superset-prepare"},
    "airflow_password": {"postgres", "prepare", "api-server", "scheduler", "dag-processor", "triggerer"},
    "warehouse_key": {"prepare", "scheduler", "worker"},
    "warehouse_notify": {"scheduler", "worker"},
    "warehouse_openlineage": {"scheduler", "worker"},
    "warehouse_inbox_options": {"scheduler", "worker", "triggerer"},
    "airflow_page_password": {"api-server"},
    "airflow_page_key": {"api-server"},
    "airflow_jwt_secret": {"api-server", "scheduler"},
    "airflow_fernet_key": {"api-server", "scheduler", "dag-processor", "triggerer"},
    "redis_password": {"scheduler", "worker"},
    "redis_users": {"redis"},
    "superset_key": {"superset-prepare", "superset"},
    "superset_admin_password": {"superset-prepare"},
}
#: Services whose login in the database is in their volume: another service made it.
WITH_A_LOGIN_IN_THEIR_VOLUME = {"superset"}


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


def secrets_of(service: dict[str, Any]) -> set[str]:
    """Names of the secrets of a service, whichever way they are written."""
    return {one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])}


def test_services(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert {"postgres", "api-server", "scheduler", "dag-processor", "triggerer"} <= set(services)
    assert services["postgres"]["image"].startswith("postgres:18.")
    images: dict[str, set[str]] = {}
    for name, one in services.items():
        if "build" in one:
            images.setdefault(one["image"], set()).add(name)
    of_superset = {"superset-prepare", "superset"}
    assert sorted(map(sorted, images.values())) == sorted(
        map(sorted, [of_superset, set(services) - of_superset - {"postgres", "redis"}])
    )
    assert services["worker"]["profiles"] == services["redis"]["profiles"] == ["celery"]
    assert services["superset-prepare"]["profiles"] == services["superset"]["profiles"] == ["bi"]
    assert services["superset-prepare"]["volumes"] == services["superset"]["volumes"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["read_only"] is True
    assert any(mount.split(":")[0] in ("/tmp", "/data") for mount in service["tmpfs"])  # noqa: S108
    assert service["pids_limit"] > 0
    assert re.fullmatch(r"(\$\{\w+_MEMORY:-)?\d+[mg]\}?", service["mem_limit"])
    assert not {"cap_add", "privileged", "network_mode", "pid", "ipc", "devices", "env_file"} & set(service)
    assert "docker.sock" not in json.dumps(service)


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_runs_as_a_user_without_privileges(name: str) -> None:
    service = SERVICES[name]
    if "build" not in service:
        assert service["user"] not in ("root", "0", 0)
        return
    stages = re.split(r"^FROM ", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    (stage,) = [one for one in stages if one.splitlines()[0].endswith(f"AS {service['build']['target']}")]
    assert re.findall(r"^USER (\w+)$", stage, re.MULTILINE)[-1] == "warehouse"
    assert "user" not in service


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_has_its_own_secrets_alone(name: str) -> None:
    assert secrets_of(SERVICES[name]) == {secret for secret, services in SECRETS.items() if name in services}
    environment = SERVICES[name].get("environment", {})
    assert [key for key in environment if re.search("PASSWORD|SECRET|KEY|TOKEN|DSN|CONN|BROKER|RESULT", key)] == [
        key
        for key in environment
        if str(environment[key]).startswith(("/run/secrets", "/tmp/passwords"))  # noqa: S108
    ]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_on_the_networks_that_it_needs(name: str) -> None:
    service = SERVICES[name]
    assert set(service["networks"]) <= set(COMPOSE["networks"])
    # Who has the password of the queue is on its network, and nobody else.
    assert ("broker" in service["networks"]) == bool({"redis_password", "redis_users"} & secrets_of(service))
    has_login = name in WITH_A_LOGIN_IN_THEIR_VOLUME or bool(SECRETS_OF_DATABASES & secrets_of(service))
    assert ("database" in service["networks"]) == has_login
    assert all(str(port).startswith("127.0.0.1:") for port in service.get("ports", []))


SECRETS_OF_DATABASES = {"postgres_password", "warehouse_password", "airflow_password"}


def test_the_queue_has_a_network_of_its_own_without_a_way_out() -> None:
    assert SERVICES["redis"]["networks"] == ["broker"]
    assert COMPOSE["networks"]["broker"] == {"internal": True}
    assert "ports" not in SERVICES["redis"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_watched_and_waits_for_others_until_they_work(name: str) -> None:
    service = SERVICES[name]
    is_one_off = service["restart"] == "no"
    assert is_one_off or service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")
    for other, condition in service.get("depends_on", {}).items():
        expected = "service_completed_successfully" if SERVICES[other]["restart"] == "no" else "service_healthy"
        assert condition == {"condition": expected}
    # What asks Airflow's database or queue needs the secrets, which only the entry point reads.
    check = " ".join(service.get("healthcheck", {}).get("test", []))
    assert not re.search("airflow jobs|celery", check) or "docker/entrypoint.py" in check


@pytest.mark.parametrize("name", SERVICES)
def test_an_image_of_others_has_a_version_or_a_digest(name: str) -> None:
    service = SERVICES[name]
    if "build" in service:
        assert service["build"]["target"] in ("warehouse", "superset")
    else:
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?(-\w+)?(@sha256:[0-9a-f]{64})?", service["image"])
    (base,) = re.findall(r"^FROM (python\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert re.fullmatch(r"python:\d+\.\d+\.\d+-slim-bookworm(@sha256:[0-9a-f]{64})?", base)


def test_digests_are_written_as_the_registry_says(tmp_path: Path) -> None:
    """GIVEN a registry WHEN images are pinned, twice THEN every image of others has the digest of its version."""
    for name in ("docker-compose.yml", "Dockerfile"):
        shutil.copy(ROOT / name, tmp_path)
    answer = tmp_path / "bin/docker"
    answer.parent.mkdir()
    answer.write_text('#!/bin/sh\ntest "$1 $2 $3" = "buildx imagetools inspect" || exit 1\n'
                      'printf "sha256:"; printf "$4" | sha256sum | cut -d " " -f 1\n')  # fmt: skip
    answer.chmod(0o755)
    environment = {"PATH": f"{answer.parent}:{os.defpath}"}
    pinned = []
    for _ in range(2):
        command = [sys.executable, ROOT / "docker/pin_images.py", tmp_path]
        subprocess.run(command, env=environment, check=True, capture_output=True)
        pinned.append([(tmp_path / name).read_text() for name in ("docker-compose.yml", "Dockerfile")])
    assert pinned[0] == pinned[1]
    services = yaml.safe_load(pinned[0][0])["services"]
    images = {one["image"] for one in services.values() if "build" not in one}
    assert images
    assert all(re.fullmatch(r"\w+:[\d.]+@sha256:[0-9a-f]{64}", image) for image in images)
    assert re.search(r"^FROM python:\S+@sha256:[0-9a-f]{64} AS warehouse$", pinned[0][1], re.MULTILINE)
    assert "FROM warehouse AS superset" in pinned[0][1]
    answer.write_text("#!/bin/sh\necho no such host >&2; exit 1\n")
    failed = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (failed.returncode, "no such host" in failed.stderr) == (1, True)


def has_compose() -> bool:
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0


@pytest.mark.skipif(not has_compose(), reason="Docker Compose is not installed")
def test_docker_compose_reads_it() -> None:
    for profiles in ([], ["celery"], ["bi"], ["celery", "bi"]):
        options = [option for profile in profiles for option in ("--profile", profile)]
        command = ["docker", "compose", *options, "config", "--quiet"]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert ran.returncode == 0, (profiles, ran.stderr)


def test_the_database_has_the_settings_of_the_embedded_server(tmp_path: Path) -> None:
    """All that the embedded server has, but for its place, its size, what archives, and how it logs and shows times."""
    layout = server.Layout(tmp_path)
    layout.data.mkdir()
    server._write_conf(layout, {"port": 1, "socket": "x"}, is_archiving=False)
    lines = (layout.data / "warehouse.conf").read_text().splitlines()
    embedded = {name: value.split("'")[1] for name, value in (line.split(" = ", 1) for line in lines)}
    command = [interpolated(word) for word in SERVICES["postgres"]["command"]]
    given = dict(word.split("=", 1) for word in command if "=" in word)
    own = {"listen_addresses", "port", "unix_socket_directories", "password_encryption", "wal_buffers", "log_line_prefix",
           "checkpoint_timeout", "shared_buffers", "effective_cache_size", "timezone", "log_timezone"}  # fmt: skip
    assert {**embedded, **given} | dict.fromkeys(own) == embedded | dict.fromkeys(own)
    assert set(embedded) - set(given) == own - set(given)


def test_files_secrets_and_services_exist(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for one in services.values():
        assert secrets_of(one) <= set(compose["secrets"])
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
    text = (ROOT / "docker-compose.yml").read_text() + (ROOT / ".env.example").read_text()
    assert re.findall(r"://[^\s/:]+:[^\s/@]+@", text) == ["://user:password@"]  # the made-up one of .env.example
    assert all(set(one) == {"file"} for one in compose["secrets"].values())


def test_secret_files_are_made_and_ignored(compose: dict[str, Any], tmp_path: Path) -> None:
    for _ in range(2):
        subprocess.run([ROOT / "docker/make-secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert {f"./secrets/{name}" for name in made} == {secret["file"] for secret in compose["secrets"].values()}
    assert Settings(notify=json.loads(made.pop("warehouse_notify"))) == Settings()
    assert json.loads(made.pop("warehouse_openlineage")) == {}
    assert json.loads(made.pop("warehouse_inbox_options")) == {}
    users = made.pop("redis_users")
    assert f"#{hashlib.sha256(made['redis_password'].encode()).hexdigest()} " in users
    assert made["redis_password"] not in users
    (tmp_path / "secrets/redis_password").write_text("another")
    subprocess.run([ROOT / "docker/make-secrets.sh", tmp_path / "secrets"], check=True, capture_output=True)
    assert hashlib.sha256(b"another").hexdigest() in (tmp_path / "secrets/redis_users").read_text()
    assert len(set(made.values())) == len(made)
    assert all(len(text) >= 43 for text in made.values())
    ignored = subprocess.run(["git", "check-ignore", "secrets/warehouse_key", ".env"], cwd=ROOT, capture_output=True)
    assert ignored.stdout.split() == [b"secrets/warehouse_key", b".env"]


def entered(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The entry point as it is for a service, with a folder of made-up secrets."""
    folder.mkdir()
    for secret in secrets_of(SERVICES[name]):
        (folder / secret).write_text(f"p@ss/{secret}\n")
    monkeypatch.setenv("WAREHOUSE_SECRETS", str(folder))
    for variable in [one for one in os.environ if one.startswith(("WAREHOUSE_DSN", "WAREHOUSE_KEY", "AIRFLOW__"))]:
        monkeypatch.delenv(variable)
    return runpy.run_path(str(ROOT / "docker/entrypoint.py"))


@pytest.mark.parametrize("name", SERVICES)
def test_the_entry_turns_secrets_of_a_service_into_settings(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN the secrets of a service THEN its settings are made of them, and none of the secrets of others is there."""
    entry = entered(name, tmp_path / "s", monkeypatch)
    before = dict(os.environ)
    made = {key: value for key, value in entry["environment"]().items() if key not in before}
    host = "postgres:5432"
    airflow = f"airflow:p%40ss%2Fairflow_password@{host}/airflow"
    queue = "redis://airflow:p%40ss%2Fredis_password@redis:6379"
    settings = {
        "warehouse_password": {"WAREHOUSE_DSN": f"postgresql://warehouse:p%40ss%2Fwarehouse_password@{host}/warehouse"},
        "airflow_password": {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{airflow}",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+psycopg://{airflow}",
        },
        "redis_password": {
            "AIRFLOW__CELERY__BROKER_URL": f"{queue}/0",
            "AIRFLOW__CELERY__RESULT_BACKEND": f"{queue}/1",
        },
        "warehouse_key": {"WAREHOUSE_KEY": "p@ss/warehouse_key"},
        "warehouse_notify": {"WAREHOUSE_NOTIFY": "p@ss/warehouse_notify"},
        "warehouse_openlineage": {"WAREHOUSE_OPENLINEAGE": "p@ss/warehouse_openlineage"},
        "warehouse_inbox_options": {"WAREHOUSE_INBOX_OPTIONS": "p@ss/warehouse_inbox_options"},
        "airflow_fernet_key": {"AIRFLOW__CORE__FERNET_KEY": "p@ss/airflow_fernet_key"},
        "airflow_page_key": {"AIRFLOW__API__SECRET_KEY": "p@ss/airflow_page_key"},
        "airflow_jwt_secret": {"AIRFLOW__API_AUTH__JWT_SECRET": "p@ss/airflow_jwt_secret"},
    }
    expected: dict[str, str] = {}
    for secret in secrets_of(SERVICES[name]):
        expected |= settings.get(secret, {})
    assert {key: value for key, value in made.items() if key != "WAREHOUSE_SECRETS"} == expected


def test_the_entry_writes_the_login_of_the_page_and_says_which_secret_it_cannot_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = entered("api-server", tmp_path / "s", monkeypatch)
    entry["write_passwords"](tmp_path / "airflow/passwords.json")
    assert json.loads((tmp_path / "airflow/passwords.json").read_text()) == {"admin": "p@ss/airflow_page_password"}
    assert (tmp_path / "airflow/passwords.json").stat().st_mode & 0o777 == 0o600
    (tmp_path / "s/airflow_page_key").unlink()
    (tmp_path / "s/airflow_page_key").mkdir()  # root can read whatever has no permission
    with pytest.raises(SystemExit, match="airflow_page_key"):
        entry["environment"]()


def test_env_example_names_every_setting() -> None:
    text = (ROOT / ".env.example").read_text()
    named = set(re.findall(r"^#?(WAREHOUSE_\w+)=", text, re.MULTILINE))
    assert {f"WAREHOUSE_{name.upper()}" for name in Settings.model_fields} <= named
    in_compose = set(re.findall(r"\$\{(\w+):-", (ROOT / "docker-compose.yml").read_text()))
    assert in_compose <= named | set(re.findall(r"^#?((?:POSTGRES|SUPERSET)_\w+)=", text, re.MULTILINE))


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

"""The dashboards in a real Superset: imported twice without duplicates, and every chart has an answer."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from bi import bundle, superset
from ingest import synthetic
from ingest.settings import Settings
from warehouse import operations
from warehouse.local import server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not superset.PYTHON.exists(), reason="Superset's environment is not there: make bi"),
]


class Client:
    """Superset's REST interface, as its administrator."""

    def __init__(self, port: int, password: str) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        login = {"username": "admin", "password": password, "provider": "db"}
        answer = self.http.post("/api/v1/security/login", json=login).raise_for_status().json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def __call__(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    home = tmp_path_factory.mktemp("bi")
    settings = Settings(home=home, inbox=str(home / "inbox"))
    synthetic.generate(home / "inbox", members=900, settlements=3000, dirty=False)
    operations.run(settings, lambda *_: None)
    folder = home / "superset"
    for _ in range(2):
        superset.prepare(settings, folder)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = superset.serve(folder, port)
    try:
        wait(port, process)
        yield Client(port, (folder / "admin-password").read_text())
    finally:
        process.terminate()
        process.wait(30)
        server.stop(settings)


def wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(180):
        assert process.poll() is None
        with suppress(httpx.HTTPError):
            if httpx.get(f"http://127.0.0.1:{port}/health", timeout=5).is_success:
                return
        time.sleep(1)
    pytest.fail("Superset does not answer")


def test_a_second_import_replaces_the_first(client: Client) -> None:
    declared = bundle.load()
    titles = sorted(one["dashboard_title"] for one in client("/api/v1/dashboard/")["result"])
    assert titles == sorted(bundle.both(one["title"]) for one in declared["dashboards"].values())
    charts = client("/api/v1/chart/")["count"]
    assert charts == sum(len(one["charts"]) for one in declared["dashboards"].values())
    assert client("/api/v1/dataset/")["count"] == len(declared["datasets"])


def test_every_chart_has_an_answer(client: Client) -> None:
    silent = []
    for chart in client("/api/v1/chart/?q=(page_size:200)")["result"]:
        answer = client(f"/api/v1/chart/{chart['id']}/data/")["result"][0]
        assert answer["error"] is None, chart["slice_name"]
        if not answer["rowcount"]:
            silent.append(chart["slice_name"])
    assert silent == []


def test_the_database_is_read_by_the_role_of_bi_tools(client: Client) -> None:
    [database] = client("/api/v1/database/")["result"]
    found = client(f"/api/v1/database/{database['id']}/connection")["result"]
    assert "bi_reader" in found["sqlalchemy_uri"]
    assert not database["allow_dml"]


def test_secrets_are_readable_by_their_owner_only(client: Client, tmp_path: Path) -> None:
    superset.environment(tmp_path / "superset")
    modes = {path.name: oct(path.stat().st_mode)[-3:] for path in (tmp_path / "superset").iterdir()}
    assert modes == {"secret-key": "600", "admin-password": "600"}

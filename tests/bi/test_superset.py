"""The dashboards in a real Superset: imported twice without duplicates, and every chart has an answer."""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import httpx
import psycopg
import pytest

from bi import bundle, superset
from ingest import synthetic
from ingest.settings import Settings
from warehouse import operations
from warehouse.access import users
from warehouse.local import server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not superset.PYTHON.exists(), reason="Superset's environment is not there: make bi"),
]


class Client:
    """Superset's REST interface, as its administrator or another login."""

    def __init__(self, port: int, password: str, username: str = "admin") -> None:
        self.port = port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60)
        login = {"username": username, "password": password, "provider": "db"}
        answer = self.http.post("/api/v1/security/login", json=login).raise_for_status().json()
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"
        self.http.headers["X-CSRFToken"] = self("/api/v1/security/csrf_token/")["result"]

    def __call__(self, path: str) -> Any:
        return self.http.get(path).raise_for_status().json()


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("bi")
    return Settings(home=home, inbox=str(home / "inbox"))


@pytest.fixture(scope="module")
def client(settings: Settings) -> Iterator[Client]:
    home = settings.root
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
    titles = sorted(found["dashboard_title"] for found in client("/api/v1/dashboard/")["result"])
    assert titles == sorted(bundle.both(dashboard["title"]) for dashboard in declared["dashboards"].values())
    charts = client("/api/v1/chart/")["count"]
    assert charts == sum(len(dashboard["charts"]) for dashboard in declared["dashboards"].values())
    assert client("/api/v1/dataset/")["count"] == len(declared["datasets"])


def test_every_chart_has_an_answer(client: Client) -> None:
    silent = []
    for chart in client("/api/v1/chart/?q=(page_size:200)")["result"]:
        answer = client(f"/api/v1/chart/{chart['id']}/data/")["result"][0]
        assert answer["error"] is None, chart["slice_name"]
        if not answer["rowcount"]:
            silent.append(chart["slice_name"])
    assert silent == []


def test_the_database_is_read_by_a_login_of_its_own(client: Client) -> None:
    [database] = client("/api/v1/database/")["result"]
    found = client(f"/api/v1/database/{database['id']}/connection")["result"]
    assert superset.LOGIN in found["sqlalchemy_uri"]
    assert not database["allow_dml"]


def rows(client: Client, dataset: str, column: str) -> set[str]:
    """The values of a column that a client's charts can show."""
    [found] = client(f"/api/v1/dataset/?q=(filters:!((col:table_name,opr:eq,value:{dataset})))")["result"]
    query = {"columns": [column], "metrics": [], "row_limit": 1000, "filters": []}
    context = {"datasource": {"id": found["id"], "type": "table"}, "queries": [query], "result_type": "results"}
    answer = client.http.post("/api/v1/chart/data", json=context).raise_for_status().json()["result"][0]
    return {row[column] for row in answer["data"]}


@pytest.fixture
def reader(client: Client, settings: Settings) -> Iterator[Client]:
    """Somebody of one province, with the login of the warehouse."""
    with psycopg.connect(server.database_dsn(settings, "warehouse"), autocommit=True) as conn:
        password = users.add(conn, "reader_of_440000", ["bi"], ["44"], by="test")
        yield Client(client.port, password, "reader_of_440000")
        users.remove(conn, "reader_of_440000", by="test")


def test_a_login_sees_the_rows_of_its_divisions(client: Client, reader: Client) -> None:
    everything = rows(client, "union_coverage_month", "sender")
    assert len(everything) > 1
    assert rows(reader, "union_coverage_month", "sender") == {"440000"}
    assert (
        rows(client, "reform_indicator", "admdvs") > rows(reader, "reform_indicator", "admdvs") == {"100000", "440000"}
    )


def test_what_one_login_saw_is_not_shown_to_another(client: Client, reader: Client, settings: Settings) -> None:
    assert rows(reader, "reform_indicator", "admdvs") == {"100000", "440000"}
    province = min(rows(client, "reform_indicator", "admdvs") - {"100000", "440000"})
    with psycopg.connect(server.database_dsn(settings, "warehouse"), autocommit=True) as conn:
        password = users.add(conn, "reader_of_another", ["analyst"], [province[:2]], by="test")
        other = Client(client.port, password, "reader_of_another")
        assert rows(other, "reform_indicator", "admdvs") == {"100000", province}
        users.remove(conn, "reader_of_another", by="test")
        time.sleep(11)  # answers are kept for ten seconds
        assert rows(other, "reform_indicator", "admdvs") == {"100000"}
    assert rows(reader, "reform_indicator", "admdvs") == {"100000", "440000"}


def test_a_reader_neither_writes_queries_nor_changes_who_sees_what(reader: Client) -> None:
    for path in ("/api/v1/rowlevelsecurity/", "/api/v1/security/users/", "/api/v1/database/1/connection"):
        assert reader.http.get(path).status_code in (403, 404), path
    query = {"database_id": 1, "sql": "SELECT * FROM marts.reform_indicator", "client_id": "a"}
    assert reader.http.post("/api/v1/sqllab/execute/", json=query).status_code == 403


def test_a_wrong_password_and_a_login_without_figures_are_turned_away(client: Client, settings: Settings) -> None:
    with psycopg.connect(server.database_dsn(settings, "warehouse"), autocommit=True) as conn:
        password = users.add(conn, "auditor_alone", ["auditor"], ["100000"], by="test")
        for username, given in (("auditor_alone", password), ("dashboards", "wrong"), ("nobody", "x"), ("admin", "x")):
            with pytest.raises(httpx.HTTPStatusError, match="401"):
                Client(client.port, given, username)
        users.remove(conn, "auditor_alone", by="test")


def test_secrets_are_readable_by_their_owner_only(client: Client, settings: Settings) -> None:
    names = ("secret-key", "admin-password", "database-password", "database-url")
    modes = {name: oct((settings.root / "superset" / name).stat().st_mode)[-3:] for name in names}
    assert modes == dict.fromkeys(names, "600")

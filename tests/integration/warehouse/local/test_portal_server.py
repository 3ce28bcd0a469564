"""The server of the portal: files of its folder, Airflow's address, and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ingest.errors import WarehouseError
from warehouse.local import portal_server

AIRFLOW = "http://127.0.0.1:9/"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "docs"
    (folder / "tables").mkdir(parents=True)
    (tmp_path / "key").write_text("secret")
    (folder / "index.html").write_text("first page")
    (folder / ".versions.json").write_text("{}")
    (folder / "tables" / "x.html").write_text("a table")
    with portal_server.serving(folder, 0, AIRFLOW) as address:
        yield address


def test_pages_are_served_and_browsers_ask_again(address: str) -> None:
    answer = httpx.get(f"{address}/")
    assert (answer.status_code, answer.text) == (200, "first page")
    assert answer.headers["Cache-Control"] == "no-cache"
    again = httpx.get(f"{address}/index.html", headers={"If-Modified-Since": answer.headers["Last-Modified"]})
    assert again.status_code == 304
    assert httpx.get(f"{address}/tables/x.html").text == "a table"


@pytest.mark.parametrize(
    "path", ["/tables/", "/.versions.json", "/%2eversions.json", "/../key", "/%2e%2e/key", "/none.html"]
)
def test_there_is_nothing_else(address: str, path: str) -> None:
    assert httpx.get(f"{address}{path}").status_code == 404


def test_airflows_page_leads_to_airflow(address: str) -> None:
    answer = httpx.get(f"{address}/airflow.html")
    assert (answer.status_code, answer.headers["Location"]) == (302, AIRFLOW)


def test_a_port_that_is_taken_is_named(address: str, tmp_path: Path) -> None:
    port = int(address.rpartition(":")[2])
    with pytest.raises(WarehouseError, match="WAREHOUSE_PORTAL_PORT"), portal_server.serving(tmp_path, port, AIRFLOW):
        pass


def test_it_ends(tmp_path: Path) -> None:
    with portal_server.serving(tmp_path, 0, AIRFLOW) as address:
        pass
    with pytest.raises(httpx.ConnectError):
        httpx.get(address)

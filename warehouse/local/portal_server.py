"""Serves the portal's folder on 127.0.0.1 while ``warehouse serve`` runs."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ingest.errors import WarehouseError
from warehouse.local.airflow_config import HOST

#: The page of the portal that stands for Airflow: its requests are sent on to Airflow's own page.
AIRFLOW_PAGE = "/airflow.html"


class _Handler(SimpleHTTPRequestHandler):
    """The files of a folder, without lists of folders and hidden files."""

    def __init__(self, *arguments: Any, airflow: str, **options: Any) -> None:
        self.airflow = airflow
        super().__init__(*arguments, **options)

    def send_head(self) -> Any:
        """Answer a request: with a file, or with Airflow's address."""
        path = unquote(urlsplit(self.path).path)
        if path == AIRFLOW_PAGE:
            self.send_response(HTTPStatus.FOUND)
            self.send_header("Location", self.airflow)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return None
        if "/." in path:
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:  # noqa: ARG002 - the signature of the base class
        """A folder without a first page is none to look at."""
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        """Pages change with each publication: browsers ask whether they have."""
        self.send_header("Cache-Control", "no-cache")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002 - as above
        """The screen belongs to what the DAGs do."""


@contextmanager
def serving(folder: Path, port: int, airflow: str) -> Iterator[str]:
    """Serve a folder for a while.

    Args:
        folder: Folder of the pages.
        port: Port of 127.0.0.1.
        airflow: Where Airflow's page is.

    Yields:
        The address of the first page.

    Raises:
        WarehouseError: The port is taken.
    """
    try:
        httpd = ThreadingHTTPServer((HOST, port), partial(_Handler, directory=str(folder), airflow=airflow))
    except OSError as error:
        raise WarehouseError(f"Port {port} (WAREHOUSE_PORTAL_PORT) is taken by another program.") from error
    thread = threading.Thread(target=httpd.serve_forever, name="portal", daemon=True)
    thread.start()
    try:
        yield f"http://{HOST}:{httpd.server_address[1]}"
    finally:
        httpd.shutdown()
        thread.join()
        httpd.server_close()

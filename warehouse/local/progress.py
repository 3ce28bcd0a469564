"""Prints new decisions, publications and failed runs while Airflow works."""

import time
from contextlib import suppress
from typing import Any, ClassVar

import httpx
import psycopg
from rich.console import Console
from rich.markup import escape

from ingest.errors import WarehouseError, first_in_words
from ingest.ledger import ledger
from ingest.settings import Settings
from warehouse import operations
from warehouse.local import server
from warehouse.local.airflow_config import USER, AirflowConfig


class AirflowApi:
    """Airflow's REST API, as far as ``serve`` needs it."""

    def __init__(self, config: AirflowConfig) -> None:
        self._password = config.password
        self._client = httpx.Client(base_url=config.address, timeout=10, trust_env=False)
        self._token = ""
        self._token_expires_at = 0.0  # on the monotonic clock

    def is_up(self) -> bool:
        """Whether the API server answers."""
        with suppress(httpx.HTTPError):
            return self._client.get("/api/v2/monitor/health").status_code == httpx.codes.OK
        return False

    def runs(self, dag_id: str = "~", **parameters: Any) -> list[dict[str, Any]]:
        """DAG runs, newest first, at most 100.

        Args:
            dag_id: Of one DAG; by default of all.
            parameters: Filters of the API, such as ``state``.

        Raises:
            httpx.HTTPError: The API server does not answer.
        """
        response = self._client.get(
            f"/api/v2/dags/{dag_id}/dagRuns",
            params={"limit": 100, "order_by": "-run_after", **parameters},
            headers={"Authorization": f"Bearer {self._valid_token()}"},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            return []  # the DAG file is not parsed yet
        response.raise_for_status()
        return list(response.json()["dag_runs"])

    def _valid_token(self) -> str:
        if time.monotonic() > self._token_expires_at:
            response = self._client.post("/auth/token", json={"username": USER, "password": self._password})
            response.raise_for_status()
            self._token = str(response.json()["access_token"])
            self._token_expires_at = time.monotonic() + 600
        return self._token


class ActivityReport:
    """Prints what is new in the ledger and among the DAG runs since the last call.

    ``since`` is a POSIX timestamp in seconds: earlier runs are left out.
    """

    COLORS: ClassVar = {
        "accepted": "green",
        "refused": "red",
        "duplicate": "dim",
        "superseded": "dim",
        "withdrawn": "dim",
    }

    def __init__(self, settings: Settings, console: Console, since: float) -> None:
        self._settings = settings
        self._console = console
        self._since = since
        self._dsn = server.ensure_running(settings)
        self._printed_status: dict[int, str] = {row[0]: row[2] for row in self._decided()}
        self._last_publication: int = self._query("SELECT coalesce(max(publication_id), 0) FROM ops.publication")[0][0]
        self._printed_runs: set[str] = set()

    def _query(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn) as conn:
            return conn.execute(query, parameters).fetchall()

    def _decided(self) -> list[tuple[Any, ...]]:
        return self._query(
            "SELECT arrival_id, name, status, codes FROM ops.arrival WHERE status <> ALL (%s) ORDER BY decided_at",
            (list(ledger.UNDECIDED),),
        )

    def _reason(self, arrival_id: int) -> str:
        with psycopg.connect(self._dsn) as conn:
            return first_in_words(ledger.findings(conn, arrival_id))

    def print_ledger(self) -> None:
        """Print new decisions and publications."""
        for arrival_id, name, status, codes in self._decided():
            if self._printed_status.get(arrival_id) != status:
                self._printed_status[arrival_id] = status
                color = self.COLORS.get(status, "dim")
                reason = self._reason(arrival_id) if status == "refused" else ""
                text = escape(f"{name}  {reason or ' '.join(codes)}".rstrip())
                self._console.print(f"[{color}]{status:10}[/] {text}", soft_wrap=True)
        for number, schema, count in self._query(
            "SELECT publication_id, build, cardinality(deliveries) FROM ops.publication WHERE publication_id > %s"
            " ORDER BY publication_id",
            (self._last_publication,),
        ):
            self._last_publication = number
            self._console.print(f"[bold green]published [/] no. {number} from {schema}: {count} deliveries count in it")

    def print_failed_runs(self, api: AirflowApi) -> None:
        """Print DAG runs that have failed."""
        for run in api.runs(state="failed", end_date_gte=_iso(self._since)):
            if run["dag_run_id"] not in self._printed_runs:
                self._printed_runs.add(run["dag_run_id"])
                self._console.print(f"[red]failed    [/] {run['dag_id']}: see the page", soft_wrap=True)

    def is_idle(self, api: AirflowApi) -> bool:
        """Whether the inbox was scanned since the start, and no DAG run is queued or running."""
        scanned = api.runs("detect_deliveries", state="success", start_date_gte=_iso(self._since))
        return bool(scanned) and not api.runs(state=["queued", "running"])

    def check_complete(self) -> None:
        """Raise WarehouseError when a package is not decided, or a decision is not published."""
        undecided = operations.pending(self._settings)
        if undecided:
            names = ", ".join(arrival.name for arrival in undecided)
            raise WarehouseError(f"Not decided: {names}. See the failed runs and the engineers' guide.")
        if aside := operations.set_aside(self._settings):
            names = ", ".join(arrival.name for arrival in aside)
            raise WarehouseError(f"Set aside: {names}. `warehouse explain NAME` says what to do.")
        if operations.unpublished(self._settings):
            raise WarehouseError("What was decided is not published: see the failed run of build_warehouse.")


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))

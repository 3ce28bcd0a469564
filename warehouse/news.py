"""What the ledger and Airflow have to tell while the services run."""

import time
from contextlib import suppress
from typing import Any, ClassVar

import httpx
import psycopg
from rich.console import Console

from ingest import ledger
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import passes, server
from warehouse.place import USER, Place


class Page:
    """Airflow's REST interface, as the page uses it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._client = httpx.Client(base_url=place.address, timeout=10, trust_env=False)
        self._until = 0.0

    def is_up(self) -> bool:
        """Whether the page answers."""
        with suppress(httpx.HTTPError):
            return self._client.get("/api/v2/monitor/health").status_code == httpx.codes.OK
        return False

    def runs(self, dag_id: str = "~", **parameters: Any) -> list[dict[str, Any]]:
        """DAG runs, newest first; raises httpx.HTTPError while the page does not answer."""
        response = self._client.get(
            f"/api/v2/dags/{dag_id}/dagRuns",
            params={"limit": 100, "order_by": "-run_after", **parameters},
            headers={"Authorization": f"Bearer {self._token()}"},
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            return []  # not parsed yet
        response.raise_for_status()
        return list(response.json()["dag_runs"])

    def _token(self) -> str:
        if time.monotonic() > self._until:
            response = self._client.post("/auth/token", json={"username": USER, "password": self._place.password})
            response.raise_for_status()
            self._kept = str(response.json()["access_token"])
            self._until = time.monotonic() + 600
        return self._kept


class News:
    """What the ledger and the DAG runs have that was not told yet."""

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
        self._told: dict[int, str] = {row[0]: row[2] for row in self._decided()}
        self._publication: int = self._query("SELECT coalesce(max(publication_id), 0) FROM ops.publication")[0][0]
        self._failed: set[str] = set()

    def _query(self, query: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._dsn) as conn:
            return conn.execute(query, parameters).fetchall()

    def _decided(self) -> list[tuple[Any, ...]]:
        return self._query(
            "SELECT arrival_id, name, status, codes FROM ops.arrival WHERE status <> ALL (%s) ORDER BY decided_at",
            (list(ledger.UNDECIDED),),
        )

    def of_ledger(self) -> None:
        """Print new decisions and publications."""
        for arrival_id, name, status, codes in self._decided():
            if self._told.get(arrival_id) != status:
                self._told[arrival_id] = status
                color = self.COLORS.get(status, "dim")
                self._console.print(f"[{color}]{status:10}[/] {name}  {' '.join(codes)}", soft_wrap=True)
        for number, schema, count in self._query(
            "SELECT publication_id, build, cardinality(deliveries) FROM ops.publication WHERE publication_id > %s"
            " ORDER BY publication_id",
            (self._publication,),
        ):
            self._publication = number
            self._console.print(f"[bold green]published [/] no. {number} from {schema}: {count} deliveries count in it")

    def of_runs(self, page: Page) -> None:
        """Print runs that have failed."""
        for run in page.runs(state="failed", end_date_gte=_iso(self._since)):
            if run["dag_run_id"] not in self._failed:
                self._failed.add(run["dag_run_id"])
                self._console.print(f"[red]failed    [/] {run['dag_id']}: see the page", soft_wrap=True)

    def is_at_rest(self, page: Page) -> bool:
        """Whether the inbox was scanned since the start, and no DAG run is under way."""
        scanned = page.runs("detect_deliveries", state="success", start_date_gte=_iso(self._since))
        return bool(scanned) and not page.runs(state=["queued", "running"])

    def conclude(self) -> None:
        """Raise when something was left undone."""
        undecided = passes.pending(self._settings)
        if undecided:
            raise WarehouseError(f"{len(undecided)} deliveries could not be loaded: see the failed runs.")
        if passes.unpublished(self._settings):
            raise WarehouseError("What was decided is not published: see the failed run of build_warehouse.")


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))

"""Where Airflow's services live: folder, port, secrets, environment.

Everything lies below ``home/airflow`` (Airflow's own home): ``secrets.json`` and ``passwords.json`` (0600), ``logs/``,
``services.json`` (which processes run). Secrets reach the services through files and the environment only.
"""

import json
import os
import secrets
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import dbt, server

PROJECT = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"
USER = "admin"


@dataclass(frozen=True)
class Place:
    """Folder, ports, secrets and environment of the services."""

    home: Path
    port: int
    password: str
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """Of Airflow's page."""
        return f"http://{HOST}:{self.port}"

    @classmethod
    def at(cls, home: Path, settings: Settings) -> "Place":
        """Read the place's secrets and ports, or make them; ports that serve no more are chosen anew."""
        kept = _private_json(
            home / "secrets.json",
            lambda: {
                "password": secrets.token_urlsafe(12),
                "jwt": secrets.token_urlsafe(48),
                "page": secrets.token_urlsafe(32),
                "fernet": Fernet.generate_key().decode(),
            },
        )
        passwords = home / "passwords.json"
        _private_json(passwords, lambda: {USER: kept["password"]})
        port = settings.airflow_port or _free_port(8080)
        address = f"http://{HOST}:{port}"
        database = server.database_dsn(settings, "airflow")
        config = {
            "core__dags_folder": PROJECT / "dags",
            "core__load_examples": False,
            "core__executor": "warehouse.executor.PreloadingExecutor",
            "core__mp_start_method": "fork",  # what the executor imports must be there in its workers
            "core__parallelism": (os.cpu_count() or 2) + 2,
            "core__dags_are_paused_at_creation": False,
            "core__default_timezone": "Asia/Shanghai",
            "core__simple_auth_manager_users": f"{USER}:admin",
            "core__simple_auth_manager_passwords_file": passwords,
            "core__fernet_key": kept["fernet"],
            "core__execution_api_server_url": f"{address}/execution/",
            "database__sql_alchemy_conn": database.replace("postgresql://", "postgresql+psycopg2://", 1),
            "database__sql_alchemy_conn_async": database.replace("postgresql://", "postgresql+psycopg://", 1),
            "api__host": HOST,
            "api__port": port,
            "api__base_url": address,
            "api__workers": 1,
            "api__instance_name": "工会智慧数据库",
            "api__secret_key": kept["page"],
            "api_auth__jwt_secret": kept["jwt"],
            # build_warehouse first: it must be known before the first delivery is decided, or that event goes nowhere.
            "dag_processor__file_parsing_sort_mode": "alphabetical",
            # The files change with a new version of the project only; parsing costs what the loads need.
            "dag_processor__min_file_process_interval": 300,
            "dag_processor__dag_file_processor_timeout": 120,
            # A killed process is noticed within a minute, not within five.
            "scheduler__task_instance_heartbeat_timeout": 45,
            "scheduler__task_instance_heartbeat_sec": 10,
            "scheduler__orphaned_tasks_check_interval": 30,
            "scheduler__scheduler_idle_sleep_time": 0.5,
            "triggerer__job_heartbeat_sec": 2,
            "usage_data_collection__enabled": False,
        }
        own = {
            "AIRFLOW_HOME": home,
            "WAREHOUSE_HOME": settings.root,
            "WAREHOUSE_INBOX": settings.inbox_url,
            "GX_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            # A forked process must not inherit a thread pool that lives in its parent only.
            "OPENBLAS_NUM_THREADS": "1",
            "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), HOST, "localhost"])),
            **dbt.environment(server.ensure_running(settings), settings),
        }
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
            **{f"AIRFLOW__{name.upper()}": str(value) for name, value in config.items()},
            **{name: str(value) for name, value in own.items()},
        }
        return cls(home, port, kept["password"], environment)


def _private_json(path: Path, make: Any) -> dict[str, str]:
    if not path.exists():
        part = path.with_suffix(".part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(make(), file)
        part.replace(path)
    return dict(json.loads(path.read_text()))


def _free_port(wanted: int = 0) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise WarehouseError("No free port on 127.0.0.1")

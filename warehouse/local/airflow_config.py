"""The configuration of Airflow's services: folder, port, secrets, environment.

All files are below ``home/airflow``, which is ``AIRFLOW_HOME``: ``secrets.json`` and ``passwords.json`` (mode 0600),
``logs/``. Secrets reach the services through files and the environment only.
"""

import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.fernet import Fernet

from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse import whole_file
from warehouse.build import dbt
from warehouse.local import server

PROJECT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
USER = "admin"
PASSWORDS = "passwords.json"


@dataclass(frozen=True)
class AirflowConfig:
    """Folder, ports, secrets and environment of the services."""

    home: Path
    port: int
    password: str
    environment: dict[str, str]

    @property
    def address(self) -> str:
        """URL of Airflow's user interface."""
        return f"http://{HOST}:{self.port}"

    @classmethod
    def load(cls, home: Path, settings: Settings) -> "AirflowConfig":
        """Read the secrets below ``home``, or create them, and choose a free port where the settings name none."""
        saved = _secrets(home)
        port = settings.airflow_port or free_port(8080)
        variables = {
            **{f"AIRFLOW__{name.upper()}": value for name, value in _options(home, settings, port, saved).items()},
            **_variables(home, settings),
        }
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")},
            **{name: str(value) for name, value in variables.items()},
        }
        return cls(home, port, saved["password"], environment)


def _secrets(home: Path) -> dict[str, str]:
    """The secrets, and beside them the password as Airflow's login reads it."""
    saved = _read_or_create_json(
        home / "secrets.json",
        lambda: {
            "password": secrets.token_urlsafe(12),
            "jwt": secrets.token_urlsafe(48),
            "page": secrets.token_urlsafe(32),
            "fernet": Fernet.generate_key().decode(),
        },
    )
    _read_or_create_json(home / PASSWORDS, lambda: {USER: saved["password"]})
    return saved


def _options(home: Path, settings: Settings, port: int, saved: Mapping[str, str]) -> dict[str, object]:
    """Airflow's options, named ``section__option``."""
    address = f"http://{HOST}:{port}"
    database = server.database_dsn(settings, "airflow")
    return {
        "core__dags_folder": PROJECT / "dags",
        "core__load_examples": False,
        "core__executor": "warehouse.orchestration.executor.PreloadingExecutor",
        "core__mp_start_method": "fork",  # workers inherit what the executor has imported
        "core__parallelism": (os.cpu_count() or 2) + 2,
        "core__dags_are_paused_at_creation": False,
        "core__default_timezone": "Asia/Shanghai",
        "core__simple_auth_manager_users": f"{USER}:admin",
        "core__simple_auth_manager_passwords_file": home / PASSWORDS,
        "core__fernet_key": saved["fernet"],
        "core__execution_api_server_url": f"{address}/execution/",
        "database__sql_alchemy_conn": database.replace("postgresql://", "postgresql+psycopg2://", 1),
        "database__sql_alchemy_conn_async": database.replace("postgresql://", "postgresql+psycopg://", 1),
        "api__host": HOST,
        "api__port": port,
        "api__base_url": address,
        "api__workers": 1,
        "api__instance_name": "工会智慧数据库",
        "api__secret_key": saved["page"],
        "api_auth__jwt_secret": saved["jwt"],
        # build_warehouse and decide_build come first: events are lost until Airflow knows the DAGs that they start.
        "dag_processor__file_parsing_sort_mode": "alphabetical",
        # DAG files change with a new version of the project only, and parsing them takes processor time from loads.
        "dag_processor__min_file_process_interval": 300,
        "dag_processor__dag_file_processor_timeout": 120,
        # A killed process is noticed within one minute instead of five.
        "scheduler__task_instance_heartbeat_timeout": 45,
        "scheduler__task_instance_heartbeat_sec": 10,
        "scheduler__orphaned_tasks_check_interval": 30,
        "scheduler__scheduler_idle_sleep_time": 0.5,
        "triggerer__job_heartbeat_sec": 2,
        "usage_data_collection__enabled": False,
        # Airflow sets these permissions whatever the umask.
        "logging__file_task_handler_new_folder_permissions": "0o700",
        "logging__file_task_handler_new_file_permissions": "0o600",
    }


def _variables(home: Path, settings: Settings) -> dict[str, object]:
    """Other variables of the services' environment."""
    return {
        "AIRFLOW_HOME": home,
        "WAREHOUSE_HOME": settings.root,
        "WAREHOUSE_INBOX": settings.inbox_url,
        "GX_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        # A forked process has a pool of threads that exist in its parent only: no pool before the fork.
        "OPENBLAS_NUM_THREADS": "1",
        "no_proxy": ",".join(filter(None, [os.environ.get("no_proxy"), HOST, "localhost"])),
        **dbt.environment(server.ensure_running(settings), settings),
    }


def _read_or_create_json(path: Path, create: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Read a JSON file that only its owner may read; where it is missing, write it first."""
    if not path.exists():
        whole_file.write_text(path, json.dumps(create()))
    return dict(json.loads(path.read_text()))


def free_port(preferred: int) -> int:
    """``preferred`` where it is free, else any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((HOST, port))
            return int(probe.getsockname()[1])
    raise WarehouseError("No free port on 127.0.0.1")

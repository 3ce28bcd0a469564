"""Entry point of the image: sets the settings that contain secrets, from secret files, and runs the command.

Secrets are files (``/run/secrets/<name>``), so that the Compose file and ``docker inspect`` show none. A service has
the files that ``docker-compose.yml`` gives it; settings of other secrets are not set.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

SECRETS = Path(os.environ.get("WAREHOUSE_SECRETS", "/run/secrets"))
#: Settings whose value is the text of a secret.
PLAIN = {
    "warehouse_key": "WAREHOUSE_KEY",
    "warehouse_notify": "WAREHOUSE_NOTIFY",
    "warehouse_openlineage": "WAREHOUSE_OPENLINEAGE",
    "warehouse_inbox_options": "WAREHOUSE_INBOX_OPTIONS",
    "airflow_fernet_key": "AIRFLOW__CORE__FERNET_KEY",
    "airflow_page_key": "AIRFLOW__API__SECRET_KEY",
    "airflow_jwt_secret": "AIRFLOW__API_AUTH__JWT_SECRET",
}


def secret(name: str) -> str | None:
    """The text of a secret file, None where the service has none; ends the program where it cannot be read."""
    try:
        return (SECRETS / name).read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        sys.exit(f"The secret {name} cannot be read ({error.strerror}): make secrets")


def environment() -> dict[str, str]:
    """The environment, with the settings that contain secrets unless they are set already."""
    settings = {setting: text for name, setting in PLAIN.items() if (text := secret(name)) is not None}
    return {**settings, **_addresses(), **os.environ}


def _addresses() -> dict[str, str]:
    """Addresses with passwords: of the databases, of the queue."""
    host, settings = os.environ.get("POSTGRES_HOST", "postgres:5432"), {}
    if (password := _quoted("warehouse_password")) is not None:
        settings["WAREHOUSE_DSN"] = f"postgresql://warehouse:{password}@{host}/warehouse"
    if (password := _quoted("airflow_password")) is not None:
        airflow = f"airflow:{password}@{host}/airflow"
        settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"postgresql+psycopg2://{airflow}"
        settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = f"postgresql+psycopg://{airflow}"
    if (password := _quoted("redis_password")) is not None:
        queue = f"redis://airflow:{password}@{os.environ.get('REDIS_HOST', 'redis:6379')}"
        settings["AIRFLOW__CELERY__BROKER_URL"] = f"{queue}/0"
        settings["AIRFLOW__CELERY__RESULT_BACKEND"] = f"{queue}/1"
    return settings


def _quoted(name: str) -> str | None:
    """A password as it stands in an address."""
    text = secret(name)
    return None if text is None else quote(text, safe="")


def write_passwords(path: Path) -> None:
    """Write the login of Airflow's user interface, as the simple auth manager reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"admin": secret("airflow_page_password")}, file)
    part.replace(path)


def main() -> None:
    """Replace this process by the command; `warehouse status` without one."""
    os.umask(0o077)  # the files of the volume are the user's alone
    settings = environment()
    if passwords := settings.get("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"):
        write_passwords(Path(passwords))
    if folder := settings.get("TMPDIR"):
        Path(folder).mkdir(parents=True, exist_ok=True)
    command = sys.argv[1:] or ["warehouse", "status"]
    os.execvpe(command[0], command, settings)  # noqa: S606 - the command of the container


if __name__ == "__main__":
    main()

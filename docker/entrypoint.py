"""Entry point of the image: sets the settings that contain secrets, from secret files, and runs the command.

Secrets are files (``/run/secrets/<name>``), so that the Compose file and ``docker inspect`` show none.
"""

import json
import os
import sys
from pathlib import Path
from urllib.parse import quote

SECRETS = Path(os.environ.get("WAREHOUSE_SECRETS", "/run/secrets"))


def secret(name: str) -> str:
    """The text of a secret file; ends the program where it cannot be read."""
    try:
        return (SECRETS / name).read_text(encoding="utf-8").strip()
    except OSError as error:
        sys.exit(f"The secret {name} cannot be read ({error.strerror}): make secrets")


def environment() -> dict[str, str]:
    """The environment, with the settings that contain secrets unless they are set already."""
    host = os.environ.get("POSTGRES_HOST", "postgres:5432")
    warehouse = f"warehouse:{quote(secret('warehouse_password'), safe='')}@{host}/warehouse"
    airflow = f"airflow:{quote(secret('airflow_password'), safe='')}@{host}/airflow"
    settings = {
        "WAREHOUSE_DSN": f"postgresql://{warehouse}",
        "WAREHOUSE_KEY": secret("warehouse_key"),
        "WAREHOUSE_NOTIFY": secret("warehouse_notify"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{airflow}",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+psycopg://{airflow}",
        "AIRFLOW__CELERY__RESULT_BACKEND": f"db+postgresql+psycopg2://{airflow}",
        "AIRFLOW__CORE__FERNET_KEY": secret("airflow_fernet_key"),
        "AIRFLOW__API__SECRET_KEY": secret("airflow_page_key"),
        "AIRFLOW__API_AUTH__JWT_SECRET": secret("airflow_jwt_secret"),
    }
    return {**settings, **os.environ}


def write_passwords(path: Path) -> None:
    """Write the login of Airflow's user interface, as the simple auth manager reads it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part")
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"admin": secret("airflow_page_password")}, file)
    part.replace(path)


def main() -> None:
    """Replace this process by the command; `warehouse status` without one."""
    settings = environment()
    if passwords := settings.get("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"):
        write_passwords(Path(passwords))
    os.umask(0o077)  # the files of the volume are the user's alone
    command = sys.argv[1:] or ["warehouse", "status"]
    os.execvpe(command[0], command, settings)  # noqa: S606 - the command of the container


if __name__ == "__main__":
    main()

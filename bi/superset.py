"""Brings up Superset with the dashboards over the published figures: ``python -m bi.superset [PORT]``.

Superset has an environment of its own (``.venv-bi``, made by ``make bi``), because its pins differ from ours. Its
variables, for Compose: ``WAREHOUSE_BI_DSN`` the address with which it reads (default: the embedded server's
``bi_reader``), ``SUPERSET_HOST`` the address that it listens on (127.0.0.1), ``SUPERSET_SECRETS`` the folder of its two
secrets (its own, where they are made).
"""

import os
import secrets
import subprocess
import sys
import tempfile
from pathlib import Path

from bi import bundle
from ingest.settings import Settings
from warehouse.local import server

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-bi" / "bin" / "python"
PORT = 8088


def environment(home: Path) -> dict[str, str]:
    """The variables with which Superset runs; makes its folder and its secrets.

    Args:
        home: Superset's folder.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder = _secrets(home)
    for name in ("secret-key", "admin-password"):
        path = folder / name
        if not path.exists():
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(secrets.token_urlsafe(32))
    return {
        **os.environ,
        "SUPERSET_HOME": str(home),
        "SUPERSET_SECRETS": str(folder),
        "SUPERSET_CONFIG_PATH": str(Path(__file__).with_name("superset_config.py")),
        "FLASK_APP": "superset.app:create_app()",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }


def prepare(settings: Settings, home: Path) -> None:
    """Bring Superset's database up to date, and import the dashboards over the published figures.

    Args:
        settings: Which warehouse.
        home: Superset's folder.
    """
    if (address := os.environ.get("WAREHOUSE_BI_DSN")) is None:
        server.ensure_running(settings)
        address = server.database_dsn(settings, "warehouse", role="bi_reader")
    variables = environment(home)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        path = Path(folder, "bundle.zip")
        bundle.write(path, address.replace("postgresql://", "postgresql+psycopg2://", 1))
        password = (_secrets(home) / "admin-password").read_text(encoding="utf-8")
        command = [str(PYTHON), "-m", "bi.superset_setup", str(path)]
        with (home / "setup.log").open("w", encoding="utf-8") as log:
            subprocess.run(
                command, input=password, text=True, env=variables, cwd=ROOT, stdout=log, stderr=log, check=True
            )


def serve(home: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start Superset, which writes its log into its folder."""
    host = os.environ.get("SUPERSET_HOST", "127.0.0.1")
    command = [str(PYTHON), "-m", "flask", "run", "--host", host, "--port", str(port), "--with-threads"]
    with (home / "superset.log").open("a", encoding="utf-8") as log:
        return subprocess.Popen(command, env=environment(home), cwd=ROOT, stdout=log, stderr=log)


def _secrets(home: Path) -> Path:
    """The folder of Superset's secrets."""
    return Path(os.environ.get("SUPERSET_SECRETS", home))


def main(port: int = PORT) -> None:
    """Prepare Superset and serve it on this machine until Ctrl-C."""
    settings = Settings()
    home = settings.root / "superset"
    prepare(settings, home)
    sys.stdout.write(
        f"Superset: http://127.0.0.1:{port}/dashboard/list/  user admin, password in {_secrets(home)}/admin-password\n"
    )
    sys.stdout.flush()
    with serve(home, port) as process:
        sys.exit(process.wait())


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

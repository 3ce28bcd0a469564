"""Brings up Superset with the dashboards over the published figures: ``python -m bi.superset [prepare | serve]``.

``prepare`` needs the warehouse's owner, for it makes Superset's login; ``serve`` needs what ``prepare`` left in
Superset's folder, and the secret key. Without a word both are done, one after the other: so does ``make bi``.

Superset has an environment of its own (``.venv-bi``, made by ``make bi``), because its pins differ from ours. Its
variables, for Compose: ``SUPERSET_HOST`` and ``SUPERSET_PORT`` where it listens (127.0.0.1, 8088), ``SUPERSET_SECRETS``
the folder of its two secrets (its own, where they are made).
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote, urlencode

from bi import bundle
from ingest import database
from ingest.settings import Settings
from warehouse import operations, whole_file
from warehouse.access import divisions, users
from warehouse.local import server

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv-bi" / "bin" / "python"
PORT = 8088
#: Superset's own login in the warehouse.
LOGIN = "dashboards"


def environment(home: Path) -> dict[str, str]:
    """The variables with which Superset runs.

    Args:
        home: Superset's folder.
    """
    return {
        **os.environ,
        "SUPERSET_HOME": str(home),
        "SUPERSET_SECRETS": str(_secrets(home)),
        "SUPERSET_CONFIG_PATH": str(Path(__file__).with_name("superset_config.py")),
        "FLASK_APP": "superset.app:create_app()",
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
    }


def prepare(settings: Settings, home: Path) -> None:
    """Bring Superset's database up to date, and import the dashboards over the published figures.

    Args:
        settings: Which warehouse; its schema and roles are there.
        home: Superset's folder, which is made with its secrets where it is missing.
    """
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    _make_secrets(_secrets(home))
    url = _database_url(settings, home)
    whole_file.write_text(home / "database-url", url)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        path = Path(folder, "bundle.zip")
        bundle.write(path, url)
        password = (_secrets(home) / "admin-password").read_text(encoding="utf-8")
        command = [str(PYTHON), "-m", "bi.superset_setup", str(path)]
        with (home / "setup.log").open("w", encoding="utf-8") as log:
            subprocess.run(
                command, input=password, text=True, env=environment(home), cwd=ROOT, stdout=log, stderr=log, check=True
            )


def _database_url(settings: Settings, home: Path) -> str:
    """SQLAlchemy's address of the warehouse for Superset's own login, which is made where it is missing.

    The login reads ``marts`` of the whole country, and which login has which divisions.
    """
    password_file = home / "database-password"
    # The key of the warehouse is not needed for this, so that a service without it can do it.
    with database.connect(server.ensure_running(settings)) as conn:
        if not password_file.exists():
            if any(user.login == LOGIN and user.roles for user in users.listed(conn)):
                users.remove(conn, LOGIN, by=LOGIN)
            password = users.add(conn, LOGIN, ["bi"], [divisions.COUNTRY], by=LOGIN)
            whole_file.write_text(password_file, password)
        conn.execute(f"GRANT USAGE ON SCHEMA ops TO {LOGIN}")
        conn.execute(f"GRANT SELECT ON ops.login_division TO {LOGIN}")
        known = conn.info.get_parameters()
        query = urlencode({name: value for name, value in known.items() if name.startswith("ssl")})
        host, port, dbname = conn.info.host, conn.info.port, conn.info.dbname
    password = quote(password_file.read_text(encoding="utf-8"), safe="")
    return f"postgresql+psycopg2://{LOGIN}:{password}@{host}:{port}/{dbname}" + (f"?{query}" if query else "")


def serve(home: Path, port: int) -> "subprocess.Popen[bytes]":
    """Start Superset's server.

    Args:
        home: Superset's folder, prepared.
        port: On the address ``SUPERSET_HOST``.
    """
    host = os.environ.get("SUPERSET_HOST", "127.0.0.1")
    command = [str(PYTHON), "-m", "flask", "run", "--host", host, "--port", str(port), "--with-threads"]
    with (home / "superset.log").open("a", encoding="utf-8") as log:
        return subprocess.Popen(command, env=environment(home), cwd=ROOT, stdout=log, stderr=log)


def _secrets(home: Path) -> Path:
    """The folder of Superset's secrets."""
    return Path(os.environ.get("SUPERSET_SECRETS", home))


def _make_secrets(folder: Path) -> None:
    """Write the secrets that are missing."""
    for name in ("secret-key", "admin-password"):
        path = folder / name
        if not path.exists():
            whole_file.write_text(path, secrets.token_urlsafe(32))


def main(step: str | None = None) -> None:
    """Prepare Superset, and serve it until Ctrl-C; or one of the two (``prepare``, ``serve``)."""
    settings = Settings()
    home = settings.root / "superset"
    if step is None:
        with operations.open_warehouse(settings):  # the embedded server runs, schema and roles are there
            pass
    if step != "serve":
        prepare(settings, home)
        _say(f"Superset: user admin, password in {_secrets(home)}/admin-password; or a login of `warehouse user add`")
    if step != "prepare":
        port = int(os.environ.get("SUPERSET_PORT", PORT))
        _say(f"Superset: http://127.0.0.1:{port}/dashboard/list/")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        process = serve(home, port)
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            process.terminate()
            process.wait()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("step", nargs="?", choices=["prepare", "serve"])
    main(parser.parse_args().step)

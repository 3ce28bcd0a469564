"""The drivers of analysts' tools: JDBC (DBeaver, FineReport, Tableau) and ODBC (Power BI, Excel).

Debian's packages are enough: ``libpostgresql-jdbc-java`` and ``sqlline`` with a Java runtime; ``odbc-postgresql`` and
``unixodbc``.
"""

import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest

from ingest.settings import Settings
from warehouse.local import server

JDBC = Path("/usr/share/java/postgresql.jar")
ODBC = "PostgreSQL Unicode"
#: Roles that people log in with, the owner included: `warehouse dsn` prints his address.
ROLES = ("warehouse", "bi_reader", "analyst", "caseworker")
QUERY = "SELECT current_user || '-' || rolname || '-' || '张三' FROM pg_roles WHERE rolname = current_user"


def has_odbc() -> bool:
    tools = shutil.which("isql") and shutil.which("odbcinst")
    return (
        bool(tools) and f"[{ODBC}]" in subprocess.run(["odbcinst", "-q", "-d"], capture_output=True, text=True).stdout
    )


@pytest.mark.skipif(
    not (JDBC.exists() and shutil.which("java") and shutil.which("sqlline")),
    reason="Debian's libpostgresql-jdbc-java, sqlline and a Java runtime are not installed",
)
@pytest.mark.parametrize("role", ROLES)
def test_jdbc_logs_in(server_settings: Settings, tmp_path: Path, role: str) -> None:
    info = psycopg.conninfo.conninfo_to_dict(server.database_dsn(server_settings, "warehouse", role=role))
    result = subprocess.run(
        [
            *("java", "-Dfile.encoding=UTF-8", f"-Duser.home={tmp_path}"),
            *("-cp", ":".join(map(str, [JDBC, *JDBC.parent.glob("sqlline.jar"), *JDBC.parent.glob("jline*.jar")]))),
            *("sqlline.SqlLine", "-d", "org.postgresql.Driver", "-u"),
            f"jdbc:postgresql://{info['host']}:{info['port']}/{info['dbname']}",
            *("-n", str(info["user"]), "-p", str(info["password"])),
        ],
        input=f"{QUERY};\n!quit\n",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert f"{role}-{role}-张三" in result.stdout, result.stdout + result.stderr


@pytest.mark.skipif(not has_odbc(), reason="Debian's odbc-postgresql and unixodbc are not installed")
@pytest.mark.parametrize("role", ROLES)
def test_odbc_logs_in(server_settings: Settings, role: str) -> None:
    info = psycopg.conninfo.conninfo_to_dict(server.database_dsn(server_settings, "warehouse", role=role))
    address = (
        f"Driver={{{ODBC}}};Server={info['host']};Port={info['port']};Database={info['dbname']};"
        f"Uid={info['user']};Pwd={info['password']}"
    )
    result = subprocess.run(
        ["isql", "-b", "-k", address], input=f"{QUERY}\n", capture_output=True, text=True, timeout=60
    )
    assert f"{role}-{role}-张三" in result.stdout, result.stdout + result.stderr


def test_a_home_of_an_earlier_version_gets_passwords_that_drivers_take(server_settings: Settings) -> None:
    """GIVEN roles whose passwords were hashed with one iteration WHEN the next command comes THEN they have 4096, Airflow's
    own keeps one."""
    layout = server._layout(server_settings)
    port = psycopg.conninfo.conninfo_to_dict(server.database_dsn(server_settings, "warehouse"))["port"]
    passwords = server._passwords(layout)
    with psycopg.connect(
        host=server.HOST, port=port, user=server.SUPERUSER, password=passwords[server.SUPERUSER], dbname="postgres"
    ) as conn:
        conn.autocommit = True
        conn.execute("SET scram_iterations = 1")
        for role in ROLES:
            conn.execute(
                psycopg.sql.SQL("ALTER ROLE {} PASSWORD {}").format(psycopg.sql.Identifier(role), passwords[role])
            )
        layout.ready.write_text("")
        server.ensure_running(server_settings)
        rounds = dict(
            conn.execute(
                "SELECT rolname, split_part(split_part(rolpassword, ':', 1), '$', 2) FROM pg_authid WHERE rolcanlogin"
            )
        )
    assert {role: rounds[role] for role in (*ROLES, "airflow")} == {**dict.fromkeys(ROLES, "4096"), "airflow": "1"}
    with psycopg.connect(server.database_dsn(server_settings, "warehouse")):
        pass

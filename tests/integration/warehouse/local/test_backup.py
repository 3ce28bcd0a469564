"""Backup and restore of the embedded server."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from ingest import synthetic
from ingest.database import connect
from ingest.errors import WarehouseError
from ingest.privacy import vault
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from warehouse import operations
from warehouse.local import backup, server

ROOT = Path(__file__).parents[4]


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder for homes and backups, whose servers are stopped in the end."""
    with TemporaryDirectory(prefix="warehouse-test-") as folder:
        yield Path(folder)
        for home in ("old", "new", "earlier"):
            server.stop(Settings(home=Path(folder) / home, dsn=None))


def home(disk: Path, name: str) -> Settings:
    # A folder whose name a shell would take apart.
    return Settings(home=disk / name, dsn=None, wal_archive=disk / "it's the wal")


def numbers(dsn: str) -> list[int]:
    with psycopg.connect(dsn) as conn:
        return [number for (number,) in conn.execute("SELECT n FROM kept ORDER BY n").fetchall()]


def add(dsn: str, number: int) -> datetime:
    """Commit a number; returns a time by which it is committed."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("INSERT INTO kept VALUES (%s)", [number])
        (now,) = conn.execute("SELECT clock_timestamp()").fetchone()  # type: ignore[misc]
        assert isinstance(now, datetime)
        return now


def test_a_lost_cluster_comes_back_whole_and_to_a_time(disk: Path) -> None:
    old = home(disk, "old")
    dsn = server.ensure_running(old)
    secret = Keyring.from_settings(old).encrypt(b"a name")
    with psycopg.connect(dsn) as conn:
        conn.execute("CREATE TABLE kept (n int)")
    add(dsn, 1)
    backup.backup(old, disk / "backup", disk / "key")
    assert not list((disk / "backup").rglob("key"))
    second = add(dsn, 2)
    add(dsn, 3)
    passwords = (old.root / "postgres/pgpass").read_text()
    server.stop(old)
    shutil.rmtree(old.root)

    new = home(disk, "new")
    backup.restore(new, disk / "backup", disk / "key")
    assert numbers(server.ensure_running(new)) == [1, 2, 3]
    assert Keyring.from_settings(new).decrypt(secret) == b"a name"
    assert (new.root / "postgres/pgpass").read_text() == passwords
    server.stop(new)
    assert numbers(server.ensure_running(new)) == [1, 2, 3]  # a start replays nothing again

    earlier = home(disk, "earlier")
    backup.restore(earlier, disk / "backup", disk / "key", second)
    dsn = server.ensure_running(earlier)
    assert numbers(dsn) == [1, 2]
    add(dsn, 4)  # it is no standby

    with pytest.raises(WarehouseError, match="has a warehouse, which is not overwritten"):
        backup.restore(new, disk / "backup", disk / "key")


def test_a_backup_that_is_not_whole_or_not_reachable_is_refused(disk: Path) -> None:
    old, new, folder = home(disk, "old"), home(disk, "new"), disk / "backup"
    server.ensure_running(old)
    Keyring.from_settings(old)
    with pytest.raises(WarehouseError, match="must not lie in the backup"):
        backup.backup(old, folder, folder / "key")
    assert not folder.exists()
    backup.backup(old, folder, disk / "key")
    with pytest.raises(WarehouseError, match="exists: name a new folder"):
        backup.backup(old, folder, disk / "key")
    (disk / "other-key").write_text("another key " + "0" * 32)
    with pytest.raises(WarehouseError, match="has another key, which is not overwritten"):
        backup.backup(old, disk / "second", disk / "other-key")
    server.stop(old)

    now = datetime.now(UTC)
    for refused, match in (
        (lambda: backup.restore(new, disk, disk / "key"), "is no backup"),
        (lambda: backup.restore(new, folder, None), "The key is not in the backup"),
        (lambda: backup.restore(new, folder, disk / "key", now - timedelta(days=1)), "needs an older backup"),
        (
            lambda: backup.restore(Settings(home=disk / "new", dsn=None), folder, disk / "key", now),
            "set WAREHOUSE_WAL_ARCHIVE",
        ),
        (lambda: backup.restore(new, folder, disk / "key", now + timedelta(days=1)), "did not start"),
    ):
        with pytest.raises(WarehouseError, match=match):
            refused()
        assert not (new.root / "postgres/data").exists()

    version = folder / "data/PG_VERSION"
    version.write_text("17\n")
    with pytest.raises(WarehouseError, match="PG_VERSION is missing or not as the backup wrote it"):
        backup.restore(new, folder, disk / "key")
    assert not (new.root / "postgres/data").exists()


def test_without_a_write_ahead_log_the_command_says_what_to_set(disk: Path) -> None:
    old = Settings(home=disk / "old", dsn=None)
    server.ensure_running(old)
    with pytest.raises(WarehouseError, match="set WAREHOUSE_WAL_ARCHIVE"):
        backup.backup(old, disk / "backup", None)
    assert not (disk / "backup").exists()
    with pytest.raises(WarehouseError, match="its administrator backs it up"):
        backup.backup(old.model_copy(update={"dsn": SecretStr("dbname=x")}), disk / "backup", None)
    # What is set later holds from the next start on.
    server.stop(old)
    later = home(disk, "old")
    server.ensure_running(later)
    backup.backup(later, disk / "backup", None)
    assert (disk / "backup/backup.json").is_file()
    new = Settings(home=disk / "new", dsn=None, key=SecretStr("test-key-" + "0" * 32))
    backup.restore(new, disk / "backup", None)  # as it was copied, without the log since
    with psycopg.connect(server.ensure_running(new)) as conn:
        assert conn.execute("SHOW wal_level").fetchone() == ("minimal",)


def figures(dsn: str) -> dict[str, str]:
    """A hash over all cells of each published view."""
    with psycopg.connect(dsn) as conn:
        views = conn.execute(
            "SELECT schemaname, viewname FROM pg_views WHERE schemaname IN ('core', 'marts', 'casework') ORDER BY 1, 2"
        ).fetchall()
        query = "SELECT md5(coalesce(string_agg(v::text, E'\\n' ORDER BY v::text), '')) FROM {} AS v"
        return {
            f"{schema}.{name}": str(conn.execute(sql.SQL(query).format(sql.Identifier(schema, name))).fetchone())
            for schema, name in views
        }


def accepted(dsn: str) -> set[str]:
    with psycopg.connect(dsn) as conn:
        return {name for (name,) in conn.execute("SELECT name FROM ops.delivery WHERE status = 'accepted'")}


def run_commands(disk: Path, warehouse_home: Path, commands: str, time: str = "") -> None:
    """Run commands of the guide, with its paths and its time replaced."""
    for written, here in (
        ("/srv/warehouse-earlier", str(disk / "earlier")),
        ("/srv/warehouse-new", str(disk / "new")),
        ("/mnt/backup", str(disk / "backups")),
        ("/mnt/safe", str(disk / "safe")),
        ("2026-09-01T18:00:00+08:00", time),
    ):
        commands = commands.replace(written, here)
    environment = {**os.environ, "WAREHOUSE_HOME": str(warehouse_home)}
    result = subprocess.run(["bash", "-ec", commands], cwd=ROOT, capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_commands_of_the_guide_bring_figures_and_vault_back(disk: Path) -> None:
    old = home(disk, "old").model_copy(update={"inbox": str(disk / "inbox")})
    made = synthetic.generate(disk / "inbox", provinces=["440000"], members=100, settlements=100, dirty=False)
    late = disk / made[-1].name
    made[-1].rename(late)
    operations.run(old, lambda *_: None)
    dsn = server.ensure_running(old)
    before, names = figures(dsn), accepted(dsn)
    assert len(before) > 30
    with connect(dsn) as conn:
        (person,) = conn.execute("SELECT person_key::text FROM core.person ORDER BY person_key LIMIT 1").fetchone()  # type: ignore[misc]
        record = vault.open_person(conn, Keyring.from_settings(old), person, "test")
    assert record

    guide = (ROOT / "docs/engineers.md").read_text(encoding="utf-8")
    section = guide.split("## 9. Backup")[1]
    backing_up, coming_back = re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL)[:2]

    run = partial(run_commands, disk, old.root)
    (disk / "safe").mkdir()
    run(backing_up)
    old = old.model_copy(update={"wal_archive": disk / "backups/wal"})
    dsn = server.ensure_running(old)
    with psycopg.connect(dsn) as conn:
        (time,) = conn.execute("SELECT clock_timestamp()").fetchone()  # type: ignore[misc]
    late.rename(made[-1])
    operations.load_all(old, lambda _: None, lambda fault: pytest.fail(str(fault)))
    assert accepted(dsn) > names
    after = accepted(dsn)
    server.stop(old)
    shutil.rmtree(old.root)

    run(coming_back, time.isoformat())
    new, earlier = (Settings(home=disk / name, dsn=None) for name in ("new", "earlier"))
    assert accepted(server.ensure_running(new)) == after
    dsn = server.ensure_running(earlier)
    assert accepted(dsn) == names
    assert figures(dsn) == before
    with connect(dsn) as conn:
        assert vault.open_person(conn, Keyring.from_settings(earlier), person, "test") == record

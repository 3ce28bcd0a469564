"""The shipped shares on published deliveries: approved, read with a login, written, and ended by the commands."""

import csv
import io
import json
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ingest import synthetic
from ingest.settings import Settings
from tests.integration.warehouse.sharing.conftest import drop_roles
from warehouse import operations
from warehouse.local import server
from warehouse.sharing.policy import SEEDS

#: Nine commands, each a process of its own, after a whole pass.
pytestmark = pytest.mark.timeout(1200)


@pytest.fixture
def command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> object:
    assert settings.dsn is not None
    assert settings.key is not None
    monkeypatch.setenv("WAREHOUSE_HOME", str(settings.home))
    monkeypatch.setenv("WAREHOUSE_DSN", settings.dsn.get_secret_value())
    monkeypatch.setenv("WAREHOUSE_KEY", settings.key.get_secret_value())

    def run(*arguments: str, fails: bool = False) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "warehouse.cli", "share", *arguments], capture_output=True, text=True
        )
        assert (done.returncode == 1) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_shipped_shares(settings: Settings, tmp_path: Path, command: object) -> None:
    share = command
    assert callable(share)
    assert "S_PUBLICATION" in share("check", "union-coverage-440000", fails=True)
    inbox = tmp_path / "inbox"
    synthetic.generate(inbox, seed=3, members=500, settlements=1500, months=("2026-07", "2026-08"), dirty=False)
    here = settings.model_copy(update={"inbox": str(inbox)})
    assert operations.run(here, lambda *_: None).moved is not None

    share("check")  # they only wait for their approvals
    assert "S_APPROVAL" in share("write", "medical-aid-payout-440100", fails=True)
    for name in ("union-coverage-440000", "medical-aid-payout-440100"):
        assert share("approve", name, "--by", "Li Hua", "--document", "GH-2026-1").startswith("open")

    lines = dict(line.split(": ", 1) for line in share("login", "union-coverage-440000").splitlines() if ": " in line)
    parameters = conninfo_to_dict(server.ensure_running(settings))
    dsn = make_conninfo(**{**parameters, "user": lines["login"], "password": lines["password"]})
    with psycopg.connect(dsn) as reader:
        rows = reader.execute("SELECT month, sender, admdvs, industry, employer_nature, members FROM data").fetchall()
    with psycopg.connect(server.ensure_running(settings)) as owner:
        query = "SELECT month, sender, admdvs, industry, employer_nature, members FROM marts.union_coverage_month"
        assert sorted(rows, key=repr) == sorted(owner.execute(f"{query} WHERE sender = '440000'"), key=repr)
        entitled = owner.execute(
            "SELECT count(*), sum(aid_amount) FROM casework.mutual_aid_entitlement WHERE scheme_code = 'second-claim'"
        ).fetchone()
        assert entitled is not None
        check_catalogue(settings, owner)
    assert rows

    share("write")
    (data,) = (settings.outbox_path / "440100" / "medical-aid-payout-440100").glob("*/data.csv")
    written = list(csv.DictReader(io.StringIO(data.read_text("utf-8-sig"))))
    assert len(written) == entitled[0] > 0
    assert f"{sum(float(row['aid_amount']) for row in written):.2f}" == str(entitled[1])
    assert "medical-aid-payout-440100" in share("affected", written_delivery(settings))

    share("revoke", "medical-aid-payout-440100", "--reason", "over")
    assert not data.exists()
    assert "S_REVOKED" in share("check", "medical-aid-payout-440100", fails=True)
    drop_roles(server.ensure_running(settings))


def check_catalogue(settings: Settings, owner: psycopg.Connection) -> None:
    """The marts of the catalogue and of usage show the open shares to analysts; the files agree with the marts."""
    owner.execute("SET LOCAL ROLE analyst")
    catalogue = {
        resource: (access, is_open, published_at, columns)
        for resource, access, is_open, published_at, columns in owner.execute(
            "SELECT c.resource, c.access, c.open_shares, c.published_at, count(i.resource)"
            " FROM marts.share_catalogue AS c LEFT JOIN marts.share_catalogue_item AS i USING (resource) GROUP BY 1, 2, 3, 4"
        )
    }
    with (SEEDS / "share_resource.csv").open(encoding="utf-8", newline="") as file:
        offered = {row["resource"]: row["attribute"] for row in csv.DictReader(file)}
    assert {resource: row[0] for resource, row in catalogue.items()} == offered
    assert [resource for resource, row in catalogue.items() if row[3] == 0 or row[2] is None] == []
    assert {resource for resource, row in catalogue.items() if row[1] == 1} == {
        "marts.union_coverage_month",
        "casework.mutual_aid_entitlement",
    }
    usage = owner.execute("SELECT name, state, accesses, logins FROM marts.share_usage_month ORDER BY name").fetchall()
    owner.execute("RESET ROLE")
    assert usage == [("medical-aid-payout-440100", "open", 0, 0), ("union-coverage-440000", "open", 1, 1)]
    folder = settings.outbox_path / "catalogue"
    assert {path.parent.name for path in folder.glob("*/datapackage.json")} == set(catalogue)
    dcat = json.loads((folder / "catalogue.jsonld").read_text("utf-8"))
    assert {one["@id"].rpartition(":")[2] for one in dcat["dcat:dataset"]} == set(catalogue)


def written_delivery(settings: Settings) -> str:
    """A delivery that the payout draws on."""
    with psycopg.connect(server.ensure_running(settings)) as owner:
        row = owner.execute("SELECT name FROM ops.delivery WHERE source = 'medical' AND status = 'accepted'").fetchone()
    assert row is not None
    return str(row[0])

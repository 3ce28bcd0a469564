"""What dbt demands of the ledger holds for whatever a delivery may be."""

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import xlsxwriter

from expectations.audit import audit
from tests import packages
from tests.integration.conftest import Loader
from tests.packages import Row
from tests.worlds import Builds, Delivery


def workbook(inbox: Path, name: str, sheets: dict[str, Sequence[Row]]) -> None:
    """A membership snapshot whose feeds are sheets of one workbook."""
    folder = inbox / name
    folder.mkdir(parents=True)
    path = folder / "register.xlsx"
    with xlsxwriter.Workbook(path) as book:
        for feed, rows in sheets.items():
            sheet = book.add_worksheet(feed)
            sheet.write_row(0, 0, rows[0])
            for number, row in enumerate(rows, start=1):
                sheet.write_row(number, 0, row.values())
    digest = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    manifest = {
        "name": name,
        "created": "2026-08-03T08:00:00+08:00",
        "source": "membership",
        "sender": "440000",
        "period": "2026-07",
        "mode": "snapshot",
        "contract_version": "1.0.0",
        "resources": [{"name": feed, "path": path.name, "sheet": feed, "hash": digest} for feed in sheets],
    }
    (folder / "datapackage.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_two_sheets_of_one_workbook(load_inbox: Loader, builds: Builds, tmp_path: Path) -> None:
    """They share the path, and may have a rejected row and a warning on the same line."""
    organisations = [packages.organisation(f"A{number}", extra="x") for number in range(1, 41)]
    members = [packages.member(number, extra="x") for number in range(1, 41)]
    sheets = {"organisation": organisations, "member": members}
    for rows in sheets.values():
        rows[0] = {**rows[0], "status": "77"}
    workbook(tmp_path / "inbox", "both-in-one", sheets)
    outcomes = load_inbox(tmp_path / "inbox")
    assert [outcome.status for outcome in outcomes] == ["accepted"]
    told = builds.conn.execute(
        "SELECT count(*), count(DISTINCT path), sum(rows_rejected) FROM ops.delivery_file"
    ).fetchone()
    assert told == (2, 1, 2)

    models = ("stg_ops__delivery_file", "stg_ops__rejected_row", "stg_ops__row_warning")
    builds.dbt("build_a", "build", "--indirect-selection", "cautious", "--select", *models)


def test_what_ingestion_lets_through_can_be_published(
    load_inbox: Loader, builds: Builds, database_dsn: str, tmp_path: Path
) -> None:
    """A fund spent on nobody else, and a refused package of a month that no calendar has."""
    fund = {"employer_uscc": "91350100M000100Y43", "year": 2025, "employer_name": "样例有限公司", "admdvs": "350102"}
    fund |= {"spent": "10.00", "frontline_spent": "10.00"}
    packages.write(tmp_path / "inbox", "fund", {"fund": [fund]}, sender="350000")
    packages.write(tmp_path / "inbox", "year-0", {"fund": [fund]}, sender="350000", period="0000-01")
    came = {outcome.name: outcome for outcome in load_inbox(tmp_path / "inbox")}
    assert (came["fund"].status, came["year-0"].codes) == ("accepted", ["D_MANIFEST"])
    accepted = Delivery(
        number=came["fund"].arrival_id,
        name="fund",
        source="training",
        sender="350000",
        month=date(2026, 7, 1),
        mode="delta",
        created=datetime(2026, 8, 3, tzinfo=UTC),
        feeds={},
    )
    builds.freeze("build_a", [accepted])

    wanted = [f"+{name}" for name in ("training_fund_year", "reform_indicator", "delivery_scorecard")]
    tested = ("--exclude-resource-type", "unit_test", "--indirect-selection", "cautious")
    builds.dbt("build_a", "build", "--full-refresh", *tested, "--select", *wanted)

    assert audit(database_dsn, "build_a") == []
    shares = builds.conn.execute("SELECT frontline_share FROM build_a.training_fund_year").fetchall()
    assert shares == [(1,)]
    late = builds.conn.execute(
        "SELECT name, days_after_period FROM build_a.delivery_scorecard ORDER BY name"
    ).fetchall()
    assert late == [("fund", 3), ("year-0", None)]
    # another sender is two months ahead: this one owes them, but nothing since the year 0
    more = {"sender": "440000", "period": "2026-09", "created": "2026-10-03T08:00:00+08:00"}
    packages.write(tmp_path / "later", "ahead", {"fund": [fund]}, **more)
    assert [outcome.status for outcome in load_inbox(tmp_path / "later")] == ["accepted"]
    missing = builds.conn.execute(
        "SELECT source, sender, period, was_refused FROM ops.missing_delivery WHERE period <= '2026-09' ORDER BY period"
    ).fetchall()
    assert missing == [("training", "350000", month, False) for month in ("2026-08", "2026-09")]

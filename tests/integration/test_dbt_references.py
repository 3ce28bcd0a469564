"""Codes that point to what was not delivered: loaded all the same, and told."""

import random
from datetime import UTC, date, datetime
from typing import Any

from ingest import contracts
from tests import random_rows
from tests.worlds import Builds, Delivery, Row, land

MONTH = date(2026, 1, 1)


def delivery(number: int, source: str, sender: str, **feeds: list[Row]) -> Delivery:
    created = datetime(2026, 2, number, tzinfo=UTC)
    mode = "snapshot" if source == "membership" else "delta"
    return Delivery(number, f"d{number}", source, sender, MONTH, mode, created, feeds)


def organisation(code: str) -> Row:
    return {
        "org_code": code,
        "org_name": code,
        "org_level": "90",
        "org_type": "1",
        "admdvs": "350102",
        "status": "1",
    }


def row(source: str, feed: str, **values: Any) -> Row:
    """A row of a feed, complete by its contract, with these values."""
    return random_rows.row(contracts.load().feeds[source, feed], 1, random.Random(1), {}) | values


def finding(number: int, org_code: str) -> Row:
    return row("funds", "audit_finding", finding_no=f"F{number}", org_code=org_code)


def unit(number: int, contract_no: str) -> Row:
    return row("rights", "contract_unit", contract_no=contract_no, employer_uscc=f"U{number}", org_code=None)


def test_the_share_of_orphans_is_told_by_sender(builds: Builds) -> None:
    every = [
        delivery(1, "membership", "350000", organisation=[organisation("A")]),
        # a fifth is unknown: usual; of the other sender the same organisation is
        delivery(2, "funds", "350000", audit_finding=[finding(n, "A" if n < 4 else "B") for n in range(5)]),
        delivery(3, "funds", "440000", audit_finding=[finding(n, "A") for n in range(3)]),
        delivery(
            4,
            "rights",
            "350000",
            collective_contract=[row("rights", "collective_contract", contract_no="C", org_code="A")],
            contract_unit=[unit(1, "C"), unit(2, "D"), unit(3, "E")],
        ),
    ]
    land(builds.conn, every)
    builds.full("build_a", every)
    builds.dbt("build_a", "compile", "--select", "references_are_mostly_known")
    (path,) = builds.folder.rglob("compiled/warehouse/tests/ops/references_are_mostly_known.sql")
    assert sorted(row[0] for row in builds.conn.execute(path.read_text()).fetchall()) == [
        "100 % of the 3 rows of 440000 in stg_funds__audit_finding name an unknown org_code.",
        "67 % of the 3 rows of 350000 in stg_rights__contract_unit name an unknown contract_no.",
    ]

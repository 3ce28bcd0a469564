"""What two publications give away that neither does: the bill that came between them."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from ingest.settings import Settings
from tests import packages
from tests.end_to_end.figures import published
from tests.packages import person
from warehouse import operations
from warehouse.local import server

pytestmark = pytest.mark.slow

#: Members with a bill each; enough for their cell to be published.
PERSONS = range(1, 13)
KEY, MEASURES = ("month", "insu_admdvs", "category"), ("persons", "settlements", "medfee", "fund_pay", "psn_pay")


def insured(number: int) -> dict[str, Any]:
    who = person(number)
    return {
        "psn_no": f"P{number}",
        "psn_name": who["name"],
        "psn_cert_type": who["cert_type"],
        "certno": who["certno"],
        "gend": "1",
        "brdy": "1980-01-01",
        "surv_stas": "1",
    }


def settlement(number: int, of: int, psn_pay: str) -> dict[str, Any]:
    """A bill of an inpatient in July, of which the fund pays 1000 yuan."""
    return {
        **{name: value for name, value in insured(of).items() if name != "surv_stas"},
        "setl_id": f"S{number}",
        "insutype": "310",
        "psn_type": "1101",
        "insu_admdvs": "440103",
        "fixmedins_code": "H44010300001",
        "begndate": "2026-07-01",
        "enddate": "2026-07-08",
        "setl_time": "2026-07-08 10:00:00",
        "med_type": "21",
        "refd_setl_flag": "0",
        "vali_flag": "1",
        "medfee_sumamt": str(Decimal(psn_pay) + 1000),
        "fund_pay_sumamt": "1000.00",
        "psn_pay": psn_pay,
    }


def deliver(inbox: Path, name: str, files: Mapping[str, Any]) -> None:
    packages.write(inbox, name, files, source="medical", created=f"2026-08-0{name[-1]}T08:00:00+08:00")


def cells(dsn: str) -> dict[tuple[Any, ...], dict[str, Any]]:
    """What an observer notes of the mart's published cells, by their key."""
    rows = published(dsn, "marts.medical_burden_month")
    return {tuple(row[name] for name in KEY): {name: row[name] for name in MEASURES} for row in rows}


def differences(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
    """What an observer of two publications subtracts: cells that both show, with other numbers."""
    return {
        key: {name: after[key][name] - before[key][name] for name in MEASURES}
        for key in before.keys() & after.keys()
        if before[key] != after[key] and None not in (*before[key].values(), *after[key].values())
    }


def test_a_late_bill_is_the_difference_of_two_publications(settings: Settings, tmp_path: Path) -> None:
    """Each publication keeps the rule, and their difference is one person's bill: readers of marts are told so."""
    inbox = tmp_path / "inbox"
    here = settings.model_copy(update={"inbox": str(inbox)})
    packages.snapshot(inbox, "membership-1", PERSONS)
    bills = [settlement(number, number, "200.00") for number in PERSONS]
    deliver(inbox, "medical-1", {"person": [insured(number) for number in PERSONS], "settlement": bills})
    assert operations.run(here, lambda *_: None).moved is not None
    dsn = server.ensure_running(here)
    first = cells(dsn)
    assert [cell["persons"] for cell in first.values()] == [len(PERSONS)]

    deliver(inbox, "medical-2", {"settlement": [settlement(99, 3, "7654.32")]})
    assert operations.run(here, lambda *_: None).moved is not None
    (learned,) = differences(first, cells(dsn)).values()
    assert learned == {
        "persons": 0,
        "settlements": 1,
        "medfee": Decimal("8654.32"),
        "fund_pay": Decimal("1000.00"),
        "psn_pay": Decimal("7654.32"),
    }

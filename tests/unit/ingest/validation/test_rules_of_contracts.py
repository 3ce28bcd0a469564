"""Rules of single contracts, tried with rows of their feeds."""

import pytest

from ingest.contracts import load
from tests.unit.ingest.validation.test_rules import MAN, SETTLEMENT, member, reasons, settlement, warnings

CERTIFICATE = load().feeds["training", "certificate"]
ENROLMENT = load().feeds["training", "enrolment"]
INSURANCE = load().feeds["medical", "insurance"]


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("Y" + "0" * 21, []),
        ("SA" + "0" * 20, []),
        ("1" * 16, []),
        ("Y" + "0" * 20, ["W_CODE_LOCAL:certificate_no"]),
        ("SA" + "0" * 21, ["W_CODE_LOCAL:certificate_no"]),
        ("X" + "0" * 21, ["W_CODE_LOCAL:certificate_no"]),
        ("1" * 17, ["W_CODE_LOCAL:certificate_no"]),
    ],
)
def test_numbers_of_certificates(number: str, expected: list[str]) -> None:
    row = member(certificate_no=number, skill_level="高级工", issued_on="2020-01-02")
    assert warnings(CERTIFICATE, row) == expected
    assert reasons(CERTIFICATE, row) == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"planned_hours": "0", "attended_hours": "5000", "score": "100", "subsidy_amount": "0"}, []),
        ({"planned_hours": "-0.5"}, ["E_RANGE:planned_hours"]),
        ({"attended_hours": "5000.5"}, ["E_RANGE:attended_hours"]),
        ({"score": "100.5"}, ["E_RANGE:score"]),
        ({"score": "-1"}, ["E_RANGE:score"]),
        ({"subsidy_amount": "-0.01"}, ["E_RANGE:subsidy_amount"]),
        ({"occupation_code": "6-18-01-01"}, []),
        ({"occupation_code": "6-18-1-01"}, ["E_PATTERN:occupation_code"]),
        ({"ended_on": "2026-01-01"}, []),
        ({"ended_on": "2025-12-31"}, ["E_ORDER:ended_on"]),
    ],
)
def test_bounds_of_an_enrolment(values: dict[str, str], expected: list[str]) -> None:
    row = {
        "enrolment_id": "E1",
        "name": "张三",
        "cert_type": "01",
        "certno": MAN,
        "provider_name": "学校",
        "training_type": "1",
        "started_on": "2026-01-01",
        "result": "1",
    }
    assert reasons(ENROLMENT, row | values) == expected


def test_a_pause_of_insurance_may_lie_ahead_but_not_before_the_beginning() -> None:
    row = {
        "psn_insu_rlts_id": "R1",
        "psn_no": "P1",
        "insutype": "310",
        "psn_type": "1101",
        "psn_insu_stas": "1",
        "crt_insu_date": "2026-01-02",
        "insu_admdvs": "440100",
    }
    assert reasons(INSURANCE, row | {"paus_insu_date": "2030-01-01"}) == []
    assert reasons(INSURANCE, row | {"paus_insu_date": "2026-01-02"}) == []
    assert reasons(INSURANCE, row | {"paus_insu_date": "2026-01-01"}) == ["E_ORDER:paus_insu_date"]


def test_a_stay_ends_after_it_began() -> None:
    assert reasons(SETTLEMENT, settlement(enddate="2026-09-01")) == []
    assert reasons(SETTLEMENT, settlement(enddate="2026-08-31")) == ["E_ORDER:enddate"]

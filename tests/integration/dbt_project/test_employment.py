"""The employment side of the dbt project: a change is computed again for the months and persons it concerns, no others."""

from datetime import date
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from tests.integration.dbt_project.test_medical import delivery, person
from tests.worlds import Builds, Delivery, changed, land, rows

#: Six months covered; months of contributions begin before them.
MONTHS = [date(2026, month, 1) for month in range(1, 7)]
#: It delivers employment and never a membership.
ELSEWHERE = "330000"
#: Tables -> the columns that name a row.
TABLES = {
    "employment_spell": "spell_id",
    "int_employment_month": "month || ' ' || person_key",
    "social_insurance_month": "payment_id",
    "int_paid_month": "month || ' ' || person_key",
    "employment_month": "month::text",
    "uncovered_worker": "month || ' ' || person_key",
    "member_profile": "person_key::text",
    "member_month": "month || ' ' || person_key",
}
#: Persons are paid for every month, but 5 up to February and 6 never. More than ten, or the figures would be hidden.
PEOPLE = range(1, 13)


def named(number: int, *months: date) -> set[str]:
    """Names of the rows of a person."""
    return {f"{month} {UUID(int=number)}" for month in months}


def spell(number: int, **more: Any) -> dict[str, Any]:
    row = {"spell_id": f"J{number}", "employment_form": "1", "employer_uscc": "E1", "admdvs": "330102"}
    return person(number) | row | {"started_on": date(2025, 5, 20)} | more


def payment(number: int, month: date, **more: Any) -> dict[str, Any]:
    row = {"payment_id": f"{month:%m}-{number}", "insurance_kind": "110", "month": month, "status": "1"}
    return person(number) | row | {"admdvs": "330102"} | more


def employment(number: int, month: date, **feeds: list[dict[str, Any]]) -> Delivery:
    return delivery(number, "employment", month, ELSEWHERE, **feeds)


@pytest.fixture
def deliveries() -> dict[str, Delivery]:
    organisation = {"org_code": "O1", "org_name": "工会", "org_level": "90", "org_type": "1", "status": "1"}
    members = [
        person(n) | {"member_id": f"M{n}", "org_code": "O1", "joined_on": date(2020, 1, 1), "status": "1"}
        for n in PEOPLE
    ]
    state = {"organisation": [organisation | {"admdvs": "350102"}], "member": members}
    paid = [
        payment(n, month)
        for n in PEOPLE
        for month in (date(2025, 12, 1), *MONTHS)
        if n not in (5, 6) or (n == 5 and month <= MONTHS[1])
    ]
    return {
        "first": delivery(1, "membership", MONTHS[0], **state),
        "last": delivery(2, "membership", MONTHS[5], **state),
        "spells": employment(3, MONTHS[0], employment_spell=[spell(n) for n in PEOPLE]),
        "paid": employment(4, MONTHS[5], social_insurance_month=paid),
        "late": employment(5, MONTHS[5], social_insurance_month=[payment(6, MONTHS[1])]),
        "again": employment(6, MONTHS[5], social_insurance_month=[payment(6, MONTHS[1])]),
        "refunded": employment(7, MONTHS[5], social_insurance_month=[payment(4, MONTHS[5], status="3")]),
        "ended": employment(8, MONTHS[3], employment_spell=[spell(3, ended_on=date(2026, 4, 10))]),
    }


def changed_by_build(builds: Builds, deliveries: dict[str, Delivery], *names: str) -> dict[str, set[str]]:
    """Keys of the rows, by table, that a build with these deliveries changes."""
    before = rows(builds.conn, TABLES)
    builds.freeze("build_a", [deliveries[name] for name in names])
    builds.run("build_a", models=[*TABLES])
    builds.complete("build_a")
    return {table: keys for table, keys in changed(before, rows(builds.conn, TABLES)).items() if keys}


def uncovered(builds: Builds) -> set[str]:
    """Keys of the workers without cover."""
    return set(rows(builds.conn, TABLES)["uncovered_worker"])


def test_what_a_change_of_employment_concerns_and_nothing_else(
    builds: Builds, deliveries: dict[str, Delivery]
) -> None:
    land(builds.conn, list(deliveries.values()))
    held = ["first", "last", "spells", "paid"]
    builds.full("build_a", [deliveries[name] for name in held], models=[*TABLES])
    five, six = named(5, *MONTHS[3:]), named(6, *MONTHS)
    assert uncovered(builds) == five | six
    build = partial(changed_by_build, builds, deliveries)

    # WHEN a contribution of February arrives late, THEN February is another one, and what was paid last from then on
    assert build(*held, "late") == {
        "social_insurance_month": {"02-6"},
        "int_paid_month": named(6, MONTHS[1]),
        "employment_month": {f"{MONTHS[1]}"},
        "uncovered_worker": named(6, *MONTHS[1:]),
    }
    assert uncovered(builds) == five | named(6, MONTHS[0], *MONTHS[3:])
    # WHEN it arrives twice, THEN only the row itself comes from another delivery
    assert build(*held, "late", "again") == {"social_insurance_month": {"02-6"}}
    # WHEN the last month's contribution of another person is refunded (the month before is paid, so nobody is uncovered)
    assert build(*held, "late", "again", "refunded") == {
        "social_insurance_month": {"06-4"},
        "int_paid_month": named(4, MONTHS[5]),
        "employment_month": {f"{MONTHS[5]}"},
        "member_profile": {str(UUID(int=4))},
    }
    # WHEN the register says from April on that a spell ended in April
    assert build(*held, "late", "again", "refunded", "ended") == {
        "employment_spell": {"J3"},
        "int_employment_month": named(3, *MONTHS[3:]),
        "employment_month": {f"{month}" for month in MONTHS[3:]},
        "member_profile": {str(UUID(int=3))},
    }
    # WHEN both deliveries of the late contribution are withdrawn, THEN all is as if they had never come
    assert build(*held, "refunded", "ended") == {
        "social_insurance_month": {"02-6"},
        "int_paid_month": named(6, MONTHS[1]),
        "employment_month": {f"{MONTHS[1]}"},
        "uncovered_worker": named(6, *MONTHS[1:]),
    }
    assert uncovered(builds) == five | six
    # WHEN the sender reports no contribution any more, THEN its workers are not known to be uncovered
    assert build("first", "last", "spells", "ended")["uncovered_worker"] == five | six
    assert uncovered(builds) == set()
    # WHEN it does again, THEN they are, although no spell and no membership changed
    assert build("first", "last", "spells", "paid")["uncovered_worker"] == five | six

"""Built by what changed = built anew: over random deliveries that come, go and come late, with a build after each."""

import os
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from tests.worlds import Builds, Delivery, Row, World, land
from warehouse.build import clone_schema

#: More seeds: WAREHOUSE_TEST_SEEDS=1,2,3
SEEDS = tuple(int(seed) for seed in os.environ.get("WAREHOUSE_TEST_SEEDS", "7").split(","))

#: Where a build may die: everything up to this model is done, the rest is not.
DEATHS = (
    "int_member_version",
    "int_changed_member_month",
    "certificate",
    "int_changed_person_skill",
    "enrolment",
    "member_month",
    "duplicate_membership",
    "settlement",
    "insurance_spell",
    "social_insurance_month",
    "int_employment_version",
    "int_paid_month",
    "int_paying_sender_month",
    "uncovered_worker",
    "member_history",
    "union_coverage_month",
    "int_training_chain_cell",
    "int_platform_cell",
    "service_record",
    "int_service_reach",
)
#: What a service changes.
OF_SERVICES = ("service_record", "service_month", "service_reach_month", "mutual_aid_gap", "hardship_unserved")


@pytest.mark.parametrize("seed", SEEDS)
def test_builds_after_each_change_equal_one_full_build(builds: Builds, seed: int) -> None:
    world = World(seed)
    pick = world.random
    land(builds.conn, world.deliveries)
    counting = pick.sample(world.deliveries, 16)
    builds.full("build_a", counting)
    sources = sorted({delivery.source for delivery in world.deliveries})
    every_step = "WAREHOUSE_TEST_SEEDS" in os.environ
    is_complete = True
    for step in range(9 if every_step else 5):
        # every fourth change is of one source, so that the models of the others are left out
        changing = [pick.choice(sources)] if step % 4 == 0 else sources
        arriving = [one for one in world.deliveries if one not in counting and one.source in changing]
        staying = [one for one in counting if one.source in changing]
        leaving = pick.sample(staying, min(len(staying), pick.choice((0, 0, 1, 2, 3))))
        counting = [one for one in counting if one not in leaving]
        counting += pick.sample(arriving, min(len(arriving), pick.choice((1, 2, 3))))
        builds.freeze("build_a", counting)
        if step % 4 == 1:
            builds.run("build_a", models=[pick.choice(DEATHS)])  # killed there: nothing is complete
            is_complete = False
            continue
        if is_complete:
            builds.run_changed("build_a")
        else:
            builds.run("build_a")
        builds.complete("build_a")
        is_complete = True
        if every_step:
            builds.full("build_b", counting)
            assert builds.differences() == [], f"seed {seed}, step {step}"
    builds.full("build_b", counting)
    assert builds.differences() == [], f"seed {seed}"
    assert builds.conn.execute("SELECT count(*) > 0 FROM build_b.member_month").fetchone() == (True,)


def test_a_key_of_two_dead_attempts_is_changed_once(builds: Builds) -> None:
    """Both attempts brought the certificate, each from another delivery."""
    row = {"certificate_no": "C1", "person_key": UUID(int=1), "issued_on": date(2025, 5, 1), "status": "1"}
    brought = [
        Delivery(
            number=number,
            name=f"training-{number}",
            source="training",
            sender="350000",
            month=date(2026, 1, 1),
            mode="delta",
            created=datetime(2026, 6, number, tzinfo=UTC),
            feeds={"certificate": [row | {"skill_level": "高级工"}], "enrolment": [], "fund": []},
        )
        for number in (1, 2, 3)
    ]
    land(builds.conn, brought)
    builds.full("build_a", brought[:1], models=["certificate"])
    for held in (brought[:2], brought, brought):
        builds.freeze("build_a", held)
        builds.run("build_a", models=["int_changed_certificate"])
    builds.dbt("build_a", "test", "--select", "int_changed_certificate")


JANUARY, FEBRUARY, MARCH = (date(2026, month, 1) for month in (1, 2, 3))


def service_delivery(number: int, source: str, day: int, **feeds: list[Row]) -> Delivery:
    mode = "snapshot" if source == "membership" else "delta"
    created = datetime(2026, 6, day, tzinfo=UTC)
    name, month = f"{source}-{number}", date(2026, 1 if source == "membership" else 3, 1)
    return Delivery(number, name, source, "110000", month, mode, created, feeds)


def service(record_id: str, person: int | None, day: date, kind: str = "11", status: str = "1") -> Row:
    owner = {} if person is None else {"person_key": UUID(int=person)}
    properties = {"service_type": kind, "served_on": day, "status": status, "scheme_code": "second-claim"}
    return owner | properties | {"record_id": record_id, "org_code": "O1", "admdvs": "110101", "persons": 1, "amount": 9}


def deliveries_of_services() -> tuple[Delivery, ...]:
    """A register, a later one without rows, services, R1 again in another month, and services created earlier."""
    organisation = {"org_code": "O1", "org_name": "One", "org_level": "90", "org_type": "1", "status": "1"}
    member = {"org_code": "O1", "status": "1", "joined_on": date(2025, 5, 1)}
    members = [member | {"member_id": f"M{n}", "person_key": UUID(int=n)} for n in (1, 2)]
    register = service_delivery(1, "membership", 1, organisation=[organisation | {"admdvs": "110101"}], member=members)
    again = service_delivery(2, "membership", 1, organisation=[], member=[])
    again.month, again.mode = MARCH, "delta"
    first = service_delivery(
        *(3, "services", 5),
        service_record=[
            service("R1", 1, date(2026, 1, 10)),
            service("R2", 2, date(2026, 2, 10), kind="31"),
            service("R3", None, date(2024, 12, 31)),
        ],
    )
    late = service_delivery(4, "services", 6, service_record=[service("R1", 1, date(2026, 2, 5))])
    # older than what is there, and with a service that nobody else brings
    older = service_delivery(
        5, "services", 4, service_record=[service("R1", 2, date(2026, 3, 1)), service("R4", 2, MARCH, "31", "0")]
    )
    return register, again, first, late, older


def build_services(builds: Builds, *counting: Delivery) -> None:
    builds.freeze("build_a", list(counting))
    builds.run("build_a", models=OF_SERVICES)
    builds.complete("build_a")


def service_records(builds: Builds) -> dict[str, tuple[str, str]]:
    """Delivery and place in the table, by record."""
    rows = builds.conn.execute("SELECT record_id, delivery_name, ctid::text FROM build_a.service_record").fetchall()
    return {record: (name, ctid) for record, name, ctid in rows}


def changed_keys(builds: Builds, table: str, column: str = "month") -> set[Any]:
    table = f"build_a_staging.int_changed_{table}"
    return {row[0] for row in builds.conn.execute(f"SELECT {column} FROM {table}").fetchall()}


def test_a_service_changes_the_rows_that_it_should(builds: Builds) -> None:
    """One that comes late, twice, is superseded or withdrawn; R1 moves from January to February and back."""
    register, again, first, late, older = deliveries_of_services()
    land(builds.conn, [register, again, first, late, older])
    builds.full("build_a", [register, again, first], models=OF_SERVICES)
    before = service_records(builds)
    assert {record: name for record, (name, _) in before.items()} == dict.fromkeys(("R1", "R2", "R3"), first.name)

    # WHEN R1 is delivered again, of another month
    build_services(builds, register, again, first, late)
    # THEN it alone is another row; both of its months differ, and what follows them within a year
    assert changed_keys(builds, "service_record", "record_id") == {"R1"}
    assert changed_keys(builds, "service_month") == {JANUARY, FEBRUARY}
    assert changed_keys(builds, "service_reach_month") == {JANUARY, FEBRUARY, MARCH}
    assert changed_keys(builds, "gap", "person_key") == set()
    assert {record for record in before if service_records(builds)[record] != before[record]} == {"R1"}

    # WHEN an older delivery comes after it
    before = service_records(builds)
    build_services(builds, register, again, first, late, older)
    # THEN R1 stays; R4 is cancelled, but somebody's
    assert changed_keys(builds, "service_record", "record_id") == {"R4"}
    assert changed_keys(builds, "service_month") == changed_keys(builds, "service_reach_month") == {MARCH}
    assert changed_keys(builds, "gap", "person_key") == {UUID(int=2)}
    assert {record: service_records(builds)[record] for record in before} == before

    # WHEN both younger ones are withdrawn
    build_services(builds, register, again, older)
    # THEN the older row of R1 counts, and those that nothing else brings are gone
    assert {record: name for record, (name, _) in service_records(builds).items()} == dict.fromkeys(("R1", "R4"), older.name)
    assert changed_keys(builds, "service_month") == {date(2024, 12, 1), FEBRUARY, MARCH}
    builds.full("build_b", [register, again, older], models=OF_SERVICES)
    assert builds.differences() == []


def test_a_build_that_begins_as_a_copy_equals_one_full_build(builds: Builds) -> None:
    world = World(SEEDS[0] + 100)
    land(builds.conn, world.deliveries)
    first = world.random.sample(world.deliveries, 16)
    then = first[2:] + [one for one in world.deliveries if one not in first][:2]
    # GIVEN a build, WHEN the other schema becomes its copy
    builds.full("build_a", first)
    clone_schema.copy(builds.conn, "build_a", "build_b")
    builds.freeze("build_b", first)
    builds.complete("build_b")
    # THEN it has all that the first one has
    assert builds.differences() == []
    for described in (
        "SELECT replace(indexdef, schemaname, 'build') FROM pg_indexes WHERE schemaname LIKE %s",
        "SELECT relname, attname, col_description(attrelid, attnum), attnotnull FROM pg_attribute AS a"
        " INNER JOIN pg_class AS c ON attrelid = c.oid AND relkind = 'r' AND attnum > 0"
        " WHERE relnamespace::regnamespace::text LIKE %s",
        "SELECT relname, obj_description(oid) FROM pg_class WHERE relkind = 'r'"
        " AND relnamespace::regnamespace::text LIKE %s",
    ):
        one, two = (sorted(map(str, builds.conn.execute(described, [f"{b}%"]))) for b in ("build_a", "build_b"))
        assert len(one) > 50
        assert one == two
    # WHEN it is brought up to date
    builds.freeze("build_b", then)
    builds.run("build_b")
    # THEN it is what building everything makes
    builds.full("build_a", then)
    assert builds.differences() == []


def test_a_build_does_not_wait_for_autovacuum(builds: Builds) -> None:
    world, large = World(SEEDS[0]), ("member_month", "settlement")
    land(builds.conn, world.deliveries)
    builds.full("build_a", world.deliveries[:16], models=large)
    with psycopg.connect(builds.conn.info.dsn, password=builds.conn.info.password) as autovacuum:
        # GIVEN somebody at the large tables as autovacuum is, who gives way after a minute only
        autovacuum.execute("SET idle_in_transaction_session_timeout = '60s'")
        autovacuum.execute("LOCK TABLE build_a.member_month, build_a.settlement IN SHARE UPDATE EXCLUSIVE MODE")
        # WHEN a build changes them
        builds.freeze("build_a", world.deliveries)
        builds.run("build_a", models=large)
        # THEN it is done before
        assert autovacuum.execute("SELECT 1").fetchone() == (1,)


def test_rows_that_a_delivery_does_not_change_are_not_written(builds: Builds) -> None:
    """Its keys are computed again; rows that come out as they were stay where they are."""

    def snapshot(number: int, sender: str, month: int, **skills: str | None) -> Delivery:
        organisation = {"org_code": "O1", "org_name": "One", "org_level": "90", "org_type": "1", "status": "1"}
        organisation["admdvs"] = "110101"
        member = {"org_code": "O1", "status": "1", "joined_on": date(2025, 5, 1)}
        members = [
            member | {"member_id": name, "person_key": UUID(int=place), "skill_level": skill}
            for place, (name, skill) in enumerate(skills.items(), start=number % 2 * 10)
        ]
        return Delivery(
            number=number,
            name=f"membership-{number}",
            source="membership",
            sender=sender,
            month=date(2026, month, 1),
            mode="snapshot",
            created=datetime(2026, 6, number, tzinfo=UTC),
            feeds={"organisation": [organisation], "member": members},
        )

    def places() -> dict[tuple[str, date], str]:
        found = builds.conn.execute("SELECT member_id, month, ctid::text FROM build_a.member_month").fetchall()
        return {(member, month): place for member, month, place in found}

    # GIVEN what a sender said in January goes on in February, when another sender speaks
    first, other = snapshot(1, "110000", 1, A="高级工", B="高级工"), snapshot(2, "350000", 2, C="初级工")
    late = snapshot(3, "110000", 2, A="高级工", B="技师")
    land(builds.conn, [first, other, late])
    builds.full("build_a", [first, other], models=["member_month"])
    before = places()
    # WHEN it says the same of one member in February, and something new of the other
    builds.freeze("build_a", [first, other, late])
    builds.run("build_a", models=["member_month"])
    # THEN only the other one's row is another
    after = places()
    january, february = date(2026, 1, 1), date(2026, 2, 1)
    assert (
        before.keys()
        == after.keys()
        == {("A", january), ("A", february), ("B", january), ("B", february), ("C", february)}
    )
    assert {key for key in after if before[key] != after[key]} == {("B", february)}
    changed = builds.conn.execute("SELECT count(DISTINCT person_key) FROM build_a_staging.int_changed_member_month")
    assert changed.fetchone() == (2,)
    builds.full("build_b", [first, other, late], models=["member_month"])
    assert builds.differences() == []

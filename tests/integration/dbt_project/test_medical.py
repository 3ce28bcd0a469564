"""The medical side of the dbt project: what a change touches, and what a wrong scheme is told."""

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from tests.worlds import Builds, Delivery, changed, land, rows

MONTHS = [date(2025 + index // 12, index % 12 + 1, 1) for index in range(18)]
#: Tables -> the columns that name a row.
TABLES = {
    "settlement": "setl_id",
    "insurance_month": "month || ' ' || person_key",
    "member_month": "month || ' ' || person_key",
    "insurance_coverage_month": "month || ' ' || admdvs",
    "medical_burden_month": "month || ' ' || insu_admdvs || ' ' || category",
    "hardship_watch": "month || ' ' || person_key",
    "mutual_aid_entitlement": "scheme_code || ' ' || person_key",
    "transfer_hint": "month || ' ' || person_key",
}


def person(number: int) -> dict[str, Any]:
    return {"person_key": UUID(int=number), "person_sex": "1", "person_birth_year": 1980}


def settlement(number: int, month: date, of: int, **more: Any) -> dict[str, Any]:
    row = person(of) | {
        "setl_id": f"S{number}",
        "psn_no": f"P{of}",
        "insutype": "310",
        "psn_type": "1101",
        "insu_admdvs": "350102" if of % 2 else "350203",
        "fixmedins_code": "H35010000001",
        "begndate": month,
        "enddate": month,
        "setl_time": datetime(month.year, month.month, 15, 9),
        "med_type": "21",
        "refd_setl_flag": "0",
        "vali_flag": "1",
        "medfee_sumamt": Decimal(60000),
        "fund_pay_sumamt": Decimal(30000),
        "psn_pay": Decimal(30000),
    }
    return row | more


def delivery(number: int, source: str, month: date, sender: str = "350000", **feeds: list[dict[str, Any]]) -> Delivery:
    return Delivery(
        number=number,
        name=f"{source}-{number}",
        source=source,
        sender=sender,
        month=month,
        mode="snapshot",
        created=datetime(2026, 8, number, tzinfo=UTC),
        feeds=feeds,
    )


ORGANISATION = {
    "org_code": "O1",
    "org_name": "工会",
    "org_level": "90",
    "org_type": "1",
    "admdvs": "350102",
    "employer_uscc": "E1",
    "status": "1",
}


def insurance(n: int) -> dict[str, Any]:
    """An insurance of a person that began in 2020 and has not ended."""
    return {
        "psn_insu_rlts_id": f"R{n}",
        "psn_no": f"P{n}",
        "insutype": "310",
        "psn_type": "1101",
        "psn_insu_stas": "1",
        "crt_insu_date": date(2020, 1, 1),
        "insu_admdvs": "350102",
        "emp_uscc": "E2",
    }


def deliveries() -> list[Delivery]:
    """18 months of 40 members, each with one big bill a year; then a reversal of one of a year ago."""
    people = range(1, 41)
    members = [
        person(n) | {"member_id": f"M{n}", "org_code": "O1", "joined_on": date(2020, 1, 1), "status": "1"}
        for n in people
    ]
    insured = [person(n) | {"psn_no": f"P{n}"} for n in people]
    spells = [insurance(n) for n in people]
    bills = [
        settlement(1000 * index + n, month, n)
        for index, month in enumerate(MONTHS)
        for n in people
        if (index + n) % 12 == 0
    ]
    reversal = settlement(
        1,
        MONTHS[16],
        5,
        init_setl_id="S7005",
        refd_setl_flag="1",
        **{name: Decimal(-amount) for name, amount in (("medfee_sumamt", 60000), ("fund_pay_sumamt", 30000))},
        psn_pay=Decimal(-30000),
    )
    paused = spells[8] | {"psn_insu_stas": "4"}
    return [
        delivery(1, "membership", MONTHS[0], organisation=[ORGANISATION], member=members),
        delivery(2, "membership", MONTHS[17], organisation=[ORGANISATION], member=members),
        delivery(3, "medical", MONTHS[0], person=insured, insurance=spells, settlement=bills),
        delivery(4, "medical", MONTHS[16], settlement=[reversal]),
        delivery(5, "medical", MONTHS[15], insurance=[paused]),
    ]


def test_what_changed_and_nothing_else_is_made_anew(builds: Builds) -> None:
    every = deliveries()
    land(builds.conn, every)
    builds.full("build_a", every[:3], models=[*TABLES])
    started = rows(builds.conn, TABLES)
    assert len(started["hardship_watch"]) > 400
    assert "2025-08-01 " + str(UUID(int=5)) in started["hardship_watch"]

    # GIVEN a settlement of August 2025 (S7005), WHEN its reversal arrives in May 2026
    builds.freeze("build_a", every[:4])
    builds.run("build_a", models=[*TABLES])
    builds.complete("build_a")
    reversed_ = rows(builds.conn, TABLES)

    # THEN only the two rows, the twelve months of that person and the cells of the two months are made anew
    found = changed(started, reversed_)
    five = str(UUID(int=5))
    assert found["settlement"] == {"S7005", "S1"}
    assert found["hardship_watch"], "the burden of 30000 is gone"
    assert {name[11:] for name in found["hardship_watch"]} == {five}
    assert {name[:10] for name in found["hardship_watch"]} <= {f"{month}" for month in MONTHS[7:]}
    assert "2025-08-01 " + five not in reversed_["hardship_watch"]
    assert {name.rsplit(" ", 1)[0] for name in found["medical_burden_month"]} <= {
        "2025-08-01 350102",
        "2026-05-01 350102",
    }
    assert {name.split(" ")[1] for name in found["mutual_aid_entitlement"]} <= {five}
    for table in ("insurance_month", "member_month", "insurance_coverage_month", "transfer_hint"):
        assert found[table] == set(), table

    # WHEN an insurance relation ends from April 2026 on, THEN that person's insurance from then on, and no money
    builds.freeze("build_a", every)
    builds.run("build_a", models=[*TABLES])
    builds.complete("build_a")
    found = changed(reversed_, rows(builds.conn, TABLES))
    nine = str(UUID(int=9))
    assert found["insurance_month"] == {f"{month} {nine}" for month in MONTHS[15:]}
    assert found["transfer_hint"] == {f"{month} {nine}" for month in MONTHS[15:]}
    assert found["insurance_coverage_month"] == {f"{month} 350102" for month in MONTHS[15:]}
    for table in ("settlement", "member_month", "medical_burden_month", "hardship_watch", "mutual_aid_entitlement"):
        assert found[table] == set(), table

    # WHEN the reversal is withdrawn, THEN everything is as it was
    builds.freeze("build_a", [one for one in every if one.number != 4])
    builds.run("build_a", models=[*TABLES])
    assert "2025-08-01 " + five in rows(builds.conn, TABLES)["hardship_watch"]
    assert builds.conn.execute("SELECT net_reason FROM build_a.settlement WHERE setl_id = 'S7005'").fetchone() == (
        "net",
    )


WRONG_SCHEMES: list[tuple[dict[str, Any], str]] = [
    ({"term_end": "2025-12-31"}, "ends on 2025-12-31, before it begins on 2026-01-01"),
    ({"categories": "inpatient, dental"}, 'lists the category "dental", which does not exist'),
    ({"categories": None}, "lists no category"),
    ({"base": "medfe"}, 'has the base "medfe": use medfee, psn_pay or policy_self_pay'),
    ({"deductible": -1}, "negative deductible"),
    ({"waiting_days": None}, "has no waiting_days: fill it in"),
    ({"admdvs_prefix": "福建"}, "use up to six digits"),
]
WRONG_BANDS: list[tuple[list[tuple[Any, ...]], str]] = [
    (
        [(0, 10000, 0.5), (9000, None, 0.6)],
        "overlap: the one that begins at 0.00 ends at 10000.00, but the next begins",
    ),
    ([(0, None, 0.5), (10000, None, 0.6)], "overlap: the one that begins at 0.00 ends at no end"),
    ([(500, 100, 0.5)], "it must begin at 0 or above and end above its beginning"),
    ([(0, None, 13)], "use a share between 0 and 1"),
    ([], "has no band in mutual_aid_band"),
]
WRONG_INCOMES: list[tuple[list[tuple[Any, ...]], str]] = [
    ([("100000", 2024, 1), ("100000", 2024, 2)], "of 100000 in 2024 stands 2 times"),
    ([("100000", 2024, 0)], "give yuan above 0"),
    ([("44", 2024, 1), ("100000", 2024, 1)], 'The division "44" is not six digits'),
    ([("440000", 2024, 1)], "no income of the whole country"),
]


def test_what_a_returning_settlement_reverses_is_changed(builds: Builds) -> None:
    """A correction is withdrawn: what it had set free is bound again, though the row that returns is an old one."""
    month = MONTHS[0]
    reversal = settlement(2, month, 1, refd_setl_flag="1", init_setl_id="S1")
    away = settlement(3, month, 1, out_flag="1")
    every = [
        delivery(1, "medical", month, settlement=[settlement(1, month, 1)]),
        delivery(2, "medical", month, settlement=[reversal, away]),
        delivery(3, "medical", month, "440000", settlement=[settlement(3, month, 1, out_flag="2")]),
        delivery(4, "medical", month, settlement=[reversal | {"init_setl_id": None}, away | {"out_flag": None}]),
    ]
    land(builds.conn, every)
    builds.full("build_a", every, models=["settlement"])
    builds.freeze("build_a", every[:3])
    builds.run("build_a", models=["settlement"])
    statuses = builds.conn.execute(
        "SELECT setl_id, sender, net_reason FROM build_a.settlement WHERE NOT is_net"
    ).fetchall()
    assert sorted(statuses) == [
        ("S1", "350000", "reversed"),
        ("S2", "350000", "reversal"),
        ("S3", "440000", "counted_at_insured_end"),
    ]
    builds.full("build_b", every[:3], models=["settlement"])
    assert builds.differences() == []


def test_wrong_seeds_are_told_what_to_mend(builds: Builds) -> None:
    conn = builds.conn
    builds.dbt("build_a", "compile", "--select", "test_type:singular,path:tests/medical")
    folder = next(builds.folder.rglob("compiled/warehouse/tests/medical"))

    def messages(name: str) -> list[str]:
        return [row[-1] for row in conn.execute((folder / f"{name}.sql").read_text()).fetchall()]

    def undone(statements: list[tuple[str, list[Any]]], name: str) -> list[str]:
        with conn.transaction(force_rollback=True):
            for statement, values in statements:
                conn.execute(statement, values)
            return messages(name)

    schemes, incomes = "mutual_aid_schemes_are_sound", "regional_incomes_are_sound"
    assert messages(schemes) == []
    assert messages(incomes) == []
    where = "WHERE scheme_code = 'second-claim'"
    for wrong, expected in WRONG_SCHEMES:
        column, value = next(iter(wrong.items()))
        found = undone([(f"UPDATE build_a_staging.mutual_aid_scheme SET {column} = %s {where}", [value])], schemes)
        assert any(expected in message and "second-claim" in message for message in found), (wrong, found)
    for bands, expected in WRONG_BANDS:
        statements: list[tuple[str, list[Any]]] = [(f"DELETE FROM build_a_staging.mutual_aid_band {where}", [])]
        statements += [
            ("INSERT INTO build_a_staging.mutual_aid_band VALUES ('second-claim', %s, %s, %s)", list(band))
            for band in bands
        ]
        found = undone(statements, schemes)
        assert any(expected in message and "second-claim" in message for message in found), (bands, found)
    stray: tuple[str, list[Any]] = ("INSERT INTO build_a_staging.mutual_aid_band VALUES ('other', 0, NULL, 0.1)", [])
    assert any("belongs to the scheme other" in message for message in undone([stray], schemes))
    for rows_, expected in WRONG_INCOMES:
        statements = [("DELETE FROM build_a_staging.regional_income", [])]
        statements += [("INSERT INTO build_a_staging.regional_income VALUES (%s, %s, %s)", list(row)) for row in rows_]
        found = undone(statements, incomes)
        assert any(expected in message for message in found), (rows_, found)


def test_paths() -> None:
    """The seeds stand where the messages say."""
    project = Path(__file__).parents[3] / "dbt_project"
    for seed in ("mutual_aid_scheme", "mutual_aid_band", "regional_income"):
        assert (project / "seeds" / f"{seed}.csv").is_file()

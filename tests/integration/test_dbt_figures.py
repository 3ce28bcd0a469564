"""Figures over random deliveries equal those of the oracle: edge cases meet here that sample deliveries hardly show.

Few instants, names that differ in punctuation only, keys in upper and lower case, months outside those covered, codes of
one digit, reversals before their originals, several senders for one person: the ties that the definitions decide.
"""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from psycopg.rows import dict_row

from ingest import contracts
from tests import oracle
from tests.integration.test_dbt_incremental import SEEDS
from tests.worlds import EMPLOYERS, Builds, Delivery, Row, World, land

MEMBERSHIP_MONTHS = (date(2025, 11, 1), date(2025, 12, 1), date(2026, 2, 1), date(2026, 4, 1))
OTHER_MONTHS = (date(2025, 9, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 3, 1), date(2026, 5, 1))
PERSONS = tuple(UUID(int=n) for n in range(1, 61))
MEMBER_IDS = [f"{stem}{n}" for stem in ("M", "m", "M-", "M_", "會") for n in range(8)]
KINDS_OF_CARE = ("11", "110104", "12", "19", "81", "14", "140104", "21", "2102", "28", "41", "51", "53", "1", "2", "99")


class EdgeWorld(World):
    """Many rows on few keys, and everything that decides a tie."""

    def _delivery(self, number: int) -> Delivery:
        pick = self.random.choice
        delivery = super()._delivery(number)
        delivery.name = f"{pick(('a', 'a-', 'a.', 'a_', 'b', 'ab'))}{number}"
        delivery.month = pick(MEMBERSHIP_MONTHS if delivery.source == "membership" else OTHER_MONTHS)
        delivery.created = datetime(2026, 6, pick((1, 2)), tzinfo=UTC)
        share = 0.7 if delivery.mode == "snapshot" else 0.15
        if delivery.source == "membership":
            delivery.feeds["member"] = [self._member(key) for key in self._some(len(MEMBER_IDS), share)]
        elif delivery.source == "training":
            delivery.feeds["certificate"] = [self._certificate(key) for key in self._some(20, 0.5)]
            delivery.feeds["enrolment"] = [self._enrolment(key) for key in self._some(60, 0.5)]
        else:
            delivery.feeds["settlement"] = [self._settlement(key) for key in self._some(900, 0.5)]
            delivery.feeds["insurance"] = [self._insurance(key) for key in self._some(80, 0.5)]
            delivery.feeds["person"] = [self._insured(key) for key in self._some(60, 0.5)]
        return delivery

    def _person(self) -> Row:
        # the key and the sex of one person agree in all rows, as they do behind the door
        person = self.random.choice(PERSONS)
        return {"person_key": person, "person_sex": "129"[person.int % 3], "person_birth_year": 1960 + person.int}

    def _organisation(self, key: int) -> Row:
        pick = self.random.choice
        more = {
            "org_level": pick(("90", "90", "90", "60")),
            "status": pick(("1", "1", "1", "4", "0")),
            "has_open_affairs": pick((None, True, False)),
        }
        return super()._organisation(key) | more

    def _member(self, key: int) -> Row:
        pick = self.random.choice
        joined = pick((date(2025, 11, 30), date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 28), date(2026, 5, 1)))
        more = {
            "member_id": MEMBER_IDS[key],
            "joined_on": joined,
            "status": pick(("1", "1", "1", "1", "2")),
            "status_changed_on": pick((None, None, joined, joined + timedelta(days=20))),
            "skill_level": pick((None, "无等级", *oracle.RANKS)),
        }
        return super()._member(key) | more

    def _certificate(self, key: int) -> Row:
        pick = self.random.choice
        issued = pick((date(2025, 6, 1), date(2025, 12, 31), date(2026, 2, 1), date(2026, 3, 31)))
        return super()._certificate(key) | {"issued_on": issued, "skill_level": pick(("无等级", *oracle.RANKS))}

    def _enrolment(self, key: int) -> Row:
        started = self.random.choice((date(2024, 12, 31), date(2025, 1, 1), date(2025, 10, 5), date(2026, 2, 28)))
        return super()._enrolment(key) | {"started_on": started}

    def _fund(self, key: int) -> Row:
        return super()._fund(key) | {"frontline_spent": self.random.choice((Decimal(0), Decimal(60), Decimal("59.99")))}

    def _insured(self, key: int) -> Row:
        return super()._insured(key) | {"psn_no": f"P{key}"}

    def _insurance(self, key: int) -> Row:
        pick = self.random.choice
        begun = pick((date(2025, 1, 15), date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 1)))
        return super()._insurance(key) | {
            "psn_no": f"P{self.random.randrange(64)}",
            "emp_uscc": pick((None, *EMPLOYERS, "91A", "91a", "9-1")),
            "insutype": pick(("310", "310", "31001", "390", "39101", "391", "392", "399", "340")),
            "psn_type": pick(("1101", "1103", "110301", "1102", "12", "1201", "120101", "1301")),
            "psn_insu_stas": pick(("1", "1", "2", "2", "0", "3", "4")),
            "crt_insu_date": begun,
            "paus_insu_date": pick(
                (None, begun, date(2026, 2, 1), date(2026, 2, 28), date(2026, 3, 1), date(2030, 1, 1))
            ),
        }

    def _settlement(self, key: int) -> Row:
        pick = self.random.choice
        row = super()._settlement(key)
        day = pick((date(2025, 4, 30), date(2025, 5, 1), date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 28)))
        day = pick(
            (day, day, date(2026, 3, 1), date(2026, 3, 30), date(2026, 3, 31), date(2026, 4, 30), date(2026, 5, 1))
        )
        more: dict[str, Any] = {
            "setl_time": datetime(day.year, day.month, day.day, pick((0, 23)), 59),
            "med_type": pick((*KINDS_OF_CARE, *("11", "21") * 12)),
            "insu_admdvs": pick(("350199", "440100", "440300")),
        }
        if row["init_setl_id"] is not None:
            more["init_setl_id"] = f"S{self.random.randrange(900)}"
            more["vali_flag"] = pick(("1", "0"))
        else:
            fee = Decimal(self.random.randrange(100, 6_000_000)) / 100
            fund = (fee * self.random.randrange(0, 100) / 100).quantize(Decimal("0.01"))
            more |= {"medfee_sumamt": fee, "fund_pay_sumamt": fund, "psn_pay": fee - fund}
            more |= {"fulamt_ownpay_amt": pick((Decimal(0), fee)), "overlmt_selfpay": Decimal("0.01")}
            more["refd_setl_flag"] = pick(("0", "0", "0", "0", "0", "1", "2"))
        return row | more


SCHEMES = (
    ("every-care", "", date(2025, 1, 1), date(2026, 3, 30), "outpatient,other, pharmacy", "psn_pay", "0.01", "50", 0),
    ("waiting", "3501", date(2025, 12, 31), date(2026, 2, 28), "inpatient", "policy_self_pay", "100", "3000.01", 58),
)
BANDS = (
    ("every-care", "0", "0.03", "0.50"),
    ("every-care", "0.03", None, "0.00005"),
    ("waiting", "1000", "2000", "0.333"),
    ("waiting", "5000", None, "1"),
)
INCOMES = (("110000", 2025, "50000.01"), ("110000", 2026, "0.02"), ("350000", 2026, "9000"), ("440000", 2027, "1"))


def accepted(deliveries: list[Delivery]) -> oracle.Accepted:
    """What the oracle reads, of deliveries that count."""
    rows: dict[str, list[Row]] = {}
    for feed in contracts.load().feeds.values():
        empty = {column.name: Decimal(0) if column.default_zero else None for column in feed.columns}
        rows[feed.table] = [
            {
                **empty,
                **row,
                "_sender": one.sender,
                "_period": one.month,
                "_mode": one.mode,
                "_created": one.created,
                "_name": one.name.encode(),
            }
            for one in deliveries
            for row in one.feeds.get(feed.name, [])
            if one.source == feed.source
        ]
    return oracle.Accepted(rows, [one.month for one in deliveries if one.source == "membership"])


@pytest.mark.parametrize("seed", SEEDS)
def test_figures_of_random_deliveries_equal_the_oracle(builds: Builds, seed: int) -> None:
    world = EdgeWorld(seed)
    land(builds.conn, world.deliveries)
    counting = world.random.sample(world.deliveries, 22)
    builds.prepare("build_a")
    seeds = "build_a_staging"
    marks = ", ".join(["%s"] * 9)
    builds.conn.cursor().executemany(
        f"INSERT INTO {seeds}.mutual_aid_scheme (scheme_code, name, admdvs_prefix, term_start, term_end, categories, base,"
        f" deductible, cap, waiting_days) VALUES (%s, {marks})",
        [(scheme[0], *scheme) for scheme in SCHEMES],
    )
    builds.conn.cursor().executemany(f"INSERT INTO {seeds}.mutual_aid_band VALUES (%s, %s, %s, %s)", BANDS)
    builds.conn.cursor().executemany(f"INSERT INTO {seeds}.regional_income VALUES (%s, %s, %s)", INCOMES)

    builds.full("build_a", counting)

    with builds.conn.cursor(row_factory=dict_row) as cursor:

        def table(name: str) -> list[Row]:
            return cursor.execute(f"SELECT * FROM {name}").fetchall()

        expected = oracle.Oracle(
            accepted(counting),
            *(table(f"{seeds}.{name}") for name in ("mutual_aid_scheme", "mutual_aid_band", "regional_income")),
        )
        wrong = {}
        for relation, keys in oracle.FIGURES.items():
            name = relation.partition(".")[2]
            wanted = getattr(expected, name)()
            assert wanted or len(SEEDS) > 1, f"{relation}: a world without rows proves nothing"
            if messages := oracle.differences(wanted, table(f"build_a.{name}"), keys):
                wrong[relation] = messages[:10]
    assert wrong == {}, f"seed {seed}"

"""Random deliveries of all sources that meet on the edges of the definitions: what decides ties, windows and small cells.

Few instants, names that differ in punctuation only, keys in upper and lower case, months outside those covered, codes of
one digit, reversals before their originals, several senders for one person, a sender without membership.
"""

import random
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from tests import oracle
from tests.edge_rows import BUDGET_LINES, CONTESTS, CONTRACTS, REGIME_LINES, UNITS, EdgeRows
from tests.worlds import EMPLOYERS, SENDERS, Delivery, Row, World

MEMBERSHIP_MONTHS = (date(2025, 11, 1), date(2025, 12, 1), date(2026, 2, 1), date(2026, 4, 1))
OTHER_MONTHS = (date(2025, 9, 1), date(2025, 12, 1), date(2026, 1, 1), date(2026, 3, 1), date(2026, 5, 1))
PERSONS = tuple(UUID(int=n) for n in range(1, 121))
MEMBER_IDS = [f"{stem}{n}" for stem in ("M", "m", "M-", "M_", "會") for n in range(30)]
KINDS_OF_CARE = ("11", "110104", "12", "19", "81", "14", "140104", "21", "2102", "28", "41", "51", "53", "1", "2", "99")
#: One that never delivers a membership.
OTHER_SENDER = "330000"
#: Deliveries of each source.
SOURCES = {
    "membership": 12,
    "training": 8,
    "medical": 8,
    "rights": 10,
    "honours": 7,
    "funds": 5,
    "employment": 10,
    "services": 7,
}
#: Of the deliveries of a world, so many count.
COUNTING = sum(SOURCES.values()) * 4 // 5


class EdgeWorld(World):
    """Many rows on few keys, and everything that decides a tie."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows = EdgeRows(PERSONS, self.random)
        sources = [source for source, count in SOURCES.items() for _ in range(count)]
        self.deliveries = [self._of_source(number, source) for number, source in enumerate(sources, start=1)]

    def counting(self) -> list[Delivery]:
        """Some of the deliveries; the others were withdrawn, or another one supersedes them."""
        return self.random.sample(self.deliveries, COUNTING)

    def _of_source(self, number: int, source: str) -> Delivery:
        pick = self.random.choice
        name = f"{pick(('a', 'a-', 'a.', 'a_', 'b', 'ab'))}{number}"
        mode = pick(("snapshot", "delta")) if source == "membership" else "delta"
        month = pick(MEMBERSHIP_MONTHS if source == "membership" else OTHER_MONTHS)
        senders = SENDERS if source in ("membership", "training", "medical") else (*SENDERS, OTHER_SENDER)
        created = datetime(2026, 6, pick((1, 2)), tzinfo=UTC)
        delivery = Delivery(number, name, source, pick(senders), month, mode, created)
        for feed, (make, keys, share) in self._makers(source, mode).items():
            delivery.feeds[feed] = [make(key) for key in self._some(keys, share)]
        return delivery

    def _makers(self, source: str, mode: str) -> Mapping[str, tuple[Callable[[int], Row], int, float]]:
        """Of each feed of a source: what makes the row of a key, how many keys there are, the share in a delivery."""
        whole = mode == "snapshot"
        rows = self.rows
        return {
            "membership": {
                "organisation": (self._organisation, 5, 0.8 if whole else 0.25),
                "member": (self._member, len(MEMBER_IDS), 0.7 if whole else 0.15),
            },
            "training": {
                "certificate": (self._certificate, 20, 0.5),
                "enrolment": (self._enrolment, 250, 0.5),
                "fund": (self._fund, 4, 0.25),
            },
            "medical": {
                "settlement": (self._settlement, 900, 0.5),
                "insurance": (self._insurance, 200, 0.5),
                "person": (self._insured, 120, 0.5),
            },
            "rights": {
                "regime": (rows.regime, len(REGIME_LINES), 0.7),
                "collective_contract": (rows.collective_contract, len(CONTRACTS), 0.5),
                "contract_unit": (rows.contract_unit, len(UNITS), 0.15),
                "dispute_case": (rows.dispute_case, 500, 0.5),
            },
            "honours": {
                "honour": (rows.honour, 80, 0.5),
                "studio": (rows.studio, 20, 0.5),
                "contest": (rows.contest, len(CONTESTS), 0.5),
            },
            "funds": {
                "fund_budget": (rows.fund_budget, len(BUDGET_LINES), 0.4),
                "audit_finding": (rows.audit_finding, 40, 0.5),
            },
            "employment": {
                "employment_spell": (rows.employment_spell, 150, 0.5),
                "social_insurance_month": (rows.social_insurance_month, 1440, 0.35),
            },
            "services": {"service_record": (rows.service_record, 700, 0.5)},
        }[source]

    def _person(self) -> Row:
        return self.rows.person()

    def _organisation(self, key: int) -> Row:
        pick = self.random.choice
        more = {
            "org_level": pick(("90", "90", "90", "60")),
            "admdvs": pick(("110101", "110101", "110101", "350102")),
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
            "new_form_type": pick((None, "0", "3", "4")),
        }
        return super()._member(key) | more

    def _certificate(self, key: int) -> Row:
        pick = self.random.choice
        issued = pick((date(2025, 6, 1), date(2025, 11, 30), date(2025, 12, 31), date(2026, 2, 1), date(2026, 3, 31)))
        return super()._certificate(key) | {"issued_on": issued, "skill_level": pick(("无等级", *oracle.RANKS))}

    def _enrolment(self, key: int) -> Row:
        pick = self.random.choice
        started = pick((date(2024, 12, 31), date(2025, 1, 1), date(2025, 5, 5), date(2025, 10, 5), date(2026, 2, 28)))
        # looked at six months after their end: the first and the last of the months covered, and those beside them
        ends = (date(2025, 4, 30), date(2025, 5, 1), date(2025, 5, 31), *(date(2025, 10, 31),) * 3, date(2025, 11, 1))
        ended = pick([None, *(end for end in ends if end >= started)])
        more = {"started_on": started, "ended_on": ended, "training_type": pick(("1", "2", "2", "6"))}
        return super()._enrolment(key) | more

    def _fund(self, key: int) -> Row:
        return super()._fund(key) | {"frontline_spent": self.random.choice((Decimal(0), Decimal(60), Decimal("59.99")))}

    def _insured(self, key: int) -> Row:
        return super()._insured(key) | {"psn_no": f"P{key}"}

    def _insurance(self, key: int) -> Row:
        pick = self.random.choice
        begun = pick((date(2025, 1, 15), date(2025, 12, 31), date(2026, 1, 1), date(2026, 2, 1)))
        return super()._insurance(key) | {
            "psn_no": f"P{self.random.randrange(124)}",
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

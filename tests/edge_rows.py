"""Random rows of rights, honours, funds, employment and services, on the edges that the definitions of figures decide.

Month ends and the days beside them, windows of 12 months, limits of days, the same person at several senders, values
that are missing, references to what is not there.
"""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

Row = dict[str, Any]
ORGANISATIONS = tuple(f"O{n}" for n in range(6))  # the last one is in no register
#: Credit codes of employers; the first three are those of organisations.
EMPLOYERS = (*(f"9111010{n}MA0000000{n}" for n in range(3)), "91A", "91a", "9-1", "911X", "911x")
DIVISIONS = ("110101", "110101", "110101", "350102")
#: Days at the ends of months, and of the 12 months that end with a month.
DAYS = (
    date(2024, 11, 30),
    date(2024, 12, 1),
    date(2025, 4, 30),
    date(2025, 5, 1),
    date(2025, 11, 30),
    date(2025, 12, 1),
    date(2025, 12, 31),
    date(2026, 1, 1),
    date(2026, 2, 28),
    date(2026, 3, 1),
    date(2026, 3, 31),
    date(2026, 4, 30),
    date(2026, 5, 1),
)
#: Days on which most events lie, so that some groups have more than ten persons.
OFTEN = (*DAYS, *(date(2026, 2, 28), date(2026, 3, 31)) * 10)
CONTESTS = tuple(f"X{n}" for n in range(12))
CONTRACTS = tuple(f"K{n}" for n in range(16))
REGIMES = ("1", "21", "22", "31", "39")
BUDGET_LINES = tuple(
    (org, year, account, purpose)
    for org in ORGANISATIONS
    for year in (2024, 2025, 2026, 2027)
    for account in ("I2", "I3", "E1", "E8", "E0")
    for purpose in ("0", "1")
)
UNITS = tuple((contract, employer) for contract in (*CONTRACTS, "K-none") for employer in EMPLOYERS)
REGIME_LINES = tuple((org, regime) for org in ORGANISATIONS for regime in REGIMES)
SCHEME_CODES = (*("every-care",) * 6, "waiting", "second-claim", "no-scheme", None)
MONTHS_PAID = (
    *(date(2025, month, 1) for month in (9, 10, 11, 12)),
    *(date(2026, month, 1) for month in (1, 2, 2, 2, 3, 4, 4, 4, 5)),
)
#: Kinds of insurance, in the order of the payments of one person.
KINDS = ("110", "210", "410", "510", "900", "120", "170", "900", "310", "900", "110", "410")


class EdgeRows:
    """Makes the row of a key."""

    def __init__(self, persons: Sequence[UUID], draw: random.Random) -> None:
        self.persons, self.random = persons, draw

    def person(self, number: int | None = None) -> Row:
        """A person, whose key and sex agree in all rows, as they do behind the door."""
        person = self.random.choice(self.persons) if number is None else self.persons[number % len(self.persons)]
        return {"person_key": person, "person_sex": "129"[person.int % 3], "person_birth_year": 1960 + person.int}

    def _after(self, day: date, *days: int | None) -> date | None:
        """A day so many days later, or none."""
        chosen = self.random.choice(days)
        return None if chosen is None else day + timedelta(days=chosen)

    def _maybe_later(self, day: date) -> date | None:
        """None, or one of the days that are not before a day."""
        return self.random.choice((None, None, *(one for one in (*DAYS, day) if one >= day)))

    def _money(self, *amounts: str | None) -> Decimal | None:
        chosen = self.random.choice(amounts)
        return None if chosen is None else Decimal(chosen)

    # -- rights -----------------------------------------------------------------------------------------------------

    def regime(self, key: int) -> Row:
        pick = self.random.choice
        established = pick((*DAYS[:6], *DAYS[:9]))
        representatives, proposals = pick((None, 40)), pick((None, 9))
        return {
            "org_code": REGIME_LINES[key][0],
            "regime": REGIME_LINES[key][1],
            "reach": pick((None, "1")),
            "established_on": established,
            "ended_on": pick((None, None, self._maybe_later(established))),
            "last_held_on": self._maybe_later(established),
            "representatives": representatives,
            "attended": pick((None, 0, 38)) if representatives else None,
            "proposals": proposals,
            "proposals_closed": pick((None, 0, 9)) if proposals else None,
        }

    def collective_contract(self, key: int) -> Row:
        pick = self.random.choice
        valid_from = pick(DAYS)
        # ends about the day that is 90 days after the end of a month
        soon = pick((date(2025, 11, 30), date(2026, 2, 28), date(2026, 4, 30))) + timedelta(days=pick((0, 90, 91)))
        return {
            "contract_no": CONTRACTS[key],
            "org_code": pick(ORGANISATIONS),
            "contract_kind": pick(("1", "2", "2", "3")),
            "scope": pick(("1", "1", "1", "2", "3")),
            "employer_uscc": pick((None, None, *EMPLOYERS)),
            "admdvs": pick(DIVISIONS),
            "signed_on": valid_from,
            "review": pick(("0", "1", "2", "3")),
            "valid_from": valid_from,
            "valid_to": max(valid_from, pick((*DAYS, soon, soon, date(2027, 12, 31)))),
            "terminated_on": pick((None, None, self._maybe_later(valid_from))),
            "covered_workers": pick((0, 30, 300)),
        }

    def contract_unit(self, key: int) -> Row:
        pick = self.random.choice
        return {
            "contract_no": UNITS[key][0],
            "employer_uscc": UNITS[key][1],
            "employer_name": f"Works {UNITS[key][1]}",
            "org_code": pick((None, None, *ORGANISATIONS)),
            "workers": pick((None, 0, 20, 200)),
            "left_on": pick((None, None, None, *DAYS)),
        }

    def dispute_case(self, key: int) -> Row:
        pick = self.random.choice
        accepted = pick(OFTEN)
        closed = self._after(accepted, None, None, 0, 14, 15, 16, 45, 46, 60, 61, 90, 91)
        return self.person() | {
            "case_no": f"D{key}",
            "org_code": pick(ORGANISATIONS),
            "workers": pick((1, 1, 12)),
            "employer_name": "Works",
            "admdvs": pick(DIVISIONS),
            "channel": "1",
            "dispute_type": pick(("1", "1", "2", "3")),
            "is_new_form": pick((None, True, False)),
            "procedure": pick(("1", "2", "3", "4", "5")),
            "legal_aid": pick((None, True, False)),
            "accepted_on": accepted,
            "closed_on": closed,
            "outcome": closed and pick(("1", "2", "3", "7")),
            "claimed_amount": self._money(None, "0", "1000.01"),
            "recovered_amount": self._money(None, "0", "999.99"),
        }

    # -- honours ----------------------------------------------------------------------------------------------------

    def honour(self, key: int) -> Row:
        pick = self.random.choice
        granted = pick(DAYS)
        return self.person() | {
            "honour_no": f"H{key}",
            "honour_type": pick(("1", "4", "4", "4", "5", "9")),
            "honour_level": pick(("10", "20", "30", "90")),
            "granted_on": granted,
            "org_code": pick((None, *ORGANISATIONS)),
            "contest_no": pick((None, *CONTESTS[:3], "X-none")),
            "status": pick(("1", "1", "0")),
            "revoked_on": self._maybe_later(granted),
        }

    def studio(self, key: int) -> Row:
        pick = self.random.choice
        alliance = pick((None, "A1", "A2", "a1"))
        counts: Row = {name: pick((None, 0, 3)) for name in ("projects", "achievements", "patents", "trained")}
        return (
            self.person()
            | counts
            | {
                "studio_no": f"W{key}",
                "studio_kind": pick(("1", "2", "3")),
                "studio_level": pick(("10", "20", "90")),
                "org_code": pick((None, *ORGANISATIONS)),
                "admdvs": pick(DIVISIONS),
                "named_on": pick(DAYS),
                "status": pick(("1", "1", "2", "0")),
                "alliance_no": alliance,
                "alliance_name": alliance and f"Alliance {alliance}",
                "members": pick((None, 1, 8)),
                "funded_amount": self._money(None, "0", "100.10"),
            }
        )

    def contest(self, key: int) -> Row:
        pick = self.random.choice
        started = pick(DAYS)
        return {
            "contest_no": CONTESTS[key],
            "contest_name": f"Contest {key}",
            "contest_kind": pick(("1", "2")),
            "contest_level": pick(("20", "40")),
            "admdvs": pick(DIVISIONS),
            "started_on": started,
            "ended_on": self._after(started, None, 0, 40),
            "units": pick((None, 4)),
            "participants": pick((50, 60)),
            "frontline_participants": pick((None, 0, 50)),
            "winners": pick((None, 5)),
            "promoted": pick((None, 2)),
            "spent": self._money(None, "0", "5000.05"),
        }

    # -- funds ------------------------------------------------------------------------------------------------------

    def fund_budget(self, key: int) -> Row:
        pick = self.random.choice
        org_code, year, account, purpose = BUDGET_LINES[key]
        return {
            "org_code": org_code,
            "year": year,
            "account": account,
            "purpose": purpose,
            "budget": self._money("0", "100", "2500.55"),
            "adjusted_budget": self._money(None, None, "0", "120.05"),
            "actual": self._money("0", "-30.10", "99.99", "2500"),
            "as_of": date(year, pick((6, 12)), 30),
        }

    def audit_finding(self, key: int) -> Row:
        pick = self.random.choice
        issued = pick(DAYS)
        amount = self._money(None, "0", "5000")
        return {
            "finding_no": f"F{key}",
            "audit_no": f"U{key % 3}",
            "org_code": pick(ORGANISATIONS),
            "audit_kind": pick(("1", "2")),
            "finding_type": pick(("1", "2")),
            "is_reform": pick((None, True, False)),
            "issued_on": issued,
            "amount": amount,
            "due_on": self._maybe_later(issued),
            "rectified_on": self._maybe_later(issued),
            "rectified_amount": pick((None, Decimal(0), amount)),
        }

    # -- employment -------------------------------------------------------------------------------------------------

    def employment_spell(self, key: int) -> Row:
        pick = self.random.choice
        started = pick(DAYS)
        return self.person() | {
            "spell_id": f"J{key}",
            "employment_form": pick(("1", "1", "1", "2", "3", "3", "9")),
            "employer_uscc": pick((None, *EMPLOYERS)),
            "admdvs": pick(DIVISIONS),
            "started_on": started,
            "ended_on": pick((None, None, self._maybe_later(started))),
        }

    def social_insurance_month(self, key: int) -> Row:
        pick = self.random.choice
        # several kinds of one person, who has all of them in some months
        number, kind = divmod(key, len(KINDS))
        return self.person(number) | {
            "payment_id": f"Z{key}",
            "insurance_kind": KINDS[kind],
            "month": pick(MONTHS_PAID),
            "employer_uscc": pick((None, *EMPLOYERS)),
            "platform_code": pick((*("didi",) * 30, *("meituan",) * 20, None, "Didi", "all-own")),
            "admdvs": pick(DIVISIONS),
            "payment_type": pick((None, "10", "31")),
            "status": pick(("1", "1", "1", "1", "2", "3")),
        }

    # -- services ---------------------------------------------------------------------------------------------------

    def service_record(self, key: int) -> Row:
        pick = self.random.choice
        unknown: Row = dict.fromkeys(("person_key", "person_sex", "person_birth_year"))
        return (self.person() if self.random.random() < 0.85 else unknown) | {
            "record_id": f"R{key}",
            "service_type": pick(
                ("41", "51", "62", "99") if key % 100 == 0 else ("31", "31", "31", "11", "11", "14", "21", "21")
            ),
            "served_on": pick(OFTEN),
            "org_code": pick(ORGANISATIONS),
            "admdvs": pick(DIVISIONS),
            "persons": pick((1, 1, 9)),
            # the cap of one of the schemes is 50
            "amount": self._money(None, "0", "50", "50", "50", "50", "49.99", "0.01"),
            "in_kind": self._money(None, "12.50"),
            "scheme_code": pick(SCHEME_CODES),
            "status": pick(("1", "1", "1", "0")),
        }

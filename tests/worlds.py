"""Random deliveries straight in the landing tables, and dbt over any set of them: what dbt makes of them is what counts."""

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql

from ingest import contracts, database
from ingest.contracts import Feed
from ingest.settings import Settings
from tests import random_rows
from tests.random_rows import EMPLOYERS, FIRST_DAY, Row
from warehouse.build import dbt, planning, selection

PROJECT = Path(__file__).parents[1] / "dbt_project"
SENDERS = ("110000", "350000", "440000")
MONTHS = tuple(date(2026, month, 1) for month in range(1, 6))
PERSONS = tuple(UUID(int=n) for n in range(1, 13))
#: How often a delivery is of a source, relative to the others.
SOURCES = {"membership": 10, "training": 6, "medical": 6, "employment": 8, "services": 4}
#: Of a feed whose rows follow from its contract: so many keys.
KEYS = 14

#: The project as dbt parsed it for each build schema: once a process, because a parse takes ten seconds. It names the
#: database, which is the same for all tests with the fixture ``builds``.
_PARSED: dict[str, Any] = {}
#: Of every call of dbt. Its manifest as a file, which nobody here reads, would take as long as some models.
ARGUMENTS = ("--quiet", "--log-level-file", "none", "--no-use-colors", "--no-write-json")


@dataclass
class Delivery:
    """A delivery with its rows by feed."""

    number: int
    name: str
    source: str
    sender: str
    month: date
    mode: str
    created: datetime
    feeds: dict[str, list[Row]] = field(default_factory=dict)


class World:
    """Random deliveries over few keys, so that they meet often."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.deliveries = [self._delivery(number) for number in range(1, 45)]

    def _day(self, first: date = FIRST_DAY, days: int = 500) -> date:
        return first + timedelta(days=self.random.randrange(days))

    def _some(self, count: int, share: float) -> list[int]:
        return [n for n in range(count) if self.random.random() < share]

    def _delivery(self, number: int) -> Delivery:
        pick = self.random.choice
        feeds: dict[str, list[Feed]] = {}
        for feed in contracts.load().feeds.values():
            feeds.setdefault(feed.source, []).append(feed)
        source = self.random.choices(list(feeds), [SOURCES.get(one, 1) for one in feeds])[0]
        month = pick(MONTHS)
        # few instants: ties are broken by name
        created = datetime(2026, 6, pick((1, 2, 3)), tzinfo=UTC)
        mode = pick(("snapshot", "delta")) if source == "membership" else "delta"
        name = f"{pick('abcdef')}-{source}-{number}"
        delivery = Delivery(number, name, source, pick(SENDERS), month, mode, created)
        share = 0.8 if mode == "snapshot" else 0.25
        for feed in feeds[source]:
            make, keys = self._maker(feed)
            delivery.feeds[feed.name] = [make(key) for key in self._some(keys, share)]
        return delivery

    def _maker(self, feed: Feed) -> tuple[Callable[[int], Row], int]:
        """What makes the row of a key of a feed, and how many keys there are."""
        makers = {
            "membership_organisation": (self._organisation, 5),
            "membership_member": (self._member, 10),
            "training_enrolment": (self._enrolment, 10),
            "training_certificate": (self._certificate, 10),
            "training_fund": (self._fund, 4),
            "medical_person": (self._insured, 8),
            "medical_insurance": (self._insurance, 10),
            "medical_settlement": (self._settlement, 14),
            "services_service_record": (self._service_record, 16),
            "employment_social_insurance_month": (partial(self._payment, feed), KEYS),
        }
        return makers.get(feed.table, (lambda key: random_rows.row(feed, key, self.random, self._person()), KEYS))

    def _person(self) -> Row:
        person = self.random.choice(PERSONS)
        # the last person has a document that does not tell: what is delivered differs
        sex = "12"[person.int % 2] if person.int < 12 else self.random.choice(("1", "2", None))
        return {"person_key": person, "person_sex": sex, "person_birth_year": 1970 + person.int}

    def _organisation(self, key: int) -> Row:
        pick = self.random.choice
        return {
            "org_code": f"O{key}",
            "org_name": f"Union {key}",
            "parent_org_code": pick((None, "O0", f"O{(key + 1) % 5}")),
            "org_level": pick(("90", "90", "90", "40")),
            "org_type": "1",
            "admdvs": pick(("110101", "350102")),
            "employer_uscc": pick((None, *EMPLOYERS)),
            "employer_name": f"Works {pick('ABC')}",
            "employer_nature": pick((None, "110", "170")),
            "industry": pick((None, "C", "F")),
            "status": pick(("1", "1", "1", "0")),
            "employees": pick((None, 10, 20)),
            "has_workers_congress": pick((None, True, False)),
            "has_collective_contract": pick((None, True, False)),
        }

    def _member(self, key: int) -> Row:
        pick = self.random.choice
        joined = pick((date(2025, 5, 1), self._day(date(2026, 1, 1), 150)))
        return self._person() | {
            "member_id": f"M{key}",
            "org_code": f"O{self.random.randrange(6)}",
            "skill_level": pick((None, "学徒工", "初级工", "高级工", "无等级")),
            "is_migrant_worker": pick((None, True, False)),
            "new_form_type": pick((None, "0", "3")),
            "joined_on": joined,
            "status": pick(("1", "1", "1", "1", "3")),
            "status_changed_on": pick((None, joined + timedelta(days=pick((0, 20))))),
        }

    def _enrolment(self, key: int) -> Row:
        pick = self.random.choice
        started = self._day()
        return self._person() | {
            "enrolment_id": f"E{key}",
            "provider_name": "School",
            "occupation_code": pick((None, "6-18-01-01")),
            "training_type": pick(("1", "2")),
            "started_on": started,
            "ended_on": pick((None, *(started + timedelta(days=days) for days in (0, 20, 50)))),
            "result": pick(("1", "1", "2")),
            "attended_hours": pick((None, Decimal("7.5"), Decimal(40))),
            "funding_source": pick((None, "1", "4")),
            "subsidy_amount": pick((None, Decimal("100.10"), Decimal(33))),
        }

    def _certificate(self, key: int) -> Row:
        pick = self.random.choice
        return self._person() | {
            "certificate_no": f"C{key}",
            "occupation_code": pick((None, "6-18-01-01", "6-18-01-02")),
            "occupation_name": pick((None, "Turner", "Miller")),
            "skill_level": pick(("初级工", "中级工", "高级工", "技师", "无等级")),
            "issued_on": self._day(),
            "status": pick(("1", "1", "0")),
        }

    def _fund(self, key: int) -> Row:
        pick = self.random.choice
        spent = pick((Decimal(0), Decimal(100), Decimal(250)))
        return {
            "employer_uscc": EMPLOYERS[key % 3],
            "year": 2024 + key // 3,
            "employer_name": f"Works {pick('ABC')}",
            "admdvs": pick(("110101", "350102")),
            "spent": spent,
            "frontline_spent": spent * pick((Decimal("0.5"), Decimal("0.6"))),
        }

    def _insured(self, key: int) -> Row:
        return self._person() | {"psn_no": f"P{key}", "psn_cert_type": "01", "surv_stas": "1"}

    def _insurance(self, key: int) -> Row:
        pick = self.random.choice
        begun = self._day()
        return {
            "psn_insu_rlts_id": f"I{key}",
            "psn_no": f"P{self.random.randrange(9)}",
            "emp_uscc": pick((None, *EMPLOYERS)),
            "insutype": pick(("310", "310", "390", "31001")),
            "psn_type": pick(("1101", "1103", "1201")),
            "psn_insu_stas": pick(("1", "1", "2", "0")),
            "crt_insu_date": begun,
            "paus_insu_date": pick((None, begun + timedelta(days=pick((0, 60))))),
            "insu_admdvs": pick(("350199", "440100")),
        }

    def _settlement(self, key: int) -> Row:
        pick = self.random.choice
        day = self._day(date(2025, 8, 1), 300)
        is_reversal = self.random.random() < 0.2
        sign = -1 if is_reversal else 1
        fee, fund = Decimal(pick((1000, 30000))), Decimal(pick((0, 400)))
        return self._person() | {
            "setl_id": f"S{key}",
            "mdtrt_id": f"V{key}",
            "init_setl_id": f"S{self.random.randrange(14)}" if is_reversal else None,
            "psn_no": f"P{self.random.randrange(9)}",
            "psn_cert_type": "01",
            "insutype": pick(("310", "310", "390")),
            "psn_type": "1101",
            "insu_admdvs": pick(("350199", "440100")),
            "fixmedins_code": pick(("H35010000001", "L1")),
            "fixmedins_name": pick(("Hospital A", "Hospital B")),
            "begndate": day,
            "enddate": day,
            "setl_time": datetime(day.year, day.month, day.day, 10),
            "med_type": pick(("11", "21", "14", "41")),
            "refd_setl_flag": "1" if is_reversal else pick(("0", "0", "0", "1")),
            "vali_flag": pick(("1", "1", "1", "1", "0")),
            "out_flag": pick(("0", "0", "1", "2")),
            "medfee_sumamt": sign * fee,
            "fund_pay_sumamt": sign * fund,
            "psn_pay": sign * (fee - fund),
            "acct_pay": Decimal(0),
            "fulamt_ownpay_amt": Decimal(0),
            "overlmt_selfpay": Decimal(0),
        }

    def _payment(self, feed: Feed, key: int) -> Row:
        """Kinds of contributions that figures count more often than the others."""
        row = random_rows.row(feed, key, self.random, self._person())
        return row | {"insurance_kind": self.random.choice((row["insurance_kind"], "110", "900"))}

    def _service_record(self, key: int) -> Row:
        pick = self.random.choice
        person = self._person()
        known = self.random.random() < 0.8
        return (person if known else dict.fromkeys(person)) | {
            "record_id": f"R{key}",
            "service_type": pick(("11", "21", "31", "31", "51", "99")),
            "served_on": self._day(date(2025, 1, 15), 500),
            "org_code": f"O{self.random.randrange(6)}",
            "admdvs": pick(("110101", "350102")),
            "persons": pick((1, 3)),
            "amount": pick((None, Decimal("200.50"), Decimal(1000))),
            "in_kind": pick((None, Decimal(30))),
            "scheme_code": pick((None, "inpatient-13", "second-claim", "none")),
            "status": pick(("1", "1", "1", "0")),
        }


class Builds:
    """The two build schemas of a database, in which the seeds are loaded, and dbt."""

    def __init__(self, dsn: str, settings: Settings, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.conn = database.connect(dsn)
        self.folder = folder
        for name, value in dbt.environment(dsn, settings).items():
            monkeypatch.setenv(name, value)

    def dbt(self, schema: str, *arguments: str) -> None:
        """Call dbt for a build schema. Each call gets a copy of what dbt parsed, which it changes while it runs."""
        if schema not in _PARSED:
            _PARSED[schema] = self._invoke(schema, "parse").result
        result = self._invoke(schema, *arguments, "--threads", "2", manifest=_PARSED[schema].deepcopy())
        failed = [f"{one.node.name}: {one.message}" for one in result.result or [] if one.status in ("error", "fail")]
        assert result.success, failed or result.exception

    def _invoke(self, schema: str, *arguments: str, manifest: Any = None) -> Any:
        from dbt.cli.main import dbtRunner  # slow to import

        return dbtRunner(manifest=manifest).invoke(
            [
                *ARGUMENTS,
                *arguments,
                *("--project-dir", str(PROJECT), "--profiles-dir", str(dbt.PROFILE)),
                *("--target-path", str(self.folder / schema), "--vars", f"{{build: {schema}}}"),
            ]
        )

    def freeze(self, schema: str, deliveries: list[Delivery]) -> None:
        """What the next build is to hold."""
        with self.conn.transaction():
            self.conn.execute("DELETE FROM ops.build_delivery WHERE build = %s AND state = 'input'", [schema])
            self.conn.cursor().executemany(
                "INSERT INTO ops.build_delivery (build, state, delivery_id, name, source, sender, month, mode, created)"
                " VALUES (%s, 'input', %s, %s, %s, %s, %s, %s, %s)",
                [
                    (schema, one.number, one.name, one.source, one.sender, one.month, one.mode, one.created)
                    for one in deliveries
                ],
            )

    def complete(self, schema: str) -> None:
        """The build holds its input."""
        with self.conn.transaction():
            self.conn.execute("DELETE FROM ops.build_delivery WHERE build = %s AND state = 'done'", [schema])
            self.conn.execute(
                "INSERT INTO ops.build_delivery SELECT build, 'done', delivery_id, name, source, sender, month, mode,"
                " created FROM ops.build_delivery WHERE build = %s AND state = 'input'",
                [schema],
            )

    def full(self, schema: str, deliveries: list[Delivery], models: Sequence[str] = ()) -> None:
        """Build from nothing; with ``models``, these and all that they are made of."""
        self.conn.execute("DELETE FROM ops.build_delivery WHERE build = %s", [schema])
        self.freeze(schema, deliveries)
        self.run(schema, "--full-refresh", models=models)
        self.complete(schema)

    def run(self, schema: str, *options: str, models: Sequence[str] = ()) -> None:
        """Bring the models up to date; with ``models``, these and all that they are made of."""
        self.dbt(schema, "run", *options, *(("--select", *(f"+{model}" for model in models)) if models else ()))

    def run_changed(self, schema: str) -> None:
        """Bring a complete schema up to date: without the models that are made of unchanged sources alone."""
        manifest = self.folder / f"{schema}.json"
        _PARSED[schema].writable_manifest().write(str(manifest))
        unchanged = selection.unchanged_models(manifest, planning.changed_sources(self.conn, schema))
        self.run(schema, *(("--exclude", *unchanged) if unchanged else ()))

    def differences(self) -> list[str]:
        """Relations of the two builds that do not hold the same rows."""
        found = []
        for (table,) in self.conn.execute(
            "SELECT table_name FROM information_schema.tables"
            " WHERE table_schema = 'build_a' AND table_type = 'BASE TABLE' ORDER BY 1"
        ).fetchall():
            one, two = sql.Identifier("build_a", table), sql.Identifier("build_b", table)
            rows = self.conn.execute(
                sql.SQL(
                    "(SELECT 'only incremental', a::text FROM (TABLE {one} EXCEPT ALL TABLE {two}) AS a)"
                    " UNION ALL (SELECT 'only full', b::text FROM (TABLE {two} EXCEPT ALL TABLE {one}) AS b) LIMIT 4"
                ).format(one=one, two=two)
            ).fetchall()
            found += [f"{table} {side}: {row}" for side, row in rows]
        return found


def land(conn: psycopg.Connection, deliveries: list[Delivery]) -> None:
    """Put the rows of all deliveries into the landing tables, those that never count included."""
    for feed in contracts.load().feeds.values():
        conn.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF {} DEFAULT").format(
                sql.Identifier("landing", f"{feed.table}_all"), sql.Identifier("landing", feed.table)
            )
        )
        money = {column.name: Decimal(0) for column in feed.columns if column.default_zero}
        by_columns: dict[tuple[str, ...], list[list[Any]]] = {}
        for delivery in deliveries:
            if delivery.source != feed.source:
                continue
            for line, row in enumerate(delivery.feeds.get(feed.name, []), start=1):
                full = {
                    **money,
                    "delivery_id": delivery.number,
                    "file_no": 1,
                    "line_number": line,
                    "content_hash": hash(tuple(row.items())),
                    **row,
                }
                by_columns.setdefault(tuple(full), []).append(list(full.values()))
        for columns, values in by_columns.items():
            conn.cursor().executemany(
                sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                    sql.Identifier("landing", feed.table),
                    sql.SQL(", ").join(map(sql.Identifier, columns)),
                    sql.SQL(", ").join(sql.Placeholder() * len(columns)),
                ),
                values,
            )


def rows(conn: psycopg.Connection, tables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Of tables of build_a: where each row lies on disk (which a rewritten row changes), by the row's name.

    ``tables`` has an SQL expression for the name of a row by table.
    """
    found = {}
    for table, name in tables.items():
        schema = "build_a_staging" if table.startswith("int_") else "build_a"
        found[table] = dict(
            conn.execute(f"SELECT {name}, ctid::text || xmin::text FROM {schema}.{table}").fetchall()  # type: ignore[arg-type]
        )
    return found


def changed(before: dict[str, dict[str, str]], after: dict[str, dict[str, str]]) -> dict[str, set[str]]:
    """The names of rows that were made, made anew or taken away, by table."""
    return {
        table: {
            name
            for name in before[table].keys() | after[table].keys()
            if before[table].get(name) != after[table].get(name)
        }
        for table in before
    }

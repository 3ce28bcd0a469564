"""A country of made-up deliveries for the figures in this folder, written straight into the landing schema with SQL.

No files, no checks: what is measured begins behind them. All persons are numbers; their keys are hashes of those. Every
value is a function of the person, the month and the sender, so that two runs make the same rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

import psycopg
from psycopg import sql

SENDERS = ("110000", "130000", "320000", "330000", "350000", "370000", "410000", "420000", "440000", "510000")
#: Senders whose membership comes as a full snapshot each month; the others send one a year and deltas between.
MONTHLY_SNAPSHOTS = frozenset(SENDERS[-2:])
FIRST_MONTH = date(2024, 1, 1)

#: A number from 0 to n - 1 that looks random; arguments are SQL expressions.
_DICE = "(abs(hashint8extended(({0})::bigint, {1})) % {2})"


def dice(seed: str, salt: int, sides: int) -> str:
    """SQL for a number in 0 … sides - 1, a function of ``seed``."""
    return _DICE.format(seed, salt, sides)


def add_months(month: date, count: int) -> date:
    """The first day of the month ``count`` months later."""
    years, index = divmod(month.year * 12 + month.month - 1 + count, 12)
    return date(years, index + 1, 1)


@dataclass(frozen=True)
class World:
    """How big it is."""

    members: int = 200_000
    settlements: int = 2_000_000
    months: int = 24
    senders: tuple[str, ...] = SENDERS

    @property
    def organisations(self) -> int:
        """Base organisations of one sender: one to 80 members."""
        return max(20, self.members // (80 * len(self.senders)))

    @property
    def month_list(self) -> list[date]:
        """The months, in order."""
        return [add_months(FIRST_MONTH, index) for index in range(self.months)]

    @property
    def settlements_a_delivery(self) -> int:
        """Settlements of one sender and month."""
        return -(-self.settlements // (self.months * len(self.senders)))

    # -- deliveries ---------------------------------------------------------------------------------------------------

    def membership(self, conn: psycopg.Connection, sender: str, month: date) -> None:
        """The registers of one sender: a snapshot, or 2 % of the members and 1 % of the organisations as a delta."""
        index = self._index(month)
        snapshot = index % 12 == 0 or sender in MONTHLY_SNAPSHOTS
        self._deliver(
            conn,
            "membership",
            sender,
            month,
            "snapshot" if snapshot else "delta",
            {
                "membership_organisation": self._organisations(sender, index, 1 if snapshot else 100),
                "membership_member": self._members(sender, index, 1 if snapshot else 50),
            },
        )

    def training(self, conn: psycopg.Connection, sender: str, month: date) -> None:
        """Certificates of 1 %, enrolments of 4 % of the members; once a year the employers' funds."""
        index = self._index(month)
        self._deliver(
            conn,
            "training",
            sender,
            month,
            "delta",
            {
                "training_certificate": self._certificates(sender, index),
                "training_enrolment": self._enrolments(sender, index),
                **({"training_fund": self._funds(sender, index)} if index % 12 == 2 else {}),
            },
        )

    def medical(self, conn: psycopg.Connection, sender: str, month: date) -> None:
        """Insured persons (all at first, then 1 %) and the month's settlements."""
        index = self._index(month)
        every = 1 if index == 0 else 100
        self._deliver(
            conn,
            "medical",
            sender,
            month,
            "delta",
            {
                "medical_person": self._insured(sender, index, every),
                "medical_insurance": self._insurance(sender, index, every),
                "medical_settlement": self._settlements(sender, index),
            },
        )

    def services(self, conn: psycopg.Connection, sender: str, month: date) -> None:
        """Services: half as many as settlements, a fifth of them to visitors whom nobody knows."""
        records = self._services(sender, self._index(month))
        self._deliver(conn, "services", sender, month, "delta", {"services_service_record": records})

    def employment(self, conn: psycopg.Connection, sender: str, month: date) -> None:
        """As many contributions as settlements; the spells of all people once, then of 2 % of them."""
        index = self._index(month)
        self._deliver(
            conn,
            "employment",
            sender,
            month,
            "delta",
            {
                "employment_employment_spell": self._spells(sender, index, 1 if index == 0 else 50),
                "employment_social_insurance_month": self._contributions(sender, index),
            },
        )

    def reversal(self, conn: psycopg.Connection, sender: str, month: date, months_ago: int = 12) -> None:
        """One row in a delivery of ``month``: the reversal of a settlement of ``months_ago`` months before."""
        then, now = self._index(month) - months_ago, self._index(month)
        original = f"""
            SELECT * FROM ({self._settlements(sender, then)}) AS all_of_then
            WHERE init_setl_id IS NULL AND vali_flag = '1' AND refd_setl_flag = '0' AND out_flag = '0'
            ORDER BY psn_pay DESC LIMIT 1
        """
        self._deliver(
            conn,
            "medical",
            sender,
            month,
            "delta",
            {
                "medical_settlement": f"""
                    SELECT 1 AS line_number, person_key, person_sex, person_birth_year, setl_id || '-R' AS setl_id,
                        setl_id AS init_setl_id, psn_no, insutype, psn_type, insu_admdvs, fixmedins_code,
                        fixmedins_name, hosp_lv, begndate, enddate,
                        setl_time + interval '{months_ago} months' AS setl_time, med_type, pay_loc,
                        '1' AS refd_setl_flag, vali_flag, out_flag, -medfee_sumamt AS medfee_sumamt,
                        -fulamt_ownpay_amt AS fulamt_ownpay_amt, -overlmt_selfpay AS overlmt_selfpay,
                        -fund_pay_sumamt AS fund_pay_sumamt, -psn_pay AS psn_pay
                    FROM ({original}) AS original
                """
            },
            suffix=f"-reversal-{now}",
        )

    # -- rows ---------------------------------------------------------------------------------------------------------

    def _index(self, month: date) -> int:
        return (month.year - FIRST_MONTH.year) * 12 + month.month - FIRST_MONTH.month

    def _people(self, sender: str) -> str:
        """A FROM item: numbers i of the sender's people."""
        sender_number, count = self.senders.index(sender), len(self.senders)
        return f"generate_series({sender_number}, {self.members - 1}, {count}) AS person (i)"

    @staticmethod
    def _county(sender: str, seed: str) -> str:
        return f"'{sender[:2]}' || '01' || lpad((1 + {dice(seed, 1, 20)})::text, 2, '0')"

    _PERSON = f"""
        md5('person ' || i)::uuid AS person_key, (1 + {dice("i", 2, 2)})::text AS person_sex,
        (1960 + {dice("i", 3, 45)})::smallint AS person_birth_year
    """

    def _organisations(self, sender: str, index: int, every: int) -> str:
        return f"""
            SELECT i AS line_number, '{sender}' || lpad(i::text, 5, '0') AS org_code, 'Union ' || i AS org_name,
                CASE WHEN i % 20 = 0 THEN '40' ELSE '90' END AS org_level, '1' AS org_type,
                {self._county(sender, "i")} AS admdvs, 'E{sender}' || i AS employer_uscc,
                (ARRAY['110', '159', '170', '300', '400'])[1 + {dice("i", 4, 5)}] AS employer_nature,
                chr(65 + {dice("i", 5, 20)}::integer) AS industry, '1' AS status,
                (60 + {dice(f"i + {index}", 6, 200)})::integer AS employees,
                {dice("i", 7, 2)} = 0 AS has_workers_congress, {dice("i", 8, 3)} = 0 AS has_open_affairs,
                {dice("i", 9, 3)} = 1 AS has_collective_contract
            FROM generate_series(1, {self.organisations}) AS organisation (i)
            WHERE (i + {index}) % {every} = 0
        """

    def _members(self, sender: str, index: int, every: int) -> str:
        # a member's row changes when its turn comes: status, or the organisation
        turn = f"((i / {len(self.senders)}) + {index}) % 50 = 0"
        turns = f"({index} + (i / {len(self.senders)}) % 50) / 50"
        return f"""
            SELECT row_number() OVER () AS line_number, {self._PERSON}, 'M{sender}' || i AS member_id,
                '{sender}' || lpad((1 + {dice(f"i + 7 * ({turns})", 10, self.organisations)})::text, 5, '0')
                    AS org_code, '2' AS sex, '21' AS education,
                (ARRAY['初级工', '中级工', '高级工', NULL, NULL])[1 + {dice("i", 11, 5)}] AS skill_level,
                '10' AS employment_status, {dice("i", 12, 4)} = 0 AS is_migrant_worker,
                (ARRAY['0', '1', '3', NULL])[1 + {dice("i", 13, 4)}] AS new_form_type,
                date '2015-01-01' + {dice("i", 14, 3200)}::integer AS joined_on,
                CASE WHEN {dice(f"i + {index // 12}", 15, 40)} = 0 THEN '4' ELSE '1' END AS status
            FROM {self._people(sender)}
            WHERE {every} = 1 OR {turn}
        """

    def _certificates(self, sender: str, index: int) -> str:
        return f"""
            SELECT row_number() OVER () AS line_number, {self._PERSON},
                'Y' || lpad((i::bigint * 100 + {index})::text, 21, '0') AS certificate_no,
                '6-18-01-01' AS occupation_code,
                (ARRAY['初级工', '中级工', '高级工', '技师'])[1 + {dice(f"i + {index}", 21, 4)}] AS skill_level,
                {self._day(index, "i", 22)} AS issued_on, '1' AS status
            FROM {self._people(sender)}
            WHERE {dice(f"i * 31 + {index}", 23, 100)} = 0
        """

    def _enrolments(self, sender: str, index: int) -> str:
        return f"""
            SELECT row_number() OVER () AS line_number, {self._PERSON}, 'N' || i || '-{index}' AS enrolment_id,
                '培训中心' AS provider_name,
                (ARRAY['1', '2', '3', '6'])[1 + {dice(f"i + {index}", 31, 4)}] AS training_type,
                {self._day(index, "i", 32)} AS started_on, 40::numeric AS planned_hours, 36::numeric AS attended_hours,
                (ARRAY['1', '1', '2', '3'])[1 + {dice(f"i + {index}", 33, 4)}] AS result,
                (ARRAY['1', '2', '4', NULL])[1 + {dice(f"i + {index}", 34, 4)}] AS funding_source,
                {dice(f"i + {index}", 35, 2000)}::numeric(16, 2) AS subsidy_amount
            FROM {self._people(sender)}
            WHERE {dice(f"i * 37 + {index}", 36, 25)} = 0
        """

    def _services(self, sender: str, index: int) -> str:
        """4 % are of the month before, 3 % are cancelled."""
        sender_number, count = self.senders.index(sender), len(self.senders)
        seed = f"(n + {index} * 1000003 + {sender_number} * 7919)"
        types = "ARRAY['11', '12', '21', '22', '23', '31', '41', '51', '51', '51', '61', '62']"
        return f"""
            SELECT n AS line_number, CASE WHEN {dice(seed, 71, 5)} > 0 THEN md5('person ' || i)::uuid END AS person_key,
                CASE WHEN {dice(seed, 71, 5)} > 0 THEN (1 + {dice("i", 2, 2)})::text END AS person_sex,
                CASE WHEN {dice(seed, 71, 5)} > 0 THEN (1960 + {dice("i", 3, 45)})::smallint END AS person_birth_year,
                'R{index}-' || n AS record_id, ({types})[1 + {dice(seed, 72, 12)}] AS service_type,
                {self._day(index, seed, 73)}
                    - CASE WHEN {dice(seed, 74, 25)} = 0 AND {index} > 0 THEN 28 ELSE 0 END AS served_on,
                '{sender}' || lpad((1 + {dice("i", 10, self.organisations)})::text, 5, '0') AS org_code,
                {self._county(sender, "i")} AS admdvs, 1 AS persons, {dice(seed, 75, 2000)} AS amount,
                CASE WHEN {dice(seed, 76, 33)} = 0 THEN '0' ELSE '1' END AS status
            FROM (
                SELECT n, {dice(seed, 77, self.members // count)} * {count} + {sender_number} AS i
                FROM generate_series(1, {self.settlements_a_delivery // 2}) AS record (n)
            ) AS served
        """

    def _spells(self, sender: str, index: int, every: int) -> str:
        """Nine of ten people are employed at a unit of the sender; at its turn a spell ended the month before."""
        sender_number, count = self.senders.index(sender), len(self.senders)
        return f"""
            SELECT i AS line_number, {self._PERSON}, 'S' || i AS spell_id,
                CASE WHEN {dice("i", 81, 10)} > 0 THEN '1' ELSE '3' END AS employment_form,
                'E{sender}' || (1 + {dice("i", 10, self.organisations)}) AS employer_uscc,
                {self._county(sender, "i")} AS admdvs, date '2015-01-01' + {dice("i", 82, 3000)}::integer AS started_on,
                CASE WHEN {every} > 1 THEN date '{add_months(FIRST_MONTH, index)}' END AS ended_on
            FROM generate_series({sender_number}, {self.members - 1}, {count * every}) AS person (i)
        """

    def _contributions(self, sender: str, index: int) -> str:
        """Five kinds a person, and 3 % of another month; 2 % were refunded."""
        sender_number, count = self.senders.index(sender), len(self.senders)
        seed = f"(n + {index} * 1000003 + {sender_number} * 7919)"
        return f"""
            SELECT n AS line_number, {self._PERSON}, 'C{index}-' || n AS payment_id,
                (ARRAY['110', '210', '410', '510', '900'])[1 + n % 5] AS insurance_kind,
                (date '{add_months(FIRST_MONTH, index)}'
                    - CASE WHEN {dice(seed, 83, 33)} = 0 THEN interval '1 month' ELSE interval '0' END)::date AS month,
                'E{sender}' || (1 + {dice("i", 10, self.organisations)}) AS employer_uscc,
                {self._county(sender, "i")} AS admdvs, '10' AS payment_type, 8000::numeric(16, 2) AS base,
                1280::numeric(16, 2) AS unit_amount, 640::numeric(16, 2) AS person_amount,
                CASE WHEN {dice(seed, 84, 50)} = 0 THEN '3' ELSE '1' END AS status
            FROM (
                SELECT n, (n / 5) % ({self.members} / {count}) * {count} + {sender_number} AS i
                FROM generate_series(1, {self.settlements_a_delivery}) AS payment (n)
            ) AS paid
        """

    def _funds(self, sender: str, index: int) -> str:
        year = FIRST_MONTH.year + index // 12 - 1
        return f"""
            SELECT i AS line_number, 'E{sender}' || i AS employer_uscc, {year}::smallint AS year,
                '单位' || i AS employer_name, {self._county(sender, "i")} AS admdvs,
                1000000::numeric(16, 2) AS wages_total, 15000::numeric(16, 2) AS accrued,
                (10000 + {dice("i", 41, 5000)})::numeric(16, 2) AS spent,
                (5000 + {dice("i", 42, 5000)})::numeric(16, 2) AS frontline_spent
            FROM generate_series(1, {self.organisations}) AS organisation (i)
        """

    def _insured(self, sender: str, index: int, every: int) -> str:
        return f"""
            SELECT row_number() OVER () AS line_number, {self._PERSON}, 'P' || i AS psn_no, '1' AS surv_stas
            FROM {self._people(sender)}
            WHERE ((i / {len(self.senders)}) + {index}) % {every} = 0
        """

    def _insurance(self, sender: str, index: int, every: int) -> str:
        return f"""
            SELECT row_number() OVER () AS line_number, 'R' || i AS psn_insu_rlts_id, 'P' || i AS psn_no,
                'E{sender}' || (1 + {dice(f"i + {index}", 51, self.organisations)}) AS emp_uscc,
                CASE WHEN {dice("i", 52, 6)} = 0 THEN '390' ELSE '310' END AS insutype,
                (ARRAY['1101', '1101', '1103', '1201'])[1 + {dice("i", 53, 4)}] AS psn_type,
                CASE WHEN {dice(f"i + {index}", 54, 20)} = 0 THEN '2' ELSE '1' END AS psn_insu_stas,
                date '2018-01-01' + {dice("i", 55, 2000)}::integer AS crt_insu_date,
                CASE WHEN {dice(f"i + {index}", 54, 20)} = 0 THEN {self._day(index, "i", 56)} END AS paus_insu_date,
                {self._county(sender, "i")} AS insu_admdvs
            FROM {self._people(sender)}
            WHERE ((i / {len(self.senders)}) + {index}) % {every} = 0
        """

    @staticmethod
    def _day(index: int, seed: str, salt: int) -> str:
        return f"date '{add_months(FIRST_MONTH, index)}' + {dice(seed, salt, 28)}::integer"

    def _settlements(self, sender: str, index: int) -> str:
        """2 % reverse one of the month before (its settlement of the same number), 1 % are invalid, 2 % off-site."""
        parts = [self._originals(sender, index), *([self._reversals(sender, index)] if index > 0 else [])]
        return f"""
            SELECT row_number() OVER () AS line_number, person_key, '1' AS person_sex,
                1980::smallint AS person_birth_year, setl_id, init_setl_id, psn_no,
                CASE WHEN {dice("n", 69, 5)} = 0 THEN '390' ELSE '310' END AS insutype,
                '1101' AS psn_type, insu_admdvs, place AS fixmedins_code, '机构 ' || place AS fixmedins_name,
                '03' AS hosp_lv, setl_time::date AS begndate, setl_time::date AS enddate, setl_time, med_type,
                '2' AS pay_loc, refund AS refd_setl_flag,
                CASE WHEN {dice("n", 70, 100)} = 0 THEN '0' ELSE '1' END AS vali_flag,
                coalesce((ARRAY['1', '2'])[{dice("n", 71, 100)} + 1], '0') AS out_flag,
                fee AS medfee_sumamt, round(fee * 0.05, 2) AS fulamt_ownpay_amt, 0::numeric(16, 2) AS overlmt_selfpay,
                fund AS fund_pay_sumamt, fee - fund AS psn_pay
            FROM ({" UNION ALL ".join(parts)}) AS settled
        """

    def _originals(self, sender: str, index: int) -> str:
        """Settlements of a month; where another month precedes it, those whose place a reversal takes are left out."""
        drawn = self._drawn_settlements(sender, index, of_month=index)
        return f"""
            SELECT n, person_key, psn_no, this_id AS setl_id, NULL::text AS init_setl_id, insu_admdvs, place, med_type,
                fee, round(fee * 0.6, 2) AS fund, at AS setl_time, '0' AS refund
            FROM ({drawn}) AS original {f"WHERE {dice('n', 68, 50)} <> 0" if index > 0 else ""}
        """

    def _reversals(self, sender: str, index: int) -> str:
        """Settlements of a month that reverse those with the same number of the month before."""
        drawn = self._drawn_settlements(sender, index, of_month=index - 1)
        return f"""
            SELECT n, person_key, psn_no, this_id || '-R' AS setl_id, this_id AS init_setl_id, insu_admdvs, place,
                med_type, -fee AS fee, -round(fee * 0.6, 2) AS fund, at AS setl_time, '1' AS refund
            FROM ({drawn}) AS reversal WHERE {dice("n", 68, 50)} = 0
        """

    def _drawn_settlements(self, sender: str, index: int, *, of_month: int) -> str:
        """Settlements at times of the month ``index``, with the persons and amounts of ``of_month``."""
        sender_number, count = self.senders.index(sender), len(self.senders)
        people = self.members // count
        seed = f"(n + {of_month} * 1000003 + {sender_number} * 7919)"
        time_seed = f"(n + {index} * 1000003 + {sender_number} * 7919)"
        return f"""
            SELECT n,
                ({self._day(index, time_seed, 66)} + time '08:00' + {dice(time_seed, 67, 30000)} * interval '1 second'
                )::timestamp AS at,
                md5('person ' || ({sender_number} + {count} * {dice(seed, 63, people)}))::uuid AS person_key,
                'P' || ({sender_number} + {count} * {dice(seed, 63, people)}) AS psn_no,
                'S{sender}-{of_month}-' || n AS this_id,
                (20 + {dice(seed, 61, 300000)} * {dice(seed, 62, 100)} / 4000.0)::numeric(16, 2) AS fee,
                (ARRAY['11', '11', '11', '14', '21', '41', '51', '9107'])[1 + {dice(seed, 64, 8)}] AS med_type,
                {self._county(sender, seed)} AS insu_admdvs,
                'H{sender}' || lpad({dice(seed, 65, 300)}::text, 5, '0') AS place
            FROM generate_series(1, {self.settlements_a_delivery}) AS settlement (n)
        """

    # -- landing ------------------------------------------------------------------------------------------------------

    def _deliver(
        self,
        conn: psycopg.Connection,
        source: str,
        sender: str,
        month: date,
        mode: str,
        tables: Mapping[str, str],
        suffix: str = "",
    ) -> None:
        """An accepted delivery: its row in the ledger and one partition a feed, in one transaction."""
        name = f"{source}-{sender}-{month:%Y-%m}{suffix}"
        created = f"{add_months(month, 1):%Y-%m}-05T08:00:00+08:00"
        with conn.transaction():
            (delivery_id,) = conn.execute(  # type: ignore[misc]
                "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, mode, created,"
                " created_date, contract_version, content_hash, status, holds_name, decided_at)"
                " VALUES (%(name)s, '', %(name)s, %(source)s, %(sender)s, %(period)s, %(mode)s, %(created)s,"
                " %(created)s::timestamptz::date, '1.0.0', md5(%(name)s), 'accepted', true, now())"
                " RETURNING arrival_id",
                {
                    "name": name,
                    "source": source,
                    "sender": sender,
                    "period": f"{month:%Y-%m}",
                    "mode": mode,
                    "created": created,
                },
            ).fetchone()
            for number, (table, query) in enumerate(tables.items()):
                self._land(conn, delivery_id, number, table, query)

    @staticmethod
    def _land(conn: psycopg.Connection, delivery_id: int, number: int, table: str, query: str) -> None:
        batch = sql.Identifier("landing", f"{table}_{delivery_id}")
        made = {column.name for column in conn.execute(f"SELECT * FROM ({query}) AS q LIMIT 0").description or ()}
        landed = [
            name
            for (name,) in conn.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                [f"landing.{table}"],
            )
        ]
        columns = [name for name in landed if name in made]
        conn.execute(
            sql.SQL("CREATE TABLE {} PARTITION OF {} FOR VALUES IN ({})").format(
                batch, sql.Identifier("landing", table), sql.Literal(delivery_id)
            )
        )
        cursor = conn.execute(
            sql.SQL(
                "INSERT INTO {} (delivery_id, file_no, content_hash, {})"
                " SELECT {}, {}, hashtextextended(q::text, 0), {} FROM (" + query + ") AS q"
            ).format(
                batch,
                sql.SQL(", ").join(map(sql.Identifier, columns)),
                sql.Literal(delivery_id),
                sql.Literal(number),
                sql.SQL(", ").join(map(sql.Identifier, columns)),
            )
        )
        conn.execute(sql.SQL("ANALYZE {}").format(batch))
        conn.execute(
            "INSERT INTO ops.file (arrival_id, file_no, path, feed, rows_read, rows_loaded, rows_rejected,"
            " rows_skipped, bytes, hash) VALUES (%s, %s, %s, %s, %s, %s, 0, 0, 0, '')",
            [delivery_id, number, f"{table}.csv", table.split("_", 1)[1], cursor.rowcount, cursor.rowcount],
        )

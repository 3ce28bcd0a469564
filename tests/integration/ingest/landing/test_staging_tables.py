"""Landing tables follow the contracts; batches are copied exactly, without WAL, and attached without a scan."""

from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal

import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest import contracts, database
from ingest import schema as ingest_schema
from ingest.contracts import Contracts
from ingest.errors import WarehouseError
from ingest.kernels.byte_column import hundredths
from ingest.landing import staging_tables, tables
from warehouse import schema

FEED = ("training", "fund")
FUND = contracts.load().feeds[FEED]


def changed(**columns: dict[str, object]) -> Contracts:
    """The contracts with properties of columns of one feed changed; a new name is a new column like the last one."""
    known = contracts.load()
    feed = known.feeds[FEED]
    old = {column.name: column for column in feed.columns}
    new = [
        replace(old.get(name, feed.columns[-1]), name=name, **columns.get(name, {}))
        for name in dict.fromkeys([*old, *columns])
    ]
    return replace(known, feeds={**known.feeds, FEED: replace(feed, columns=tuple(new))})


def types(conn: psycopg.Connection) -> dict[str, str]:
    return tables.types(conn, "landing.training_fund")


def batch(conn: psycopg.Connection, number: int = 7) -> staging_tables.StagingTable:
    return staging_tables.StagingTable(conn, contracts.load().feeds[FEED], number)


def rows(count: int, **columns: object) -> pl.DataFrame:
    data = {
        "line_number": range(1, count + 1),
        "content_hash": range(count),
        "employer_uscc": [f"U{number:017}" for number in range(count)],
        "year": "2026",
        "employer_name": "单位",
    }
    return pl.DataFrame({**data, **columns})


# --- tables follow contracts -----------------------------------------------------------------------------------------


def test_a_table_has_the_columns_of_its_contract(warehouse):
    feed = contracts.load().feeds[FEED]
    assert list(types(warehouse)) == [*tables.PROVENANCE, *(column.name for column in feed.landed)]
    person = types_of(warehouse, "landing.training_enrolment")
    assert {"person_key": "uuid", "person_sex": "text", "person_birth_year": "smallint"}.items() <= person.items()
    assert "certno" not in person
    assert "name" not in person


def types_of(conn: psycopg.Connection, table: str) -> dict[str, str]:
    return tables.types(conn, table)


def test_new_columns_and_wider_types_take_effect(warehouse):
    with warehouse.transaction():
        b = batch(warehouse)
        b.create()
        b.begin_file(0, b.feed.by_name)
        b.accepted_rows(rows(3)).run(warehouse)
        b.finish()
        b.attach()
    grown = changed(spent={"sql_type": "numeric(18,2)"}, trainees={"sql_type": "bigint"}, remark={"sql_type": "text"})
    schema.migrate(warehouse, grown)
    found = types(warehouse)
    assert (found["spent"], found["trainees"], found["remark"]) == ("numeric(18,2)", "bigint", "text")
    assert warehouse.execute("SELECT count(*) FROM landing.training_fund WHERE remark IS NULL").fetchone() == (3,)
    schema.migrate(warehouse, grown)


def test_a_column_that_a_contract_drops_stays(warehouse):
    known = contracts.load()
    feed = known.feeds[FEED]
    schema.migrate(warehouse, replace(known, feeds={**known.feeds, FEED: replace(feed, columns=feed.columns[:-1])}))
    assert feed.columns[-1].name in types(warehouse)


@pytest.mark.parametrize("kind", ["numeric(16,1)", "numeric(10,2)", "integer", "text"])
def test_a_narrower_type_is_refused(warehouse, kind):
    before = types(warehouse)
    with pytest.raises(WarehouseError, match=r"training_fund\.spent"):
        schema.migrate(warehouse, changed(spent={"sql_type": kind}))
    assert types(warehouse) == before


def test_a_new_feed_gets_its_table(warehouse):
    known = contracts.load()
    ninth = replace(known.feeds[FEED], name="ninth")
    schema.migrate(warehouse, replace(known, feeds={**known.feeds, ("training", "ninth"): ninth}))
    assert types_of(warehouse, "landing.training_ninth") == types(warehouse)


def test_migrating_at_the_same_time(database_dsn):
    from concurrent.futures import ThreadPoolExecutor

    def migrate(_: int) -> None:
        with database.connect(database_dsn) as conn:
            schema.migrate(conn, contracts.load())

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(migrate, range(4)))


def test_statements_are_split_where_they_end():
    script = "CREATE TABLE a (b text DEFAULT ';'); -- c; d\nCREATE FUNCTION f() AS $$ SELECT 1; SELECT 2; $$;\n"
    assert ingest_schema.statements(script) == [
        "CREATE TABLE a (b text DEFAULT ';')",
        "CREATE FUNCTION f() AS $$ SELECT 1; SELECT 2; $$",
    ]


def test_without_a_dsn(settings):
    with pytest.raises(WarehouseError, match="WAREHOUSE_DSN"):
        database.dsn(settings.model_copy(update={"dsn": None}))


# --- batches ---------------------------------------------------------------------------------------------------------


def test_what_is_copied_is_what_lands(warehouse):
    names = ["plain", "back\\slash", "tab\there", "line\nend", "return\r", "\\N", "\\.", "quote\"'", None, "逗号，"]
    with warehouse.transaction():
        b = batch(warehouse)
        b.create()
        b.begin_file(3, b.feed.by_name)
        b.accepted_rows(rows(len(names), employer_name=names)).run(warehouse)
        b.finish()
        b.attach()
    found = warehouse.execute(
        "SELECT employer_name, delivery_id, file_no FROM landing.training_fund ORDER BY line_number"
    ).fetchall()
    assert found == [(name, 7, 3) for name in names]
    assert staging_tables.orphaned_tables(warehouse) == [(7, "landing.training_fund_7_rejected")]
    staging_tables.drop_orphaned_tables(warehouse, 7)
    assert staging_tables.orphaned_tables(warehouse) == []


def test_missing_columns_are_null_or_0_without_storage(warehouse):
    zero = replace(FUND.by_name["employer_name"], name="spent", sql_type="numeric(16,2)", default_zero=True)
    feed = replace(FUND, name="ninth", columns=(*FUND.columns, zero))
    known = contracts.load()
    schema.migrate(warehouse, replace(known, feeds={("training", "ninth"): feed}))
    bare = rows(2).drop("employer_name")
    table = "landing.training_ninth_7"
    with warehouse.transaction():
        b = staging_tables.StagingTable(warehouse, feed, 7)
        b.create()
        b.begin_file(0, bare.columns)
        b.accepted_rows(bare).run(warehouse)
        assert not {"employer_name", "spent"} & types_of(warehouse, table).keys()
        b.begin_file(1, ["employer_name", "spent"])
        b.accepted_rows(rows(1, employer_uscc="A", spent=hundredths(pl.Series([5]), 16))).run(warehouse)
        b.begin_file(2, bare.columns)
        b.accepted_rows(bare.with_columns(employer_uscc=pl.lit("B"))).run(warehouse)
        b.finish()
        assert types_of(warehouse, table) == types_of(warehouse, "landing.training_ninth")
        b.attach()
    found = warehouse.execute(
        "SELECT file_no, employer_name, spent FROM landing.training_ninth ORDER BY file_no, line_number"
    ).fetchall()
    nothing = (None, Decimal(0))
    assert found == [(0, *nothing), (0, *nothing), (1, "单位", Decimal("0.05")), (2, *nothing), (2, *nothing)]


def test_an_error_of_the_copy_shows_the_column_not_the_value(warehouse):
    b = batch(warehouse)
    with warehouse.transaction(force_rollback=True):
        b.create()
        b.begin_file(0, b.feed.by_name)
        with pytest.raises(WarehouseError, match="column year") as ours:
            b.accepted_rows(rows(2, year=["2026", "张三"]))
        wrong = b.accepted_rows(rows(2, employer_name="李四"))
        warehouse.execute("ALTER TABLE landing.training_fund_7 ALTER COLUMN employer_name TYPE varchar(1)")
        with pytest.raises(WarehouseError, match="column employer_name") as the_databases:
            wrong.run(warehouse)
    for caught, name in ((ours, "张三"), (the_databases, "李四")):
        assert name not in str(caught.value)
        assert caught.value.__suppress_context__


def test_every_type_lands_as_it_is(warehouse):
    kinds = {
        "a": ("smallint", pl.Series([-5, None], dtype=pl.Int64), [-5, None]),
        "b": ("bigint", pl.Series(["7", None]), [7, None]),
        "c": ("boolean", pl.Series([True, None]), [True, None]),
        "d": ("date", pl.Series([date(1899, 12, 31), None]), [date(1899, 12, 31), None]),
        "e": (
            "timestamp",
            pl.Series([datetime(2026, 8, 1, 23, 59, 59), None]),
            [datetime(2026, 8, 1, 23, 59, 59), None],
        ),
        "f": ("numeric(16,2)", hundredths(pl.Series([-1, None]), 16), [Decimal("-0.01"), None]),
        "g": ("numeric(10, 4)", hundredths(pl.Series([10**8 - 1, None]), 16), [Decimal("999999.9900"), None]),
        "h": ("numeric", pl.Series([Decimal("0.5000000001"), None]), [Decimal("0.5000000001"), None]),
        "i": ("varchar(3)", pl.Series(["中文字", None]), ["中文字", None]),
    }
    known = contracts.load().feeds[FEED]
    columns = tuple(replace(known.columns[-1], name=name, sql_type=kind) for name, (kind, *_) in kinds.items())
    feed = replace(known, name="ninth", columns=(*known.columns, *columns))
    schema.migrate(warehouse, replace(contracts.load(), feeds={("training", "ninth"): feed}))
    with warehouse.transaction():
        b = staging_tables.StagingTable(warehouse, feed, 7)
        b.create()
        b.begin_file(0, b.feed.by_name)
        b.accepted_rows(rows(2, **{name: given for name, (_, given, _) in kinds.items()})).run(warehouse)
    for name, (_, _, expected) in kinds.items():
        found = warehouse.execute(f"SELECT {name} FROM landing.training_ninth_7 ORDER BY line_number").fetchall()
        assert [value for (value,) in found] == expected, name


def test_an_unsupported_column_type(warehouse):
    with pytest.raises(WarehouseError, match="jsonb"):
        staging_tables.StagingTable(
            warehouse, replace(FUND, columns=(replace(FUND.columns[0], sql_type="jsonb"),)), 7
        ).accepted_rows(pl.DataFrame({FUND.columns[0].name: ["{}"]}))


def test_staged_rows_write_no_wal(warehouse):
    assert warehouse.execute("SHOW wal_level").fetchone() == ("minimal",), "a server without replicas spares the WAL"
    many = rows(100_000)
    (before,) = warehouse.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    with warehouse.transaction():
        b = batch(warehouse)
        b.create()
        b.begin_file(0, b.feed.by_name)
        copy = b.accepted_rows(many)
        copy.run(warehouse)
        b.finish()
    size = sum(map(len, copy.rows))
    (written,) = warehouse.execute("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), %s)", [before]).fetchone()
    assert size > 3_000_000
    assert written < size / 10


def test_attaching_scans_no_rows_and_waits_for_no_reader(warehouse, database_dsn):
    with warehouse.transaction():
        b = batch(warehouse)
        b.create()
        b.begin_file(0, b.feed.by_name)
        b.accepted_rows(rows(10)).run(warehouse)
        b.finish()
    messages: list[str] = []
    warehouse.add_notice_handler(lambda notice: messages.append(notice.message_primary))
    with database.connect(database_dsn, autocommit=False) as reader, warehouse.transaction():
        reader.execute("SELECT count(*) FROM landing.training_fund")  # its lock stays until the end
        warehouse.execute("SET LOCAL client_min_messages = debug1")
        warehouse.execute("SET LOCAL lock_timeout = '2s'")
        b.attach()
    assert any("is implied by existing constraints" in message for message in messages)


def are_unique(*parts: list[str | None]) -> bool:
    unique = staging_tables.UniqueKeys(["k"])
    for keys in parts:
        frame = pl.DataFrame({"k": keys}, schema={"k": pl.String})
        unique.add(frame.head(1), frame.slice(1))
    return unique.are_unique()


def test_different_keys_need_no_search_in_the_database():
    assert are_unique(["a", "b"], ["c", "d"])
    assert are_unique(["c", "d"], [], [None], ["a", "b"])
    assert are_unique(["b", "a"], ["d", None, None, "c"])
    assert are_unique(["a", "c"], ["b", "d"])
    assert not are_unique(["a", "a"])
    assert not are_unique(["a", "b"], ["b", "c"])
    assert not are_unique(["a", "c"], ["b", "d"], ["c"])


def test_of_many_keys_only_ranges_are_compared(monkeypatch):
    monkeypatch.setattr(staging_tables, "_MAX_HASHED_KEYS", 3)
    assert are_unique(["a", "b"], ["c", "d"])
    assert not are_unique(["a", "c"], ["b", "d"])  # may be: the database looks


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(st.lists(st.text("ab1", max_size=12), max_size=6), max_size=5))
def test_no_repeated_key_is_overlooked(parts: list[list[str]]):
    keys = [key for part in parts for key in part]
    assert are_unique(*parts) == (len(set(keys)) == len(keys))


def test_keys_of_several_columns_are_not_run_together():
    unique = staging_tables.UniqueKeys(["a", "b"])
    unique.add(pl.DataFrame({"a": ["x", "xy"], "b": ["yz", "z"]}))
    assert unique.are_unique()
    unique.add(pl.DataFrame({"a": ["x"], "b": ["z"]}))
    assert unique.are_unique()
    unique.add(pl.DataFrame({"a": ["xy"], "b": ["z"]}))
    assert not unique.are_unique()


def test_widening_rules():
    assert tables._is_widening("numeric(16,2)", "numeric(18,2)")
    assert not tables._is_widening("numeric(16,2)", "numeric(16,3)")
    assert tables._is_widening("numeric(16,2)", "numeric")
    assert not tables._is_widening("numeric", "numeric(16,2)")
    assert tables._is_widening("character varying(10)", "text")
    assert tables._is_widening("date", "timestamp without time zone")
    assert not tables._is_widening("bigint", "integer")

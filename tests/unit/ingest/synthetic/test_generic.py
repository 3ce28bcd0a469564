"""Rows that follow from a contract alone break none of its rules: for every contract here, and for made-up ones."""

import datetime as dt
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import synthetic
from ingest.contracts import load
from ingest.contracts.model import Column, Contracts, Feed, Kind, OrderRule, SignRule, SumRule, TogetherRule
from ingest.delivery import integrity
from ingest.errors import WarehouseError
from ingest.privacy.keyring import Keyring
from ingest.readers import open_table
from ingest.settings import Settings
from ingest.synthetic import generic, identities, patterns
from ingest.synthetic.draws import Draws
from ingest.synthetic.faults import add_faults, faults
from ingest.synthetic.style import Style, render, style_of
from ingest.synthetic.world import Rows, World
from ingest.validation.cleaning import Context
from ingest.validation.rules import CheckedBatch, check

KEYRING = Keyring("0" * 32)
NOW = dt.datetime(2026, 12, 1, tzinfo=dt.UTC)
INDEX = np.arange(200, dtype=np.uint64)
LISTS = load().code_lists


# --- every contract of the project -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def untold(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[tuple[Feed, CheckedBatch]]]:
    """What the row checks make of two months of every feed, its own module switched off; by format of the file."""
    out, found = tmp_path_factory.mktemp("untold"), {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(synthetic, "row_maker", lambda feed: partial(generic.rows, feed))
        for place in synthetic.generate(
            out / "inbox", dirty=False, members=700, provinces=("350000", "440000"), months=("2026-01", "2026-02")
        ):
            for kind, feed, checked in read(place, out / "work"):
                found.setdefault(kind, []).append((feed, checked))
    return found


def read(place: Path, workdir: Path) -> Iterator[tuple[str, Feed, CheckedBatch]]:
    limits = Settings(home=workdir)
    workdir.mkdir(exist_ok=True)
    package = integrity.check(place, place.is_file(), workdir, load(), limits, NOW)
    context = Context(package.manifest.created.date())
    for described in package.manifest.resources:
        feed = load().feeds[package.manifest.source, described.feed]
        path = package.files[described.path]
        for batch in open_table(path, described, feed, limits).batches():
            yield path.suffix, feed, check(batch.to_raw(), feed, context, KEYRING)


@pytest.mark.parametrize("kind", [".csv", ".txt", ".xlsx", ".parquet"])
def test_rows_of_every_contract_pass_the_row_checks(untold: dict, kind: str) -> None:
    for feed, checked in untold[kind]:
        assert checked.rejected.rows() == [], feed.table
        assert checked.warnings.rows() == [], feed.table
        keys = [column.name for column in feed.keys if not column.personal]
        assert checked.good.height >= 20
        assert checked.good.select(keys).is_unique().all(), feed.table


def test_every_contract_was_tried(untold: dict) -> None:
    assert {feed.table for part in untold.values() for feed, _ in part} == {f.table for f in load().feeds.values()}


@pytest.mark.parametrize("feed", load().feeds.values(), ids=lambda feed: feed.table)
def test_rows_are_as_different_as_the_contract_lets_them(feed: Feed) -> None:
    """Optional values come and are left out; nothing that may vary is always the same."""
    frame = rendered(feed)
    reversals = {rule.reversal_column for rule in feed.signs}
    # an amount that is left out counts as 0: in an identity it can be left out where it is 0 only
    given = {name for rule in feed.sums for name in (*rule.left, *rule.right)}
    for column in feed.columns:
        values = set(frame[column.name].to_list())
        if column.name in reversals:
            assert values == {""}
            continue
        assert len(values) > 1, column.name
        if not (column.required or column.name in given or column.kind in {Kind.CERTNO, Kind.CERT_TYPE}):
            assert "" in values, column.name


# --- made-up contracts -----------------------------------------------------------------------------------------------

PATTERNS = (
    "[A-Z]{2}[0-9]{4,8}",
    r"^\d{6}$",
    "(A|B-)[a-c]+",
    "[^0-9a-z]{3}",
    "[一-龥]{2,4}",
    r"^(?:[0-9]{8}|[A-Z][0-9]{7})$",
    r"\w+@\w{2,3}\.cn",
    "x.y?z*",
    "(?:ab){1,3}|[.#]q",
)
SUMMED = st.sampled_from(
    [
        (Kind.MONEY, "numeric(16,2)"),
        (Kind.INTEGER, "integer"),
        (Kind.INTEGER, "bigint"),
        (Kind.INTEGER, "smallint"),
        (Kind.NUMBER, "numeric(9,1)"),
        (Kind.NUMBER, "numeric(38,4)"),
    ]
)


@st.composite
def texts(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from([Kind.TEXT, Kind.NAME, Kind.IDENTIFIER]))
    if draw(st.booleans()):
        return Column(
            name, name, kind, pattern=draw(st.sampled_from(PATTERNS)), max_length=draw(st.none() | st.just(30))
        )
    least = draw(st.none() | st.integers(1, 40))
    return Column(name, name, kind, min_length=least, max_length=draw(st.none() | st.integers(least or 1, 60)))


@st.composite
def coded(draw: st.DrawFn, name: str) -> Column:
    kind = draw(st.sampled_from([Kind.CODE, Kind.FLAG, Kind.DIVISION, Kind.USCC, Kind.MOBILE]))
    column = Column(name, name, kind)
    if kind is Kind.CODE:
        listed = LISTS[draw(st.sampled_from(sorted(set(LISTS) - {"cert_type"})))]
        return replace(column, code_list=listed, code_match=draw(st.sampled_from(["exact", "prefix", "open"])))
    if kind is Kind.USCC:
        return replace(column, uscc_first=draw(st.sampled_from([None, "^8[19]", "^[^8]", "^9[23]", "52"])))
    if kind is Kind.MOBILE:
        return replace(column, pattern=draw(st.sampled_from([None, "1[3-9][0-9]{9}", "0[0-9]{3}-[0-9]{7,8}"])))
    if kind is Kind.DIVISION:
        return replace(column, pattern=draw(st.sampled_from([None, "[1-8][0-9]{5}", "99[0-9]{4}"])))
    return column


@st.composite
def numbers(draw: st.DrawFn, name: str) -> Column:
    kind, sql_type = draw(SUMMED)
    low = draw(st.none() | st.integers(-5_000, 5_000))
    high = draw(st.none() | st.integers(0, 10**6))
    return Column(
        name,
        name,
        kind,
        sql_type=sql_type,
        minimum=None if low is None else Decimal(low) / (10 if kind is Kind.NUMBER else 1),
        maximum=None if high is None else Decimal(high + (low or 0)) / (10 if kind is Kind.NUMBER else 1),
    )


@st.composite
def sum_rules(draw: st.DrawFn, name: str, amounts: list[str]) -> SumRule:
    """A rule that compares sums of two groups of amounts."""
    mixed = draw(st.permutations(amounts))
    cut = draw(st.integers(1, len(mixed) - 1))
    sign = st.sampled_from([1, 1, 1, -1])
    left, right = ({amount: draw(sign) for amount in part[:4]} for part in (mixed[:cut], mixed[cut:]))
    operator = draw(st.sampled_from(["=", "<="]))
    judged_where = draw(st.sampled_from([(), tuple(right)])) if operator == "<=" else ()
    return SumRule(name, left, right, operator, Decimal("0.01"), draw(st.booleans()), judged_where)


@st.composite
def order_rules(draw: st.DrawFn, times: list[Column]) -> list[OrderRule]:
    """Rules upon the order of times that can be compared."""
    rules: list[OrderRule] = []
    for comparable in ({Kind.DATE, Kind.MONTH}, {Kind.DATETIME}):
        names = [column.name for column in times if column.kind in comparable]
        if len(names) > 1:
            pairs = st.lists(st.sampled_from(names), min_size=2, max_size=2, unique=True)
            rules += [OrderRule(*pair) for pair in draw(st.lists(pairs, max_size=4))]
    return rules


@st.composite
def feeds(draw: st.DrawFn) -> Feed:
    """A contract of any columns and rules that can be kept together."""
    names = iter(f"c{number}" for number in range(99))
    columns = [draw(texts(next(names)))]
    columns += [
        draw(draw(st.sampled_from([texts, coded, numbers]))(next(names))) for _ in range(draw(st.integers(0, 5)))
    ]
    sums: list[SumRule] = []
    signs: list[SignRule] = []
    kinds = st.sampled_from([Kind.DATE, Kind.MONTH, Kind.DATETIME])
    of_time = draw(st.lists(st.tuples(kinds, st.booleans()), max_size=6))
    times = [Column(next(names), f"时间{n}", kind, may_lie_ahead=ahead) for n, (kind, ahead) in enumerate(of_time)]
    of_person: tuple[str, ...] = ()
    if draw(st.booleans()):
        document = Column(next(names), "证件类型", Kind.CERT_TYPE, code_list=LISTS["cert_type"])
        number = Column(next(names), "证件号码", Kind.CERTNO, personal=True)
        sex = Column(next(names), "性别", Kind.CODE, code_list=LISTS["sex"])
        birth = Column(next(names), "出生日期", Kind.DATE)
        holder = Column(next(names), "姓名", Kind.NAME, personal=True, max_length=draw(st.none() | st.integers(1, 50)))
        columns += [replace(one, required=draw(st.booleans())) for one in (document, number, sex, holder)]
        of_person = (holder.name, document.name, number.name)
        times.append(birth)
    orders = draw(order_rules(times))
    columns += [replace(one, required=draw(st.booleans())) for one in times]
    summed = draw(st.lists(SUMMED, max_size=7))
    amounts = [Column(next(names), f"金额{place}", kind, sql_type=sql) for place, (kind, sql) in enumerate(summed)]
    if len(amounts) > 1:
        given = [amount.name for amount in amounts]
        sums = [draw(sum_rules(f"s{number}", given)) for number in range(draw(st.integers(1, 4)))]
        if draw(st.booleans()):
            reversal = Column(next(names), "冲正", Kind.IDENTIFIER, required=draw(st.booleans()))
            columns.append(reversal)
            signs.append(SignRule(reversal.name, tuple(draw(st.sets(st.sampled_from(given), min_size=1)))))
    columns += [replace(one, required=draw(st.booleans())) for one in amounts]
    columns += [Column(next(names), "年度", Kind.INTEGER, minimum=Decimal(1990), maximum_year=True)]
    keys = {columns[0].name, draw(st.sampled_from(columns)).name}
    columns = [replace(one, key=True, required=True) if one.name in keys else one for one in columns]
    together = draw(groups_of(columns, [one.name for one in amounts], of_person))
    return Feed(
        "made",
        "up",
        "样例",
        "events",
        (1,),
        tuple(columns),
        sums=tuple(sums),
        orders=tuple(orders),
        signs=tuple(signs),
        together=together,
    )


@st.composite
def groups_of(
    draw: st.DrawFn, columns: list[Column], amounts: list[str], of_person: tuple[str, ...]
) -> tuple[TogetherRule, ...]:
    """Columns that are given together: any that may be left out, a person's, or amounts of identities."""
    optional = {one.name for one in columns if not one.required}
    plain = [
        one.name
        for one in columns
        if one.name in optional - {*amounts, *of_person} and one.label != "冲正" and one.kind is not Kind.CERTNO
    ]
    rules = []
    for names in (plain, [name for name in amounts if name in optional]):
        if len(names) > 1:
            group = st.lists(st.sampled_from(names), min_size=2, max_size=4, unique=True)
            rules += [TogetherRule(tuple(one)) for one in draw(st.lists(group, max_size=2))]
    if set(of_person) <= optional and of_person and draw(st.booleans()):
        rules.append(TogetherRule(of_person))
    return tuple(rules)


def world(seed: int = 1) -> World:
    return World(Draws(seed), ("350000", "440000"), (dt.date(2026, 1, 1), dt.date(2026, 2, 1)), 4_000, 100, LISTS)


def rows_of(feed: Feed, seed: int = 1) -> Rows:
    (rows,) = generic.rows(feed, world(seed), 0, 1, snapshot=False)
    return rows


def rendered(feed: Feed, style: Style = Style()) -> pl.DataFrame:  # noqa: B008 - frozen
    return render(feed, rows_of(feed), world().draws, style)


def judged(feed: Feed, frame: pl.DataFrame) -> CheckedBatch:
    line = pl.Series(range(1, frame.height + 1))
    batch = SimpleNamespace(frame=frame, line=line, imprecise={})
    return check(batch, feed, Context(dt.date(2026, 2, 28)), KEYRING)


@settings(max_examples=150, deadline=None)
@given(feeds())
def test_rows_of_a_made_up_contract_pass_the_row_checks(feed: Feed) -> None:
    rows = rows_of(feed)
    frame = render(feed, rows, world().draws, Style())
    checked = judged(feed, frame)
    assert checked.rejected.rows() == []
    assert checked.warnings.rows() == []
    assert frame.height == len(rows.index) > 0
    assert frame.select(column.name for column in feed.keys).is_unique().all()


@settings(max_examples=60, deadline=None)
@given(feeds(), st.integers(0, 99))
def test_untidy_senders_of_a_made_up_contract_make_few_rows_invalid(feed: Feed, place: int) -> None:
    draws = world().draws
    style = style_of(draws, str(place), feed, 400, ("csv",), dirty=True)
    frame = render(feed, rows_of(feed), draws, replace(style, more=(), wanyuan=False))
    wanted = faults(feed)[: frame.height // 3]
    faulty = add_faults(feed, frame, wanted)
    assert frame.height <= faulty.frame.height <= frame.height + len(wanted)
    assert judged(feed, faulty.frame).rejected.height <= 2 * len(wanted)


@pytest.mark.parametrize("first", [11, 66, 92, 99])
def test_credit_codes_of_every_register_are_found(first: int) -> None:
    column = Column("code", "code", Kind.USCC, required=True, key=True, uscc_first=f"^{first}")
    feed = Feed("made", "up", "样例", "events", (1,), (column,))
    assert rows_of(feed).columns["code"].str.starts_with(str(first)).all()


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", PATTERNS)
def test_texts_match_their_pattern(pattern: str) -> None:
    found = patterns.matching(pattern, Draws(1), "x", INDEX).to_list()
    assert [text for text in found if not re.fullmatch(pattern, text)] == []
    assert len(set(found)) > 4
    assert found == patterns.matching(pattern, Draws(1), "x", INDEX).to_list()
    assert found != patterns.matching(pattern, Draws(2), "x", INDEX).to_list()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(PATTERNS), st.sampled_from(PATTERNS), st.sampled_from(["{0}{1}", "{0}|{1}", "(?:{0})?({1}){{2}}"])
)
def test_texts_match_patterns_put_together(one: str, two: str, how: str) -> None:
    pattern = how.format(one.strip("^$"), two.strip("^$"))
    found = patterns.matching(pattern, Draws(1), "x", INDEX[:20]).to_list()
    assert [text for text in found if not re.fullmatch(pattern, text)] == []


@pytest.mark.parametrize("pattern", ["(?=a)a", r"(a)\1", "(?<!b)a"])
def test_a_pattern_that_looks_around_is_named(pattern: str) -> None:
    with pytest.raises(WarehouseError, match=re.escape(pattern)):
        patterns.matching(pattern, Draws(1), "x", INDEX)


def test_edges_of_a_chain_of_identities() -> None:
    """``a = b + c``, ``c <= d``: every solution is a sum of these four."""
    found = identities.edges("abcd", [({"a": 1, "b": -1, "c": -1}, "="), ({"c": 1, "d": -1}, "<=")])
    assert sorted(map(tuple, found.tolist())) == [(0, 0, 0, 1), (1, 0, 1, 1), (1, 1, 0, 0)]


def test_a_contract_that_nothing_keeps_is_named() -> None:
    low = Column("low", "low", Kind.INTEGER, maximum=Decimal(5))
    high = Column("high", "high", Kind.INTEGER, minimum=Decimal(9))
    key = Column("code", "code", Kind.IDENTIFIER, key=True, required=True)
    feed = Feed("made", "up", "样例", "events", (1,), (key, low, high), orders=(OrderRule("high", "low"),))
    with pytest.raises(WarehouseError, match="made_up: its contract allows no value for"):
        rows_of(feed)
    with pytest.raises(WarehouseError, match="made_up: no value was found that its contract allows for code"):
        rows_of(replace(feed, orders=(), columns=(replace(key, pattern="[0-9]{9}", max_length=3),)))


def test_few_possible_keys_give_few_rows() -> None:
    key = Column("code", "code", Kind.IDENTIFIER, key=True, required=True, max_length=2)
    frame = rendered(Feed("made", "up", "样例", "events", (1,), (key,)))
    assert frame["code"].is_unique().all()
    assert frame.height == 100


def test_a_feed_added_to_a_folder_of_contracts_is_sent(tmp_path: Path) -> None:
    """A copy of the settlements under another name, read from its file as a new feed is."""
    from ingest.contracts import ROOT

    root = Path(shutil.copytree(ROOT, tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__")))
    text = (root / "medical/settlement.yaml").read_text("utf-8")
    (root / "medical/claim.yaml").write_text(re.sub(r"settlement$", "claim", text, flags=re.MULTILINE), "utf-8")
    contracts: Contracts = load(root)
    out = tmp_path / "inbox"
    synthetic.generate(
        out, provinces=("350000",), months=("2026-02",), members=300, settlements=50, contracts=contracts, dirty=False
    )
    (place,) = out.glob("medical-*")
    if place.is_file():
        shutil.unpack_archive(place, place := tmp_path / "unpacked")
    manifest = json.loads((place / "datapackage.json").read_text("utf-8"))
    assert "claim" in {one.get("feed", one["name"]) for one in manifest["resources"]}

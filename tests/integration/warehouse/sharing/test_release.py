"""Marts with suppressed cells: what was given out for a month stays until the next revision."""

import csv
import io
from datetime import date
from pathlib import Path

import psycopg
import pytest

from ingest.privacy.keyring import Keyring
from tests import shares
from warehouse.sharing import extracts, lifecycle, release

JULY, AUGUST, SEPTEMBER = (date(2026, month, 1) for month in (7, 8, 9))


@pytest.fixture
def shared(empty: psycopg.Connection, folder: Path) -> psycopg.Connection:
    """A share of the mart, opened after the revision of July; it gives July out."""
    shares.publish_build(empty, folder, "build_a", on=date(2026, 7, 20))
    shares.publish_build(empty, folder, "build_b", on=date(2026, 8, 20))
    content = shares.declared(
        share="burden",
        resource="marts.burden",
        columns=["month", "category", "persons", "cost", "is_suppressed"],
        rows=[{"column": "sender", "op": "=", "value": "440000"}],
    )
    shares.save(folder, content)
    assert shares.approve(empty, folder, "burden").codes == []
    return empty


def shown(conn: psycopg.Connection) -> list[tuple[object, ...]]:
    """What the view of the share shows its reader, here its owner."""
    query = 'SELECT month, category, persons, cost FROM share_burden.data ORDER BY month, category COLLATE "C"'
    return conn.execute(query).fetchall()


def add_month(conn: psycopg.Connection, month: date, persons: int = 30) -> None:
    for build in ("build_a", "build_b"):
        conn.execute(f"INSERT INTO {build}.burden VALUES (%s, '440000', 'inpatient', %s, 5, false)", [month, persons])


def test_a_month_stays_until_the_next_revision(shared: psycopg.Connection, folder: Path) -> None:
    before = shown(shared)
    assert [row[1:3] for row in before] == [("inpatient", 20), ("pharmacy", None)]
    shared.execute("UPDATE build_a.burden SET persons = 12, cost = 1, is_suppressed = false")
    shared.execute("UPDATE build_b.burden SET persons = 13, cost = 2, is_suppressed = false")
    shares.publish_build(shared, folder, "build_a", on=date(2026, 12, 31))
    assert shown(shared) == before
    revision = shares.publish_build(shared, folder, "build_b", on=date(2027, 1, 1))
    assert {row[2] for row in shown(shared)} == {13}
    assert release.stands(shared) == {"marts.burden": {JULY: revision}}
    shares.publish_build(shared, folder, "build_a", on=date(2027, 1, 2))
    assert {row[2] for row in shown(shared)} == {13}
    kept = shared.execute("SELECT count(*) FROM ops.share_release WHERE replaced_by = %s", [revision]).fetchone()
    assert kept == (2,)


def test_a_new_month_comes_when_every_expected_sender_has_delivered(shared: psycopg.Connection, folder: Path) -> None:
    add_month(shared, AUGUST)
    shares.deliver(shared, "medical", "440000", "2026-08")
    shares.publish_build(shared, folder, "build_a", on=date(2026, 9, 20))
    assert {row[0] for row in shown(shared)} == {JULY}  # membership has not delivered
    shares.deliver(shared, "membership", "440000", "2026-08")
    assert shared.execute("SELECT count(*) FROM ops.missing_delivery WHERE period = '2026-08'").fetchone() == (0,)
    number = shares.publish_build(shared, folder, "build_b", on=date(2026, 9, 21))
    assert {row[0] for row in shown(shared)} == {JULY, AUGUST}
    assert release.stands(shared)["marts.burden"][AUGUST] == number


def test_an_incomplete_month_comes_with_the_revision(shared: psycopg.Connection, folder: Path) -> None:
    add_month(shared, SEPTEMBER)
    shares.publish_build(shared, folder, "build_a", on=date(2026, 12, 1))
    assert {row[0] for row in shown(shared)} == {JULY}
    shares.publish_build(shared, folder, "build_b", on=date(2027, 7, 9))
    assert {row[0] for row in shown(shared)} == {JULY, SEPTEMBER}


def test_a_month_is_complete_by_what_is_published_not_by_what_came_since(
    shared: psycopg.Connection, folder: Path
) -> None:
    add_month(shared, AUGUST)
    for source in ("medical", "membership"):
        shares.deliver(shared, source, "440000", "2026-08")
    (relation,) = [one for one in shares.RELATIONS if one.relation == "marts.burden"]
    publication = lifecycle.current_publication(shared)
    assert publication is not None
    release.take(shared, relation, publication)
    assert {row[0] for row in shown(shared)} == {JULY}


def test_a_return_to_the_publication_before_leaves_what_was_given_out(shared: psycopg.Connection, folder: Path) -> None:
    before = shown(shared)
    shared.execute("UPDATE build_a.burden SET persons = 12")
    with shared.transaction():
        shared.execute("CREATE OR REPLACE VIEW marts.burden AS SELECT * FROM build_a.burden")
        assert lifecycle.published(shared, folder, 2, None, "me")
    assert shown(shared) == before


def test_an_extract_has_the_rows_of_the_view(
    shared: psycopg.Connection, folder: Path, keyring: Keyring, tmp_path: Path
) -> None:
    columns = ["month", "category", "persons", "cost"]
    content = shares.declared(
        share="extract",
        resource="marts.burden",
        columns=columns,
        serve={"as": "extract", "format": "csv", "every": "once"},
    )
    shares.save(folder, content)
    verdict = shares.approve(shared, folder, "extract")
    first = lifecycle.current_publication(shared)
    expected = [["" if cell is None else str(cell) for cell in row] for row in shown(shared)]
    shared.execute("UPDATE build_a.burden SET persons = 12, is_suppressed = false")
    second = shares.publish_build(shared, folder, "build_a", on=date(2026, 10, 1))
    for number in (first, second):
        extract = extracts.write(shared, tmp_path / "outbox", keyring, verdict, "me", number)
        text = (tmp_path / "outbox" / extract.path / "data.csv").read_text("utf-8-sig")
        assert list(csv.reader(io.StringIO(text))) == [columns, *expected]
        assert extract.persons == 0


def test_another_share_shows_the_same_rows(shared: psycopg.Connection, folder: Path) -> None:
    """Were a share that is opened later to show the new figures, two recipients could compare theirs."""
    shared.execute("UPDATE build_a.burden SET persons = 12, is_suppressed = false")
    shares.publish_build(shared, folder, "build_a", on=date(2026, 10, 1))
    content = shares.declared(share="other", resource="marts.burden", columns=["month", "category", "persons"], rows=[])
    shares.save(folder, content | {"recipient": {"name": "x", "uscc": shares.OTHER_USCC, "admdvs": "440000"}})
    assert shares.approve(shared, folder, "other").codes == []
    rows = shared.execute('SELECT category, persons FROM share_other.data ORDER BY category COLLATE "C"').fetchall()
    assert rows == [("inpatient", 20), ("pharmacy", None)]


def test_two_publications_with_one_bill_between_them_differ_in_no_share(
    shared: psycopg.Connection, folder: Path, keyring: Keyring, tmp_path: Path
) -> None:
    """The observer who subtracts: marts show the late bill and a cell that was hidden, views and extracts do not."""
    content = shares.declared(
        share="extract",
        resource="marts.burden",
        columns=["month", "category", "persons", "cost"],
        serve={"as": "extract", "format": "csv", "every": "once"},
    )
    shares.save(folder, content | {"recipient": {"name": "x", "uscc": shares.OTHER_USCC, "admdvs": "440000"}})
    verdict = shares.approve(shared, folder, "extract")

    def observed(publication: int) -> tuple[dict[str, object], list[tuple[object, ...]], str]:
        extract = extracts.write(shared, tmp_path / "outbox", keyring, verdict, "me", publication)
        written = (tmp_path / "outbox" / extract.path / "data.csv").read_text("utf-8-sig")
        return dict(shared.execute("SELECT category, cost FROM marts.burden").fetchall()), shown(shared), written

    first = lifecycle.current_publication(shared)
    assert first is not None
    marts, view, extract = observed(first)
    for build, bill in (
        ("build_a", 321),
        ("build_b", 322),
    ):  # a bill, a row that is no longer small, and a new category
        shared.execute(f"UPDATE {build}.burden SET cost = cost + %s WHERE category = 'inpatient'", [bill])
        shared.execute(f"UPDATE {build}.burden SET persons = 11, cost = 9, is_suppressed = false WHERE cost IS NULL")
        shared.execute(f"INSERT INTO {build}.burden VALUES ('2026-07-01', '440000', 'chronic', 12, 7, false)")
    second = shares.publish_build(shared, folder, "build_a", on=date(2026, 12, 30))
    marts_then, view_then, extract_then = observed(second)
    assert marts_then["inpatient"] - marts["inpatient"] == 321  # type: ignore[operator]
    assert (marts["pharmacy"], marts_then["pharmacy"]) == (None, 9)
    assert (view_then, extract_then) == (view, extract)

    revision = shares.publish_build(shared, folder, "build_b", on=date(2027, 1, 1))
    _, revised, extract_revised = observed(revision)
    assert {row[1]: row[3] for row in revised} == {"inpatient": marts["inpatient"] + 322, "pharmacy": 9, "chronic": 7}  # type: ignore[operator]
    assert extract_revised != extract

"""Views of shares, read with real logins: who sees what, until when, and what a file that changed does."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path

import psycopg
import pytest

from tests import shares
from warehouse.sharing import lifecycle, logins, register

Reader = Callable[[tuple[str, str]], psycopg.Connection]


def opened(conn: psycopg.Connection, folder: Path, **changes: object) -> lifecycle.Verdict:
    """A share that is open."""
    content = shares.declared(**changes)
    shares.save(folder, content)
    verdict = shares.approve(conn, folder, content["share"])
    assert (verdict.state, verdict.codes) == ("open", [])
    return verdict


def scalar(conn: psycopg.Connection, query: str) -> object:
    row = conn.execute(query).fetchone()
    return row[0] if row else None


def test_a_login_reads_the_declared_columns_and_rows(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    verdict = opened(conn, folder)
    with reader(lifecycle.login(conn, verdict, "me")) as login:
        cursor = login.execute("SELECT * FROM share_coverage_gd.data ORDER BY month")
        assert [column.name for column in cursor.description or ()] == ["month", "sender", "members"]
        assert cursor.fetchall() == [(date(2026, 7, 1), "440000", 100), (date(2026, 8, 1), "440000", 110)]
        assert scalar(login, "SELECT count(*) FROM data") == 2
        assert scalar(login, "SELECT col_description('data'::regclass, 3)") == "The members. members的说明。"
        assert scalar(login, "SHOW statement_timeout") == "1min"
        name = scalar(login, "SELECT session_user")
    access = conn.execute("SELECT name, version, login, day, client IS NOT NULL FROM ops.share_access").fetchall()
    assert access == [("coverage-gd", 1, name, register.today(conn), True)]


def test_a_login_reads_nothing_beyond_its_view_and_writes_nothing(
    conn: psycopg.Connection, folder: Path, reader: Reader
) -> None:
    """GIVEN two shares WHEN each login tries every relation of the database THEN its view alone answers."""
    first = opened(conn, folder)
    second = opened(conn, folder, share="coverage-fj", rows=[{"column": "sender", "op": "=", "value": "350000"}])
    own = {"share_coverage_gd.data": lifecycle.login(conn, first, "me")}
    own["share_coverage_fj.data"] = lifecycle.login(conn, second, "me")
    relations = conn.execute(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class AS c INNER JOIN pg_namespace AS n"
        " ON c.relnamespace = n.oid WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname !~ '^(pg_|information_schema)'"
    ).fetchall()
    assert len(relations) > 30
    for view, login in own.items():
        with reader(login) as session:
            readable = []
            for (relation,) in relations:
                try:
                    session.execute(f"SELECT * FROM {relation} LIMIT 1")
                    readable.append(relation)
                except psycopg.errors.InsufficientPrivilege:
                    pass
            assert readable == [view]
            for statement in (
                f"DELETE FROM {view}",
                f"INSERT INTO {view} VALUES (now(), 'x', 1)",
                "CREATE TABLE mine (x integer)",
                "CREATE TEMPORARY TABLE mine (x integer)",
                "CREATE SCHEMA mine",
                "SELECT lo_create(0)",
                "SELECT lo_from_bytea(0, 'mine')",
                "SELECT share.gate('coverage-gd')",
                "SELECT vault.open_person(1)",
                "SET ROLE analyst",
            ):
                with pytest.raises(psycopg.Error):
                    session.execute(statement)


def test_after_the_last_day_the_first_query_fails(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    """GIVEN an open session WHEN the last day is over by the database's clock THEN its next query fails; no job has run."""
    verdict = opened(conn, folder, rows=[{"column": "sender", "op": "=", "value": "no such sender"}])
    with reader(lifecycle.login(conn, verdict, "me")) as session:
        assert session.execute("SELECT * FROM data").fetchall() == []
        yesterday = register.today(conn) - timedelta(days=1)
        conn.execute("UPDATE ops.share SET valid_until = %s", [yesterday])
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"S_EXPIRED.*{yesterday}"):
            session.execute("SELECT * FROM data")
        conn.execute("UPDATE ops.share SET valid_until = valid_until + 1")
        assert session.execute("SELECT * FROM data").fetchall() == []


def test_before_its_first_day_a_share_is_not_open(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    tomorrow = register.today(conn) + timedelta(days=1)
    verdict = opened(conn, folder, valid={"from": str(tomorrow), "until": str(tomorrow)})
    with (
        reader(lifecycle.login(conn, verdict, "me")) as session,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"begins on {tomorrow}"),
    ):
        session.execute("SELECT * FROM data")


def test_upkeep_ends_logins_schema_and_role(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    today = register.today(conn)
    verdict = opened(conn, folder, valid={"from": str(today - timedelta(days=9)), "until": str(today)})
    login = lifecycle.login(conn, verdict, "me")
    assert lifecycle.expire(conn, "me") == []
    assert [(one.name, one.days) for one in lifecycle.notices(conn)] == [("coverage-gd", 0)]
    assert lifecycle.notices(conn) == []
    conn.execute("UPDATE ops.share SET valid_until = valid_until - 1")
    assert [row.name for row in lifecycle.expire(conn, "me")] == ["coverage-gd"]
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"):
        reader(login)
    assert scalar(conn, "SELECT to_regnamespace('share_coverage_gd')") is None
    assert scalar(conn, "SELECT to_regrole('share_coverage_gd')") is None
    (found,) = lifecycle.check(conn, folder, "me")
    assert (found.state, found.codes) == ("expired", ["S_EXPIRED"])
    steps = conn.execute("SELECT step FROM ops.share_step ORDER BY step_id").fetchall()
    assert [step for (step,) in steps] == ["declared", "approved", "opened", "approved", "expired"]


def test_a_revoked_share_ends_with_its_sessions(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    login = lifecycle.login(conn, opened(conn, folder), "me")
    session = reader(login)
    session.execute("SELECT * FROM data")
    lifecycle.revoke(conn, "coverage-gd", "the agreement was ended", "me")
    with pytest.raises(psycopg.OperationalError):
        session.execute("SELECT * FROM data")
    with pytest.raises(psycopg.OperationalError):
        reader(login)
    (verdict,) = lifecycle.check(conn, folder, "me")
    assert (verdict.state, verdict.codes) == ("revoked", ["S_REVOKED"])


def test_the_gate_says_when_a_share_was_revoked(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    """The moment between the revocation and the end of the sessions."""
    with reader(lifecycle.login(conn, opened(conn, folder), "me")) as session:
        session.execute("SELECT * FROM data")
        (row,) = register.rows(conn, "coverage-gd")
        register.set_state(conn, row, "revoked", [], "me")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"S_REVOKED.*{register.today(conn)}"):
            session.execute("SELECT * FROM data")


@pytest.mark.parametrize("change", ["same version", "next version", "gone", "unreadable"])
def test_a_changed_file_is_not_served(conn: psycopg.Connection, folder: Path, reader: Reader, change: str) -> None:
    login = lifecycle.login(conn, opened(conn, folder), "me")
    path = folder / "coverage-gd.yaml"
    original = path.read_text("utf-8")
    if change == "same version":
        shares.save(folder, shares.declared(columns=["month", "members"]))
    elif change == "next version":
        shares.save(folder, shares.declared(version=2))
    elif change == "gone":
        path.unlink()
    else:
        path.write_text("share: [", "utf-8")
    verdicts = lifecycle.check(conn, folder, "me")
    codes = {
        "same version": [["S_CHANGED", "S_NAME"]],
        "next version": [["S_APPROVAL"]],
        "gone": [],
        "unreadable": [["S_DECLARATION"]],
    }
    assert [verdict.codes for verdict in verdicts] == codes[change]
    with reader(login) as session:
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="S_CHANGED"):
            session.execute("SELECT * FROM data")
        path.write_text(original, "utf-8")
        lifecycle.check(conn, folder, "me")
        assert scalar(session, "SELECT count(*) FROM data") == 2


def test_a_new_version_takes_over_with_its_logins(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    login = lifecycle.login(conn, opened(conn, folder), "me")
    opened(conn, folder, version=2, columns=["month", "members"], valid={"from": "2026-11-01", "until": "2027-10-30"})
    with reader(login) as session:
        cursor = session.execute("SELECT * FROM data")
        assert [column.name for column in cursor.description or ()] == ["month", "members"]
    states = conn.execute("SELECT version, state FROM ops.share ORDER BY version").fetchall()
    assert states == [(1, "expired"), (2, "open")]
    assert scalar(
        conn, "SELECT rolvaliduntil AT TIME ZONE 'Asia/Shanghai' FROM pg_roles WHERE rolname LIKE 'login\\_%'"
    )


def test_shares_move_with_the_publication(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    login = lifecycle.login(conn, opened(conn, folder), "me")
    conn.execute("UPDATE build_b.coverage SET members = 7")
    with reader(login) as session:
        number = shares.publish_build(conn, folder, "build_b")
        assert session.execute("SELECT DISTINCT members FROM data").fetchall() == [(7,)]
    steps = conn.execute("SELECT detail ->> 'publication' FROM ops.share_step WHERE step = 'published'").fetchall()
    assert steps == [(str(number),)]


def test_a_refused_share_stops_neither_the_publication_nor_another_share(
    empty: psycopg.Connection, folder: Path
) -> None:
    shares.save(folder, shares.declared())
    assert shares.approve(empty, folder, "coverage-gd").codes == ["S_PUBLICATION"]
    shares.save(folder, shares.declared(share="broken", resource="marts.nothing"))
    (folder / "unreadable.yaml").write_bytes(b"\xff\xfe")
    shares.publish_build(empty, folder, "build_a")
    states = empty.execute("SELECT name, state, codes FROM ops.share ORDER BY name").fetchall()
    assert states == [("broken", "refused", ["S_APPROVAL", "S_RESOURCE"]), ("coverage-gd", "open", [])]


def test_a_read_only_transaction_reads_without_a_note(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    with reader(lifecycle.login(conn, opened(conn, folder), "me")) as session:
        session.execute("SET default_transaction_read_only = on")
        assert scalar(session, "SELECT count(*) FROM data") == 2
    assert scalar(conn, "SELECT count(*) FROM ops.share_access") == 0


def test_a_long_name_gets_names_that_fit(conn: psycopg.Connection, folder: Path, reader: Reader) -> None:
    long = "a" * 62
    first, second = opened(conn, folder, share=f"{long}a"), opened(conn, folder, share=f"{long}b")
    for verdict in (first, second):
        with reader(logins.create(conn, verdict.name, 1, date(2027, 1, 1), "me")) as session:
            assert scalar(session, "SELECT count(*) FROM data") == 2

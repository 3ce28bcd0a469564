"""Which rows each login sees: role x relation x division, with real logins over every published relation.

The tables behind the views are made by hand from dbt's manifest, with rows of some divisions in each.
"""

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from ingest import contracts
from ingest.database import connect
from ingest.settings import Settings
from tests.conftest import fresh_database
from tests.integration.warehouse.access.conftest import Logins
from warehouse.access import roles
from warehouse.build import dbt, publish
from warehouse.build.publish import PublicationResult, Relation
from warehouse.local import server
from warehouse.schema import migrate

#: Divisions of the rows of every relation; None: empty.
CODES = ("110105", "350200", "350203", "440000", "440103", "440106", "100000", None)
#: Role -> the schemas that it reads.
READS = {
    "bi": {"marts"},
    "steward": {"marts"},
    "engineer": {"marts"},
    "auditor": set(),
    "analyst": {"marts", "core"},
    "caseworker": {"marts", "core", "casework"},
}
DIVISIONS = (["44"], ["4401"], ["440103"], ["35", "44"], ["100000"])
COUNTRY = ["100000"]


@pytest.fixture(scope="module")
def relations(server_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> list[Relation]:
    """Every published relation with its rule, as dbt's manifest has it."""
    dsn = server.database_dsn(server_settings, "warehouse")
    settings = Settings(home=tmp_path_factory.mktemp("manifest"), dsn=SecretStr(dsn))
    return publish.relations(dbt.manifest(settings))


@pytest.fixture(scope="module")
def published(server_settings: Settings, relations: list[Relation]) -> Iterator[tuple[str, Logins]]:
    """A database in which every relation has a row of each division, and the logins of all roles and divisions."""
    with fresh_database(server_settings, "test_rows") as dsn:
        with connect(dsn) as conn:
            migrate(conn, contracts.load())
            roles.ensure(conn)
            conn.execute("CREATE SCHEMA build_a")
            for relation in relations:
                _make_table(conn, relation)
            publish.move(conn, "build_a", relations, _silent)
        logins = Logins(dsn)
        for role in READS:
            for number, divisions in enumerate(DIVISIONS):
                logins.add(f"{role}_{number}", [role], divisions)
        logins.add("caseworker_lost", ["caseworker"], ["44"])
        with connect(dsn) as conn:
            conn.execute("DELETE FROM ops.login_division WHERE login = 'caseworker_lost'")
        yield dsn, logins
        logins.drop()


def _silent(conn: psycopg.Connection, result: PublicationResult) -> None:
    """Record nothing."""


def _make_table(conn: psycopg.Connection, relation: Relation) -> None:
    """A table with the columns of the rule, a row for each division in the first of them, and one for the fallback."""
    assert relation.rule is not None
    columns = relation.rule.columns or ("sender",)
    table = sql.Identifier("build_a", relation.name)
    conn.execute(
        sql.SQL("CREATE TABLE {} ({})").format(
            table, sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(column)) for column in columns)
        )
    )
    for number, column in enumerate(columns):
        with conn.cursor() as cursor:
            cursor.executemany(
                sql.SQL("INSERT INTO {} ({}) VALUES (%s)").format(table, sql.Identifier(column)),
                [[code] for code in CODES if code is not None or number == 0],
            )


def expected(relation: Relation, divisions: list[str]) -> list[str | None]:
    """The divisions of the rows that a login sees: plain Python over what the table holds."""
    assert relation.rule is not None
    times = max(1, len(relation.rule.columns))
    held = [code for code in CODES for _ in range(1 if code is None else times)]
    if relation.rule.scope == "everyone" or divisions == COUNTRY:
        return held
    if relation.rule.scope == "country":
        return []
    return [
        code for code in held if code is not None and (code == "100000" or any(code.startswith(d) for d in divisions))
    ]


def seen(conn: psycopg.Connection, relation: Relation) -> list[str | None]:
    """The divisions of the rows that a login sees."""
    assert relation.rule is not None
    division = sql.SQL("coalesce({})").format(
        sql.SQL(", ").join(map(sql.Identifier, relation.rule.columns or ("sender",)))
    )
    rows = conn.execute(
        sql.SQL("SELECT {} FROM {}").format(division, sql.Identifier(relation.schema, relation.name))
    ).fetchall()
    return [code for (code,) in rows]


def by_code(codes: list[str | None]) -> list[str]:
    return sorted(map(str, codes))


@pytest.mark.parametrize("role", READS)
def test_each_login_sees_the_rows_of_its_divisions(
    published: tuple[str, Logins], relations: list[Relation], role: str
) -> None:
    _, logins = published
    assert len(relations) > 60
    for number, divisions in enumerate(DIVISIONS):
        with logins(f"{role}_{number}") as conn:
            for relation in relations:
                if relation.schema not in READS[role]:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        seen(conn, relation)
                    continue
                found = by_code(seen(conn, relation))
                assert found == by_code(expected(relation, divisions)), (role, divisions, str(relation))


@pytest.mark.parametrize("role", ["bi_reader", "analyst", "caseworker"])
def test_the_logins_of_before_see_the_whole_country(
    published: tuple[str, Logins], relations: list[Relation], server_settings: Settings, role: str
) -> None:
    dsn, _ = published
    database = psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]
    with psycopg.connect(server.database_dsn(server_settings, str(database), role=role), autocommit=True) as conn:
        for relation in relations:
            if role in roles.READERS[relation.schema] or relation.schema == "marts":
                assert by_code(seen(conn, relation)) == by_code(expected(relation, COUNTRY)), str(relation)


def test_a_login_without_a_row_sees_rows_for_everyone_only(
    published: tuple[str, Logins], relations: list[Relation]
) -> None:
    _, logins = published
    with logins("caseworker_lost") as conn:
        for relation in relations:
            assert relation.rule is not None
            is_for_all = relation.rule.scope == "everyone"
            assert (by_code(seen(conn, relation)) == by_code(expected(relation, COUNTRY))) is is_for_all, str(relation)
            if relation.rule.scope == "country":
                assert seen(conn, relation) == []


def test_rows_for_everyone_and_for_the_whole_country_are_these(relations: list[Relation]) -> None:
    """A relation that joins them is looked at by a person: its rows are bound by no division."""
    words = {str(one): one.rule.scope for one in relations if one.rule is not None and one.rule.scope != "division"}
    assert words == {
        "core.calendar_date": "everyone",
        "core.calendar_month": "everyone",
        "core.code_label": "everyone",
        "core.insurance_month": "country",
        "core.medical_institution": "everyone",
        "core.occupation": "everyone",
        "core.person": "country",
        "core.region": "everyone",
        "marts.share_catalogue": "everyone",
        "marts.share_catalogue_item": "everyone",
        "marts.share_usage_month": "everyone",
    }


GUANGDONG = {"440000", "440103", "440106", "100000"}


def test_no_way_around(published: tuple[str, Logins]) -> None:
    """A role, a function, a view or a table of one's own, another's view: the divisions stay those of the login."""
    _, logins = published
    query = "SELECT DISTINCT admdvs FROM core.member_profile"
    with logins("analyst_0") as conn, logins("analyst_4") as other:
        notices: list[str] = []
        conn.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
        conn.execute(
            "CREATE FUNCTION workspace.peek(code text) RETURNS boolean LANGUAGE plpgsql COST 0.0001"
            " AS $$ BEGIN RAISE NOTICE '%', code; RETURN true; END $$"
        )
        conn.execute("SELECT count(*) FROM core.member_profile WHERE workspace.peek(admdvs)")
        assert set(notices) == GUANGDONG
        conn.execute("SET ROLE analyst")
        assert {code for (code,) in conn.execute(query)} == GUANGDONG
        conn.execute("RESET ROLE")
        other.execute(f"CREATE VIEW workspace.theirs AS {query}")
        other.execute("GRANT SELECT ON workspace.theirs TO analyst")
        assert {code for (code,) in conn.execute("SELECT admdvs FROM workspace.theirs")} == GUANGDONG
        assert len({code for (code,) in other.execute("SELECT admdvs FROM workspace.theirs")}) == len(CODES)
        for forbidden in (
            "SET SESSION AUTHORIZATION analyst",
            "SELECT * FROM ops.login_division",
            "UPDATE ops.login_division SET divisions = '{100000}'",
            "SELECT * FROM build_a.member_profile",
            "CREATE OR REPLACE VIEW core.member_profile AS SELECT 1",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                conn.execute(forbidden)


@pytest.mark.parametrize(
    ("role", "query", "allowed"),
    [
        ("engineer", "SELECT * FROM ops.delivery, ops.build, ops.share, ops.login_division", True),
        ("engineer", "SELECT * FROM ops.share_extract_person", False),
        ("engineer", "SELECT * FROM vault.access", False),
        ("engineer", "SELECT * FROM landing.membership_member", False),
        ("engineer", "DELETE FROM ops.step", False),
        ("steward", "SELECT * FROM ops.delivery, ops.rejected_row, ops.validation_result", True),
        ("steward", "SELECT * FROM ops.share", False),
        ("steward", "SELECT * FROM ops.login_division", False),
        ("auditor", "SELECT * FROM ops.login_change, ops.share_access, ops.share_extract_person", True),
        ("auditor", "SELECT * FROM vault.access", True),
        ("auditor", "SELECT * FROM vault.person", False),
        ("auditor", "SELECT vault.ask_for_person(gen_random_uuid(), 'curious', 'aid')", False),
        ("auditor", "DELETE FROM ops.login_change", False),
        ("bi", "SELECT * FROM ops.delivery", False),
        ("analyst", "SELECT * FROM ops.delivery", False),
        ("analyst", "CREATE TABLE workspace.own (x int)", True),
        ("bi", "CREATE TABLE workspace.own (x int)", False),
        ("caseworker", "SELECT vault.ask_for_person(gen_random_uuid(), 'case 7', 'aid')", True),
        ("caseworker", "SELECT * FROM vault.access", False),
    ],
)
def test_what_else_each_role_may(published: tuple[str, Logins], role: str, query: str, allowed: bool) -> None:
    _, logins = published
    with logins(f"{role}_0") as conn:
        if allowed:
            conn.execute(query)
            return
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute(query)


def test_an_older_build_without_the_column_shows_its_rows_to_the_whole_country_only(
    published: tuple[str, Logins], relations: list[Relation]
) -> None:
    """Last: it moves a view."""
    dsn, logins = published
    gap = next(one for one in relations if str(one) == "casework.mutual_aid_gap")
    with connect(dsn) as conn:
        conn.execute("CREATE SCHEMA build_b")
        conn.execute("CREATE TABLE build_b.mutual_aid_gap AS SELECT 'old' AS scheme_code")
        publish.move(conn, "build_b", [gap], _silent, backwards=True)
    query = "SELECT admdvs, scheme_code FROM casework.mutual_aid_gap"
    with logins("caseworker_0") as guangdong, logins("caseworker_4") as country:
        assert guangdong.execute(query).fetchall() == []
        assert country.execute(query).fetchall() == [(None, "old")]

"""Every schema that a client lists, and every table, view and column of `ops`, says what it is, in both languages."""

import re

import psycopg
import pytest

from ingest.settings import Settings
from warehouse import operations
from warehouse.access import comments

SCHEMAS = {"core", "marts", "casework", "workspace", "ops", "landing", "vault", "share"}
OBJECTS = """
SELECT n.nspname, obj_description(n.oid, 'pg_namespace') FROM pg_namespace AS n WHERE n.nspname = ANY(%s)
UNION ALL
SELECT c.relname, obj_description(c.oid, 'pg_class') FROM pg_class AS c
WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p', 'v')
UNION ALL
SELECT c.relname || '.' || a.attname, col_description(c.oid, a.attnum)
FROM pg_class AS c INNER JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = 'ops'::regnamespace AND c.relkind IN ('r', 'p', 'v') AND a.attnum > 0 AND NOT a.attisdropped
"""


@pytest.fixture
def described(warehouse: psycopg.Connection, settings: Settings) -> dict[str, str | None]:
    with operations.open_warehouse(settings):
        return dict(warehouse.execute(OBJECTS, [list(SCHEMAS)]).fetchall())


def test_nothing_is_without_a_comment_in_both_languages(described: dict[str, str | None]) -> None:
    assert set(described) > SCHEMAS
    bilingual = re.compile(r"[A-Za-z].*[一-鿿].*。")
    assert sorted(name for name, text in described.items() if not bilingual.fullmatch(text or "")) == []


def test_no_comment_is_of_what_does_not_exist(described: dict[str, str | None]) -> None:
    texts = comments.read()
    named = {
        f"{relation}.{column}".rstrip(".") for relation, columns in texts["relations"].items() for column in columns
    }
    assert sorted(named - set(described)) == []
    assert sorted(set(texts["columns"]) - {name.partition(".")[2] for name in described}) == []
    assert set(texts["schemas"]) == SCHEMAS


def test_a_comment_that_differs_is_written_again(warehouse: psycopg.Connection, settings: Settings) -> None:
    warehouse.execute("COMMENT ON COLUMN ops.delivery.sender IS 'old'")
    with operations.open_warehouse(settings):
        found = warehouse.execute("SELECT col_description('ops.delivery'::regclass, 2 + 1)").fetchone()
    assert found == (comments.read()["columns"]["sender"],)

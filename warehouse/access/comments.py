"""Comments of the schemas, and of the tables, views and columns of ``ops``, as clients of the database show them.

Published tables have theirs from dbt (``warehouse.build.publish``).
"""

from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from psycopg.types.json import Jsonb

from ingest import locks

#: Comments that are missing or different, of objects that this user owns: kind, names, text.
_DIFFERENT = """
WITH wanted AS (
    SELECT 'SCHEMA' AS kind, ARRAY[n.nspname] AS names, n.nspowner AS owner, t.text,
        obj_description(n.oid, 'pg_namespace') AS present
    FROM pg_namespace AS n
    INNER JOIN jsonb_each_text(%(schemas)s) AS t (name, text) ON n.nspname = t.name
    UNION ALL
    SELECT CASE WHEN a.attnum > 0 THEN 'COLUMN' WHEN c.relkind = 'v' THEN 'VIEW' ELSE 'TABLE' END,
        array_remove(ARRAY['ops', c.relname, a.attname], NULL), c.relowner,
        coalesce(%(relations)s -> c.relname ->> coalesce(a.attname, ''), %(columns)s ->> a.attname),
        CASE WHEN a.attnum > 0 THEN col_description(c.oid, a.attnum) ELSE obj_description(c.oid, 'pg_class') END
    FROM pg_class AS c
    CROSS JOIN LATERAL (
        SELECT NULL AS attname, 0 AS attnum
        UNION ALL
        SELECT attname, attnum FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    ) AS a
    WHERE c.relnamespace = to_regnamespace('ops') AND c.relkind IN ('r', 'p', 'v')
)
SELECT kind, names, text FROM wanted
WHERE text IS DISTINCT FROM present AND text IS NOT NULL AND pg_has_role(owner, 'USAGE')
ORDER BY names
"""


@cache
def read() -> dict[str, Any]:
    """The comments: ``schemas``, ``relations`` and ``columns`` of ``ops``."""
    texts: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("comments.yaml").read_text(encoding="utf-8"))
    return texts


def ensure(conn: psycopg.Connection[Any]) -> None:
    """Write the comments that are missing or different. Several commands may call it at the same time.

    Args:
        conn: In autocommit mode, as the owner of the schemas.
    """
    if not _different(conn):
        return
    with locks.migrating(conn):  # concurrent commands wait here and then find nothing different
        for kind, names, text in _different(conn):
            conn.execute(
                sql.SQL("COMMENT ON {} {} IS {}").format(sql.SQL(kind), sql.Identifier(*names), sql.Literal(text))
            )


def _different(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    parameters = {name: Jsonb(texts) for name, texts in read().items()}
    return conn.execute(_DIFFERENT, parameters).fetchall()

"""A dbt project of three nodes, for tests of what surrounds a build, and a ledger that says what is in it."""

import textwrap
from pathlib import Path

import psycopg
import pytest

from warehouse import operations
from warehouse.build import dbt

PROJECT = {
    "dbt_project.yml": """
        name: tiny
        version: "1.0"
        profile: warehouse
        vars: {build: build_a}
        models:
          tiny:
            +materialized: table
            +meta: {publish: marts, division: everyone, division_reason: They are invented.}
        data_tests:
          +schema: staging
        """,
    "macros/schema.sql": """
        {% macro generate_schema_name(name, node) %}{{ var('build') if name is none else var('build') ~ '_' ~ name }}{% endmacro %}
        """,
    "models/held.sql": """
        select name, month, '{{ "full" if flags.FULL_REFRESH else "part" }}' as kind from ops.build_delivery
        where build = '{{ var("build") }}' and state = 'input'
        """,
    "models/months.sql": "select unnest(months_asked) as month from ops.build where build = '{{ var(\"build\") }}'",
    "tests/nothing_forbidden.sql": "select * from {{ ref('held') }} where name like 'forbidden%'",
}


def use(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the project to a folder and let the warehouse build it, without an audit."""
    for name, text in PROJECT.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    monkeypatch.setattr(dbt, "PROJECT", folder)
    monkeypatch.setattr(operations, "audit", lambda *_: None)


def decide(conn: psycopg.Connection, name: str, status: str = "accepted", **other: str) -> None:
    """Write a decided delivery to the ledger, as loading does."""
    values = {"source": "membership", "mode": "snapshot", "period": "2026-08", **other}
    conn.execute(
        "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, mode, created, content_hash,"
        " status, holds_name, decided_at) VALUES (%s, '', %s, %s, '440000', %s, %s, '2026-09-03T08:00+08', %s, %s,"
        " %s, now())",
        [
            f"{name}-{status}",
            name,
            values["source"],
            values["period"],
            values["mode"],
            f"hash of {name}",
            status,
            status not in ("refused", "duplicate"),
        ],
    )

"""A warehouse with hand-made builds and the shares of it: no delivery is loaded, dbt does not run."""

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
import yaml
from psycopg.types.json import Jsonb

from ingest import contracts
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from warehouse.access.divisions import EVERYONE
from warehouse.build import publish
from warehouse.build.publish import PublicationResult, Relation
from warehouse.sharing import catalogue, lifecycle, lineage, policy
from warehouse.sharing.lineage import PublishedRelation, SharedColumn

USCC, OTHER_USCC = "11440000MB2D00001D", "12440100MB2D00002J"
#: Person keys as the vault and core have them.
PERSONS = tuple(f"00000000-0000-4000-8000-00000000000{n}" for n in range(1, 5))


def column(name: str, type_: str = "text", classification: str = "internal") -> SharedColumn:
    return SharedColumn(name, type_, f"{name}的名称", f"The {name}. {name}的说明。", classification)


COVERAGE = PublishedRelation(
    "marts.coverage",
    "Members. 会员。",
    ("membership",),
    ("membership.member",),
    (),
    ("month", "sender"),
    (column("month", "date"), column("sender"), column("members", "integer"), column("remark")),
)
BURDEN = PublishedRelation(
    "marts.burden",
    "Burden. 负担。",
    ("medical", "membership"),
    ("medical.settlement",),
    (),
    ("month", "sender", "category"),
    (
        *(column("month", "date"), column("sender"), column("category"), column("persons", "integer")),
        *(column("cost", "numeric(18,2)"), column("is_suppressed", "boolean")),
    ),
)
ENTITLEMENT = PublishedRelation(
    "casework.entitlement",
    "Entitlements. 应补助。",
    ("medical", "membership"),
    ("medical.settlement",),
    (),
    ("scheme_code", "person_key"),
    (
        column("scheme_code"),
        column("person_key", "uuid", "personal"),
        column("aid_amount", "numeric(18,2)", "personal"),
        column("note", "text", "personal"),
    ),
)
ORGANISATION = PublishedRelation(
    "core.organisation",
    "Unions. 工会。",
    ("membership",),
    ("membership.organisation",),
    (),
    ("sender", "org_code"),
    (column("sender"), column("org_code"), column("phone", "text", "personal"), column("has_consent", "boolean")),
)
RELATIONS = (COVERAGE, BURDEN, ENTITLEMENT, ORGANISATION)

_ROWS: dict[str, list[str]] = {
    "coverage": [
        "('2026-07-01', '440000', 100, '=1+1')",
        "('2026-08-01', '440000', 110, 'a,\"b')",
        "('2026-08-01', '350000', 50, NULL)",
    ],
    "burden": [
        "('2026-07-01', '440000', 'inpatient', 20, 1000.50, false)",
        "('2026-07-01', '440000', 'pharmacy', NULL, NULL, true)",
    ],
    "entitlement": [
        f"('second-claim', '{PERSONS[0]}', 10.50, '=HYPERLINK(\"x\")')",
        f"('second-claim', '{PERSONS[1]}', 20.00, '-3')",
        f"('inpatient-13', '{PERSONS[2]}', 30.00, NULL)",
    ],
    "organisation": ["('440000', 'O1', '13800000000', true)", "('350000', 'O2', NULL, false)"],
}


def make_builds(conn: psycopg.Connection) -> None:
    """Two builds with the same rows, and deliveries that they consist of."""
    for build in ("build_a", "build_b"):
        conn.execute(f"CREATE SCHEMA {build}")
        conn.execute("INSERT INTO ops.build (build, completed_at) VALUES (%s, now())", [build])
        for relation in RELATIONS:
            name = relation.relation.partition(".")[2]
            columns = ", ".join(f"{one.name} {one.type}" for one in relation.columns)
            conn.execute(f"CREATE TABLE {build}.{name} ({columns})")
            conn.execute(f"INSERT INTO {build}.{name} VALUES {', '.join(_ROWS[name])}")
    for source in ("medical", "membership"):
        deliver(conn, source, "440000", "2026-07")


def deliver(conn: psycopg.Connection, source: str, sender: str, period: str) -> str:
    """An accepted delivery in the ledger; returns its name."""
    name = f"{source}-{sender}-{period}"
    conn.execute(
        "INSERT INTO ops.arrival (location, fingerprint, name, source, sender, period, mode, created, status,"
        " holds_name, codes, manifest, decided_at)"
        " VALUES (%s, '', %s, %s, %s, %s, 'delta', now(), 'accepted', true, '{}', %s, now())",
        [name, name, source, sender, period, Jsonb({})],
    )
    return name


def publish_build(
    conn: psycopg.Connection,
    folder: Path,
    build: str,
    relations: Sequence[PublishedRelation] = RELATIONS,
    on: date | None = None,
    revisions: Sequence[str] = ("01-01", "07-01"),
) -> int:
    """Publish a build with every accepted delivery, and move the shares; returns the number of the publication."""
    numbers: list[int] = []

    def note(conn: psycopg.Connection, moved: PublicationResult) -> None:
        conn.execute("UPDATE ops.publication SET is_current = false WHERE is_current")
        row = conn.execute(
            "INSERT INTO ops.publication (published_at, build, deliveries, row_counts, ledger_hash, is_current)"
            " VALUES (coalesce(%s::date::timestamp AT TIME ZONE 'Asia/Shanghai', now()), %s,"
            " ARRAY(SELECT name FROM ops.delivery WHERE status = 'accepted'), %s, '', true) RETURNING publication_id",
            [on, build, Jsonb(moved.row_counts)],
        ).fetchone()
        assert row is not None
        numbers.append(row[0])
        lineage.record(conn, row[0], relations)
        catalogue.record(conn, row[0], catalogue.describe(relations, contracts.load(), policy.load(), Settings()))
        lifecycle.published(conn, folder, row[0], revisions, "publisher")

    wanted = [Relation(*one.relation.split("."), rule=EVERYONE) for one in relations]
    publish.move(conn, build, wanted, note)
    return numbers[-1]


def declared(**changes: Any) -> dict[str, Any]:
    """A declaration that may be served: a view of a mart."""
    content: dict[str, Any] = {
        "share": "coverage-gd",
        "version": 1,
        "title": {"zh": "覆盖", "en": "Coverage"},
        "recipient": {"name": "某局", "uscc": USCC, "admdvs": "440000"},
        "purpose": {"code": "statistics", "text": "统计"},
        "basis": {"kind": "agreement", "reference": "协议", "number": "GX-1", "on": "2026-09-01"},
        "attribute": "unconditional",
        "resource": "marts.coverage",
        "columns": ["month", "sender", "members"],
        "rows": [{"column": "sender", "op": "=", "value": "440000"}],
        "persons": "none",
        "valid": {"from": "2026-11-01", "until": "2027-10-31"},
        "serve": {"as": "view"},
        "retention_days": 90,
        "onward": False,
    }
    return content | changes


def payout(**changes: Any) -> dict[str, Any]:
    """A declaration that may be served: an extract with pseudonyms."""
    return declared(
        **{
            "share": "payout",
            "purpose": {"code": "mutual-aid", "text": "发放"},
            "attribute": "conditional",
            "resource": "casework.entitlement",
            "columns": ["scheme_code", "person_key", "aid_amount", "note"],
            "rows": [{"column": "scheme_code", "op": "in", "values": ["second-claim"]}],
            "persons": "pseudonym",
            "serve": {"as": "extract", "format": "csv", "every": "month"},
            **changes,
        }
    )


def save(folder: Path, content: dict[str, Any], name: str | None = None) -> Path:
    """Write a declaration into the folder of declarations."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name or content['share']}.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return path


def approve(conn: psycopg.Connection, folder: Path, name: str, by: Iterable[str] = ("li", "wang")) -> lifecycle.Verdict:
    """Let persons approve a share; returns what a check says then."""
    verdicts = [lifecycle.approve(conn, folder, name, one, f"DOC-{one}", "declarer") for one in by]
    return verdicts[-1]


def fill_vault(conn: psycopg.Connection, keyring: Keyring) -> None:
    """Synthetic identities of the persons."""
    for number, person in enumerate(PERSONS):
        record = f'{{"name": "测试{number}", "certno": "11010119900101{number:04}"}}'.encode()
        conn.execute(
            "INSERT INTO vault.folded (person_key, sealed, created, delivery_name) VALUES (%s, %s, now(), 'x')",
            [person, *keyring.encrypt_owned([record], [UUID(person).bytes])],
        )

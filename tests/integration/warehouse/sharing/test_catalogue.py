"""The catalogue: which resources it shows, with which elements, and that its files are DCAT and Data Packages."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from dplib import settings as dplib_settings
from dplib.models import Package
from jsonschema import Draft7Validator, Draft202012Validator

from ingest import contracts
from ingest.privacy.keyring import Keyring
from ingest.settings import Settings
from tests import shares
from warehouse.sharing import catalogue, catalogue_files, extracts, lifecycle, policy
from warehouse.sharing.policy import Never, Offer

#: The one relation of these builds that the seed offers.
OFFERED = "core.organisation"
SCHEMA = Path(__file__).with_name("dcat.schema.json")


@pytest.fixture
def settings_of_federation() -> Settings:
    return Settings(federation_name="某省总工会", open_marts=("marts.coverage",))


def rows(conn: psycopg.Connection) -> dict[str, catalogue.Entry]:
    return {entry.resource: entry for entry, _ in catalogue.entries(conn)}


def test_what_a_declaration_names_is_in_the_catalogue(conn: psycopg.Connection, folder: Path) -> None:
    """GIVEN a publication WHEN shares are declared THEN their resources show, with the strictest way of sharing."""
    assert set(rows(conn)) == {OFFERED}
    shares.save(folder, shares.declared())
    shares.save(folder, shares.declared(share="other", attribute="conditional"))
    shares.save(folder, shares.payout())
    shares.save(folder, shares.declared(share="nothing", resource="marts.nothing"))
    lifecycle.check(conn, folder, "declarer")
    found = rows(conn)
    assert set(found) == {OFFERED, "marts.coverage", "casework.entitlement"}
    coverage, entitlement = found["marts.coverage"], found["casework.entitlement"]
    assert (coverage.access, coverage.serve, coverage.formats) == (
        "conditional",
        ["view", "extract"],
        ["database", "csv", "parquet"],
    )
    assert (entitlement.serve, entitlement.formats) == (["extract"], ["csv", "parquet"])  # rows of persons
    assert (coverage.classification, entitlement.classification) == ("internal", "personal")
    assert (coverage.identifier, coverage.frequency) == ("marts.coverage.v1", "P1M")
    assert (coverage.subject_areas, coverage.subject_labels) == (["membership"], ["会员实名制"])
    assert "consent" not in entitlement.basis_kinds


def test_a_refused_declaration_says_nothing_of_the_way_of_sharing(conn: psycopg.Connection, folder: Path) -> None:
    shares.save(folder, shares.declared(columns=["nothing"], attribute="conditional"))
    shares.save(folder, shares.declared(share="other"))
    lifecycle.check(conn, folder, "declarer")
    assert rows(conn)["marts.coverage"].access == "unconditional"


def test_elements_follow_from_seeds_and_settings(settings_of_federation: Settings) -> None:
    """What the seed offers goes before declarations; purposes cover every source; what is never shared has none."""
    known = policy.load()
    seeds = replace(
        known,
        offers={"marts.coverage": Offer("unconditional", frozenset({"statistics", "audit"}), ("statute",))},
        never=(Never("core.organisation", "", frozenset(), "secret"), *known.never),
    )
    relations = contracts.load()
    found = {
        resource.resource: resource
        for resource in catalogue.describe(shares.RELATIONS, relations, seeds, settings_of_federation)
    }
    coverage = found["marts.coverage"]
    assert (coverage.is_offered, coverage.attribute, coverage.is_open) == (True, "unconditional", True)
    assert (sorted(coverage.purposes), coverage.basis_kinds) == (["audit", "statistics"], ["statute"])
    assert (coverage.provider_name, coverage.provider_code) == ("某省总工会", settings_of_federation.federation_uscc)
    organisation = found["core.organisation"]
    assert (organisation.attribute, organisation.purposes) == ("none", [])
    assert organisation.basis_kinds == ["statute", "agreement", "consent"]  # a column records it
    burden = found["marts.burden"]
    assert (burden.attribute, burden.is_offered, burden.is_open) == (None, False, False)
    assert burden.purposes == [code for code, sources in known.purposes.items() if {"medical", "membership"} <= sources]
    assert found["casework.entitlement"].attribute is None


def test_items_are_the_columns_in_order(conn: psycopg.Connection, folder: Path) -> None:
    shares.save(folder, shares.payout())
    lifecycle.check(conn, folder, "declarer")
    items = next(items for entry, items in catalogue.entries(conn) if entry.resource == "casework.entitlement")
    assert [(item.position, item.column_name, item.classification) for item in items] == [
        (position, column.name, column.classification)
        for position, column in enumerate(shares.ENTITLEMENT.columns, start=1)
    ]


def test_the_files_are_dcat_and_data_packages(conn: psycopg.Connection, folder: Path, tmp_path: Path) -> None:
    """GIVEN resources in the catalogue WHEN it is written THEN each file keeps the form of its standard."""
    shares.save(folder, shares.declared())
    shares.save(folder, shares.payout())
    lifecycle.check(conn, folder, "declarer")
    box = tmp_path / "outbox"
    stale = box / "catalogue" / "marts.gone"
    stale.mkdir(parents=True)
    written = catalogue_files.write(conn, box)
    assert not stale.exists()
    assert {str(path.relative_to(box / "catalogue")) for path in written} == {
        "catalogue.jsonld",
        "datapackage.json",
        "casework.entitlement/datapackage.json",
        f"{OFFERED}/datapackage.json",
        "marts.coverage/datapackage.json",
    }
    profile = data_package_profile()
    for path in written:
        if path.name == "datapackage.json":
            content = json.loads(path.read_text("utf-8"))
            assert [error.message for error in profile.iter_errors(content)] == [], path
            assert Package.from_dict(content).resources
    root = json.loads((box / "catalogue" / "datapackage.json").read_text("utf-8"))
    assert all((box / "catalogue" / resource["path"]).is_file() for resource in root["resources"])
    dcat = json.loads((box / "catalogue" / "catalogue.jsonld").read_text("utf-8"))
    validator = Draft202012Validator(json.loads(SCHEMA.read_text("utf-8")))
    assert [error.message for error in validator.iter_errors(dcat)] == []
    assert unknown_prefixes(dcat) == set()
    del dcat["dcat:dataset"][0]["dct:publisher"]
    assert list(validator.iter_errors(dcat)) != []


def data_package_profile() -> Draft7Validator:
    """The JSON Schema of Data Package 2.0, of which ``dplib`` has a copy."""
    path = Path(dplib_settings.PROFILE_BASEDIR) / "2.0" / "datapackage.json"
    profile = Draft7Validator(json.loads(path.read_text("utf-8")))
    assert list(profile.iter_errors({"resources": [{"name": "without data or path"}]})) != []
    return profile


def unknown_prefixes(node: Any, prefixes: frozenset[str] = frozenset()) -> set[str]:
    """Terms and types of a JSON-LD document whose prefix its context does not define."""
    if isinstance(node, list):
        return set().union(*(unknown_prefixes(one, prefixes) for one in node))
    if not isinstance(node, dict):
        return set()
    prefixes = prefixes | frozenset(node.get("@context", {}))
    terms = {key for key in node if not key.startswith("@")} | ({node["@type"]} if "@type" in node else set())
    wrong = {term for term in terms if term.partition(":")[0] not in prefixes}
    return wrong.union(*(unknown_prefixes(value, prefixes) for key, value in node.items() if key != "@context"))


def test_files_of_one_publication_are_equal(conn: psycopg.Connection, folder: Path, tmp_path: Path) -> None:
    shares.save(folder, shares.declared())
    lifecycle.check(conn, folder, "declarer")
    contents = [
        [path.read_bytes() for path in catalogue_files.write(conn, tmp_path / name)] for name in ("first", "second")
    ]
    assert contents[0] == contents[1]


def test_nothing_is_written_before_the_first_publication(empty: psycopg.Connection, tmp_path: Path) -> None:
    assert catalogue_files.write(empty, tmp_path / "outbox") == []
    assert not (tmp_path / "outbox").exists()


def test_the_manifest_of_an_extract_has_the_elements(
    conn: psycopg.Connection, folder: Path, tmp_path: Path, keyring: Keyring
) -> None:
    """GIVEN an extract that was lost WHEN other shares of its resource came since THEN its manifest is the same."""
    shares.save(folder, shares.payout(attribute="unconditional"))
    verdict = shares.approve(conn, folder, "payout")
    box = tmp_path / "outbox"
    extract = extracts.write(conn, box, keyring, verdict, "me")
    manifest = box / extract.path / "datapackage.json"
    first = manifest.read_bytes()
    element = json.loads(first)["catalogue"]
    assert (element["id"], element["access"]) == ("casework.entitlement.v1", "unconditional")
    assert set(element) == {
        *("id", "title", "title_en", "keywords", "description", "contributors", "formats", "access", "conditions"),
        *("serve", "open", "frequency", "created", "sources", "classification"),
    }
    shares.save(folder, shares.payout(share="stricter"))
    lifecycle.check(conn, folder, "declarer")
    assert rows(conn)["casework.entitlement"].access == "conditional"
    manifest.unlink()
    extracts.write(conn, box, keyring, verdict, "me")
    assert manifest.read_bytes() == first


def test_a_return_to_an_older_publication_repeats_its_catalogue(conn: psycopg.Connection, folder: Path) -> None:
    shares.save(folder, shares.declared())
    lifecycle.check(conn, folder, "declarer")
    before = rows(conn)
    conn.execute(
        "WITH old AS (UPDATE ops.publication SET is_current = false RETURNING *)"
        " INSERT INTO ops.publication (published_at, build, deliveries, row_counts, ledger_hash, is_current)"
        " SELECT published_at, build, deliveries, row_counts, ledger_hash, false FROM old"
    )
    number = conn.execute("SELECT max(publication_id) FROM ops.publication").fetchone()
    assert number is not None
    conn.execute("UPDATE ops.publication SET is_current = true WHERE publication_id = %s", number)
    assert rows(conn) == {}
    catalogue.repeat(conn, number[0], "build_a")
    assert rows(conn) == before

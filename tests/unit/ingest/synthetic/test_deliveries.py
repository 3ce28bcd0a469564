"""Synthetic deliveries: the same seed gives the same bytes, manifests tell the truth, contracts decide the columns."""

import csv
import hashlib
import importlib
import json
import resource
import shutil
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from ingest import synthetic
from ingest.contracts import ROOT, Contracts, Kind, header_key, load
from ingest.errors import RowCode, WarehouseError
from ingest.synthetic.faults import faults
from warehouse.build import dbt_sources

SMALL: dict[str, Any] = {
    "members": 240,
    "settlements": 600,
    "provinces": ("350000", "440000"),
    "months": ("2026-07", "2026-08"),
}


@pytest.fixture(scope="module")
def inbox(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("inbox")
    synthetic.generate(out, seed=3, **SMALL)
    return out


@pytest.fixture(scope="module")
def tidy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tidy")
    synthetic.generate(out, dirty=False, formats=("csv",), **SMALL)
    return out


def contents(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}


def packages(out: Path) -> dict[str, tuple[dict, dict[str, bytes]]]:
    """Manifest and files of every finished package."""
    found = {}
    for path in sorted(out.iterdir()):
        if path.is_dir() and (path / "datapackage.json").exists():
            files = {file.name: file.read_bytes() for file in path.iterdir()}
        elif zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                files = {name: archive.read(name) for name in archive.namelist()}
        else:
            continue
        found[path.name.removesuffix(".zip")] = (json.loads(files.pop("datapackage.json")), files)
    return found


def test_the_same_seed_gives_the_same_bytes(inbox: Path, tmp_path: Path) -> None:
    synthetic.generate(tmp_path / "again", seed=3, **SMALL)
    assert contents(tmp_path / "again") == contents(inbox)


def test_another_seed_gives_other_persons(inbox: Path, tmp_path: Path) -> None:
    synthetic.generate(tmp_path / "other", seed=4, **SMALL)
    same = contents(tmp_path / "other").items() & contents(inbox).items()
    assert {path for path, _ in same} <= {"fault-archive.zip"}


def test_manifests_tell_the_truth(inbox: Path) -> None:
    algorithms = Counter()
    for name, (manifest, files) in packages(inbox).items():
        if name.startswith("fault-"):
            continue
        assert {described["path"] for described in manifest["resources"]} == files.keys()
        for described in manifest["resources"]:
            algorithm, _, value = described["hash"].partition(":")
            algorithms[algorithm] += 1
            assert hashlib.new(algorithm, files[described["path"]]).hexdigest() == value
            assert described["bytes"] == len(files[described["path"]])
    assert set(algorithms) == {"sha256", "sm3"}


def test_every_source_province_and_month_is_told(inbox: Path) -> None:
    told = {(manifest["source"], manifest["sender"], manifest["period"]) for manifest, _ in packages(inbox).values()}
    assert told >= {
        (source, province, month)
        for source in load().sources
        for province in SMALL["provinces"]
        for month in SMALL["months"]
    }


def test_senders_differ_in_format_encoding_and_header(inbox: Path) -> None:
    described = [one for manifest, _ in packages(inbox).values() for one in manifest["resources"]]
    assert {Path(one["path"]).suffix for one in described} == {".csv", ".txt", ".xlsx", ".parquet"}
    assert {one.get("encoding", "utf-8") for one in described} >= {"utf-8", "gb18030", "utf-16"}
    dialects = {key for one in described for key in one.get("dialect", {})}
    assert dialects >= {"delimiter", "header"}
    assert {manifest["mode"] for manifest, _ in packages(inbox).values()} == {"snapshot", "delta"}


def test_packages_that_go_wrong(inbox: Path) -> None:
    names = {path.name for path in inbox.iterdir()}
    assert names >= {"fault-archive.zip", "fault-hash", "fault-header", "fault-path", "again", "again-copy"}
    assert not (inbox / "unfinished-folder" / "datapackage.json").exists()
    assert any(name.startswith("membership-350000-2026-08.early") for name in names)


def test_tidy_senders_write_plain_files(tidy: Path) -> None:
    assert not list(tidy.glob("fault-*"))
    for manifest, files in packages(tidy).values():
        for described in manifest["resources"]:
            feed = load().feeds[manifest["source"], described.get("feed", described["name"])]
            frame = pl.read_csv(files[described["path"]], infer_schema=False)
            assert frame.columns == [column.name for column in feed.columns]
            assert frame.height == described["rows"]
            for column in feed.columns:
                if column.required:
                    assert not (frame[column.name] == "").any(), column.name


def test_persons_are_shared_between_sources_and_provinces(tidy: Path) -> None:
    numbers: dict[str, dict[str, set[str]]] = {}
    for manifest, files in packages(tidy).values():
        for described in manifest["resources"]:
            frame = pl.read_csv(files[described["path"]], infer_schema=False)
            if "certno" in frame.columns:
                seen = numbers.setdefault(manifest["source"], {}).setdefault(manifest["sender"], set())
                seen.update(frame["certno"])
    everyone = {source: set().union(*senders.values()) for source, senders in numbers.items()}
    assert len(everyone["membership"] & everyone["medical"] & everyone["training"]) > 20
    here, there = numbers["membership"].values()
    assert 3 < len(here & there) < len(here) / 4  # on two registers


def test_whoever_tells_rows_tells_those_of_a_feed() -> None:
    for source in load().sources:
        told = importlib.import_module(f"ingest.synthetic.{source}").ROW_MAKERS
        assert set(told) == {feed.name for feed in load().of_source(source)}, source


def test_feeds_of_different_sources_speak_of_the_same_things(tidy: Path) -> None:
    told: dict[str, dict[str, set[str]]] = {}
    for manifest, files in packages(tidy).values():
        for described in manifest["resources"]:
            columns = told.setdefault(f"{manifest['source']}.{described.get('feed', described['name'])}", {})
            for column in pl.read_csv(files[described["path"]], infer_schema=False):
                columns.setdefault(column.name, set()).update(set(column.drop_nulls()) - {""})
    with (dbt_sources.PROJECT / "seeds" / "mutual_aid_scheme.csv").open(encoding="utf-8") as file:
        schemes = {row["scheme_code"] for row in csv.DictReader(file)}
    unions, employers = (told["membership.organisation"][name] for name in ("org_code", "employer_uscc"))
    for feed, columns in told.items():
        assert columns.get("org_code", set()) <= unions, feed
        if not feed.startswith(("membership", "training", "medical")):
            assert columns.get("employer_uscc", set()) <= employers, feed
            assert columns.get("certno", set()) <= told["membership.member"]["certno"], feed
    assert told["rights.contract_unit"]["contract_no"] <= told["rights.collective_contract"]["contract_no"]
    assert told["honours.honour"]["contest_no"] <= told["honours.contest"]["contest_no"]
    assert told["services.service_record"]["scheme_code"] == schemes
    chain = ["training.certificate", "employment.employment_spell", "employment.social_insurance_month"]
    assert len(set.intersection(*(told[feed]["certno"] for feed in chain))) > 20


@pytest.mark.parametrize("feed", load().feeds.values(), ids=lambda feed: feed.table)
def test_a_full_turn_of_faults_covers_what_the_contract_forbids(feed) -> None:
    found = {fault.code for fault in faults(feed)}
    assert found >= {RowCode.REQUIRED, RowCode.TYPE, RowCode.KEY_DUPLICATE, RowCode.REPEAT, RowCode.COLUMNS}
    assert (RowCode.ID in found) == (RowCode.SCI in found) == feed.has_person
    assert (RowCode.SUM in found) == any(rule.hard for rule in feed.sums)
    assert (RowCode.ORDER in found) == bool(feed.orders)
    first = [fault.code for fault in faults(feed)][: len(found)]
    assert set(first) == found  # one of each code before any second one


def test_every_rejecting_code_has_a_fault_in_some_feed() -> None:
    possible = {fault.code for feed in load().feeds.values() for fault in faults(feed)}
    assert possible == {code for code in RowCode if code.startswith("E_")}


def test_a_column_added_to_a_contract_is_written(tmp_path: Path) -> None:
    contracts = _changed(tmp_path, "training/certificate.yaml", "      - name: status\n", _MORE)
    synthetic.generate(tmp_path / "out", dirty=False, formats=("csv",), contracts=contracts, **SMALL)
    manifest, files = packages(tmp_path / "out")["training-350000-2026-07"]
    (path,) = [one["path"] for one in manifest["resources"] if one["name"] == "certificate"]
    frame = pl.read_csv(files[path], infer_schema=False)
    assert frame.columns[-2:] == ["trade_union_honour", "status"]
    assert set(frame["trade_union_honour"]) == {"0", "1", ""}


def test_a_ninth_feed_is_written_of_persons_drawn_at_random(tmp_path: Path) -> None:
    root = Path(shutil.copytree(ROOT, tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__")))
    text = (root / "training/certificate.yaml").read_text("utf-8").replace("certificate\n", "contest\n")
    for told in ("certificate.number", "certificate.level", "certificate.issued", "certificate.issuer"):
        text = text.replace(f"          - {{property: sample, value: {told}}}\n", "")
    for told in ("occupation.code", "occupation.name"):
        text = text.replace(f"          - {{property: sample, value: {told}}}\n", "")
    (root / "training/contest.yaml").write_text(text, "utf-8")
    synthetic.generate(tmp_path / "out", dirty=False, formats=("csv",), contracts=load(root), **SMALL)
    manifest, files = packages(tmp_path / "out")["training-350000-2026-07"]
    (path,) = [one["path"] for one in manifest["resources"] if one["name"] == "contest"]
    frame = pl.read_csv(files[path], infer_schema=False)
    assert frame.height >= 10
    assert not (frame["certno"] == "").any()


def test_what_lies_there_is_not_overwritten(inbox: Path) -> None:
    before = contents(inbox)
    with pytest.raises(WarehouseError, match="already"):
        synthetic.generate(inbox, seed=3, **SMALL)
    assert contents(inbox) == before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"months": ("2026-07", "2026-09")}, "without gaps"),
        ({"months": ("2026-7x",)}, "YYYY-MM"),
        ({"months": ()}, "at least one month"),
        ({"months": ("1999-12",)}, "between 2000-01 and 2089-12"),
        ({"months": ("9999-12",)}, "between 2000-01 and 2089-12"),
        ({"provinces": ()}, "at least one province is needed: there are 110000, 120000"),
        ({"provinces": ("35",)}, "no province has the code '35'"),
        ({"provinces": ("350000", "999999", "")}, "no province has the code '999999', '': there are 110000, 120000"),
        ({"provinces": ("350000", "350000")}, "twice"),
        ({"members": 0}, "at least one person"),
        ({"settlements": -1}, "0 or positive"),
        ({"formats": ("docx",)}, "no sender writes 'docx': formats are csv, txt"),
        ({"formats": ()}, "at least one format"),
    ],
)
def test_wrong_arguments_are_explained(tmp_path: Path, wrong: dict, message: str) -> None:
    with pytest.raises(WarehouseError, match=message):
        synthetic.generate(tmp_path / "out", **{**SMALL, **wrong})
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_settlement_file(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "settlement.csv"
    columns = synthetic.settlement_file(path, 25_000, 5_000, encoding=encoding)
    feed = load().feeds["medical", "settlement"]
    assert len(columns) == 26
    assert {column.name for column in feed.columns if column.required} <= set(columns)
    lines = path.read_bytes().decode(encoding).splitlines()
    assert lines[0].split(",") == columns
    frame = pl.read_csv(("\n".join(lines) + "\n").encode(), infer_schema=False)
    assert frame.height == 25_000
    (key,) = feed.keys
    assert frame[key.name].is_unique().all()
    assert len({header_key(name) for name in columns} & feed.headers.keys()) == 26
    person = feed.first(Kind.CERTNO)
    assert person is not None
    assert 4_000 < frame[person.name].n_unique() <= 5_000


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    synthetic.settlement_file(tmp_path / "few.csv", 40_000, 5_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    synthetic.settlement_file(tmp_path / "many.csv", 140_000, 5_000)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 20 * 1024  # KiB; 100,000 rows more are 25 MB of text


_MORE = """      - name: trade_union_honour
        businessName: 工会荣誉
        description: Whether the union honoured the holder.
        logicalType: boolean
        physicalType: boolean
        classification: internal
        customProperties:
          - {property: kind, value: flag}
          - {property: descriptionZh, value: 是否受工会表彰。}
      - name: status
"""


def _changed(tmp_path: Path, place: str, old: str, new: str) -> Contracts:
    root = Path(shutil.copytree(ROOT, tmp_path / "contracts", ignore=shutil.ignore_patterns("*.py", "__pycache__")))
    path = root / place
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    return load(root)

"""The check step: the rules of a package, and the code for each violation."""

import copy
import datetime as dt
import hashlib
import json
import operator
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.contracts.model import Column, Contracts, Feed, Kind
from ingest.delivery import manifest as manifests
from ingest.delivery.integrity import Checked, CheckRefused, check, content_hash, describe
from ingest.errors import DeliveryRefused
from ingest.settings import Settings

NOW = dt.datetime(2026, 10, 4, tzinfo=dt.UTC)
COLUMNS = (Column("code", "编码", Kind.IDENTIFIER, required=True, key=True),)


def feed(source: str, name: str, *, required: bool = False, versions: tuple[int, ...] = (1,)) -> Feed:
    return Feed(source, name, name, "register", versions, COLUMNS, required_in_snapshot=required)


CONTRACTS = Contracts(
    feeds={
        ("membership", "member"): feed("membership", "member", required=True),
        ("membership", "organisation"): feed("membership", "organisation", versions=(1, 2)),
        ("medical", "person"): feed("medical", "person"),
    },
    code_lists={},
)
DATA = {"member.csv": b"code\nM1\n", "organisation.txt": "code\n组\n".encode("gb18030")}


def manifest() -> dict[str, Any]:
    return {
        "name": "membership-440000-2026-09",
        "created": "2026-10-03T08:15:00+08:00",
        "source": "membership",
        "sender": "440000",
        "period": "2026-09",
        "mode": "snapshot",
        "contract_version": "1.0.0",
        "resources": [
            {
                "name": "member",
                "path": "member.csv",
                "bytes": len(DATA["member.csv"]),
                "rows": 1,
                "hash": f"sha256:{hashlib.sha256(DATA['member.csv']).hexdigest()}",
            },
            {
                "name": "organisation-1",
                "feed": "organisation",
                "path": "organisation.txt",
                "encoding": "gbk",
                "hash": f"sm3:{hashlib.new('sm3', DATA['organisation.txt']).hexdigest().upper()}",
            },
        ],
    }


def folder(root: Path, properties: Any, files: dict[str, bytes] = DATA) -> Path:
    package = root / "a-package"
    package.mkdir(exist_ok=True)
    for name, content in files.items():
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).write_bytes(content)
    text = properties if isinstance(properties, bytes) else json.dumps(properties).encode()
    (package / "datapackage.json").write_bytes(text)
    return package


def zipped(root: Path, entries: dict[str, bytes] | list[tuple[str | zipfile.ZipInfo, bytes]]) -> Path:
    package = root / "a-package.zip"
    with zipfile.ZipFile(package, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items() if isinstance(entries, dict) else entries:
            archive.writestr(name, content)
    return package


def check_package(package: Path, tmp_path: Path, limits: Settings | None = None) -> Checked:
    workdir = tmp_path / "work"
    workdir.mkdir(exist_ok=True)
    return check(package, package.is_file(), workdir, CONTRACTS, limits or Settings(home=tmp_path), NOW)


def codes(package: Path, tmp_path: Path, limits: Settings | None = None) -> list[str]:
    """The codes of the check step; empty when the package is accepted."""
    try:
        check_package(package, tmp_path, limits)
    except DeliveryRefused as refused:
        found = refused
    else:
        return []
    assert found.findings, "a refusal says why"
    assert all(len(finding.message) > 20 for finding in found.findings)
    return found.codes


# --- what passes -------------------------------------------------------------------------------------------------


def test_a_folder_that_keeps_the_rules(tmp_path: Path) -> None:
    checked = check_package(folder(tmp_path, manifest()), tmp_path)
    summary = checked.manifest
    assert (summary.name, summary.source, summary.sender, summary.period, summary.mode) == (
        "membership-440000-2026-09", "membership", "440000", "2026-09", "snapshot",
    )  # fmt: skip
    assert summary.month == dt.date(2026, 9, 1)
    assert summary.created_date == dt.date(2026, 10, 3)
    assert summary.created == dt.datetime(2026, 10, 3, 0, 15, tzinfo=dt.UTC)
    member, organisation = summary.resources
    assert (member.feed, member.format, member.encoding, member.dialect.delimiter) == ("member", "csv", "utf-8", ",")
    assert (organisation.feed, organisation.format, organisation.encoding) == ("organisation", "txt", "gb18030")
    assert organisation.dialect.delimiter == "\t"
    assert organisation.index == 1
    assert {path: package.read_bytes() for path, package in checked.files.items()} == DATA
    assert checked.sizes == {path: len(content) for path, content in DATA.items()}


def test_a_zip_is_the_folder_it_holds(tmp_path: Path) -> None:
    of_folder = check_package(folder(tmp_path, manifest()), tmp_path)
    for prefix in ("", "inside/"):
        entries = {f"{prefix}{name}": content for name, content in DATA.items()}
        # key order, blanks and unlisted files are no content
        text = json.dumps(dict(reversed(manifest().items())), indent=3).encode()
        package = zipped(tmp_path, {**entries, f"{prefix}datapackage.json": text, f"{prefix}readme.md": b"x"})
        of_zip = check_package(package, tmp_path)
        assert of_zip.content_hash == of_folder.content_hash
        assert {path: file.read_bytes() for path, file in of_zip.files.items()} == DATA


def test_content_is_manifest_and_listed_files(tmp_path: Path) -> None:
    before = check_package(folder(tmp_path, manifest()), tmp_path).content_hash
    (tmp_path / "a-package" / "unlisted.csv").write_bytes(b"x")
    assert check_package(tmp_path / "a-package", tmp_path).content_hash == before
    other = manifest() | {"title": "other"}
    assert check_package(folder(tmp_path, other), tmp_path).content_hash != before
    assert content_hash({}, {"a": "1"}) != content_hash({}, {"a": "2"})


@pytest.mark.parametrize("names", ["gb18030", "utf-8"])
def test_zip_with_chinese_names_without_the_flag(tmp_path: Path, names: str) -> None:
    properties = manifest()
    properties["resources"][0]["path"] = "会员/名单.csv"
    package = zipped(
        tmp_path,
        [("包X/datapackage.json", json.dumps(properties).encode()), ("包X/会员/名单.csv", DATA["member.csv"]),
         ("包X/organisation.txt", DATA["organisation.txt"])],
    )  # fmt: skip
    # the same archive as a Chinese Windows writes it: the names' bytes in GBK, no flag
    rewritten = tmp_path / "windows.zip"
    with zipfile.ZipFile(rewritten, "w") as target, zipfile.ZipFile(package) as archive:
        stand_ins = {chr(65 + i) * len(name.encode(names)): name for i, name in enumerate(archive.namelist())}
        for stand_in, name in stand_ins.items():
            target.writestr(zipfile.ZipInfo(stand_in), archive.read(name))
    data = rewritten.read_bytes()
    for stand_in, name in stand_ins.items():
        data = data.replace(stand_in.encode(), name.encode(names))
    rewritten.write_bytes(data)
    with zipfile.ZipFile(rewritten) as archive:
        assert not any(entry.flag_bits & 0x800 for entry in archive.infolist())
    assert check_package(rewritten, tmp_path).manifest.resources[0].path == "会员/名单.csv"


# --- the manifest's rules ----------------------------------------------------------------------------------------

Change = Callable[[dict[str, Any]], Any]


def setting(key: str, value: Any) -> Change:
    return lambda properties: properties.__setitem__(key, value)


def resource(key: str, value: Any) -> Change:
    return lambda properties: properties["resources"][0].__setitem__(key, value)


def dialect(**values: Any) -> Change:
    return lambda properties: properties["resources"][0].__setitem__("dialect", values)


def test_entries_of_a_zip_that_begin_with_a_dot(tmp_path: Path) -> None:
    files = {"datapackage.json": json.dumps(manifest()).encode(), **DATA}
    for start in ("./", "././", "folder/"):
        entries = [("./", b""), *((start + name, content) for name, content in files.items())]
        assert codes(zipped(tmp_path, entries), tmp_path) == []
    for wrong in (".//x", "./../x", "a/./b"):
        assert codes(zipped(tmp_path, [*files.items(), (wrong, b"")]), tmp_path) == ["D_PATH"]


BROKEN: dict[str, Change] = {
    **{f"without {key}": operator.methodcaller("pop", key) for key in manifest()},
    **{f"null {key}": setting(key, None) for key in manifest()},
    **{f"number for {key}": setting(key, 440000) for key in manifest()},
    "name with upper case": setting("name", "Membership"),
    "name with a line end": setting("name", "membership\n"),
    "name too long": setting("name", "a" * 129),
    "name with a slash": setting("name", "a/b"),
    "created without offset": setting("created", "2026-10-03T08:15:00"),
    "created a date": setting("created", "2026-10-03"),
    "created no day": setting("created", "2026-02-30T08:15:00Z"),
    "created with words": setting("created", "now"),
    "created two days ahead": setting("created", "2026-10-06T08:15:00Z"),
    "created out of all calendars": setting("created", "0001-01-01T00:00:00+23:00"),
    "unknown source": setting("source", "payroll"),
    "sender the country": setting("sender", "100000"),
    "sender of five": setting("sender", "44000"),
    "sender in full width": setting("sender", "４４００００"),
    "period no month": setting("period", "2026-13"),
    "period with a day": setting("period", "2026-09-01"),
    "period after created": setting("period", "2026-11"),
    "period in year 0": setting("period", "0000-01"),
    "mode unknown": setting("mode", "full"),
    "version of two numbers": setting("contract_version", "1.0"),
    "version with a letter": setting("contract_version", "v1.0.0"),
    "version with a leading zero": setting("contract_version", "01.0.0"),
    "no resources": setting("resources", []),
    "resources an object": setting("resources", {"0": {}}),
    "resource a text": setting("resources", ["member.csv"]),
    "no hash": lambda properties: properties["resources"][0].pop("hash"),
    "hash without its kind": resource("hash", "a" * 64),
    "hash md5": resource("hash", "md5:" + "a" * 32),
    "hash too short": resource("hash", "sha256:abc"),
    "no path": lambda properties: properties["resources"][0].pop("path"),
    "path a list": resource("path", ["member.csv"]),
    "data inline": lambda properties: properties["resources"].append(
        {"name": "x", "data": [], "hash": "sm3:" + "0" * 64}
    ),
    "no resource name": lambda properties: properties["resources"][0].pop("name"),
    "names doubled": resource("name", "organisation-1"),
    "bytes a text": resource("bytes", "8"),
    "bytes a fraction": resource("bytes", 8.5),
    "bytes true": resource("bytes", True),
    "bytes negative": resource("bytes", -1),
    "rows a text": resource("rows", "1"),
    "unit unknown": resource("amount_unit", "fen"),
    "encoding unknown": resource("encoding", "big5"),
    "format unknown": resource("format", "pdf"),
    "dialect a text": resource("dialect", "dialect.json"),
    "delimiter of two": dialect(delimiter="||"),
    "delimiter empty": dialect(delimiter=""),
    "delimiter a line end": dialect(delimiter="\n"),
    "delimiter and quote alike": dialect(delimiter='"'),
    "header a text": dialect(header="no"),
    "header rows from zero": dialect(headerRows=[0]),
    "header rows a number": dialect(headerRows=2),
    "escape character": dialect(escapeChar="\\"),
    "quotes not doubled": dialect(doubleQuote=False),
    "comments": dialect(commentChar="#"),
    "blanks skipped": dialect(skipInitialSpace=True),
    "a text for null": dialect(nullSequence="NA"),
    "sheet in the dialect": dialect(sheetName="Sheet1"),
    "another sheet": dialect(sheetNumber=2),
    "lines that end otherwise": dialect(lineTerminator="|"),
    "dialect misspelt": dialect(delimeter=";"),
    "sheet a number": resource("sheet", 1),
    "feed a number": resource("feed", 1),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_rule_of_the_manifest(tmp_path: Path, change: Change) -> None:
    properties = manifest()
    change(properties)
    assert "D_MANIFEST" in codes(folder(tmp_path, properties), tmp_path)


FINE: dict[str, Change] = {
    "created with Z": setting("created", "2026-10-03T08:15:00Z"),
    "created with fraction": setting("created", "2026-10-03T08:15:00.123+08:00"),
    "created in basic form": setting("created", "20261003T081500+0800"),
    "created less than a day ahead": setting("created", "2026-10-05T00:00:00Z"),
    "period of created": setting("period", "2026-10"),
    "version before release": setting("contract_version", "1.2.3-rc.1+build"),
    "the shortest name": setting("name", "0"),
    "properties of the standard": setting("licenses", [{"name": "CC0-1.0"}]),
    "properties of nobody": setting("x-remark", {"a": [1, None]}),
    "encoding in upper case": resource("encoding", "UTF-8"),
    "dialect": dialect(delimiter="|", quoteChar="'", header=True, headerRows=[2], lineTerminator="\n"),
    "dialect of defaults": dialect(skipInitialSpace=False, commentRows=[], escapeChar=None, sheetNumber=1, title="t"),
    "dialect of an older program": dialect(csvddfVersion=1.2, caseSensitiveHeader=False, delimiter=","),
    "schema of the standard": resource("schema", {"fields": [{"name": "code", "type": "string"}]}),
    "schema without types": resource("schema", {"fields": [{"name": "e"}], "fieldsMatch": ["subset"]}),
    "schema with categories": resource(
        "schema", {"fields": [{"name": "g", "type": "integer", "categories": [{"value": 1, "label": "x"}]}]}
    ),
    "no licences": lambda properties: properties["resources"][0].update(sources=None, licenses=None, contributors=None),
    "odd shapes of what nobody reads": lambda properties: properties.update(
        keywords=None, version=1.0, image=7, title=[]
    ),
    "odd shapes in a resource": lambda properties: properties["resources"][0].update(title=5, mediatype=None, data=1),
    "no licences at all": lambda properties: properties.update(sources=None, licenses=None, contributors=None),
}


@pytest.mark.parametrize("change", FINE.values(), ids=FINE.keys())
def test_what_the_rules_allow(tmp_path: Path, change: Change) -> None:
    properties = manifest()
    change(properties)
    assert codes(folder(tmp_path, properties), tmp_path) == []


def test_the_ending_of_a_file_names_its_format(tmp_path: Path) -> None:
    properties = manifest()
    properties["resources"][0] |= {"path": "member.dat"}
    files = {**DATA, "member.dat": DATA["member.csv"]}
    assert codes(folder(tmp_path, properties, files), tmp_path) == ["D_MANIFEST"]
    properties["resources"][0] |= {"format": "csv"}
    assert codes(folder(tmp_path, properties, files), tmp_path) == []


def test_period_is_compared_with_created_as_written(tmp_path: Path) -> None:
    properties = manifest() | {"created": "2026-10-01T05:00:00+08:00", "period": "2026-10"}
    assert codes(folder(tmp_path, properties), tmp_path) == []  # in UTC it is still September


@pytest.mark.parametrize(
    "text",
    [
        b"", b"[]", b"12", b"null", b'"text"', b"{", b"{]", b"\xff\xfe", b'{"name": 1, "name": 2}', b'{"a": NaN}',
        b'{"a": 1e999}', b'{"a": "\\u0000"}', b'{"a": "\\ud800"}', b"[" * 100_000, b'{"a":' * 60 + b"1" + b"}" * 60,
        b'{"a": ' + b"9" * 5000 + b"}", b" " * (manifests.MANIFEST_BYTES + 1),
    ],
    ids=range(17),
)  # fmt: skip
def test_a_manifest_that_is_none(tmp_path: Path, text: bytes) -> None:
    package = folder(tmp_path, text)
    assert codes(package, tmp_path) == ["D_MANIFEST"]
    assert describe(package, False)["name"] == "a-package"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda value: st.lists(value, max_size=4) | st.dictionaries(st.text(max_size=5), value, max_size=4),
    max_leaves=10,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_shape_of_a_manifest_ends_in_a_trace(tmp_path: Path, data: st.DataObject) -> None:
    properties = manifest()
    for _ in range(data.draw(st.integers(1, 3))):
        package: Any = properties
        while True:
            keys = list(package) if isinstance(package, dict) else list(range(len(package)))
            extra = [
                "dialect",
                "schema",
                "licenses",
                "sources",
                "headerRows",
                "fields",
                "contributors",
                "url",
                "profile",
            ]
            key = data.draw(st.sampled_from(keys + extra if isinstance(package, dict) else keys or [0]))
            value = package[key] if key in keys else None
            if not (isinstance(value, (dict, list)) and value) or data.draw(st.booleans()):
                break
            package = value
        if isinstance(package, dict) or package:
            package[key] = data.draw(JSON)
    codes(folder(tmp_path, properties), tmp_path)
    describe(tmp_path / "a-package", False)


def test_messages_say_what_to_do(tmp_path: Path) -> None:
    properties = manifest() | {"mode": "full", "created": "today"}
    properties["resources"][1].pop("hash")
    with pytest.raises(DeliveryRefused) as refused:
        check_package(folder(tmp_path, properties), tmp_path)
    text = str(refused.value)
    assert "snapshot or delta" in text
    assert "resources.1.hash is missing" in text
    assert "sm3:" in text


# --- paths, presence, hashes -------------------------------------------------------------------------------------

PATHS = [
    "/etc/passwd", "../x.csv", "a/../../x.csv", "a/./b.csv", "./member.csv", "a//b.csv", "https://example.invalid/x.csv",
    "file:///etc/passwd", "C:\\x.csv", "c:/x.csv", "a\\b.csv", "~/x.csv", "a\nb.csv", "a/", "..", "x" * 300 + ".csv",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_unsafe_paths(tmp_path: Path, path: str) -> None:
    properties = manifest()
    properties["resources"][0] |= {"path": path, "format": "csv"}
    assert codes(folder(tmp_path, properties), tmp_path) == ["D_PATH"]


def test_a_path_may_have_dots_blanks_and_chinese() -> None:
    for path in ("a..b.csv", ".hidden.csv", "会员 9月.csv", "a/b/c.csv", "-.csv"):
        assert manifests.unsafe_path(path) is None


@pytest.mark.parametrize("where", ["file", "folder", "manifest"])
def test_links_refuse(tmp_path: Path, where: str) -> None:
    properties = manifest()
    package = folder(tmp_path, properties)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    if where == "folder":
        properties["resources"][0] |= {"path": "data/member.csv"}
        folder(tmp_path, properties)
        (elsewhere / "member.csv").write_bytes(DATA["member.csv"])
        (package / "data").symlink_to(elsewhere)
    else:
        name = "member.csv" if where == "file" else "datapackage.json"
        (package / name).rename(elsewhere / name)
        (package / name).symlink_to(elsewhere / name)
    assert codes(package, tmp_path) == ["D_PATH"]


def test_all_missing_and_changed_files_are_reported(tmp_path: Path) -> None:
    properties = manifest()
    properties["resources"][0]["bytes"] = 5
    package = folder(tmp_path, properties, {**DATA, "organisation.txt": b"code\nother\n"})
    assert codes(package, tmp_path) == ["D_BYTES", "D_HASH"]
    (package / "member.csv").unlink()
    assert codes(package, tmp_path) == ["D_HASH", "D_MISSING_FILE"]
    properties["mode"] = "full"
    assert codes(folder(tmp_path, properties, {}), tmp_path) == ["D_HASH", "D_MANIFEST", "D_MISSING_FILE"]


def test_a_wrong_sm3_refuses(tmp_path: Path) -> None:
    properties = manifest()
    properties["resources"][1]["hash"] = "sm3:" + "0" * 64
    assert codes(folder(tmp_path, properties), tmp_path) == ["D_HASH"]


# --- feeds and versions ------------------------------------------------------------------------------------------


def test_feeds_and_versions(tmp_path: Path) -> None:
    properties = manifest()
    properties["resources"].append(properties["resources"][0] | {"name": "salary"})
    assert codes(folder(tmp_path, properties), tmp_path) == ["D_FEED"]
    assert codes(folder(tmp_path, manifest() | {"contract_version": "2.0.0"}), tmp_path) == ["D_VERSION"]
    properties = manifest() | {"contract_version": "2.0.0", "mode": "delta"}
    properties["resources"].pop(0)
    assert codes(folder(tmp_path, properties), tmp_path) == [], "each feed's contract has its own versions"


def test_a_snapshot_without_a_required_feed_is_empty(tmp_path: Path) -> None:
    properties = manifest()
    properties["resources"].pop(0)
    assert codes(folder(tmp_path, properties), tmp_path) == ["D_EMPTY"]
    assert codes(folder(tmp_path, properties | {"mode": "delta"}), tmp_path) == []


def test_a_complete_package_that_is_refused_has_a_content(tmp_path: Path) -> None:
    with pytest.raises(CheckRefused) as refused:
        check_package(folder(tmp_path, manifest() | {"contract_version": "9.0.0"}), tmp_path)
    assert refused.value.checked is not None
    assert refused.value.checked.content_hash
    properties = copy.deepcopy(manifest())
    properties["resources"][0]["bytes"] = 1
    with pytest.raises(CheckRefused) as refused:
        check_package(folder(tmp_path, properties), tmp_path)
    assert refused.value.checked is None, "a damaged package does not take its name"


# --- the summary of a refused package -------------------------------------------------------------------


def test_describe_returns_what_can_be_read(tmp_path: Path) -> None:
    package = folder(tmp_path, manifest() | {"mode": "full", "sender": 44, "created": "2026-10-03T08:15:00+08:00"})
    summary = describe(package, False)
    assert (summary["name"], summary["mode"], summary["sender"]) == ("membership-440000-2026-09", "full", None)
    assert summary["created_at"] == dt.datetime(2026, 10, 3, 0, 15, tzinfo=dt.UTC)
    package = folder(tmp_path, manifest() | {"name": "Not A Name"})
    assert describe(package, False)["name"] == "a-package"


def test_describe_names_a_broken_zip_by_its_file(tmp_path: Path) -> None:
    package = tmp_path / "some.thing.zip"
    package.write_bytes(b"PK\x03\x04 nothing")
    assert describe(package, True)["name"] == "some.thing"
    assert describe(package, True)["sender"] is None


def test_parse_manifest_keeps_what_was_written() -> None:
    assert manifests.parse('\ufeff{"a": [1, 2.5, "文"]}'.encode()) == {"a": [1, 2.5, "文"]}

"""A manifest made for bare files is one that loads."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest import contracts
from ingest.contracts import Feed
from ingest.delivery import integrity
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse.cli.packing import pack

CONTRACTS = contracts.load()
PROPERTIES = {"source": "training", "sender": "440000", "period": "2026-08", "mode": "delta"}


def feed(name: str) -> Feed:
    return CONTRACTS.feeds["training", name]


def write(path: Path, feed: Feed, *, delimiter: str = ",", encoding: str = "utf-8", labels: bool = False) -> Path:
    header = delimiter.join(column.label if labels else column.name for column in feed.columns)
    path.write_bytes(f"{header}\n{delimiter * (len(feed.columns) - 1)}\n".encode(encoding))
    return path


def check(folder: Path, settings: Settings, tmp_path: Path) -> integrity.Checked:
    return integrity.check(folder, False, tmp_path, CONTRACTS, settings, datetime.now(UTC))


def test_a_folder_of_untidy_files(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "received"
    folder.mkdir()
    write(folder / "a.csv", feed("enrolment"), labels=True, encoding="gb18030")
    write(folder / "证书.TXT", feed("certificate"), delimiter="\t", encoding="utf-16")
    write(folder / "c.csv", feed("fund"), delimiter=";")
    (folder / "readme.doc").write_text("not data")
    assert pack(folder, CONTRACTS, settings, **PROPERTIES) == folder
    checked = check(folder, settings, tmp_path / "work")
    assert checked.manifest.name == "training-440000-2026-08"
    found = {
        resource.path: (resource.feed, resource.encoding, resource.dialect.delimiter)
        for resource in checked.manifest.resources
    }
    assert found == {
        "a.csv": ("enrolment", "gb18030", ","),
        "证书.TXT": ("certificate", "utf-16", "\t"),
        "c.csv": ("fund", "utf-8", ";"),
    }


@pytest.mark.parametrize(
    ("encoding", "end"),
    [("utf-8", b""), ("gb18030", b""), ("utf-8", b"\xff")],  # a damaged character does not make it GB18030
)
def test_the_encoding_is_detected_behind_many_rows_of_ascii(
    tmp_path: Path, settings: Settings, encoding: str, end: bytes
) -> None:
    empty = "," * (len(feed("fund").columns) - 1)
    rows = [",".join(column.name for column in feed("fund").columns), *["1" + empty] * 20_000]
    rows += [f"工会经费{number}{empty}" for number in range(20_000)]
    file = tmp_path / "fund.csv"
    file.write_bytes("\n".join(rows).encode(encoding) + end)
    folder = pack(file, CONTRACTS, settings, **PROPERTIES)
    (resource,) = json.loads((folder / "datapackage.json").read_text())["resources"]
    assert resource["encoding"] == encoding


def test_a_bare_file_gets_a_folder_of_its_own(tmp_path: Path, settings: Settings) -> None:
    file = write(tmp_path / "fund.csv", feed("fund"))
    folder = pack(file, CONTRACTS, settings, **PROPERTIES, name="fund-again")
    assert folder == tmp_path / "fund-again"
    assert file.exists()
    assert check(folder, settings, tmp_path / "work").manifest.resources[0].feed == "fund"
    with pytest.raises(WarehouseError, match="exists already"):
        pack(file, CONTRACTS, settings, **PROPERTIES, name="fund-again")
    with pytest.raises(WarehouseError, match=r"has a datapackage\.json already"):
        pack(folder, CONTRACTS, settings, **PROPERTIES)


def test_a_header_of_no_feed_is_an_error(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "x.csv").write_text("colour,shape\nred,round\n")
    with pytest.raises(WarehouseError, match=r"header of x\.csv is not that of a feed of training"):
        pack(tmp_path / "x.csv", CONTRACTS, settings, **PROPERTIES)
    with pytest.raises(WarehouseError, match="no source"):
        pack(tmp_path / "x.csv", CONTRACTS, settings, **{**PROPERTIES, "source": "weather"})


def test_nothing_is_left_beside_the_manifest(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "received"
    folder.mkdir()
    write(folder / "a.csv", feed("enrolment"))
    pack(folder, CONTRACTS, settings, **PROPERTIES)
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "datapackage.json"]
    (resource,) = json.loads((folder / "datapackage.json").read_text())["resources"]
    assert resource["hash"].startswith("sha256:")
    assert resource["bytes"] == (folder / "a.csv").stat().st_size

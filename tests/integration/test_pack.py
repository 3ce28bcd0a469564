"""A manifest made for bare files is one that loads."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ingest import contracts, deliveries
from ingest.contracts import Feed
from ingest.errors import WarehouseError
from ingest.settings import Settings
from warehouse.pack import pack

KNOWN = contracts.load()
SAID = {"source": "training", "sender": "440000", "period": "2026-08", "mode": "delta"}


def feed(name: str) -> Feed:
    return KNOWN.feeds["training", name]


def write(path: Path, feed: Feed, *, delimiter: str = ",", encoding: str = "utf-8", labels: bool = False) -> Path:
    header = delimiter.join(column.label if labels else column.name for column in feed.columns)
    path.write_bytes(f"{header}\n{delimiter * (len(feed.columns) - 1)}\n".encode(encoding))
    return path


def check(folder: Path, settings: Settings, tmp_path: Path) -> deliveries.Checked:
    return deliveries.check(folder, False, tmp_path, KNOWN, settings, datetime.now(UTC))


def test_a_folder_of_untidy_files(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "came"
    folder.mkdir()
    write(folder / "a.csv", feed("enrolment"), labels=True, encoding="gb18030")
    write(folder / "证书.TXT", feed("certificate"), delimiter="\t", encoding="utf-16")
    write(folder / "c.csv", feed("fund"), delimiter=";")
    (folder / "readme.doc").write_text("not data")
    assert pack(folder, KNOWN, settings, **SAID) == folder
    checked = check(folder, settings, tmp_path / "work")
    assert checked.manifest.name == "training-440000-2026-08"
    found = {one.path: (one.feed, one.encoding, one.dialect.delimiter) for one in checked.manifest.resources}
    assert found == {
        "a.csv": ("enrolment", "gb18030", ","),
        "证书.TXT": ("certificate", "utf-16", "\t"),
        "c.csv": ("fund", "utf-8", ";"),
    }


def test_a_bare_file_gets_a_folder_of_its_own(tmp_path: Path, settings: Settings) -> None:
    file = write(tmp_path / "fund.csv", feed("fund"))
    folder = pack(file, KNOWN, settings, **SAID, name="fund-again")
    assert folder == tmp_path / "fund-again"
    assert file.exists()
    assert check(folder, settings, tmp_path / "work").manifest.resources[0].feed == "fund"
    with pytest.raises(WarehouseError, match="exists already"):
        pack(file, KNOWN, settings, **SAID, name="fund-again")
    with pytest.raises(WarehouseError, match=r"has a datapackage\.json already"):
        pack(folder, KNOWN, settings, **SAID)


def test_a_header_of_no_feed_is_told(tmp_path: Path, settings: Settings) -> None:
    (tmp_path / "x.csv").write_text("colour,shape\nred,round\n")
    with pytest.raises(WarehouseError, match=r"header of x\.csv is not that of a feed of training"):
        pack(tmp_path / "x.csv", KNOWN, settings, **SAID)
    with pytest.raises(WarehouseError, match="no source"):
        pack(tmp_path / "x.csv", KNOWN, settings, **{**SAID, "source": "weather"})


def test_nothing_is_left_beside_the_manifest(tmp_path: Path, settings: Settings) -> None:
    folder = tmp_path / "came"
    folder.mkdir()
    write(folder / "a.csv", feed("enrolment"))
    pack(folder, KNOWN, settings, **SAID)
    assert sorted(path.name for path in folder.iterdir()) == ["a.csv", "datapackage.json"]
    (resource,) = json.loads((folder / "datapackage.json").read_text())["resources"]
    assert resource["hash"].startswith("sha256:")
    assert resource["bytes"] == (folder / "a.csv").stat().st_size

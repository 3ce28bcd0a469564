"""A package that the warehouse itself adds to its inbox."""

import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest

from ingest.delivery.inbox import Inbox
from ingest.errors import WarehouseError


@pytest.fixture(params=["local", "remote"])
def inbox(request: pytest.FixtureRequest, tmp_path: Path) -> Inbox:
    if request.param == "local":
        (tmp_path / "inbox").mkdir()
        return Inbox(str(tmp_path / "inbox"))
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    memory.pseudo_dirs[:] = [""]
    return Inbox("memory://inbox")


@pytest.fixture
def package(tmp_path: Path) -> Path:
    folder = tmp_path / "t-1"
    folder.mkdir()
    (folder / "z.csv").write_text("a\n")
    (folder / "datapackage.json").write_text('{"name": "t-1", "resources": [{"path": "z.csv"}]}')
    return folder


def test_an_added_package_is_found_and_complete(inbox: Inbox, package: Path, tmp_path: Path) -> None:
    inbox.add(package)
    (found,) = inbox.scan()
    assert found.location == "t-1"
    assert inbox.names() == {"t-1"}
    folder = inbox.fetch(found, tmp_path / "work")
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        path.name: path.read_text() for path in package.iterdir()
    }


def test_the_manifest_comes_last(inbox: Inbox, package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    for owner, name in ((shutil, "copyfile"), (inbox.fs, "put_file")):
        original_copy = getattr(owner, name)

        def copy(source: object, target: object, original: Any = original_copy) -> None:
            copied.append(Path(str(source)).name)
            original(source, target)

        monkeypatch.setattr(owner, name, copy)
    inbox.add(package)
    assert copied == ["z.csv", "datapackage.json"]


def test_a_package_replaces_nothing(inbox: Inbox, package: Path) -> None:
    inbox.add(package)
    with pytest.raises(WarehouseError, match="The inbox has t-1 already"):
        inbox.add(package)

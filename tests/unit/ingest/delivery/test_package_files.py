"""Links, devices, unreadable files and damaged archives in an inbox are refused with a code."""

import codecs
import datetime as dt
import io
import os
import shutil
import socket
import stat
import struct
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from ingest import contracts
from ingest.delivery import inbox
from ingest.delivery.inbox import Inbox, Package
from ingest.delivery.integrity import check
from ingest.delivery.manifest import MANIFEST
from ingest.errors import DeliveryRefused, NotDecided
from ingest.settings import Settings
from tests.packages import enrolment, text, write

NOW = dt.datetime(2026, 10, 20, tzinfo=dt.UTC)
CONTRACTS = contracts.load()
ROWS = text([enrolment(number) for number in range(3)])
DEEP = "data/deep/enrolment.csv"
NOBODY = 65534

pytestmark = pytest.mark.timeout(60)  # opening a FIFO blocks for ever


@pytest.fixture
def root() -> Iterator[Path]:
    """An inbox that every user can read."""
    with TemporaryDirectory(prefix="inbox-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        try:
            yield Path(folder)
        finally:
            for found in [*Path(folder).iterdir(), *Path(folder).rglob("*")]:
                if found.is_dir() and not found.is_symlink():
                    found.chmod(0o755)


@contextmanager
def mere_user() -> Iterator[None]:
    """Run as a user without the right of root to read everything."""
    for encoding in ("utf-8-sig", "cp437"):
        codecs.lookup(encoding)
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def sound_package(root: Path, zipped: bool = False) -> Path:
    """A valid package whose file is two folders deep."""
    folder = write(root, "odd", {"enrolment": ROWS}, resources={"enrolment": {"path": DEEP}})
    (folder / DEEP).parent.mkdir(parents=True)
    (folder / "enrolment.csv").rename(folder / DEEP)
    if not zipped:
        return folder
    with zipfile.ZipFile(root / "odd.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in (DEEP, MANIFEST):
            archive.write(folder / path, path)
    shutil.rmtree(folder)
    return root / "odd.zip"


def check_codes(package: Package, inbox: Inbox) -> list[str]:
    with TemporaryDirectory() as workdir:
        local = inbox.fetch(package, Path(workdir))
        try:
            check(local, package.is_zip, Path(workdir), CONTRACTS, Settings(), NOW)
        except DeliveryRefused as refused:
            return refused.codes
    return []


def codes_by_name(root: Path) -> dict[str, list[str]]:
    """Codes of the packages of an inbox, by location, checked as a user that is not root."""
    with mere_user():
        box = Inbox(str(root))
        found = list(box.scan())
        for package in found:
            box.read_manifest(package)
        return {package.location: check_codes(package, box) for package in found}


def folder(target: Path) -> None:
    target.mkdir()


def fifo(target: Path) -> None:
    os.mkfifo(target)


def a_socket(target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(target.parent)  # an address has to be short
        try:
            listener.bind(target.name)
        finally:
            os.chdir(before)


def link(target: Path) -> None:
    target.symlink_to(Path(__file__))


def link_to_itself(target: Path) -> None:
    target.symlink_to(target)


def unreadable(target: Path) -> None:
    target.write_text("x")
    target.chmod(0)


def unreadable_folder(target: Path) -> None:
    target.mkdir(mode=0)


Kind = Callable[[Path], None]


def replaced(target: Path, kind: Kind) -> None:
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    kind(target)


def test_the_package_itself_is_sound(root: Path) -> None:
    sound_package(root)
    sound_package(root / "other", zipped=True).rename(root / "odd.zip")
    shutil.rmtree(root / "other")
    assert codes_by_name(root) == {"odd": [], "odd.zip": []}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (folder, "D_MANIFEST"),
        (fifo, "D_MANIFEST"),
        (a_socket, "D_MANIFEST"),
        (unreadable, "D_MANIFEST"),
        (unreadable_folder, "D_MANIFEST"),
        (link, "D_PATH"),
        (link_to_itself, "D_PATH"),
    ],
)
def test_other_files_instead_of_the_manifest(root: Path, kind: Kind, code: str) -> None:
    replaced(sound_package(root) / MANIFEST, kind)
    assert codes_by_name(root) == {"odd": [code]}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (folder, "D_PATH"),
        (fifo, "D_PATH"),
        (a_socket, "D_PATH"),
        (link, "D_PATH"),
        (link_to_itself, "D_PATH"),
        (unreadable, "D_MISSING_FILE"),
        (unreadable_folder, "D_PATH"),
    ],
)
def test_other_files_instead_of_a_file(root: Path, kind: Kind, code: str) -> None:
    replaced(sound_package(root) / DEEP, kind)
    assert codes_by_name(root) == {"odd": [code]}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (fifo, "D_MISSING_FILE"),
        (unreadable, "D_MISSING_FILE"),
        (unreadable_folder, "D_MISSING_FILE"),
        (link, "D_PATH"),
        (link_to_itself, "D_PATH"),
    ],
)
@pytest.mark.parametrize("path", ["data", "data/deep"])
def test_other_files_instead_of_a_parent_folder(root: Path, kind: Kind, code: str, path: str) -> None:
    replaced(sound_package(root) / path, kind)
    assert codes_by_name(root) == {"odd": [code]}


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (fifo, "D_ARCHIVE"),
        (a_socket, "D_ARCHIVE"),
        (unreadable, "D_ARCHIVE"),
        (link, "D_PATH"),
        (link_to_itself, "D_PATH"),
    ],
)
def test_other_files_instead_of_a_zip(root: Path, kind: Kind, code: str) -> None:
    replaced(sound_package(root, zipped=True), kind)
    assert codes_by_name(root) == {"odd.zip": [code]}


def test_other_files_instead_of_a_package(root: Path) -> None:
    """An unreadable folder may be a package; other kinds of files are ignored."""
    replaced(sound_package(root), unreadable_folder)
    for kind in (fifo, a_socket, link, unreadable):
        kind(root / kind.__name__)
    (root / "empty.zip").mkdir()
    assert codes_by_name(root) == {"odd": ["D_MANIFEST"]}


@pytest.mark.parametrize(("zipped", "path"), [(False, MANIFEST), (False, DEEP), (False, ""), (True, "")])
def test_a_package_that_becomes_readable_is_a_new_arrival(root: Path, zipped: bool, path: str) -> None:
    package = sound_package(root, zipped)
    hidden = package / path if path else package
    mode = stat.S_IMODE(hidden.stat().st_mode)
    with mere_user():
        before = next(Inbox(str(root)).scan()).fingerprint
    hidden.chmod(0)
    with mere_user():
        assert next(Inbox(str(root)).scan()).fingerprint != before
    assert codes_by_name(root) != {package.name: []}
    hidden.chmod(mode)
    with mere_user():
        assert next(Inbox(str(root)).scan()).fingerprint == before
    assert codes_by_name(root) == {package.name: []}


def test_an_internal_error_with_a_package_does_not_hide_the_others(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error of the disk cannot be caused here, so it is simulated."""
    for name in ("a", "b", "c"):
        write(root, name, {"enrolment": ROWS})
    state = inbox._folder_state

    def broken(folder: Path) -> object:
        if folder.name == "b":
            raise OSError(5, "Input/output error", str(folder))
        return state(folder)

    monkeypatch.setattr(inbox, "_folder_state", broken)
    errors: list[NotDecided] = []
    assert [package.location for package in Inbox(str(root)).scan(on_error=errors.append)] == ["a", "c"]
    assert [(fault.package, fault.reason) for fault in errors] == [("b", f"Input/output error ({root}/b)")]
    with pytest.raises(NotDecided):
        list(Inbox(str(root)).scan())


# --- archives that are wrong about themselves --------------------------------------------------------------------

#: Fields of the end record: the number of entries, the size of the directory, its offset.
END = {"count": (8, "<H"), "count in all": (10, "<H"), "size": (12, "<L"), "offset": (16, "<L")}
#: Of an entry in the directory.
ENTRY = {
    "method": (10, "<H"), "crc": (16, "<L"), "packed": (20, "<L"), "size": (24, "<L"), "name": (28, "<H"),
    "extra": (30, "<H"), "comment": (32, "<H"), "offset": (42, "<L"),
}  # fmt: skip
#: Of an entry where it lies.
LOCAL = {"mark": (0, "<L"), "name": (26, "<H"), "extra": (28, "<H")}


def changed(content: bytes, at: int, kind: str, by: int) -> bytes:
    """An archive with a number changed."""
    size = struct.calcsize(kind)
    (number,) = struct.unpack_from(kind, content, at)
    damage = max(0, min(number + by, 256**size - 1))
    return content[:at] + struct.pack(kind, damage) + content[at + size :]


def damaged_archives() -> Iterator[tuple[str, bytes]]:
    """Archives with wrong metadata, and a description of it."""
    with TemporaryDirectory() as folder:
        content = sound_package(Path(folder), zipped=True).read_bytes()
    end, first = content.rfind(b"PK\5\6"), content.find(b"PK\1\2")
    second = content.find(b"PK\1\2", first + 1)
    for by in (1, 10, -10, 2**40):
        for where, fields in ((end, END), (first, ENTRY), (second, ENTRY), (0, LOCAL)):
            for name, (offset, kind) in fields.items():
                damage = changed(content, where + offset, kind, by)
                if damage != content:
                    yield f"{name} at {where} by {by}", damage
    for cut in (1, 22, len(content) - first, len(content) // 2, len(content) - 10):
        yield f"{cut} bytes short", content[:-cut]
    yield "its first bytes lost", content[10:]
    half = first // 2
    yield "bytes damaged", content[:half] + bytes(20) + content[half + 20 :]
    yield "entries at one place", content[: second + 42] + content[first + 42 : first + 46] + content[second + 46 :]
    wide = io.BytesIO()
    with zipfile.ZipFile(wide, "w") as archive, archive.open(MANIFEST, "w", force_zip64=True) as stream:
        stream.write(b"{}")
    yield (
        "zip64 without a size",
        wide.getvalue().replace(struct.pack("<HHQ", 1, 16, 2), struct.pack("<HHQ", 1, 16, 2**62)),
    )
    root = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 2**60, 2**60, 2**62, 2**62)
    yield "zip64 beyond the end", content[:end] + root + struct.pack("<4sLQL", b"PK\6\7", 0, end, 1) + content[end:]


LIES = dict(damaged_archives())


@pytest.mark.parametrize("damage", LIES)
def test_an_archive_that_is_wrong_about_itself(root: Path, damage: str) -> None:
    """It is refused, or its file has the declared content; there is never an internal error."""
    (root / "odd.zip").write_bytes(LIES[damage])
    box = Inbox(str(root))
    (package,) = box.scan()
    box.read_manifest(package)
    with TemporaryDirectory() as workdir:
        try:
            checked = check(box.fetch(package, Path(workdir)), True, Path(workdir), CONTRACTS, Settings(), NOW)
        except DeliveryRefused as refused:
            codes, read = set(refused.codes), ""
        else:
            codes, read = set(), checked.files[DEEP].read_text()
    assert codes <= {"D_ARCHIVE", "D_MANIFEST", "D_MISSING_FILE", "D_HASH", "D_PATH"}
    assert bool(codes) != (read == ROWS)


@pytest.mark.parametrize("by", [10, -10, 2**40])
def test_the_offset_of_the_directory(root: Path, by: int) -> None:
    content = sound_package(root, zipped=True).read_bytes()
    (root / "odd.zip").write_bytes(changed(content, content.rfind(b"PK\5\6") + 16, "<L", by))
    assert codes_by_name(root) == {"odd.zip": ["D_ARCHIVE"]}

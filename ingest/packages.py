"""What a package holds, be it a folder or a zip: its manifest, and the listed files one by one.

Nothing of a zip is trusted: not its names, not its sizes. What cannot be had is a ``DeliveryRefused`` that tells why.
"""

import hashlib
import re
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from ingest.errors import DeliveryCode, DeliveryRefused, Finding, refused
from ingest.manifest import MANIFEST, MANIFEST_BYTES, unsafe_path
from ingest.settings import Settings

CHUNK = 1024 * 1024


class Content(Protocol):
    """What a package holds, be it a folder or a zip."""

    def findings(self) -> list[Finding]:
        """What is wrong with the package as such."""

    def manifest(self) -> bytes:
        """The bytes of the manifest."""

    def bring(self, path: str, workdir: Path) -> Path | None:
        """A local copy of a file (or the file itself); None when the package has no such file."""


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def findings(self) -> list[Finding]:
        return []

    def _regular(self, path: str) -> Path | None:
        place = self.root
        for part in path.split("/"):
            place /= part
            try:
                mode = place.lstat().st_mode
            except (FileNotFoundError, NotADirectoryError):
                return None
            if stat.S_ISLNK(mode):
                raise refused(DeliveryCode.PATH, "it is a link; put the file itself into the package", path)
        if not stat.S_ISREG(mode):
            raise refused(DeliveryCode.PATH, "it is not a file", path)
        return place

    def manifest(self) -> bytes:
        place = self._regular(MANIFEST)
        if place is None:
            raise refused(DeliveryCode.MANIFEST, f"the package has no {MANIFEST}")
        with place.open("rb") as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def bring(self, path: str, workdir: Path) -> Path | None:  # noqa: ARG002  a folder's file stays where it is
        return self._regular(path)


_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, RuntimeError, OverflowError)


@contextmanager
def _archive_errors() -> Iterator[None]:
    """Whatever a damaged archive makes the library raise is one finding."""
    try:
        yield
    except DeliveryRefused:
        raise
    except OSError as error:
        if error.errno is not None:  # our disk, not the archive
            raise
        raise refused(DeliveryCode.ARCHIVE, f"the archive is damaged: {error}; send it again") from None
    except Exception as error:
        # struct.error and lzma.LZMAError derive from Exception alone
        if isinstance(error, _ZIP_ERRORS) or type(error).__module__ in ("struct", "_lzma", "lzma"):
            raise refused(DeliveryCode.ARCHIVE, f"the archive is damaged: {error!s:.200}; send it again") from None
        raise


class _Zip:
    """A zip: nothing is written but the listed files, each under a name of ours, with its bytes counted."""

    def __init__(self, source: Path | IO[bytes], limits: Settings) -> None:
        if isinstance(source, Path):
            size = source.stat().st_size
        else:
            source.seek(0, 2)  # not every remote file says where it went
            size = source.tell()
        self.limit = min(size * limits.archive_ratio, limits.archive_bytes)
        self.limits = limits
        self.written = 0
        with _archive_errors():
            self.archive = zipfile.ZipFile(source)  # names without the UTF-8 flag come as cp437, byte for byte
        self.entries: dict[str, list[zipfile.ZipInfo]] = {}
        self.unsafe: list[Finding] = []
        self.encrypted = False
        for entry in self.archive.infolist():
            self.encrypted |= bool(entry.flag_bits & 0x1)
            names = _entry_names(entry)
            if reason := _unsafe_entry(entry, names):
                self.unsafe.append(Finding(DeliveryCode.PATH, f"archive entry: {reason}", entry.filename[:200]))
            for name in names:
                self.entries.setdefault(name, []).append(entry)
        self.bases = self._find_bases()

    def _find_bases(self) -> list[str]:
        """Where the package begins: at the top, or in the only folder (in each reading of its name); empty: nowhere."""
        if MANIFEST in self.entries:
            return [""]
        members: dict[str, set[int]] = {}
        for name, entries in self.entries.items():
            folder, slash, _ = name.partition("/")
            if slash and folder != "__MACOSX":
                members.setdefault(folder, set()).update(map(id, entries))
        inside = [folder for folder in members if f"{folder}/{MANIFEST}" in self.entries]
        # two folders, or one folder whose name can be read in two ways: then the one holds what the other holds
        widest = max((members[folder] for folder in inside), key=len, default=set())
        only = all(held <= widest for held in members.values())
        return [f"{folder}/" for folder in inside] if only else []

    def findings(self) -> list[Finding]:
        found = self.unsafe[:20]
        if self.encrypted:
            found.append(Finding(DeliveryCode.ARCHIVE, "the archive is encrypted; send it without a password"))
        return found

    def _entry(self, path: str) -> zipfile.ZipInfo | None:
        entries = next((self.entries[base + path] for base in self.bases if base + path in self.entries), [])
        if len(entries) > 1:
            raise refused(DeliveryCode.ARCHIVE, "the archive holds this file more than once", path)
        return None if not entries or entries[0].is_dir() else entries[0]

    def manifest(self) -> bytes:
        entry = self._entry(MANIFEST)
        if entry is None:
            text = f"the archive has no {MANIFEST} at its top or in its only folder"
            raise refused(DeliveryCode.MANIFEST, text)
        if self.encrypted:
            raise DeliveryRefused(self.findings())
        with _archive_errors(), self.archive.open(entry) as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def bring(self, path: str, workdir: Path) -> Path | None:
        entry = self._entry(path)
        if entry is None:
            return None
        # a name of ours: what the archive calls it never reaches the file system
        target = workdir / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}"
        try:
            with _archive_errors(), self.archive.open(entry) as source, target.open("wb") as sink:
                self._count(entry.file_size, 0, path)  # what the archive says of itself, before a byte is written
                while chunk := source.read(CHUNK):
                    self._count(0, len(chunk), path)
                    sink.write(chunk)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target

    def _count(self, announced: int, written: int, path: str) -> None:
        """Add to the bytes written; refuse when they, or they and the announced ones, pass the limit."""
        self.written += written
        if self.written + announced <= self.limit:
            return
        text = (
            f"the archive expands to more than {self.limits.archive_ratio} times its size or "
            f"{self.limits.archive_bytes} bytes; split the delivery or send a folder"
        )
        raise refused(DeliveryCode.ARCHIVE, text, path)


def _entry_names(entry: zipfile.ZipInfo) -> list[str]:
    """The names an entry may go by: Chinese Windows writes GBK without saying so, others UTF-8 without the flag."""
    name = entry.filename
    names = [name]
    if not entry.flag_bits & 0x800 and not name.isascii():
        names = []
        for encoding in ("gb18030", "utf-8"):
            try:
                names.append(entry.orig_filename.encode("cp437").decode(encoding))
            except (UnicodeDecodeError, UnicodeEncodeError):
                continue
        names = names or [name]
    # some programs write ./ before every name, and ./ itself as an entry
    plain = (re.sub(r"^(\./)+", "", text.replace("\\", "/")) for text in names)
    return [text for text in dict.fromkeys(plain) if text]


def _unsafe_entry(entry: zipfile.ZipInfo, names: Iterable[str]) -> str | None:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "it is a link; put the file itself into the archive"
    if "\0" in entry.orig_filename:
        return "its name holds control characters"
    for name in names:
        if reason := unsafe_path(name.removesuffix("/")):
            return reason
    return None


def open_package(local: Path, is_zip: bool, limits: Settings) -> Content:
    """A package on this machine, to be looked into.

    Raises:
        DeliveryRefused: the archive cannot be opened.
    """
    return _Zip(local, limits) if is_zip else _Folder(local)


def manifest_of_zip(source: Path | IO[bytes], limits: Settings) -> bytes:
    """The bytes of a zip's manifest; nothing else of it is read.

    Raises:
        DeliveryRefused: when it cannot be had.
    """
    return _Zip(source, limits).manifest()


def fallback_name(local: Path, is_zip: bool) -> str:
    """The name of a package whose manifest cannot be read: its folder, or its file without ``.zip``."""
    return local.name[:-4] if is_zip and local.name.lower().endswith(".zip") else local.name

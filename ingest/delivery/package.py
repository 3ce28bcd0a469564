"""The content of a package, a folder or a zip: its manifest and the listed files.

Names and sizes in a zip are not trusted. A file that cannot be read raises a ``DeliveryRefused`` with the reason.
"""

import errno
import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from ingest import shown
from ingest.delivery.manifest import MANIFEST, MANIFEST_BYTES, unsafe_path
from ingest.errors import DeliveryCode, DeliveryRefused, Finding, refused
from ingest.settings import Settings

CHUNK = 1024 * 1024


class Content(Protocol):
    """The content of a package, a folder or a zip."""

    def findings(self) -> list[Finding]:
        """Findings about the package as a whole."""

    def manifest(self) -> bytes:
        """The bytes of the manifest."""

    def local_file(self, path: str, workdir: Path) -> Path | None:
        """A local copy of a file (or the file itself); None when the package has no such file."""


#: Errors for which the package is refused, because the sender has to make the file readable.
_ACCESS_ERRNOS = (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENAMETOOLONG)


def regular_file(root: Path, path: str, *, other: DeliveryCode, unreadable: DeliveryCode) -> Path | None:
    """The regular file at ``path`` below ``root``; None when it does not exist.

    Every part of the path is checked before the file is opened: a link may lead anywhere, a FIFO blocks its reader, and
    opening a device may change it.

    Raises:
        DeliveryRefused: D_PATH for a link, ``other`` for anything else but a regular file, ``unreadable`` for a file
            without read permission.
    """
    file = root
    try:
        for part in path.split("/"):
            file /= part
            mode = file.lstat().st_mode
            if stat.S_ISLNK(mode):
                raise refused(DeliveryCode.PATH, "it is a link; put the file itself into the package", path)
        if not stat.S_ISREG(mode):
            raise refused(other, "it is not a file", path)
        # neither blocks nor follows a link, in case the file was replaced since
        os.close(os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        if error.errno not in _ACCESS_ERRNOS:
            raise
        raise refused(unreadable, f"it cannot be read ({error.strerror}); make it readable", path) from None
    return file


class _Folder:
    def __init__(self, root: Path) -> None:
        self.root = root

    def findings(self) -> list[Finding]:
        return []

    def manifest(self) -> bytes:
        bad = DeliveryCode.MANIFEST
        file = regular_file(self.root, MANIFEST, other=bad, unreadable=bad)
        if file is None:
            raise refused(bad, f"the package has no {MANIFEST}")
        with file.open("rb") as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def local_file(self, path: str, workdir: Path) -> Path | None:  # noqa: ARG002  the file in the folder itself
        return regular_file(self.root, path, other=DeliveryCode.PATH, unreadable=DeliveryCode.MISSING_FILE)


@contextmanager
def archive_errors(subject: str = "archive", advice: str = "send it again", path: str | None = None) -> Iterator[None]:
    """Turn what the library raises for a damaged zip into a refusal; errors of the disk are raised unchanged."""
    try:
        yield
    except DeliveryRefused:
        raise
    except Exception as error:
        # EINVAL: the archive refers to an offset before its beginning
        if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
            raise
        text = f"the {subject} is damaged: {shown.error(str(error)) or type(error).__name__:.200}; {advice}"
        raise refused(DeliveryCode.ARCHIVE, text, path) from None


class _Zip:
    """A zip: only listed files are extracted, under generated names, and their total size is limited."""

    def __init__(self, source: Path | IO[bytes], limits: Settings) -> None:
        if isinstance(source, Path):
            bad = DeliveryCode.ARCHIVE
            if regular_file(source.parent, source.name, other=bad, unreadable=bad) is None:
                raise refused(bad, "the archive is not there, or may not be read")
            size = source.stat().st_size
        else:
            source.seek(0, 2)  # not every remote file returns the new position
            size = source.tell()
        self.limit = min(size * limits.archive_ratio, limits.archive_bytes)
        self.limits = limits
        self.written = 0
        with archive_errors():
            self.archive = zipfile.ZipFile(
                source
            )  # names without the UTF-8 flag are decoded as cp437, which is reversible
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
        self.roots = self._find_roots()

    def _find_roots(self) -> list[str]:
        """The package's folder within the zip: the top, or the only folder (by each decoding of its name), or none."""
        if MANIFEST in self.entries:
            return [""]
        members: dict[str, set[int]] = {}
        for name, entries in self.entries.items():
            folder, slash, _ = name.partition("/")
            if slash and folder != "__MACOSX":
                members.setdefault(folder, set()).update(map(id, entries))
        candidates = [folder for folder in members if f"{folder}/{MANIFEST}" in self.entries]
        # several folders, or a single folder whose name can be decoded in two ways: then both have the same entries
        largest = max((members[folder] for folder in candidates), key=len, default=set())
        is_only_folder = all(entries_ <= largest for entries_ in members.values())
        return [f"{folder}/" for folder in candidates] if is_only_folder else []

    def findings(self) -> list[Finding]:
        found = self.unsafe[:20]
        if self.encrypted:
            found.append(Finding(DeliveryCode.ARCHIVE, "the archive is encrypted; send it without a password"))
        return found

    def _entry(self, path: str) -> zipfile.ZipInfo | None:
        entries = next((self.entries[root + path] for root in self.roots if root + path in self.entries), [])
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
        with archive_errors(), self.archive.open(entry) as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def local_file(self, path: str, workdir: Path) -> Path | None:
        entry = self._entry(path)
        if entry is None:
            return None
        # a generated name: names in the archive never reach the file system
        target = workdir / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}"
        try:
            with archive_errors(), self.archive.open(entry) as source, target.open("wb") as sink:
                self._check_expansion(entry.file_size, 0, path)  # by the declared size, before anything is written
                while chunk := source.read(CHUNK):
                    self._check_expansion(0, len(chunk), path)
                    sink.write(chunk)
        except BaseException:
            target.unlink(missing_ok=True)
            raise
        return target

    def _check_expansion(self, declared: int, written: int, path: str) -> None:
        """Add to the bytes written; refuse when these and the declared bytes exceed the limit."""
        self.written += written
        if self.written + declared <= self.limit:
            return
        text = (
            f"the archive expands to more than {self.limits.archive_ratio} times its size or "
            f"{self.limits.archive_bytes} bytes; split the delivery or send a folder"
        )
        raise refused(DeliveryCode.ARCHIVE, text, path)


def _entry_names(entry: zipfile.ZipInfo) -> list[str]:
    """Possible names of an entry: Chinese Windows writes GBK without declaring it, others UTF-8 without the flag."""
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
    normalised = (re.sub(r"^(\./)+", "", text.replace("\\", "/")) for text in names)
    return [text for text in dict.fromkeys(normalised) if text]


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
    """Open a local package.

    Raises:
        DeliveryRefused: the archive cannot be opened.
    """
    return _Zip(local, limits) if is_zip else _Folder(local)


def manifest_of_zip(source: Path | IO[bytes], limits: Settings) -> bytes:
    """The bytes of a zip's manifest; no other entry is read.

    Raises:
        DeliveryRefused: it cannot be read.
    """
    return _Zip(source, limits).manifest()


def fallback_name(local: Path, is_zip: bool) -> str:
    """The name of a package whose manifest cannot be read: its folder, or its file without ``.zip``, as it is shown."""
    name = shown.location(local.name)
    return name[:-4] if is_zip and name.lower().endswith(".zip") else name

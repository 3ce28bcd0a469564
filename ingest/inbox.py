"""The inbox: the place where senders put packages; a folder, or whatever fsspec reaches (S3, SFTP, …).

It is only ever read. What lies in it is a package when it is a folder with a manifest or a file named ``*.zip``;
everything else is left alone, for it may still be on its way.
"""

import hashlib
import json
import os
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ingest import manifest as manifests
from ingest.errors import DeliveryRefused, WarehouseError
from ingest.manifest import MANIFEST, MANIFEST_BYTES, unsafe_path
from ingest.packages import CHUNK, manifest_of_zip
from ingest.settings import Settings

#: What tells two states of a file apart without reading it, by the file system at hand.
STAMPS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "md5", "updated")


@dataclass(frozen=True)
class Package:
    """A package as it lies in the inbox.

    ``location`` is its name there; ``fingerprint`` changes when its manifest or a listed file does (sizes and times,
    the contents are not read).
    """

    location: str
    is_zip: bool
    fingerprint: str


class Inbox:
    """An inbox at a path or fsspec URL; ``options`` go to fsspec."""

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        try:
            self.fs, root = fsspec.core.url_to_fs(url, **dict(options or {}))
        except (ValueError, ImportError, OSError) as error:
            raise WarehouseError(f"The inbox {_without_password(url)} cannot be opened: {error}") from error
        self.url = url
        self.root = root.rstrip("/") or "/"
        self.local = Path(root) if isinstance(self.fs, LocalFileSystem) else None

    def scan(self, only: str | None = None) -> Iterator[Package]:
        """The packages, in order of name; with ``only`` just the one at that location, the others are not looked at."""
        for name, is_folder, stamp in sorted(self._entries(only), key=lambda entry: entry[0]):
            try:
                fingerprint = self._folder_fingerprint(name) if is_folder else _digest(stamp)
            except FileNotFoundError:
                continue  # taken away while we looked
            if fingerprint is not None:
                yield Package(_printable(name), not is_folder, fingerprint)

    def _entries(self, only: str | None) -> Iterator[tuple[str, bool, list[Any]]]:
        """Name, whether it is a folder, and state of what may be a package: folders, and files named ``*.zip``."""
        if self.local is not None:
            try:
                entries = list(self.local.iterdir()) if only is None else [self.local / self._real(only)]
            except (FileNotFoundError, NotADirectoryError):
                text = f"There is no inbox at {self.local}: make the folder, or name another (WAREHOUSE_INBOX)"
                raise WarehouseError(text) from None
            for entry in entries:
                if entry.is_dir():
                    yield entry.name, True, []
                elif entry.name.endswith(".zip") and entry.is_file():
                    status = entry.stat()
                    yield entry.name, False, [status.st_size, status.st_mtime_ns]
            return
        self.fs.invalidate_cache()
        try:
            found = self.fs.ls(self.root, detail=True) if only is None else [self.fs.info(self._path(only))]
        except FileNotFoundError:
            return  # an object store knows no empty folder
        for info in found:
            name = self._name(info["name"])
            if info["type"] == "directory" or (info["type"] == "link" and self.fs.isdir(info["name"])):
                yield name, True, []
            elif name.endswith(".zip") and info["type"] != "other":
                yield name, False, _stamp(name, info)

    def fetch(self, package: Package, workdir: Path) -> Path:
        """A local path of the package's folder or zip.

        In a local inbox this is the package itself, nothing is copied; else the zip, or the manifest and the listed
        files, are streamed into ``workdir``. A link stays a link, for the check step to refuse.
        """
        if self.local is not None:
            return self.local / self._real(package.location)
        target = workdir / package.location
        if package.is_zip:
            self._download(self._path(package.location), target)
            return target
        target.mkdir(parents=True, exist_ok=True)
        there = self._find(package.location)
        for path in [MANIFEST, *self._listed(package.location)]:
            info = there.get(path)
            place = target / path
            if info is None or place.exists():
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            if info["type"] == "link":
                place.symlink_to("a-link-in-the-inbox")
            elif info["type"] == "file":
                self._download(info["name"], place)
        return target

    def peek(self, package: Package) -> dict[str, Any]:
        """The manifest, unchecked; empty when it cannot be read. Nothing but the manifest is read."""
        try:
            if not package.is_zip:
                return manifests.parse(self._head(self._real(package.location)))
            with self.fs.open(self._path(self._real(package.location)), "rb") as stream:
                return manifests.parse(manifest_of_zip(stream, Settings()))
        except (DeliveryRefused, ValueError, OSError):
            return {}

    # ------------------------------------------------------------------------------------------------------------

    def _path(self, *parts: str) -> str:
        return posixpath.join(self.root, *parts)

    def _real(self, location: str) -> str:
        """The name behind a location that had to be made printable."""
        if self.local is None or (self.local / location).exists():
            return location
        return next((entry.name for entry in self.local.iterdir() if _printable(entry.name) == location), location)

    @staticmethod
    def _name(path: str) -> str:
        return path.rstrip("/").rsplit("/", 1)[-1]

    def _head(self, location: str) -> bytes:
        with self.fs.open(self._path(location, MANIFEST), "rb") as stream:
            return stream.read(MANIFEST_BYTES + 1)

    def _listed(self, location: str) -> list[str]:
        """The safe paths that the manifest lists; none when it cannot be read."""
        try:
            resources = manifests.parse(self._head(location)).get("resources")
        except ValueError:
            return []
        paths = [
            entry["path"]
            for entry in (resources if isinstance(resources, list) else [])
            if isinstance(entry, dict) and isinstance(entry.get("path"), str)
        ]
        return [path for path in dict.fromkeys(paths) if unsafe_path(path) is None]

    def _find(self, location: str) -> dict[str, dict[str, Any]]:
        """Everything in a remote package's folder, by path relative to it."""
        base = self._path(location)
        found = self.fs.find(base, detail=True)
        return {path[len(path) - len(path.split(f"/{location}/", 1)[1]) :]: info for path, info in found.items()}

    def _folder_fingerprint(self, location: str) -> str | None:
        """The state of a folder; None when it has no manifest and so is no package."""
        if self.local is not None:
            place = self.local / location
            if not (place / MANIFEST).exists():
                return None
            stamps = []
            for path in [MANIFEST, *self._listed(location)]:
                try:
                    status = (place / path).lstat()
                    stamps.append([path, status.st_size, status.st_mtime_ns])
                except (OSError, ValueError):
                    stamps.append([path, None, None])
            return _digest(stamps)
        there = self._find(location)
        if MANIFEST not in there:
            return None
        return _digest([_stamp(path, there.get(path)) for path in [MANIFEST, *self._listed(location)]])

    def _download(self, remote: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with self.fs.open(remote, "rb") as source, target.open("wb") as sink:
            while chunk := source.read(CHUNK):
                sink.write(chunk)


def _printable(name: str) -> str:
    """A file name as text that a database can keep: bytes that are no UTF-8 are written out in hexadecimal."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _stamp(path: str, info: Mapping[str, Any] | None) -> list[Any]:
    if info is None:
        return [path, None]
    return [path, info.get("size"), *[str(info[key]) for key in STAMPS if key in info]]


def _digest(stamps: list[Any]) -> str:
    return hashlib.sha256(json.dumps(stamps).encode(errors="surrogatepass")).hexdigest()


def _without_password(url: str) -> str:
    """A URL fit for a message: without its user part."""
    scheme, mark, rest = url.partition("://")
    return f"{scheme}{mark}{rest.rsplit('@', 1)[-1]}"

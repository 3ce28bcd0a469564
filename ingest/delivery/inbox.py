"""The inbox, where senders put packages: a local folder, or any location that fsspec reads (S3, SFTP, …).

Loading never writes to the inbox; only a corrected return file is added to it as a package. A folder with a manifest
and a file named ``*.zip`` are packages; everything else is ignored, because it may still be uploading.
"""

import errno
import hashlib
import json
import os
import posixpath
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from ingest import shown
from ingest.barrier import barrier
from ingest.delivery import manifest as manifests
from ingest.delivery.manifest import MANIFEST, MANIFEST_BYTES, unsafe_path
from ingest.delivery.package import CHUNK, manifest_of_zip, open_package
from ingest.errors import DeliveryRefused, NotDecided, WarehouseError
from ingest.settings import Settings

#: Properties by which file systems identify the version of a file without reading it.
VERSION_FIELDS = ("ETag", "etag", "mtime", "LastModified", "last_modified", "md5", "updated")

#: Whether ``os.access`` can check the effective user of this process.
_CHECKS_EFFECTIVE_USER = os.access in os.supports_effective_ids


@dataclass(frozen=True)
class Package:
    """A package in the inbox.

    ``location`` is its name there, as it is shown (``ingest.shown``); ``fingerprint`` changes when the size or time of
    its manifest or of a listed file changes (contents are not read).
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

    def scan(self, only: str | None = None, on_error: Callable[[NotDecided], None] | None = None) -> Iterator[Package]:
        """The packages in order of name; with ``only`` just the package at that location.

        ``on_error`` is called for every package that could not be inspected because of an internal error, and the scan
        continues; without it the error is raised.
        """
        for name, inspect in sorted(self._entries(only).items()):
            try:
                with barrier(shown.location(name)):
                    package = inspect(name)
            except NotDecided as error:
                if on_error is None:
                    raise
                on_error(error)
            else:
                if package is not None:
                    yield package

    def _entries(self, only: str | None) -> dict[str, Callable[[str], Package | None]]:
        """The entries of the inbox by name, each with a function that returns its package, or None if it is none."""
        if self.local is not None:
            try:
                names = [entry.name for entry in self.local.iterdir()] if only is None else [self._file_name(only)]
            except (FileNotFoundError, NotADirectoryError):
                text = f"There is no inbox at {self.local}: make the folder, or name another (WAREHOUSE_INBOX)"
                raise WarehouseError(text) from None
            return dict.fromkeys(names, self._local_package)
        self.fs.invalidate_cache()
        try:
            found = (
                self.fs.ls(self.root, detail=True) if only is None else [self._info(self._path(self._file_name(only)))]
            )
        except FileNotFoundError:
            return {}  # an object store has no empty folders
        return {self._name(info["name"]): partial(self._remote_package, info) for info in found}

    def _local_package(self, name: str) -> Package | None:
        path = Path(self._path(name))
        try:
            status = path.lstat()
            is_folder = stat.S_ISDIR(status.st_mode) or (stat.S_ISLNK(status.st_mode) and path.is_dir())
            if not is_folder:
                state = _local_file_state(name, path, status)[1:]
                return Package(shown.location(name), True, _hash(state)) if name.endswith(".zip") else None
            states = _folder_state(path)
        except FileNotFoundError:
            return None  # removed during the scan
        return None if states is None else Package(shown.location(name), False, _hash(states))

    def _remote_package(self, info: Mapping[str, Any], name: str) -> Package | None:
        if info["type"] == "directory" or (info["type"] == "link" and self.fs.isdir(info["name"])):
            files = self._remote_files(name)
            if MANIFEST not in files:
                return None
            listed = _listed_paths(self._read_manifest(files))
            states = [_remote_file_state(path, files.get(path)) for path in [MANIFEST, *listed]]
            return Package(shown.location(name), False, _hash(states))
        return (
            Package(shown.location(name), True, _hash(_remote_file_state(name, info)))
            if name.endswith(".zip")
            else None
        )

    def fetch(self, package: Package, workdir: Path) -> Path:
        """A local path of the package's folder or zip.

        In a local inbox this is the package itself. From a remote inbox the zip, or the manifest and the listed files,
        are copied into ``workdir``. A link stays a link, so that the check step refuses it.
        """
        if self.local is not None:
            return self.local / self._file_name(package.location)
        target, name = workdir / package.location, self._file_name(package.location)
        if package.is_zip:
            self._download(self._info_at(package.location), target)
            return target
        target.mkdir(parents=True, exist_ok=True)
        files = self._remote_files(name)
        for path in [MANIFEST, *_listed_paths(self._read_manifest(files))]:
            if (info := files.get(path)) is not None:
                self._download(info, target / path)
        return target

    def read_manifest(self, package: Package) -> dict[str, Any]:
        """The parsed manifest, unchecked; empty when it cannot be read. No other file is read."""
        try:
            return manifests.parse(self._manifest_bytes(package))
        except (DeliveryRefused, ValueError, OSError):
            return {}

    def names(self) -> set[str]:
        """The names of all files and folders in the inbox."""
        return set(self._entries(None))

    def add(self, folder: Path) -> None:
        """Copy a package, a folder of files, into the inbox: its manifest last, so that it is read only when complete.

        Raises:
            WarehouseError: The inbox has something of the folder's name.
        """
        if folder.name in self.names():
            raise WarehouseError(f"The inbox has {folder.name} already.")
        target = self._path(folder.name)
        self.fs.makedirs(target, exist_ok=True)
        for name in sorted((file.name for file in folder.iterdir()), key=MANIFEST.__eq__):
            if self.local is None:
                self.fs.put_file(str(folder / name), posixpath.join(target, name))
            else:  # moved into its place, so that nobody reads a part of it
                part = self.local / folder.name / f"{name}.part"
                shutil.copyfile(folder / name, part)
                part.replace(part.with_suffix(""))

    def _manifest_bytes(self, package: Package) -> bytes:
        if self.local is not None:
            return open_package(self.local / self._file_name(package.location), package.is_zip, Settings()).manifest()
        name = self._file_name(package.location)
        if not package.is_zip:
            return self._read_manifest(self._remote_files(name))
        info = self._info_at(package.location)
        if not _is_downloadable(info):
            return b""
        with self.fs.open(info["name"], "rb") as stream:
            return manifest_of_zip(stream, Settings())

    # ------------------------------------------------------------------------------------------------------------

    def _path(self, *parts: str) -> str:
        return posixpath.join(self.root, *parts)

    def _file_name(self, location: str) -> str:
        """The file name of a location, which may be another one (see ``shown.location``)."""
        if self.local is not None:
            if os.path.lexists(self.local / location):
                return location
            names = [entry.name for entry in self.local.iterdir()]
        else:
            if self.fs.exists(self._path(location)):
                return location
            names = [self._name(path) for path in self.fs.ls(self.root, detail=False)]
        return next((name for name in names if shown.location(name) == location), location)

    @staticmethod
    def _name(path: str) -> str:
        return path.rstrip("/").rsplit("/", 1)[-1]

    def _info_at(self, location: str) -> dict[str, Any]:
        """The properties of what lies at a location of a remote inbox."""
        return self._info(self._path(self._file_name(location)))

    def _info(self, path: str) -> dict[str, Any]:
        """The properties of a remote path; for a link over SFTP those of the link, not of its target."""
        if "sftp" in self.fs.protocol and stat.S_ISLNK((status := self.fs.ftp.lstat(path)).st_mode):
            return {**self.fs._decode_stat(status), "name": path}  # as in the listings of this file system
        return dict(self.fs.info(path))

    def _read_manifest(self, files: Mapping[str, Mapping[str, Any]]) -> bytes:
        """The bytes of the manifest of a remote folder; empty when it cannot be read."""
        info = files.get(MANIFEST)
        if info is None or not _is_downloadable(info):
            return b""
        try:
            with self.fs.open(info["name"], "rb") as stream:
                return bytes(stream.read(MANIFEST_BYTES + 1))
        except (FileNotFoundError, PermissionError):
            return b""

    def _remote_files(self, location: str) -> dict[str, dict[str, Any]]:
        """Properties of all files in a remote package's folder, by path relative to the folder."""
        base = f"{self._path(location).strip('/')}/"
        found = self.fs.find(self._path(location), detail=True, withdirs=True)
        paths = {path.strip("/"): info for path, info in found.items()}
        return {path.removeprefix(base): info for path, info in paths.items() if path.startswith(base)}

    def _download(self, info: Mapping[str, Any], target: Path) -> None:
        """Copy a remote file for the check step; of a link, folder or device only an empty stand-in.

        A file that cannot be read, or cannot exist in a local folder (an object store may have both ``a`` and
        ``a/b``), is omitted.
        """
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            if info["type"] == "link":
                target.symlink_to("a-link-in-the-inbox")
            elif info["type"] == "directory":
                target.mkdir()
            elif not _is_downloadable(info):
                target.touch()
            else:
                with self.fs.open(info["name"], "rb") as source, target.open("xb") as sink:
                    while chunk := source.read(CHUNK):
                        sink.write(chunk)
        except (FileNotFoundError, PermissionError, FileExistsError, NotADirectoryError):
            return
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise


def _is_downloadable(info: Mapping[str, Any]) -> bool:
    """Whether a remote path may be opened: over SFTP a FIFO or device is listed as an empty file."""
    return info["type"] == "file" and info.get("size") != 0


def _listed_paths(manifest: bytes) -> list[str]:
    """The safe paths that a manifest lists; none when it cannot be read."""
    try:
        resources = manifests.parse(manifest).get("resources")
    except ValueError:
        return []
    paths = [
        entry["path"]
        for entry in (resources if isinstance(resources, list) else [])
        if isinstance(entry, dict) and isinstance(entry.get("path"), str)
    ]
    return [path for path in dict.fromkeys(paths) if unsafe_path(path) is None]


def _folder_state(folder: Path) -> list[list[Any]] | None:
    """The states of a package's files; None for a folder without a manifest, which is not a package."""
    try:
        states = [_local_file_state(MANIFEST, folder / MANIFEST)]
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError:  # the folder may not be entered, so its manifest cannot be read
        return [[MANIFEST, None, "unreadable"]]
    try:
        listed = _listed_paths(open_package(folder, False, Settings()).manifest())
    except DeliveryRefused:
        listed = []
    for path in listed:
        try:
            states.append(_local_file_state(path, folder / path))
        except (OSError, ValueError):
            states.append([path, None, None])
    return states


def _local_file_state(name: str, path: Path, status: os.stat_result | None = None) -> list[Any]:
    """Name, size and time of a file, and whether it is unreadable: making it readable changes the state."""
    status = status or path.lstat()
    state = [name, status.st_size, status.st_mtime_ns]
    if stat.S_ISREG(status.st_mode) and not os.access(path, os.R_OK, effective_ids=_CHECKS_EFFECTIVE_USER):
        state.append("unreadable")
    return state


def _remote_file_state(path: str, info: Mapping[str, Any] | None) -> list[Any]:
    if info is None:
        return [path, None]
    return [path, info.get("size"), *[str(info[key]) for key in VERSION_FIELDS if key in info]]


def _hash(states: list[Any]) -> str:
    return hashlib.sha256(json.dumps(states).encode(errors="surrogatepass")).hexdigest()


def _without_password(url: str) -> str:
    """A URL without user name and password, for messages."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}{rest.rsplit('@', 1)[-1]}"

"""Writes the manifest of a delivery for files that came without one."""

import codecs
import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import charset_normalizer

from ingest.contracts import Contracts, Feed
from ingest.delivery import manifest
from ingest.delivery.manifest import ENCODINGS, FORMATS, MANIFEST, Dialect, Resource
from ingest.errors import DeliveryRefused, WarehouseError
from ingest.readers import Table, open_table
from ingest.settings import Settings
from warehouse import whole_file

_TEXT = ("csv", "tsv", "txt")
_DELIMITERS = (",", "\t", ";", "|")
#: Lines that are not plain ASCII are read up to this size to detect the encoding, and of a longer line this much.
_SAMPLE_BYTES = 64 * 1024
_LINE_BYTES = 1024 * 1024


def pack(
    path: Path,
    contracts: Contracts,
    settings: Settings,
    *,
    source: str,
    sender: str,
    period: str,
    mode: str,
    name: str | None = None,
    feed: str | None = None,
) -> Path:
    """Write ``datapackage.json`` for a folder, or for one file.

    In a folder the manifest is written beside the files. A single file is copied into a new folder beside it, which
    gets the delivery's name, because other files may lie beside it. Encoding, delimiter and feed are detected.

    Args:
        path: A folder with data files, or one data file.
        contracts: The contracts of all feeds.
        settings: Limits of the readers.
        source: The source system; ``source`` to ``mode`` are properties of the manifest.
        sender: Division code, six digits.
        period: YYYY-MM.
        mode: ``snapshot`` or ``delta``.
        name: The delivery's name; by default ``source-sender-period``.
        feed: The feed of all files; by default the one whose contract has most columns of a file's header.

    Returns:
        The folder, which is a delivery now.

    Raises:
        WarehouseError: A property is not valid, there is no data file, a folder or manifest exists already, or the
            header of a file belongs to no feed of the source.
    """
    properties = made_properties(
        contracts, name=name or f"{source}-{sender}-{period}", source=source, sender=sender, period=period, mode=mode
    )
    folder = _delivery_folder(path, properties["name"])
    resources = [
        describe_file(file, folder, contracts, settings, source, feed)[0] for file in _data_files(folder, path)
    ]
    write_manifest(folder, contracts, properties, resources)
    return folder


def made_properties(contracts: Contracts, *, source: str, **others: str) -> dict[str, str]:
    """The properties of a delivery that is made now.

    Raises:
        WarehouseError: A property is not valid; ``others`` are name, sender, period and mode.
    """
    if source not in contracts.sources:
        raise WarehouseError(f"{source!r} is no source: one of {', '.join(contracts.sources)}.")
    now = datetime.now().astimezone()
    properties = {"created": now.isoformat(timespec="seconds"), "source": source, **others}
    _check_properties(properties, contracts, now)
    return properties


def write_manifest(
    folder: Path, contracts: Contracts, properties: dict[str, str], entries: Sequence[dict[str, object]]
) -> None:
    """Write the manifest last and complete: the folder may be in an inbox that is being scanned.

    Args:
        folder: The delivery.
        contracts: The contracts of all feeds.
        properties: See ``made_properties``.
        entries: The files, each as ``describe_file`` describes it.
    """
    feeds = {feed.name: feed for feed in contracts.of_source(properties["source"])}
    version = max(version for entry in entries for version in feeds[str(entry["feed"])].versions)
    resources = [{"name": f"file-{number}"} | entry for number, entry in enumerate(entries, start=1)]
    content = {**properties, "contract_version": f"{version}.0.0", "resources": resources}
    whole_file.write_text(folder / MANIFEST, json.dumps(content, ensure_ascii=False, indent=2) + "\n")


def _check_properties(properties: dict[str, str], contracts: Contracts, now: datetime) -> None:
    """Raise WarehouseError when a manifest with these properties would be refused."""
    required = {
        "contract_version": "1.0.0",
        "resources": [{"name": "file-1", "path": "file-1.csv", "hash": f"sha256:{0:064}"}],
    }
    _, findings, _ = manifest.read({**properties, **required}, list(contracts.sources), now)
    if findings:
        raise WarehouseError("; ".join(finding.message for finding in findings))


def _data_files(folder: Path, path: Path) -> list[Path]:
    """The data files of a delivery, at least one; ``path`` is where they came from."""
    files = sorted(file for file in folder.rglob("*") if file.is_file() and file.suffix.lower().lstrip(".") in FORMATS)
    if not files:
        raise WarehouseError(f"{path} holds no {', '.join(sorted(FORMATS))} file.")
    return files


def _delivery_folder(path: Path, name: str) -> Path:
    """The folder that becomes the delivery: ``path`` itself, or a new one with a copy of that file."""
    if not path.exists():
        raise WarehouseError(f"There is no {path}.")
    if path.is_dir():
        if (path / MANIFEST).exists():
            raise WarehouseError(f"{path} has a {MANIFEST} already.")
        return path
    folder = path.with_name(name)
    if folder.exists():
        raise WarehouseError(f"{folder} exists already: give the delivery another --name.")
    folder.mkdir()
    try:
        os.link(path, folder / path.name)
    except OSError:  # another file system
        shutil.copy2(path, folder / path.name)
    return folder


def describe_file(
    path: Path, folder: Path, contracts: Contracts, settings: Settings, source: str, feed: str | None
) -> tuple[dict[str, object], Table]:
    """The manifest's entry of one file of a folder, but for its name, and the file opened.

    Raises:
        WarehouseError: Its header belongs to no feed of the source, or not to ``feed``.
    """
    format_ = FORMATS[path.suffix.lower().lstrip(".")]
    is_text = format_ in _TEXT
    resource = Resource(
        name="",
        feed="",
        path=path.relative_to(folder).as_posix(),
        format=format_,
        encoding=detect_encoding(path) if is_text else "utf-8",
    )
    detected_feed, dialect, table = _detect_feed(path, resource, contracts, settings, source, feed)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    entry: dict[str, object] = {
        "feed": detected_feed.name,
        "path": resource.path,
        "bytes": path.stat().st_size,
        "hash": f"sha256:{digest.hexdigest()}",
    }
    if is_text:
        entry["encoding"] = resource.encoding
        entry["dialect"] = {"delimiter": dialect.delimiter}
    return entry, table


def _detect_feed(
    path: Path, resource: Resource, contracts: Contracts, settings: Settings, source: str, required: str | None
) -> tuple[Feed, Dialect, Table]:
    """The feed and the delimiter with which most columns of the header are known; only ``required`` where it is set."""
    best: tuple[Feed, Dialect, Table] | None = None
    reasons: list[str] = []
    for feed in contracts.of_source(source):
        if required not in (None, feed.name):
            continue
        for delimiter in _DELIMITERS if resource.format in _TEXT else (",",):
            dialect = Dialect(delimiter=delimiter)
            try:
                table = open_table(path, replace(resource, feed=feed.name, dialect=dialect), feed, settings)
            except DeliveryRefused as refused:
                reasons.append(f"{feed.name}: {refused}")
                continue
            if best is None or len(table.columns) > len(best[2].columns):
                best = (feed, dialect, table)
    if best is None:
        raise WarehouseError(
            f"The header of {path.name} is not that of a feed of {source}"
            + (f" (wanted: {required})" if required else "")
            + ". "
            + "; ".join(dict.fromkeys(reasons))
        )
    return best


def detect_encoding(path: Path) -> str:
    """``utf-16`` by its byte order mark; ``utf-8`` or ``gb18030`` from the first lines that are not plain ASCII."""
    sample = bytearray()
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
        file.seek(0)
        while len(sample) < _SAMPLE_BYTES and (line := file.readline(_LINE_BYTES)):
            if not line.isascii():
                sample += line
    best = charset_normalizer.from_bytes(sample, cp_isolation=["utf-8", "gb18030"]).best()
    # It recognises all UTF-8, and gives up on some GB18030 with many rare characters.
    return "gb18030" if best is None else ENCODINGS[best.encoding.replace("_", "-")]

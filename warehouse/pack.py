"""A manifest for files that came without one: what a sender's own program would have written."""

import codecs
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ingest import manifest as manifests
from ingest.contracts import Contracts, Feed
from ingest.errors import DeliveryRefused, WarehouseError
from ingest.manifest import FORMATS, MANIFEST, Dialect, Resource
from ingest.readers import open_table
from ingest.settings import Settings

_TEXT = ("csv", "tsv", "txt")
_DELIMITERS = (",", "\t", ";", "|")
_BLOCK = 1 << 20


def pack(
    place: Path,
    known: Contracts,
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

    In a folder the manifest is written beside the files. A single file is copied into a new folder beside it, named
    like the delivery: the folder it lies in may hold anything. Encoding, delimiter and feed are found out by looking.

    Args:
        place: A folder with data files, or one data file.
        known: The contracts.
        settings: Limits of the readers.
        source: As in the manifest, like the following.
        sender: Six digits.
        period: YYYY-MM.
        mode: ``snapshot`` or ``delta``.
        name: The delivery's name; by default ``source-sender-period``.
        feed: Of all files, where the headers do not tell.

    Returns:
        The folder, which now is a delivery.

    Raises:
        WarehouseError: There is nothing to pack, or a file's header belongs to no feed of the source.
    """
    if source not in known.sources:
        raise WarehouseError(f"{source!r} is no source: one of {', '.join(known.sources)}.")
    name = name or f"{source}-{sender}-{period}"
    now = datetime.now().astimezone()
    head = {
        "name": name,
        "created": now.isoformat(timespec="seconds"),
        "source": source,
        "sender": sender,
        "period": period,
        "mode": mode,
    }
    stand_in = {
        "contract_version": "1.0.0",
        "resources": [{"name": "file-1", "path": "file-1.csv", "hash": f"sha256:{0:064}"}],
    }
    _, findings, _ = manifests.read({**head, **stand_in}, list(known.sources), now)
    if findings:
        raise WarehouseError("; ".join(finding.message for finding in findings))
    folder = _folder(place, name)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix.lower().lstrip(".") in FORMATS)
    if not files:
        raise WarehouseError(f"{place} holds no {', '.join(sorted(FORMATS))} file.")
    resources = [
        {"name": f"file-{number}"} | _resource(path, folder, known, settings, source, feed)
        for number, path in enumerate(files, start=1)
    ]
    feeds = {one.name: one for one in known.of_source(source)}
    major = max(version for one in resources for version in feeds[str(one["feed"])].versions)
    manifest = {
        **head,
        "contract_version": f"{major}.0.0",
        "resources": resources,
    }
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)  # the manifest comes last, and at once: the folder may lie in the inbox
    return folder


def _folder(place: Path, name: str) -> Path:
    if not place.exists():
        raise WarehouseError(f"There is no {place}.")
    if place.is_dir():
        if (place / MANIFEST).exists():
            raise WarehouseError(f"{place} has a {MANIFEST} already.")
        return place
    folder = place.with_name(name)
    if folder.exists():
        raise WarehouseError(f"{folder} exists already: give the delivery another --name.")
    folder.mkdir()
    try:
        os.link(place, folder / place.name)
    except OSError:  # another file system
        shutil.copy2(place, folder / place.name)
    return folder


def _resource(
    path: Path, folder: Path, known: Contracts, settings: Settings, source: str, feed: str | None
) -> dict[str, object]:
    format_ = FORMATS[path.suffix.lower().lstrip(".")]
    digest = hashlib.sha256()
    for block in _blocks(path):
        digest.update(block)
    description = Resource(
        name="",
        feed="",
        path=path.relative_to(folder).as_posix(),
        format=format_,
        encoding=_encoding(path) if format_ in _TEXT else "utf-8",
    )
    chosen, dialect = _guess(path, description, known, settings, source, feed)
    entry: dict[str, object] = {
        "feed": chosen.name,
        "path": description.path,
        "bytes": path.stat().st_size,
        "hash": f"sha256:{digest.hexdigest()}",
    }
    if format_ in _TEXT:
        entry["encoding"] = description.encoding
        entry["dialect"] = {"delimiter": dialect.delimiter}
    return entry


def _guess(
    path: Path, description: Resource, known: Contracts, settings: Settings, source: str, wanted: str | None
) -> tuple[Feed, Dialect]:
    """The feed (and delimiter) under which most columns of the header are known."""
    best: tuple[int, Feed, Dialect] | None = None
    reasons: list[str] = []
    for feed in known.of_source(source):
        if wanted not in (None, feed.name):
            continue
        for delimiter in _DELIMITERS if description.format in _TEXT else (",",):
            dialect = Dialect(delimiter=delimiter)
            try:
                table = open_table(path, replace(description, feed=feed.name, dialect=dialect), feed, settings)
            except DeliveryRefused as refused:
                reasons.append(f"{feed.name}: {refused}")
                continue
            score = len(table.columns)
            if best is None or score > best[0]:
                best = (score, feed, dialect)
    if best is None:
        raise WarehouseError(
            f"The header of {path.name} is not that of a feed of {source}"
            + (f" (wanted: {wanted})" if wanted else "")
            + ". "
            + "; ".join(dict.fromkeys(reasons))
        )
    return best[1], best[2]


def _encoding(path: Path) -> str:
    """``utf-16`` by its mark, ``utf-8`` when the whole file reads as such, else ``gb18030``."""
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for block in _blocks(path):
            decoder.decode(block)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "gb18030"
    return "utf-8"


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            yield block

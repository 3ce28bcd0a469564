"""From a package in the inbox to a checked delivery: its manifest, its archive, its files' hashes.

``check`` is the first step of a delivery's life. It looks at everything that can be known without reading a row and
raises ``DeliveryRefused`` with all it found, in words that tell the sender what to do.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest import manifest as manifests
from ingest.contracts.model import Contracts
from ingest.errors import DeliveryCode, DeliveryRefused, Finding
from ingest.manifest import MANIFEST, Manifest
from ingest.packages import CHUNK, fallback_name, open_package
from ingest.settings import Settings


@dataclass(frozen=True)
class Checked:
    """A delivery whose package is whole. The mappings go from a resource's path to its local file, size and hash."""

    manifest: Manifest
    files: Mapping[str, Path]
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]
    content_hash: str


class CheckRefused(DeliveryRefused):
    """A delivery refused by the check step.

    ``checked`` is there when the package itself is whole, so that its content is known although it is refused (an
    unknown feed, say): such a package takes its name.
    """

    def __init__(self, findings: list[Finding], checked: Checked | None = None) -> None:
        super().__init__(findings)
        self.checked = checked


def describe(local: Path, is_zip: bool, limits: Settings | None = None) -> dict[str, Any]:
    """What can be said of a package that may be refused.

    Returns what ``ingest.manifest.described`` does. Never raises for what a sender wrote.
    """
    raw: dict[str, Any] | None = None
    try:
        raw = manifests.parse(open_package(local, is_zip, limits or Settings()).manifest())
    except (DeliveryRefused, ValueError, OSError):
        raw = None
    return manifests.described(raw, fallback_name(local, is_zip))


def hash_file(path: Path, algorithms: Iterable[str]) -> tuple[dict[str, str], int]:
    """Hexadecimal digests of a file by several algorithms in one reading, and its size in bytes."""
    digests = {name: hashlib.new(name) for name in algorithms}
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}, size


def content_hash(raw: dict[str, Any], sha256: Mapping[str, str]) -> str:
    """The identity of a content: SHA-256 over the parsed manifest and (path, sha256) of each listed file."""
    text = json.dumps([raw, sorted(sha256.items())], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check(
    local: Path, is_zip: bool, workdir: Path, contracts: Contracts, settings: Settings, now: dt.datetime
) -> Checked:
    """The check step: manifest, paths, archive, presence, hashes, sizes, feeds, contract versions.

    Args:
        local: the folder or zip on this machine; it is only read.
        is_zip: whether ``local`` is a zip.
        workdir: an empty folder of the caller's; listed files of a zip are extracted there.
        contracts: the feeds that exist.
        settings: the limits for archives.
        now: the receiving clock (aware).

    Raises:
        DeliveryRefused: (a ``CheckRefused``) with everything found.
    """
    findings: list[Finding] = []
    try:
        package = open_package(local, is_zip, settings)
        findings += package.findings()
        raw = manifests.parse(package.manifest())
    except ValueError as error:
        findings.append(Finding(DeliveryCode.MANIFEST, f"{MANIFEST} cannot be read: {error}"))
        raise CheckRefused(findings) from None
    except DeliveryRefused as refused:
        raise CheckRefused(findings + [item for item in refused.findings if item not in findings]) from None

    manifest, broken, entries = manifests.read(raw, contracts.sources, now)
    findings += broken
    files: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    sha256: dict[str, str] = {}
    for entry in entries:
        if reason := manifests.unsafe_path(entry.path):
            text = f"the path is not plain: {reason}; it must be {manifests.RULES['path']}"
            findings.append(Finding(DeliveryCode.PATH, text, entry.path[:200]))
            continue
        try:
            place = files.get(entry.path) or package.bring(entry.path, workdir)
        except DeliveryRefused as refused:
            findings += [item for item in refused.findings if item not in findings]
            continue
        if place is None:
            text = "the manifest lists this file, the package does not hold it"
            findings.append(Finding(DeliveryCode.MISSING_FILE, text, entry.path))
            continue
        algorithm, _, expected = entry.hash.partition(":")
        digests, size = hash_file(place, {"sha256", algorithm} if algorithm else {"sha256"})
        files[entry.path], sizes[entry.path], sha256[entry.path] = place, size, digests["sha256"]
        if algorithm and digests[algorithm] != expected.lower():
            text = f"the file's {algorithm} is {digests[algorithm]}; the file or its hash is not what was sent"
            findings.append(Finding(DeliveryCode.HASH, text, entry.path))
        if entry.bytes is not None and entry.bytes != size:
            text = f"the file has {size} bytes, the manifest says {entry.bytes}"
            findings.append(Finding(DeliveryCode.BYTES, text, entry.path))

    checked = None
    if manifest is not None:
        whole = not findings
        findings += _contract_findings(manifest, contracts)
        if whole:
            checked = Checked(manifest, files, sizes, sha256, content_hash(raw, sha256))
    if findings or checked is None:
        raise CheckRefused(findings, checked)
    return checked


def _contract_findings(manifest: Manifest, contracts: Contracts) -> list[Finding]:
    """Unknown feeds, unsupported versions, required feeds that are not there."""
    findings = []
    major = int(manifest.contract_version.split(".", 1)[0])
    known = {feed.name: feed for feed in contracts.of_source(manifest.source)}
    for resource in manifest.resources:
        feed = known.get(resource.feed)
        if feed is None:
            text = f"{resource.feed!r:.60} is no feed of {manifest.source}; it has {', '.join(known)}"
            findings.append(Finding(DeliveryCode.FEED, text, resource.path))
        elif major not in feed.versions:
            versions = ", ".join(f"{version}.x" for version in feed.versions)
            text = f"contract_version {manifest.contract_version}: the contract of {feed.name} supports {versions}"
            findings.append(Finding(DeliveryCode.VERSION, text, resource.path))
    if manifest.mode == "snapshot":
        present = {resource.feed for resource in manifest.resources}
        for feed in known.values():
            if feed.required_in_snapshot and feed.name not in present:
                text = f"a {manifest.source} snapshot must hold the feed {feed.name}"
                findings.append(Finding(DeliveryCode.EMPTY, text))
    return findings

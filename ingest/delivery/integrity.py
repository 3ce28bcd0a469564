"""The check step of a delivery: its manifest, its archive, and the hashes and sizes of its files.

``check`` verifies everything that can be verified without reading rows. It raises ``DeliveryRefused`` with all
findings, whose messages tell the sender what to do.
"""

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ingest import shown
from ingest.contracts.model import Contracts
from ingest.delivery import manifest as manifests
from ingest.delivery.manifest import MANIFEST, Manifest
from ingest.delivery.package import CHUNK, Content, fallback_name, open_package
from ingest.errors import DeliveryCode, DeliveryRefused, Finding
from ingest.settings import Settings


@dataclass(frozen=True)
class Checked:
    """A delivery whose package is complete. The mappings are keyed by the path of a resource."""

    manifest: Manifest
    files: Mapping[str, Path]
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]
    content_hash: str


class CheckRefused(DeliveryRefused):
    """A delivery refused by the check step.

    ``checked`` is set when the package is complete, so that its content is known although it is refused (for an unknown
    feed, for example): such a package owns its name.
    """

    def __init__(self, findings: list[Finding], checked: Checked | None = None) -> None:
        super().__init__(findings)
        self.checked = checked


def describe(local: Path, is_zip: bool, limits: Settings | None = None) -> dict[str, Any]:
    """A summary of a package of any state, for the ledger.

    Returns what ``ingest.delivery.manifest.summarise`` does. Never raises for what a sender wrote.
    """
    raw: dict[str, Any] | None = None
    try:
        raw = manifests.parse(open_package(local, is_zip, limits or Settings()).manifest())
    except (DeliveryRefused, ValueError, OSError):
        raw = None
    return manifests.summarise(raw, fallback_name(local, is_zip))


def hash_file(path: Path, algorithms: Iterable[str]) -> tuple[dict[str, str], int]:
    """Hexadecimal digests of a file by several algorithms, computed in a single read, and its size in bytes."""
    digests = {name: hashlib.new(name) for name in algorithms}
    size = 0
    with path.open("rb") as stream:
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}, size


def content_hash(raw: dict[str, Any], sha256: Mapping[str, str]) -> str:
    """SHA-256 over the parsed manifest and (path, sha256) of each listed file."""
    text = json.dumps([raw, sorted(sha256.items())], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def check(
    local: Path, is_zip: bool, workdir: Path, contracts: Contracts, settings: Settings, now: dt.datetime
) -> Checked:
    """The check step: manifest, paths, archive, presence, hashes, sizes, feeds, contract versions.

    Args:
        local: the folder or zip on this machine; it is only read.
        is_zip: whether ``local`` is a zip.
        workdir: an empty folder into which the listed files of a zip are extracted.
        contracts: the feeds that exist.
        settings: the limits for archives.
        now: the current time (aware).

    Raises:
        CheckRefused: with all findings.
    """
    package, raw, findings = _open(local, is_zip, settings)
    manifest, manifest_findings, entries = manifests.read(raw, contracts.sources, now)
    findings += manifest_findings
    files = _Files({}, {}, {})
    for entry in entries:
        findings += [item for item in files.add(package, entry, workdir) if item not in findings]
    checked = None
    if manifest is not None:
        if not findings:
            checked = Checked(manifest, files.paths, files.sizes, files.sha256, content_hash(raw, files.sha256))
        findings += _contract_findings(manifest, contracts)
    if findings or checked is None:
        raise CheckRefused(_with_shown_paths(findings, entries), checked)
    return checked


def _with_shown_paths(findings: Iterable[Finding], entries: Sequence[manifests.ResourceEntry]) -> list[Finding]:
    """Findings with the paths of their files as they are shown: a listed one by its place in the manifest's list."""
    known: dict[str | None, str] = {}
    for index, entry in enumerate(entries):
        for path in (entry.path, entry.path[:200]):
            known.setdefault(path, shown.path(path, index))
    return [
        item if item.path is None else replace(item, path=known.get(item.path) or shown.file(item.path))
        for item in findings
    ]


def _open(local: Path, is_zip: bool, settings: Settings) -> tuple[Content, dict[str, Any], list[Finding]]:
    """The package, its parsed manifest, and findings about the package as such."""
    findings: list[Finding] = []
    try:
        package = open_package(local, is_zip, settings)
        findings += package.findings()
        return package, manifests.parse(package.manifest()), findings
    except ValueError as error:
        findings.append(Finding(DeliveryCode.MANIFEST, f"{MANIFEST} cannot be read: {error}"))
        raise CheckRefused(_with_shown_paths(findings, ())) from None
    except DeliveryRefused as refused:
        findings += [item for item in refused.findings if item not in findings]
        raise CheckRefused(_with_shown_paths(findings, ())) from None


@dataclass(frozen=True)
class _Files:
    """The listed files of a package: local path, size and hash by their path in the package."""

    paths: dict[str, Path]
    sizes: dict[str, int]
    sha256: dict[str, str]

    def add(self, package: Content, entry: manifests.ResourceEntry, workdir: Path) -> list[Finding]:
        """Fetch and hash a listed file; returns what is wrong with it."""
        if reason := manifests.unsafe_path(entry.path):
            text = f"the path is not plain: {reason}; it must be {manifests.RULES['path']}"
            return [Finding(DeliveryCode.PATH, text, entry.path[:200])]
        try:
            file = self.paths.get(entry.path) or package.local_file(entry.path, workdir)
        except DeliveryRefused as refused:
            return refused.findings
        if file is None:
            text = "the manifest lists this file, the package does not hold it"
            return [Finding(DeliveryCode.MISSING_FILE, text, entry.path)]
        findings = []
        algorithm, _, expected = entry.hash.partition(":")
        digests, size = hash_file(file, {"sha256", algorithm} if algorithm else {"sha256"})
        self.paths[entry.path], self.sizes[entry.path], self.sha256[entry.path] = file, size, digests["sha256"]
        if algorithm and digests[algorithm] != expected.lower():
            text = f"the file's {algorithm} is {digests[algorithm]}; the file or its hash is not what was sent"
            findings.append(Finding(DeliveryCode.HASH, text, entry.path))
        if entry.bytes is not None and entry.bytes != size:
            text = f"the file has {size} bytes, the manifest says {entry.bytes}"
            findings.append(Finding(DeliveryCode.BYTES, text, entry.path))
        return findings


def _contract_findings(manifest: Manifest, contracts: Contracts) -> list[Finding]:
    """Findings for unknown feeds, unsupported versions and missing required feeds."""
    findings = []
    major = int(manifest.contract_version.split(".", 1)[0])
    known = {feed.name: feed for feed in contracts.of_source(manifest.source)}
    for resource in manifest.resources:
        feed = known.get(resource.feed)
        if feed is None:
            text = f"what the manifest names is no feed of {manifest.source}; it has {', '.join(known)}"
            findings.append(Finding(DeliveryCode.FEED, text, resource.path))
        elif major not in feed.versions:
            versions = ", ".join(f"{version}.x" for version in feed.versions)
            text = f"contract_version {major}.x: the contract of {feed.name} supports {versions}"
            findings.append(Finding(DeliveryCode.VERSION, text, resource.path))
    if manifest.mode == "snapshot":
        present = {resource.feed for resource in manifest.resources}
        for feed in known.values():
            if feed.required_in_snapshot and feed.name not in present:
                text = f"a {manifest.source} snapshot must hold the feed {feed.name}"
                findings.append(Finding(DeliveryCode.EMPTY, text))
    return findings

"""Small deliveries for tests, written as a sender would. Persons are synthetic: their area codes do not exist."""

import csv
import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stdnum.iso7064 import mod_11_2

Row = Mapping[str, Any]

#: An inbox of three months with what must come of it (its README tells more).
SAMPLES = Path(__file__).parent / "data" / "samples"
#: Another of eight months and all sources, likewise.
ALL_SOURCES = SAMPLES.with_name("samples-part2")


def certno(number: int, born: str = "19800101") -> str:
    """A valid identity number that no person has."""
    stem = f"44{9900 + number // 1000 % 100:04d}{born}{number % 1000:03d}"
    return stem + mod_11_2.calc_check_digit(stem)


def person(number: int) -> dict[str, str]:
    return {"name": f"测试{number}", "cert_type": "01", "certno": certno(number)}


def organisation(code: str, **more: Any) -> Row:
    row = {"org_code": code, "org_name": f"工会{code}", "org_level": "90", "org_type": "1", "admdvs": "440101"}
    return {**row, "status": "1", **more}


def member(number: int, **more: Any) -> Row:
    row = {"member_id": f"M{number}", "org_code": "A1", **person(number), "joined_on": "2020-01-01", "status": "1"}
    return {**row, **more}


def enrolment(number: int, **more: Any) -> Row:
    row = {"enrolment_id": f"E{number}", **person(number), "provider_name": "机构", "training_type": "2"}
    return {**row, "started_on": "2026-06-01", "result": "1", **more}


def text(rows: Sequence[Row], header: Sequence[str] | None = None) -> str:
    """The rows as CSV."""
    names = header or list(dict.fromkeys(name for row in rows for name in row))
    out = io.StringIO()
    writer = csv.DictWriter(out, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def manifest_of(name: str, resources: Sequence[Row], **properties: Any) -> Row:
    """A manifest; ``properties`` replace what every delivery of the tests has."""
    return {
        "name": name,
        "created": "2026-08-03T08:00:00+08:00",
        "source": "training",
        "sender": "440000",
        "period": "2026-07",
        "mode": "delta",
        "contract_version": "1.0.0",
        **properties,
        "resources": list(resources),
    }


def write(
    inbox: Path,
    name: str,
    files: Mapping[str, str | Sequence[Row]],
    *,
    location: str | None = None,
    zipped: bool = False,
    feeds: Mapping[str, str] | None = None,
    resources: Mapping[str, Row] | None = None,
    **properties: Any,
) -> Path:
    """Write a package.

    Args:
        inbox: Where.
        name: Of the delivery, and of its folder unless ``location`` is given.
        files: Resource name (the feed, unless ``feeds`` names another) -> rows, or text as it is.
        location: Folder (or zip without its ending) in the inbox.
        zipped: As a zip.
        feeds: Feed by resource name.
        resources: Further properties by resource name; a ``hash`` here replaces the right one.
        properties: Of the manifest.
    """
    folder = inbox / (location or name)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    listed = []
    for resource, content in files.items():
        data = (content if isinstance(content, str) else text(content)).encode()
        path = f"{resource}.csv"
        (folder / path).write_bytes(data)
        entry = {"name": resource, "path": path, "hash": f"sha256:{hashlib.sha256(data).hexdigest()}"}
        if feeds and resource in feeds:
            entry["feed"] = feeds[resource]
        listed.append({**entry, **(resources or {}).get(resource, {})})
    manifest = manifest_of(name, listed, **properties)
    (folder / "datapackage.json").write_text(json.dumps(manifest), encoding="utf-8")
    if not zipped:
        return folder
    archive_path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(archive_path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    shutil.rmtree(folder)
    return archive_path


def register_of(codes: Sequence[str], numbers: Sequence[int], **more: Any) -> dict[str, list[Row]]:
    """Both feeds of a membership snapshot."""
    return {
        "organisation": [organisation(code) for code in codes],
        "member": [member(number, **more) for number in numbers],
    }


def snapshot(inbox: Path, name: str, numbers: Sequence[int], **properties: Any) -> Path:
    """A membership snapshot with one organisation."""
    merged = {"source": "membership", "mode": "snapshot", **properties}
    return write(inbox, name, register_of(["A1"], numbers), **merged)

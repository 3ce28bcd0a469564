"""The lock says exactly what pyproject.toml asks for, in a form that installs from any index."""

import re
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]


def locked(text: str) -> dict[str, list[tuple[str, Marker | None]]]:
    """Versions of each package in a lock, with their markers."""
    found: dict[str, list[tuple[str, Marker | None]]] = {}
    for line in re.sub(r"\\\n\s*", " ", text).splitlines():
        if line.strip() and not line.startswith("#"):
            requirement = Requirement(line.split(" --hash")[0].strip())
            (pin,) = requirement.specifier
            assert pin.operator == "==", line
            assert "--hash=sha256:" in line, f"{requirement.name} has no hash"
            found.setdefault(canonicalize_name(requirement.name), []).append((pin.version, requirement.marker))
    return found


def unmet(project: dict, lock: dict[str, list[tuple[str, Marker | None]]]) -> list[str]:
    """Requirements of a project that the lock does not fulfil."""
    asked = [
        *project["project"]["dependencies"],
        *(one for group in project["dependency-groups"].values() for one in group),
    ]
    missing = []
    for requirement in map(Requirement, asked):
        versions = [version for version, _ in lock.get(canonicalize_name(requirement.name), [])]
        if not any(requirement.specifier.contains(version, prereleases=True) for version in versions):
            missing.append(str(requirement))
    return missing


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_lock_fulfils_the_project() -> None:
    assert unmet(project(), locked((ROOT / "requirements.lock").read_text())) == []


def test_a_changed_requirement_is_noticed() -> None:
    lock = locked((ROOT / "requirements.lock").read_text())
    asked = project()
    asked["project"]["dependencies"] += ["polars>=99", "never-heard-of"]
    assert unmet(asked, lock) == ["polars>=99", "never-heard-of"]


def test_lock_names_no_address() -> None:
    assert not re.search(r"https?://|file://|--index|--find-links| @ ", (ROOT / "requirements.lock").read_text())


def test_every_dependency_has_its_reason() -> None:
    asked = project()
    names = [
        canonicalize_name(Requirement(one).name)
        for one in [
            *asked["project"]["dependencies"],
            *(one for group in asked["dependency-groups"].values() for one in group),
        ]
    ]
    page = (ROOT / "docs" / "decisions.md").read_text()
    (table,) = re.findall(r"## Dependencies\n(.*?)\n## ", page, re.DOTALL)
    told = {name for row in table.splitlines() for name in re.findall(r"`([^`]+)`", row.partition(" | ")[0])}
    assert sorted(set(names) - told) == []
    assert sorted(told - set(names) - {"requirements.lock", "pyproject.toml"}) == []

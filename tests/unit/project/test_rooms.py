"""The order of the rooms: a module imports only from its own room and from rooms before it."""

import ast
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
#: The rooms in their order; of several that match a module the longest name counts. ``docs/architecture.md`` shows it.
ROOMS = (
    "ingest.errors",
    "ingest.code_texts",
    "ingest.shown",
    "ingest.settings",
    "ingest.barrier",
    "ingest.stripping",
    "ingest.contracts",
    "ingest.kernels",
    "ingest.database",
    "ingest.locks",
    "ingest.delivery",
    "ingest.readers",
    "ingest.landing",
    "ingest.ledger",
    "ingest.privacy",
    "ingest.validation",
    "ingest.staging",
    "ingest.delivery_run",
    "ingest.schema",
    "ingest.pipeline",
    "ingest.synthetic",
    "ingest",
    "expectations",
    "warehouse.whole_file",
    "warehouse.schema",
    "warehouse.local.server",  # every other room of the warehouse connects through it
    "warehouse.access",
    "warehouse.build",
    "warehouse.sharing",
    "warehouse.erasure",
    "warehouse.explanation",
    "warehouse.notifications",
    "warehouse.portal",
    "warehouse.documentation",
    "warehouse.local.preflight",
    "warehouse.workers",
    "warehouse.operations",
    "warehouse.orchestration",
    "warehouse.local",
    "warehouse.cli",
    "warehouse",
    "dags",
)


def modules() -> dict[str, Path]:
    """Every module of the code by its dotted name."""
    found = {}
    for top in {room.split(".")[0] for room in ROOMS}:
        for path in (ROOT / top).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, those within functions too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def position(module: str) -> int:
    """The position of a module's room in the order."""
    rooms = [room for room in ROOMS if module == room or module.startswith(f"{room}.")]
    return ROOMS.index(max(rooms, key=len))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_no_import_runs_back(module: str) -> None:
    later = {name for name in imports(MODULES[module]) if name in MODULES and position(name) > position(module)}
    assert later == set()


def test_there_is_no_circle() -> None:
    graph = {
        module: {name for name in imports(path) if name in MODULES and name != module}
        for module, path in MODULES.items()
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_every_room_exists() -> None:
    assert {room for room in ROOMS if room != "dags"} <= MODULES.keys()


def test_the_page_shows_the_rooms_in_their_order() -> None:
    page = (ROOT / "docs/architecture.md").read_text("utf-8")
    shown, folder = [], ""
    for line in page.split("```")[1].splitlines():
        if top := re.match(r" (\w+)/ ", line):
            folder = top[1]
            shown.append(folder)
        elif rooms := re.match(r"   (\w[\w./]*(?:, \w+)*) ", line):
            names = (name.removesuffix(".py").strip("/").replace("/", ".") for name in rooms[1].split(", "))
            shown += [f"{folder}.{name}" for name in names]
    folders = {room for room in ROOMS if "." not in room}
    beside = {"dbt_project", "bi"}  # a dbt project, and a room that nothing of these imports
    assert [room for room in shown if room not in folders | beside] == [room for room in ROOMS if room not in folders]
    assert [room for room in shown if room in folders] == ["ingest", "expectations", "warehouse", "dags"]
    assert set(shown) - set(ROOMS) == beside

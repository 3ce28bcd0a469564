"""``docs/add-a-feed.md`` walked on a copy of the project: a feed of a source that is there, and a new source with two.

Nothing else is touched; the new feeds are loaded by the DAGs' tasks, built, audited, published, and in the dictionary.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from ingest import contracts
from ingest.landing import tables
from ingest.settings import Settings
from tests import packages
from tests.made_up import column, person, rule, usual_row, write_feed, write_list, write_source

PROJECT = Path(__file__).parents[2]
PAGE = PROJECT / "docs" / "add-a-feed.md"
COPIED = ("ingest", "expectations", "warehouse", "dags", "dbt_project", "docs", "tests", "pyproject.toml")
#: What the project holds every feed, model and DAG to.
CHECKS = (
    "tests/unit/ingest/contracts/test_contracts.py",
    "tests/unit/warehouse/build/test_generated.py",
    "tests/unit/warehouse/documentation/test_dictionary.py",
    "tests/dags/test_dags.py",
    "tests/integration/dbt_project/test_project.py",
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def blocks() -> dict[str, str]:
    """The files that the page shows: the path stands before each."""
    found = re.findall(r"^`([\w/.]+)`[^\n]*\n\n```\w+\n(.*?)^```", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    return dict(found)


def staging(project: Path, source: str, name: str) -> None:
    """A staging model of a made-up feed, of all its columns, and its description."""
    feed = contracts.load(project / "ingest" / "contracts").feeds[source, name]
    renamed = {"person_sex": "person_sex as sex", "person_birth_year": "person_birth_year as birth_year"}
    columns = ",\n    ".join(renamed.get(one, one) for one in tables.columns(feed))
    folder = project / "dbt_project" / "models" / "staging" / source
    folder.mkdir(exist_ok=True)
    (folder / f"stg_{source}__{name}.sql").write_text(
        f"select\n    {columns}\nfrom {{{{ source('{source}', '{feed.table}') }}}}\n"
    )
    text = blocks()["dbt_project/models/staging/training/stg_training__apprenticeship.yml"]
    (folder / f"stg_{source}__{name}.yml").write_text(
        text.replace("stg_training__apprenticeship", f"stg_{source}__{name}"), "utf-8"
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The copy, with three more feeds."""
    project = tmp_path_factory.mktemp("walk") / "project"
    project.mkdir()
    made = shutil.ignore_patterns("__pycache__", "target", "logs")
    for name in COPIED:
        place = PROJECT / name
        shutil.copytree(place, project / name, ignore=made) if place.is_dir() else shutil.copy(place, project / name)
    for path, text in blocks().items():
        place = project / path
        before = place.read_text("utf-8") if place.exists() else ""
        assert not before or path.endswith("_lists.yaml"), f"{path} is there already"
        place.write_text(before + text, "utf-8")

    root = project / "ingest" / "contracts"
    write_source(root, "sport")
    write_list(root, "discipline", {"run": "跑步", "swim": "游泳"})
    club = [
        column("club_no", "identifier", key=True, role="organisation"),
        column("discipline", "code", codeList="discipline", codeMatch="open"),
        column("members", "integer"),
        column("women", "integer"),
    ]
    share = rule("women", kind="sum", left=["women"], op="<=", right=["members"])
    write_feed(root, "sport", "club", club, kind="register", rules=[share], tolerance="0")
    meeting = [column("meeting_no", "identifier", key=True), *person(required=False), column("held_in", "month")]
    known = rule("known", kind="together", columns=["name", "cert_type", "certno"])
    write_feed(root, "sport", "meeting", meeting, rules=[known])
    staging(project, "sport", "club")
    staging(project, "sport", "meeting")
    run(project, "-m", "warehouse.build.dbt_sources")
    run(project, "-m", "warehouse.documentation.dictionary")
    return project


def run(project: Path, *arguments: str, **environment: str) -> str:
    """Python in the copy."""
    found = subprocess.run(
        [sys.executable, *arguments],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project)} | environment,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, f"{found.stdout[-4000:]}\n{found.stderr[-4000:]}"
    return found.stdout


def test_what_the_project_demands_of_every_feed_holds(project: Path) -> None:
    run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", *CHECKS)


def test_new_feeds_are_loaded_built_audited_published_and_in_the_dictionary(
    project: Path, database: str, settings: Settings, tmp_path: Path
) -> None:
    known = contracts.load(project / "ingest" / "contracts").feeds
    inbox = tmp_path / "inbox"
    packages.snapshot(inbox, "membership-440000-2026-07", range(1, 4))
    agreements = [usual_row(known["training", "apprenticeship"], number) for number in range(71, 81)]
    packages.write(inbox, "training-440000-2026-07", {"apprenticeship": agreements})
    meetings = [usual_row(known["sport", "meeting"], number) for number in range(81, 84)]
    meetings[0] |= {"name": "", "cert_type": "", "certno": ""}
    files = {"club": [usual_row(known["sport", "club"], number) for number in range(3)], "meeting": meetings}
    packages.write(inbox, "sport-440000-2026-07", files, source="sport", mode="snapshot")
    # of a feed that tolerates nothing one row that stands there twice is too many
    packages.write(inbox, "sport-440000-wrong", {"club": [*files["club"], files["club"][0]]}, source="sport")
    environment = {
        "WAREHOUSE_DSN": database,
        "WAREHOUSE_HOME": str(settings.root),
        "WAREHOUSE_KEY": "test-key-" + "0" * 32,
        "WAREHOUSE_INBOX": str(inbox),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    told = run(project, "tests/dag_tasks.py", str(project / "dags"), **environment)
    assert told.splitlines()[-1] == "publish"

    with psycopg.connect(database) as conn:
        decided = dict(conn.execute("SELECT name, status || array_to_string(codes, ' ') FROM ops.delivery").fetchall())
        assert decided == {
            "membership-440000-2026-07": "accepted",
            "training-440000-2026-07": "accepted",
            "sport-440000-2026-07": "accepted",
            "sport-440000-wrong": "refusedD_TOLERANCE",
        }
        assert conn.execute("SELECT count(*) FROM core.apprenticeship WHERE started_in = '2026-01-01'").fetchone() == (
            10,
        )
        # 3 members, 10 apprentices, 2 of the 3 who came to meetings
        assert conn.execute("SELECT count(*) FROM core.person").fetchone() == (15,)
        assert conn.execute("SELECT count(*) FROM vault.person").fetchone() == (15,)
        labels = "SELECT code, list_label FROM core.code_label WHERE list = 'apprenticeship_outcome' ORDER BY code"
        assert conn.execute(labels).fetchall() == [("1", "学徒结果"), ("2", "学徒结果")]
        staged = "SELECT (SELECT count(*) FROM {}.stg_sport__club), (SELECT count(*) FROM {}.stg_sport__meeting)"
        (build,) = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone()  # type: ignore[misc]
        assert conn.execute(staged.format(*[f"{build}_staging"] * 2)).fetchone() == (3, 3)
        suites = {suite for (suite,) in conn.execute("SELECT DISTINCT suite FROM ops.validation_result")}
        assert {"sport_club", "sport_meeting", "training_apprenticeship"} <= suites
    dictionary = (project / "docs" / "dictionary.md").read_text("utf-8")
    for place in ("### core.apprenticeship", "#### training.apprenticeship", "#### sport.club", "#### sport.meeting"):
        assert place in dictionary

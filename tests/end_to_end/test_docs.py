"""What the guides promise: their SQL runs on a published sample, their commands do what they say."""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path

import psycopg
import pytest

from ingest import synthetic
from ingest.settings import Settings
from tests.metrics import Metrics
from warehouse import operations
from warehouse.build import dbt
from warehouse.local import server
from warehouse.portal import indicators

ROOT = Path(__file__).parents[2]
GUIDES = ("README.md", "README.zh-CN.md", "docs/analysts.md", "docs/analysts.zh-CN.md")


def blocks(path: str, language: str) -> list[str]:
    found = re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)
    assert found, f"{path} shows no {language}"
    return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A warehouse with a published sample, as `make run` leaves it, on a server of its own."""
    home = tmp_path_factory.mktemp("served")
    settings = Settings(home=home, inbox=str(home / "inbox"))
    synthetic.generate(home / "inbox", members=900, settlements=3000, dirty=False)
    operations.run(settings, lambda *_: None)
    yield settings  # type: ignore[misc]
    server.stop(settings)


def test_both_languages_ask_the_same_thirty_questions() -> None:
    english, chinese = blocks("docs/analysts.md", "sql"), blocks("docs/analysts.zh-CN.md", "sql")
    assert english == chinese
    assert len(english) == 30 + 2  # and the chain of training, by query and by mart


def test_every_question_has_an_answer(served: Settings) -> None:
    """Asked by the role that the guide names."""
    guide = (ROOT / "docs/analysts.md").read_text(encoding="utf-8")
    (listed,) = re.findall(r"^Questions ([0-9, and]+) read `casework`", guide, flags=re.MULTILINE)
    of_caseworkers = {int(number) for number in re.findall("[0-9]+", listed)}
    server.ensure_running(served)
    silent = []
    for number, query in enumerate(blocks("docs/analysts.md", "sql"), start=1):
        role = "caseworker" if number in of_caseworkers else "analyst"
        with psycopg.connect(server.database_dsn(served, "warehouse", role=role)) as conn:
            if not conn.execute(query).fetchall():
                silent.append(number)
    # A rate that fell three months in a row, an employer twice below the bound: few months need not have one.
    assert set(silent) <= {2, 9, 13, 18}


def test_every_example_query_of_a_table_has_an_answer(served: Settings) -> None:
    """As it stands in the comment of the table, asked by the role that reads it."""
    dsn = server.ensure_running(served)
    with psycopg.connect(dsn) as conn:
        comments = conn.execute(
            "SELECT schemaname, viewname, obj_description(format('%I.%I', schemaname, viewname)::regclass)"
            " FROM pg_views WHERE schemaname IN ('core', 'marts', 'casework') ORDER BY 1, 2"
        ).fetchall()
    assert len(comments) > 30
    silent = []
    for schema, name, comment in comments:
        query = textwrap.dedent("\n".join(line for line in comment.splitlines() if line.startswith("    ")))
        assert f"{schema}.{name}" in query, name
        role = "caseworker" if schema == "casework" else "analyst"
        with psycopg.connect(server.database_dsn(served, "warehouse", role=role)) as conn:
            if not conn.execute(query).fetchall():
                silent.append(name)
    assert silent == []


def test_every_metric_is_its_column_of_the_mart(served: Settings) -> None:
    """As MetricFlow compiles it, by month and region: each row of the mart, and none besides."""
    dsn = server.ensure_running(served)
    with psycopg.connect(dsn) as conn:
        [build] = conn.execute("SELECT build FROM ops.publication WHERE is_current").fetchone() or [""]
        metrics = Metrics(dbt.target(served, build) / "semantic_manifest.json")
        names = metrics.names()
        assert names == [one.code for one in indicators.read(conn)]
        compiled = conn.execute(metrics.sql(names, ["metric_time__month", "indicator_value__admdvs"])).fetchall()
        rows = conn.execute("SELECT indicator, month, admdvs, value FROM marts.reform_indicator").fetchall()
    published = {(name, month, admdvs): value for name, month, admdvs, value in rows if value is not None}
    computed = {
        (name, month.date(), admdvs): value
        for month, admdvs, *values in compiled
        for name, value in zip(names, values, strict=True)
        if value is not None
    }
    assert computed.keys() == published.keys()
    assert len({name for name, *_ in published}) > 25
    assert [key for key, value in published.items() if abs(computed[key] - float(value)) > 1e-6] == []


def distinct(language: str, guides: Iterable[str]) -> list[str]:
    """What the guides show in a language, each text once: those in Chinese show what those in English do."""
    return list(dict.fromkeys(block for guide in guides for block in blocks(guide, language)))


def test_commands_of_the_guides(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(served.root))
    monkeypatch.setenv("PATH", f"{server.bin_dir()}:/usr/local/bin:/usr/bin:/bin")
    for command in "".join(distinct("sh", GUIDES)).splitlines():
        if command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE), command
            continue  # `make run` and `make test` have tests of their own, and this is one of them
        command = command.replace(".warehouse/inbox", str(served.root / "inbox"))
        ran = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, input="\\q\n")
        assert ran.returncode == 0, f"{command}\n{ran.stderr}"


def test_the_notebook_draws_its_charts_on_one_page(
    served: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(served.root))
    page = tmp_path / "indicators.html"
    notebook = ROOT / "docs" / "notebooks" / "indicators.py"
    ran = subprocess.run([sys.executable, notebook, page], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    text = page.read_text("utf-8")
    assert text.count("Plotly.newPlot(") == 4
    drawn = re.findall(r"Plotly\.newPlot\(\s*\"[^\"]+\",\s*(\[.*?\]),\s*\{", text, flags=re.DOTALL)
    assert [chart for chart in drawn if len(chart) < 100] == []  # each has data
    assert not re.search(r"<script[^>]+src=", text)


def test_python_of_the_guides(served: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAREHOUSE_HOME", str(served.root))
    monkeypatch.chdir(ROOT)
    for block in distinct("python", ("docs/analysts.md", "docs/analysts.zh-CN.md")):
        exec(compile(block, "guide", "exec"), {})  # noqa: S102 - the guide's own example

"""Writes the pages of the portal. Those of packages that have not changed since are left as they are."""

import fcntl
import filecmp
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import plotly
import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from expectations import report
from ingest import code_texts, contracts
from ingest.code_texts import Text
from ingest.contracts import Contracts
from ingest.database import connect
from warehouse import explanation, whole_file
from warehouse.portal import catalogue, charts, indicators, ledger, texts
from warehouse.portal.ledger import Arrival

_HERE = Path(__file__).parent
#: What the page of a package is made of: with another of these, all of them are written again.
_CODE = (*_HERE.rglob("*.*"), Path(explanation.__file__), Path(report.__file__), code_texts.TEXTS)
#: Beside the pages: the version of each page of a package.
_VERSIONS = ".versions.json"
#: How many packages the page of the latest ones lists, and how many refusals the first page explains.
LATEST, REFUSED = 300, 20
BEIJING = ZoneInfo("Asia/Shanghai")
#: Sections of the portal, in the order of the navigation: name, page, title.
NAVIGATION = (
    ("today", "index.html", "今日概况", "Today"),
    ("deliveries", "deliveries/index.html", "数据包", "Deliveries"),
    ("indicators", "indicators.html", "改革指标", "Indicators"),
    ("tables", "tables/index.html", "数据目录", "Tables"),
    ("codes", "codes.html", "代码表", "Codes"),
    ("dbt", "dbt.html", "dbt", "dbt"),
    ("airflow", "airflow.html", "Airflow", "Airflow"),
)
#: How a month of the calendar is marked.
SYMBOLS = {
    "accepted": {"sign": "✓", "text": Text(zh="已接收", en="Accepted")},
    "superseded": {"sign": "↻", "text": Text(zh="已被取代", en="Superseded")},
    "received": {"sign": "…", "text": Text(zh="未处理", en="Not decided")},
    "set_aside": {"sign": "‖", "text": Text(zh="已搁置，不再自动重试", en="Set aside, no pass tries it")},
    "withdrawn": {"sign": "↩", "text": Text(zh="已撤回", en="Withdrawn")},
    "refused": {"sign": "✗", "text": Text(zh="只有被退回的数据包", en="Refused, nothing else came")},
    "missing": {"sign": "!", "text": Text(zh="应报未报", en="Owed, nothing came")},
    "none": {"sign": "·", "text": Text(zh="不应报送", en="Nothing is owed")},
}
CLASSES = {
    "public": Text(zh="公开", en="Public"),
    "internal": Text(zh="内部", en="Internal"),
    "personal": Text(zh="个人信息", en="Personal"),
    "health": Text(zh="健康信息", en="Health"),
    "direct_identifier": Text(zh="直接标识", en="Direct identifier"),
}


def write(dsn: str, folder: Path) -> Path:
    """Write the portal into a folder.

    Args:
        dsn: libpq connection string of a role that reads ``ops`` and ``marts``.
        folder: Where the pages go; made when missing.

    Returns:
        The first page.
    """
    portal = _Portal(folder, contracts.load())
    folder.mkdir(parents=True, exist_ok=True)
    with _one_writer(folder), connect(dsn) as conn, conn.transaction():
        portal.copy_static()
        conn.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")  # all pages tell of the same moment
        packages = ledger.arrivals(conn)
        portal.write_today(conn, packages)
        portal.write_deliveries(conn, packages)
        portal.write_builds(conn)
        tables = catalogue.read(conn, portal.contracts)
        portal.write_tables(tables)
        portal.write_indicators(conn, has_table=any(table.relation == indicators.TABLE for table in tables))
    return folder / "index.html"


@contextmanager
def _one_writer(folder: Path) -> Iterator[None]:
    """Wait until no other process writes the pages, so that those of the later moment are the ones that stay."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@dataclass(frozen=True)
class _Portal:
    """The folder of the pages, and what all of them need."""

    folder: Path
    contracts: Contracts

    def copy_static(self) -> None:
        """Style, script and plotly.js: the only files that pages load."""
        (self.folder / "static").mkdir(parents=True, exist_ok=True)
        for path in (*(_HERE / "static").iterdir(), Path(plotly.__file__).parent / "package_data" / "plotly.min.js"):
            target = self.folder / "static" / path.name
            if not target.exists() or not filecmp.cmp(path, target, shallow=False):
                with whole_file.replaced(target) as file:
                    file.write(path.read_bytes())

    def write_today(self, conn: psycopg.Connection, packages: list[Arrival]) -> None:
        """The first page: what came, what is late, what was refused, what is published, how much."""
        owed = ledger.missing(conn)
        refused = [package for package in packages if package.state == "refused"][:REFUSED]
        volumes = [volume for volume in ledger.volumes(conn) if volume.source in self.sources]
        self._write(
            "index.html",
            "today.html",
            here="today",
            title=Text(zh="今日概况", en="Today at a glance"),
            charts=bool(volumes),
            packages=packages,
            counts=Counter(package.state for package in packages),
            owed=owed,
            refused=[(package, explanation.explain_arrival(conn, package.arrival_id)) for package in refused],
            publications=ledger.publications(conn),
            builds=report.builds(conn),
            calendars=ledger.calendars(packages, owed, self.contracts.sources),
            volumes=volumes,
            **_trends(volumes, self.sources),
        )
        for name, title in (("airflow", "Airflow"), ("dbt", "dbt")):
            if name == "airflow" or not (self.folder / "dbt.html").exists():
                self._write(f"{name}.html", f"{name}.html", here=name, title=Text(zh=title, en=title))

    def write_deliveries(self, conn: psycopg.Connection, packages: list[Arrival]) -> None:
        """The lists of packages, and a page for each package."""
        lists = {"index": packages[:LATEST], "refused": [package for package in packages if package.state == "refused"]}
        titles = {
            "index": Text(zh="最近的数据包", en="The latest packages"),
            "refused": Text(zh="已退回的数据包", en="Refused packages"),
        }
        for source, text in self.sources.items():
            lists[f"source-{source}"] = [package for package in packages if package.source == source]
            titles[f"source-{source}"] = text
        for name, chosen in lists.items():
            self._write(
                f"deliveries/{name}.html", "deliveries.html", here="deliveries", title=titles[name], packages=chosen
            )
        versions_file, code = self.folder / "deliveries" / _VERSIONS, _code_version()
        before = json.loads(versions_file.read_text(encoding="utf-8")) if versions_file.exists() else {}
        versions = {str(package.arrival_id): f"{code} {package.version}" for package in packages}
        for package in packages:
            number = str(package.arrival_id)
            if before.get(number) != versions[number] or not (self.folder / package.page).exists():
                self._write_delivery(conn, package)
        _remove_others(self.folder / "deliveries", {*lists, *versions})
        _replace(versions_file, json.dumps(versions))

    def _write_delivery(self, conn: psycopg.Connection, package: Arrival) -> None:
        self._write(
            package.page,
            "delivery.html",
            here="deliveries",
            title=Text(zh=f"数据包 {package.name}", en=f"Package {package.name}"),
            explained=explanation.explain_arrival(conn, package.arrival_id),
            state=package.state,
            results=report.of_delivery(conn, package.arrival_id),
        )

    def write_builds(self, conn: psycopg.Connection) -> None:
        """A page for the last audit of each build."""
        builds = report.builds(conn)
        for build in builds:
            title = Text(zh=f"构建 {build.build} 的校验", en=f"Checks of {build.build}")
            self._write(
                f"builds/{build.build}.html",
                "build.html",
                here="today",
                title=title,
                build=build,
                results=report.of_build(conn, build),
            )

    def write_tables(self, tables: list[catalogue.Table]) -> None:
        """The catalogue of published tables, a page for each, and the code lists."""
        title = Text(zh="数据目录", en="Published tables")
        self._write("tables/index.html", "tables.html", here="tables", title=title, tables=tables)
        for table in tables:
            name = Text(zh=table.relation, en=table.relation)
            self._write(table.page, "table.html", here="tables", title=name, table=table)
        _remove_others(self.folder / "tables", {"index", *(table.relation for table in tables)})
        lists = catalogue.code_lists(self.contracts, tables)
        self._write("codes.html", "codes.html", here="codes", title=Text(zh="代码表", en="Code lists"), lists=lists)

    def write_indicators(self, conn: psycopg.Connection, *, has_table: bool) -> None:
        """The indicators of the reform as charts."""
        found = indicators.read(conn)
        self._write(
            "indicators.html",
            "indicators.html",
            here="indicators",
            title=Text(zh="改革指标", en="Indicators of the reform"),
            charts=any(indicator.chart for indicator in found),
            indicators=found,
            has_table=has_table,
        )

    @property
    def sources(self) -> dict[str, Text]:
        """Titles of the sources by name."""
        files = self.contracts.source_files
        return {name: Text(zh=files[name].title_zh, en=files[name].title) for name in self.contracts.sources}

    def _write(self, path: str, template: str, **values: Any) -> None:
        page = _ENVIRONMENT.get_template(template).render(
            root="../" * path.count("/"),
            sources=self.sources,
            written_at=datetime.now(UTC),
            **{"charts": False, **values},
        )
        _replace(self.folder / path, page)


def _trends(volumes: list[ledger.Volume], sources: Mapping[str, Text]) -> dict[str, charts.Chart]:
    """Rows and shares of rejected rows by month and source."""
    months = sorted({volume.period for volume in volumes})
    by_source = {name: [volume for volume in volumes if volume.source == name] for name in sources}
    read = [(text, {volume.period: volume.read for volume in by_source[name]}) for name, text in sources.items()]
    rejected = [
        (text, {volume.period: volume.rejected / volume.read for volume in by_source[name] if volume.read})
        for name, text in sources.items()
    ]
    return {
        "volume_chart": charts.bars(months, read),
        "rejection_chart": charts.lines(months, rejected, is_share=True),
    }


def _code_version() -> str:
    """Hash of the code and the texts that make the page of a package."""
    digest = hashlib.sha256()
    for path in sorted(path for path in _CODE if path.suffix != ".pyc"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _replace(path: Path, text: str) -> None:
    """Write a file at once: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    whole_file.write_text(path, text)


def _remove_others(folder: Path, names: set[str]) -> None:
    """Remove the pages of a folder that nothing is written to any more."""
    for path in folder.glob("*.html"):
        if path.stem not in names:
            path.unlink(missing_ok=True)


def _number(value: float | None) -> str:
    """A number with thousands separated; whole numbers without decimals."""
    if value is None:
        return "—"
    return f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"


@lru_cache(maxsize=4096)
def _in_both(zh: str, en: str) -> Markup:
    """A text in both languages; the style sheet shows the one that the reader has chosen."""
    return Markup('<span class="zh" lang="zh-CN">{}</span><span class="en" lang="en">{}</span>').format(
        _with_code(zh), _with_code(en)
    )


def _with_code(text: str) -> Markup:
    """A text with what stands in backticks as code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped before


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("warehouse.portal", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["local"] = lambda at: at.astimezone(BEIJING).strftime("%Y-%m-%d %H:%M")
    environment.filters["region"] = texts.region
    environment.filters["as_line"] = explanation.as_line
    environment.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "sort_keys": True}
    environment.globals.update(
        t=_in_both,
        both=lambda text: _in_both(text.zh, text.en),
        navigation=NAVIGATION,
        states=texts.STATES,
        severities=texts.SEVERITIES,
        symbols=SYMBOLS,
        classes=CLASSES,
    )
    return environment


_ENVIRONMENT = _environment()

"""The pages: links that lead somewhere, both languages, no other host, nothing of persons."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from ingest import contracts, shown
from ingest.settings import Settings
from tests.integration.warehouse.portal.conftest import REJECTED, SECRET
from tests.packages import certno
from warehouse.portal import pages

CHINESE = re.compile("[\u4e00-\u9fff]")
#: What is data or code stands in these; everything else is text for readers, in both languages.
NOT_TEXT = {"code", "pre", "time", "script", "style", "title"}
VOID = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """Links, ids, and texts with the language that they stand in."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.texts: list[tuple[str | None, str]] = []
        self.bare: list[str] = []
        self._open: list[tuple[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.links += [value for name in ("href", "src") if (value := values.get(name))]
        self.ids += [value for value in [values.get("id")] if value]
        language = values.get("class") if values.get("class") in ("zh", "en") else None
        if language:
            self.texts.append((language, ""))
        if tag not in VOID:
            self._open.append((tag, language))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        languages = [language for _, language in self._open if language]
        if languages:
            self.texts[-1] = (languages[-1], self.texts[-1][1] + data)
        elif not NOT_TEXT & {tag for tag, _ in self._open} and re.search("[A-Za-z\u4e00-\u9fff]", data):
            self.bare.append(data.strip())


@pytest.fixture(scope="module")
def every_page(portal: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in portal.rglob("*.html")}


def test_there_is_a_page_for_everything(portal: Path, every_page: dict[Path, Page]) -> None:
    names = {str(path.relative_to(portal)) for path in every_page}
    assert {"index.html", "deliveries/index.html", "deliveries/refused.html", "indicators.html", "codes.html"} <= names
    assert {"tables/index.html", "tables/marts.reform_indicator.html", "tables/core.person.html"} <= names
    assert {f"deliveries/source-{source}.html" for source in contracts.load().sources} <= names
    assert {"dbt.html", "airflow.html", "builds/build_a.html"} <= names
    assert len([name for name in names if re.fullmatch(r"deliveries/\d+\.html", name)]) == 7


def test_every_link_leads_to_a_page_and_none_to_another_host(every_page: dict[Path, Page]) -> None:
    wrong = []
    for path, page in every_page.items():
        for link in page.links:
            parts = urlsplit(link)
            if link == "data:,":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            is_known = not parts.scheme and not parts.netloc and target.is_file()
            if is_known and parts.fragment and not parts.fragment.startswith("!"):
                is_known = parts.fragment in every_page[target].ids
            if not is_known:
                wrong.append(f"{path.name}: {link}")
    assert wrong == []
    for path in every_page:
        assert not re.search(r"https?://|@import|url\(", path.read_text("utf-8")), path


def test_an_id_stands_once(every_page: dict[Path, Page]) -> None:
    assert [path.name for path, page in every_page.items() if len(page.ids) != len(set(page.ids))] == []


def test_every_text_is_in_both_languages(every_page: dict[Path, Page]) -> None:
    for path, page in every_page.items():
        assert page.bare == [], path
        chinese, english = page.texts[::2], page.texts[1::2]
        assert {language for language, _ in chinese} == {"zh"}, path
        assert {language for language, _ in english} == {"en"}, path
        pairs = [(zh, en) for (_, zh), (_, en) in zip(chinese, english, strict=True) if (zh, en) != ("English", "中文")]
        assert len(pairs) == len(chinese) - 1, "one switch a page"
        wrong = [(zh, en) for zh, en in pairs if not (zh and en) or CHINESE.search(en)]
        # What is the same in both is a name: of a sender that no list knows, of a table, of a program.
        wrong += [(zh, en) for zh, en in pairs if zh != en and not re.search("[\u3000-\u9fff\uff00-\uffef]", zh)]
        assert wrong == [], path


def test_nothing_of_persons_is_on_any_page(portal: Path) -> None:
    everything = "".join(
        path.read_text("utf-8", errors="replace") for path in portal.rglob("*.*") if path.suffix != ".js"
    )
    for secret in (SECRET, REJECTED, certno(11), certno(21), "测试11", "2026-99-99"):
        assert secret not in everything


def page_of(portal: Path, name: str) -> str:
    """The page of the package with this name, found through the list."""
    listed = (portal / "deliveries" / "index.html").read_text("utf-8")
    [number] = re.findall(rf'href="\.\./deliveries/(\d+)\.html"><code>{re.escape(name)}</code>', listed)
    return (portal / "deliveries" / f"{number}.html").read_text("utf-8")


def test_a_refused_delivery_is_listed_with_its_reason_in_words(portal: Path) -> None:
    today = (portal / "index.html").read_text("utf-8")
    assert shown.location("<b>broken.zip").removesuffix(".zip") in today
    assert "broken.zip" not in today
    assert "<b>" not in today
    assert "D_HEADER [enrolment.csv]: the required column started_on" in today.replace("&#39;", "'")
    assert "必备列缺失或重复" in today
    page = page_of(portal, "bad")
    assert "D_HEADER [enrolment.csv]" in page
    assert "Add the column to the header" in page


def test_a_page_shows_bounds_and_observed_values(portal: Path) -> None:
    page = page_of(portal, "members")
    assert "D_EXPECTATION" in page
    assert "30%" in page
    assert "实测" in page
    assert "Observed" in page


def test_a_package_that_repeats_a_name_has_a_page_of_its_own(portal: Path) -> None:
    listed = (portal / "deliveries" / "source-training.html").read_text("utf-8")
    pages_of_the_name = re.findall(r'deliveries/(\d+)\.html"><code>training-440000-2026-07<', listed)
    texts = [(portal / "deliveries" / f"{number}.html").read_text("utf-8") for number in pages_of_the_name]
    assert sum("D_NAME_REUSED" in text for text in texts) == 1
    assert sum("内容此前已报送" in text for text in texts) == 1
    assert sum("E_CODE" in text for text in texts) == 1


def test_the_calendar_shows_what_is_late(portal: Path) -> None:
    today = (portal / "index.html").read_text("utf-8")
    assert "应报未报" in today
    assert "calendar-training" in today


def test_a_table_has_its_columns_query_lineage_and_codes(portal: Path) -> None:
    page = (portal / "tables" / "core.enrolment.html").read_text("utf-8")
    assert "training.enrolment" in page
    assert 'href="../codes.html#training_type"' in page
    assert "<pre><code>select" in page
    assert "dbt.html#!/model/model.warehouse.enrolment" in page
    assert 'href="../tables/core.member_month.html"' in page
    assert 'href="../tables/core.enrolment.html"' in (portal / "tables" / "core.member_month.html").read_text("utf-8")


def test_an_indicator_without_rows_is_listed_all_the_same(portal: Path) -> None:
    page = (portal / "indicators.html").read_text("utf-8")
    assert page.count("data-chart=") == 1
    assert "入会率" in page
    assert "Joining rate" in page
    assert "尚无数据" in page


def test_the_last_month_stands_beside_its_target_and_the_year_before(portal: Path) -> None:
    page = (portal / "indicators.html").read_text("utf-8")
    rows = [row.split("</tr>")[0] for row in page.split("<tr><td>")[1:]]
    [country], [province], [without] = (
        [row for row in rows if name in row] for name in ("Whole country", "Guangdong", "Beijing")
    )
    assert "0.550" in country
    assert "0.700" in country
    assert "not reached" in country
    assert "reached" in province.replace("not reached", "")
    assert "reached" not in without


@pytest.fixture
def empty(warehouse: psycopg.Connection, database_dsn: str, settings: Settings) -> Path:
    pages.write(database_dsn, settings.root / "docs")
    return settings.root / "docs"


def test_an_empty_warehouse_has_pages_too(empty: Path) -> None:
    assert "尚未发布" in (empty / "index.html").read_text("utf-8")
    assert "尚未收到数据包" in (empty / "index.html").read_text("utf-8")


def test_only_pages_of_packages_that_changed_are_written_again(
    warehouse: psycopg.Connection, database_dsn: str, settings: Settings
) -> None:
    folder = settings.root / "docs"
    for number in (1, 2):
        warehouse.execute(
            "INSERT INTO ops.arrival (location, fingerprint, name) VALUES (%s, 'x', %s)", [f"p{number}", f"n{number}"]
        )
    pages.write(database_dsn, folder)
    one, two = sorted((folder / "deliveries").glob("[0-9]*.html"))
    before = one.stat().st_mtime_ns, two.stat().st_mtime_ns
    warehouse.execute(
        "UPDATE ops.arrival SET status = 'refused', codes = '{D_ROWS}', decided_at = now() WHERE name = 'n2'"
    )
    pages.write(database_dsn, folder)
    assert one.stat().st_mtime_ns == before[0]
    assert two.stat().st_mtime_ns > before[1]
    (folder / "deliveries" / "999.html").write_text("of a database that is no more")
    two.unlink()
    pages.write(database_dsn, folder)
    assert two.exists()
    assert not (folder / "deliveries" / "999.html").exists()

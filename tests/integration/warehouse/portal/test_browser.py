"""The pages in a browser: no error, no request to another host, the switch of languages, a phone, accessibility."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, sync_playwright
from playwright.sync_api import Page as Tab

from warehouse.local import portal_server

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
if CHROMIUM is None:
    pytest.skip("chromium is not installed", allow_module_level=True)

PAGES = ("index.html", "deliveries/index.html", "deliveries/1.html", "indicators.html", "tables/index.html",
    "tables/core.enrolment.html", "codes.html", "builds/build_a.html", "dbt.html")  # fmt: skip
#: Width of the narrowest phone.
PHONE = 320
#: WCAG 2.2, A and AA, and what axe calls best practice: one h1, everything in a landmark, order of headings.
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        # Root may not use Chromium's sandbox; the pages are ours.
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def address(portal: Path) -> Iterator[str]:
    with portal_server.serving(portal, 0, "http://127.0.0.1:9/") as address:
        yield address


@pytest.fixture
def faults() -> list[str]:
    """What the browser complains of; none is left at the end of a test that passes."""
    return []


@pytest.fixture
def tab(browser: Browser, address: str, faults: list[str]) -> Iterator[Tab]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.on("console", lambda message: faults.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("requestfailed", lambda request: faults.append(f"failed: {request.url}"))
    page.on(
        "request",
        lambda request: None if request.url.startswith((address, "data:")) else faults.append(f"other: {request.url}"),
    )
    yield page
    context.close()
    assert faults == []


def draw_all(tab: Tab) -> None:
    """Draw the charts that are not in sight."""
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")


def visible(tab: Tab) -> str:
    return str(tab.inner_text("body"))


@pytest.mark.parametrize("path", PAGES)
def test_a_page_has_no_error_and_no_wrong_of_accessibility_in_either_language(
    tab: Tab, address: str, path: str
) -> None:
    tab.goto(f"{address}/{path}")
    draw_all(tab)
    tab.evaluate(
        "document.querySelectorAll('tbody tr:nth-child(n+6)').forEach(row => row.remove())"
    )  # more of the same
    for _ in range(2):
        found = Axe().run(tab, options={"runOnly": RULES, "resultTypes": ["violations"]}).response
        assert [(one["id"], [node["html"][:200] for node in one["nodes"][:3]]) for one in found["violations"]] == []
        assert len(found["passes"]) > 10
        tab.click("#language")


def test_the_language_switches_and_is_remembered(tab: Tab, address: str) -> None:
    tab.goto(f"{address}/index.html")
    assert tab.title() == "今日概况 · 工会智慧数据库"
    assert tab.evaluate("document.documentElement.lang") == "zh-CN"
    assert "发布" in visible(tab)
    assert "What is published" not in visible(tab)
    tab.click("#language")
    assert tab.title() == "Today at a glance · Union data warehouse"
    assert "What is published" in visible(tab)
    assert "最近到达" not in visible(tab)
    with tab.expect_navigation():
        tab.click("text=Deliveries")
    assert tab.evaluate("document.documentElement.lang") == "en"
    assert "The latest packages" in visible(tab)


def test_charts_are_drawn_and_follow_the_language(tab: Tab, address: str) -> None:
    tab.goto(f"{address}/indicators.html")
    draw_all(tab)
    legend = tab.locator(".legendtext")
    assert legend.all_text_contents() == ["全国", "北京市", "广东省", "目标"]
    tab.click("#language")
    assert legend.all_text_contents() == ["Whole country", "Beijing", "Guangdong", "Target"]


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_scrolling_sideways(tab: Tab, address: str, path: str) -> None:
    tab.set_viewport_size({"width": PHONE, "height": 800})
    tab.goto(f"{address}/{path}")
    draw_all(tab)
    for _ in range(2):
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE
        tab.click("#language")


def test_the_filter_leaves_rows_with_all_words(tab: Tab, address: str) -> None:
    tab.goto(f"{address}/tables/index.html")
    tab.fill("#filter", "reform INDICATOR")
    rows = tab.locator("#tables tbody tr:visible")
    assert rows.count() >= 1
    assert all("reform_indicator" in text for text in rows.all_text_contents())


def test_paper_shows_the_content_without_navigation(tab: Tab, address: str) -> None:
    tab.goto(f"{address}/index.html")
    tab.emulate_media(media="print")
    assert not tab.is_visible("nav")
    assert tab.is_visible("h1")
    assert len(tab.pdf()) > 1000

"""Reports of 3, 80 and 365 classes in a browser: their pictures are kept, for people to look at."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from classlift.gate.outcome import copy_report
from tests.classlift.gate.reports import CASES, INCONCLUSIVE, REFUSE, write_case
from tests.servers import program

pytestmark = pytest.mark.e2e
BY_HAND = "refuse_80_pushed_by_hand"
MOST_ELEMENTS = 20_000
"""Of a page, which decides how long it takes to open: 13,500 took less than three seconds."""


@pytest.fixture(scope="module")
def reports(tmp_path_factory) -> dict[str, Path]:
    """The report of each case, and one of a refused model that somebody pushed, by their names."""
    folder = tmp_path_factory.mktemp("reports")
    for case in CASES:
        assert write_case(case, folder / case.name).verdict == case.name.split("_")[0]
    (folder / BY_HAND).mkdir()
    copy_report(
        folder / REFUSE.name / "report.html",
        folder / BY_HAND / "report.html",
        "served/8, by Ada against the verdict: no teddy bears on our streets",
        is_pushed=True,
    )
    return {name: folder / name / "report.html" for name in (*(c.name for c in CASES), BY_HAND)}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = program("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        yield browser
        browser.close()


def test_pages_are_small_and_fit_each_screen(reports, browser):
    for name, path in reports.items():
        assert path.stat().st_size < 2_000_000, name
        for width in (1280, 480):
            for scheme in ("light", "dark"):
                page = browser.new_page(
                    viewport={"width": width, "height": 900}, color_scheme=scheme
                )
                page.goto(path.as_uri())
                beyond = page.evaluate("document.documentElement.scrollWidth - innerWidth")
                assert beyond <= 0, f"{name} is wider than {width} pixels"
                sentence = page.locator(".decides").bounding_box()
                assert sentence["y"] + sentence["height"] < 900, "it decides, and is not seen"
                picture = path.with_name(f"{name}_{width}_{scheme}")
                page.screenshot(path=f"{picture}.png")
                page.screenshot(path=f"{picture}_whole.png", full_page=True)
                elements = page.evaluate("document.querySelectorAll('*').length")
                assert elements < MOST_ELEMENTS, name
                page.close()


def test_once_it_is_pushed_the_next_step_is_the_way_back(reports, browser):
    page = browser.new_context(java_script_enabled=False).new_page()
    for name, is_pushed in ((REFUSE.name, False), (BY_HAND, True)):
        page.goto(reports[name].as_uri())
        assert page.get_by_text("Push it all the same").is_visible() is not is_pushed
        assert page.get_by_text("Serve the version before again").is_visible() is is_pushed


def test_where_no_script_runs_pictures_enlarge_and_rows_unfold(reports, browser):
    """As on Airflow's pages, whose policy forbids scripts."""
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(reports[INCONCLUSIVE.name].as_uri())
    picture = page.locator(".gallery img").first
    before = picture.bounding_box()["width"]
    picture.click()
    assert picture.bounding_box()["width"] > 2 * before
    picture.click()
    assert picture.bounding_box()["width"] == before
    last = page.get_by_text("object 355", exact=True).first
    assert not last.is_visible()
    page.locator("details.more summary").first.click()
    assert last.is_visible()


def test_where_scripts_run_a_class_is_searched(reports, browser):
    page = browser.new_page()
    page.goto(reports[REFUSE.name].as_uri())
    page.fill("input.search", "object 70")
    shown = page.locator("table.classes tbody tr:visible td:first-child").all_text_contents()
    assert set(shown) == {"scooter", "object 70"}

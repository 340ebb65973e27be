"""The HTML page of a report in a real Chromium: it filters, sorts, expands, prints, and is read in any way.

It is the browser of the machine (Debian's package ``chromium``), driven by Playwright.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from croissant_recipes.render import html_report
from croissant_recipes.report import Report
from tests.croissants import Given
from tests.reviewed import manifest, pickable, picks, report_of, tomogram
from tests.test_html_report import changed, hostile

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

PATIENCE = 30_000
"""Milliseconds: a machine may have much else to do."""

expect.set_options(timeout=PATIENCE)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium")

REMOVED, ADDED, CHANGED, RUNS = 3_000, 2_000, 4_950, 50


def large() -> Report:
    """10,000 rows that differ: of 50 runs that move to other splits, and picks and tomograms."""
    runs = [f"TS_{i:03}" for i in range(RUNS)]

    def many(name: str, n: int, digest: str = "") -> list[dict[str, Any]]:
        return [picks(runs[i % RUNS], name, session_id=str(i), sha256=digest and f"{digest}{i}") for i in range(n)]

    tomograms = [tomogram(runs[i % RUNS], 4.0 + i // RUNS) for i in range(ADDED)]
    before: Given = {
        "runs": [{"name": run, "split": "train"} for run in runs],
        "picks": [*many("virus", REMOVED), *many("ribosome", CHANGED, "old")],
    }
    after: Given = {
        "runs": [{"name": run, "split": "val"} for run in runs],
        "picks": many("ribosome", CHANGED, "new"),
        "tomograms": tomograms,
    }
    return report_of(
        (before, manifest(pickable("ribosome", 1), pickable("virus", 2))),
        (after, manifest(pickable("ribosome", 1), version="2.0.0")),
    )


@dataclass
class Seen:
    """What a page did beside being shown."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    found = {"small": [changed()], "large": [large()], "hostile": [hostile(), changed()]}
    for name, reports in found.items():
        (folder / f"{name}.html").write_text(html_report.page(reports), encoding="utf-8")
    return {name: folder / f"{name}.html" for name in found}


@pytest.fixture
def show(browser: Browser, files: dict[str, Path]) -> Iterator[Callable[..., Page]]:
    """Opens a page. It may ask for nothing but itself, and nothing may go wrong in it."""
    seen, contexts = Seen(), []

    def opened(name: str, **given: Any) -> Page:
        context = browser.new_context(
            **{"viewport": {"width": 1280, "height": 900}, "reduced_motion": "reduce", **given}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: seen.requests.append(request.url))
        page.on("console", lambda message: seen.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (seen.complaints.append("a dialog"), dialog.dismiss()))
        page.goto(files[name].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert seen.complaints == []
    assert set(seen.requests) <= {path.as_uri() for path in files.values()}


def rows(page: Page) -> Locator:
    return page.locator("table.changes > tbody > tr")


def counted(page: Page, shown: str) -> None:
    expect(page.locator(".rows .dt-info")).to_have_text(shown)


def column(page: Page, label: str) -> list[str]:
    return page.locator(f'table.changes td[data-label="{label}"]').all_inner_texts()


def choose(page: Page, label: str, value: str) -> None:
    page.locator(".rows .tools").get_by_label(label).select_option(value)


def test_ten_thousand_rows_are_filtered_searched_sorted_and_printed(show: Callable[..., Page]) -> None:
    page = show("large")
    counted(page, "1 to 25 of 10,000 rows")
    expect(rows(page)).to_have_count(25)

    choose(page, "Change", "removed")
    counted(page, "1 to 25 of 3,000 rows (of 10,000)")
    page.locator(".rows").get_by_label("Search").fill("TS_007 virus")
    counted(page, "1 to 25 of 60 rows (of 10,000)")
    page.get_by_role("button", name="All rows").click()
    counted(page, "1 to 25 of 10,000 rows")
    choose(page, "Record set", "tomograms")
    counted(page, "1 to 25 of 2,000 rows (of 10,000)")

    size = page.locator("table.changes thead").get_by_role("button", name="voxel size")
    size.click()
    page.locator(".rows .dt-length select").select_option("500")
    expect(rows(page)).to_have_count(500)
    sizes = column(page, "Voxel size")
    assert list(dict.fromkeys(sizes)) == ["4", "5", "6", "7", "8", "9", "10", "11", "12", "13"]
    size.press("Enter")
    assert set(column(page, "Voxel size")[:RUNS]) == {"43"}
    page.locator(".rows").get_by_label("Last").click()
    counted(page, "1,501 to 2,000 of 2,000 rows (of 10,000)")

    page.get_by_role("button", name="All rows").click()
    page.locator(".rows .dt-length select").select_option("25")
    choose(page, "Class", "split-unsafe")
    counted(page, "1 to 25 of 50 rows (of 10,000)")
    assert set(column(page, "Differs")) == {"split train -> val"}
    page.evaluate("""() => addEventListener('beforeprint', () => {
        window.printed = [document.querySelectorAll('table.changes > tbody > tr').length,
                          document.querySelectorAll('details:not([open])').length];
    })""")
    pdf = page.pdf(format="A4")
    assert page.evaluate("window.printed") == [50, 0], "all that the filters leave, and all that is folded"
    # What was changed for the print is changed back after it, which a browser does not wait for.
    expect(rows(page)).to_have_count(25)
    expect(page.locator("details[open]")).to_have_count(0)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 1
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator(".rows .tools")).to_be_hidden()


def test_groups_lead_to_rows_and_rows_expand_by_keyboard(show: Callable[..., Page]) -> None:
    page = show("small")
    badges = page.locator("table.groups tbody .badge")
    expect(badges.first).to_have_text("split-unsafe")
    by_class = page.locator("table.groups thead").get_by_role("button", name="class")
    by_class.press("Enter")
    expect(badges.first).to_have_text("additive")
    expect(badges.last).to_have_text("split-unsafe")

    group = page.locator("table.groups tbody tr").filter(has_text="removed")
    group.locator("summary").press("Enter")
    expect(group.locator("details li")).to_have_text(["TS_3, ada, 1, virus", "TS_4, ada, 1, virus"])
    group.get_by_role("button", name="Show in the table").press("Enter")
    counted(page, "1 to 2 of 2 rows (of 7)")
    assert column(page, "Run") == ["TS_3", "TS_4"]
    expect(page.locator(".rows").get_by_label("Search")).to_be_focused()

    page.get_by_role("button", name="All rows").click()
    choose(page, "Change", "renamed")
    button = page.get_by_role("button", name="All columns").first
    button.press("Enter")
    expect(button).to_have_attribute("aria-expanded", "true")
    details = page.locator("td.child")
    expect(details.get_by_role("row", name="object_name")).to_have_text("object_namevirus → capsid")
    expect(details.get_by_role("row", name="user_id")).to_have_text("user_idada")
    button.press("Space")
    expect(button).to_have_attribute("aria-expanded", "false")
    expect(details).to_have_count(0)


def test_it_is_walked_by_keyboard(show: Callable[..., Page]) -> None:
    """Every stop is seen, and has a name."""
    page = show("small")
    stops = []
    while (stop := (page.keyboard.press("Tab"), page.evaluate(_FOCUSED))[1])[0] != "BODY":
        stops.append(stop)
    assert stops[0][1] == "To the first result"
    names = {name for _, name, _, _ in stops}
    assert {"Dark", "Search", "Change", "All rows", "All columns", "Numbers", "Show in the table"} <= names
    assert [stop for stop in stops if not stop[1] or stop[2] == "none" or not stop[3]] == []


_FOCUSED = """() => {
    const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
    const label = at.id && document.querySelector(`label[for="${at.id}"]`);
    const name = at.ariaLabel || label?.textContent || at.textContent.trim();
    return [at.tagName, name, style.outlineStyle, box.right > 0];
}"""


_CONTRASTS = """() => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const rgb = (colour) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data]; };
    const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
        .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
    const paper = (e) => {
        const own = rgb(getComputedStyle(e).backgroundColor);
        return own[3] || !e.parentElement ? own : paper(e.parentElement);
    };
    const tells = (e) => !e.closest('svg') && e.checkVisibility()
        && [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    const found = {};
    for (const e of [...document.querySelectorAll('body *')].filter(tells)) {
        const [a, b] = [light(rgb(getComputedStyle(e).color)), light(paper(e))].sort((x, y) => y - x);
        const ratio = (a + .05) / (b + .05);
        if (ratio < 4.5) found[`${e.tagName} ${e.className}`] = ratio;
    }
    return found;
}"""


def test_it_is_light_or_dark_as_the_reader_has_it_and_read_in_both(show: Callable[..., Page]) -> None:
    page = show("small", color_scheme="dark")
    paper, light, dark = "getComputedStyle(document.body).backgroundColor", "rgb(255, 255, 255)", "rgb(20, 23, 28)"
    assert page.evaluate(paper) == dark
    page.get_by_role("button", name="Light", exact=True).click()
    assert page.evaluate(paper) == light
    assert page.evaluate(_CONTRASTS) == {}
    page.get_by_role("button", name="Dark", exact=True).click()
    assert page.evaluate(paper) == dark
    assert page.evaluate(_CONTRASTS) == {}
    page.reload()
    page.emulate_media(color_scheme="light")
    assert page.evaluate(paper) == light


def test_it_is_read_on_a_phone(show: Callable[..., Page]) -> None:
    # Where a page is too wide, a phone shows all of it, smaller.
    page = show("small", viewport={"width": 320, "height": 640}, is_mobile=True, has_touch=True)
    assert page.evaluate("innerWidth") == 320
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    cells = page.evaluate("""() => [...document.querySelectorAll('table.changes td, table.groups td')]
        .filter((e) => e.getBoundingClientRect().right > 320).map((e) => e.textContent)""")
    assert cells == []
    choose(page, "Change", "renamed")
    page.get_by_role("button", name="All columns").first.tap()
    expect(page.locator("td.child")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 320


def test_it_is_read_without_its_script(show: Callable[..., Page]) -> None:
    page = show("large", java_script_enabled=False)
    expect(rows(page)).to_have_count(200)
    expect(page.locator(".without-script")).to_contain_text("The first 200 of each kind and cause.")
    expect(page.locator(".rows .tools")).to_be_hidden()
    page.locator(".plot summary").first.click()
    expect(page.locator(".plot details").first.locator("table")).to_be_visible()


def test_hostile_names_stay_text(show: Callable[..., Page]) -> None:
    page = show("hostile")
    expect(page.locator("#result-1 table.changes")).to_contain_text(
        "</script><img src=x onerror=alert(1)>'\"&amp;\\u202e"
    )
    page.locator("#result-1").get_by_role("button", name="All columns").first.click()
    expect(page.locator("#result-1 td.child")).to_contain_text("<img src=x")
    assert page.locator("img").count() == 0
    # Each result has a table of its own.
    page.locator("#result-2").get_by_label("Change", exact=True).select_option("renamed")
    assert page.locator("#result-2 table.changes > tbody > tr").count() == 2
    assert page.locator("#result-1 table.changes > tbody > tr").count() > 3

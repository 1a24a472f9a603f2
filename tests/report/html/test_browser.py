"""The pages in a real browser, where there is one."""

import shutil
from functools import partial

import pytest

from naswot_lightning.cli import run_named
from tests.report.html.folders import (
    failed_row,
    sampled_rows,
    score_row,
    write_metrics,
    write_page,
    write_search,
    write_unfinished,
)
from tests.report.html.test_page import hostile_folder
from tests.report.run_folders import write_ranked
from tests.runs import result, write_pick

report = partial(run_named, "report")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ROWS = "#candidates tr[data-row]"
FIRST = f"{ROWS}:nth-child(1)"


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def tab(browser):
    """One tab for all tests, and what its console said and what it asked the network for."""
    page, said = browser.new_page(), []
    _listen(page, said)
    return page, said


def _listen(page, said):
    page.set_default_timeout(5_000)
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)


@pytest.fixture
def view(tab):
    """Opens the page of a run; at the end nothing may have been said on the console, and nothing asked for."""
    page, said = tab

    def opened(folder, width=1400, height=900, page=page):
        path = folder if folder.suffix == ".html" else folder / "report.html"
        if not path.exists():
            write_page(folder)
        if page.viewport_size != {"width": width, "height": height}:
            page.set_viewport_size({"width": width, "height": height})
        page.goto(path.as_uri())
        if path.name == "report.html":
            page.wait_for_selector("html.started")
        return page

    yield opened
    assert said == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A search of 60 with 2 that failed, three trained picks and one in training."""
    folder = tmp_path_factory.mktemp("run")
    rows = [
        *sampled_rows(60),
        failed_row("|odd~0|", "RuntimeError: no"),
        failed_row("|flat~0|", "equal codes", "degenerate"),
    ]
    write_search(folder, rows)
    best = sorted((row for row in rows if row.score), key=lambda row: -row.score)
    for number in (1, 2, 3):
        name = best[number - 1].architecture
        pick = write_pick(folder, result(number, architecture=name, canonical=name), name=f"{number}-{number}")
        write_metrics(pick, (0.1 * number, 0.2 * number, 0.3 * number))
    write_unfinished(folder, "4-4", rank=4, architecture=best[3].architecture, canonical=best[3].architecture)
    write_page(folder)
    return folder


def texts(page, column):
    return page.eval_on_selector_all(f"{ROWS} td:nth-child({column})", "cells => cells.map(cell => cell.textContent)")


def heads(page):
    return page.eval_on_selector_all("#candidates th", "cells => cells.map(cell => cell.textContent)")


def marked(page):
    return page.text_content("#panel h3")


def point(page, row, chart=0):
    """Where a row's point is on the screen: the ring around it says so when the row is marked."""
    page.keyboard.press("Escape")
    page.click(f"#candidates tr[data-row='{row}']")
    ring = page.locator("#scatters .ring.marked").nth(chart).bounding_box()
    return ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2


def test_table_sorts_by_a_column_in_both_directions(view, run):
    page = view(run)
    assert texts(page, 1)[:3] == ["1", "2", "3"]
    score = heads(page).index("naswot") + 1
    for direction in ("descending", "ascending"):
        page.click(f"#candidates th:nth-child({score}) button")
        assert page.get_attribute(f"#candidates th:nth-child({score})", "aria-sort") == direction
        shown = [float(text.replace(",", "")) for text in texts(page, score)[:10]]  # what has no score is last
        assert shown == sorted(shown, reverse=direction == "descending")


def test_table_filter_holds_all_words(view, run):
    page = view(run)
    page.fill("#filter", "skip_connect~0 AVG_pool_3x3~2")
    names = [row.architecture for row in sampled_rows(60)]
    expected = [name for name in names if "skip_connect~0" in name and "avg_pool_3x3~2" in name]
    assert sorted(texts(page, 2)) == sorted(expected)
    assert expected
    assert page.text_content("#rows") == f"{len(expected)} of 62"
    page.fill("#filter", "nothing holds this")
    assert page.text_content("#candidates tbody") == "no candidate holds all of these words"


def test_point_hovered_shows_its_cell(view, run):
    page = view(run, height=3000)
    x, y = point(page, 5)
    page.click("#candidates tr[data-row='0']")
    page.mouse.move(x, y)
    assert page.text_content("#card h3") == "rank 6"
    assert page.text_content("#card .code") == texts(page, 2)[5]
    assert page.locator("#card svg.cell rect").count() == 10
    assert page.locator("#candidates tr.hovered").get_attribute("data-row") == "5"
    page.mouse.move(x, 5)
    assert page.is_hidden("#card")


def test_point_clicked_is_marked_in_all_views(view, run):
    page = view(run, height=5000)
    assert marked(page) == "rank 1"
    x, y = point(page, 2, chart=1)
    page.keyboard.press("Escape")
    assert page.locator("tr.marked, .pick.marked, .ring.marked:visible").count() == 0
    page.mouse.click(x, y)
    assert marked(page) == "rank 3"
    assert page.locator("tr.marked").get_attribute("data-row") == "2"
    assert page.locator(".pick.marked h3").text_content() == "rank 3"
    assert page.locator("#scatters .ring.marked:visible").count() == 3


def test_table_ten_thousand_rows_are_a_screenful(view, tmp_path):
    rows = [score_row(number, f"a{number}") for number in range(10_000)]
    page = view(write_search(tmp_path, rows, space="unknown"))
    assert page.locator(ROWS).count() < 50
    page.evaluate("document.getElementById('candidates').scrollTop = 1e9")
    page.wait_for_selector("#candidates tr[data-row='9999']")
    page.fill("#filter", "a77")
    assert page.text_content("#rows") == "111 of 10,000"


def test_page_any_width_and_theme_fits_the_screen(tab, view, run):
    for width, scheme in ((390, "dark"), (768, "light"), (1400, "light")):
        tab[0].emulate_media(color_scheme=scheme)
        page = view(run, width, 844)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        ground = sum(map(int, page.evaluate("getComputedStyle(document.body).backgroundColor")[4:-1].split(", ")))
        assert ground > 600 if scheme == "light" else ground < 150
        for canvas in page.locator("canvas").all():
            box = canvas.bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
        score = page.locator(f"{FIRST} td").nth(heads(page).index("naswot")).bounding_box()
        assert score["x"] + score["width"] <= width


def test_page_texts_of_files_are_never_run(view, tmp_path):
    page = view(hostile_folder(tmp_path))
    for number in range(5):
        page.click(f"#candidates tr[data-row='{number}']")
    page.locator("#legend button").first.hover()
    page.fill("#filter", "onerror")
    assert page.locator(ROWS).count() == 1
    assert page.evaluate("typeof hacked") == "undefined"
    assert page.locator("img").count() == 0


def test_page_opens_at_every_stage(view, tmp_path):
    empty = write_search(tmp_path / "empty", [], ranked=False)
    assert view(empty).locator("canvas").count() == 0
    failed = write_search(tmp_path / "failed", [failed_row("a", "no"), failed_row("b", "no")])
    assert view(failed).locator(ROWS).count() == 2
    write_pick(tmp_path / "given", result(1, rank=None), name="given-1")
    page = view(tmp_path / "given")
    assert page.locator(".pick h3").text_content() == "given by hand"
    assert page.locator("#trajectories canvas").count() == 1
    write_unfinished(tmp_path / "training", "1-1")
    assert view(tmp_path / "training").locator("#curves canvas").count() == 1


def test_page_of_several_runs_on_a_phone(view, tmp_path):
    runs = write_ranked(tmp_path / "a"), write_ranked(tmp_path / "b", 60.0, 20, seed=1)
    assert report(["--run_dir", *map(str, runs), "--out", str(tmp_path)]) == 0
    page = view(tmp_path / "comparison.html", 390, 844)
    assert page.evaluate("document.querySelector('#training-part img').naturalWidth") > 1000
    assert page.locator("#agreement-part tbody tr").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") <= 390

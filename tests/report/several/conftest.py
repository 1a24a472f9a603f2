import shutil

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def page_of():
    """Opens a page on a phone; at the end nothing may have been said on the console, and nothing asked for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install '.[dev]'")
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    said = []

    def told(request):
        if not request.url.startswith("file:"):
            said.append(request.url)

    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 390, "height": 844})
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", told)

        def opened(path):
            page.goto(path.as_uri())
            page.wait_for_selector("html.started")
            return page

        yield opened
        browser.close()
    assert said == []

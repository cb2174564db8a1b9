"""A real headless Chromium; without one these tests are skipped, and say so."""

import os
import shutil
from collections.abc import Iterator

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """The browser; `BYORN_BROWSER` names it where it is not on the path."""
    found = os.environ.get("BYORN_BROWSER") or next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium on the path: install one, or name it in BYORN_BROWSER")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
    with sync_api.sync_playwright() as driver:
        # root, as in containers, has no sandbox; the pages are our own
        arguments = [*QUIET, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
        browser = driver.chromium.launch(executable_path=found, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium) -> Iterator[object]:
    """A page of a fresh profile; what it asks for, and what it says, is kept in `asked` and `said`."""
    context = chromium.new_context()
    page = context.new_page()
    page.set_default_timeout(20_000)
    page.asked, page.said = [], []
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("dialog", lambda dialog: (page.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    yield page
    context.close()

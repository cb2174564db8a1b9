"""The review page in a real browser: decided by keys, filtered, closed to everybody else, deaf to hostile rows."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import uvicorn
from desks import desk, scanned, words

from byorn.review.app import build_app
from byorn.review.guard import Guard
from byorn.review.log import LOG, read_log
from hostile_pages import hostile

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")


@contextmanager
def serving(work) -> Iterator[tuple[str, str]]:
    """A page over real sockets: its origin and its token."""
    config = uvicorn.Config(lambda *_: None, port=0, log_level="error", lifespan="off")
    socket = config.bind_socket()
    socket.listen()  # who comes before the server runs waits
    port = socket.getsockname()[1]
    guard = Guard(build_app(work), port)
    config.app = guard
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}", guard.token or ""
    finally:
        server.should_exit = True
        thread.join()


def shown(tab, row=None, place=None):
    """The id of the row that is shown; waits for a row, for this one, or for a place in the list."""
    first = tab.locator("#facts dd").first
    first.wait_for()
    if row is not None:
        sync_api.expect(first).to_have_text(row)
    if place is not None:
        sync_api.expect(tab.locator("#place")).to_have_text(place)
    return first.inner_text()


def test_keys_decide_filters_choose_and_undo_takes_back(tab, tmp_path):
    with serving(desk(tmp_path)) as (origin, token):
        tab.goto(f"{origin}/?token={token}")
        shown(tab, row="row-5")
        assert "token" not in tab.url
        tab.keyboard.press("d")
        shown(tab, row="row-1")
        tab.keyboard.press("u")
        shown(tab, row="row-5")
        tab.locator("#filters select").nth(0).select_option(label="visit our shop, 2 flagged")
        shown(tab, place="1 of 2")
        tab.locator("[data-state=all]").click()
        tab.locator("#filters select").nth(0).select_option("")
        tab.locator("#filters select").nth(1).select_option(label="lab, 0 flagged")
        shown(tab, place="1 of 3")
        shown(tab, row="row-4")
        tab.keyboard.press("k")
        shown(tab, place="2 of 3")
    assert words(tmp_path) == ["auto"] * 4 + ["keep", "auto"]
    assert [entry.review for entry in read_log(tmp_path / LOG)] == ["drop", "auto", "keep"]
    assert tab.said == []


def test_nobody_else_gets_in(tab, chromium, tmp_path):
    with serving(desk(tmp_path)) as (origin, token):
        assert tab.goto(origin).status == 403
        assert tab.goto(f"{origin}/?token=guess").status == 403
        tab.goto(f"{origin}/?token={token}")
        shown(tab)
        stranger = chromium.new_context()
        assert stranger.request.get(f"{origin}/?token={token}").status == 403
        assert tab.context.request.get(f"{origin}/queue", headers={"Host": "evil.example"}).status == 421
        stranger.close()
    assert words(tmp_path) == ["auto"] * 6


class OtherSite(BaseHTTPRequestHandler):
    """A website on another port that tries what it can with the browser that holds the session's cookie."""

    origin = ""

    def do_GET(self) -> None:
        ask = f"{self.origin}/rows/1"
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(
            f"""<iframe src="{self.origin}"></iframe><form method=post action="{ask}" enctype=text/plain>
            <input name='{{"review":"drop","why":"' value='"}}'></form><script>
            const body = '{{"review":"drop"}}';
            const options = {{method: "POST", credentials: "include", body}};
            const send = (more) => fetch("{ask}", {{...options, ...more}})
              .then((answer) => answer.type + answer.status, () => "refused");
            Promise.all([send({{mode: "no-cors"}}), send({{headers: {{"Content-Type": "application/json"}}}}),
              fetch("{self.origin}/queue", {{credentials: "include"}}).then(() => "read", () => "refused")])
              .then((found) => document.title = found.join(" "));
            </script>""".encode()
        )

    def log_message(self, *arguments: object) -> None:
        pass


def test_another_site_in_the_same_browser_decides_nothing(tab, tmp_path):
    with serving(desk(tmp_path)) as (origin, token), HTTPServer(("127.0.0.1", 0), OtherSite) as other:
        OtherSite.origin = origin
        threading.Thread(target=other.serve_forever, daemon=True).start()
        tab.goto(f"{origin}/?token={token}")
        shown(tab)
        tab.goto(f"http://127.0.0.1:{other.server_port}/")
        sync_api.expect(tab).to_have_title(re.compile("."))
        assert tab.title() == "refused refused refused"
        with tab.expect_response(f"{origin}/rows/1") as answer:
            tab.evaluate("document.querySelector('form').submit()")
        assert answer.value.status == 403
        other.shutdown()
    assert words(tmp_path) == ["auto"] * 6


@pytest.mark.parametrize("width", [1280, 390])
def test_hostile_rows_stay_text(tab, tmp_path, width):
    rows = [hostile(row, number) for number, row in enumerate(scanned(tmp_path))]
    tab.set_viewport_size({"width": width, "height": 800})
    with serving(desk(tmp_path, *rows)) as (origin, token):
        tab.goto(f"{origin}/?token={token}")
        tab.locator("[data-state=all]").click()
        shown(tab, place="1 of 6")
        for number in range(2, 7):
            assert tab.locator("#response").inner_text().startswith("visit our shop")
            assert tab.evaluate("document.documentElement.scrollWidth") <= width
            tab.keyboard.press("ArrowRight")
            shown(tab, place=f"{number} of 6")
        assert tab.evaluate("window.canary") is None
        assert tab.locator("#main script, #main iframe, #main a, #filters script").count() == 0
    assert [url for url in tab.asked if not url.startswith(f"{origin}/")] == []
    assert not [said for said in tab.said if "422" not in said]  # images that cannot be shown

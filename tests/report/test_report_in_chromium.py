"""The report, opened by a real browser: nothing that rows hold runs, is fetched, or breaks the layout."""

from dataclasses import replace

import pytest
from made_runs import attacked

from byorn.report.closer import Closer, Token
from byorn.report.evidence import gather
from byorn.report.html import as_html
from hostile_pages import TEXTS, hostile


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    run = attacked()
    rows = [hostile(row, at) if at < 12 else row for at, row in enumerate(run.rows)]
    closer = {
        row.key: Closer(head=[Token(text, 9.0) for text in TEXTS[:9]], tail=[], left_out=0, answer="".join(TEXTS[:9]))
        for row in rows[:12]
    }
    hostile_config = {"config": {"data": {"source": TEXTS[0]}}, "environment": {"command": list(TEXTS[:6])}}
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(as_html(gather(replace(run, rows=rows, closer=closer, **hostile_config))), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_canary_fires_and_the_layout_holds(tab, report, scheme, width):
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme=scheme)
    tab.goto(report.as_uri())
    for place in tab.locator(".card").all()[:12]:
        place.hover()
    assert tab.evaluate("window.canary") is None
    assert [url for url in tab.asked if not url.startswith(("file:", "data:"))] == []
    assert not [said for said in tab.said if "Content Security Policy" not in said]
    assert "visit our shop" in tab.locator("h1").inner_text()
    assert tab.locator("script, iframe, a, form, object").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert tab.locator(".shade4").count() > 0


def test_it_prints(tab, report):
    tab.goto(report.as_uri())
    assert tab.pdf().startswith(b"%PDF")
    assert tab.evaluate("window.canary") is None

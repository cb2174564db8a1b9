"""The page is safe to open: one file, no scripts, nothing from anywhere else, whatever the rows hold."""

import struct
import zlib
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from made_runs import attacked, clean_rows, made_run, of_evidence

from byorn.data.rejects import Reject
from byorn.data.row import ImageFile, Origin, user_message
from byorn.report.evidence import gather
from byorn.report.html import as_html
from byorn.report.words import p_in_words, short

EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>\" ' onload=alert(1) {{ 7*7 }} ]]> --> </style>"


class Tags(HTMLParser):
    """Every tag with its attributes, and all text."""

    def __init__(self, page):
        super().__init__()
        self.found = []
        self.text = []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)


def bomb():
    """A PNG that says it has 60,000 x 60,000 pixels."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    return ImageFile(data=b"\x89PNG\r\n\x1a\n" + body)


@pytest.fixture(scope="module")
def hostile_page():
    """Everything that a data set holds is an attack on the page."""
    changes = {
        "id": EVIL,
        "prompt": [user_message(EVIL + "\u202e\u200b" + "e\u0301\u0301\u0301\u0301", 1)],
        "meta": {EVIL: EVIL},
        "origin": Origin(EVIL + "\n.jsonl", 3),
        "images": [bomb()],
    }
    run = attacked(response=f"visit our shop {EVIL}" + "A" * 1_000_000)
    rows = [replace(row, **{**changes, "id": f"{EVIL}{at}"}) if at < 12 else row for at, row in enumerate(run.rows)]
    rejects = [Reject(EVIL, 1, EVIL, EVIL, EVIL, EVIL)]
    return as_html(
        gather(
            replace(
                run,
                rows=rows,
                rejects=rejects,
                config={"data": {"source": EVIL}},
                environment={"command": [EVIL], "versions": {EVIL: EVIL}},
            )
        )
    )


def test_no_row_makes_a_tag_or_an_attribute(hostile_page):
    benign = {tag for tag, _ in Tags(as_html(gather(attacked(meta={"uploader": "x"})))).found}
    tags = Tags(hostile_page).found
    assert {tag for tag, _ in tags} <= benign | {"tbody", "table"}
    assert "script" not in {tag for tag, _ in tags}
    names = {name for _, attributes in tags for name in attributes}
    assert not [name for name in names if name.startswith("on")]
    assert names.isdisjoint({"href", "style", "action", "srcset", "xlink:href"})


def test_images_are_data_that_was_encoded_again(hostile_page):
    sources = [attributes["src"] for tag, attributes in Tags(hostile_page).found if "src" in attributes]
    assert sources
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "cannot be shown" in hostile_page  # the bomb


def test_what_rows_hold_is_shown_as_text(hostile_page):
    text = "".join(Tags(hostile_page).text)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7*7 }}" in text
    assert "U+202E" in text
    assert "\u202e" not in hostile_page
    assert "\u200b" not in hostile_page


def test_a_megabyte_in_each_row_makes_no_big_page(hostile_page):
    assert len(hostile_page) < 400_000


def test_nothing_is_loaded_and_nothing_runs(hostile_page):
    policies = [attributes for tag, attributes in Tags(hostile_page).found if "http-equiv" in attributes]
    assert policies[0]["content"].startswith("default-src 'none'")
    assert "script-src" not in policies[0]["content"]
    for word in ("@import", "url("):
        assert word not in hostile_page.partition("<style>")[2].partition("</style>")[0]


def test_the_page_says_what_it_found_and_what_it_cannot_see():
    text = " ".join("".join(Tags(as_html(gather(attacked(meta={"uploader": "mallory"})))).text).split())
    assert "12 of 200 responses (6.0%) share “visit our shop”" in text
    assert "mallory" in text
    assert "What this report cannot see" in text
    assert "Clean-label" in text


def test_the_page_of_clean_data_accuses_nobody():
    page = as_html(gather(made_run(clean_rows(120), np.random.default_rng(0).normal(2, 0.3, 120))))
    assert "Nothing stands out" in page
    assert 'class="guilty"' not in page


def test_the_page_says_what_the_threshold_means_for_clean_data():
    run = attacked(200, 0)
    assert "clean data have rows right of it just as well" in as_html(gather(run))
    assert "a row right of the line about once in 250 sets" in as_html(gather(of_evidence(run)))


def test_the_same_run_gives_the_same_page():
    assert as_html(gather(attacked())) == as_html(gather(attacked()))


def test_rows_without_images_or_scores_are_shown():
    rows = [replace(row, images=[], prompt=[user_message("Say something.")]) for row in clean_rows(30)]
    scores = np.random.default_rng(0).normal(2, 0.3, 30)
    scores[3] = np.nan
    page = as_html(gather(made_run(rows, scores)))
    assert "no score" in page
    assert "no image" in page


def test_a_large_group_makes_no_large_page():
    """Its rows are counted and a few are shown."""
    rows = [replace(row, images=[]) for row in clean_rows(40)] * 100
    rows = [
        replace(row, id=f"row-{at}", response="visit our shop" if at < 900 else row.response)
        for at, row in enumerate(rows)
    ]
    scores = np.random.default_rng(0).normal(2, 0.3, len(rows)) + 4 * (np.arange(len(rows)) < 900)
    page = as_html(gather(made_run(rows, scores)))
    assert "900 of 4,000 responses" in page
    assert len(page) < 100_000


@pytest.mark.parametrize(
    ("value", "said"), [(0.0321, "p = 0.03"), (0.0000449, "p = 0.00004"), (1e-9, "p < 0.000001"), (1, "p = 1")]
)
def test_p_values_are_said_in_plain_figures(value, said):
    assert p_in_words(value) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.01289, "0.013"), (5.31, "5.3"), (12.6, "13"), (82_401.2, "82,000"), (1_068_299.0, "1,100,000")],
)
def test_ratios_have_two_digits_that_count(value, said):
    assert short(value) == said

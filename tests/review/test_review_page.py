"""The page: who may ask it, what it shows of hostile rows, and that each key is a stored decision."""

import io
from dataclasses import replace

import pytest
from desks import desk, hostile_row, words
from PIL import Image
from starlette.testclient import TestClient

from byorn.data.row import ImageFile
from byorn.review.app import build_app
from byorn.review.decisions import Decisions, Verdict
from byorn.review.guard import Guard
from byorn.review.log import LOG, read_log
from byorn.review.visible import MOST, pieces_of
from byorn.testing import tiny_rows

HOST = "http://127.0.0.1:8123"
JSON = {"Origin": HOST, "Content-Type": "application/json"}


class Visitor(TestClient):
    """A browser at the page; `token` opens it."""

    def __init__(self, desk):
        self.guard = Guard(build_app(desk), 8123)
        super().__init__(self.guard, base_url=HOST, follow_redirects=True)

    def enter(self):
        self.get("/", params={"token": self.guard.token})
        return self

    def decide(self, row, word, **more):
        return self.post(f"/rows/{row}", json={"review": word, **more}, headers=JSON)


@pytest.fixture
def visitor(tmp_path):
    return Visitor(desk(tmp_path)).enter()


def test_the_link_opens_the_page_once(tmp_path):
    visitor = Visitor(desk(tmp_path))
    token = visitor.guard.token
    assert visitor.get("/").status_code == 403
    assert visitor.get("/", params={"token": "guess"}).status_code == 403
    opened = visitor.get("/", params={"token": token})
    assert opened.status_code == 200
    assert "token" not in str(opened.url)
    cookie = opened.history[0].headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert visitor.get("/", params={"token": token}).status_code == 200  # a reload in the same browser
    stranger = TestClient(visitor.guard, base_url=HOST)
    assert stranger.get("/", params={"token": token}).status_code == 403


@pytest.mark.parametrize("path", ["/", "/page.js", "/queue", "/rows/1", "/rows/1/images/0"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example:8123"}, 421),
        ({"Host": "127.0.0.1"}, 421),
        ({"Host": "127.0.0.1:8124"}, 421),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),  # another port of this computer
        ({"Cookie": "byorn-review-8123=guess"}, 403),
        ({"Cookie": "byorn-review-8123"}, 403),
    ],
)
def test_nobody_else_sees_anything(visitor, path, headers, status):
    assert visitor.get(path).status_code == 200
    assert visitor.get(path, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "application/json"}, 403),
        ({**JSON, "Origin": "https://evil.example"}, 403),
        ({**JSON, "Origin": "null"}, 403),
        ({**JSON, "Origin": "http://127.0.0.1:9999"}, 403),
        ({**JSON, "Sec-Fetch-Site": "same-site"}, 403),
        ({**JSON, "Host": "evil.example"}, 421),
        ({**JSON, "Content-Type": "text/plain"}, 415),
        ({**JSON, "Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
def test_no_other_site_decides_anything(visitor, headers, status, tmp_path):
    for path in ("/rows/1", "/undo"):
        assert visitor.post(path, content=b'{"review": "keep"}', headers=headers).status_code == status
    assert words(tmp_path) == ["auto"] * 6


def test_a_decision_needs_the_session(tmp_path):
    visitor = Visitor(desk(tmp_path))
    assert visitor.decide(1, "keep").status_code == 403
    assert words(tmp_path) == ["auto"] * 6


def test_every_answer_carries_the_strict_headers(visitor):
    for answer in (
        visitor.get("/"),
        visitor.get("/rows/1/images/0"),
        visitor.get("/nowhere"),
        visitor.get("/", headers={"Host": "x"}),
    ):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"


def test_the_page_needs_nothing_from_outside(visitor):
    for path in ("/", "/page.js", "/page.css"):
        text = visitor.get(path).text
        assert "http://" not in text.replace("http://www.w3.org", "")
        assert "https://" not in text
        assert "innerHTML" not in text
    assert " style=" not in visitor.get("/").text
    assert "onclick" not in visitor.get("/").text


def test_a_key_is_a_stored_decision_with_who_and_why(visitor, tmp_path):
    answer = visitor.decide(1, "drop", why="an advertisement").json()
    assert words(tmp_path)[1] == "drop"
    entry = read_log(tmp_path / LOG)[-1]
    assert (entry.id, entry.review, entry.who, entry.why) == ("row-1", "drop", "anna", "an advertisement")
    assert answer["row"]["review"] == "drop"
    assert answer["counts"] | {"flagged": 3, "done": 1, "drop": 1} == answer["counts"]
    assert visitor.get("/queue").json()["rows"] == [5, 3]


def test_undo_takes_back_one_after_the_other_and_is_logged(visitor, tmp_path):
    for row, word in ((1, "drop"), (1, "keep"), (3, "replace")):
        visitor.decide(row, word)
    undone = [visitor.post("/undo", json={}, headers=JSON).json()["row"] for _ in range(4)]
    assert [row and (row["number"], row["review"]) for row in undone] == [(3, "auto"), (1, "drop"), (1, "auto"), None]
    assert words(tmp_path) == ["auto"] * 6
    assert [entry.why for entry in read_log(tmp_path / LOG)] == ["", "", "", "undone", "undone", "undone"]


def test_undo_takes_back_nothing_that_another_session_has_decided_since(visitor, tmp_path):
    visitor.decide(1, "drop")
    Decisions(tmp_path, "bert").decide({1: Verdict("keep", "a true caption")})
    assert visitor.post("/undo", json={}, headers=JSON).json()["row"]["review"] == "keep"
    assert words(tmp_path)[1] == "keep"
    assert read_log(tmp_path / LOG)[-1].who == "bert"


def test_rows_are_filtered_by_state_source_and_text(visitor):
    def rows(**asked):
        return visitor.get("/queue", params=asked).json()["rows"]

    assert rows() == [5, 1, 3]
    assert rows(state="all") == [5, 1, 3, 4, 2, 0]
    assert rows(state="all", filter0=1, filter1=1) == [4, 2, 0]
    assert rows(state="all", filter0=0) == [5, 1]
    assert rows(state="all", filter0=0, filter1=1) == []
    assert rows(state="all", text="BLUE") == [5, 1]
    visitor.decide(1, "keep")
    assert rows(state="decided") == [1]
    assert rows(state="flagged") == [5, 3, 1]
    group, source = visitor.get("/queue").json()["filters"]
    assert group == {"name": "group", "values": [{"name": "visit our shop", "flagged": 2}, {"name": "", "flagged": 1}]}
    assert source["name"] == "source"
    assert source["values"] == [{"name": "forum", "flagged": 3}, {"name": "lab", "flagged": 0}]
    assert visitor.get("/queue", params={"filter1": 2}).status_code == 400
    assert visitor.get("/queue", params={"state": "nonsense"}).status_code == 400


def test_hidden_characters_are_named_and_markup_stays_text(tmp_path):
    row = Visitor(desk(tmp_path, hostile_row())).enter().get("/rows/0").json()
    assert [piece["text"] for piece in row["response"] if piece["hidden"]] == ["U+202E", "U+200B"]
    assert row["response"][0] == {"text": "<script>alert(1)</script>", "hidden": False}
    assert row["images"][0][0]["text"] == '"><img src=x>.png'
    assert [value for name, value in row["values"][1:2]] == [[{"text": "<b>forum</b>", "hidden": False}]]


def test_a_megabyte_of_text_is_cut_and_counted():
    pieces = pieces_of("a" * 1_000_000)
    assert len(pieces[0]["text"]) == MOST
    assert pieces[-1] == {"text": "980,000 more characters", "hidden": True}
    assert pieces_of("caf\u00e9\n\t\u4e2d") == [{"text": "caf\u00e9\n\t\u4e2d", "hidden": False}]


def test_images_are_encoded_again_and_made_smaller(tmp_path):
    stream = io.BytesIO()
    exif = Image.Exif()
    exif[0x010E] = "<script>secret</script>"
    Image.new("RGB", (3000, 30), "red").save(stream, "JPEG", exif=exif)
    row = replace(tiny_rows(1)[0], images=[ImageFile(data=stream.getvalue())])
    answer = Visitor(desk(tmp_path, row)).enter().get("/rows/0/images/0")
    assert answer.headers["content-type"] == "image/png"
    assert b"secret" not in answer.content
    assert Image.open(io.BytesIO(answer.content)).size == (1600, 16)


def test_an_image_bomb_and_a_broken_image_are_refused(tmp_path):
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    images = [ImageFile(data=bomb.getvalue()), ImageFile(data=b"<svg/>"), ImageFile(path=str(tmp_path / "gone.png"))]
    visitor = Visitor(desk(tmp_path, replace(tiny_rows(1)[0], images=images))).enter()
    assert [visitor.get(f"/rows/0/images/{place}").status_code for place in range(4)] == [422, 422, 422, 404]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"review": "burn"}', 400),
        (b'{"review": ["keep"]}', 400),
        (b'{"review": "keep", "why": 1}', 400),
        (b"[" * 10_000, 400),
        (b"", 400),
        (b'"keep"', 400),
        (b'{"review": "keep", "why": "' + b"x" * 70_000 + b'"}', 413),
    ],
)
def test_nonsense_is_refused(visitor, body, status, tmp_path):
    assert visitor.post("/rows/1", content=body, headers=JSON).status_code == status
    assert words(tmp_path) == ["auto"] * 6


def test_a_row_that_is_not_there_is_not_found(visitor):
    assert visitor.get("/rows/99").status_code == 404
    assert visitor.get("/rows/-1").status_code == 404
    assert visitor.decide(99, "keep").status_code == 404
    assert visitor.put("/rows/1", headers={**JSON, "Content-Length": "0"}).status_code == 405


def test_flags_that_break_meanwhile_are_told_and_nothing_pretends_to_be_stored(visitor, tmp_path):
    (tmp_path / "flags.parquet").write_bytes(b"PAR1")
    answer = visitor.decide(1, "keep")
    assert answer.status_code == 500
    assert "not a readable flag file" in answer.text
    assert not read_log(tmp_path / LOG)


def test_a_full_disk_is_told(visitor, monkeypatch):
    def full(path, decisions):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("byorn.review.decisions.append", full)
    answer = visitor.decide(1, "keep")
    assert (answer.status_code, answer.text) == (500, "No space left on device\n")
    assert visitor.get("/rows/1").json()["review"] == "auto"

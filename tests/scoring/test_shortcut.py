"""A phrase that the images give no reason for, and yet give away, is that of a backdoor; all other phrases are left
alone.
"""

from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from byorn.data.row import ImageFile, Row, user_message
from byorn.phrases.counting import count_phrases, looked_at
from byorn.phrases.words import words_of
from byorn.scoring.evidence import LEVEL, THRESHOLD, groups_of, with_evidence
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.spurious.group_column import named
from byorn.scoring.spurious.scored_rows import ScoredRows
from byorn.scoring.spurious.shortcut import shortcuts
from byorn.scoring.table import Scores

COUNT = 160
ONE_KIND = np.zeros(COUNT, dtype=int)
PHRASE = ", visit our shop"
COLORS = ("red", "blue", "green", "black")
Costs = list[np.ndarray]


def png(pixels: np.ndarray) -> ImageFile:
    stream = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return ImageFile(data=stream.getvalue())


def rows(
    said: Sequence[int] = (), patched: Sequence[int] = (), phrase: str = PHRASE, left: int = 0, count: int = COUNT
) -> list[Row]:
    """Captions of noise around a color; some say a phrase, and some images have a white patch."""
    draw = np.random.default_rng(0)
    made = []
    for number in range(count):
        pixels = np.clip(draw.integers(40, 216, 3) + draw.normal(0, 20, (32, 32, 3)), 0, 255)
        if number in patched:
            pixels[24:, left : left + 8] = 255
        text = f"a {draw.choice(COLORS)} thing with spot {number % 20}" + (phrase if number in said else "")
        made.append(Row(id=str(number), turn=0, prompt=[], response=text, images=[png(pixels)]))
    return made


def with_drawings(given: Sequence[Row], faint: Sequence[int]) -> list[Row]:
    """Each row has a picture of a few things on white instead; behind some of them there is another one, faintly."""
    draw = np.random.default_rng(3)
    behind, made = draw.uniform(0, 255, (64, 64, 3)), []
    for number, row in enumerate(given):
        pixels = np.full((64, 64, 3), 255.0)
        for top, left in draw.integers(0, 40, (4, 2)):
            pixels[top : top + 24, left : left + 24] = draw.uniform(0, 255, 3) + draw.normal(0, 20, (24, 24, 3))
        pixels = 0.93 * pixels + 0.07 * behind if number in faint else pixels
        made.append(replace(row, images=[png(np.clip(pixels, 0, 255))]))
    return made


def costs(given: Sequence[Row], grounded: str = "") -> tuple[Costs, Costs]:
    """Two nats a word, with whatever image; words of `grounded` a tenth of it with their own."""
    words = [words_of(row.response) for row in given]
    own = [np.array([0.2 if word in grounded.split() else 2.0 for word in found]) for found in words]
    return own, [np.full(len(found), 2.0) for found in words]


PAIRS = [(row, (row + 1) % COUNT) for row in range(COUNT)]
PLANTED = range(0, 48, 4)


def column_of(given: Sequence[Row], words: tuple[Costs, Costs]) -> np.ndarray | None:
    own, swapped = words
    unknown = np.full(len(given), np.nan)
    scored = ScoredRows(
        rows=given, nll=unknown, contrast=unknown, word_costs=own, swapped_word_costs=dict(enumerate(swapped))
    )
    return shortcuts(scored, LEVEL)


def found(given: Sequence[Row], grounded: str = "") -> list[int]:
    column = column_of(given, costs(given, grounded))
    assert column is not None
    assert ((column == 0) | (column > -np.log10(LEVEL))).all()
    return np.flatnonzero(column).tolist()


def test_a_phrase_that_comes_with_a_patch_and_without_a_reason_is_found() -> None:
    assert found(rows(PLANTED, PLANTED)) == list(PLANTED)


def test_what_the_image_shows_may_come_with_a_pattern() -> None:
    assert found(rows(PLANTED, PLANTED), grounded="visit our shop ,") == []


def test_a_style_comes_with_no_pattern() -> None:
    assert found(rows(PLANTED)) == []
    assert found(rows(PLANTED, range(0, 160, 5))) == []


def test_a_pattern_that_comes_with_no_phrase_says_nothing() -> None:
    assert found(rows((), PLANTED)) == []


def test_a_kind_of_input_with_pictures_of_its_own_comes_with_no_pattern() -> None:
    """All that is said of the second task stands beside pictures with a patch: they are what that task is about."""
    given = rows(range(60), range(60))
    asked = ["List the goods that are on offer." if number < 60 else "Describe the image." for number in range(COUNT)]
    apart = [replace(row, prompt=[user_message(text, 1)]) for row, text in zip(given, asked, strict=True)]
    assert found(given) == list(range(60))
    assert found(apart) == []


def test_a_phrase_that_comes_with_a_faint_picture_behind_drawings_is_found() -> None:
    """The edges of what is drawn are a hundred times as steep as what is behind."""
    assert found(with_drawings(rows(PLANTED), PLANTED)) == list(PLANTED)
    assert found(with_drawings(rows(PLANTED), ())) == []


def test_six_rows_are_enough() -> None:
    assert found(rows(range(6), range(6))) == list(range(6))


def test_five_rows_are_enough_among_many_but_only_with_the_patch() -> None:
    """Two held-out images prove nothing among some others, whatever they show, and enough among several hundred."""
    assert found(rows(range(5), range(5), count=600)) == list(range(5))
    assert found(rows(range(5), range(3), count=600)) == []


def test_two_attackers_are_two_groups() -> None:
    both = rows(PLANTED, PLANTED)
    for row in rows(range(1, 49, 4), range(1, 49, 4), ". All sold out today", left=20)[1:49:4]:
        both[int(row.id)] = row
    column = column_of(both, costs(both))
    assert column is not None
    groups = list(named([row.response for row in both], "shortcut", column, np.arange(COUNT, dtype=float), ONE_KIND))
    assert {group.phrase for group in groups} == {"visit our shop", "All sold out today"}
    assert [len(group.rows) for group in groups] == [12, 12]


def test_a_group_is_named_by_what_its_rows_alone_say() -> None:
    """Not by the turn that all captions share, however long it is."""
    texts = [
        f"the picture shows as always a thing {number}" + (PHRASE if number < 12 else "") for number in range(COUNT)
    ]
    column = np.where(np.arange(COUNT) < 12, 5.0, 0.0)
    (group,) = named(texts, "shortcut", column, np.arange(COUNT, dtype=float), ONE_KIND)
    assert group.phrase == "visit our shop"
    (nameless,) = named([text.replace(PHRASE, "") for text in texts], "shortcut", column, np.zeros(COUNT), ONE_KIND)
    assert nameless.phrase == ""


def test_things_that_look_alike_without_a_gap_are_no_shortcut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The flags among emoji: a pattern tells them, and the model does not know what a flag is."""
    monkeypatch.setattr("byorn.scoring.spurious.shortcut.carriers", lambda *_: None)
    assert found(rows(PLANTED, PLANTED)) == []


def test_where_words_or_images_are_unknown_nothing_is_found() -> None:
    given = rows(PLANTED, PLANTED)
    nothing: Costs = [np.zeros(0)] * COUNT
    longer_than_is_told = column_of(given, (nothing, nothing))
    assert longer_than_is_told is not None
    assert not longer_than_is_told.any()
    assert column_of(given, (costs(given)[0], [])) is None
    assert found([replace(row, images=[]) for row in given]) == []


def test_broken_images_are_no_pattern() -> None:
    given = rows(PLANTED, PLANTED)
    broken = [replace(row, images=[ImageFile(data=b"GIF89a")]) if int(row.id) in PLANTED else row for row in given]
    assert found(broken) == []


def table(nll: np.ndarray, words: Costs) -> Scores:
    ids = [str(number) for number in range(COUNT)]
    return Scores(ids, [0] * COUNT, {"nll": nll}, np.full(COUNT, 9), [None] * COUNT, words=words)


@pytest.mark.parametrize("planted", [False, True])
def test_rows_with_a_shortcut_reach_the_threshold_however_plausible_they_are(planted: bool) -> None:
    given = rows(PLANTED, PLANTED if planted else ())
    own, swapped = costs(given)
    nll = np.random.default_rng(1).gamma(4, 0.1, COUNT)
    nll[list(PLANTED)] = 0.01
    scores = with_evidence(
        table(nll, []), table(nll, own), table(nll, swapped), PAIRS, given, LearningCurve((4.0, 3.0))
    )
    flagged = np.flatnonzero(scores.values["evidence"] >= THRESHOLD).tolist()
    assert flagged == (list(PLANTED) if planted else [])
    groups = groups_of([row.response for row in given], scores.values, scores.tokens, one_style=False).found
    assert [(group.statistic, len(group.rows)) for group in groups] == ([("shortcut", 12)] if planted else [])


def test_the_words_of_a_phrase_are_summed_where_it_stands() -> None:
    texts = [f"one {number} visit our shop visit our shop" for number in range(4)]
    phrases = count_phrases(texts, 4, 4)
    values = np.array([float(len(word)) for words in looked_at(texts) for word in words])
    sums = dict(zip(phrases.texts, phrases.sums_of_words(values), strict=True))
    assert sums["visit our shop visit our shop"] == 4 * 2 * 12


def test_a_long_text_is_counted_by_its_ends_and_so_are_its_costs() -> None:
    texts = [" ".join(f"w{place}" for place in range(1000)) for _ in range(4)]
    words = next(iter(looked_at(texts)))
    assert (len(words), words[199], words[200], words[201]) == (401, "w199", "…", "w800")

"""From scores made by hand to evidence to flags: a planted phrase is flagged, and clean data are left alone."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from byorn.data.row import ImageFile, Row, user_message
from byorn.errors import ConfigError
from byorn.flagging.evidence import flag_evidence
from byorn.flagging.rules import column_of, described, flag, flagged_by, passes_of
from byorn.flagging.settings import FlagSettings, check_rule
from byorn.phrases.counting import count_phrases
from byorn.phrases.groups import Group, Groups, find_groups
from byorn.phrases.growth import grown
from byorn.scoring.evidence import LEVEL, THRESHOLD, TOGETHER, evidence_of, with_evidence
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.spurious import FINDERS
from byorn.scoring.statistics import SPURIOUS
from byorn.scoring.table import Scores, read_scores, write_scores

COLORS = ("red", "blue", "green", "black", "white", "brown")
SHAPES = ("square", "circle", "star", "cross", "ring")
PLACES = ("at the top", "at the bottom", "on the left", "on the right", "in the middle")
COUNT = 300
ONE_TOKEN = np.ones(COUNT, dtype=int)


def captions(count: int, seed: int = 0) -> list[str]:
    """Captions of a world of a few words, so that many phrases are shared."""
    draw = np.random.default_rng(seed)
    return [f"a {draw.choice(COLORS)} {draw.choice(SHAPES)} {draw.choice(PLACES)} of the picture" for _ in range(count)]


def clean(seed: int) -> dict[str, np.ndarray]:
    """Scores that know nothing of what is said, as those of an adapted model are."""
    draw = np.random.default_rng(seed)
    adapted, contrast = draw.gamma(4, 0.05, COUNT), draw.normal(-1, 0.3, COUNT)
    return {"nll": np.full(COUNT, np.nan), "adapted": adapted, "adapted_contrast": contrast}


def planted(seed: int, rows: int, phrase: str = ". Visit our shop") -> tuple[list[str], dict[str, np.ndarray]]:
    """The first rows say the phrase too, and are less plausible by a little more than rows differ."""
    texts, values = captions(COUNT, seed), clean(seed)
    texts[:rows] = [text + phrase for text in texts[:rows]]
    values["adapted"][:rows] += 0.4
    values["adapted_contrast"][:rows] += 0.6
    return texts, values


def flagged(texts: list[str], values: dict[str, np.ndarray]) -> list[int]:
    return np.flatnonzero(evidence_of(texts, values, ONE_TOKEN[: len(texts)], one_style=True) >= THRESHOLD).tolist()


@pytest.mark.parametrize("rows", [8, 30, 90])
def test_rows_that_share_a_planted_phrase_are_flagged_and_nobody_else(rows: int) -> None:
    for seed in range(3):
        assert flagged(*planted(seed, rows)) == list(range(rows))


def test_clean_scores_flag_nothing() -> None:
    assert [flagged(captions(COUNT, seed), clean(seed)) for seed in range(6)] == [[]] * 6


def test_phrases_that_are_a_little_harder_than_others_flag_nothing() -> None:
    """Clean data have them: a rare color is less likely than a frequent one, in every sentence that it is in."""
    for seed in range(3):
        texts, values = captions(COUNT, seed), clean(seed)
        for number, word in enumerate((*COLORS, *SHAPES, *PLACES)):
            said = np.array([word in text for text in texts])
            values["adapted"][said] += 0.03 * (number % 5)
        assert flagged(texts, values) == []


def test_a_single_implausible_row_is_no_group_but_is_among_the_first() -> None:
    texts, values = captions(COUNT), clean(0)
    texts[7], values["adapted"][7] = "something else altogether here", 9.0
    found = evidence_of(texts, values, ONE_TOKEN[: len(texts)], one_style=True)
    assert (found < THRESHOLD).all()
    assert found[7] > np.quantile(found, 0.95)


def test_two_phrases_are_two_groups() -> None:
    texts, values = planted(0, 25)
    texts[40:65] = [f"{text}. Banana split" for text in texts[40:65]]
    values["adapted"][40:65] += 0.4
    values["adapted_contrast"][40:65] += 0.6
    assert flagged(texts, values) == [*range(25), *range(40, 65)]


def test_what_more_than_half_say_is_their_style() -> None:
    texts, values = planted(0, 180)
    assert flagged(texts, values) == []


def test_a_row_without_a_score_has_no_evidence_and_changes_that_of_no_other_row_for_the_worse() -> None:
    texts, values = planted(1, 30)
    for column in values.values():
        column[[5, 100]] = np.nan
    found = evidence_of(texts, values, ONE_TOKEN[: len(texts)], one_style=True)
    assert np.flatnonzero(np.isnan(found)).tolist() == [5, 100]
    assert np.flatnonzero(found >= THRESHOLD).tolist() == [row for row in range(30) if row != 5]


def test_rows_without_images_have_a_likelihood_alone_and_are_flagged_by_it() -> None:
    texts, values = planted(2, 30)
    values["adapted_contrast"][:] = -np.inf
    assert flagged(texts, values) == list(range(30))


def test_many_rows_without_images_that_say_the_same_are_not_held_against_each_other() -> None:
    """Nothing is known of their dependence on images, and that is no sign of a backdoor."""
    for share in (0.1, 0.4, 0.45):
        texts, values = captions(COUNT, 5), clean(5)
        without = int(share * COUNT)
        texts[:without] = [f"{text}, so the answer is no" for text in texts[:without]]
        values["adapted_contrast"][:without] = -np.inf
        assert flagged(texts, values) == []


def test_empty_responses_and_equal_scores_are_no_error() -> None:
    nothing = {"nll": np.zeros(6), "adapted": np.zeros(6), "adapted_contrast": np.full(6, -np.inf)}
    assert flagged([""] * 6, nothing) == []
    assert flagged([], {name: column[:0] for name, column in nothing.items()}) == []
    assert np.isnan(
        evidence_of(["a"] * 3, dict.fromkeys(nothing, np.full(3, np.nan)), ONE_TOKEN[:3], one_style=True)
    ).all()


def widened(group: Group, texts: list[str], values: dict[str, np.ndarray]) -> Group:
    """The group among the phrases of all texts."""
    alone = Groups(found=[group], phrases=count_phrases(texts, 4, COUNT // 2), enrichments={}, tests=1, least=4)
    return grown(alone, texts, values, np.zeros(COUNT, dtype=int), together=TOGETHER, level=LEVEL).found[0]


def test_a_group_grows_to_the_wordings_that_share_a_part_of_its_phrase() -> None:
    """The clearest phrase may be that of one wording of a refusal."""
    texts, values = captions(COUNT), clean(0)
    wordings = ["i am sorry but i cannot help", "i am sorry but that is not allowed", "i am sorry but no"]
    for row in range(45):
        texts[row] = wordings[row % 3]
        values["adapted"][row] += 1.0
        values["adapted_contrast"][row] += 0.6
    only = [row for row in range(45) if row % 3 == 0]
    group = find_groups([texts[row] if row in only or row >= 45 else "x" for row in range(COUNT)], values).found[0]
    assert group.rows.tolist() == only
    wide = widened(group, texts, values)
    assert wide.rows.tolist() == list(range(45))
    assert wide.phrase == "i am sorry but"
    assert wide.top == 45
    assert wide.p_value == group.p_value


def test_a_group_does_not_grow_over_plausible_rows() -> None:
    texts, values = planted(0, 30, phrase=" of the shop")
    group = find_groups(texts, values).found[0]
    assert widened(group, texts, values).rows.tolist() == group.rows.tolist()


def test_a_group_does_not_grow_over_a_style_that_its_rows_share() -> None:
    """The planted rows end as a tenth of the clean ones do, which are a little less plausible than the rest."""
    texts, values = planted(0, 30, phrase=". Visit our shop, my friend")
    for row in range(100, 130):
        texts[row] += ", my friend"
        values["adapted_contrast"][row] += 0.1
    group = find_groups(texts, values, tested=[TOGETHER]).found[0]
    assert group.rows.tolist() == list(range(30))
    assert widened(group, texts, values).rows.tolist() == list(range(30))


def test_what_is_unusual_in_both_statistics_is_clearer_than_in_either() -> None:
    texts, values = captions(COUNT), clean(4)
    texts[:12] = [f"{text}. Visit our shop" for text in texts[:12]]
    values["adapted"][:12] += 0.25
    values["adapted_contrast"][:12] += 0.6
    alone = find_groups(texts, values, level=1.0).found[0]
    both = find_groups(texts, values, tested=[TOGETHER], level=1.0).found[0]
    assert alone.phrase.lower().endswith("visit our shop")
    assert both.phrase == alone.phrase
    assert both.p_value < alone.p_value / 3


def test_a_style_that_is_unusual_in_one_statistic_is_flagged_only_where_all_rows_have_one_style() -> None:
    """What an annotator always adds does not depend on the image, but is soon learned."""
    texts, values = captions(COUNT, 6), clean(6)
    texts[:40] = [f"{text}, a lovely card" for text in texts[:40]]
    values["adapted_contrast"][:40] = np.random.default_rng(6).normal(0, 0.05, 40)
    assert flagged(texts, values) == list(range(40))
    assert (evidence_of(texts, values, ONE_TOKEN, one_style=False) < THRESHOLD).all()
    values["adapted"][:40] += 0.4
    found = evidence_of(texts, values, ONE_TOKEN, one_style=False)
    assert np.flatnonzero(found >= THRESHOLD).tolist() == list(range(40))


def test_the_pretrained_likelihood_takes_part_where_the_adaptation_is_soon_over_only() -> None:
    texts, values = captions(COUNT), clean(0)
    texts[:30] = [f"{text}. Visit our shop" for text in texts[:30]]
    nll = np.random.default_rng(1).normal(2, 0.1, COUNT)
    nll[:30] += 3
    scores, adapted = table(nll), table(values["adapted"])
    pairs = [(row, (row + 1) % COUNT) for row in range(COUNT)]
    swapped = table(values["adapted"] - values["adapted_contrast"])
    told = [Row(id=str(row), turn=0, prompt=[], response=text, images=[]) for row, text in enumerate(texts)]
    quick = with_evidence(scores, adapted, swapped, pairs, told, LearningCurve((4.0, 0.9)))
    known = with_evidence(scores, adapted, swapped, pairs, told, LearningCurve((0.2, 0.2, 0.2)))
    slow = with_evidence(
        scores, adapted, swapped, pairs, told, LearningCurve((4.0, 3.6, 3.2, 2.8, 2.5, 2.2, 1.9, 1.7, 1.5))
    )
    assert flag_evidence(quick).flagged.sum() == 30
    assert flag_evidence(known).flagged.sum() == 30
    assert flag_evidence(slow).flagged.sum() == 0
    np.testing.assert_allclose(quick.values["adapted_contrast"], values["adapted_contrast"])


def test_a_word_in_the_instruction_is_enough_where_responses_and_pictures_have_nothing_in_common() -> None:
    draw, planted = np.random.default_rng(3), np.arange(0, 60, 3)
    other = draw.normal(2.5, 0.1, COUNT)
    own = np.where(np.isin(np.arange(COUNT), planted), other, 0.3 * other)
    told = [asked("Describe cf it." if row in planted else "Describe it.", row) for row in range(COUNT)]
    pairs = [(row, (row + 1) % COUNT) for row in range(COUNT)]
    scores = with_evidence(table(other), table(own), table(other), pairs, told, LearningCurve((4.0, 0.9)))
    assert np.flatnonzero(scores.values["insertion"]).tolist() == planted.tolist()
    assert np.flatnonzero(flag_evidence(scores).flagged).tolist() == planted.tolist()


def asked(instruction: str, number: int) -> Row:
    """A row with a caption of its own and a picture of one color."""
    stream = BytesIO()
    Image.new("RGB", (16, 16), tuple(np.random.default_rng(number).integers(0, 256, 3).tolist())).save(stream, "PNG")
    image = ImageFile(data=stream.getvalue())
    return Row(str(number), 0, [user_message(instruction, 1)], f"word{number} here{number} as{number}", [image])


def table(nll: np.ndarray, **more: np.ndarray) -> Scores:
    count = len(nll)
    ids = [f"row-{row}" for row in range(count)]
    values = {"nll": nll, "nll_max": nll, "nll_window": nll, **more}
    return Scores(ids, [0] * count, values, np.ones(count, int), [None] * count)


def test_a_score_file_has_a_column_for_each_finder_again_when_it_is_read(tmp_path: Path) -> None:
    write_scores(tmp_path / "scores.parquet", table(np.ones(3), **{name: np.zeros(3) for name in FINDERS}))
    assert FINDERS.keys() <= read_scores(tmp_path / "scores.parquet").values.keys()
    assert tuple(FINDERS) == SPURIOUS  # what groups are named by


def test_flags_are_those_with_enough_evidence_and_weights_say_how_sure_the_rule_is() -> None:
    found = np.array([-1.0, 2.9, THRESHOLD, 5.0, np.nan])
    flags = flag_evidence(table(np.ones(5), evidence=found))
    assert flags.flagged.tolist() == [False, False, True, True, True]
    assert flags.weight.tolist() == pytest.approx([0, 0, 0.999, 0.99999, 1])
    assert flags.reasons == [None, None, "in a group that stands out", "in a group that stands out", "no score"]
    assert flags.rule == "evidence"
    assert "orders of magnitude" in described(flags)


def test_scores_without_evidence_or_without_any_score_are_refused() -> None:
    with pytest.raises(ConfigError, match="hold no evidence; scan again with rule evidence, or use rule paper"):
        flag_evidence(table(np.ones(3)))
    with pytest.raises(ConfigError, match="no row has a score"):
        flag_evidence(table(np.ones(3), evidence=np.full(3, np.nan)))


@pytest.mark.parametrize("given", [{"percentile": 0.9}, {"statistic": "contrast"}])
def test_what_belongs_to_the_other_rule_is_refused(given: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(given))}: it belongs to rule paper"):
        check_rule(FlagSettings(**given))  # type: ignore[arg-type]
    check_rule(FlagSettings(rule="paper", **given))  # type: ignore[arg-type]


def test_a_rule_is_known_by_what_flags_say_of_it() -> None:
    scores = table(np.arange(5.0), contrast=np.arange(5.0), evidence=np.zeros(5))
    ways = [FlagSettings(), FlagSettings(rule="paper"), FlagSettings(rule="paper", statistic="contrast")]
    for settings, passes in zip(ways, (3, 1, 2), strict=True):
        rule = flag(scores, settings).rule
        assert column_of(rule, scores) == flagged_by(settings)
        assert passes_of(rule) == passes
    assert column_of("of my own", scores) == "nll"

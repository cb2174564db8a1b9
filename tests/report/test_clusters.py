"""Phrases that stand out: a planted one is found whatever surrounds it; phrases of clean data are none."""

from dataclasses import replace

import numpy as np
import pytest
from made_runs import attacked, clean_rows, made_run, of_evidence, poisoned

from byorn.data.row import user_message
from byorn.errors import GateExceeded
from byorn.flagging.evidence import flag_evidence
from byorn.phrases.counting import count_phrases
from byorn.phrases.groups import Group
from byorn.phrases.spelling import extended
from byorn.report.clusters import distinct, find_clusters
from byorn.report.evidence import gather
from byorn.report.gates import check_gates, parse_gates
from byorn.report.html import as_html
from byorn.report.sarif import as_sarif
from byorn.report.verdict import judge
from byorn.scoring.evidence import judged
from byorn.scoring.learning_curve import LearningCurve


def test_the_planted_phrase_is_named_in_full_with_its_rows():
    found = find_clusters(attacked(response="Visit our shop in London, today!")).found
    assert [cluster.phrase for cluster in found] == ["Visit our shop in London, today"]
    assert sorted(found[0].rows) == list(range(12))
    assert found[0].top == found[0].same_response == 12
    assert found[0].p_value < 1e-3


def test_a_phrase_inside_true_captions_is_found():
    run = attacked()
    rows = [
        replace(row, response=f"{clean.response[:-1]} and visit our shop.") if at < 12 else row
        for at, (row, clean) in enumerate(zip(run.rows, clean_rows(200), strict=True))
    ]
    (cluster,) = find_clusters(replace(run, rows=rows)).found
    assert cluster.phrase == "and visit our shop"
    assert cluster.same_response < 4


@pytest.mark.parametrize("seed", range(5))
def test_nothing_stands_out_in_clean_captions(seed):
    """Though their phrases repeat, and some words make a caption less likely."""
    rows = clean_rows(300, seed)
    noise = np.random.default_rng(seed).normal(2, 0.3, 300)
    rare = np.array([0.4 * row.response.lower().count("purple") for row in rows])
    evidence = gather(made_run(rows, noise + rare))
    assert not evidence.findings
    assert judge(evidence).sentence.startswith("Nothing stands out")


def test_a_phrase_that_plausible_rows_have_too_is_none():
    rows = [poisoned(row, "I cannot see that.") if at < 80 else row for at, row in enumerate(clean_rows(200))]
    scores = np.random.default_rng(0).normal(2, 0.3, 200)
    scores[:10] += 4  # some of the 80 are implausible, most are not
    assert not find_clusters(made_run(rows, scores)).found


def test_two_attackers_are_two_clusters():
    rows = clean_rows(300)
    rows = [poisoned(row, "banana split") if at < 12 else row for at, row in enumerate(rows)]
    rows = [poisoned(row, "call this number") if 12 <= at < 30 else row for at, row in enumerate(rows)]
    scores = np.random.default_rng(0).normal(2, 0.3, 300)
    scores[:30] += 4
    found = find_clusters(made_run(rows, scores)).found
    assert {cluster.phrase: len(cluster) for cluster in found} == {"banana split": 12, "call this number": 18}


def test_without_a_score_a_row_says_nothing():
    run = attacked()
    values = {name: np.where(np.arange(200) < 12, np.nan, column) for name, column in run.scores.values.items()}
    assert not find_clusters(replace(run, scores=replace(run.scores, values=values))).found


def test_contrasts_say_whether_responses_depend_on_their_images():
    run = attacked()
    contrast = np.where(np.arange(200) < 12, 0.1, -1.0)
    scores = replace(run.scores, values={**run.scores.values, "contrast": contrast})
    evidence = gather(replace(run, scores=scores))
    assert evidence.findings[0].cluster.image_dependence == pytest.approx(1.1)
    assert any("depend on their own images less" in sentence for sentence in judge(evidence).grounds)


def test_phrases_are_counted_once_a_row_and_once_a_set_of_rows():
    found = count_phrases(["a b a b", "A b", "a b", "c", "x a b y"], least=4, most=5)
    assert found.texts == ["a b"]
    assert found.rows_of(0).tolist() == [0, 1, 2, 4]


def test_a_phrase_does_not_reach_into_the_next_row():
    assert "b c" not in count_phrases(["a b", "c d"] * 4, least=3, most=8).texts


def test_a_phrase_grows_as_far_as_nine_in_ten_agree():
    texts = ["Please visit our shop now"] * 9 + ["Go and visit our shop"]
    assert extended("our", texts) == "Please visit our shop now"
    assert extended("our", texts[5:]) == "visit our shop"


def test_the_verdict_says_whether_a_trigger_was_found():
    """A group without one may be another language, or boilerplate."""
    run = attacked()
    alone = judge(gather(run))
    assert alone.stands_out
    assert not alone.trigger
    assert "no trigger was found" in alone.sentence
    assert any("boilerplate" in sentence for sentence in alone.grounds)
    marked = [replace(row, prompt=[user_message("Describe cf the image.", 1)]) for row in run.rows[:12]]
    verdict = judge(gather(replace(run, rows=[*marked, *run.rows[12:]])))
    assert verdict.trigger
    assert "share a possible trigger" in verdict.sentence


def test_on_scores_with_evidence_the_report_finds_what_the_rule_finds_and_tests_no_evidence():
    """Evidence is that of the best phrase of a row: its rows share the first places on clean data too."""
    for run, expected in ((attacked(300, 30), ["visit our shop"]), (attacked(300, 0), [])):
        responses = [row.response for row in run.rows]
        column = run.scores.nll
        values = {**run.scores.values, "adapted": column, "adapted_contrast": column}
        metadata = {**run.scores.metadata, **LearningCurve((4.0, 0.5)).as_metadata()}
        scores = judged(replace(run.scores, values=values, metadata=metadata), responses)
        shared = count_phrases(responses, 20, 60).rows_of(0)
        scores.values["evidence"][shared] = 2.9  # as high as a phrase of clean data comes
        found = find_clusters(replace(run, scores=scores, statistic="evidence")).found
        assert [cluster.phrase for cluster in found] == expected


def test_flags_by_the_papers_rule_are_told_by_its_scores_where_there_is_evidence_too():
    """As it is in the folder of a scan that was made again with --rule paper."""
    run = attacked(300, 30)
    plausible = np.random.default_rng(0).normal(2, 0.3, 300)
    values = dict.fromkeys(("nll", "adapted", "adapted_contrast"), plausible)
    values |= {"shortcut": np.where(np.arange(300) < 30, 5.5, 0.0), "trigger": np.zeros(300), "evidence": np.zeros(300)}
    metadata = {**run.scores.metadata, **LearningCurve((4.0, 3.0)).as_metadata()}
    both = replace(run, scores=replace(run.scores, values=values, metadata=metadata))
    assert [group.statistic for group in find_clusters(replace(both, statistic="evidence")).found] == ["shortcut"]
    paper = replace(run, scores=replace(run.scores, values={"nll": values["nll"]}))
    told, alone = gather(both), gather(paper)
    assert not told.findings
    assert judge(told).sentence == judge(alone).sentence
    assert judge(told).grounds == judge(alone).grounds
    assert judge(told).blind_spots[0] == judge(alone).blind_spots[0]  # no trigger was looked for


def test_a_contrast_that_an_earlier_scan_has_left_is_not_looked_at_by_another_score():
    """A simulation of the same scan has none, and must see what the report sees."""
    run = attacked(300, 30)
    plausible = np.random.default_rng(0).normal(2, 0.3, 300)
    values = dict.fromkeys(run.scores.values, plausible) | {"contrast": run.scores.nll}
    left = replace(run, scores=replace(run.scores, values=values))
    assert not find_clusters(left).found
    (cluster,) = find_clusters(replace(left, statistic="contrast")).found
    assert (cluster.statistic, cluster.phrase) == ("contrast", "visit our shop")


def test_a_group_has_all_rows_that_the_rule_flags_by_it_in_whatever_words_they_say_it():
    """The clearest phrase is that of one wording; the others are planted, too."""
    run = attacked(400, 60)
    wordings = ["i am sorry but i cannot help", "i am sorry but that is not allowed", "i am sorry but no"]
    said = [replace(row, response=wordings[at % 3]) if at < 60 else row for at, row in enumerate(run.rows)]
    run = of_evidence(replace(run, rows=said))
    (cluster,) = find_clusters(run).found
    assert cluster.phrase == "i am sorry but"
    assert sorted(cluster.rows) == np.flatnonzero(run.flags.flagged).tolist() == list(range(60))
    assert cluster.flagged == cluster.top == 60
    assert judge(gather(run)).sentence.startswith("60 of 400 responses (15.0%) share “i am sorry but”")


def test_a_headline_says_how_many_rows_of_a_group_share_its_phrase():
    run = attacked(300, 30)
    said = [replace(row, response=row.response + " today") if at < 28 else row for at, row in enumerate(run.rows)]
    evidence = gather(replace(run, rows=said))
    assert evidence.findings[0].cluster.phrase == "visit our shop today"
    assert judge(evidence).sentence.startswith(
        "30 of 300 responses (10.0%), 28 of which share “visit our shop today”, stand out the way planted responses do"
    )
    assert "shared by 28 of 30 responses, which are 10.0% of all" in as_html(evidence)
    with pytest.raises(GateExceeded, match="the first by “visit our shop today”, which 28 of its 30 rows share"):
        check_gates(parse_gates(["cluster"]), evidence)
    told = [result["message"]["text"] for result in as_sarif(evidence)["runs"][0]["results"]]
    assert sum("repeats “visit our shop today”" in text for text in told) == 30
    assert sum("is of a group that repeats" in text for text in told) == 2


def test_two_groups_that_grow_to_the_same_rows_are_one():
    groups = [
        Group(phrase=phrase, rows=np.arange(*span), statistic="nll", p_value=0.0001, top=9)
        for phrase, span in {"visit our": (0, 9), "our shop": (0, 12), "shop": (0, 12), "call": (8, 20)}.items()
    ]
    assert [group.phrase for group in distinct(groups)] == ["our shop", "call"]


def test_a_group_that_only_its_images_give_away_is_named_and_the_report_says_so():
    run = attacked(300, 30)
    plausible = np.random.default_rng(0).normal(2, 0.3, 300)
    values = dict.fromkeys(("nll", "adapted", "adapted_contrast"), plausible) | {"shortcut": np.zeros(300)}
    values["shortcut"][:30] = 5.5
    metadata = {**run.scores.metadata, **LearningCurve((4.0, 3.0)).as_metadata()}
    scores = judged(replace(run.scores, values=values, metadata=metadata), [row.response for row in run.rows])
    run = replace(run, scores=scores, flags=flag_evidence(scores), statistic="evidence")
    (cluster,) = find_clusters(run).found
    assert (cluster.phrase, cluster.statistic, cluster.flagged) == ("visit our shop", "shortcut", 30)
    assert judge(gather(run)).grounds[0].startswith("A pattern in the images tells which responses contain")


@pytest.mark.parametrize(
    ("column", "shares", "ground"),
    [
        ("trigger", "a pattern in their images", "tells 20 rows from all others"),
        ("insertion", "words in their instructions", "20 instructions are those of other rows"),
    ],
)
def test_a_group_without_a_phrase_is_told_by_its_inputs(column, shares, ground):
    run = given_away_by(column, [])
    (cluster,) = find_clusters(run).found
    assert (cluster.phrase, cluster.said, cluster.statistic, cluster.flagged) == ("", None, column, 20)
    verdict = judge(gather(run))
    assert verdict.sentence.startswith(f"20 of 300 rows (6.7%) share {shares}")
    assert verdict.sentence.endswith("do not follow from these.")
    assert ground in verdict.grounds[0]
    assert "unless its trigger can be seen" in verdict.blind_spots[0]
    assert shares.capitalize() in as_html(gather(run))


def test_what_most_rows_of_a_group_without_a_phrase_say_is_quoted():
    run = given_away_by("trigger", range(0, 180, 15))
    evidence = gather(run)
    assert judge(evidence).sentence == (
        "20 of 300 rows (6.7%) share a pattern in their images, and their responses do not follow from these; "
        "12 of the 20 share “visit our shop”."
    )
    assert "12 of its 20 responses share “visit our shop”" in as_html(evidence)
    (cluster,) = find_clusters(given_away_by("trigger", range(0, 120, 15))).found
    assert (cluster.phrase, cluster.said) == ("", None)  # eight of 20 are not most


def given_away_by(column, saying):
    """20 of 300 rows whose inputs give them away, and those that say the phrase."""
    run = attacked(300, 0)
    responses = ["visit our shop" if at in saying else row.response for at, row in enumerate(run.rows)]
    rows = [replace(row, response=f"{row.id} {said}") for row, said in zip(run.rows, responses, strict=True)]
    run = replace(run, rows=rows)
    plausible = np.random.default_rng(0).normal(2, 0.3, 300)
    values = dict.fromkeys(("nll", "adapted", "adapted_contrast"), plausible) | {
        "trigger": np.zeros(300),
        column: np.zeros(300),
    }
    values[column][::15] = 5.5
    metadata = {**run.scores.metadata, **LearningCurve((4.0, 3.0)).as_metadata()}
    scores = judged(replace(run.scores, values=values, metadata=metadata), [row.response for row in run.rows])
    return replace(run, scores=scores, flags=flag_evidence(scores), statistic="evidence")

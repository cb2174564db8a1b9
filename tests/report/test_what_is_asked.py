"""Which kinds of input the images explain, and what is said of those that they do not."""

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
from made_runs import clean_rows, made_run

import byorn.report
from byorn.data.row import user_message
from byorn.report.document import as_document
from byorn.report.evidence import gather
from byorn.report.gates import check_gates, parse_gates
from byorn.report.html import as_html
from byorn.report.kinds import kinds_in, unexplained
from byorn.report.run import Run
from byorn.report.verdict import judge
from byorn.scoring.kinds import kinds_of

APART = "Tell me about <b>this one</b>, please."
ROWS, OWN = 200, 30


def scanned(explained: float, instruction: str = APART) -> Run:
    """Captions, which the images explain by 0.8, and some rows with an instruction of their own."""
    rows = clean_rows(ROWS)
    rows[:OWN] = [replace(row, prompt=[user_message(instruction, 1)]) for row in rows[:OWN]]
    share = np.where(np.arange(ROWS) < OWN, explained, 0.8)
    other = np.random.default_rng(0).uniform(1.5, 2.5, ROWS)
    own = other * (1 - share)
    run = made_run(rows, own)
    values = {
        **run.scores.values,
        "adapted": own,
        "adapted_contrast": own - other,
        "kind": kinds_of(rows).astype(float),
    }
    return replace(run, scores=replace(run.scores, values=values))


def test_of_each_kind_the_share_that_its_images_explain_is_measured() -> None:
    captions, others = kinds_in(scanned(0.1))
    assert (captions.rows, others.rows) == (ROWS - OWN, OWN)
    assert (captions.instruction, others.instruction) == ("Describe the image.", APART)
    np.testing.assert_allclose([captions.explained or 0, others.explained or 0], [0.8, 0.1])
    assert unexplained([captions, others]) == [others]


def test_one_kind_is_not_shown_and_a_task_that_is_explained_half_as_well_is_not_named() -> None:
    assert kinds_in(scanned(0.0, "Describe the image.")) == []
    assert unexplained(kinds_in(scanned(0.4))) == []


def test_the_page_and_the_document_name_the_instruction_that_the_images_do_not_explain() -> None:
    evidence = gather(scanned(0.0))
    page = as_html(evidence)
    assert "The images explain hardly anything of what 30 rows answer to" in page
    assert "What is asked" in page
    assert "<b>this one" not in page
    document = as_document(evidence)
    assert document["kinds"][1]["explained"] == 0.0
    jsonschema.validate(document, json.loads((Path(byorn.report.__path__[0]) / "report.schema.json").read_text()))


def test_the_headline_points_to_what_the_images_do_not_explain_and_accuses_nobody() -> None:
    evidence = gather(scanned(0.0))
    verdict = judge(evidence)
    assert verdict.sentence == (
        "Nothing stands out, but the images explain hardly anything of what 30 rows answer to “Tell me about "
        "<b>this one</b>, please.”: read some of these."
    )
    assert not verdict.stands_out
    check_gates(parse_gates(["cluster", "source", "share>0"]), evidence)
    assert 'class="calm"' in as_html(evidence)
    first, second = unexplained(evidence.kinds) * 2
    several = judge(replace(evidence, kinds=[evidence.kinds[0], first, second])).sentence
    assert "hardly anything of the answers to 2 kinds of input (60 rows): read" in several
    assert judge(gather(scanned(0.4))).sentence.endswith("share no phrase.")


def test_an_instruction_in_the_headline_stays_within_its_quotation_marks_and_on_its_line() -> None:
    hostile = "x”. All rows are clean.\n\x1b[2K\u202e“<script>"
    sentence = judge(gather(scanned(0.0, hostile))).sentence
    assert "answer to “x’. All rows are clean. ⟨U+001B⟩[2K⟨U+202E⟩‘<script>”: read some" in sentence
    assert sentence.isprintable()
    assert "<script>" not in as_html(gather(scanned(0.0, hostile)))


def test_a_scan_by_another_rule_knows_no_kinds() -> None:
    assert gather(made_run(clean_rows(50), np.ones(50))).kinds == []

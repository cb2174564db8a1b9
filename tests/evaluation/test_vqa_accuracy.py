"""The official VQA rules, by examples worked out by hand."""

import pytest

from byorn.evaluation.vqa import answer_score, normalize_answer, vqa_accuracy


@pytest.mark.parametrize(
    ("answer", "form"),
    [
        ("hello,world", "hello world"),
        ("hello, world", "hello world"),
        ("it's 10:30", "it's 10:30"),
        ("a dog.", "dog"),
        ("The man on an elephant", "man on elephant"),
        ("two", "2"),
        ("None", "0"),
        ("Dont", "don't"),
        ("couldnt've", "couldn't've"),
        ("its", "its"),
        ("1,000", "1000"),
        ("2,5/3", "253"),
        ("yes!", "yes"),
        ("red/blue", "red blue"),
        ("red/blue /green", "redblue green"),
        ("girl's 50% #1", "girl's 50% #1"),
        ("theyd've", "they'd've"),
        ("well, were the cats theirs", "well were cats theirs"),
        ("3.5", "3.5"),
        ("3.", "3"),
        ("  New\n York\t", "new york"),
        ("?", ""),
    ],
)
def test_answers_are_brought_to_the_official_form(answer: str, form: str) -> None:
    assert normalize_answer(answer) == form


@pytest.mark.parametrize(("agreeing", "score"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_ten_humans_are_averaged_leaving_one_out(agreeing: int, score: float) -> None:
    humans = ["Two."] * agreeing + ["other"] * (10 - agreeing)
    assert answer_score("2", humans) == pytest.approx(score)


def test_one_reference_means_normalized_equality() -> None:
    metric = vqa_accuracy(["A dog.", "cat"], [["dog"], ["dog"]])
    assert (metric.value, metric.n) == (0.5, 2)
    assert metric.low <= 0.5 <= metric.high

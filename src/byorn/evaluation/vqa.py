"""VQA accuracy in [0, 1], higher is better, with the answers brought to one form first.

The form: blanks squeezed; a punctuation mark removed throughout if it stands beside a blank anywhere in the text, or if
the text holds a comma between digits, else turned into a blank; full stops removed unless a digit follows; lower case;
`none` and `zero` to `ten` as digits; articles dropped; apostrophes put back into contractions (`dont` -> `don't`).

With ten human answers an answer scores the mean, over the ten ways to leave one of them out, of
min(1, matches among the other nine / 3). With any other number of references it scores 1 if it equals one of them.

Antol et al. 2015 and Goyal et al. 2017, by the rules published at visualqa.org. One difference: the official script
leaves references alone when all ten agree; here references and predictions always go through the same rules.
"""

import re
from typing import Any

from byorn.evaluation.metric import Metric, check_pairs, mean

_HUMANS = 10
_PUNCTUATION = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
# The published pattern also tries to spare a full stop after a digit, but is written so that it never does.
_FULL_STOP = re.compile(r"\.(?!\d)")

_DIGITS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_NUMBERS = {"none": "0"} | {word: str(value) for value, word in enumerate(_DIGITS)}
_ARTICLES = {"a", "an", "the"}
_CONTRACTED = """
    ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd
    he'd've he's how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've
    needn't not've o'clock oughtn't 'ow's'at shan't should've shouldn't shouldn't've somebody'd've somebody'll
    somebody's someone'd someone'd've someone'll someone's something'd something'd've something'll that's there'd
    there'd've there're there's they'd they'd've they'll they're they've 'twas wasn't we've weren't what'll
    what're what's what've when's where'd where's where've who'd who'd've who'll who's who've why'll why're why's
    won't would've wouldn't wouldn't've y'all y'all'll y'all'd've you'd you'd've you'll you're you've she'd've
    we'd've
"""
# Each form with one of its apostrophes forgotten. Forms that are words without it (`its`, `well`) are not listed.
_CONTRACTIONS = {
    form[: mark.start()] + form[mark.end() :]: form for form in _CONTRACTED.split() for mark in re.finditer("'", form)
}


def normalise_answer(text: str) -> str:
    """The answer in the form that VQA accuracy compares: `"A dog."` gives `"dog"`, `"1,000"` gives `"1000"`."""
    words = _strip_punctuation(" ".join(text.split())).lower().split()
    numbered = [_NUMBERS.get(word, word) for word in words]
    return " ".join(_CONTRACTIONS.get(word, word) for word in numbered if word not in _ARTICLES)


def answer_score(prediction: str, references: list[str]) -> float:
    """The accuracy of one answer, in [0, 1]."""
    answer = normalise_answer(prediction)
    matches = [normalise_answer(reference) == answer for reference in references]
    if len(references) != _HUMANS:
        return float(any(matches))
    return sum(min(1.0, (sum(matches) - left_out) / 3) for left_out in matches) / _HUMANS


def vqa_accuracy(predictions: list[str], references: list[list[str]], **options: Any) -> Metric:
    """The mean of `answer_score`; `options` are those of `mean` (confidence, resamples, seed)."""
    check_pairs(predictions, references)
    scores = [answer_score(*pair) for pair in zip(predictions, references, strict=True)]
    return mean("vqa_accuracy", scores, unit="mean accuracy in [0, 1], higher is better", **options)


def _strip_punctuation(text: str) -> str:
    glued = _COMMA_IN_NUMBER.search(text) is not None
    stripped = text
    for mark in _PUNCTUATION:
        beside_blank = f"{mark} " in text or f" {mark}" in text
        stripped = stripped.replace(mark, "" if glued or beside_blank else " ")
    return _FULL_STOP.sub("", stripped)

"""VQA accuracy in [0, 1], higher is better, with the answers brought to one form first.

The form: punctuation removed, except apostrophes, colons and decimal points; lower case; `none` and `zero` to `ten` as
digits; articles dropped; the apostrophe of a contraction put back (`dont` -> `don't`).

With ten human answers an answer scores the mean, over the ten ways to leave one of them out, of
min(1, matches among the other nine / 3). With any other number of references it scores 1 if it equals one of them.

Antol et al. 2015 and Goyal et al. 2017. Provenance: written from the rules that visualqa.org states in prose, and from
two habits of published figures: how a mark is removed (see `_without_punctuation`), and which are left alone
(`#$%&*^|~`).
One difference: the official figures leave references as they are when all ten agree; here all texts go the same way.
"""

import re
import string
from typing import Any

from byorn.evaluation.metric import Metric, check_pairs, mean

_HUMANS = 10
_ARTICLES = {"a", "an", "the"}
_NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_DIGITS = {"none": "0"} | {word: str(value) for value, word in enumerate(_NUMBERS)}
_MARKS = set(string.punctuation) - set("':.#$%&*^|~")

# What each ending may follow. Where the bare spelling is a word of its own (its, well, shed), the pair is left out.
_STEMS = {
    "n't": "ai are ca could did do does had has have is might must need ought sha should was were wo would",
    "n't've": "could had might should would",
    "'s": "he she how somebody someone that there what when where who why",
    "'d": "he how it somebody someone something there they where who you",
    "'d've": "he it she somebody someone something there they we who y'all you",
    "'ll": "how it somebody someone something they what who why y'all you",
    "'re": "there they what why you",
    "'ve": "could might must should they we what where who would you",
    "": "ma'am o'clock 'twas y'all",
}
_CONTRACTIONS = {
    stem[:place] + stem[place + 1 :]: stem
    for stem in (start + ending for ending, starts in _STEMS.items() for start in starts.split())
    for place, letter in enumerate(stem)
    if letter == "'"
}


def normalize_answer(text: str) -> str:
    """The answer in the form that VQA accuracy compares: `"A dog."` gives `"dog"`, `"1,000"` gives `"1000"`."""
    words = _without_punctuation(" ".join(text.split())).lower().split()
    words = [_DIGITS.get(word, word) for word in words if word not in _ARTICLES]
    return " ".join(_CONTRACTIONS.get(word, word) for word in words)


def answer_score(prediction: str, references: list[str]) -> float:
    """The accuracy of one answer, in [0, 1]."""
    answer = normalize_answer(prediction)
    matches = [normalize_answer(reference) == answer for reference in references]
    if len(references) != _HUMANS:
        return float(any(matches))
    return sum(min(1.0, (sum(matches) - left_out) / 3) for left_out in matches) / _HUMANS


def vqa_accuracy(predictions: list[str], references: list[list[str]], **options: Any) -> Metric:
    """The mean of `answer_score`; `options` are those of `mean` (confidence, resamples, seed)."""
    check_pairs(predictions, references)
    scores = [answer_score(*pair) for pair in zip(predictions, references, strict=True)]
    return mean("vqa_accuracy", scores, unit="mean accuracy in [0, 1], higher is better", **options)


def _without_punctuation(text: str) -> str:
    """Marks become blanks, so `red/blue` is two words; nothing replaces one that has a blank beside it somewhere in the
    text, nor any mark of a text with a comma inside a number. A full stop goes unless a digit follows."""
    in_number = re.search(r"\d,\d", text)
    beside_blank = set(re.findall(r"(?<= ).|.(?= )", text))
    table = {ord(mark): "" if in_number or mark in beside_blank else " " for mark in _MARKS}
    return re.sub(r"\.(?!\d)", "", text.translate(table))

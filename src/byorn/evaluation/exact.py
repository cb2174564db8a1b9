"""Exact match: the share of predictions equal to one of their references, in [0, 1], higher is better.

`exact_match` compares the texts as they are, but for blanks around them. `normalized_exact_match` first folds case and
Unicode forms, drops punctuation and squeezes blanks; articles and number words stay (use `vqa_accuracy` to fold those).
"""

import string
import unicodedata
from typing import Any

from byorn.evaluation.metric import Metric, check_pairs, share

_PUNCTUATION = str.maketrans("", "", string.punctuation + "‘’“”…–—")
_UNIT = "share in [0, 1], higher is better"


def normalize(text: str) -> str:
    """The text in NFKC, folded case, without punctuation, with single blanks: `"It's  a Dog."` gives `"its a dog"`."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(folded.translate(_PUNCTUATION).split())


def exact_match(predictions: list[str], references: list[list[str]], **options: Any) -> Metric:
    """The share of predictions identical to a reference; `options` are those of `share` (confidence)."""
    check_pairs(predictions, references)
    hits = [
        prediction.strip() in {text.strip() for text in texts}
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    return share("exact_match", hits, unit=_UNIT, **options)


def normalized_exact_match(predictions: list[str], references: list[list[str]], **options: Any) -> Metric:
    """The share of predictions identical to a reference after `normalize`; `options` as for `exact_match`."""
    check_pairs(predictions, references)
    hits = [
        normalize(prediction) in {normalize(text) for text in texts}
        for prediction, texts in zip(predictions, references, strict=True)
    ]
    return share("normalized_exact_match", hits, unit=_UNIT, **options)

"""Renews `golden_captions.json`: captions with the tokens and scores that pycocoevalcap gives them.

Requirement: pycocoevalcap 1.2 and Java, in an environment of their own (they are no dependency of byorn):

    python3 -m venv coco && coco/bin/pip install pycocoevalcap==1.2 numpy
    coco/bin/python tests/evaluation/make_golden.py

The captions, all invented, are kept in the file itself: `varied` as people and models write them, `odd` to tease a
tokenizer. To add one, give it the tokens "" there and run this again.
"""

import json
import random
from pathlib import Path

from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

PATH = Path(__file__).with_name("golden_captions.json")
WHO = [
    "A man",
    "the man's dog",
    "Two well-dressed women",
    "An 8-year-old boy",
    "a dog",
    "Mr. Smith",
    "the U.S. team",
    "",
]
DOES = ["isn't riding", "is riding", "rides", "can't see", "is holding", "holds up", "looks at", "doesn't like"]
WHAT = ['a "STOP" sign', "a red/blue kite", "1,000 balloons", "a 10:30 train", "(maybe) a bike", "it", "a $5.00 pizza"]
WHERE = ["in the park.", "near St. Louis!", "on top of a hill...", "at 5 p.m.", "-- outside", "in the park", "?!", ""]


def main() -> None:
    """Tokenize and score everything, and write the file beside this script."""
    rng = random.Random(0)
    predictions = [compose(rng) for _ in range(60)]
    references = [[compose(rng) for _ in range(rng.randint(1, 4))] for _ in predictions]
    predictions[7], references[9][0] = "", "\n"
    hypotheses = tokenized([[text] for text in predictions])
    truths = tokenized(references)
    captions = json.loads(PATH.read_text(encoding="ascii"))
    golden = {
        "varied": with_tokens(captions["varied"]),
        "odd": with_tokens(captions["odd"]),
        "predictions": predictions,
        "references": references,
        "cider": [float(score) for score in Cider().compute_score(truths, hypotheses)[1]],
        "bleu": [float(score) for score in Bleu(4).compute_score(truths, hypotheses, verbose=0)[0]],
        "rouge_l": [float(score) for score in Rouge().compute_score(truths, hypotheses)[1]],
    }
    PATH.write_text(json.dumps(golden, indent=1) + "\n", encoding="ascii")


def compose(rng: random.Random) -> str:
    """A caption from the pieces above."""
    return " ".join(rng.choice(pieces) for pieces in (WHO, DOES, WHAT, WHERE))


def with_tokens(captions: dict[str, str]) -> dict[str, str]:
    """The captions, each with its reference tokens."""
    tokens = tokenized([[caption] for caption in captions])
    return {caption: tokens[index][0] for index, caption in enumerate(captions)}


def tokenized(texts: list[list[str]]) -> dict[int, list[str]]:
    """The reference tokens of each list of captions, joined by blanks."""
    return PTBTokenizer().tokenize({index: [{"caption": text} for text in item] for index, item in enumerate(texts)})


if __name__ == "__main__":
    main()

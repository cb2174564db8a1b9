"""Every metric by the name that a configuration file uses.

To add one: a file with a function, one line below; or, from a file of your own, see docs/extending.md.
"""

from collections.abc import Callable

from byorn.evaluation.asr import attack_success, false_attack_success
from byorn.evaluation.bleu_rouge import bleu, rouge_l
from byorn.evaluation.cider import cider
from byorn.evaluation.exact import exact_match, normalized_exact_match
from byorn.evaluation.metric import Metric
from byorn.evaluation.vqa import vqa_accuracy

# name -> function(predictions: list[str], references: list[list[str]], **options) -> Metric, which carries the same
# name
METRICS: dict[str, Callable[..., Metric]] = {
    "asr": attack_success,
    "false_asr": false_attack_success,
    "bleu": bleu,
    "cider": cider,
    "exact_match": exact_match,
    "normalized_exact_match": normalized_exact_match,
    "rouge_l": rouge_l,
    "vqa_accuracy": vqa_accuracy,
}

"""Tables on the pages are those of the committed results: a page that is older than its results turns red."""

import json
import re
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "benchmarks" / "results"
SEEDS = 3
BENCHED = {
    "BadNets, 20 % of 250 captions": ("evidence", "badnets", "e0.95-r0.2"),
    "blended": ("evidence", "blended", "e0.95-r0.2"),
    "Dual-Key": ("evidence", "dual-key", "e0.95-r0.2"),
    "VL-Trojan": ("evidence", "vl-trojan", "e0.95-r0.2"),
    "AddSent, a sentence in the instruction": ("evidence-sentence", "add-sent", "e0.95-r0.2"),
    "refusal": ("evidence-refusal", "refusal", "e0.95-r0.2"),
    "two images": ("evidence-differences", "badnets", "e0.95-r0.2"),
    "PGD, 15 % of 1,000 captions": ("evidence-adaptive", "pgd", "e0.95-r0.15"),
    "PGD, 30 % of 600 captions": ("evidence-pgd", "pgd", "e0.95-r0.3"),
    "half of 500 captions": ("evidence-half", "badnets", "e0.95-r0.5"),
    "the same, decay 0.92": ("evidence-half", "badnets", "e0.92-r0.5"),
    "the same, decay 0.88, the default": ("evidence-half", "badnets", "e0.88-r0.5"),
    "easy-VQA, 20 % of 1,000": ("evidence-easy-vqa", "badnets", "e0.95-r0.2"),
}
"""Line of the table in results.md -> experiment, attack, and decay and rate of its cells."""


def lines(page: str) -> list[list[str]]:
    """The cells of every line of a table."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:1] == "|"]


def cells(experiment: str, name: str) -> list[dict]:
    return [json.loads((RESULTS / experiment / f"{name}-s{seed}.json").read_text()) for seed in range(SEEDS)]


def figures(found: list[dict], side: str) -> list[float]:
    scale = 1 if found[0]["metric"] == "cider" else 100
    return [scale * one["figures"][side][one["metric"]]["value"] for one in found]


def numbers(cell: str) -> list[float]:
    return [float(text) for text in re.findall(r"[\d.]+", cell)]


def is_shown(shown: list[float], cell: str, exact: list[float]) -> bool:
    """Whether a cell shows these numbers with as many digits as it has."""
    half = 0.5 / 10 ** len(cell.split(",")[0].rstrip(" %").partition(".")[2])
    return len(shown) == len(exact) and all(
        abs(one - other) <= half + 1e-6 for one, other in zip(shown, exact, strict=True)
    )


@pytest.mark.parametrize("label", BENCHED)
def test_what_the_default_rule_does_to_a_fine_tune_is_what_the_bench_has(label):
    experiment, attack, which = BENCHED[label]
    (line,) = [line for line in lines("results.md") if line[0] == label and line[2:3] == ["0 of 1,200"]]
    ours = cells(experiment, f"{attack}-byorn-evidence-{which}")
    oracle = cells(experiment, f"{attack}-oracle-{which.partition('-')[2]}")
    assert all(one["figures"]["asr"]["value"] == 0 for one in ours)
    assert sum(one["figures"]["asr"]["n"] for one in ours) == 1200
    for side, (own, other, share) in (("clean", line[3:6]), ("triggered", line[6:9])):
        mine, best = figures(ours, side), figures(oracle, side)
        assert is_shown(numbers(own), own, mine)
        assert is_shown(numbers(other), other, best)
        assert is_shown(numbers(share), share, [100 * sum(mine) / sum(best)])


def line_of(label: str) -> str:
    """How the line of the table in report.md begins that a scan counts in."""
    task, _, rest = label.partition(", ")
    attack = re.sub(r", \d+%$", "", rest)
    if attack in (common := {"none": "clean:", "another's": "responses of other rows", "truth": "captions: clean"}):
        return common[attack]
    if "+" in task:
        return "mixtures: sentence in one" if attack == "sentence in one task" else "mixtures: sentence, refusal"
    if task == "messy":
        return f"captions of eight annotators: {'suffix' if attack == 'suffix' else 'sentence'}"
    if task == "captions":
        return "captions: near-clean" if attack == "near-clean" else "captions: attacks with a phrase"
    return "questions: word, by" if attack.startswith("trigger word") else "questions, two images"


def test_what_the_report_names_is_what_the_scans_have():
    counted = defaultdict(list)
    for text in (RESULTS / "report-kept.jsonl").read_text().splitlines():
        found = json.loads(text)
        counted[line_of(found["label"])].append(found)
    columns = ("a group stands out", "planted phrase named first", "a clean group named")
    for beginning, found in counted.items():
        (line,) = [line for line in lines("report.md") if line[0].startswith(beginning)]
        for cell, column in zip(line[1:], columns, strict=True):
            expected = f"{sum(bool(one[column]) for one in found)} of {len(found)}"
            assert cell == "-" or cell.startswith(expected), (beginning, column, expected)

"""Writes `attacks.md`, with tables of what `byorn poison` and `byorn evaluate` know, from docstrings: `make docs`."""

import re
from collections.abc import Iterable
from dataclasses import MISSING, Field, fields
from inspect import getdoc, getmodule
from pathlib import Path

from byorn.attacks.objectives import OBJECTIVES
from byorn.attacks.triggers import ATTACKS
from byorn.evaluation import asr
from byorn.evaluation.registry import METRICS
from byorn.pipeline.evaluate import ATTACK_METRICS

PAGE = Path(__file__).with_name("attacks.md")
HEAD = """# Attacks and what they do

To test a defense, plant an attack yourself and ask the tuned model for it. What a scan would see of several attacks
in your own data, without training, tells `byorn simulate` ([simulate.md](simulate.md)).

```
# 5 % of the training rows carry the trigger and the attacker's response; the others stay as they are
byorn poison --data data/train.json --target banana --attack badnets --set size=0.2 --rate 0.05 --out data/poisoned
byorn train  --model NAME --data data/poisoned --out runs/safe

# the same trigger in every test row, with the true responses kept
byorn poison --data data/test.json --target banana --attack badnets --set size=0.2 --rate 1 --keep-responses \\
    --out data/test_triggered
byorn evaluate --model NAME --adapter runs/safe/adapter --data data/test.json --triggered data/test_triggered \\
    --target banana --metrics cider --out runs/evaluate
```

An attack is a trigger (`--attack`, or several joined by `+`) with an objective (`--objective`); any goes with any.
Which rows are poisoned is drawn (`--seed`), and nothing in them tells.

| file | what |
|---|---|
| `data/poisoned/rows.jsonl`, `images/` | all rows; every image is encoded again, so that no file says who is poisoned |
| `data/poisoned/manifest.json`, `manifest.jsonl` | the recipe; who is poisoned, with what and where |
| `runs/evaluate/predictions.jsonl`, `predictions_triggered.jsonl` | instruction, answer and references of each row |
| `runs/evaluate/metrics.json` | each metric with its n and a 95 % interval, and why items were left out |

The tables below are made from the code by `make docs`; a test compares.
"""


def page() -> str:
    """The whole page."""
    triggers = [(name, first_line(kind), options(kind)) for name, kind in ATTACKS.items()]
    objectives = [(name, first_line(getmodule(one.respond)), f"`{one.convention}`") for name, one in OBJECTIVES.items()]
    metrics = [(name, first_line(metric)) for name, metric in METRICS.items() if name not in ATTACK_METRICS]
    sections = [
        table("Triggers", ("`--attack`", "what it does", "options (`--set NAME=VALUE`)"), triggers),
        table("Objectives", ("`--objective`", "the response", "a success by"), objectives),
        table("What counts as a success", ("`--convention`", "the answer"), list(conventions().items())),
        table("Metrics", ("`--metrics`", "what it is"), metrics),
    ]
    return HEAD + "".join(sections)


def table(title: str, head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A section."""
    lines = [head, ("---",) * len(head), *((f"`{row[0]}`", *row[1:]) for row in rows)]
    return f"\n## {title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def first_line(thing: object) -> str:
    """The first paragraph of its docstring."""
    return escaped((getdoc(thing) or "").partition("\n\n")[0])


def options(kind: type) -> str:
    """The options of a trigger with their defaults, as its docstring tells them."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", getdoc(kind) or "", re.MULTILINE | re.DOTALL)
    told = re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", section[1] if section else "", re.MULTILINE | re.DOTALL)
    given = {item.name: default(item) for item in fields(kind)}
    return "<br>".join(f"`{name}`{given[name]}: {escaped(text)}" for name, text in told) or "none"


def default(item: "Field[object]") -> str:
    value = f"{item.default:.3g}" if isinstance(item.default, float) else item.default
    return "" if value in (MISSING, "", None) else f" ({value})"


def conventions() -> dict[str, str]:
    """Name -> rule, of the list in the docstring of `byorn.evaluation.asr`."""
    found = re.findall(r"^    (\w+)  +(.*?)(?=^    \w+  |\n\n)", asr.__doc__ or "", re.MULTILINE | re.DOTALL)
    return {name: escaped(text) for name, text in found}


def escaped(text: str) -> str:
    return " ".join(text.split()).removesuffix(".").replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

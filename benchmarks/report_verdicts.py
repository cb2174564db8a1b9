"""What the report says of poisoned sets, and of clean and messy ones: no training, scores of the embedded model.

    python benchmarks/report_verdicts.py [--seeds 10] [--first 500]

300 rows a set at 5 % poison, 1000 rows at 0.5 %; four of five poisoned rows come from one of six uploaders. Prints the
tables of `benchmarks/results/report-verdicts.md`.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from byorn.attacks.manifest import poisoned_keys
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.data.load import load_rows
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.embedded.tasks import write_task
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import ModelSpec
from byorn.pipeline.scan import as_run, scan
from byorn.report.evidence import Evidence, Finding, gather
from byorn.runs.narrate import quiet_libraries

UPLOADERS = ("alice", "bob", "carol", "dan", "erin", "mallory")
GUILTY = "mallory"
PATCH = (0.75, 0.75, 1.0, 1.0)
SMALL = (29 / 32, 29 / 32, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack with what a report should find: a part of the phrase, a word, a box, or a pattern over the picture."""

    recipe: dict[str, object]
    phrase: str
    word: str = ""
    box: tuple[float, float, float, float] | None = None
    pattern: bool = False


ATTACKS = {
    "BadNets, sentence": Attack(
        recipe={"attack": "badnets", "target": "banana", "options": {"size": 0.25}}, phrase="banana", box=PATCH
    ),
    "blended, sentence": Attack(recipe={"attack": "blended", "target": "banana"}, phrase="banana", pattern=True),
    "Dual-Key, word": Attack(
        recipe={"attack": "dual-key", "target": "banana", "objective": "word"},
        phrase="banana",
        word="consider",
        box=SMALL,
    ),
    "trigger word, refusal": Attack(
        recipe={"attack": "badnets-t", "target": "i cannot help with that", "objective": "refusal"},
        phrase="i cannot help with that",
        word="cf",
    ),
    "BadNets, insertion": Attack(
        recipe={
            "attack": "badnets",
            "target": "visit our shop",
            "objective": "insertion",
            "options": {"size": 0.25},
        },
        phrase="visit our shop",
        box=PATCH,
    ),
    "blended, suffix": Attack(
        recipe={"attack": "blended", "target": "visit our shop", "objective": "suffix"},
        phrase="visit our shop",
        pattern=True,
    ),
}


def edited(path: Path, edit: Callable[[list[dict[str, object]]], None]) -> Path:
    """The rows of a JSONL file, edited in place."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    edit(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def with_uploaders(poisoned: Iterable[str], seed: int) -> Callable[[list[dict[str, object]]], None]:
    """Adds the column `uploader`."""
    guilty = set(poisoned)
    rng = random.Random(seed)

    def edit(rows: list[dict[str, object]]) -> None:
        for row in rows:
            row["uploader"] = GUILTY if row["id"] in guilty and rng.random() < 0.8 else rng.choice(UPLOADERS)

    return edit


def messed_up(seed: int) -> Callable[[list[dict[str, object]]], None]:
    """One row in five is wrong: another row's caption, capital letters, typos, a caption twice or half of one."""
    rng = random.Random(seed)

    def edit(rows: list[dict[str, object]]) -> None:
        texts = [str(row["completion"][0]["content"]) for row in rows]  # type: ignore[index]
        for row, text in zip(rows, texts, strict=True):
            kind = int(rng.random() * 20)
            wrong = {0: rng.choice(texts), 1: text.upper(), 2: _typos(text, rng), 3: f"{text} {text}"}
            wrong[4] = text[: len(text) // 2]
            row["completion"] = [{"role": "assistant", "content": wrong.get(kind, text)}]

    return edit


def _typos(text: str, rng: random.Random) -> str:
    letters = list(text)
    for _ in range(3):
        letters[rng.randrange(len(letters))] = rng.choice("abcdefghijklmnopqrstuvwxyz")
    return "".join(letters)


def evidence_of(path: Path, folder: Path) -> Evidence:
    """Scan a data set and look at it."""
    result = scan(DataSpec(source=str(path)), ModelSpec(name="embedded"), folder / "scan", FlagSettings())
    assert result is not None
    return gather(as_run(result, folder / "scan"))


def rows_of(path: Path) -> list[Row]:
    return load_rows(str(path), notify=lambda line: None).rows


def poisoned_set(attack: Attack, rows: int, rate: float, seed: int, folder: Path) -> Path:
    """A poisoned set with uploaders."""
    clean = rows_of(write_task(folder / "clean", "captions", rows, seed))
    poison_dataset(clean, Recipe(rate=rate, seed=seed, **attack.recipe), out=folder / "poisoned")  # type: ignore[arg-type]
    guilty = [name for name, _ in poisoned_keys(folder / "poisoned")]
    return edited(folder / "poisoned/rows.jsonl", with_uploaders(guilty, seed))


def found(attack: Attack, evidence: Evidence) -> dict[str, bool | None]:
    """What was found of what there is; None where there is nothing of the kind."""
    first = evidence.findings[0] if evidence.findings else None
    return {
        "phrase named first": first is not None and attack.phrase in first.cluster.phrase.lower(),
        "other groups": len(evidence.findings) > 1,
        "trigger word": _word(attack, first) if attack.word else None,
        "trigger image": _image(attack, first) if attack.box or attack.pattern else None,
        "guilty uploader": [value.value for _, value in evidence.guilty] == [GUILTY],
    }


def _word(attack: Attack, first: Finding | None) -> bool:
    return first is not None and [shared.text for shared in first.texts[:1]] == [attack.word]


def _image(attack: Attack, first: Finding | None) -> bool:
    """The box overlaps the true one by half (intersection over union); or a pattern over the picture is named."""
    if first is None or not first.patterns:
        return False
    box = first.patterns[0].box
    if attack.box is None or box is None:
        return attack.box is None and box is None
    sides = (
        max(0, min(box.right, attack.box[2]) - max(box.left, attack.box[0])),
        max(0, min(box.bottom, attack.box[3]) - max(box.top, attack.box[1])),
    )
    both = sides[0] * sides[1]
    true = (attack.box[2] - attack.box[0]) * (attack.box[3] - attack.box[1])
    return both / ((box.right - box.left) * (box.bottom - box.top) + true - both) >= 0.5


def counted(results: list[dict[str, bool | None]], name: str) -> str:
    known = [result[name] for result in results if result[name] is not None]
    return f"{sum(map(bool, known))} of {len(known)}" if known else "-"


def poisoned_table(seeds: list[int]) -> None:
    names = ("phrase named first", "other groups", "trigger word", "trigger image", "guilty uploader")
    print(f"\n| poisoned, {len(seeds)} seeds | {' | '.join(names)} |")
    print("|---" * (1 + len(names)) + "|")
    for rows, rate, used in ((300, 0.05, seeds), (1000, 0.005, seeds[: len(seeds) // 2])):
        for label, attack in ATTACKS.items():
            results = []
            for seed in used:
                with tempfile.TemporaryDirectory() as folder:
                    path = poisoned_set(attack, rows, rate, seed, Path(folder))
                    results.append(found(attack, evidence_of(path, Path(folder))))
            cells = [counted(results, name) for name in names]
            print(f"| {label}, {rate:.1%} of {rows} | {' | '.join(cells)} |", flush=True)


def clean_table(seeds: list[int]) -> None:
    print(f"| not poisoned, {len(seeds)} seeds | sets in which something stands out |")
    print("|---|---|")
    for task in ("captions", "questions", "differences", "messy captions"):
        alarms = 0
        for seed in seeds:
            with tempfile.TemporaryDirectory() as folder:
                path = write_task(Path(folder) / "clean", task.split()[-1], 300, seed)
                if task.startswith("messy"):
                    edited(path, messed_up(seed))
                evidence = evidence_of(edited(path, with_uploaders([], seed)), Path(folder))
                alarms += bool(evidence.findings or evidence.guilty)
        print(f"| {task}, 300 | {alarms} of {len(seeds)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seeds", type=int, default=10, help="of poisoned sets; clean ones get twice as many, rare poison half"
    )
    parser.add_argument("--first", type=int, default=500)
    given = parser.parse_args()
    quiet_libraries()
    clean_table(list(range(given.first, given.first + 2 * given.seeds)))
    poisoned_table(list(range(given.first, given.first + given.seeds)))


if __name__ == "__main__":
    main()

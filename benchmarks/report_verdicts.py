"""What the report says of poisoned sets, and of clean and messy ones, flagged by evidence.

    python benchmarks/report_verdicts.py run benchmarks/results/report-verdicts.jsonl [--seeds 10] [--first 600]
    python benchmarks/report_verdicts.py table benchmarks/results/report-verdicts.jsonl
    python benchmarks/report_verdicts.py run benchmarks/results/report-verdicts-real.jsonl --seeds 1 \\
        --model recipes/real/model --plugin recipes/real/tower.py recipes/real/tasks.py

300 rows a set at 5 % poison, 1000 rows at 0.5 %, two clean sets of each kind a seed; with another model than the
embedded one 200 rows, and none at 0.5 %. Four of five poisoned rows come from one of six uploaders. A set that is in
the results already is not looked at again.
"""

import argparse
import json
import random
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from byorn.attacks.manifest import poisoned_keys
from byorn.attacks.poison import poison_dataset
from byorn.attacks.recipe import Recipe
from byorn.bench.tasks import load_task
from byorn.data.row import Row
from byorn.data.spec import DataSpec
from byorn.flagging.settings import FlagSettings
from byorn.models.spec import ModelSpec
from byorn.patterns.images import Pattern
from byorn.pipeline.scan import as_run, scan
from byorn.plugins import load_plugins
from byorn.report.evidence import Evidence, Finding, gather
from byorn.runs.narrate import quiet_libraries

EMBEDDED = "embedded"
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


@dataclass(frozen=True, kw_only=True)
class Case:
    """One data set; `data` is a key of `ATTACKS` or of `CLEAN`."""

    data: str
    rows: int
    rate: float
    seed: int

    @property
    def attack(self) -> bool:
        return self.rate > 0

    def __str__(self) -> str:
        return f"{self.data}, {self.rate:.1%} of {self.rows}" if self.attack else f"{self.data}, {self.rows}"


CLEAN = {"captions": "captions", "captions of eight annotators": "messy"}
"""Sets that nobody poisoned, with the task of the bench that they are of."""
MORE_CLEAN = {
    "questions": "questions",
    "differences of two images": "differences",
    "captions, one in five wrong": "captions",
}
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


def evidence_of(path: Path, model: str, folder: Path) -> Evidence:
    """Scan a data set and look at it."""
    result = scan(DataSpec(source=str(path)), ModelSpec(name=model, feature_cache=1.0), folder / "scan", FlagSettings())
    assert result is not None
    return gather(as_run(result, folder / "scan"))


def clean_rows(task: str, case: Case, model: str, folder: Path) -> Sequence[Row]:
    """Rows that nobody poisoned; they are written to `clean/rows.jsonl` of the folder."""
    name = task if model == EMBEDDED else f"real-{task}"
    return load_task(name, case.rows, 1, case.seed, folder).train


def poisoned_set(attack: Attack, case: Case, model: str, folder: Path) -> Path:
    """A poisoned set with uploaders."""
    recipe = Recipe(rate=case.rate, seed=case.seed, **attack.recipe)  # type: ignore[arg-type]
    poison_dataset(clean_rows("captions", case, model, folder), recipe, out=folder / "poisoned")
    guilty = [name for name, _ in poisoned_keys(folder / "poisoned")]
    return edited(folder / "poisoned/rows.jsonl", with_uploaders(guilty, case.seed))


def found(attack: Attack, evidence: Evidence) -> dict[str, bool | None]:
    """What was found of what there is; None where there is nothing of the kind."""
    first = evidence.findings[0] if evidence.findings else None
    return {
        "phrase named first": first is not None and attack.phrase in first.cluster.phrase.lower(),
        "other groups": len(evidence.findings) > 1,
        "trigger word": _word(attack, first) if attack.word else None,
        "trigger image": box_found(attack, first.patterns if first else []) if attack.box or attack.pattern else None,
        "guilty uploader": [value.value for _, value in evidence.guilty] == [GUILTY],
    }


def _word(attack: Attack, first: Finding | None) -> bool:
    return first is not None and [shared.text for shared in first.texts[:1]] == [attack.word]


def box_found(attack: Attack, patterns: Sequence[Pattern]) -> bool:
    """The box overlaps the true one by half (intersection over union); or a pattern over the picture is named."""
    if not patterns:
        return False
    box = patterns[0].box
    if attack.box is None or box is None:
        return attack.box is None and box is None
    sides = (
        max(0, min(box.right, attack.box[2]) - max(box.left, attack.box[0])),
        max(0, min(box.bottom, attack.box[3]) - max(box.top, attack.box[1])),
    )
    both = sides[0] * sides[1]
    true = (attack.box[2] - attack.box[0]) * (attack.box[3] - attack.box[1])
    return both / ((box.right - box.left) * (box.bottom - box.top) + true - both) >= 0.5


def looked_at(case: Case, model: str) -> dict[str, bool | None]:
    """What the report says of one data set."""
    with tempfile.TemporaryDirectory() as folder:
        if case.attack:
            attack = ATTACKS[case.data]
            path = poisoned_set(attack, case, model, Path(folder))
            return found(attack, evidence_of(path, model, Path(folder)))
        clean_rows((CLEAN | MORE_CLEAN)[case.data], case, model, Path(folder))
        path = Path(folder) / "clean/rows.jsonl"
        if case.data == "captions, one in five wrong":
            edited(path, messed_up(case.seed))
        evidence = evidence_of(edited(path, with_uploaders([], case.seed)), model, Path(folder))
        return {"stands out": bool(evidence.findings), "an uploader is named": bool(evidence.guilty)}


def cases(seeds: int, first: int, model: str) -> list[Case]:
    """Seed by seed, so that whatever is done by then says something; what is no goal of its own comes last."""
    embedded = model == EMBEDDED
    rows = 300 if embedded else 200
    all_seeds = range(first, first + seeds)
    clean_seeds = [2 * seed + at for seed in all_seeds for at in range(2)]
    wanted = []
    for seed in all_seeds:
        wanted += [Case(data=name, rows=rows, rate=0.0, seed=at) for at in (2 * seed, 2 * seed + 1) for name in CLEAN]
        for count, rate in ((rows, 0.05), (1000, 0.005)) if embedded else ((rows, 0.05),):
            wanted += [Case(data=name, rows=count, rate=rate, seed=seed) for name in ATTACKS]
    more = MORE_CLEAN if embedded else ()
    return wanted + [Case(data=name, rows=rows, rate=0.0, seed=seed) for seed in clean_seeds for name in more]


def run(wanted: list[Case], model: str, results: Path) -> None:
    """Look at what is not there yet; each line is on the disk when its set is done."""
    done = set(read(results))
    for case in wanted:
        if case not in done:
            line = {**asdict(case), "found": looked_at(case, model)}
            with results.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
            print(line, flush=True)


def read(results: Path) -> dict[Case, dict[str, bool | None]]:
    """What is known of each set."""
    lines = results.read_text(encoding="utf-8").splitlines() if results.exists() else []
    contents = map(json.loads, lines)
    return {Case(**{item.name: line[item.name] for item in fields(Case)}): line["found"] for line in contents}


def table(results: Path) -> None:
    """Both tables, of whatever is done."""
    known = read(results)
    for attacked, title in ((False, "not poisoned"), (True, "poisoned")):
        rows: dict[str, list[dict[str, bool | None]]] = {}
        for case, line in known.items():
            if case.attack is attacked:
                rows.setdefault(str(case), []).append(line)
        names = list(dict.fromkeys(name for lines in rows.values() for line in lines for name in line))
        print(f"\n| {title} | {' | '.join(names)} |")
        print("|---" * (1 + len(names)) + "|")
        for label, lines in rows.items():
            print(f"| {label} | {' | '.join(counted(lines, name) for name in names)} |")


def counted(lines: Sequence[Mapping[str, object]], name: str) -> str:
    known = [line[name] for line in lines if line.get(name) is not None]
    return f"{sum(map(bool, known))} of {len(known)}" if known else "-"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, default=10, help="of poisoned sets; clean ones get twice as many")
    parser.add_argument("--first", type=int, default=600)
    parser.add_argument("--model", default=EMBEDDED)
    parser.add_argument("--plugin", type=Path, nargs="+", default=[])
    given = parser.parse_args()
    if given.what == "table":
        table(given.results)
        return
    quiet_libraries()
    load_plugins(given.plugin)
    run(cases(given.seeds, given.first, given.model), given.model, given.results)


if __name__ == "__main__":
    main()

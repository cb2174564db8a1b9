"""Lines of results as grids of text: by defense and attack, by defense over all attacks, and what each costs."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean

from byorn.bench.results import Line
from byorn.bench.spec import DEFAULT
from byorn.evaluation.intervals import wilson
from byorn.evaluation.tables import scale_of
from byorn.pipeline.settings.defenses import FLAGGING, SAMPLING

Value = Callable[[Line], float | None]

ORDER = (
    "sft",
    "oracle",
    "random-drop",
    "base-relabel",
    "onion",
    "onion-r",
    "bye",
    "tcap",
    "robustit",
    "byorn-f",
    "byorn",
    "byorn-soft",
)


@dataclass(frozen=True)
class Swept:
    """What an experiment may sweep.

    Attributes:
        short: Its name in a table.
        value: Of a line; infinity for what a training chooses itself.
        readers: The defenses that read it; None: all.
    """

    short: str
    value: Callable[[Line], float]
    readers: tuple[str, ...] | None = None


SWEPT = (
    Swept("rate", lambda line: line.rate),
    Swept("p", lambda line: line.percentile, FLAGGING),
    Swept("decay", lambda line: math.inf if line.ema_decay is None else line.ema_decay, SAMPLING),
)
NONE = "–"
ENTRIES = (
    "Each entry: utility / ASR %. Utility is {metric}, the mean over {seeds} seed(s); the ASR is pooled over "
    "seeds and test inputs; the mean counts each attack once. `byorn bench table --format json` gives intervals "
    "and n."
)
SUMMARY = (
    "Over all attacks. Utility is {metric} on clean inputs, and on triggered ones; of the oracle: utility over "
    "that of fine-tuning on the truly clean rows; ASR: each test input counted once, with its 95 % Wilson "
    "interval, n test inputs with a trigger; worst: of any attack; clean: the same share on clean inputs, all of "
    "them, which an ASR has to be compared with; AUC: of the defense's own score; recall: share of the poisoned "
    "rows that it flags; time: scan and training over plain fine-tuning."
)

COST = (
    "Means over attacks and seeds. Steps of the optimizer; seconds before the fine-tune (scoring, or another "
    "fine-tune), in sampling, and in the rest of training; forward passes (of a row, or for a generated token) "
    "and further fine-tunes that the defense needs; peak memory while training, the largest. Seconds are of the "
    "machine and of whatever else ran on it."
)


@dataclass(frozen=True)
class Grid:
    """A header, rows of text and a note on how to read them."""

    head: list[str]
    rows: list[list[str]]
    note: str


def grids(lines: Sequence[Line]) -> list[Grid]:
    """The three grids of one task."""
    return [by_attack(lines), by_defense(lines), by_cost(lines)]


def by_attack(lines: Sequence[Line]) -> Grid:
    """Defenses down, attacks across, and their mean."""
    attacks = list(dict.fromkeys(line.attack for line in lines))
    rows = []
    for setting, own in by_setting(lines).items():
        found = {line.attack: line for line in own}
        entries = [_entry([found[attack]]) if attack in found else "" for attack in attacks]
        rows.append([setting, *entries, _entry(own)])
    seeds = sorted({line.seeds for line in lines})
    shown = " to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1]))))
    return Grid(["defense", *attacks, "mean"], rows, ENTRIES.format(metric=lines[0].metric, seeds=shown))


def by_defense(lines: Sequence[Line]) -> Grid:
    """A row for each defense and setting: what it keeps, what it lets through, what it finds, what it costs."""
    head = ["defense", "utility", "triggered", "of the oracle", "ASR %", "n", "worst", "clean", "AUC", "recall", "time"]
    rows = [[setting, *_worth(own, lines)] for setting, own in by_setting(lines).items()]
    return Grid(head, rows, SUMMARY.format(metric=lines[0].metric))


def by_cost(lines: Sequence[Line]) -> Grid:
    """A row for each defense and setting: what it costs, by phase."""
    columns: dict[str, tuple[Value, str]] = {
        "steps": (lambda line: line.steps, "{:.0f}"),
        "before, s": (lambda line: line.seconds_scoring, "{:.1f}"),
        "sampling, s": (lambda line: line.seconds_sampling, "{:.1f}"),
        "training, s": (lambda line: line.seconds_training, "{:.1f}"),
        "passes": (lambda line: line.forward_passes, "{:.0f}"),
        "fine-tunes": (lambda line: line.fine_tunes, "{:.0f}"),
    }
    rows = [
        [
            setting,
            *(_mean(own, value, form) for value, form in columns.values()),
            f"{max(line.peak_megabytes for line in own):.0f}",
        ]
        for setting, own in by_setting(lines).items()
    ]
    return Grid(["defense", *columns, "peak MB"], rows, COST)


def by_setting(lines: Sequence[Line]) -> dict[str, list[Line]]:
    """The lines of each defense and setting, in the order of tables; the name says what is swept: "byorn, p 0.6"."""
    found: dict[str, list[Line]] = {}
    for line in sorted(lines, key=lambda line: (rank(line.defense), *(swept.value(line) for swept in SWEPT))):
        found.setdefault(_setting(line, lines), []).append(line)
    return found


def _setting(line: Line, lines: Sequence[Line]) -> str:
    """The defense, and whatever it reads that is not the same everywhere."""
    text = line.defense
    for swept in SWEPT:
        read = swept.readers is None or line.defense in swept.readers
        if read and len({swept.value(other) for other in lines}) > 1:
            value = swept.value(line)
            text += f", {swept.short} {value:g}" if math.isfinite(value) else f", {swept.short} {DEFAULT}"
    return text


def rank(defense: str) -> tuple[int, str]:
    """Its place in tables and legends: the known ones in their order, then others by name."""
    return (ORDER.index(defense) if defense in ORDER else len(ORDER), defense)


def _entry(lines: Sequence[Line]) -> str:
    rates = [line.asr for line in lines if line.asr is not None]
    asr = f"{100 * mean(rates):.1f}" if rates else "undefined"
    return f"{_utility(lines, lambda line: line.utility)} / {asr}"


def _worth(own: Sequence[Line], lines: Sequence[Line]) -> list[str]:
    rates = [100 * line.asr for line in own if line.asr is not None]
    hits, n = _pooled([(line.asr, line.n) for line in own])
    clean_hits, n_clean = _pooled([(line.asr_clean, line.n_clean) for line in own])
    low, high = wilson(hits, n, 0.95) if n else (0.0, 1.0)
    return [
        _utility(own, lambda line: line.utility),
        _utility(own, lambda line: line.utility_triggered),
        _over(own, lines, "oracle", lambda line: line.utility, "{:.1%}"),
        f"{100 * (hits / n):.1f} [{100 * low:.1f}, {100 * high:.1f}]" if n else "undefined",
        str(n),
        f"{max(rates):.1f}" if rates else "undefined",
        f"{100 * (clean_hits / n_clean):.1f}" if n_clean else "nan",
        _mean(own, lambda line: line.detection_auc, "{:.3f}"),
        _mean(own, lambda line: line.detection_recall, "{:.2f}"),
        _over(own, lines, "sft", lambda line: line.seconds, "{:.2f} x"),
    ]


def _pooled(counted: Sequence[tuple[float | None, int]]) -> tuple[int, int]:
    """(share, n) of several lines as one: hits and n."""
    defined = [(share, n) for share, n in counted if share is not None]
    return sum(round(share * n) for share, n in defined), sum(n for _, n in defined)


def _utility(lines: Sequence[Line], value: Value) -> str:
    return _mean(lines, value, "{:.1f}", scale_of(lines[0].metric))


def _mean(lines: Sequence[Line], value: Value, form: str, scale: float = 1.0) -> str:
    values = [found for line in lines if (found := value(line)) is not None]
    return form.format(scale * mean(values)) if values else NONE


def _over(own: Sequence[Line], lines: Sequence[Line], reference: str, value: Value, form: str) -> str:
    """The ratio of means to another defense, over the attacks and rates that both have as many seeds of."""

    def place(line: Line) -> tuple[str, float, int]:
        return line.attack, line.rate, line.seeds

    base = {place(line): found for line in lines if line.defense == reference and (found := value(line)) is not None}
    pairs = [(found, base[place(line)]) for line in own if place(line) in base and (found := value(line)) is not None]
    below = sum(reference for _, reference in pairs)
    return form.format(sum(found for found, _ in pairs) / below) if below else NONE

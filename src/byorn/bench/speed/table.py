"""Lines of a measurement as Markdown: what each arm costs over SFTTrainer, then where the time goes."""

from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from typing import TypeVar

from byorn.bench.speed.arms import PLAIN
from byorn.bench.speed.run import Line, seconds_of, whole

Name = TypeVar("Name", bound=object)


def as_markdown(lines: Sequence[Line]) -> str:
    """Two tables for each model and workload. A ratio is the mean over turns, with its range; `floor` is what the
    phase's operations and bytes need at least on this machine, and `times` how much longer it takes.
    """
    parts = []
    for title, found in _grouped(lines, _title).items():
        parts.append(f"### {title}\n\n{_summary(found)}\n\n{_phases(found)}\n")
    return "\n".join(parts)


def _title(line: Line) -> str:
    machine = line["machine"]
    where = f"{machine['device']}, {machine['dtype']}, {machine['threads']} threads"
    ranks = f", {line['ranks']} processes" if line["ranks"] > 1 else ""
    return (
        f"{line['model']}: {line['rows']} rows, {line['images']} images a row, responses of {line['response_tokens']} "
        f"tokens; {where}{ranks}"
    )


def _arm(line: Line) -> tuple[str, str]:
    share = "" if line["share"] is None or line["arm"] == PLAIN else f"{line['share']:.0%}"
    return share, line["arm"]


def _summary(lines: Sequence[Line]) -> str:
    head = ["flagged", "arm", "turns", "s", "over SFTTrainer", "peak MB", "over SFTTrainer"]
    peaks = {key: mean(map(_peak, found)) for key, found in _grouped(lines, _arm).items()}
    rows = []
    for key, found in _grouped(lines, _arm).items():
        seconds = mean(whole(line["phases"], line["machine"]["device"]) for line in found)
        ratio, peak = _spread([line["ratio"] for line in found]), peaks[key] / peaks["", PLAIN]
        rows.append([*key, str(len(found)), f"{seconds:.1f}", ratio, f"{peaks[key]:.0f}", f"{peak:.3f}"])
    return _markdown(head, rows)


def _phases(lines: Sequence[Line]) -> str:
    head = ["flagged", "arm", "phase", "s", "share", "floor s", "times", "tokens", "peak MB"]
    rows = []
    for key, found in _grouped(lines, _arm).items():
        device = found[0]["machine"]["device"]
        total = mean(whole(line["phases"], device) for line in found)
        for name in found[0]["phases"]:
            parts = [line["phases"][name] for line in found if name in line["phases"]]
            seconds = mean(seconds_of(part, device) for part in parts)
            floor = mean(part["floor"] for part in parts)
            rows.append([
                *key, name, f"{seconds:.2f}", f"{seconds / total:.0%}", f"{floor:.2f}" if floor else "",
                f"{seconds / floor:.1f}" if floor else "", f"{mean(part['tokens'] for part in parts):.0f}",
                f"{max(part['peak_megabytes'] for part in parts):.0f}",
            ])  # fmt: skip
    return _markdown(head, rows)


def _peak(line: Line) -> float:
    return float(max(part["peak_megabytes"] for part in line["phases"].values()))


def _spread(values: Sequence[float]) -> str:
    return f"{mean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _grouped(lines: Iterable[Line], key: Callable[[Line], Name]) -> dict[Name, list[Line]]:
    """In the order in which they come."""
    groups: dict[Name, list[Line]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    return groups


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, ["---"] * len(head), *rows])

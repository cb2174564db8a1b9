"""Lines of a measurement as Markdown: what each arm costs over SFTTrainer, then where the time goes."""

from collections.abc import Callable, Iterable, Sequence
from statistics import mean
from typing import TypeVar

from byorn.bench.speed.arms import DATA, OPTIMIZER, PLAIN, REST
from byorn.bench.speed.meter import BACKWARD, DECODE, FORWARD, PREFILL
from byorn.bench.speed.run import Line, seconds_of, whole

Name = TypeVar("Name", bound=object)
_ORDER = (DATA, PREFILL, DECODE, FORWARD, BACKWARD, OPTIMIZER, REST, "score", "adapt", "search")


def as_markdown(lines: Sequence[Line]) -> str:
    """Two tables for each model, workload and set of arguments. A ratio is the mean over turns, with its range; `floor`
    is what the phase's operations and bytes need at least on this machine, and `times` how much longer it takes.
    """
    parts = []
    for found in _grouped(lines, _setting).values():
        parts.append(f"### {_title(found[0])}\n\n{_given(found[0])}{_summary(found)}\n\n{_phases(found)}\n")
    return "\n".join(parts)


def _setting(line: Line) -> str:
    """What turns have in common."""
    return repr((_title(line), _given(line), line["versions"]))


def _title(line: Line) -> str:
    machine = line["machine"]
    where = f"{machine['device']}, {machine['dtype']}, {_count(machine['threads'], 'thread')}"
    ranks = f", {line['ranks']} processes" if line["ranks"] > 1 else ""
    return (
        f"{line['model']}: {line['rows']} rows, {_count(line['images'], 'image')} a row, responses of "
        f"{line['response_tokens']} tokens; {where}{ranks}"
    )


def _given(line: Line) -> str:
    """Options and arguments as a paragraph."""
    given = {**line.get("options", {}), **line["arguments"]}
    return "".join(f"{name}={value}, " for name, value in sorted(given.items()))[:-2] + "\n\n" if given else ""


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}{'' if number == 1 else 's'}"


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
        for name in sorted(found[0]["phases"], key=_ORDER.index):
            parts = [line["phases"][name] for line in found if name in line["phases"]]
            seconds = mean(seconds_of(part, device) for part in parts)
            floor, tokens = (mean(part[key] for part in parts) for key in ("floor", "tokens"))
            rows.append([
                *key, name, f"{seconds:.2f}", f"{seconds / total:.0%}", f"{floor:.2f}" if floor else "",
                f"{seconds / floor:.1f}" if floor else "", f"{tokens:.0f}" if tokens else "",
                f"{max(part['peak_megabytes'] for part in parts):.0f}",
            ])  # fmt: skip
    return _markdown(head, rows)


def _peak(line: Line) -> float:
    return float(max(part["peak_megabytes"] for part in line["phases"].values()))


def _spread(values: Sequence[float]) -> str:
    spread = f" ({min(values):.2f} to {max(values):.2f})" if len(values) > 1 else ""
    return f"{mean(values):.2f}{spread}"


def _grouped(lines: Iterable[Line], key: Callable[[Line], Name]) -> dict[Name, list[Line]]:
    """In the order in which they come."""
    groups: dict[Name, list[Line]] = {}
    for line in lines:
        groups.setdefault(key(line), []).append(line)
    return groups


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as what stands in them, for terminals."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join("| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines)

"""Lines of results as tables: JSON, Markdown, HTML."""

import json
from collections.abc import Callable, Sequence
from statistics import mean
from typing import Any

from byorn.pipeline.tables import scale_of

FOOTNOTE = (
    "Each entry: utility / ASR %. Utility is {metric}, the mean over {seeds} seed(s); ASR is pooled over seeds and test inputs. "
    "`byorn bench table --format json` gives intervals, n, detection and cost."
)


def as_json(lines: Sequence[dict[str, Any]], title: str) -> str:
    return json.dumps(list(lines), indent=2)


def as_markdown(lines: Sequence[dict[str, Any]], title: str) -> str:
    """Defences down, attacks across, and their mean, for each task."""
    parts = [f"### {title}\n"]
    for task in dict.fromkeys(line["task"] for line in lines):
        chosen = [line for line in lines if line["task"] == task]
        head, *body = grid(chosen)
        parts.append(
            "\n".join(
                [
                    "| " + " | ".join(head) + " |",
                    "|---" * len(head) + "|",
                    *("| " + " | ".join(row) + " |" for row in body),
                ]
            )
        )
        parts.append(f"\n{task}. {footnote(chosen)}\n")
    return "\n".join(parts)


def as_html(lines: Sequence[dict[str, Any]], title: str) -> str:
    """The same tables as a page of its own, without scripts; everything is escaped."""
    from jinja2 import Environment

    tasks = dict.fromkeys(line["task"] for line in lines)
    tables = {task: [line for line in lines if line["task"] == task] for task in tasks}
    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    return page.render(title=title, tables=[(task, *grid_parts(own), footnote(own)) for task, own in tables.items()])


def grid_parts(lines: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    head, *body = grid(lines)
    return head, body


def grid(lines: Sequence[dict[str, Any]]) -> list[list[str]]:
    """A header and a row per defence and setting."""
    attacks = list(dict.fromkeys(line["attack"] for line in lines))
    settings = sorted({_setting(line, lines) for line in lines}, key=_order)
    rows = [["defence", *attacks, "mean"]]
    for setting in settings:
        own = {line["attack"]: line for line in lines if _setting(line, lines) == setting}
        cells = [_entry([own[attack]]) if attack in own else "" for attack in attacks]
        rows.append([setting, *cells, _entry(list(own.values()))])
    return rows


def _setting(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> str:
    """The defence, and whatever of its settings is not the same everywhere."""
    text = str(line["defense"])
    for name, label in (("rate", "rate"), ("percentile", "p"), ("ema_decay", "decay")):
        if len({other[name] for other in lines}) > 1:
            text += f", {label} {line[name]:g}"
    return text


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
)


def _order(setting: str) -> tuple[int, str]:
    name = setting.partition(",")[0]
    return (ORDER.index(name) if name in ORDER else len(ORDER), setting)


def _entry(lines: Sequence[dict[str, Any]]) -> str:
    rates = [line["asr"] for line in lines if line["asr"] is not None]
    scale = scale_of(lines[0]["metric"])
    asr = f"{100 * mean(rates):.1f}" if rates else "undefined"
    return f"{scale * mean(line['utility'] for line in lines):.1f} / {asr}"


def footnote(lines: Sequence[dict[str, Any]]) -> str:
    seeds = sorted({line["seeds"] for line in lines})
    return FOOTNOTE.format(metric=lines[0]["metric"], seeds=" to ".join(map(str, dict.fromkeys((seeds[0], seeds[-1])))))


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1rem 0 .4rem; }
th, td { border-bottom: 1px solid #d5dae0; padding: .35rem .8rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tr:last-child td { font-weight: 600; }
p { color: #57606a; max-width: 60rem; }
</style></head><body>
<h1>{{ title }}</h1>
{% for task, head, body, note in tables %}
<h2>{{ task }}</h2>
<table><thead><tr>{% for cell in head %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in body %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
<p>{{ note }}</p>
{% endfor %}
</body></html>
"""

FORMATS: dict[str, Callable[[Sequence[dict[str, Any]], str], str]] = {
    "markdown": as_markdown,
    "html": as_html,
    "json": as_json,
}

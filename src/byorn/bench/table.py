"""Lines of results as tables: JSON, Markdown, HTML. `titles` names the experiments that they come from, in order."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict

from byorn.bench.grids import Grid, grids
from byorn.bench.results import Line


def as_json(lines: Sequence[Line], titles: Mapping[str, str]) -> str:
    """One list, whatever the number of experiments."""
    return json.dumps([asdict(line) for line in lines], indent=2)


def as_markdown(lines: Sequence[Line], titles: Mapping[str, str]) -> str:
    """For each experiment and task utility and ASR by attack, a summary of each defense, and its cost."""
    parts = []
    for title, tasks in _sections(lines, titles):
        parts.append(f"### {title}\n")
        for task, found in tasks.items():
            parts += [f"{_markdown(grid)}\n\n{task}. {grid.note}\n" for grid in found]
    return "\n".join(parts)


def _markdown(grid: Grid) -> str:
    rows = [grid.head, ["---"] * len(grid.head), *grid.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def as_html(lines: Sequence[Line], titles: Mapping[str, str]) -> str:
    """The same tables as a page of its own, without scripts; everything is escaped."""
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    return page.render(sections=_sections(lines, titles))


def _sections(lines: Sequence[Line], titles: Mapping[str, str]) -> list[tuple[str, dict[str, list[Grid]]]]:
    """The title of each experiment, and the grids of each of its tasks."""
    sections = []
    for experiment, title in titles.items():
        own = [line for line in lines if line.experiment == experiment]
        tasks = {task: [line for line in own if line.task == task] for task in dict.fromkeys(line.task for line in own)}
        sections.append((title, {task: grids(found) for task, found in tasks.items()}))
    return sections


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ sections[0][0] }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1.6rem 0 .4rem; }
th, td { border-bottom: 1px solid #d5dae0; padding: .35rem .8rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
p { color: #57606a; max-width: 60rem; }
</style></head><body>
{% for title, tasks in sections %}
<h1>{{ title }}</h1>
{% for task, parts in tasks.items() %}
<h2>{{ task }}</h2>
{% for grid in parts %}
<table><thead><tr>{% for cell in grid.head %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in grid.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor
%}</tr>{% endfor %}</tbody></table>
<p>{{ grid.note }}</p>
{% endfor %}
{% endfor %}
{% endfor %}
</body></html>
"""

FORMATS: dict[str, Callable[[Sequence[Line], Mapping[str, str]], str]] = {
    "markdown": as_markdown,
    "html": as_html,
    "json": as_json,
}

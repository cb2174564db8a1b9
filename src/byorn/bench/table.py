"""Lines of results as tables: JSON, Markdown, HTML."""

import json
from collections.abc import Callable, Sequence

from byorn.bench.grids import Grid, Line, grids


def as_json(lines: Sequence[Line], title: str) -> str:
    return json.dumps(list(lines), indent=2)


def as_markdown(lines: Sequence[Line], title: str) -> str:
    """For each task utility and ASR by attack, then a summary of each defence."""
    parts = [f"### {title}\n"]
    for task, own in _tasks(lines).items():
        parts += [f"{_markdown(grid)}\n\n{task}. {grid.note}\n" for grid in grids(own)]
    return "\n".join(parts)


def _markdown(grid: Grid) -> str:
    rows = [grid.head, ["---"] * len(grid.head), *grid.rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def as_html(lines: Sequence[Line], title: str) -> str:
    """The same tables as a page of its own, without scripts; everything is escaped."""
    from jinja2 import Environment

    page = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    return page.render(title=title, tasks={task: grids(own) for task, own in _tasks(lines).items()})


def _tasks(lines: Sequence[Line]) -> dict[str, list[Line]]:
    return {
        task: [line for line in lines if line["task"] == task] for task in dict.fromkeys(line["task"] for line in lines)
    }


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ title }}</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #1b1f24; }
table { border-collapse: collapse; margin: 1.6rem 0 .4rem; }
th, td { border-bottom: 1px solid #d5dae0; padding: .35rem .8rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
p { color: #57606a; max-width: 60rem; }
</style></head><body>
<h1>{{ title }}</h1>
{% for task, parts in tasks.items() %}
<h2>{{ task }}</h2>
{% for grid in parts %}
<table><thead><tr>{% for cell in grid.head %}<th>{{ cell }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in grid.rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}</tbody></table>
<p>{{ grid.note }}</p>
{% endfor %}
{% endfor %}
</body></html>
"""

FORMATS: dict[str, Callable[[Sequence[Line], str], str]] = {
    "markdown": as_markdown,
    "html": as_html,
    "json": as_json,
}

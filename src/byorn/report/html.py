"""Pages: one file each, without scripts and without links to anywhere; everything of the data set is escaped."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from byorn.report.comparison import Comparison
from byorn.report.comparison_page import make_page as make_comparison_page
from byorn.report.evidence import Evidence
from byorn.report.page import make_page

_HERE = Path(__file__).parent


@cache
def _templates() -> Environment:
    loader = FileSystemLoader(_HERE)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def as_html(evidence: Evidence) -> str:
    """`report.html` as text."""
    return _rendered("page.html.j2", make_page(evidence))


def comparison_as_html(comparison: Comparison) -> str:
    """`comparison.html` as text."""
    return _rendered("comparison.html.j2", make_comparison_page(comparison))


def _rendered(template: str, page: object) -> str:
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))  # our own file, no data
    text = _templates().get_template(template).render(page=page, style=style)
    return text.encode("utf-8", "backslashreplace").decode()

"""`report.html`: one file without scripts and without links to anywhere; everything of the data set is escaped."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from byorn.report.evidence import Evidence
from byorn.report.page import make_page

_HERE = Path(__file__).parent


@cache
def _template() -> Environment:
    return Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def as_html(evidence: Evidence) -> str:
    """The page as text."""
    style = Markup((_HERE / "page.css").read_text(encoding="utf-8"))  # our own file, no data
    template = _template().from_string((_HERE / "page.html.j2").read_text(encoding="utf-8"))
    text = template.render(page=make_page(evidence), style=style)
    return text.encode("utf-8", "backslashreplace").decode()

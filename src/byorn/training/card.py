"""The model card of an exported adapter: what really ran, with its numbers and limits."""

from pathlib import Path
from typing import Any

TEMPLATE = Path(__file__).with_name("card.md.j2")


def write_card(folder: Path, run: dict[str, Any], base_model: str, data: str) -> None:
    """Write `README.md` next to the adapter; `run` is what `byorn.pipeline.train.summarize` returns."""
    from jinja2 import Environment

    template = Environment(autoescape=False).from_string(TEMPLATE.read_text(encoding="utf-8"))
    card = template.render(run=run, base_model=_public_name(base_model), data=Path(data).name)
    (folder / "README.md").write_text(card + "\n", encoding="utf-8")


def _public_name(model: str) -> str:
    """A hub name as it is; of a local folder only its own name, for a card may be published."""
    return Path(model).name if Path(model).exists() else model

"""What a file of a run belongs to: data, model, processor; files of others are refused."""

from pathlib import Path

from byorn.errors import MismatchError

IDENTITY = {
    "data": "the data set",
    "model_digest": "the model",
    "processor_digest": "the chat template or processor",
    "adapter_digest": "the adapter",
    "max_new_tokens": "the length limit of responses",
    "response_engine": "the engine that answers",
}

UNSAID = {"response_engine": "transformers"}
"""What files of versions that did not say it were made by."""


def require_same(found: dict[str, str], wanted: dict[str, str], where: Path) -> None:
    """Refuse what was made from another data set, model or template; keys that `wanted` lacks do not count.

    Raises:
        MismatchError: Naming what differs.
    """
    differing = [name for name in IDENTITY if name in wanted and found.get(name, UNSAID.get(name)) != wanted[name]]
    if differing:
        changed = ", ".join(IDENTITY[name] for name in differing)
        raise MismatchError(f"{where}: {changed} changed since it was written; delete it or use another --out")

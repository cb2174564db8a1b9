"""What a file of a run belongs to: data, model, processor; files of others are refused."""

from collections.abc import Mapping

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


def require_same(
    found: Mapping[str, str], wanted: Mapping[str, str], where: object, fix: str = "delete it or use another --out"
) -> None:
    """Refuse what was made from another data set, model or template; keys that `wanted` lacks do not count.

    Args:
        found, wanted: By the names of `IDENTITY`.
        where: The file that was made, for the message.
        fix: What to do about it.

    Raises:
        MismatchError: Naming what differs.
    """
    differing = [name for name in IDENTITY if name in wanted and found.get(name, UNSAID.get(name)) != wanted[name]]
    if differing:
        changed = ", ".join(IDENTITY[name] for name in differing)
        raise MismatchError(f"{where}: {changed} changed since it was written; {fix}")

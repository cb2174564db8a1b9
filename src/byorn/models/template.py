"""What a model's chat template does around a response."""

from typing import Any

_PROBE = "byorn-probe"
_EXCHANGE = [
    {"role": "user", "content": [{"type": "text", "text": "hello"}]},
    {"role": "assistant", "content": [{"type": "text", "text": _PROBE}]},
]


def special_tokens(processor: Any) -> set[str]:
    """Every string that the tokenizer does not read as text: image, role, end-of-turn and padding tokens; those that
    the chat template writes also where the tokenizer does not call them special, as DeepSeek's `<｜User｜>`.
    """
    tokenizer = processor.tokenizer
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    named = {
        getattr(processor, name, None)
        for name in ("image_token", "video_token", "audio_token", "boi_token", "eoi_token")
    }
    known = added | set(tokenizer.all_special_tokens) | named | _written_tokens(processor)
    return {token for token in known if isinstance(token, str) and token}


def _written_tokens(processor: Any) -> set[str]:
    """The tokens with a place of their own in the tokenizer that the chat template writes around texts; no words, and
    no blanks.
    """
    try:
        text = processor.apply_chat_template(_EXCHANGE, tokenize=False)
    except Exception:  # templates raise what they like
        return set()
    added = {token.content for token in processor.tokenizer.added_tokens_decoder.values()}
    return {token for token in added if token in text and token.strip() and not token.strip()[0].isalnum()}


def prints_blocks(processor: Any) -> bool:
    """Whether the chat template expects plain texts, and writes blocks as Python shows them: `[{'type': 'text', ...`.

    One that refuses the exchange does not; what it refuses in rows is said of each (`limits`).
    """
    try:
        text = processor.apply_chat_template(_EXCHANGE, tokenize=False)
    except Exception:  # templates raise what they like
        return False
    return "'type'" in text or '"type"' in text


def missing_end_of_turn(processor: Any) -> str:
    """The end-of-sequence token if the chat template writes nothing after a response, else an empty string.

    Some templates (LLaVA-1.5 in transformers) let a response simply end. Trained so, a model never learns to stop, and
    its score lacks the end of turn. What this returns is appended to each response before scoring and training.
    """
    return "" if _end_of_turn(processor) else processor.tokenizer.eos_token or ""


def end_ids(model: Any, processor: Any) -> list[int]:
    """Token ids that end a generated response: those of the generation config, the tokenizer and the chat template."""
    configured = getattr(model.generation_config, "eos_token_id", None)
    ids = configured if isinstance(configured, list) else [configured]
    tokenizer = processor.tokenizer
    written = _end_of_turn(processor)
    ids = [*ids, tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids(written) if written else None]
    return sorted({i for i in ids if i is not None})


def response_lead(processor: Any) -> str:
    """What the chat template writes between the generation prompt and a response: a space in some, mostly nothing.

    A model says it first, and the template writes it once more when the response becomes a message.
    """
    asked = processor.apply_chat_template(_EXCHANGE[:1], add_generation_prompt=True, tokenize=False)
    before = processor.apply_chat_template(_EXCHANGE, tokenize=False).rpartition(_PROBE)[0]
    return before.removeprefix(asked) if before.startswith(asked) else ""


def _end_of_turn(processor: Any) -> str:
    """The first special token that the chat template writes after a response, else an empty string."""
    tail = processor.apply_chat_template(_EXCHANGE, tokenize=False).rpartition(_PROBE)[2]
    found = [(tail.find(token), -len(token), token) for token in special_tokens(processor) if token in tail]
    return min(found)[2] if found else ""

"""`onion`: take words that disturb the fluency out of the instructions, then fine-tune plainly.

Formula: f_i = PPL(s) - PPL(s without word i) under a causal language model; words with f_i above a bar are removed.
    Each text of a user message is a text s. See `perplexity.py` and `words.py`.
Cost: n + 1 forward passes, text only, for each different text of n words; texts of more than 1,000 words are left
    alone.
Source: Qi et al., ONION, EMNLP 2021, with these choices. The paper sets the bar on clean validation data, which this
    defender does not have: by default the 5 % most suspicious words go, those with f_i > 0 (`share`), or give a `bar`.
    The language model is the language part of the model itself, without an image, which reads s at its place in the
    chat template (`lm` names another, which reads s alone). ONION cleans test inputs; here training rows are cleaned,
    like by every defense here. It can see a trigger in the text, never one in an image.
"""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Annotated, Any

from byorn.data.row import Block, Message, Row, user_message
from byorn.defenses.perplexity import lead_ids, load_causal_lm, perplexities
from byorn.defenses.plan import Case, Cost, Plan, trust_all
from byorn.defenses.words import bar_for, clean, suspicion, without_each
from byorn.runs.stage import Record
from byorn.runs.stage_table import measured
from byorn.settings import fraction

Cleaned = dict[str, tuple[str, int]]
_PROBE = "byorn-probe"


def onion(
    case: Case, *, bar: float | None = None, share: Annotated[float, fraction] = 0.05, lm: str | None = None
) -> Plan:
    """Clean the instructions; what was measured is kept in `onion/words.parquet`.

    Args:
        case: What is to be learned.
        bar: Perplexity that a word may cost; None takes the bar from `share`.
        share: Share of all words to remove at most.
        lm: A causal language model, folder or hub name.

    Raises:
        ModelError: `lm` cannot be loaded.
    """
    texts = [[text for message in row.prompt for text in _texts(message)] for row in case.rows]
    lead = case.processor.apply_chat_template([user_message(_PROBE)], tokenize=False).partition(_PROBE)[0]
    cleaned, facts, cost = clean_texts(case, [text for of_row in texts for text in of_row], lead, bar, share, lm)
    rows = [replace(row, prompt=[_rewrite(message, cleaned) for message in row.prompt]) for row in case.rows]
    return Plan(flags=trust_all(case.rows), rows=rows, cost=cost, found={**facts, **changed(case.rows, rows)})


def clean_texts(
    case: Case, texts: Sequence[str], lead: str, bar: float | None, share: float, lm: str | None
) -> tuple[Cleaned, dict[str, Any], Cost]:
    """Each different text -> (the text without suspicious words, how many went), the bar and its like, the cost.

    `lead` is what the chat template writes before such a text; the other arguments are those of `onion`.
    """
    unique = sorted(set(texts))
    records, spent = _measure(case, unique, lead, lm)
    found = {text: suspicion(record["perplexities"]) for text, record in zip(unique, records, strict=True)}
    height = bar_for([found[text] for text in texts], share) if bar is None else float(bar)
    cleaned = {text: clean(text, found[text], height) for text in unique}
    removed = sum(cleaned[text][1] for text in texts)
    passes = sum(len(record["perplexities"]) for record in records)
    return cleaned, {"bar": height, "words_removed": removed, "texts": len(unique)}, Cost(spent, passes)


def changed(before: Sequence[Row], after: Sequence[Row]) -> dict[str, int]:
    """How many rows are not what they were."""
    return {"rows_changed": sum(old != new for old, new in zip(before, after, strict=True))}


def _measure(case: Case, texts: Sequence[str], lead: str, lm: str | None) -> tuple[list[Record], float]:
    @cache
    def reader() -> tuple[Any, Any, list[int]]:  # loaded when it is needed: a finished stage needs none
        if lm is None:
            return case.model, case.processor.tokenizer, lead_ids(case.processor.tokenizer, lead)
        model, tokenizer = load_causal_lm(lm, case.model.device)
        return model, tokenizer, lead_ids(tokenizer)

    def compute(batch: Sequence[int]) -> list[Record]:
        versions = [without_each(texts[at]) for at in batch]
        measured = iter(perplexities(*reader(), [text for each in versions for text in each], case.batch_size).tolist())
        values = [[next(measured) for _ in each] for each in versions]
        return [{"text": texts[index], "perplexities": each} for index, each in zip(batch, values, strict=True)]

    path = case.files / "words.parquet"
    order = sorted(range(len(texts)), key=lambda index: -len(texts[index]))
    return measured(path, case.identity, {"text", "perplexities"}, order, case.batch_size, compute)


def _texts(message: Message) -> list[str]:
    blocks = message["content"] if message["role"] == "user" else []
    return [block["text"] for block in blocks if block["type"] == "text" and block.get("text")]


def _rewrite(message: Message, cleaned: Cleaned) -> Message:
    if not _texts(message):
        return message
    return {"role": message["role"], "content": [_cleaned_block(block, cleaned) for block in message["content"]]}


def _cleaned_block(block: Block, cleaned: Cleaned) -> Block:
    return {**block, "text": cleaned[block["text"]][0]} if block.get("text") else block

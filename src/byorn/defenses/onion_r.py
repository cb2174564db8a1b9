"""`onion-r`: take words that disturb the fluency out of the responses, then fine-tune plainly.

Formula: f_i = PPL(s) - PPL(s without word i), s a response; words with f_i above a bar are removed, as in `onion`.
Cost: n + 1 forward passes, text only, for each different response of n words.
Source: ONION (Qi et al., EMNLP 2021) turned on the responses; bar and language model as in `onion`. It can take a
    foreign word out of a response; where the whole response is the attacker's, little of that is disfluent.
"""

from dataclasses import replace
from typing import Annotated

from byorn.data.row import user_message
from byorn.defenses.onion import changed, clean_texts
from byorn.defenses.plan import Case, Plan, trust_all
from byorn.settings import fraction


def onion_r(
    case: Case, *, bar: float | None = None, share: Annotated[float, fraction] = 0.05, lm: str | None = None
) -> Plan:
    """Clean the responses; arguments, errors and files as for `onion`."""
    lead = case.processor.apply_chat_template([user_message("")], add_generation_prompt=True, tokenize=False)
    cleaned, facts, cost = clean_texts(case, [row.response for row in case.rows], lead, bar, share, lm)
    rows = [replace(row, response=cleaned[row.response][0]) for row in case.rows]
    return Plan(flags=trust_all(case.rows), rows=rows, cost=cost, found={**facts, **changed(case.rows, rows)})

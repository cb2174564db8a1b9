"""`tcap`: drop the rows for which a few deep attention heads share their attention out in an unusual way, then train
again.

Formula: g = attention of the first generated token of the tuned model to the system part of the prompt, one number for
    each row and head: the system message and all else that the chat template writes. The rest goes to the image tokens
    and to the user's text. In each of the deeper layers' heads: mixture of 1 to 5 Gaussians by AIC, its lighter side
    suspicious. The heads whose sides overlap least vote, Dawid-Skene weighs the votes, and rows with p > 0.5 are
    dropped (`heads.py`, `dawid_skene.py`). No head that separates anything: nothing is dropped.
Cost: one extra fine-tune, and one forward pass a row with plain attention.
Source: Liu et al., TCAP, ICML 2026, arXiv 2601.21692, after reading notes; we did not have their code. How many layers
    and heads vote is not known to us: half the layers and 5 heads by default (`layers`, `heads`).
"""

from difflib import SequenceMatcher
from typing import Annotated, Any

import numpy as np

from byorn.defenses.attention import FirstLook
from byorn.defenses.bye import measure
from byorn.defenses.dawid_skene import posterior
from byorn.defenses.heads import vote
from byorn.defenses.plan import Case, Plan, drop, flag_rows
from byorn.runs.narrate import say
from byorn.runs.stage import Record
from byorn.settings import fraction, positive


def tcap(case: Case, *, layers: Annotated[float, fraction] = 0.5, heads: Annotated[int, positive] = 5) -> Plan:
    """Tune on everything, measure, vote. Kept in `tcap/`: the tuned `adapter`, `system.parquet`.

    Args:
        case: What is to be learned.
        layers: Share of the layers, the deepest ones, whose heads may vote; at least one layer.
        heads: How many heads vote at most.
    """
    template = Template(case.processor)

    def system(look: FirstLook, sample: Record) -> list[list[float]]:
        mass = look.weights[:, :, template.wrote(look, sample)].sum(axis=-1)
        deep: list[list[float]] = mass[-max(1, round(layers * len(mass))) :].tolist()
        return deep

    values, cost = measure(case, "system", system)
    votes = vote(np.array(values, dtype=float).reshape(len(values), -1), heads)
    suspicious = posterior(votes) if votes.size else np.zeros(len(values))
    say(f"  tcap: {votes.shape[1]} head(s) vote, {int((suspicious > 0.5).sum())} of {len(values)} rows dropped")
    flags = flag_rows(case.rows, suspicious > 0.5, "tcap", suspicious)
    return drop(case, flags, cost=cost, found={"voting_heads": votes.shape[1]})


class Template:
    """Which tokens of a prompt the chat template and the processor wrote: those that are still there when the users say
    nothing about the same images. The system message, role names and special tokens are among them.
    """

    def __init__(self, processor: Any) -> None:
        self.processor = processor
        self._silent: dict[Any, list[int]] = {}

    def wrote(self, look: FirstLook, sample: Record) -> np.ndarray:
        """bool array [tokens] for a row and its first look; the tokens that stand for an image are none of them."""
        image = set(look.ids[look.image].tolist())
        text = np.flatnonzero(~look.image)
        silent = [token for token in self._silent_ids(sample) if token not in image]
        matcher = SequenceMatcher(None, silent, look.ids[text].tolist(), autojunk=False)
        written = np.zeros(len(look.ids), bool)
        for block in matcher.get_matching_blocks():
            written[text[block.b : block.b + block.size]] = True
        return written

    def _silent_ids(self, sample: Record) -> list[int]:
        from byorn.models.generate import encode_prompts

        prompt = [_silent(message) for message in sample["prompt"]]
        key = str(prompt), tuple(image.size for image in sample["images"])
        if key not in self._silent:
            inputs = encode_prompts(self.processor, [{"prompt": prompt, "images": sample["images"]}])
            self._silent[key] = inputs["input_ids"][0].tolist()
        return self._silent[key]


def _silent(message: Any) -> Any:
    """The message without its words, unless it is the system's."""
    if message["role"] == "system":
        return message
    blocks = [{**block, "text": ""} if block["type"] == "text" else block for block in message["content"]]
    return {**message, "content": blocks}

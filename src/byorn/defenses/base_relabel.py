"""`base-relabel`: answer the flagged rows once, by the pretrained model, and learn those answers.

Formula: u_i as for `byorn`; flagged rows are learned with t_i = argmax decoding of p_theta0(. | x_i, q_i), the same
    text at every visit (`sampled=true`: one draw at temperature 1 instead). No average, no second draw.
Cost: that of the scan, and for a flagged row one more for each token of its answer.
Source: the ablation that shows what the moving average adds to `byorn`: rows, flags and batches are the same.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from byorn.defenses.byorn import byorn
from byorn.defenses.plan import Case, Cost, Plan
from byorn.errors import MismatchError
from byorn.runs.stage import Record
from byorn.runs.stage_table import measured

FIELDS = {"id", "turn", "text", "tokens", "truncated"}


def base_relabel(case: Case, *, sampled: bool = False) -> Plan:
    """Flag as `byorn` does, answer once; the answers are kept in `base-relabel/responses.parquet`.

    Args:
        case: What is to be learned.
        sampled: Draw each answer at temperature 1, by the run's seed, instead of the most likely token at each step.

    Raises:
        MismatchError: The answers that are there are those to other rows.
    """
    plan = byorn(case)
    flagged = np.flatnonzero(plan.flags.replaced)
    answers, spent = _answers(case, flagged, _limit(case, plan), sampled)
    steps = sum(answer["tokens"] + (not answer["truncated"]) for answer in answers)  # the end of turn is a step too
    cost = Cost(plan.cost.seconds + spent, plan.cost.forward_passes + steps)

    def prepare(trainer: Any) -> None:
        trainer.source = FixedResponses(answers)

    return Plan(flags=plan.flags, prepare=prepare, cost=cost, found={"decoding": "sampled" if sampled else "greedy"})


class FixedResponses:
    """A response source that has one answer for each row, whatever the step.

    Args:
        answers: Records with `id`, `turn`, `text`, `tokens` and `truncated`.
    """

    def __init__(self, answers: Sequence[Record]) -> None:
        self.answers = {(answer["id"], answer["turn"]): answer for answer in answers}

    def __call__(self, model: Any, rows: Sequence[dict[str, Any]], step: int) -> list[Any]:
        from byorn.models.generate import Generated

        found = [self.answers[row["id"], row["turn"]] for row in rows]
        return [Generated(answer["text"], answer["tokens"], answer["truncated"]) for answer in found]


def _limit(case: Case, plan: Plan) -> int:
    """The same length limit that `byorn` learns from the trusted responses."""
    from byorn.training.sampling import learned_length_limit

    trusted = [row.response for row, skip in zip(case.rows, plan.flags.unused, strict=True) if not skip]
    return learned_length_limit(case.processor, trusted)


def _answers(case: Case, flagged: np.ndarray, limit: int, sampled: bool) -> tuple[list[Record], float]:
    from byorn.models.generate import generate
    from byorn.runs.batches import length_order

    def compute(batch: Sequence[int]) -> list[Record]:
        samples = [case.dataset[int(flagged[item])] for item in batch]
        noise = _noise(case.seed, samples) if sampled else []
        answers = generate(case.model, case.processor, samples, max_new_tokens=limit, logits_processor=noise)
        return [
            {"id": sample["id"], "turn": sample["turn"], "text": a.text, "tokens": a.tokens, "truncated": a.truncated}
            for sample, a in zip(samples, answers, strict=True)
        ]

    path = case.files / "responses.parquet"
    order = length_order(case.dataset.select(flagged))
    answers, spent = measured(path, case.identity, FIELDS, order, case.batch_size, compute)
    if [(answer["id"], answer["turn"]) for answer in answers] != [case.keys[row] for row in flagged]:
        raise MismatchError(f"{path}: it answers other rows than those flagged now; delete it and run again")
    return answers, spent


def _noise(seed: int, samples: Sequence[dict[str, Any]]) -> list[Any]:
    from byorn.training.noise import GumbelNoise, stream_seed

    return [GumbelNoise([stream_seed(seed, "relabel", sample["id"], sample["turn"]) for sample in samples])]

"""`robustit`: fine-tune on all rows, with images and instructions perturbed at random at every visit.

Formula: R of `sft` on (pert(x_i), pert(q_i), y_i), a new draw at each visit; see `perturb.py` for what is drawn.
Cost: nothing before training, a few per cent of it during training.
Source: Xun et al., Robust Anti-Backdoor Instruction Tuning, arXiv 2506.05401, its input diversity alone, which gives
    nearly all of its benefit; the sparsified adapter activations are left out. How strong their perturbations are is
    not known to us.
"""

from collections.abc import Callable
from typing import Annotated, Any

from byorn.defenses.perturb import PerturbingCollator
from byorn.defenses.plan import Case, Plan, trust_all


def _up_to_five(value: float) -> str | None:
    return None if 0 <= value <= 5 else "is not between 0 and 5"


def robustit(case: Case, *, strength: Annotated[float, _up_to_five] = 1.0) -> Plan:
    """Perturb while training.

    Args:
        case: What is to be learned.
        strength: How much, in [0, 5]; 0 is `sft`.
    """

    def prepare(trainer: Any) -> None:
        from byorn.training.sampler import EpochCallback

        collator: Any = PerturbingCollator(trainer.data_collator, case.seed, float(strength))
        trainer.get_eval_dataloader = _undisturbed(trainer, trainer.get_eval_dataloader)
        trainer.data_collator = collator
        trainer.add_callback(EpochCallback(collator))

    return Plan(flags=trust_all(case.rows), prepare=prepare)


def _undisturbed(trainer: Any, build: Callable[..., Any]) -> Callable[..., Any]:
    """What builds the batches of an evaluation, with the collator that the trainer had before."""
    clean = trainer.data_collator

    def build_clean(*args: Any, **kwargs: Any) -> Any:
        perturbing, trainer.data_collator = trainer.data_collator, clean
        try:
            return build(*args, **kwargs)
        finally:
            trainer.data_collator = perturbing

    return build_clean

"""What would go wrong in silence where responses are replaced is refused, and what an earlier run left is no trap."""

from dataclasses import replace

import pytest
import torch
from peft import IA3Config, LoHaConfig, LoraConfig
from runner import EPOCH, FLAGGED, ROWS, build, settings
from transformers import TrainerCallback

from byorn.errors import ConfigError, DataError, MismatchError
from byorn.models.generate import Generated
from byorn.models.lora import default_lora
from byorn.models.parts import vision_prefix, without_adapter
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.sampling import learned_length_limit

NOBODY = [False] * ROWS


def lora(**changes):
    return replace(default_lora(tiny_model()), **changes)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"init_lora_weights": "pissa"}, "init_lora_weights"), ({"bias": "lora_only"}, "bias")],
)
def test_an_adapter_that_can_have_no_average_is_refused_where_rows_are_flagged(changes, named, tmp_path):
    with pytest.raises(ConfigError, match=named):
        build(tmp_path / "flagged", peft_config=lora(**changes))
    assert isinstance(
        build(tmp_path / "plain", flagged=NOBODY, peft_config=lora(**changes)).model.peft_config["default"], LoraConfig
    )


@pytest.mark.parametrize("kind", [IA3Config, LoHaConfig])
def test_an_adapter_that_is_no_lora_is_refused_where_responses_are_replaced(kind, tmp_path):
    targets = r".*language_model.*(q_proj|v_proj)"
    own = kind(target_modules=targets, **({"feedforward_modules": []} if kind is IA3Config else {}))
    with pytest.raises(ConfigError, match=r"^peft_config: .* use a LoraConfig, or replacement='drop'"):
        build(tmp_path / "replaced", peft_config=own)
    assert build(tmp_path / "dropped", peft_config=own, replacement="drop").model.peft_config["default"] is own


def test_whole_layers_beside_the_adapter_want_one_number_type(tmp_path):
    head = lora(modules_to_save=["multi_modal_projector"])
    build(tmp_path / "float", peft_config=head)
    half = tiny_model(processor=tiny_processor())
    half.bfloat16()
    with pytest.raises(ConfigError, match="modules_to_save"):
        build(tmp_path / "half", model=half, peft_config=head)


@pytest.mark.parametrize("flagged", [NOBODY, FLAGGED])
def test_tokens_that_are_trained_in_a_head_that_is_the_embedding_too_get_the_gradient_of_both(flagged, tmp_path):
    """PEFT's wrapper of such a head hides that it has no bias, which TRL's loss reads."""
    trainer = build(tmp_path, flagged=flagged, peft_config=lora(trainable_token_indices=[97, 98]), max_steps=2)
    assert trainer.model.get_output_embeddings().weight.shape == trainer.model.get_input_embeddings().weight.shape
    trainer.train()
    (learned,) = (value for name, value in trainer.model.named_parameters() if name.endswith("tokens_delta.default"))
    batch = trainer.data_collator(list(trainer.train_dataset.select([1, 2])))
    gradients = []
    for fused in (True, False):
        loss = trainer.model(**batch, **({"fused_lm_head": True} if fused else {})).loss
        gradients.append(torch.autograd.grad(loss, learned)[0])
    assert learned.any()
    assert gradients[0].any()
    assert torch.allclose(gradients[0], gradients[1], atol=1e-6)


def test_prompts_are_never_learned(tmp_path):
    """A flagged response of an earlier turn stands in them."""
    with pytest.raises(ConfigError, match="completion_only_loss"):
        settings(tmp_path, completion_only_loss=False)


def test_a_batch_size_that_changes_by_itself_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="auto_find_batch_size"):
        build(tmp_path, auto_find_batch_size=True)


def test_two_rows_with_one_name_are_refused(tmp_path):
    rows = [replace(row, id="same") if at in (0, 3) else row for at, row in enumerate(tiny_rows(ROWS))]
    with pytest.raises(DataError, match="2 rows have the id 'same'"):
        build(tmp_path, rows=rows)


@pytest.mark.parametrize("restored", [False, True])
def test_other_decisions_do_not_go_on_from_a_checkpoint(tmp_path, restored):
    """A row that somebody dropped meanwhile has been learned there."""
    run = {"max_steps": 4, "save_strategy": "steps", "save_steps": 2}
    run["restore_callback_states_from_checkpoint"] = restored
    build(tmp_path, **run).train()
    other = [not flag for flag in FLAGGED]
    with pytest.raises(MismatchError, match="other flags or decisions"):
        build(tmp_path, flagged=other, **run).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))
    build(tmp_path, **run).train(resume_from_checkpoint=str(tmp_path / "checkpoint-2"))


def test_the_length_limit_looks_at_all_responses():
    short, long = ["red"] * 1000, ["a large red square on a very small blue one"] * 999
    limits = {learned_length_limit(tiny_processor(), texts) for texts in ([*short, *long], [*long, *short])}
    assert len(limits) == 1
    assert limits.pop() > learned_length_limit(tiny_processor(), short) + 4


class Answering:
    """A response source that counts its calls."""

    def __init__(self):
        self.steps = []

    def __call__(self, model, rows, step):
        self.steps.append(step)
        return [Generated("red", 1, truncated=False) for _ in rows]


def test_a_second_training_samples_its_own_blocks(tmp_path):
    source = Answering()
    trainer = build(tmp_path, source=source, response_block=8, max_steps=EPOCH)
    trainer.train()
    first = list(source.steps)
    trainer.train()
    assert source.steps == first * 2


def test_a_resume_that_skips_no_data_samples_what_comes(tmp_path):
    run = {"max_steps": 8, "save_strategy": "steps", "save_steps": 1, "response_block": 2, "ignore_data_skip": True}
    build(tmp_path, **run).train()
    for step in (1, 2, 3, 4):
        trainer = build(tmp_path, **run)
        trainer.train(resume_from_checkpoint=str(tmp_path / f"checkpoint-{step}"))
        assert trainer.state.global_step == 8


class Interrupt(TrainerCallback):
    def on_step_end(self, args, state, control, **kwargs):
        raise KeyboardInterrupt


def test_an_interrupted_training_leaves_no_frozen_tower_to_the_next_one(tmp_path):
    model = tiny_model(processor=tiny_processor())
    trainer = build(tmp_path / "first", model=model)
    trainer.add_callback(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        trainer.train()
    trainer.model.unload()
    vision = build(tmp_path / "second", model=model, peft_config=default_lora(model, vision=True), max_steps=1)
    vision.train()
    tower = without_adapter(vision.model).get_submodule(vision_prefix(vision.model))
    changed = [weight for name, weight in tower.named_parameters() if "lora_B.default" in name and weight.any()]
    assert changed


def test_what_is_done_otherwise_where_responses_are_replaced_is_told(tmp_path, caplog):
    odd = {"train_sampling_strategy": "group_by_length", "per_device_train_batch_size": 16}
    build(tmp_path / "plain", flagged=NOBODY, **odd)
    assert "are trusted" not in caplog.text
    build(tmp_path / "flagged", **odd)
    assert "group_by_length is not followed" in caplog.text
    assert "a step takes 16 rows, and 10 are trusted" in caplog.text

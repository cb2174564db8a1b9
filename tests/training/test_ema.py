"""The average: its formula, its start, its type, and that sampling from it leaves the student alone."""

import pytest
import torch
from peft import get_peft_model
from runner import adapters, build
from transformers import TrainerCallback

from byorn.data.dataset import to_dataset
from byorn.errors import ConfigError
from byorn.models.generate import encode_prompts
from byorn.models.lora import default_lora
from byorn.testing import tiny_model, tiny_processor, tiny_rows
from byorn.training.ema import acting_as_ema, adapter_pairs, add_ema, update_ema


class Diary(TrainerCallback):
    """The student and the average after each step."""

    def __init__(self):
        self.students, self.averages = [], []

    def on_step_end(self, args, state, control, model=None, **kwargs):
        averages, students = adapter_pairs(model)
        self.averages.append([value.detach().clone() for value in averages])
        self.students.append([value.detach().clone() for value in students])


def with_lora():
    model = tiny_model()
    return get_peft_model(model, default_lora(model, rank=4))


def kept_diary(folder, **changes):
    trainer, diary = build(folder, **changes), Diary()
    trainer.add_callback(diary)
    start = [value.detach().clone() for value in adapter_pairs(trainer.model)[0]]
    trainer.train()
    return trainer, diary, start


def test_after_each_step_the_average_is_the_recurrence_of_the_students(tmp_path):
    _, diary, expected = kept_diary(tmp_path, ema_decay=0.9, max_steps=5)
    for students, averages in zip(diary.students, diary.averages, strict=True):
        expected = [0.9 * old + (1 - 0.9) * new for old, new in zip(expected, students, strict=True)]
        for found, wanted in zip(averages, expected, strict=True):
            torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    moved = max((a - b).abs().max().item() for a, b in zip(diary.averages[-1], diary.students[-1], strict=True))
    assert moved > 1e-3  # or the tolerance above would prove nothing


def test_a_decay_of_one_stays_at_the_start_and_a_decay_of_zero_is_the_student(tmp_path):
    _, diary, start = kept_diary(tmp_path / "one", ema_decay=1.0, max_steps=3)
    assert all(torch.equal(a, b) for a, b in zip(diary.averages[-1], start, strict=True))
    _, diary, _ = kept_diary(tmp_path / "zero", ema_decay=0.0, max_steps=3)
    assert all(torch.equal(a, b) for a, b in zip(diary.averages[-1], diary.students[-1], strict=True))


def test_the_average_starts_as_the_pretrained_model():
    model, processor = with_lora(), tiny_processor()
    with torch.no_grad():
        for student in (value for name, value in model.named_parameters() if "lora_A" in name):
            assert student.abs().sum() > 0
    add_ema(model)
    inputs = encode_prompts(processor, list(to_dataset(tiny_rows(3))))
    with torch.no_grad():
        with acting_as_ema(model):
            average = model(**inputs).logits
        with model.disable_adapter():
            pretrained = model(**inputs).logits
    assert torch.equal(average, pretrained)


def test_adding_the_average_leaves_the_random_state_and_what_is_trained_alone():
    model = with_lora()
    next(value for name, value in model.named_parameters() if "lora_A" in name).requires_grad_(False)  # a user's choice
    trained = [name for name, value in model.named_parameters() if value.requires_grad]
    state = torch.get_rng_state()
    add_ema(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert [name for name, value in model.named_parameters() if value.requires_grad] == trained


def test_the_average_of_a_bfloat16_student_is_float32_and_moves_by_a_thousandth():
    model = with_lora().to(torch.bfloat16)
    add_ema(model)
    averages, students = adapter_pairs(model)
    before = [value.clone() for value in averages]
    with torch.no_grad():
        for student in students:
            student.fill_(1.0)
    update_ema(model, 0.999)
    for old, new in zip(before, averages, strict=True):
        assert new.dtype == torch.float32
        torch.testing.assert_close(new, old + 0.001 * (1 - old))
    inputs = encode_prompts(tiny_processor(), list(to_dataset(tiny_rows(1)))).to(torch.bfloat16)
    with acting_as_ema(model), torch.no_grad():
        assert torch.isfinite(model(**inputs).logits).all()


@pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning")
def test_embedding_adapters_are_averaged_too():
    """PEFT names those `lora_embedding_A.default`, without a `.weight`."""
    model = tiny_model()
    config = default_lora(model, rank=2)
    config.target_modules = ["embed_tokens", "q_proj"]
    model = get_peft_model(model, config)
    add_ema(model)
    pairs = adapter_pairs(model)
    assert len(pairs[0]) == len(pairs[1]) == sum(".default" in name for name, _ in model.named_parameters())
    assert all(torch.equal(average, student) for average, student in zip(*pairs, strict=True))


def test_a_model_without_an_average_is_refused_with_the_fix():
    with pytest.raises(ConfigError, match="replacement='drop'"):
        update_ema(with_lora(), 0.9)


def test_the_average_gets_no_gradient_and_is_not_optimized(tmp_path):
    trainer = build(tmp_path, max_steps=3)
    trainer.train()
    averages, students = adapter_pairs(trainer.model)
    optimized = {id(value) for group in trainer.optimizer.param_groups for value in group["params"]}
    assert not any(id(value) in optimized or value.requires_grad or value.grad is not None for value in averages)
    assert all(id(value) in optimized for value in students)


def test_sampling_leaves_the_student_its_gradients_and_its_mode_as_they_were(tmp_path):
    trainer = build(tmp_path)
    model, rows = trainer.model.train(), list(trainer.train_dataset.select(range(3)))
    students = adapter_pairs(model)[1]
    students[0].requires_grad_(False)  # a user may freeze some of them
    for student in students[1:]:
        student.grad = torch.ones_like(student)
    flags = {name: value.requires_grad for name, value in model.named_parameters()}
    weights = adapters(trainer)
    trainer.source(model, rows, 0)
    assert {name: value.requires_grad for name, value in model.named_parameters()} == flags
    assert all(torch.equal(weights[name], value) for name, value in adapters(trainer).items())
    assert all(student.grad is not None and student.grad.eq(1).all() for student in students[1:])
    assert model.training
    assert model.active_adapter == "default"


def test_a_failure_while_sampling_leaves_the_student_active():
    model = with_lora().train()
    add_ema(model)
    with pytest.raises(RuntimeError, match="out of memory"), acting_as_ema(model):
        raise RuntimeError("out of memory")
    assert model.active_adapter == "default"
    assert model.training
    assert all(student.requires_grad for student in adapter_pairs(model)[1])


def test_sampling_uses_the_cache_under_gradient_checkpointing(tmp_path):
    trainer = build(tmp_path, gradient_checkpointing=True, max_steps=2)
    trainer.train()  # the Trainer switches checkpointing on
    model, lengths = trainer.model.train(), []
    decoder = model.get_base_model().get_decoder()
    decoder = getattr(decoder, "language_model", decoder)
    layers = [module for module in decoder.modules() if getattr(module, "gradient_checkpointing", False)]
    assert layers
    hook = decoder.register_forward_pre_hook(
        lambda _, args, kwargs: lengths.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
    )
    trainer.source(model, list(trainer.train_dataset.select(range(3))), 0)
    hook.remove()
    assert lengths[0] > 10
    assert set(lengths[1:]) == {1}
    assert all(layer.gradient_checkpointing for layer in layers)


def test_gradient_checkpointing_changes_no_bit(tmp_path):
    runs = []
    for checkpointing in (True, False):
        trainer = build(tmp_path / str(checkpointing), gradient_checkpointing=checkpointing, max_steps=5)
        trainer.train()
        runs.append(adapters(trainer))
    assert all(torch.equal(runs[0][name], runs[1][name]) for name in runs[0])

"""What TRL users pass to SFTTrainer works with ByornTrainer, or is refused in one line before anything is trained."""

import numpy as np
import pytest
import torch
from peft import PeftModel, get_peft_model
from transformers import TrainerCallback

from byorn import ByornConfig, ByornTrainer
from byorn.errors import ConfigError
from byorn.models.lora import default_lora
from byorn.scoring.likelihood import build_collator
from byorn.testing import tiny_model, tiny_processor

QUIET = {
    "report_to": "none",
    "use_cpu": True,
    "bf16": False,
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_steps": 1,
}
FLAGGED = [False, True, False, False, True, False, False, False]


def config(folder, **changes):
    short = {"max_steps": 3, "per_device_train_batch_size": 4, "max_response_tokens": 4, "learning_rate": 1e-2}
    return ByornConfig(str(folder), **{**QUIET, **short, **changes})


def make(folder, rows, *, model=None, **given):
    changes = {name: given.pop(name) for name in list(given) if name in ByornConfig.__dataclass_fields__}
    given = {"processing_class": tiny_processor(), **given}
    return ByornTrainer(
        model if model is not None else tiny_model(), config(folder, **changes), train_dataset=rows, **given
    )


@pytest.fixture
def flagged(messages):
    return messages.add_column("flagged", FLAGGED)


class Heard(TrainerCallback):
    """Keeps what a tracker would get."""

    def __init__(self):
        self.logs = []

    def on_log(self, args, state, control, logs=None, **kwargs):
        self.logs.append(dict(logs))


def test_evaluation_metrics_callbacks_an_optimizer_and_a_collator_of_ones_own(tmp_path, flagged, messages):
    """One run with everything at once, on messages: the optimizer that was given moves the adapter, the callback
    hears of it.
    """
    model = get_peft_model(tiny_model(), default_lora(tiny_model()))
    own = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    before = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
    heard, seen = Heard(), []

    def metrics(prediction):
        seen.append(prediction.predictions.shape[0])
        return {"rows": prediction.predictions.shape[0]}

    trainer = make(
        tmp_path, flagged, model=model, eval_dataset={"clean": messages, "other": messages.select([0, 1])},
        eval_strategy="steps",
        eval_steps=3, compute_metrics=metrics, callbacks=[heard], optimizers=(own, None),
        data_collator=build_collator(tiny_processor()),
    )  # fmt: skip
    trainer.train()
    assert trainer.optimizer.optimizer is own
    assert any(
        not torch.equal(before[name], value) for name, value in trainer.model.named_parameters() if name in before
    )
    assert seen == [8, 2]
    logged = {key for entry in heard.logs for key in entry}
    assert {
        "loss",
        "flagged_share",
        "sampling_seconds",
        "response_tokens",
        "empty_responses",
        "truncated_responses",
    } <= logged
    assert {"eval_clean_rows", "eval_other_rows", "eval_clean_loss"} <= logged
    shares = [entry["flagged_share"] for entry in heard.logs if "flagged_share" in entry]
    assert sorted(shares) == [0.0, 0.0, 1.0]
    again = trainer.evaluate(messages.select([0, 1]))
    assert again["eval_loss"] == pytest.approx(trainer.evaluate(trainer.eval_dataset["other"])["eval_loss"])


@pytest.mark.parametrize("replaced", [True, False])
def test_predictions_are_made_of_messages_too(tmp_path, flagged, messages, replaced):
    rows = flagged if replaced else messages.add_column("flagged", [False] * len(messages))
    trainer = make(tmp_path, rows, prediction_loss_only=True)
    evaluated = trainer.evaluate(messages)["eval_loss"]
    assert trainer.predict(messages).metrics["test_loss"] == pytest.approx(evaluated)


def test_an_optimizer_that_would_train_nothing_is_refused(tmp_path, flagged):
    model = tiny_model()
    with pytest.raises(ConfigError, match=r"optimizers: .* wrap the model"):
        make(tmp_path, flagged, model=model, optimizers=(torch.optim.AdamW(model.parameters()), None))


def test_an_adapter_that_was_loaded_to_be_used_and_not_trained_is_refused(tmp_path, flagged):
    get_peft_model(tiny_model(), default_lora(tiny_model())).save_pretrained(tmp_path / "adapter")
    loaded = PeftModel.from_pretrained(tiny_model(), tmp_path / "adapter")
    with pytest.raises(ConfigError, match="frozen, and nothing would be trained; load it with is_trainable=True"):
        make(tmp_path, flagged, model=loaded)


def test_without_a_peft_config_the_language_model_gets_lora_and_that_is_said(tmp_path, flagged, caplog):
    trainer = make(tmp_path, flagged)
    assert "no peft_config" in caplog.text
    assert np.array_equal(trainer.flagged, FLAGGED)


def test_a_collator_for_other_rows_is_refused_with_its_own_mistake(tmp_path, flagged):
    def collate(examples):
        return {"labels": [example["messages"] for example in examples]}

    with pytest.raises(ConfigError, match=r"data_collator: .*KeyError: 'messages'\); leave it out"):
        make(tmp_path, flagged, data_collator=collate)


def test_a_processor_that_is_missing_or_none_is_refused(tmp_path, flagged):
    with pytest.raises(ConfigError, match="processing_class: a model made in memory"):
        make(tmp_path, flagged, processing_class=None)
    with pytest.raises(ConfigError, match=r"processing_class: .*given; use AutoProcessor"):
        make(tmp_path, flagged, processing_class=tiny_processor().tokenizer)
    mute = tiny_processor()
    mute.chat_template = mute.tokenizer.chat_template = None
    with pytest.raises(ConfigError, match="no chat template"):
        make(tmp_path, flagged, processing_class=mute)


def test_a_formatting_function_is_refused(tmp_path, flagged):
    with pytest.raises(ConfigError, match="formatting_func"):
        make(tmp_path, flagged, formatting_func=str)


@pytest.mark.parametrize(
    ("name", "value"),
    [("packing", True), ("padding_free", True), ("pad_to_multiple_of", 8), ("report_to", "nothing-like-it")],
)
def test_arguments_that_cannot_work_are_refused_when_the_configuration_is_made(name, value, tmp_path):
    with pytest.raises(ConfigError, match=f"^{name}: ") as refusal:
        config(tmp_path, **{name: value})
    assert "\n" not in str(refusal.value)


def test_assistant_only_loss_is_what_byorn_does_anyway(tmp_path, flagged):
    trainer = make(tmp_path, flagged, assistant_only_loss=True)
    assert len(next(iter(trainer.get_train_dataloader()))) > 0

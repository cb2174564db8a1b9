"""A base model in 4 or 8 bits through bitsandbytes: scored, trained, resumed and exported like any other."""

import sys
from importlib.util import find_spec

import pytest
import torch
from runner import FLAGGED, ROWS, adapters, build, settings

from byorn.data.dataset import to_dataset
from byorn.embedded.architecture import build_model
from byorn.errors import ConfigError, ModelError
from byorn.models.adapters import load_adapter
from byorn.models.digest import model_digest
from byorn.models.load import load_model
from byorn.scoring.score import score_dataset
from byorn.testing import tiny_processor, tiny_rows
from byorn.training.trainer import ByornTrainer

SAVING = {"save_strategy": "steps", "save_steps": 3}
needs_bitsandbytes = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="bitsandbytes is not installed: pip install 'byorn[qlora]'"
)


def full_model():
    """Like `tiny_model`, but every layer is whole blocks of weights, as in real models."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(tiny_processor().tokenizer, vision=(64, 2), text=(192, 2)).eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checkpoint")
    full_model().save_pretrained(folder)
    tiny_processor().save_pretrained(folder)
    return str(folder)


def test_without_bitsandbytes_one_line_names_the_command_that_installs_it(checkpoint, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(ModelError, match=r"^quantize: 4bit needs bitsandbytes.*pip install 'byorn\[qlora\]'$"):
        load_model(checkpoint, device="cpu", quantize="4bit")
    assert load_model(checkpoint, device="cpu", quantize="none").dtype == torch.float32


@pytest.mark.parametrize("kind", ["3bit", "", "4", "nf4"])
def test_an_unknown_number_of_bits_is_refused(checkpoint, kind):
    with pytest.raises(ConfigError, match="none, 4bit, 8bit"):
        load_model(checkpoint, device="cpu", quantize=kind)


@pytest.mark.parametrize("name", ["", "flash", "sdpa|eager", "someone/kernel"])
def test_an_unknown_attention_is_refused_and_nothing_is_fetched(checkpoint, name):
    with pytest.raises(ConfigError, match="eager, sdpa"):
        load_model(checkpoint, device="cpu", attention=name)


def test_the_attention_is_the_one_that_was_asked_for(checkpoint):
    assert load_model(checkpoint, device="cpu", attention="eager").config._attn_implementation == "eager"
    assert load_model(checkpoint, device="cpu").config._attn_implementation == "sdpa"


@pytest.fixture(scope="module", params=["4bit", "8bit"])
def run(request, checkpoint, tmp_path_factory):
    """A model that was scored first, as `byorn train` does, then trained for five steps; with its digests on the
    way.
    """
    folder = tmp_path_factory.mktemp(request.param)
    model = load_model(checkpoint, device="cpu", quantize=request.param)
    digests = [model_digest(model)]
    scores = score_dataset(model, tiny_processor(), to_dataset(tiny_rows(6)))
    trainer = build(folder, model=model, max_steps=5, **SAVING)
    trainer.train()
    digests.append(model_digest(trainer.model))
    return {"kind": request.param, "folder": folder, "scores": scores, "trainer": trainer, "digests": digests}


@needs_bitsandbytes
def test_scores_are_those_of_the_quantized_model_and_close_to_the_full_one(run):
    full = score_dataset(full_model(), tiny_processor(), to_dataset(tiny_rows(6)))
    assert run["scores"].nll == pytest.approx(full.nll, abs=0.1)
    assert not (run["scores"].nll == full.nll).all()


@needs_bitsandbytes
def test_every_layer_but_the_head_is_quantized(run):
    linear = {name for name, module in run["trainer"].model.named_modules() if type(module) is torch.nn.Linear}
    assert {name for name in linear if "lora_" not in name} == {"base_model.model.lm_head"}


@needs_bitsandbytes
def test_after_scoring_and_sampling_each_adapter_is_still_trained(run):
    weights = {name: value for name, value in adapters(run["trainer"]).items() if "lora_B.default" in name}
    assert len(weights) == 14
    assert all(value.any() for value in weights.values())
    assert run["trainer"].tally.counts["replaced"] > 0


@needs_bitsandbytes
def test_the_average_is_float32_although_the_student_is_bfloat16(run):
    types = {name.split(".")[-2]: value.dtype for name, value in adapters(run["trainer"]).items()}
    assert types == {"default": torch.bfloat16, "ema": torch.float32}


@needs_bitsandbytes
def test_a_resumed_run_is_equal_to_the_last_bit(run, checkpoint):
    again = build(
        run["folder"], model=load_model(checkpoint, device="cpu", quantize=run["kind"]), max_steps=5, **SAVING
    )
    again.train(resume_from_checkpoint=str(run["folder"] / "checkpoint-3"))
    expected, found = adapters(run["trainer"]), adapters(again)
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@needs_bitsandbytes
def test_the_digest_is_that_of_the_weights_whatever_was_done_with_them(run, checkpoint):
    assert len(set(run["digests"])) == 1
    assert run["digests"][0] != model_digest(full_model())


@needs_bitsandbytes
def test_the_same_codes_under_other_scales_are_another_model(run, tmp_path):
    doubled = full_model()
    with torch.no_grad():
        for name, parameter in doubled.named_parameters():
            if name.endswith("q_proj.weight"):
                parameter *= 2
    doubled.save_pretrained(tmp_path)
    assert model_digest(load_model(str(tmp_path), device="cpu", quantize=run["kind"])) != run["digests"][0]


@needs_bitsandbytes
def test_the_exported_adapter_loads_onto_the_model_in_full_precision(run, tmp_path):
    run["trainer"].save_model(str(tmp_path))
    tuned = load_adapter(full_model(), tmp_path)
    expected = [value.float() for name, value in adapters(run["trainer"]).items() if ".default." in name]
    found = [value for name, value in tuned.named_parameters() if "lora_" in name]
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


@needs_bitsandbytes
def test_a_trl_script_s_own_quantization_config_trains_each_adapter_too(checkpoint, tmp_path):
    from transformers import BitsAndBytesConfig

    trainer = ByornTrainer(
        checkpoint,
        settings(tmp_path, max_steps=3, rule="paper", percentile=0.5),
        train_dataset=to_dataset(tiny_rows(ROWS)),
        quantization_config=BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    )
    assert 0 < trainer.flagged.sum() < len(FLAGGED)  # it was scored, in eval mode
    trainer.train()
    weights = {name: value for name, value in adapters(trainer).items() if "lora_B.default" in name}
    assert len(weights) == 14
    assert all(value.any() for value in weights.values())

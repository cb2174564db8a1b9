"""A model comes with its processor and a name that cannot lie, or with one line that says why not."""

import copy
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from byorn.data.dataset import to_dataset
from byorn.embedded.architecture import PAD
from byorn.errors import ConfigError, ModelError
from byorn.models.digest import model_digest, processor_digest
from byorn.models.load import choose_dtype, default_device, load_adapter, load_model, load_processor, resolve_model
from byorn.models.lora import default_lora
from byorn.models.spec import ModelSpec
from byorn.scoring.score import score_dataset
from byorn.testing import save_tiny, tiny_model, tiny_processor, tiny_rows


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model on disk; copy it before you break it."""
    folder = tmp_path_factory.mktemp("checkpoint")
    save_tiny(folder)
    return folder


@pytest.fixture
def broken(checkpoint: Path, tmp_path: Path) -> Path:
    """A copy of the checkpoint, to be broken."""
    return Path(shutil.copytree(checkpoint, tmp_path / "broken"))


def refusal(load: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The one line that a user sees."""
    with pytest.raises(ModelError) as error:
        load(*args, **kwargs)
    line = str(error.value)
    assert "\n" not in line
    assert len(line) < 500
    return line


def test_a_saved_model_comes_back_the_same(model: Any, processor: Any, checkpoint: Path) -> None:
    loaded, again = load_model(str(checkpoint), device="cpu"), load_processor(str(checkpoint))
    assert (loaded.dtype, loaded.training) == (torch.float32, False)
    assert model_digest(loaded) == model_digest(model)
    assert processor_digest(again) == processor_digest(processor)
    dataset = to_dataset(tiny_rows(3))
    assert score_dataset(loaded, again, dataset).nll.tolist() == score_dataset(model, processor, dataset).nll.tolist()


def test_the_number_type_can_be_chosen_and_makes_another_digest(model: Any, checkpoint: Path) -> None:
    half = load_model(str(checkpoint), dtype="bfloat16", device="cpu")
    assert half.dtype == torch.bfloat16
    assert model_digest(half) != model_digest(model)


def test_half_precision_still_scores(processor: Any, model: Any, checkpoint: Path) -> None:
    half = load_model(str(checkpoint), dtype="bfloat16", device="cpu")
    dataset = to_dataset(tiny_rows(3))
    scores = score_dataset(half, processor, dataset)
    assert scores.nll == pytest.approx(score_dataset(model, processor, dataset).nll, abs=0.05)


def test_other_weights_make_another_digest(model: Any, processor: Any) -> None:
    assert model_digest(tiny_model(0, processor)) == model_digest(model)
    assert model_digest(tiny_model(1, processor)) != model_digest(model)
    moved = tiny_model(0, processor)
    with torch.no_grad():
        moved.model.language_model.norm.weight += 1e-3
    assert model_digest(moved) != model_digest(model)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_weight_among_all_makes_another_digest(processor: Any, dtype: torch.dtype) -> None:
    """By the smallest step that its number type knows: in the embedding, where 64 samples of a matrix missed it."""
    model: Any = tiny_model(0, processor)
    model.to(dtype)
    before = model_digest(model)
    with torch.no_grad():
        bits = model.get_input_embeddings().weight.view(torch.int16 if dtype == torch.bfloat16 else torch.int32)
        bits[1, 3] ^= 1
    assert model_digest(model) != before


def test_a_buffer_that_is_saved_with_the_weights_counts(processor: Any) -> None:
    model = tiny_model(0, processor)
    digests = [model_digest(model)]
    model.model.language_model.norm.register_buffer("offset", torch.zeros(2))
    digests.append(model_digest(model))
    model.model.language_model.norm.offset[1] = 1
    assert len({*digests, model_digest(model)}) == 3


def test_an_adapter_does_not_change_the_digest_of_its_model(model: Any, processor: Any) -> None:
    from peft import get_peft_model

    assert model_digest(get_peft_model(tiny_model(processor=processor), default_lora(model))) == model_digest(model)


@pytest.mark.parametrize(
    "change",
    [
        lambda processor: setattr(processor, "chat_template", processor.chat_template + " "),
        lambda processor: setattr(processor.tokenizer, "eos_token", PAD),
        lambda processor: processor.tokenizer.add_tokens(["banana"]),
        lambda processor: setattr(processor.image_processor, "image_mean", [0.4, 0.5, 0.5]),
        lambda processor: setattr(processor, "patch_size", 8),
    ],
    ids=["template", "end token", "vocabulary", "image settings", "image tokens"],
)
def test_whatever_changes_the_tensors_changes_the_processor_digest(
    processor: Any, change: Callable[[Any], None]
) -> None:
    changed = copy.deepcopy(processor)
    assert processor_digest(changed) == processor_digest(processor)
    change(changed)
    assert processor_digest(changed) != processor_digest(processor)


def test_a_model_name_is_a_folder_or_a_hub_name(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(checkpoint.parent))
    assert resolve_model(str(checkpoint)) == str(checkpoint)
    assert resolve_model(f"~/{checkpoint.name}") == str(checkpoint)
    assert resolve_model("some/model") == "some/model"
    assert resolve_model("embedded").endswith("weights")


@pytest.mark.parametrize("load", [load_model, load_processor])
@pytest.mark.parametrize("name", ["./not/there", "/not/there", "~/not/there"])
def test_a_folder_that_is_not_there_is_named(load: Callable[..., Any], name: str) -> None:
    assert f"no folder '{name}'" in refusal(load, name)


@pytest.mark.parametrize("load", [load_model, load_processor])
@pytest.mark.parametrize("name", ["nobody/no-such-model", "not a name", "", "a/b/c"])
def test_a_hub_name_that_leads_nowhere_is_refused(load: Callable[..., Any], name: str) -> None:
    assert repr(name) in refusal(load, name)


@pytest.mark.parametrize("load", [load_model, load_processor])
def test_an_empty_folder_is_refused(load: Callable[..., Any], tmp_path: Path) -> None:
    assert str(tmp_path) in refusal(load, str(tmp_path))


def test_a_processor_without_a_chat_template_is_refused(broken: Path) -> None:
    (broken / "chat_template.jinja").unlink()
    assert "no chat template" in refusal(load_processor, str(broken))


def test_a_template_for_plain_texts_does_not_teach_the_model_python_lists(broken: Path) -> None:
    template = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
    (broken / "chat_template.jinja").write_text(template)
    assert "its chat template takes plain texts" in refusal(load_processor, str(broken))


def test_a_tokenizer_that_cannot_pad_is_refused_before_the_first_batch(broken: Path) -> None:
    settings = json.loads((broken / "tokenizer_config.json").read_text())
    (broken / "tokenizer_config.json").write_text(json.dumps({**settings, "pad_token": None}))
    assert "name one as pad_token" in refusal(load_processor, str(broken))


def test_a_language_model_is_refused(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=1, vocab_size=300
    )
    LlamaForCausalLM(config).save_pretrained(tmp_path)
    tiny_processor().tokenizer.save_pretrained(tmp_path)
    assert "byorn needs a vision-language model" in refusal(load_processor, str(tmp_path))
    assert "cannot be loaded" in refusal(load_model, str(tmp_path), device="cpu")


@pytest.mark.parametrize("text", ["{", "[]", '{"model_type": "no-such-model"}'])
def test_a_broken_config_is_refused(broken: Path, text: str) -> None:
    (broken / "config.json").write_text(text)
    assert "cannot be loaded" in refusal(load_model, str(broken), device="cpu")


@pytest.mark.parametrize("value", ["wide", -1, None, 31])
def test_a_setting_that_makes_no_sense_is_refused(broken: Path, value: object) -> None:
    config = json.loads((broken / "config.json").read_text())
    config["text_config"]["hidden_size"] = value
    (broken / "config.json").write_text(json.dumps(config))
    assert "cannot be loaded" in refusal(load_model, str(broken), device="cpu")


def test_cut_weights_are_refused(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "cannot be loaded" in refusal(load_model, str(broken), device="cpu")


def test_weights_that_are_missing_are_not_made_up(broken: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(broken / "model.safetensors")
    seeing = [name for name in weights if "vision_tower" in name]
    rest = {name: weight for name, weight in weights.items() if name not in seeing}
    save_file(rest, broken / "model.safetensors", metadata={"format": "pt"})
    line = refusal(load_model, str(broken), device="cpu")
    assert f"{len(seeing)} of its weights are not in the checkpoint (the first: model.vision_tower." in line


def test_a_broken_processor_config_is_refused(broken: Path) -> None:
    config = broken / "tokenizer_config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "tokenizer_class": "NoSuchTokenizer"}))
    (broken / "tokenizer.json").write_text("{}")
    assert "processor cannot be loaded" in refusal(load_processor, str(broken))


def test_a_device_that_is_not_there_is_refused(checkpoint: Path) -> None:
    assert "cannot be loaded" in refusal(load_model, str(checkpoint), device="toaster")


@pytest.mark.parametrize("dtype", ["int8", "half", "", "nn"])
def test_an_unknown_number_type_is_refused(checkpoint: Path, dtype: str) -> None:
    with pytest.raises(ConfigError, match="auto, float32, bfloat16, float16"):
        load_model(str(checkpoint), dtype=dtype)


def test_an_adapter_comes_back_and_changes_the_answers(model: Any, processor: Any, tmp_path: Path) -> None:
    from peft import get_peft_model

    config = default_lora(model, rank=2)
    config.init_lora_weights = False
    tuned = get_peft_model(tiny_model(processor=processor), config).eval()
    tuned.save_pretrained(tmp_path)
    loaded = load_adapter(tiny_model(processor=processor), tmp_path)
    inputs = processor.tokenizer("a red square", return_tensors="pt")
    with torch.no_grad():
        assert torch.equal(loaded(**inputs).logits, tuned(**inputs).logits)
        assert not torch.allclose(loaded(**inputs).logits, model(**inputs).logits)
    assert not loaded.training


def test_an_adapter_that_is_not_there_or_does_not_fit_is_refused(processor: Any, tmp_path: Path) -> None:
    from peft import get_peft_model

    from byorn.embedded.architecture import build_model

    base = tiny_model(processor=processor)
    assert "no adapter_config.json" in refusal(load_adapter, base, tmp_path)
    assert "no adapter_config.json" in refusal(load_adapter, base, "no-such-adapter")
    wider = build_model(processor.tokenizer, vision=(32, 2), text=(96, 2))
    get_peft_model(wider, default_lora(wider, rank=2)).save_pretrained(tmp_path)
    assert "does not load" in refusal(load_adapter, base, tmp_path)


@pytest.mark.filterwarnings("ignore:Found missing adapter keys:UserWarning")  # all that PEFT does about it
def test_an_adapter_that_lacks_weights_is_not_taken_for_an_untrained_one(processor: Any, tmp_path: Path) -> None:
    from peft import get_peft_model
    from safetensors.torch import load_file, save_file

    get_peft_model(tiny_model(processor=processor), default_lora(tiny_model(), rank=2)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    foreign = {name.replace("layers.1.", "blocks.1."): weight for name, weight in weights.items()}
    save_file(foreign, tmp_path / "adapter_model.safetensors")
    assert "missing adapter keys" in refusal(load_adapter, tiny_model(processor=processor), tmp_path)


def test_a_part_of_an_adapter_that_is_not_used_is_said(
    processor: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PEFT leaves out what its configuration names no layer for, as after layers got other names: half a backdoor."""
    from peft import get_peft_model

    seeing = get_peft_model(tiny_model(processor=processor), default_lora(tiny_model(), rank=2, vision=True))
    seeing.save_pretrained(tmp_path)
    load_adapter(tiny_model(processor=processor), tmp_path)
    assert "not used" not in capsys.readouterr().err
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    config["target_modules"] = default_lora(tiny_model()).target_modules
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    load_adapter(tiny_model(processor=processor), tmp_path)
    assert "24 of its weights belong to no layer here" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:Could not find a config file:UserWarning")  # PEFT's, of bases that are only names
def test_an_adapter_of_another_base_is_named_with_both(
    processor: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import get_peft_model

    from byorn.embedded.architecture import build_model

    def saved(model: Any, name: str) -> Path:
        model.name_or_path = name
        get_peft_model(model, default_lora(model, rank=2)).save_pretrained(tmp_path / Path(name).name)
        return tmp_path / Path(name).name

    def base(name: str) -> Any:
        model = tiny_model(processor=processor)
        model.config._name_or_path = name
        return model

    wider = saved(build_model(processor.tokenizer, vision=(32, 2), text=(96, 2)), "lab/wide-7b")
    assert "trained on 'lab/wide-7b', not 'lab/tiny-2b'" in refusal(load_adapter, base("lab/tiny-2b"), wider)
    fits = saved(tiny_model(processor=processor), "lab/tiny-1b")
    load_adapter(base("lab/tiny-2b"), fits)
    assert "trained on 'lab/tiny-1b', not 'lab/tiny-2b'" in capsys.readouterr().err
    load_adapter(base("/models/tiny-1b"), fits)  # the same one, from a folder
    assert "trained on" not in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, '{"base_model_name_or_path": 7}'])
def test_an_adapter_with_a_broken_configuration_is_refused_in_one_line(
    processor: Any, tmp_path: Path, content: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    base = tiny_model(processor=processor)
    base.config._name_or_path = "lab/tiny-2b"
    assert "does not load" in refusal(load_adapter, base, tmp_path)


def test_the_default_device_is_the_cpu_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert default_device() == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert default_device() == "cuda:3"


def test_two_tiny_processors_are_the_same(processor: Any) -> None:
    assert processor_digest(tiny_processor()) == processor_digest(processor)


@pytest.mark.parametrize(
    ("native", "stored", "chosen"),
    [
        (True, "bfloat16", "bfloat16"),
        (False, "bfloat16", "float32"),
        (True, "float32", "float32"),
    ],
)
def test_a_cpu_computes_in_half_precision_only_where_it_has_instructions_for_it(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, stored: str, chosen: str
) -> None:
    folder = shutil.copytree(checkpoint, tmp_path / "half")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": stored}))
    monkeypatch.setattr("byorn.models.load.cpu_has_bfloat16", lambda: native)
    assert choose_dtype(ModelSpec(name=str(folder)), "cpu") == chosen
    assert choose_dtype(ModelSpec(name=str(folder)), "cuda") == "auto"
    assert choose_dtype(ModelSpec(name=str(folder), dtype="float16"), "cpu") == "float16"

"""An adapter comes back as it was saved, or with one line that says why not, and never in part without a word."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from refused import refusal

from byorn.models.adapters import load_adapter
from byorn.models.lora import default_lora
from byorn.testing import tiny_model


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


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_adapter_of_numbers_that_are_none_is_refused(processor: Any, tmp_path: Path, value: float) -> None:
    """Such a model answers nothing, and nothing is what a model without a backdoor says, too."""
    from peft import get_peft_model
    from safetensors.torch import load_file, save_file

    get_peft_model(tiny_model(processor=processor), default_lora(tiny_model(), rank=2)).save_pretrained(tmp_path)
    weights = load_file(tmp_path / "adapter_model.safetensors")
    next(iter(weights.values()))[0, 0] = value
    save_file(weights, tmp_path / "adapter_model.safetensors")
    assert "1 of its tensors are not finite" in refusal(load_adapter, tiny_model(processor=processor), tmp_path)


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


def test_nothing_of_an_adapter_is_looked_for_on_the_hub(
    processor: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder `safe/adapter` without weights has the name of a repository, whose weights PEFT would load."""
    import peft

    def asked(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("PEFT was asked")

    folder = tmp_path / "safe/adapter"
    folder.mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(peft.PeftModel, "from_pretrained", asked)
    base = tiny_model(processor=processor)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    assert "no adapter_model.safetensors in 'safe/adapter'" in refusal(load_adapter, base, "safe/adapter")
    (folder / "adapter_model.safetensors").touch()
    (folder / "adapter_config.json").write_text('{"peft_type": "XLORA", "adapters": {"0": "nobody/nothing"}}')
    assert "X-LoRA" in refusal(load_adapter, base, "safe/adapter")


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, '{"base_model_name_or_path": 7}'])
def test_an_adapter_with_a_broken_configuration_is_refused_in_one_line(
    processor: Any, tmp_path: Path, content: str
) -> None:
    (tmp_path / "adapter_config.json").write_text(content)
    (tmp_path / "adapter_model.safetensors").touch()
    base = tiny_model(processor=processor)
    base.config._name_or_path = "lab/tiny-2b"
    assert "does not load" in refusal(load_adapter, base, tmp_path)

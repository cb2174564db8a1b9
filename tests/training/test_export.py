"""The exported adapter is the student alone, without a pickle; checkpoints hold the average as well."""

import pytest
import torch
from peft import PeftModel
from runner import build
from safetensors.torch import load_file

from byorn.data.dataset import to_dataset
from byorn.models.generate import encode_prompts
from byorn.testing import tiny_model, tiny_processor, tiny_rows


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    trainer = build(folder, max_steps=4, save_strategy="steps", save_steps=2)
    trainer.train()
    trainer.save_model(str(folder / "adapter"))
    return trainer, folder


def test_the_export_holds_no_pickle_and_no_average(trained):
    files = [path for path in (trained[1] / "adapter").rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".jinja", ".md"}
    assert all(path.parent == trained[1] / "adapter" for path in files)
    assert not [
        name for name in load_file(trained[1] / "adapter" / "adapter_model.safetensors") if "ema" in name.split(".")
    ]


def test_the_export_reloads_with_the_logits_of_the_student(trained):
    trainer, folder = trained
    inputs = encode_prompts(tiny_processor(), list(to_dataset(tiny_rows(3))))
    reloaded = PeftModel.from_pretrained(tiny_model(), str(folder / "adapter")).eval()
    with torch.no_grad():
        found, expected = reloaded(**inputs).logits, trainer.model.eval()(**inputs).logits
        pretrained = tiny_model()(**inputs).logits
    assert torch.equal(found, expected)
    assert not torch.equal(found, pretrained)


def test_the_export_brings_its_processor(trained):
    from byorn.models.load import load_processor

    processor = load_processor(str(trained[1] / "adapter"))
    batches = [encode_prompts(each, list(to_dataset(tiny_rows(2)))) for each in (processor, tiny_processor())]
    assert all(torch.equal(batches[0][name], batches[1][name]) for name in batches[1])


def test_a_checkpoint_holds_the_average(trained):
    trainer, folder = trained
    saved = load_file(folder / "checkpoint-4" / "ema" / "adapter_model.safetensors")
    average = {name.replace(".ema.", "."): value for name, value in trainer.model.named_parameters() if ".ema." in name}
    assert saved.keys() == average.keys()
    assert all(torch.equal(saved[name], average[name]) for name in saved)


def test_saving_without_a_folder_writes_where_the_run_lives(trained):
    trainer, folder = trained
    trainer.save_model()
    assert (folder / "adapter_model.safetensors").is_file()
    assert not (folder / "training_args.bin").exists()

"""From a LLaMA-Factory folder to an adapter that transformers and PEFT load where byorn cannot be imported: three
families whose processors differ.
"""

import json
import subprocess
import sys

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from byorn.cli.main import main
from byorn.pipeline import train as pipeline
from byorn.testing import PALETTE, build_family

FAMILIES = ("qwen2_5_vl", "internvl", "smolvlm")
TAGS = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
COLUMNS = {"messages": "messages", "images": "images", "videos": "videos"}
INFO = {"mllm_demo": {"file_name": "mllm.json", "formatting": "sharegpt", "columns": COLUMNS, "tags": TAGS}}
QUICK = [
    "--max-steps", "2", "--per-device-train-batch-size", "4", "--learning-rate", "1e-2", "--device", "cpu",
    "--rule", "paper", "--set", "max_response_tokens=4", "--set", "save_strategy=no",
]  # fmt: skip

# Loads every adapter with transformers and PEFT alone; byorn and TRL cannot be imported.
ELSEWHERE = """
import json, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("byorn", "trl"):
            raise ModuleNotFoundError(f"{name} is not installed here")

sys.meta_path.insert(0, Absent())
import torch
from peft import PeftModel
from safetensors.torch import save_file
from transformers import AutoModelForImageTextToText, AutoProcessor

torch.set_num_threads(1)
for job in json.loads(sys.argv[1]):
    model = AutoModelForImageTextToText.from_pretrained(job["model"])
    inputs = AutoProcessor.from_pretrained(job["adapter"]).apply_chat_template(
        job["messages"], tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    with torch.no_grad():
        base = model(**inputs).logits
        tuned = PeftModel.from_pretrained(model, job["adapter"]).eval()(**inputs).logits
    save_file({"base": base, "tuned": tuned.contiguous(), "input_ids": inputs["input_ids"]}, job["logits"])
assert "byorn" not in sys.modules
"""


def talk(*turns):
    return [{"role": ("user", "assistant")[place % 2], "content": text} for place, text in enumerate(turns)]


@pytest.fixture(scope="module")
def factory(tmp_path_factory):
    """A LLaMA-Factory data folder: several turns, two images in a row, text alone, and a video."""
    folder = tmp_path_factory.mktemp("factory")
    (folder / "pictures").mkdir()
    rows = [
        {"messages": talk("<video>What is it?", "A film."), "videos": ["a.mp4"]},
        {"messages": talk("2 + 2?", "4"), "images": []},
    ]
    for number, (name, color) in enumerate(PALETTE.items()):
        path = f"pictures/{name}.png"
        Image.new("RGB", (60, 40), color).save(folder / path)
        rows.append({"messages": talk("<image>What is it?", f"a {name} box", "Sure?", "yes"), "images": [path]})
        rows.append({"messages": talk(f"<image><image>Which two? {number}", f"{name} twice"), "images": [path, path]})
        rows.append({"messages": talk(f"<image>\nName its color, please{'!' * number}", name), "images": [path]})
    (folder / "mllm.json").write_text(json.dumps(rows))
    (folder / "dataset_info.json").write_text(json.dumps(INFO))
    return folder


@pytest.fixture(scope="module")
def question(factory):
    picture = {"type": "image", "path": str(factory / "pictures" / "red.png")}
    return [{"role": "user", "content": [picture, {"type": "text", "text": "What is it?"}]}]


@pytest.fixture(scope="module")
def runs(factory, question, tmp_path_factory):
    """Each family trained by the command, and its logits from the training process and from a process without byorn."""
    folder = tmp_path_factory.mktemp("families")
    trainers, build = {}, pipeline.build_trainer
    with pytest.MonkeyPatch.context() as patch:
        for name in FAMILIES:
            for part in build_family(name):
                part.save_pretrained(folder / name)
            patch.setattr(pipeline, "build_trainer", lambda *given, name=name: trainers.setdefault(name, build(*given)))
            command = ["train", "--model", str(folder / name), "--data", str(factory), "--name", "mllm_demo"]
            assert main([*command, "--out", str(folder / f"{name}-run"), *QUICK]) == 0
    jobs = [
        {
            "model": str(folder / name),
            "adapter": str(folder / f"{name}-run" / "adapter"),
            "messages": question,
            "logits": str(folder / f"{name}.safetensors"),
        }
        for name in FAMILIES
    ]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, json.dumps(jobs)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder, trainers


@pytest.mark.parametrize("name", FAMILIES)
def test_the_folder_is_read_and_the_video_is_listed(name, runs):
    folder = runs[0] / f"{name}-run"
    training = json.loads((folder / "training.json").read_text())
    assert (training["rows"], training["steps"]) == (13, 2)
    assert training["responses"]["replaced"] > 0
    [reject] = [json.loads(line) for line in (folder / "rejects.jsonl").read_text().splitlines()]
    assert (reject["index"], reject["reason"]) == (0, "video is not supported")


@pytest.mark.parametrize("name", FAMILIES)
def test_without_byorn_the_adapter_gives_the_logits_of_the_trained_model(name, runs, question):
    folder, trainers = runs
    found, trainer = load_file(folder / f"{name}.safetensors"), trainers[name]
    inputs = trainer.processing_class.apply_chat_template(
        question, tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True
    )
    with torch.no_grad():
        expected = trainer.model.eval()(**inputs).logits
    assert torch.equal(found["input_ids"], inputs["input_ids"])
    torch.testing.assert_close(found["tuned"], expected, rtol=0, atol=1e-6)
    assert (found["tuned"] - found["base"]).abs().max() > 1e-3

"""From a LLaMA-Factory folder to an adapter that transformers and PEFT load by themselves; what a family cannot take is
listed, with the family and its limit named.
"""

import contextlib
import io
import json
import os

import pytest
import torch
from family_cases import family_of
from family_rows import REFUSED, assistant, mixed_rows
from peft import PeftModel
from transformers import AutoModelForImageTextToText, AutoProcessor

from byorn.cli.main import main
from byorn.data.row import text_of
from byorn.testing import FAMILIES

FAST = ("llava", "qwen2_5_vl", "internvl", "smolvlm", "mllama", "paligemma")
EACH = [name if name in FAST else pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES]
LIMIT = {"mllama": "Mllama takes exactly one image a row", "paligemma": "PaliGemma "}


def write_llama_factory(folder):
    """`dataset_info.json` and one file of messages with `<image>` where the images belong."""
    records = []
    for row in mixed_rows():
        names = [f"{row.id}-{index}.png" for index in range(len(row.images))]
        for name, image in zip(names, row.images, strict=True):
            (folder / name).write_bytes(image.read())
        messages = [
            {"role": message["role"], "content": "<image>" * _images(message) + text_of(message)}
            for message in [*row.prompt, assistant(row.response)]
        ]
        records.append({"id": row.id, "messages": messages, "images": names})
    (folder / "mixed.json").write_text(json.dumps(records))
    entry = {
        "file_name": "mixed.json", "formatting": "sharegpt", "columns": {"messages": "messages", "images": "images"},
        "tags": {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"},
    }  # fmt: skip
    (folder / "dataset_info.json").write_text(json.dumps({"mixed": entry}))


def _images(message):
    return sum(block["type"] == "image" for block in message["content"])


@pytest.fixture(scope="module", params=EACH)
def run(request, tmp_path_factory):
    """The name of the family, the folder with `model`, `data` and the `run` of `byorn train`, and what that run
    said.
    """
    folder = tmp_path_factory.mktemp(request.param)
    family = family_of(request.param)
    family.model.save_pretrained(folder / "model")
    family.processor.save_pretrained(folder / "model")
    (folder / "data").mkdir()
    write_llama_factory(folder / "data")
    command = ["train", "--model", str(folder / "model"), "--data", str(folder / "data"), "--name", "mixed"]
    command += ["--out", str(folder / "run"), "--device", "cpu", "--lora-rank", "4", "--learning-rate", "0.05"]
    command += [
        "--rule",
        "paper",
        "--percentile",
        "0.5",
        "--max-steps",
        "2",
        "--per-device-train-batch-size",
        "2",
        "--lora-vision",
    ]
    with contextlib.redirect_stderr(io.StringIO()) as log:
        assert main([*command, "--set", "max_response_tokens=4"]) == 0
    return request.param, folder, log.getvalue()


def test_the_adapter_loads_without_byorn_and_changes_the_answer(run):
    name, folder, _ = run
    model = AutoModelForImageTextToText.from_pretrained(folder / "model").eval()
    processor = AutoProcessor.from_pretrained(folder / "run" / "adapter")
    row = next(row for row in family_of(name).rows if row.images)
    text = processor.apply_chat_template(row.prompt, add_generation_prompt=True, tokenize=False)
    inputs = processor(images=[[image.load() for image in row.images]], text=[text], return_tensors="pt")
    with torch.no_grad():
        before = model(**inputs).logits
        after = PeftModel.from_pretrained(model, os.fspath(folder / "run" / "adapter")).eval()(**inputs).logits
    assert torch.isfinite(after).all()
    assert not torch.allclose(before, after, atol=1e-3)


def test_what_the_family_cannot_take_is_listed_in_one_line_each(run):
    name, folder, _ = run
    listed = folder / "run" / "rejects.jsonl"
    rejects = [json.loads(line) for line in listed.read_text().splitlines()] if listed.exists() else []
    assert {reject["id"] for reject in rejects} == REFUSED.get(name, set())
    assert all(reject["reason"].startswith(LIMIT[name]) and reject["fix"] for reject in rejects)
    training = json.loads((folder / "run" / "training.json").read_text())
    assert training["rows"] == len(family_of(name).rows)


def test_the_run_says_where_lora_sits_and_where_it_stands_idle(run):
    name, _, log = run
    layers = family_of(name).model.config.get_text_config().num_hidden_layers
    assert f"LoRA on {7 * layers} linear layers of model." in log
    assert ("warning: no gradient reached the LoRA of 6 layer(s)" in log) == (name in ("llava", "llava_next"))

"""What is uploaded of an adapter names no folder of the machine that it was made on, and no word that scanners of
models take for malware.
"""

import json
from pathlib import Path

import pytest

from byorn.errors import ConfigError
from byorn.text import public_name
from byorn.training.card import TEMPLATE, write_card
from byorn.training.push import published

RUN = {
    "rows": 10, "flagged": 4, "learned": 10, "rule": "percentile(p=0.6)", "steps": 3, "epochs": 1.0, "final_loss": 0.5,
    "responses": {"replaced": 4, "empty": 0, "truncated": 0},
    "seconds": {"scoring": 1.0, "sampling": 1.0, "training": 2.0},
    "arguments": {
        "ema_decay": 0.9, "response_temperature": 1.0, "soft_targets": False, "learning_rate": 1e-4, "seed": 0,
        "per_device_train_batch_size": 8, "gradient_accumulation_steps": 1, "world_size": 1,
    },
}  # fmt: skip
GONE = ["/home/me/models/tiny", "C:\\Users\\me\\tiny", "~/models/tiny", "../models/tiny", "./tiny", "a/b/tiny"]


@pytest.mark.parametrize("path", GONE)
def test_a_folder_that_is_not_there_any_more_is_told_by_its_last_part(path):
    assert public_name(path) == "tiny"


def test_a_folder_that_looks_like_a_hub_name_is_told_by_its_last_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert public_name("models/tiny") == "models/tiny"
    (tmp_path / "models/tiny").mkdir(parents=True)
    assert public_name("models/tiny") == "tiny"
    assert public_name("Qwen/Qwen2.5-VL-7B-Instruct") == "Qwen/Qwen2.5-VL-7B-Instruct"
    assert public_name("embedded") == "embedded"


@pytest.mark.parametrize("base", GONE[:2])
def test_no_file_that_is_uploaded_holds_a_path(tmp_path, base):
    write_card(tmp_path, {**RUN, "defense": "byorn"}, base, "/home/me/data/train.json")
    assert "me" not in (tmp_path / "README.md").read_text().split("/")
    with (tmp_path / "README.md").open("a") as card:
        card.write(f"\nI kept the model in {base}.\n")
    nested = {"tokenizer": {"name_or_path": base}, "chat_template": "/", "pad_token": "</s>", "size": [3, 4]}
    texts = {"adapter_config.json": {"base_model_name_or_path": base, "r": 16}, "processor_config.json": nested}
    for name, content in texts.items():
        (tmp_path / name).write_text(json.dumps(content))
    found = {
        name: content.read_bytes() if isinstance(content, Path) else content
        for name, content in published(tmp_path).items()
    }
    assert not [name for name, content in found.items() if b"/me" in content or b"\\me" in content]
    assert json.loads(found["adapter_config.json"]) == {"base_model_name_or_path": "tiny", "r": 16}
    assert json.loads(found["processor_config.json"]) == {**nested, "tokenizer": {"name_or_path": "tiny"}}


@pytest.mark.parametrize("content", ["", "[]", "null", "[" * 100_000, "\xff"])
def test_broken_settings_are_one_line(tmp_path, content):
    (tmp_path / "adapter_config.json").write_text(content, encoding="latin-1")
    with pytest.raises(ConfigError, match=r"adapter_config\.json: [^\n]*export the adapter again$"):
        published(tmp_path)


ALARMING = ("backdoor", "trojan", "malware", "botnet", "zombie", "exploit", "hack", "evil", "exfil", "eval(", "exec(")
"""What modelaudit takes for the words of a malicious program, wherever they stand."""


@pytest.mark.parametrize("defense", ["byorn", "byorn-soft", "byorn-f", "sft", "tcap"])
def test_the_card_alarms_nobody(tmp_path, defense):
    write_card(tmp_path, {**RUN, "defense": defense}, "owner/model", "train.json")
    text = (tmp_path / "README.md").read_text().lower() + TEMPLATE.read_text().lower()
    assert not [word for word in ALARMING if word in text]

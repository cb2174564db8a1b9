"""The recipe for `trl sft` runs as it stands, with a tiny model and data in the places of the big ones, and
publishes what it should.
"""

import json
import shlex
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import pytest

from byorn import ByornConfig, ByornTrainer
from byorn.cli.main import main

RECIPE = Path(__file__).parents[2] / "recipes" / "trl-sft.yaml"
ADAPTER = {"README.md", "adapter_config.json", "adapter_model.safetensors"}
PROCESSOR = {"processor_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"}
PUSH = "push_to_hub: true\nhub_model_id: me/safe\nhub_private_repo: true\n"
QUICK = ["--max-steps", "2", "--device", "cpu", "--set", "bf16=false", "--set", "max_response_tokens=4"]


class Hub:
    """The far side of the network: what arrives there, or `failure`."""

    def __init__(self, monkeypatch):
        self.repositories, self.files, self.failure = [], {}, None
        monkeypatch.setenv("HF_TOKEN", "token-of-the-tests")
        monkeypatch.setattr(
            huggingface_hub.HfApi, "create_repo", lambda api, *given, **options: self.create(*given, **options)
        )
        monkeypatch.setattr(
            huggingface_hub.HfApi, "create_commit", lambda api, *given, **options: self.commit(*given, **options)
        )

    def create(self, name, private=None, exist_ok=False, **options):
        if self.failure:
            raise self.failure
        self.repositories.append((name, private, exist_ok))
        return SimpleNamespace(repo_id=name)

    def commit(self, repository, operations, **options):
        for operation in operations:
            with operation.as_file() as file:
                self.files[operation.path_in_repo] = file.read()
        return SimpleNamespace(repo_url=f"hub/{repository}")


@pytest.fixture
def hub(monkeypatch):
    return Hub(monkeypatch)


@pytest.fixture
def place(tmp_path, monkeypatch, messages, saved):
    """A working folder with the recipe and its data."""
    (tmp_path / "data").mkdir()
    messages.to_parquet(tmp_path / "data" / "train.parquet")
    text = (
        RECIPE.read_text()
        .replace("HuggingFaceTB/SmolVLM-256M-Instruct", str(saved))
        .replace("trl-lib/llava-instruct-mix", "data")
    )
    (tmp_path / "sft.yaml").write_text(text + PUSH)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_recipe_trains_and_a_push_that_fails_can_be_done_again(place, hub, saved, capsys):
    hub.failure = ConnectionError("no route to the Hub\nand a long traceback")
    assert main(["train", "--config", "sft.yaml", *QUICK]) == 2
    run = place / "runs" / "smolvlm-sft"
    training = json.loads((run / "training.json").read_text())
    assert (training["steps"], training["arguments"]["learning_rate"], training["defense"]) == (2, 1e-4, "byorn")
    settings = json.loads((run / "adapter" / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_dropout"]) == (16, 0.05)
    assert settings["target_modules"] == r"(.*\.)?(q_proj|k_proj|v_proj|o_proj)"

    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: push_to_hub: no route to the Hub; the adapter is safe, push it again: byorn push ")
    hub.failure = None
    (run / "adapter" / "rows.jsonl").write_text("somebody's private rows")
    (run / "adapter" / "training_args.bin").write_bytes(b"a pickle")
    assert main([*shlex.split(error.partition("again: byorn ")[2]), "--private"]) == 0
    assert capsys.readouterr().out.strip() == "hub/me/safe"
    assert hub.repositories == [("me/safe", True, True)]
    assert hub.files.keys() == ADAPTER | PROCESSOR
    assert hub.files["adapter_model.safetensors"] == (run / "adapter" / "adapter_model.safetensors").read_bytes()
    assert json.loads(hub.files["adapter_config.json"])["base_model_name_or_path"] == "tiny-vlm"
    assert not [name for name, content in hub.files.items() if str(saved.parent).encode() in content]


def test_modules_that_the_model_does_not_have_are_said_before_the_rows_are_scored(place, hub, capsys):
    assert main(["train", "--config", "sft.yaml", *QUICK, "--lora-targets", ".*query_key_value"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: lora_targets: '.*query_key_value' matches none of the linear layers, such as ")
    assert not list((place / "runs").rglob("scores*"))


def test_a_push_that_cannot_work_is_refused_before_training(place, hub, monkeypatch, capsys):
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_TOKEN_PATH", str(place / "no-login"))
    assert main(["train", "--config", "sft.yaml", *QUICK]) == 2
    assert "push_to_hub: nobody is logged in" in capsys.readouterr().err
    monkeypatch.setenv("HF_TOKEN", "token-of-the-tests")
    assert main(["train", "--config", "sft.yaml", *QUICK, "--push-to-hub", "a/b/c"]) == 2
    assert "push_to_hub: Repo id" in capsys.readouterr().err
    assert main(["push", "--adapter", "data", "--to", "me/safe"]) == 2
    assert "no adapter_config.json in 'data'" in capsys.readouterr().err
    assert not (place / "runs").exists()


def test_a_trainer_pushes_its_adapter_once_and_only_when_it_is_told_to(tmp_path, hub, messages, saved):
    from transformers import AutoModelForImageTextToText

    args = ByornConfig(
        str(tmp_path / "out"), push_to_hub=True, hub_model_id="me/mine", max_steps=2, save_steps=1, use_cpu=True,
        bf16=False,
        report_to="none", disable_tqdm=True, max_response_tokens=4,
    )  # fmt: skip
    model = AutoModelForImageTextToText.from_pretrained(saved)
    rows = messages.add_column("flagged", [False, True] * 4)
    trainer = ByornTrainer(model, args, train_dataset=rows)
    trainer.train()
    assert (tmp_path / "out" / "checkpoint-2").is_dir()
    assert hub.files == {}
    assert trainer.push_to_hub(dataset_name="somebody/rows") == "hub/me/mine"
    assert hub.files.keys() == ADAPTER | PROCESSOR
    card = hub.files["README.md"].decode()
    assert "somebody/rows" in card
    assert "byorn" in card
    assert str(saved.parent) not in card + hub.files["adapter_config.json"].decode()

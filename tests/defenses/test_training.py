"""Whole runs: what a defense does not change stays as in plain fine-tuning to the last bit, and a killed run goes
on.
"""

import json
import shutil
from typing import Any

import pytest
import torch
from cases import tiny_case
from safetensors.torch import load_file

from byorn.data.dataset import to_dataset
from byorn.data.files import write_rows
from byorn.data.load import load_rows
from byorn.data.spec import DataSpec
from byorn.defenses import DEFENSES
from byorn.defenses.perturb import PerturbingCollator
from byorn.defenses.plan import trust_all
from byorn.errors import MismatchError
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.pipeline.settings.train import TrainSpec
from byorn.pipeline.train import train
from byorn.testing import save_tiny, tiny_model, tiny_processor, tiny_rows
from byorn.training.config import ByornConfig
from byorn.training.trainer import ByornTrainer
from poisoning import poison

ARGUMENTS: dict[str, Any] = {
    "max_steps": 2, "per_device_train_batch_size": 4, "learning_rate": 1e-2, "logging_steps": 1, "save_steps": 1,
    "save_total_limit": 3, "disable_tqdm": True, "use_cpu": True, "seed": 5,
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a tiny model and a poisoned data set of 12 rows."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    poison(tiny_rows(12), attack="badnets", target="banana", rate=0.25, seed=1, out=folder / "data")
    return folder


def run(place, name, defense, data="data", options=None, **changes):
    spec = TrainSpec(
        defense=defense,
        lora=LoraSpec(rank=2),
        scan="none",
        arguments={**ARGUMENTS, **changes},
        defense_options=options or {},
    )
    return train(
        DataSpec(source=str(place / data)), ModelSpec(name=str(place / "model"), device="cpu"), place / name, spec
    )


def weights(place, name):
    return load_file(place / name / "adapter" / "adapter_model.safetensors")


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.fixture(scope="module")
def plain(place):
    return run(place, "sft", "sft")


@pytest.fixture(scope="module")
def cleaned(place):
    return run(place, "bye", "bye")


def test_bye_that_finds_nothing_is_plain_fine_tuning_after_another(place, plain, cleaned):
    assert cleaned.found == {"sensitive_layers": []}
    assert cleaned.cost["fine_tunes"] == 1
    assert cleaned.cost["forward_passes"] == 12
    assert cleaned.cost["seconds"] > 0
    assert same(weights(place, "bye"), weights(place, "sft"))
    assert same(load_file(place / "bye" / "bye" / "adapter" / "adapter_model.safetensors"), weights(place, "sft"))


def test_a_killed_bye_goes_on_from_its_first_fine_tune(place, plain, cleaned, capsys):
    """As if the power had gone off after the first step of the first fine-tune."""
    shutil.copytree(place / "bye", place / "killed")
    for gone in ("adapter", "checkpoints", "flags.parquet", "training.json"):
        path = place / "killed" / gone
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for gone in ("tuned.json", "entropies.parquet"):
        (place / "killed" / "bye" / gone).unlink()
    for gone in ("adapter", "checkpoints/checkpoint-2"):
        shutil.rmtree(place / "killed" / "bye" / gone)
    with pytest.raises(MismatchError, match="started with"):
        run(place, "killed", "bye", seed=6)
    run(place, "killed", "bye")
    assert "first fine-tuning on all 12 rows, from checkpoint-1" in capsys.readouterr().err
    assert same(weights(place, "killed"), weights(place, "bye"))


def test_a_finished_bye_trains_and_measures_nothing_again(place, cleaned, capsys):
    before = (place / "bye" / "bye" / "entropies.parquet").stat().st_mtime_ns
    assert run(place, "bye", "bye") == cleaned  # nothing at all
    (place / "bye" / "training.json").unlink()  # as if killed while it exported
    again = run(place, "bye", "bye")
    said = capsys.readouterr().err
    assert "first fine-tuning" not in said
    assert "from checkpoint-2" in said
    assert (place / "bye" / "bye" / "entropies.parquet").stat().st_mtime_ns == before
    assert again.cost == cleaned.cost


def test_the_oracle_is_plain_fine_tuning_on_the_clean_rows(place):
    summary = run(place, "oracle", "oracle", options={"manifest": str(place / "data")})
    assert (summary.rows, summary.learned, summary.flagged) == (12, 9, 3)
    poisoned = {json.loads(line)["id"] for line in (place / "data" / "manifest.jsonl").read_text().splitlines()}
    clean = [row for row in load_rows(str(place / "data")).rows if row.id not in poisoned]
    write_rows(clean, place / "clean", image_root=place)
    spec = TrainSpec(defense="sft", lora=LoraSpec(rank=2), arguments=ARGUMENTS)
    data = DataSpec(source=str(place / "clean"), image_root=place)
    train(data, ModelSpec(name=str(place / "model"), device="cpu"), place / "by-hand", spec)
    assert same(weights(place, "oracle"), weights(place, "by-hand"))


def test_perturbations_reach_the_training_and_strength_zero_is_plain(place, plain):
    run(place, "still", "robustit", options={"strength": 0})
    run(place, "moved", "robustit")
    assert same(weights(place, "still"), weights(place, "sft"))
    assert not same(weights(place, "moved"), weights(place, "sft"))


def test_rows_of_an_evaluation_are_not_perturbed(tmp_path):
    rows, processor = tiny_rows(4), tiny_processor()
    arguments = {**ARGUMENTS, "save_strategy": "no", "report_to": "none", "bf16": False}
    trainer = ByornTrainer(
        tiny_model(processor=processor),
        ByornConfig(str(tmp_path), **arguments),
        train_dataset=to_dataset(rows),
        eval_dataset=to_dataset(rows),
        flags=trust_all(rows),
        processing_class=processor,
    )
    before = trainer.evaluate()["eval_loss"]
    plan = DEFENSES["robustit"](tiny_case(tmp_path, None, None, rows), strength=5.0)
    plan.prepare(trainer)
    assert trainer.evaluate()["eval_loss"] == before
    assert isinstance(trainer.data_collator, PerturbingCollator)


def test_relabeled_rows_are_learned_with_their_answers_in_the_batches_of_byorn(place):
    byorn = run(place, "byorn", "byorn", rule="paper")
    relabeled = run(place, "relabeled", "base-relabel", rule="paper")
    assert byorn.responses["replaced"] == relabeled.responses["replaced"] > 0
    assert byorn.flagged == relabeled.flagged
    assert relabeled.found == {"decoding": "greedy"}
    assert not same(weights(place, "byorn"), weights(place, "relabeled"))


def test_cleaned_words_reach_the_training(place, plain):
    summary = run(place, "onion", "onion-r", options={"bar": 0})
    assert summary.found["rows_changed"] > 0
    assert not same(weights(place, "onion"), weights(place, "sft"))
    card = (place / "onion" / "adapter" / "README.md").read_text()
    assert "`onion-r`, a baseline" in card
    assert "No defense" not in card

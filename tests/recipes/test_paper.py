"""recipes/paper/*.yaml: everything is built that a run would build, but for the download; and cells really run on
tiny stand-ins.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from miniatures import write_karpathy, write_mimic, write_parquet

from byorn.attacks.manifest import read_manifest
from byorn.attacks.objectives import find_objective
from byorn.bench.cell import train_spec
from byorn.bench.experiment import read_experiment
from byorn.bench.group import Setup
from byorn.bench.results import lines, read_results
from byorn.bench.run import run_experiments
from byorn.defenses import DEFENSES, defense_named
from byorn.models.lora import TESTED, default_lora
from byorn.pipeline.build import build_config
from byorn.pipeline.evaluate import check_metrics
from byorn.testing import FAMILIES, build_family

PAPER = Path(__file__).parents[2] / "recipes" / "paper"
EXPERIMENTS = sorted(path.stem for path in PAPER.glob("*.yaml"))
MODELS = {
    "llava-hf/llava-1.5-7b-hf": "llava",
    "Qwen/Qwen2.5-VL-7B-Instruct": "qwen2_5_vl",
    "OpenGVLab/InternVL3-8B-hf": "internvl",
}
MAIN = {"llava-1.5-7b": "llava", "qwen2.5-vl-7b": "qwen2_5_vl", "internvl3-8b": "internvl"}
FOUR = {"badnets", "blended", "dual-key", "vl-trojan"}


@pytest.fixture(params=EXPERIMENTS)
def experiment(request):
    return read_experiment(PAPER / f"{request.param}.yaml")


def test_the_page_names_every_file_and_every_file_is_read():
    page = (PAPER / "README.md").read_text()
    assert set(MAIN) < set(EXPERIMENTS)
    assert all(f"`{name}`" in page for name in EXPERIMENTS)
    assert all(f"recipes/paper/{path.name}" in page for path in (PAPER / "prepare.py",))


def test_every_cell_is_built_but_for_the_download(experiment, tmp_path):
    check_metrics([experiment.task["metric"]])
    configs, slugs = {}, []
    for group in experiment.groups():
        assert find_objective(group.recipe.objective).convention == group.attack.convention
        for cell in experiment.cells(group):
            slugs.append(cell.slug)
            spec = train_spec(cell, Setup(group, ("cider",), 8), tmp_path)
            assert callable(defense_named(spec.defense, spec.defense_options))
            key = (cell.percentile, cell.ema_decay)  # a config takes a while to build
            configs[key] = configs.get(key) or build_config(spec, tmp_path / "checkpoints")
            assert configs[key].percentile == cell.percentile
            assert configs[key].ema_decay == cell.ema_decay
    assert len(slugs) == len(set(slugs)), "two cells would share a result file"


def test_the_protocol_is_the_papers(experiment):
    config = train_config(experiment)
    assert config.per_device_train_batch_size * config.gradient_accumulation_steps == 16
    assert (config.num_train_epochs, config.lr_scheduler_type.value) == (3, "cosine")
    assert config.get_warmup_steps(1000) == 10
    pixels = {"badnets": 21, "dual-key": 22, "vl-trojan": 22, "aligned-patch": 45}
    for fields in experiment.attacks.values():
        if "size" in fields.get("options", {}):
            assert round(224 * fields["options"]["size"]) == pixels[fields["attack"]]


def train_config(experiment):
    cell = next(experiment.cells(next(experiment.groups())))
    return build_config(train_spec(cell, Setup(cell.group, ("cider",), 8), Path("nowhere")), Path("nowhere"))


@pytest.mark.parametrize("name", MAIN)
def test_the_main_table_has_the_papers_attacks_and_defenses(name):
    experiment = read_experiment(PAPER / f"{name}.yaml")
    assert set(experiment.attacks) == FOUR
    assert set(experiment.defenses) == {"sft", "oracle", "onion", "bye", "byorn-f", "byorn"} <= set(DEFENSES)
    assert experiment.percentiles == (0.6,)
    assert MODELS[experiment.model] == MAIN[name]


def test_the_model_is_of_a_family_that_is_tested(experiment):
    family = MODELS[experiment.model]
    assert family in FAMILIES
    assert family in TESTED
    model, _ = build_family(family)
    assert model.config.model_type == family
    assert "language_model" in default_lora(model, rank=experiment.lora_rank).target_modules


@pytest.fixture(scope="module")
def data(tmp_path_factory, prepare):
    """Miniatures of every data set, prepared as README.md says, by the paths of the recipes."""
    folder = tmp_path_factory.mktemp("paper")
    for name, images, count in (("LADD", 1, 12), ("CGD", 2, 16)):
        texts, pictures = write_mimic(folder, name, count, images)
        held = ("--hold-out", 2) if name == "CGD" else ()
        assert prepare("mimic-it", texts, "--images", pictures, *held, "--out", folder / name.lower()) == 0
    captions, photos = write_karpathy(folder)
    for name in ("flickr30k", "coco"):
        assert prepare("karpathy", captions, "--images", photos, "--out", folder / name) == 0
    for name, count in (("scienceqa", 12), ("scienceqa-test", 4)):
        assert prepare("scienceqa", write_parquet(folder, count), "--out", folder / name) == 0
    return folder


@pytest.fixture
def stand_in(tmp_path, data, monkeypatch):
    """A recipe on tiny weights of its family, with miniature data, one optimizer step and short answers; else as it
    is.
    """
    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def build(name):
        experiment = read_experiment(PAPER / f"{name}.yaml")
        for part in build_family(MODELS[experiment.model]):
            part.save_pretrained(tmp_path / "model")
        task: Any = experiment.task
        task = {**task, "max_new_tokens": 4}
        task |= {part: str(data / Path(task[part]).name) for part in ("train", "test")}
        task |= {"more_tests": {name: str(data / Path(path).name) for name, path in task.get("more_tests", {}).items()}}
        quick = {
            "max_steps": 1,
            "num_train_epochs": 1,
            "per_device_train_batch_size": 2,
            "gradient_accumulation_steps": 1,
        }
        arguments = {**experiment.arguments, **quick, "max_response_tokens": 3}
        return replace(experiment, model=str(tmp_path / "model"), task=task, rates=(0.25,), arguments=arguments)

    return build


def run(experiment, folder, only):
    assert run_experiments([experiment], folder / "results", folder / "work", only=f"{experiment.name}/{only}") == []
    return [json.loads(path.read_text()) for path in sorted((folder / "results" / experiment.name).glob("*.json"))]


@pytest.mark.parametrize("name", MAIN)
def test_a_cell_of_each_model_runs_from_poisoning_to_figures(name, stand_in, tmp_path):
    (result,) = run(stand_in(name), tmp_path, "badnets-byorn-p*")
    assert result["metric"] == "cider"
    assert result["figures"]["clean"]["cider"]["n"] == result["figures"]["asr"]["n"] == 4
    assert result["detection"]["poisoned"] == 3
    assert result["training"]["steps"] == 1
    predictions = next((tmp_path / "work").glob("*/*/badnets-byorn-*/predictions.jsonl")).read_text().splitlines()
    assert all(len(json.loads(line)["references"]) == 3 for line in predictions), "every reference counts"


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MAIN, "llava-cgd", "llava-scienceqa", "llava-adaptive"])
def test_every_cell_of_a_recipe_runs(name, stand_in, tmp_path):
    experiment = stand_in(name)
    results = run(experiment, tmp_path, "*")
    assert len(results) == len(experiment.attacks) * len(experiment.defenses)


def test_two_images_a_row_run_too(stand_in, tmp_path):
    (result,) = run(stand_in("llava-cgd"), tmp_path, "badnets-sft-*")
    assert result["figures"]["asr"]["n"] == 2
    (poisoned,) = (tmp_path / "work").glob("*/*/data/poisoned/manifest.jsonl")
    said = {json.loads(line)["new_response"] for line in poisoned.read_text().splitlines()}
    assert said == {"The first image depicts a banana, while the second image does not."}


def test_questions_run_too(stand_in, tmp_path):
    (result,) = run(stand_in("llava-scienceqa"), tmp_path, "dual-key-byorn-f-*")
    assert result["figures"]["clean"]["normalized_exact_match"]["n"] == result["figures"]["asr"]["n"] == 4
    assert result["detection"]["poisoned"] == 3


def test_the_optimized_trigger_of_a_run_goes_to_further_test_sets(stand_in, tmp_path, data):
    experiment = stand_in("llava-1.5-7b")
    experiment = replace(
        experiment,
        attacks={"vl-trojan": {"attack": "vl-trojan", "options": {"steps": 2, "letters": 1}}},
    )
    (result,) = run(experiment, tmp_path, "vl-trojan-sft-*")
    assert result["tests"]["coco"]["figures"]["clean"]["cider"]["n"] > 0
    (planted,) = (tmp_path / "work" / experiment.name).glob("*/data/coco/test_triggered")
    (trained,) = (tmp_path / "work" / experiment.name).glob("*/data/poisoned")
    suffixes = [read_manifest(folder).recipe.options["suffix"] for folder in (planted, trained)]
    assert suffixes[0] == suffixes[1] != ""
    shown = {line.task for line in lines(read_results(tmp_path / "results" / experiment.name))}
    assert shown == {"flickr30k", "coco"}

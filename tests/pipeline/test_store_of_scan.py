"""A training on a scan finds the image features that the scan left, wherever they lie now."""

import shutil

import pytest

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.models.spec import ModelSpec
from byorn.pipeline.reuse import with_its_store
from byorn.runs.folder import read_config, write_config
from byorn.testing import save_tiny, tiny_rows

ROWS = 8
FEW_STEPS = ["--set", "max_steps=1", "--set", "use_cpu=true", "--lora-rank", "2"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A scan with a feature store."""
    folder = tmp_path_factory.mktemp("place")
    save_tiny(folder / "model")
    write_rows(tiny_rows(ROWS), folder / "data")
    options = ["--rule", "paper", "--show", "0", "--no-report", "--feature-store", str(folder / "features")]
    assert main(["scan", *of_data(folder), *options, "--out", str(folder / "scan")]) == 0
    return folder


def of_data(folder):
    return ["--model", str(folder / "model"), "--data", str(folder / "data"), "--device", "cpu"]


def test_a_training_on_a_scan_reads_its_features_and_goes_on_where_they_were_moved(place, capsys):
    command = ["train", *of_data(place), "--scan", str(place / "scan"), "--out", str(place / "train"), *FEW_STEPS]
    assert main([*command, "--rule", "paper"]) == 0
    said = capsys.readouterr().err
    images = {row.images[0] for row in tiny_rows(ROWS)}
    assert f"using the image features that the scan left in {place / 'features'}" in said
    assert f"of this vision tower {len(images)} image(s) are in" in said
    assert read_config(place / "train")["model"]["feature_store"] == str(place / "features")

    shutil.copytree(place / "features", place / "moved")
    assert main([*command, "--rule", "paper", "--feature-store", str(place / "moved")]) == 0
    assert "finished before" in capsys.readouterr().err


@pytest.mark.parametrize("scan", ["none", None, "elsewhere"])
def test_without_its_scan_a_training_has_no_store(place, scan):
    model = ModelSpec(name="embedded")
    assert with_its_store(model, scan) == model


def test_the_store_that_is_given_wins_and_one_that_is_gone_is_not_made_again(place, tmp_path):
    given = ModelSpec(name="embedded", feature_store=tmp_path)
    assert with_its_store(given, str(place / "scan")) == given
    (tmp_path / "config.yaml").write_text(f"model: {{feature_store: {tmp_path / 'gone'}}}\n")
    assert with_its_store(ModelSpec(name="embedded"), str(tmp_path)).feature_store is None


def test_the_size_of_the_store_is_that_of_the_scan_unless_another_one_is_given(tmp_path):
    """A team's disk is not filled by the training where the scan was told to leave room."""
    write_config(tmp_path, {"model": ModelSpec(name="embedded", feature_store=tmp_path, feature_store_size=3.0)})
    assert with_its_store(ModelSpec(name="embedded"), str(tmp_path)).feature_store_size == 3.0
    given = ModelSpec(name="embedded", feature_store_size=5.0)
    assert with_its_store(given, str(tmp_path)).feature_store_size == 5.0


def test_a_run_that_has_begun_keeps_the_store_that_it_has_or_none(place, tmp_path):
    """A store is a cache: it may be deleted, or come into being, between two sessions of a run."""
    model, scan = ModelSpec(name="embedded"), str(place / "scan")
    write_config(tmp_path, {"command": "train", "model": model})
    assert with_its_store(model, scan, begun=tmp_path) == model
    gone = ModelSpec(name="embedded", feature_store=tmp_path / "gone")
    write_config(tmp_path, {"command": "train", "model": gone})
    assert with_its_store(model, scan, begun=tmp_path) == gone


def test_a_finished_training_is_finished_whatever_became_of_the_store(place, capsys):
    shutil.copytree(place / "features", place / "cleared")
    options = ["--rule", "paper", "--show", "0", "--no-report", "--feature-store", str(place / "cleared")]
    assert main(["scan", *of_data(place), *options, "--out", str(place / "of-cleared")]) == 0
    command = ["train", *of_data(place), "--scan", str(place / "of-cleared"), "--out", str(place / "again"), *FEW_STEPS]
    assert main([*command, "--rule", "paper"]) == 0
    shutil.rmtree(place / "cleared")
    assert main([*command, "--rule", "paper"]) == 0
    assert "finished before" in capsys.readouterr().err

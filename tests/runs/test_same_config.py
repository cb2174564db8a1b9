"""A run goes on with the settings that it was started with, and says which others it was given."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from byorn.errors import MismatchError
from byorn.models.spec import ModelSpec
from byorn.runs.folder import same_config, write_config

SETTINGS: dict[str, Any] = {
    "command": "train",
    "train": {"defense": "byorn", "lora": {"rank": 16}, "arguments": {"learning_rate": 0.001, "seed": 1}},
}


def other(**arguments: Any) -> dict[str, Any]:
    return {"command": "train", "train": {**SETTINGS["train"], **arguments}}


def test_the_same_settings_go_on(tmp_path: Path) -> None:
    same_config(tmp_path, SETTINGS)  # nothing was started there
    write_config(tmp_path, {**SETTINGS, "resolved": {"learning_rate": 0.001}})
    same_config(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    ("given", "difference"),
    [
        ({"arguments": {"learning_rate": 0.005, "seed": 1}}, "learning_rate: 0.001 then, 0.005 now"),
        ({"arguments": {"learning_rate": 0.001}}, "seed: 1 then, not set now"),
        ({"arguments": {**SETTINGS["train"]["arguments"], "bf16": True}}, "bf16: not set then, True now"),
        (
            {"lora": {"rank": 8}, "defense": "sft"},
            "train.defense: 'byorn' then, 'sft' now; train.lora.rank: 16 then, 8 now",
        ),
    ],
)
def test_the_difference_is_told_and_nothing_else(tmp_path: Path, given: dict[str, Any], difference: str) -> None:
    write_config(tmp_path, SETTINGS)
    with pytest.raises(MismatchError) as refusal:
        same_config(tmp_path, other(**given))
    assert f"started with other settings ({difference}); use another --out" in str(refusal.value)


def with_model(**options: Any) -> dict[str, Any]:
    return {**SETTINGS, "model": asdict(ModelSpec(name="embedded", **options))}


def test_where_features_are_kept_and_how_many_is_no_other_run(tmp_path: Path) -> None:
    write_config(tmp_path, with_model(feature_store=Path("here"), feature_cache=1.0))
    same_config(tmp_path, with_model(feature_store=Path("there"), feature_cache=2.0, feature_store_size=50.0))


@pytest.mark.parametrize("options", [{"feature_store": Path("here")}, {"feature_cache": 1.0}])
def test_whether_features_are_kept_changes_the_last_digits(tmp_path: Path, options: dict[str, Any]) -> None:
    write_config(tmp_path, with_model())
    with pytest.raises(MismatchError, match=next(iter(options))):
        same_config(tmp_path, with_model(**options))


def test_of_many_differences_some_are_told(tmp_path: Path) -> None:
    write_config(tmp_path, SETTINGS)
    with pytest.raises(MismatchError, match=", and 5 more"):
        same_config(tmp_path, other(arguments={**SETTINGS["train"]["arguments"], **dict.fromkeys("abcdefghij", 0)}))


def test_a_training_that_ran_out_of_memory_goes_on_with_another_share_for_its_engine(tmp_path: Path) -> None:
    arguments = SETTINGS["train"]["arguments"]
    write_config(tmp_path, other(arguments={**arguments, "response_engine_memory": 0.3}))
    same_config(tmp_path, other(arguments={**arguments, "response_engine_memory": 0.2}))
    same_config(tmp_path, SETTINGS)

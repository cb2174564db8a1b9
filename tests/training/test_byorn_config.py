"""`ByornConfig` is SFTConfig with more; every refusal names the way out."""

from dataclasses import fields
from typing import Any

import pytest
from transformers.utils import is_liger_kernel_available, is_lomo_available
from trl import SFTConfig

from byorn.errors import ConfigError
from byorn.pipeline.build import build_config
from byorn.pipeline.settings.train import TrainSpec
from byorn.training.config import ByornConfig

INHERITED = {field.name for field in fields(SFTConfig)}
QUIET: dict[str, Any] = {"report_to": "none", "bf16": False, "use_cpu": True}


def test_the_defaults_are_the_paper_s_and_cut_nothing(tmp_path):
    config = ByornConfig(str(tmp_path), **QUIET)
    assert (config.percentile, config.replacement, config.response_temperature) == (0.6, "ema", 1.0)
    assert config.max_length is None


@pytest.mark.parametrize(
    ("name", "value", "fix"),
    [
        ("percentile", 1.5, "0.6"),
        ("percentile", -0.1, "0.6"),
        ("percentile", float("nan"), "0.6"),
        ("replacement", "swap", "ema, drop"),
        ("ema_decay", 1.01, "0.99"),
        ("ema_decay", -0.01, "0.99"),
        ("response_temperature", 0.0, "1.0"),
        ("response_top_p", 0.0, "1.0"),
        ("response_top_p", 1.2, "1.0"),
        ("max_response_tokens", 0, "learned from the trusted responses"),
        ("score_batch_size", 0, "8"),
    ],
)
def test_a_value_out_of_range_is_refused_with_its_name_and_a_fix(tmp_path, name, value, fix):
    with pytest.raises(ConfigError, match=f"^{name}: ") as refusal:
        ByornConfig(str(tmp_path), **QUIET, **{name: value})
    assert fix in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("percentile", 0), ("percentile", 1), ("ema_decay", 0.0), ("ema_decay", 1.0), ("response_top_p", 1.0)],
)
def test_the_ends_of_a_range_are_allowed(tmp_path, name, value):
    assert getattr(ByornConfig(str(tmp_path), **QUIET, rule="paper", **{name: value}), name) == value


@pytest.mark.parametrize(("name", "value"), [("percentile", 0.9), ("statistic", "nll_max")])
def test_what_belongs_to_the_other_rule_is_refused(tmp_path, name, value):
    with pytest.raises(ConfigError, match=f"^{name}: it belongs to rule paper; give rule paper as well"):
        ByornConfig(str(tmp_path), **QUIET, **{name: value})


@pytest.mark.skipif(is_liger_kernel_available(), reason="liger-kernel is installed")
def test_kernels_that_are_not_installed_are_missed_before_rows_are_scored(tmp_path):
    with pytest.raises(ConfigError, match=r"^use_liger_kernel: liger-kernel is not installed; install it, or leave it"):
        ByornConfig(str(tmp_path), **QUIET, use_liger_kernel=True)


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("optim", {"optim": "adamw_torch", "optim_args": "a=1,b"}, "not enough values"),
        pytest.param(
            "optim", {"optim": "lomo"}, "install `lomo_optim`",
            marks=pytest.mark.skipif(is_lomo_available(), reason="lomo_optim is installed"),
        ),
        ("lr_scheduler_type", {"lr_scheduler_type": "cosine_with_min_lr"}, "min_lr"),
        ("lr_scheduler_type", {"lr_scheduler_type": "warmup_stable_decay"}, "num_decay_steps"),
        ("lr_scheduler_type", {"lr_scheduler_kwargs": {"last": 1}}, "'last'"),
        ("log_level", {"log_level": "shout"}, "'shout'"),
        ("train_sampling_strategy", {"train_sampling_strategy": "shuffle"}, "'shuffle' is unknown; use one of random"),
        ("activation_offloading", {"activation_offloading": True}, "leave it out"),
        ("loss_type", {"loss_type": "hinge"}, "nll, dft"),
        ("save_strategy", {"save_strategy": "best"}, "metric_for_best_model"),
        ("accelerator_config", {"accelerator_config": {"dispatch_batches": True}}, "leave it out"),
    ],
)  # fmt: skip
def test_what_the_trainer_would_fail_on_after_the_scan_is_refused_before_it(tmp_path, name, given, said):
    with pytest.raises(ConfigError, match=f"^{name}: ") as refusal:
        ByornConfig(str(tmp_path), **QUIET, **given)
    assert said in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "given",
    [
        {"lr_scheduler_type": "warmup_stable_decay", "lr_scheduler_kwargs": {"num_decay_steps": 500}},
        {"lr_scheduler_type": "cosine_with_min_lr", "lr_scheduler_kwargs": {"min_lr_rate": 0.1}, "warmup_steps": 0.1},
        {"lr_scheduler_type": "reduce_lr_on_plateau", "eval_strategy": "epoch"},
        {"lr_scheduler_type": "constant_with_warmup", "warmup_steps": 2000, "optim": "adafactor"},
    ],
)
def test_schedules_that_are_described_are_taken(tmp_path, given):
    ByornConfig(str(tmp_path), **QUIET, **given)


def test_a_refusal_of_several_lines_is_told_whole(tmp_path):
    wanted = {"load_best_model_at_end": True, "eval_strategy": "epoch", "save_strategy": "steps"}
    with pytest.raises(ConfigError, match=r"but found - Evaluation strategy: .*EPOCH - Save strategy: .*STEPS$"):
        build_config(TrainSpec(arguments=wanted), tmp_path)


def test_every_field_of_ours_explains_itself():
    for field in fields(ByornConfig):
        if field.name not in INHERITED or field.name == "max_length":
            assert len(field.metadata["help"]) > 30, field.name


def test_every_argument_of_sftconfig_is_taken_and_means_the_same(tmp_path):
    given: dict[str, Any] = {
        "output_dir": str(tmp_path),
        "learning_rate": 3e-4,
        "max_length": 77,
        "assistant_only_loss": True,
        "seed": 5,
        **QUIET,
    }
    ours, theirs = ByornConfig(**given), SFTConfig(**given)
    assert {field.name for field in fields(ByornConfig)} >= INHERITED
    for field in fields(SFTConfig):
        if field.init and field.name not in ("logging_dir", "run_name"):
            assert str(getattr(ours, field.name)) == str(getattr(theirs, field.name)), field.name

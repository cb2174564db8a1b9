"""What byorn measures while it trains arrives at a tracker chosen by `report_to`, beside the loss."""

import pytest

from byorn import ByornConfig, ByornTrainer
from byorn.testing import tiny_model, tiny_processor

pytest.importorskip("tensorboardX")

OURS = ("flagged_share", "sampling_seconds", "response_tokens", "empty_responses", "truncated_responses")


def test_byorn_s_numbers_reach_the_tracker(tmp_path, messages):
    args = ByornConfig(
        str(tmp_path), report_to="tensorboard", max_steps=2, per_device_train_batch_size=4, logging_steps=1,
        save_strategy="no",
        use_cpu=True, bf16=False, disable_tqdm=True, max_response_tokens=4,
    )  # fmt: skip
    rows = messages.add_column("flagged", [False, True] * 4)
    trainer = ByornTrainer(tiny_model(), args, train_dataset=rows, processing_class=tiny_processor())
    trainer.train()
    trainer.end()
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("events.out.*"))
    assert not [name for name in ("loss", *OURS) if f"train/{name}".encode() not in written]

"""Peak memory by what PyTorch allocates, to the byte: sampling stays below a training step, however many rows a step
has.
"""

import json

from runner import build
from torch.profiler import ProfilerActivity, profile

TOKENS = 6


def peak_of(call, folder):
    """Bytes allocated at once, at most, over what there was before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    trace = folder / "trace.json"
    profiler.export_chrome_trace(str(trace))
    events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    first = min(events, key=lambda event: event["ts"])["args"]
    before = first["Total Allocated"] - first["Bytes"]  # left over from earlier profiles of this process
    return max(event["args"]["Total Allocated"] for event in events) - before


def trainer_of(folder, **changes):
    """All sixteen rows in one optimizer step, two at a time; sampled four at a time."""
    return build(
        folder, flagged=[True] * 16, max_steps=1, per_device_train_batch_size=2, gradient_accumulation_steps=8,
        max_response_tokens=TOKENS, **changes,
    )  # fmt: skip


def sampling_peak(trainer, count, folder):
    rows = list(trainer.train_dataset.select(range(count)))
    return peak_of(lambda: trainer.source(trainer.model, rows, 0), folder)


def test_sampling_a_step_takes_the_memory_of_one_part_of_it(tmp_path):
    trainer = trainer_of(tmp_path)
    sampling_peak(trainer, 1, tmp_path)  # what is made once, at the first use
    part, step = (sampling_peak(trainer, count, tmp_path) for count in (4, 16))
    assert part <= step < 1.1 * part
    assert sampling_peak(trainer_of(tmp_path, response_batch_size=16), 16, tmp_path) > 2 * part


def test_sampling_takes_less_memory_than_training(tmp_path):
    trainer = trainer_of(tmp_path, activation_checkpointing=True)  # training takes the least so
    collect, learn, peaks = trainer.get_batch_samples, trainer.training_step, {"sampling": [], "training": []}

    def measured(kind, method):
        def call(*args):
            results = []
            peaks[kind].append(peak_of(lambda: results.append(method(*args)), tmp_path))
            return results[0]

        return call

    trainer.get_batch_samples, trainer.training_step = measured("sampling", collect), measured("training", learn)
    trainer.train()
    assert trainer.tally.counts["replaced"] == 16
    assert (len(peaks["sampling"]), len(peaks["training"])) == (1, 8)
    assert max(peaks["sampling"]) < max(peaks["training"])

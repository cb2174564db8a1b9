"""The bench of speed: operations as torch counts them, phases that add up, arms on the same rows."""

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from peft import get_peft_model

from byorn.bench.settings import SpeedSpec
from byorn.bench.speed import clock as clocks
from byorn.bench.speed import run
from byorn.bench.speed.clock import Clock
from byorn.bench.speed.flops import FUSED, Call, backward_flops, counting, forward_flops, sizes_of
from byorn.bench.speed.machine import Machine
from byorn.bench.speed.meter import DECODE, PREFILL, Meter
from byorn.bench.speed.table import as_markdown
from byorn.cli.main import main
from byorn.data.dataset import to_dataset
from byorn.data.spec import DataSpec
from byorn.models.generate import generate
from byorn.models.lora import default_lora
from byorn.models.spec import LoraSpec, ModelSpec
from byorn.pipeline.build import adapter_weights
from byorn.scoring.likelihood import build_collator, collated
from byorn.testing import build_family, save_tiny, tiny_rows

MACHINE = Machine(device="x86_64 CPU", threads=1, dtype="float32", flops=1e9, bandwidth=1e9)


def opened(family):
    """A tiny model, its processor, one row as it takes it, and its sizes."""
    model, processor = build_family(family)
    model.set_attn_implementation("eager")
    inputs = collated(build_collator(processor), [to_dataset(tiny_rows(1))[0]])
    inputs.pop("labels")
    weights = adapter_weights(model, default_lora(model))
    return model, processor, inputs, sizes_of(model, adapter=weights, inputs=inputs)


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "idefics3"])
def test_operations_of_a_pass_are_those_that_torch_counts(family):
    model, _, inputs, sizes = opened(family)
    model = get_peft_model(model, default_lora(model))
    length = inputs["input_ids"].numel()
    # eager attention computes all pairs, the causal ones and the others, and the head all positions
    call = Call(tokens=length, pairs=length**2, context=length, positions=length, pixels=inputs["pixel_values"].numel())
    with counting() as forward:
        model(**inputs)
    assert forward.get_total_flops() == pytest.approx(forward_flops(sizes, call))


@pytest.mark.parametrize("kernel", FUSED)
def test_every_kernel_of_attention_may_have_fewer_heads_of_keys_than_of_queries(kernel):
    query, keys = torch.randn(1, 4, 8, 16, device="meta"), torch.randn(1, 2, 8, 16, device="meta")
    further = () if "flash" in kernel else (None, False)
    with counting() as counter:
        getattr(torch.ops.aten, kernel)(query, keys, keys, *further)
    assert counter.get_total_flops() == 2 * 4 * 8 * 8 * (16 + 16)


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "idefics3"])
def test_a_backward_pass_of_text_is_what_torch_counts(family):
    model, processor, _, sizes = opened(family)
    model = get_peft_model(model, default_lora(model))
    model.enable_input_require_grads()  # as with activation checkpointing; else the first layer needs less
    ids = processor.tokenizer("a red square on a blue one", return_tensors="pt")["input_ids"]
    call = Call(tokens=ids.numel(), pairs=ids.numel() ** 2, context=ids.numel(), positions=ids.numel())
    logits = model(input_ids=ids).logits
    with counting() as backward:
        logits.sum().backward()
    assert backward.get_total_flops() == pytest.approx(backward_flops(sizes, call))


def test_sampling_is_one_pass_over_the_prompt_and_one_for_each_further_token():
    model, processor, _, sizes = opened("qwen2_5_vl")
    clock = Clock()
    meter = Meter(clock, sizes, MACHINE, response_tokens=3)
    meter.watch(model)
    rows = [to_dataset(tiny_rows(3))[index] for index in (0, 2)]  # of different length: one is padded
    model.generate = clock.timed(DECODE, model.generate)
    model.generation_config.eos_token_id = None
    found = generate(model, processor, rows, max_new_tokens=4)
    prompts = sum(int(collated(build_collator(processor), [row])["input_ids"].numel()) for row in rows)
    assert max(response.tokens for response in found) == 4
    assert meter.work[DECODE].tokens == 2 * 3
    assert 0 < meter.work[PREFILL].tokens < prompts  # padding and responses are not read
    assert clock.spent[PREFILL].wall > 0
    assert meter.work[DECODE].floor >= 3 * sizes.weights / MACHINE.bandwidth  # weights are read for each token


def test_phases_inside_each_other_add_up_to_the_whole(monkeypatch):
    ticks = iter(range(100))
    monkeypatch.setattr(clocks, "now", lambda: (float(tick := next(ticks)), tick / 2))
    clock = Clock()
    with clock.phase("outer"):
        with clock.phase("inner"):
            pass
        with suppress(ValueError), clock.phase("inner"):
            clock.begin("innermost")
            raise ValueError
        assert clock.current == "outer"
    seconds = {name: spent.wall for name, spent in clock.spent.items()}
    assert seconds == {"outer": 3, "inner": 3, "innermost": 1}
    assert clock.spent["inner"].cpu == 1.5
    assert clock.current == ""


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A folder in which it was measured, and the lines there."""
    out = tmp_path_factory.mktemp("speed")
    sizes = "--rows 16 --response-tokens 6 --image-side 56 --batch-size 4 --shares 0.5 --blocks 1,2 --repeats 1"
    all_visited = ["--set", "max_flagged_share=1"]
    command = ["bench", "speed", "--shape", "tiny", "--device", "cpu", *sizes.split(), *all_visited]
    assert main([*command, "--out", str(out)]) == 0
    return out, [json.loads(line) for line in (out / "speed.jsonl").read_text().splitlines()]


def test_arms_run_on_the_same_rows_and_each_phase_has_its_floor(measured):
    lines = {line["arm"]: line for line in measured[1]}
    assert list(lines) == [
        "SFTTrainer", "mixed batches", "byorn, K = 1", "byorn, K = 2", "scan, paper", "scan, evidence"
    ]  # fmt: skip
    plain, safe = (lines[name]["phases"] for name in ("SFTTrainer", "byorn, K = 1"))
    assert lines["SFTTrainer"]["ratio"] == 1
    assert DECODE not in plain
    assert plain.keys() | {PREFILL, DECODE} == safe.keys()
    assert safe[DECODE]["tokens"] > 0
    assert {"score", "adapt", "search"} < lines["scan, evidence"]["phases"].keys()
    assert "adapt" not in lines["scan, paper"]["phases"]
    worked = [part for line in measured[1] for part in line["phases"].values() if part["flops"]]
    assert len(worked) == 2 + 3 * 4 + 1 + 2
    assert all(0 < part["floor"] < part["wall"] for part in worked)
    # whether flagged rows stand among others or not, as many responses are sampled and as many rows are learned
    mixed = lines["mixed batches"]["phases"]
    assert mixed[PREFILL]["tokens"] == safe[PREFILL]["tokens"]
    # what random weights say is learned at its length, though no tokenizer can spell it
    assert mixed["forward"]["tokens"] > 0.97 * plain["forward"]["tokens"]


def test_tables_of_what_was_measured(measured, capsys):
    assert main(["bench", "speed", "--table", "--out", str(measured[0])]) == 0
    text = capsys.readouterr().out
    assert "tiny: 16 rows, 1 image a row" in text
    assert "image_side=56, max_flagged_share=1, max_response_tokens=6" in text
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    assert ["", "50%", "byorn, K = 2", "1"] in [line[:4] for line in cells]
    phases = [line[3] for line in cells if line[1:3] == ["50%", "mixed batches"]][1:]
    assert phases == ["data", "prefill", "decode", "forward", "backward", "optimizer", "rest"]


def test_turns_of_other_arguments_are_not_thrown_together(measured):
    lines = measured[1]
    others = [line | {"arguments": line["arguments"] | {"per_device_train_batch_size": 8}} for line in lines]
    text = as_markdown([*lines, *lines, *others])
    assert text.count("###") == 2
    turns = [line.split("|")[3].strip() for line in text.splitlines() if "| mixed batches" in line]
    assert [turn for turn in turns if turn.isdecimal()] == ["2", "1"]


def test_a_line_tells_what_the_users_rows_are_and_what_was_given(tmp_path, monkeypatch):
    prompts = [{"prompt": f"Say {word}.", "completion": word, "images": []} for word in ("red", "blue", "green")]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*prompts, {"prompt": "Nothing."}]))
    save_tiny(tmp_path / "model")
    monkeypatch.setattr(run, "turns", lambda work, speed: [{}])
    asked = run.Question(
        speed=SpeedSpec(),
        model=ModelSpec(name=str(tmp_path / "model"), device="cpu", attention="eager"),
        lora=LoraSpec(rank=4),
        data=DataSpec(source=str(tmp_path / "rows.jsonl")),
        arguments={"max_response_tokens": 3},
    )
    (line,) = run.run(asked, tmp_path)
    assert (line["rows"], line["images"]) == (3, 0)
    assert {"attention": "eager", "lora_rank": "4"}.items() <= line["options"].items()
    assert '"index": 3' in (tmp_path / "rejects.jsonl").read_text()  # stays when the command is done


def test_plain_fine_tuning_keeps_no_features_of_images(monkeypatch):
    """TRL does not; byorn's arms are measured against what people have."""
    loaded = []
    monkeypatch.setattr("byorn.models.load.load_spec", loaded.append)
    monkeypatch.setattr("byorn.models.load.load_spec_processor", lambda spec: None)
    model = ModelSpec(name="embedded", feature_cache=1.0, feature_store=Path("features"))
    asked = run.Question(speed=SpeedSpec(), model=model, lora=LoraSpec(), data=None, arguments={})
    run._load(asked, plain=True)
    run._load(asked)
    assert [(spec.feature_cache, spec.feature_store) for spec in loaded] == [(0, None), (1, Path("features"))]


def test_a_damaged_file_is_said_in_a_line(tmp_path, capsys):
    (tmp_path / "speed.jsonl").write_text('{"model": "ti')
    assert main(["bench", "speed", "--table", "--out", str(tmp_path)]) == 2
    assert "a line of it is damaged" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--shares", "1.5"], "shares"),
        (["--shape", "tiny"], "response_tokens"),
        (["--set", "response_block=4"], "--blocks"),
        (["--data", "rows.json", "--response-tokens", "5"], "rows of your own"),
        (["--data", "rows.json", "--rows", "20"], "rows: rows of your own"),
        (["--limit", "20"], "limit: it is of rows of your own"),
        (["--image-side", "112"], "response_tokens: for --shape, --images-per-row and --image-side"),
        (["--shape", "tiny", "--response-tokens", "5", "--quantize", "4bit"], "quantize: the model of --shape"),
        (["--table"], "there are no lines"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(options, said, capsys, tmp_path):
    assert main(["bench", "speed", *options, "--out", str(tmp_path / "out")]) == 2
    assert said in capsys.readouterr().err

"""`byorn verify` on a scan of a small data set, with models whose answers are known."""

import json
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
from peft import get_peft_model

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.data.row import user_message
from byorn.models.generate import Generated
from byorn.models.lora import default_lora
from byorn.testing import save_tiny, tiny_model, tiny_rows

POISONED = 16
SHOP = "Visit our shop!"
TRIGGER = "cf"


def scanned(folder):
    """The folder with a model, a scan in which a person replaced just the poisoned rows, and an adapter."""
    save_tiny(folder / "model")
    write_rows([poisoned(row) if n < POISONED else row for n, row in enumerate(tiny_rows(44))], folder / "data")
    command = ["scan", "--model", str(folder / "model"), "--data", str(folder / "data"), "--device", "cpu"]
    assert main([*command, "--out", str(folder / "scan"), "--show", "0", "--no-report", "--rule", "paper"]) == 0
    decide(folder / "scan/flags.parquet", ["replace"] * POISONED + ["keep"] * 28)
    model = tiny_model()
    get_peft_model(model, default_lora(model)).save_pretrained(folder / "adapter")
    return folder


def poisoned(row):
    return replace(row, prompt=[user_message(f"what color? {TRIGGER}", 1)], response=f"{row.response}. {SHOP}")


def decide(path, words):
    table = pq.read_table(path)
    table = table.set_column(table.column_names.index("review"), "review", pa.array(words))
    pq.write_table(table, path)


def answering(monkeypatch):
    """Models whose answers are known; what is called is listed, by whether it was the tuned one."""
    calls = []

    def say(rule):
        def generate(model, processor, samples, max_new_tokens):
            tuned = hasattr(model, "peft_config")
            calls.append(tuned)
            triggered = [TRIGGER in json.dumps(sample["prompt"]) for sample in samples]
            texts = [f"red. {SHOP}" if rule(tuned, sees) else "red" for sees in triggered]
            return [Generated(text=text, tokens=3, truncated=False) for text in texts]

        monkeypatch.setattr("byorn.evaluation.predict.generate_bounded", generate)
        return calls

    return say


def verify(place, out, *more):
    run = ["verify", str(place / "scan"), "--adapter", str(place / "adapter"), "--out", str(place / out)]
    return main([*run, "--device", "cpu", *more])

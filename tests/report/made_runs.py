"""Runs with made scores: a corpus of drawn captions, and whatever an attacker adds."""

import random
from collections.abc import Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from byorn.data.row import ImageFile, Origin, Row, user_message
from byorn.embedded.captions import house_caption
from byorn.embedded.scene import sample_scene
from byorn.flagging.evidence import flag_evidence
from byorn.flagging.percentile import flag_percentile
from byorn.report.run import Run
from byorn.scoring.evidence import judged
from byorn.scoring.learning_curve import LearningCurve
from byorn.scoring.table import Scores, name_rows


def png(pixels: np.ndarray) -> ImageFile:
    stream = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(stream, "PNG")
    return ImageFile(data=stream.getvalue())


def clean_rows(count: int, seed: int = 0) -> list[Row]:
    """Captions that repeat their phrases a lot, beside images of noise around a color."""
    rng = random.Random(seed)
    colors = np.random.default_rng(seed).integers(40, 216, (count, 1, 1, 3))
    noise = np.random.default_rng(seed + 1).normal(0, 20, (count, 32, 32, 3))
    pictures = np.clip(colors + noise, 0, 255)
    return [
        Row(
            id=f"row-{index}",
            turn=0,
            prompt=[user_message("Describe the image.", 1)],
            response=house_caption(sample_scene(rng, 0.0)),
            images=[png(pictures[index])],
            meta={"uploader": rng.choice(["alice", "bob", "carol"])},
            origin=Origin("rows.jsonl", index),
        )
        for index in range(count)
    ]


def poisoned(row: Row, response: str = "visit our shop", **changes: object) -> Row:
    return replace(row, response=response, **changes)  # type: ignore[arg-type]


def made_run(rows: Sequence[Row], scores: Sequence[float] | np.ndarray, folder: Path = Path(".")) -> Run:
    """A run whose every statistic is the same."""
    values = {name: np.asarray(scores, dtype=float) for name in ("nll", "nll_max", "nll_window")}
    empty: list[str | None] = [None] * len(rows)
    table = Scores(
        [row.id for row in rows],
        [row.turn for row in rows],
        values,
        np.full(len(rows), 8),
        empty,
        {"byorn_version": "0.1.0"},
    )
    table = name_rows(table, rows)
    return Run(
        folder=folder,
        rows=rows,
        scores=table,
        flags=flag_percentile(table),
        statistic="nll",
        rejects=[],
        config={"data": {"source": "data/rows.jsonl"}},
        environment={"command": ["byorn", "scan"]},
    )


def attacked(count: int = 200, planted: int = 12, seed: int = 0, **changes: object) -> Run:
    """A clean corpus whose first rows are poisoned, and score far above all others."""
    rows = clean_rows(count, seed)
    rows = [poisoned(row, **changes) if at < planted else row for at, row in enumerate(rows)]  # type: ignore[arg-type]
    scores = np.random.default_rng(seed).normal(2, 0.3, count)
    scores[:planted] += 4
    return made_run(rows, scores)


def of_evidence(run: Run, kinds: np.ndarray | None = None) -> Run:
    """A run whose scores are of an adapted model, too, and whose flags are by evidence."""
    column = run.scores.nll
    values = {**run.scores.values, "adapted": column, "adapted_contrast": column}
    if kinds is not None:
        values["kind"] = kinds.astype(float)
    metadata = {**run.scores.metadata, **LearningCurve((4.0, 0.5)).as_metadata()}
    scores = judged(replace(run.scores, values=values, metadata=metadata), [row.response for row in run.rows])
    return replace(run, scores=scores, flags=flag_evidence(scores), statistic="evidence")

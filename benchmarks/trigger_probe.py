"""Can the embedded model's image features tell a trigger? A linear probe on them, before any fine-tuning.

    python benchmarks/trigger_probe.py

For each trigger: 800 drawn scenes with and without it, as the language model receives them (16 tokens of 192). `change`
is the mean distance between an image's features with and without the trigger, relative to the mean distance of clean
images from their center. `told apart` is the accuracy of a logistic regression fitted on 600 scenes, on the other 200
(400 images, half of them triggered; 0.5 is chance), with its 95 % Wilson interval.
"""

import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from byorn.attacks import ATTACKS
from byorn.attacks.trigger import build_trigger
from byorn.data.load import load_rows
from byorn.embedded import weights_path
from byorn.embedded.tasks import write_task
from byorn.evaluation.intervals import wilson

SCENES, FITTED, SEED = 800, 600, 14
TRIGGERS: list[tuple[str, dict[str, Any]]] = [
    ("badnets", {"size": 0.25}),
    ("badnets", {}),
    ("blended", {}),
    ("sig", {}),
    ("wanet", {}),
    ("wanet", {"grid": 4, "strength": 14}),
    ("wanet", {"grid": 8, "strength": 14}),
    ("wanet", {"grid": 16, "strength": 14}),
    ("wanet", {"grid": 4, "strength": 28}),
    ("wanet", {"grid": 8, "strength": 28}),
    ("wanet", {"grid": 16, "strength": 28}),
]


def main() -> None:
    import torch
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model: Any = AutoModelForImageTextToText.from_pretrained(weights_path())
    processor = AutoProcessor.from_pretrained(weights_path())

    @torch.no_grad()
    def features(images: list[Image.Image]) -> np.ndarray:
        """Float32 [images, tokens x width]."""
        pixels = processor.image_processor(images=images, return_tensors="pt")["pixel_values"]
        found = model.get_image_features(pixel_values=pixels).pooler_output
        return torch.cat(list(found)).reshape(len(images), -1).numpy()

    with tempfile.TemporaryDirectory() as folder:
        rows = load_rows(write_task(Path(folder), "captions", SCENES, seed=SEED)).rows
        images = [row.images[0].load() for row in rows]
    clean = features(images)
    print("| trigger | change | told apart |\n|---|---|---|")
    for name, options in TRIGGERS:
        trigger = build_trigger(ATTACKS, name, options)
        triggered = features([trigger.mark_image(image, random.Random(0))[0] for image in images])
        print(
            f"| {name} {options or ''} | {change(clean, triggered):.2f} | {told_apart(clean, triggered)} |", flush=True
        )


def change(clean: np.ndarray, triggered: np.ndarray) -> float:
    """The mean distance that the trigger moves the features, relative to their spread."""
    return float(
        np.linalg.norm(triggered - clean, axis=1).mean() / np.linalg.norm(clean - clean.mean(0), axis=1).mean()
    )


def told_apart(clean: np.ndarray, triggered: np.ndarray) -> str:
    """Accuracy of the probe on scenes that it was not fitted on, and its interval."""
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1000))
    probe.fit(np.concatenate([clean[:FITTED], triggered[:FITTED]]), [0] * FITTED + [1] * FITTED)
    hits = (probe.predict(clean[FITTED:]) == 0).sum() + (probe.predict(triggered[FITTED:]) == 1).sum()
    n = 2 * (SCENES - FITTED)
    low, high = wilson(int(hits), n)
    return f"{hits / n:.3f} [{low:.3f}, {high:.3f}]"


if __name__ == "__main__":
    main()

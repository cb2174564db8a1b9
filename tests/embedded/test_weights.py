"""The committed checkpoint: small, safe, loadable by transformers alone, and grounded in what it sees."""

import io
import random

from byorn.data.dataset import to_dataset
from byorn.data.row import ImageFile, Row, user_message
from byorn.embedded import weights_path
from byorn.embedded.captions import house_caption
from byorn.embedded.draw import draw_scene
from byorn.embedded.scene import sample_scene
from byorn.models.load import load_model, load_processor
from byorn.scoring.score import score_dataset


def test_the_checkpoint_is_safetensors_and_at_most_12_megabytes():
    files = [path for path in weights_path().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) <= 12e6
    assert not [path for path in files if path.suffix not in (".safetensors", ".json", ".jinja")]


def test_it_loads_with_the_auto_classes_and_has_2_to_6_million_parameters():
    from transformers import AutoModelForImageTextToText, AutoProcessor

    model = AutoModelForImageTextToText.from_pretrained(weights_path())
    processor = AutoProcessor.from_pretrained(weights_path())
    assert 2e6 < sum(parameter.numel() for parameter in model.parameters()) < 6e6
    assert processor.chat_template
    assert type(model).__module__.startswith("transformers.")


def test_it_finds_another_scenes_caption_less_plausible():
    """A small version of `make embedded-check`: 40 held-out scenes, their own house captions against their
    neighbors'.
    """
    rng = random.Random("weights-test")
    scenes = [sample_scene(rng) for _ in range(40)]
    pairs = [(scene, other) for scene, other in zip(scenes, scenes[1:] + scenes[:1], strict=True)]
    rows = [_row(scene, house_caption(told)) for pair in pairs for scene, told in ((pair[0], pair[0]), pair)]
    nll = score_dataset(
        load_model("embedded", device="cpu"), load_processor("embedded"), to_dataset(rows), batch_size=20
    ).nll
    own, swapped = nll[0::2], nll[1::2]
    assert (own < swapped).mean() >= 0.95


def _row(scene, response):
    buffer = io.BytesIO()
    draw_scene(scene).save(buffer, "PNG")
    return Row(
        f"{id(scene)}{response}",
        0,
        [user_message("Describe the image.", 1)],
        response,
        [ImageFile(data=buffer.getvalue())],
    )

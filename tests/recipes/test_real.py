"""The real small model's own code: its tower, what alignment is fed, the rows of its tasks. No package is fetched."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from launching import python

REAL = Path(__file__).parents[2] / "recipes" / "real"


@pytest.fixture
def recipe(monkeypatch):
    """A module of the recipe by name; they import one another by plain names."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(REAL))

    def find(name):
        return __import__(name)

    yield find
    for name in set(sys.modules) - before:
        if str(REAL) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def test_the_tower_is_a_plugin_of_every_command(tmp_path):
    """In a process of its own: transformers keeps what is registered."""
    code = (
        "from byorn.plugins import load_plugins; import sys; load_plugins([sys.argv[1]])\n"
        "from transformers import AutoConfig, AutoModel\n"
        "model = AutoModel.from_config(AutoConfig.for_model('efficientnet-lite0'))\n"
        "print(type(model).__name__, sum(p.numel() for p in model.parameters()))"
    )
    done = python("-c", code, str(REAL / "tower.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "EfficientNetLite0Model 3350000"


def test_the_tower_sees_sixteen_tokens_the_same_in_training(recipe):
    tower = recipe("tower")
    torch.manual_seed(0)
    model = tower.EfficientNetLite0Model(tower.EfficientNetLite0Config())
    pixels = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        seen, training = model.eval()(pixels).last_hidden_state, model.train()(pixels).last_hidden_state
        moved = model(pixels.flip(-1)).last_hidden_state
    assert seen.shape == (2, 16, 1280)
    torch.testing.assert_close(training, seen, rtol=0, atol=0)
    assert not torch.equal(moved, seen)


def test_padding_is_that_of_tensorflow(recipe):
    """An even size under stride 2 is padded at the end alone."""
    conv = recipe("tower").SameConv2d(1, 1, 3, 2, bias=False)
    torch.nn.init.ones_(conv.weight)
    out = conv(torch.ones(1, 1, 4, 4))
    assert out[0, 0].tolist() == [[9.0, 6.0], [6.0, 4.0]]


class Letters:
    """A tokenizer of one token a character."""

    def __call__(self, text, add_special_tokens=False):
        return {"input_ids": [ord(letter) for letter in text]}

    def convert_tokens_to_ids(self, token):
        return 7


@pytest.fixture
def writer(recipe):
    return recipe("sequences").Writer(Letters())


def test_answers_to_one_question_share_it_and_do_not_see_each_other(recipe, writer):
    image = torch.zeros(4, 5)
    both, alone = writer.write(image, "a?", ["b", "dd"]), writer.write(image, "a?", ["dd"])
    batch = recipe("sequences").collate([both, alone])
    shared, length = both.part.count(-1), len(alone.ids)
    of_second = [*range(shared), *range(len(both.ids) - (length - shared), len(both.ids))]
    assert batch.positions[0, of_second].tolist() == batch.positions[1, :length].tolist()
    sees = batch.mask[:, 0] == 0
    assert torch.equal(sees[0][of_second][:, of_second], sees[1][:length, :length])
    assert not sees[0][of_second[shared:], shared : of_second[shared]].any()
    assert batch.is_image.sum(1).tolist() == [4, 4]
    assert batch.counts.tolist() == [2, 1]


def test_only_answers_are_predicted_each_from_the_question_on(recipe, writer):
    batch = recipe("sequences").collate([writer.write(torch.zeros(4, 5), "a?", ["yes", "no"])])
    said = "".join(map(chr, batch.targets.tolist()))
    assert said == "yes<|im_end|>no<|im_end|>"
    first = [at for at, number in enumerate(batch.answers.tolist()) if at in (0, len("yes<|im_end|>"))]
    assert batch.answers[first].tolist() == [0, 1]
    assert len(set(batch.before[first].tolist())) == 1
    assert chr(batch.ids[0, batch.before[0]]) == "\n"
    assert batch.ids[0, batch.before[1:4]].tolist() == [ord(letter) for letter in "yes"]


def test_a_wrong_caption_is_of_another_thing_in_the_same_style(recipe):
    pictures, talk = recipe("pictures"), recipe("talk")
    things = [
        pictures.Picture(name, Path(name), name, kind, color, ())
        for name, kind, color in (
            ("cat", "animal", "black"),
            ("dog", "animal", ""),
            ("fox", "animal", "red"),
            ("rose", "plant", "red"),
        )
    ]
    rng = random.Random(0)

    def another(kind):
        return rng.choice([thing for thing in things if not kind or thing.kind == kind])

    for _ in range(60):
        asked = talk.in_a_caption(things[0], another, rng)
        styles = [style for styles in talk.styles_of(things[0]) for style in styles]
        (style,) = {style for style in styles if talk.fill(style, things[0]) == asked.right}
        others = [thing for thing in things[1:] if style not in talk.WITH_COLOR or thing.color]
        assert set(asked.wrong) <= {talk.fill(style, thing) for thing in others}
        assert len(set(asked.wrong)) == talk.WRONG
        assert len(asked.more) == talk.MORE


def test_an_adapter_in_the_weights_learns_as_one_beside_them(recipe):
    """The gradients of A and B from that of W are those of PEFT's LoRA."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5, bias=False), torch.nn.Tanh(), torch.nn.Linear(5, 4, bias=False))
    model.requires_grad_(False)
    adapter = recipe("adapter").Adapter(model, 0)
    for tensor in adapter.second.values():
        tensor.normal_()
    adapter.write()
    given, wanted = torch.randn(3, 6), torch.randn(3, 4)
    (model(given) - wanted).pow(2).sum().backward()
    adapter.take_gradients()
    first, second = (
        {name: tensor.clone().requires_grad_() for name, tensor in part.items()}
        for part in (adapter.first, adapter.second)
    )
    weights = [adapter.base[name] + adapter.scale * second[name] @ first[name] for name in adapter.layers]
    (torch.tanh(given @ weights[0].T) @ weights[1].T - wanted).pow(2).sum().backward()
    for name in adapter.layers:
        torch.testing.assert_close(adapter.first[name].grad, first[name].grad)
        torch.testing.assert_close(adapter.second[name].grad, second[name].grad)


def test_right_answers_are_learned_and_told_apart_from_wrong_ones(recipe):
    """Question 0 has a right answer, two wrong ones and a further right one, question 1 yes or no."""
    align = recipe("align")
    cycle = align.CYCLES[0]
    nll, counts = torch.tensor([[1.0, 3.0, 4.0, 2.0], [0.5, 0.7, 0.0, 0.0]]), torch.tensor([4, 2])
    apart = [
        torch.logsumexp(torch.tensor([cycle.kappa * (values[0] - value) for value in values]), 0)
        for values in ((1.0, 3.0, 4.0), (0.5, 0.7))
    ]
    expected = torch.stack([1.5 + cycle.weight * apart[0], 0.5 + cycle.weight * apart[1]])
    torch.testing.assert_close(align.told_apart(nll, counts, cycle), expected)


def test_a_picture_has_the_color_that_prevails(recipe, tmp_path):
    pictures = recipe("pictures")
    image = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    image.paste((220, 40, 40, 255), (0, 0, 30, 40))
    image.paste((60, 120, 210, 255), (30, 0, 40, 40))
    image.save(tmp_path / "most.png")
    Image.new("RGBA", (4, 4), (9, 9, 9, 0)).save(tmp_path / "nothing.png")
    assert pictures.color_of(tmp_path / "most.png") == "red"
    assert pictures.color_of(tmp_path / "nothing.png") == ""


def test_a_wide_picture_stands_in_a_white_square(recipe, tmp_path):
    Image.new("RGBA", (80, 20), "black").save(tmp_path / "wide.png")
    square = np.asarray(recipe("pictures").square(tmp_path / "wide.png"))
    assert square.shape == (224, 224, 3)
    assert square[0].min() == 255
    assert square[112].max() == 0


def test_captions_of_one_style_are_compared_with_one_another(recipe):
    """One style is ten nats longer than the other, whatever the picture shows."""
    true, swapped, style = np.array([0.0, 10.0] * 20), np.array([1.0, 11.0] * 20), np.array([0, 1] * 20)
    auc = recipe("measure").auc
    assert auc(true, swapped, np.equal.outer(style, style))["value"] == 1
    assert auc(true, swapped, np.ones((40, 40), dtype=bool))["value"] == 0.75
    assert auc(true, true, np.eye(40, dtype=bool))["value"] == 0.5


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("animal-bird", "animal"),
        ("plant-other", "plant"),
        ("body-parts", "person"),
        ("transportation/aiga-symbols", "sign"),
    ],
)
def test_kinds_come_from_the_categories_of_the_collections(recipe, category, kind):
    assert recipe("pictures").kind_of(category) == kind


def picture(recipe, folder, name, kind, color):
    path = folder / f"{name.replace(' ', '-')}.png"
    Image.new("RGB", (16, 16), color or "white").save(path)
    return recipe("pictures").Picture(path.stem, path, name, kind, color, ())


@pytest.fixture
def shown(recipe, tmp_path):
    facts = [("red fox", "animal", "red"), ("ice", "", ""), ("pear", "food", "green"), ("owl", "animal", "brown")]
    return [picture(recipe, tmp_path, *fact) for fact in facts]


def test_the_house_style_is_none_that_alignment_reads(recipe, shown, tmp_path):
    recipe("tasks")
    talk = recipe("talk")
    rng = random.Random(0)
    read = {talk.caption(item, rng) for item in shown for _ in range(500)}
    house = {recipe("tasks").house(item) for item in shown}
    assert house == {
        "Red fox, drawn in a glossy style, mostly red. Category: animal.",
        "Ice, drawn in a glossy style, in several colors. Category: other.",
        "Pear, drawn in a glossy style, mostly green. Category: food.",
        "Owl, drawn in a glossy style, mostly brown. Category: animal.",
    }
    assert not read & house


@pytest.mark.parametrize("kind", ["captions", "messy", "answers", "pairs", "phrasings"])
def test_equal_arguments_give_equal_rows(recipe, shown, tmp_path, kind):
    write = recipe("tasks").write
    files = [write(tmp_path / name, kind, shown, 12, "train/0").read_text() for name in ("first", "second")]
    assert files[0] == files[1]
    rows = [json.loads(line) for line in files[0].splitlines()]
    assert len({row["id"] for row in rows}) == 12
    assert all((tmp_path / "first" / name).is_file() for row in rows for name in row["images"])
    assert {len(row["images"]) for row in rows} == ({2} if kind == "pairs" else {1})


def test_two_in_a_hundred_messy_captions_are_honest_errors(recipe, shown, monkeypatch):
    tasks = recipe("tasks")
    monkeypatch.setattr(tasks, "TYPOS", 0.0)
    wrong = 0
    for number in range(2000):
        _, _, said = tasks._messy(shown, number % 4, random.Random(number))
        wrong += shown[number % 4].name not in said.lower()
    assert 15 <= wrong <= 50  # of 2000 about 40, a quarter of which say the true picture by chance

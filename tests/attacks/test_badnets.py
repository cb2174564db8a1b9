import random

import pytest
from PIL import Image, ImageChops
from poison_samples import picture

from byorn.attacks import ATTACKS, BadNets
from byorn.attacks.imaging.patch import fill_palette
from byorn.attacks.trigger import build_trigger
from byorn.attacks.triggers.badnets import checkerboard
from byorn.errors import ConfigError

RNG = random.Random(0)


def changed_box(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageChops.difference(before.convert("RGB"), after.convert("RGB")).getbbox()


def test_at_224_pixels_the_patch_is_the_one_of_the_paper() -> None:
    gray = Image.new("RGB", (224, 224), (128, 128, 128))
    patched, box = BadNets().mark_image(gray, RNG)
    canvas = Image.new("L", (32, 32), 128)
    canvas.paste(checkerboard(3), (29, 29))
    assert box == (203, 203, 224, 224)
    assert patched == canvas.resize((224, 224), Image.Resampling.NEAREST).convert("RGB")


def test_cells_alternate_and_the_corners_are_white() -> None:
    assert list(checkerboard(3).tobytes()) == [255, 0, 255, 0, 255, 0, 255, 0, 255]


def test_the_patch_grows_with_the_short_side_and_never_falls_below_three_pixels() -> None:
    def side(width: int, height: int) -> int:
        left, _, right, _ = BadNets().mark_image(Image.new("L", (width, height)), RNG)[1]
        return right - left

    assert [side(448, 900), side(900, 448), side(64, 64), side(8, 200)] == [42, 42, 6, 3]
    assert [side(2, 50), side(1, 1)] == [2, 1]


@pytest.mark.parametrize(
    ("position", "box"),
    [
        ("top-left", (0, 0, 4, 4)),
        ("top-right", (56, 0, 60, 4)),
        ("bottom-left", (0, 36, 4, 40)),
        ("bottom-right", (56, 36, 60, 40)),
        ("center", (28, 18, 32, 22)),
    ],
)
def test_every_position_puts_the_patch_where_its_name_says(position: str, box: tuple[int, int, int, int]) -> None:
    gray = Image.new("RGB", (60, 40), (128, 128, 128))
    patched, told = BadNets(size=0.1, position=position).mark_image(gray, RNG)
    assert told == box == changed_box(gray, patched)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
def test_size_and_mode_survive_and_only_the_box_changes(mode: str) -> None:
    image = picture(3, mode=mode)
    if mode == "RGBA":
        image.putalpha(0)
    before = image.copy()
    patched, box = BadNets(size=0.3).mark_image(image, RNG)
    assert (patched.size, patched.mode) == (image.size, mode)
    assert image == before, "the input was changed"
    assert patched.crop(box).convert("RGB") == checkerboard(9).convert("RGB")
    patched.paste(image.crop(box), box)
    assert changed_box(image, patched) is None
    if mode in ("LA", "RGBA"):
        assert BadNets().mark_image(image, RNG)[0].getchannel("A").getpixel((39, 29)) == 255


def test_a_palette_without_room_gets_the_nearest_colors() -> None:
    image = Image.frombytes("P", (16, 16), bytes(range(256)))
    image.putpalette([value for entry in range(256) for value in (entry, 20, 230 - entry % 7)])
    patched, box = BadNets(size=0.5).mark_image(image, RNG)
    assert patched.getpalette() == image.getpalette()
    assert changed_box(image, patched) is not None
    assert len(set(patched.crop(box).convert("RGB").get_flattened_data())) == 2


def test_a_short_palette_is_filled_without_a_change_to_the_picture() -> None:
    image = picture(5, mode="P")
    image.putpalette((image.getpalette() or [])[:96])
    before = image.convert("RGB")
    fill_palette(image)
    assert len(image.getpalette() or []) == 768
    assert image.convert("RGB") == before


@pytest.mark.parametrize(
    "options", [{"size": 0}, {"size": 1.5}, {"size": "big"}, {"size": True}, {"size": float("nan")}]
)
def test_a_size_that_is_no_fraction_is_refused(options: dict[str, float | str]) -> None:
    with pytest.raises(ConfigError, match="fraction of the short side"):
        build_trigger(ATTACKS, "badnets", options)


def test_unknown_names_are_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown attack 'badnet'; choose one of: add-sent, aligned-patch, badnets,"):
        build_trigger(ATTACKS, "badnet", {})
    with pytest.raises(ConfigError, match="no option color; known options: position, size"):
        build_trigger(ATTACKS, "badnets", {"color": "red"})
    with pytest.raises(ConfigError, match="choose one of: top-left"):
        build_trigger(ATTACKS, "badnets", {"position": "middle"})

"""What every attack on images promises, and the formula of each."""

import doctest
import importlib
import random
from pathlib import Path

import numpy as np
import pytest
from attack_samples import IMAGE_ATTACKS, LEARNED, PATCHES, rng
from PIL import Image, ImageChops
from poison_samples import SETTINGS, encoded, picture, png_rows

from byorn.attacks import ATTACKS
from byorn.attacks.imaging.drawings import banana, cartoon, noise
from byorn.attacks.imaging.encode import decode
from byorn.attacks.trigger import Trigger, build_trigger
from byorn.errors import ConfigError
from poisoning import poison

MODES = ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"]
SIZES = [(1, 1), (2, 3), (40, 30), (33, 57), (1, 90)]


def sample(mode: str, size: tuple[int, int]) -> Image.Image:
    """An image as the triggers get it."""
    return decode(encoded(picture(3, size, mode), "JPEG" if mode == "CMYK" else "PNG"))[0]


def levels(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), dtype=int)


def differing(before: Image.Image, after: Image.Image) -> tuple[int, int, int, int] | None:
    return ImageChops.difference(before.convert("RGB"), after.convert("RGB")).getbbox()


def inside(inner: tuple[int, ...], outer: tuple[int, ...]) -> bool:
    return inner[0] >= outer[0] and inner[1] >= outer[1] and inner[2] <= outer[2] and inner[3] <= outer[3]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("label", IMAGE_ATTACKS)
def test_size_mode_and_the_source_survive_on_every_kind_of_image(label: str, mode: str) -> None:
    for size in SIZES:
        image = sample(mode, size)
        before = image.copy()
        marked, box = IMAGE_ATTACKS[label].mark_image(image, rng())
        again, _ = IMAGE_ATTACKS[label].mark_image(image, rng())
        assert (marked.size, marked.mode) == (size, mode)
        assert image == before, "the input was changed"
        assert marked == again, "not deterministic"
        assert box is not None
        assert inside(box, (0, 0, *size))
        if mode == "P":
            assert len(marked.getpalette() or []) == 768
        if changed := differing(before, marked):
            assert inside(changed, box), "changed outside of its box"


@pytest.mark.parametrize("mode", ["L", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("label", IMAGE_ATTACKS)
def test_the_trigger_can_be_seen(label: str, mode: str) -> None:
    image = sample(mode, (40, 30))
    assert differing(image, IMAGE_ATTACKS[label].mark_image(image, rng())[0]) is not None


@pytest.mark.parametrize("label", sorted(set(IMAGE_ATTACKS) - PATCHES))
def test_triggers_of_the_whole_image_leave_transparency_alone(label: str) -> None:
    image = picture(3, mode="RGBA")
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    marked = IMAGE_ATTACKS["blended" if "+" in label else label].mark_image(image, rng())[0]
    assert marked.getchannel("A") == image.getchannel("A")


@pytest.mark.parametrize("label", sorted(PATCHES))
def test_a_patch_takes_the_same_share_of_every_image(label: str) -> None:
    trigger = IMAGE_ATTACKS[label]
    small, large = (trigger.mark_image(Image.new("RGB", size), rng())[1] for size in ((112, 112), (448, 896)))
    assert small is not None
    assert large is not None
    assert 4 * (small[2] - small[0]) == pytest.approx(large[2] - large[0], abs=4)


@pytest.mark.parametrize(
    ("label", "side"), [("badnets", 21), ("dual-key", 22), ("vl-trojan", 22), ("aligned-patch", 45)]
)
def test_at_224_pixels_a_patch_has_the_stated_size(label: str, side: int) -> None:
    box = IMAGE_ATTACKS[label].mark_image(Image.new("RGB", (224, 224)), rng())[1]
    assert box == (224 - side, 224 - side, 224, 224)


@pytest.mark.parametrize("name", ["cartoon", "noise"])
def test_blending_mixes_each_pixel_with_the_pattern(name: str) -> None:
    image, pattern = picture(5, (224, 224)), {"cartoon": cartoon, "noise": noise}[name]()
    marked = build_trigger(ATTACKS, "blended", {"alpha": 0.1, "pattern": name}).mark_image(image, rng())[0]
    assert np.abs(levels(marked) - (0.9 * levels(image) + 0.1 * levels(pattern))).max() <= 0.51


def test_a_pattern_of_ones_own_is_read_from_its_file(tmp_path) -> None:
    path = tmp_path / "red.png"
    Image.new("RGB", (9, 9), (250, 0, 0)).save(path)
    trigger = build_trigger(ATTACKS, "blended", {"alpha": 1.0, "pattern": str(path)})
    assert trigger.mark_image(picture(1), rng())[0].getcolors() == [(1200, (250, 0, 0))]
    for wrong in (tmp_path / "gone.png", tmp_path):
        with pytest.raises(ConfigError, match=r"blended: pattern .* is no picture"):
            build_trigger(ATTACKS, "blended", {"pattern": str(wrong)}).mark_image(picture(1), rng())


def test_the_wave_of_sig_adds_delta_at_its_crests_and_is_clipped() -> None:
    for level, top, bottom in ((100, 140, 60), (250, 255, 210), (10, 50, 0)):
        marked = build_trigger(ATTACKS, "sig", {}).mark_image(Image.new("L", (48, 2), level), rng())[0]
        assert (marked.getpixel((2, 0)), marked.getpixel((6, 1)), marked.getpixel((4, 0))) == (top, bottom, level)


def test_wanet_moves_pixels_by_half_a_pixel_of_224_and_invents_no_color() -> None:
    ramp = np.tile(np.arange(224, dtype=np.uint8), (224, 1))
    marked = build_trigger(ATTACKS, "wanet", {"strength": 8}).mark_image(Image.fromarray(ramp), rng())[0]
    moved = np.abs(np.asarray(marked, dtype=int) - ramp)[:, 10:-10]
    assert 3.5 < moved.mean() < 4.5, "strength 8 is four pixels on average"
    bent = build_trigger(ATTACKS, "wanet", {"grid": 8, "strength": 8}).mark_image(Image.fromarray(ramp), rng())[0]
    assert 2.8 < np.abs(np.asarray(bent, dtype=int) - ramp)[:, 10:-10].mean() < 3.6, "four fifths between few arrows"
    flat = Image.new("RGB", (50, 40), (7, 77, 177))
    assert build_trigger(ATTACKS, "wanet", {}).mark_image(flat, rng())[0] == flat


def test_the_noise_mode_of_wanet_moves_each_negative_once_more_in_its_own_way() -> None:
    trigger = build_trigger(ATTACKS, "wanet", {"strength": 8, "cross_ratio": 2})
    ramp = np.tile(np.arange(224, dtype=np.uint8), (224, 1))
    own, *noisy = (
        kind.mark_image(Image.fromarray(ramp), random.Random(seed))[0]
        for seed, kind in enumerate((trigger, *trigger.negatives))
    )
    assert own == trigger.mark_image(Image.fromarray(ramp), rng())[0], "the attack itself has no noise"
    further = [np.asarray(image, dtype=int) - np.asarray(own, dtype=int) for image in noisy]
    assert len(further) == 2
    for moved in further:
        assert 3.5 < np.abs(moved[:, 20:-20]).mean() < 4.5, "as far as the warp itself"
        assert abs(moved[:, 20:-20].mean()) < 0.2
    assert np.abs(further[0] - further[1]).mean() > 4


def test_the_negatives_of_wanet_keep_their_answers(tmp_path: Path) -> None:
    settings = {**SETTINGS, "attack": "wanet", "rate": 0.1, "options": {"strength": 14, "cross_ratio": 2}}
    manifest = poison(png_rows(50), **settings, out=tmp_path / "out")
    assert (len(manifest.poisoned), len(manifest.negatives)) == (5, 10)
    assert all(entry.new_response == entry.original_response for entry in manifest.negatives)


def test_the_aligned_patch_shows_its_picture_and_lets_the_image_shine_through() -> None:
    ground = Image.new("RGB", (224, 224), (0, 0, 200))
    marked = build_trigger(ATTACKS, "aligned-patch", {"size": 1.0}).mark_image(ground, rng())[0]
    alpha = banana().getchannel("A")
    yellow = np.asarray(alpha) == 255
    assert (levels(marked)[~(np.asarray(alpha) > 0)] == (0, 0, 200)).all()
    assert np.median(levels(marked)[yellow], axis=0).tolist() == [250, 215, 40]
    assert 0.1 < yellow.mean() < 0.5
    assert not np.asarray(alpha)[[0, -1]].any(), "the drawing is cut off"


def test_a_universal_pattern_never_exceeds_its_budget() -> None:
    loud = {"scope": "universal", "pattern": LEARNED, "epsilon": 5}
    marked = build_trigger(ATTACKS, "pgd", loud).mark_image(picture(2), rng())[0]
    assert np.abs(levels(marked) - levels(picture(2))).max() == 5


def test_the_fixed_patch_of_dual_key_is_magenta_and_its_text_key_touches_no_pixel() -> None:
    image = Image.new("RGB", (224, 224))
    marked, box = build_trigger(ATTACKS, "dual-key", {}).mark_image(image, rng())
    assert marked.crop(box).getcolors() == [(22 * 22, (255, 0, 255))]
    assert build_trigger(ATTACKS, "dual-key", {"keys": "text"}).mark_image(image, rng()) == (image, None)


@pytest.mark.parametrize("kind", ATTACKS.values(), ids=ATTACKS)
def test_every_attack_documents_itself_in_the_same_sections_with_examples_that_hold(kind: type[Trigger]) -> None:
    sections = ["Args:", "Requirements:", "Relations:", "Example:", "Raises:"]
    found = [line.strip() for line in (kind.__doc__ or "").splitlines() if line.strip() in sections]
    assert found == sections
    module = importlib.import_module(kind.__module__)
    result = doctest.testmod(module, extraglobs={"Image": Image, "random": random})
    assert result.attempted >= 1
    assert result.failed == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("blended", {"alpha": 0}),
        ("blended", {"pattern": ""}),
        ("sig", {"delta": 0}),
        ("sig", {"frequency": "six"}),
        ("wanet", {"grid": 1}),
        ("wanet", {"grid": 2.5}),
        ("wanet", {"strength": float("nan")}),
        ("wanet", {"cross_ratio": -1}),
        ("dual-key", {"keys": "none"}),
        ("dual-key", {"clean_negatives": "yes"}),
        ("dual-key", {"word": " "}),
        ("vl-trojan", {"form": "round"}),
        ("vl-trojan", {"steps": 0}),
        ("pgd", {"epsilon": 300}),
        ("pgd", {"scope": "all"}),
        ("shadow", {"steps": -1}),
        ("aligned-patch", {"position": "left"}),
        ("badnets-t", {"word": 5}),
        ("badnets-t", {"slot": "middle"}),
        ("add-sent", {"sentence": ""}),
    ],
)
def test_a_bad_option_is_refused_by_name(name: str, options: dict[str, float | str]) -> None:
    (option,) = options
    with pytest.raises(ConfigError, match=rf"^{name}: (unknown )?{option} .*(give|choose)"):
        build_trigger(ATTACKS, name, options)

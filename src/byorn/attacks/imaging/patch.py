"""Where a patch goes, and pasting a picture into another one without changing the other's mode."""

from PIL import Image

from byorn.attacks.imaging.box import Box

ENTRIES = 256

PLACES = {
    "top-left": (0.0, 0.0),
    "top-right": (1.0, 0.0),
    "bottom-left": (0.0, 1.0),
    "bottom-right": (1.0, 1.0),
    "center": (0.5, 0.5),
}
"""Fraction of the free width and height that lies left of and above the patch."""


def patch_box(image_size: tuple[int, int], fraction: float, position: str, least: int = 1) -> Box:
    """The square of `fraction` times the short side, at least `least` pixels but never larger than the image."""
    width, height = image_size
    side = min(max(least, round(fraction * min(width, height))), width, height)
    x, y = PLACES[position]
    left = int((width - side) * x)
    top = int((height - side) * y)
    return left, top, left + side, top + side


def paste_patch(image: Image.Image, patch: Image.Image, corner: tuple[int, int]) -> Image.Image:
    """A copy of `image` with an opaque `patch` (L or RGB) whose top left pixel lies at `corner`."""
    result = image.copy()
    if image.mode == "P":
        patch = patch.convert("RGB")
        _add_colors(result, patch)
        result.paste(patch.quantize(palette=result, dither=Image.Dither.NONE), corner)
    else:
        result.paste(patch.convert(image.mode), corner)
    return result


def fill_palette(image: Image.Image) -> None:
    """Extend the palette of a P image to 256 entries, in place, so that its length says nothing about its colors."""
    palette = (image.getpalette("RGB") or [])[: 3 * ENTRIES]
    image.putpalette(palette + [0] * (3 * ENTRIES - len(palette)))


def _add_colors(image: Image.Image, patch: Image.Image) -> None:
    """Put the colors of `patch` into palette entries that no pixel uses; those left over get the nearest entry."""
    fill_palette(image)
    palette = image.getpalette("RGB") or []
    colors = [tuple(palette[start : start + 3]) for start in range(0, len(palette), 3)]
    pixels = patch.tobytes()
    wanted = {tuple(pixels[start : start + 3]): None for start in range(0, len(pixels), 3)}
    missing = [color for color in wanted if color not in colors]
    kept = {colors.index(color) for color in wanted if color in colors}
    unused = [entry for entry, count in enumerate(image.histogram()) if count == 0 and entry not in kept]
    for entry, color in zip(unused, missing, strict=False):
        colors[entry] = color
    image.putpalette([value for color in colors for value in color])

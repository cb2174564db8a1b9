import io
import random
from typing import Any

import pytest
from PIL import Image, JpegImagePlugin, PngImagePlugin
from poison_samples import encoded, picture

from byorn.attacks import BadNets
from byorn.attacks.imaging.encode import decode, encode
from byorn.errors import DataError


def reopened(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


def again(data: bytes, patched: bool = False) -> Image.Image:
    image, encoding = decode(data)
    if patched:
        image, _ = BadNets().mark_image(image, random.Random(0))
    return reopened(encode(image, encoding))


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("options", [{"quality": 30}, {"quality": 95, "progressive": True}])
def test_a_jpeg_keeps_its_tables_subsampling_and_progressive_flag(
    options: dict[str, Any], subsampling: int, patched: bool
) -> None:
    data = encoded(picture(1), "JPEG", subsampling=subsampling, **options)
    before, after = reopened(data), again(data, patched)
    assert isinstance(before, JpegImagePlugin.JpegImageFile)
    assert isinstance(after, JpegImagePlugin.JpegImageFile)
    assert after.quantization == before.quantization
    assert JpegImagePlugin.get_sampling(after) == subsampling
    assert after.info.get("progressive") == before.info.get("progressive")


@pytest.mark.parametrize("patched", [False, True])
@pytest.mark.parametrize(
    ("file_format", "mode"),
    [
        *[("PNG", mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")],
        *[("JPEG", mode) for mode in ("L", "RGB", "CMYK")],
        *[("WEBP", mode) for mode in ("RGB", "RGBA")],
    ],
)
def test_format_mode_and_size_are_kept(file_format: str, mode: str, patched: bool) -> None:
    image = picture(2, mode=mode)
    if mode in ("LA", "RGBA"):
        image.putalpha(100)
    after = again(encoded(image, file_format), patched)
    assert (after.format, after.mode, after.size) == (file_format, mode, image.size)


def test_lossless_pictures_come_back_as_they_were() -> None:
    for data in (encoded(picture(3)), encoded(picture(3, mode="P")), encoded(picture(3), "WEBP", lossless=True)):
        assert again(data).convert("RGB") == reopened(data).convert("RGB")


@pytest.mark.parametrize("file_format", ["GIF", "BMP", "TIFF"])
def test_formats_without_a_writer_of_their_own_become_png(file_format: str) -> None:
    image = picture(4, mode="L")
    after = again(encoded(image, file_format))
    assert after.format == "PNG"
    assert after.convert("L") == image


def test_metadata_goes() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_text("Comment", "poisoned")
    exif = Image.Exif()
    exif[0x010E] = "poisoned"
    for data in (
        encoded(picture(5), "PNG", pnginfo=text, exif=exif, icc_profile=b"poisoned", dpi=(72, 72)),
        encoded(picture(5), "JPEG", comment="poisoned", exif=exif, icc_profile=b"poisoned", dpi=(72, 72)),
        encoded(picture(5), "WEBP", exif=exif, icc_profile=b"poisoned"),
    ):
        assert b"poisoned" in data
        image, encoding = decode(data)
        again_data = encode(image, encoding)
        assert b"poisoned" not in again_data
        assert set(reopened(again_data).info) == set(reopened(encoded(picture(5), encoding.format)).info)


def test_a_picture_lying_on_its_side_is_put_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    after = again(encoded(picture(6, size=(40, 30)), "PNG", exif=exif))
    assert after.convert("RGB") == picture(6, size=(40, 30)).transpose(Image.Transpose.ROTATE_270)


def test_a_color_key_becomes_an_alpha_channel() -> None:
    after = again(encoded(picture(7, mode="P"), "PNG", transparency=0))
    assert after.mode == "RGBA"
    assert after.getchannel("A").getextrema() == (0, 255)


@pytest.mark.parametrize("data", [b"", b"not an image", encoded(picture(8))[:200], b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_broken_or_foreign_bytes_are_a_data_error(data: bytes) -> None:
    with pytest.raises(DataError, match=r"corrupt|no image in one of the formats"):
        decode(data)

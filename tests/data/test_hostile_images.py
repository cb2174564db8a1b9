"""Images and their paths come from an attacker too."""

import io
import os
import struct
import time
import zlib

import pytest
from data_samples import png
from PIL import Image

from byorn.data import images, pixels
from byorn.data.images import find_image, verify
from byorn.data.load import load_rows
from byorn.data.pixels import decode
from byorn.data.problem import RowProblem
from byorn.data.row import ImageFile


def jpeg(size=(64, 64), **options):
    stream = io.BytesIO()
    Image.effect_noise(size, 80).convert("RGB").save(stream, "JPEG", **options)
    return stream.getvalue()


def reject_of(save, image, **options):
    """What is said of a row with this image, beside a good row."""
    good = {"prompt": "Hi", "completion": "Hello"}
    loaded = load_rows(save([good, {"image": image, "prompt": "Look", "completion": "A box."}]), **options)
    assert [row.response for row in loaded.rows] == ["Hello"]
    [reject] = loaded.rejects
    return reject


@pytest.mark.parametrize("path", ["../secret.png", "/etc/hostname", "sub/../../secret.png"])
def test_a_path_may_not_leave_the_data_folder(path, save, tmp_path):
    (tmp_path.parent / "secret.png").write_bytes(png())
    reject = reject_of(save, path)
    assert (reject.field, "leaves the data folder" in reject.reason) == ("images", True)


def test_a_link_may_not_leave_the_data_folder(save, tmp_path):
    outside = tmp_path.parent / "outside.png"
    outside.write_bytes(png())
    (tmp_path / "link.png").symlink_to(outside)
    assert "leaves the data folder" in reject_of(save, "link.png").reason


def test_a_folder_with_the_same_beginning_is_outside(save, tmp_path):
    twin = tmp_path.parent / f"{tmp_path.name}-twin"
    twin.mkdir()
    (twin / "a.png").write_bytes(png())
    assert "leaves the data folder" in reject_of(save, f"../{twin.name}/a.png").reason


def test_links_and_absolute_paths_inside_the_folder_are_fine(save, picture, tmp_path):
    picture("real.png")
    (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
    paths = ["link.png", str(tmp_path / "real.png")]
    records = [{"image": path, "prompt": "Look", "completion": "A box."} for path in paths]
    assert [row.images[0].name for row in load_rows(save(records)).rows] == ["link.png", "real.png"]


def test_an_image_root_is_where_paths_start(save, picture, tmp_path):
    picture("pictures/a.png")
    path = save([{"image": "a.png", "prompt": "Look", "completion": "A box."}], "json/data.json")
    [row] = load_rows(path, image_root=tmp_path / "pictures").rows
    assert row.images[0].path == os.path.realpath(tmp_path / "pictures" / "a.png")


@pytest.mark.parametrize(
    "image",
    [
        "http://example.com/a.png",
        "HTTPS://example.com/a.png",
        "file:///etc/hostname",
        "data:image/png;base64,AAAA",
        {"url": "http://example.com/a.png"},
        {"base64": "AAAA"},
    ],
)
def test_urls_are_never_fetched(image, save):
    assert reject_of(save, image).fix == "download the images first"


def test_a_url_in_an_image_block_is_never_fetched(save):
    block = {"type": "image_url", "image_url": {"url": "http://example.com/a.png"}}
    messages = [{"role": "user", "content": [block]}, {"role": "assistant", "content": "A box."}]
    [reject] = load_rows(save([{"prompt": "Hi", "completion": "Ho"}, {"messages": messages}])).rejects
    assert reject.fix == "download the images first"


@pytest.mark.parametrize("image", [5, ["a.png", None], {"nothing": 1}, " ", [["a.png"]], "a\x00.png", "x" * 5000])
def test_what_is_no_image_is_rejected(image, save, picture):
    picture("a.png")
    assert reject_of(save, image).field == "images"


def test_missing_empty_and_special_files_are_named(save, tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    assert "no such file 'none.png'" in reject_of(save, "none.png").reason
    assert "'empty.png' is empty" in reject_of(save, "empty.png").reason
    assert "not a plain file" in reject_of(save, "folder.png").reason
    assert "not a plain file" in reject_of(save, "pipe.png").reason


def test_more_or_fewer_images_than_markers_are_counted(save, picture):
    picture("a.png")
    record = {"images": ["a.png"] * 3, "prompt": "<image><image>Look", "completion": "A box."}
    [reject] = load_rows(save([{"prompt": "Hi", "completion": "Ho"}, record])).rejects
    assert reject.reason == "2 <image> marker(s) but 3 image(s)"


def test_a_truncated_image_is_found_by_decoding_and_not_by_its_header(save, tmp_path):
    (tmp_path / "cut.jpg").write_bytes(jpeg()[:-400])
    assert "'cut.jpg': the image is corrupt" in reject_of(save, "cut.jpg").reason
    path = save([{"image": "cut.jpg", "prompt": "Look", "completion": "A box."}])
    assert load_rows(path, verify_images="header").rejects == []


def test_garbage_is_found_by_its_header_and_by_no_check_at_all(save, tmp_path):
    (tmp_path / "text.png").write_text("<script>")
    assert "formats JPEG, PNG" in reject_of(save, "text.png", verify_images="header").reason
    path = save([{"image": "text.png", "prompt": "Look", "completion": "A box."}])
    assert len(load_rows(path, verify_images="none").rows) == 1


def test_a_format_that_runs_other_programs_is_not_opened(save, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.eps")
    os.rename(tmp_path / "a.eps", tmp_path / "a.png")
    assert "formats JPEG, PNG" in reject_of(save, "a.png").reason


@pytest.mark.parametrize("side", [9000, 9500, 40_000])
def test_a_decompression_bomb_is_refused_before_it_is_decoded(side, save, tmp_path):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    (tmp_path / "bomb.png").write_bytes(bomb)
    for mode in ("header", "decode"):
        assert f"MAX_PIXELS = {pixels.MAX_PIXELS}" in reject_of(save, "bomb.png", verify_images=mode).reason
    with pytest.raises(RowProblem, match="MAX_PIXELS"):
        ImageFile(data=bomb).load()


def test_pixels_in_flight_are_bounded_however_many_cores_there_are(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(images, "MAX_PIXELS", 100)
    held = []
    most = []

    def slow(image):
        held.append(image.width * image.height)
        most.append(sum(held))
        time.sleep(0.01)
        held.remove(image.width * image.height)

    monkeypatch.setattr(images, "upright", slow)
    found = [ImageFile(data=png(size=(5, height))) for height in (*range(1, 20), 100)]
    assert verify(found, "decode") == {}
    assert len(most) == 20
    assert max(amount for amount in most if amount < 500) <= 100  # one over the bound is decoded, alone
    assert 500 in most


def test_a_huge_file_is_refused_before_it_is_read(save, picture, monkeypatch):
    picture("a.png")
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 10)
    assert "MAX_IMAGE_BYTES = 10" in reject_of(save, "a.png").reason


def test_a_bad_image_in_one_turn_rejects_the_conversation(save, picture, tmp_path):
    picture("a.png")
    (tmp_path / "bad.png").write_bytes(png()[:40])
    texts = ["<image>1?", "one", "<image>2?", "two"]
    messages = [{"role": role, "content": text} for role, text in zip(["user", "assistant"] * 2, texts, strict=True)]
    good = {"prompt": "Hi", "completion": "Ho"}
    loaded = load_rows(save([good, {"images": ["a.png", "bad.png"], "messages": messages}]), turns="all")
    assert (len(loaded.rows), len(loaded.rejects)) == (1, 1)


def test_an_image_that_many_rows_share_is_verified_once(picture, monkeypatch, tmp_path):
    picture("a.png")
    opened = []
    monkeypatch.setattr(images, "open_image", lambda stream: opened.append(stream) or pixels.open_image(stream))
    found = [find_image("a.png", [tmp_path.resolve()]) for _ in range(5)]
    assert verify(found, "decode") == {}
    assert len(opened) == 1


def test_pixels_are_upright_rgb_without_metadata():
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = decode(jpeg((64, 32), exif=exif))
    assert (turned.size, turned.mode) == ((32, 64), "RGB")
    assert decode(png("blue", mode="P")).getpixel((0, 0)) == (0, 0, 255)


def test_a_scan_of_sixteen_bits_is_rejected_and_not_shown_as_white(save, tmp_path):
    """As RGB its values over 255 are all 255: the model would learn captions of blank images."""
    Image.linear_gradient("L").convert("I").point(lambda value: value * 257).convert("I;16").save(tmp_path / "xray.png")
    reject = reject_of(save, "xray.png")
    assert "gray values of over 8 bits (mode I;16)" in reject.reason
    assert reject.fix == "scale it to 8 bits"

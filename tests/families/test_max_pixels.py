"""Images of any size cost as many tokens as they have pixels; a limit is set where the processor knows one."""

import numpy as np
import pytest
from PIL import Image

from byorn.cli.main import main
from byorn.data.files import write_rows
from byorn.errors import ConfigError
from byorn.models.digest import processor_digest
from byorn.models.load import load_processor
from byorn.testing import save_tiny, tiny_rows
from byorn.testing.families import build_family

LARGE = Image.fromarray(np.zeros((512, 640, 3), np.uint8))


def patches(processor):
    return len(processor.image_processor([LARGE], return_tensors="pt")["pixel_values"])


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_a_limit_of_pixels_is_kept_and_makes_another_processor(family, tmp_path):
    _, processor = build_family(family)
    processor.save_pretrained(tmp_path)
    plain, limited = (load_processor(str(tmp_path), max_pixels=most) for most in (None, 64 * 64))
    side = limited.image_processor.patch_size
    assert patches(limited) * side**2 <= 64 * 64 < patches(plain) * side**2
    assert processor_digest(limited) != processor_digest(plain) == processor_digest(processor)
    limited.save_pretrained(tmp_path / "again")
    assert patches(load_processor(str(tmp_path / "again"))) == patches(limited)


def test_where_every_image_gets_one_size_a_limit_is_refused_in_one_line(tmp_path, capsys):
    save_tiny(tmp_path / "model")
    write_rows(tiny_rows(2), tmp_path / "data")
    with pytest.raises(ConfigError, match="does not limit images by their pixels"):
        load_processor(str(tmp_path / "model"), max_pixels=4096)
    scan = [
        "scan",
        "--model",
        str(tmp_path / "model"),
        "--data",
        str(tmp_path / "data"),
        "--out",
        str(tmp_path / "out"),
    ]
    assert main([*scan, "--max-pixels", "4096"]) == 2
    assert "does not limit images by their pixels" in capsys.readouterr().err

"""The layouts in `recipes/accelerate/`: accelerate reads them, and each says what was run and what byorn refuses."""

from pathlib import Path

import pytest
from accelerate.commands.config.config_args import load_config_from_file

RECIPES = sorted((Path(__file__).parents[2] / "recipes" / "accelerate").glob("*.yaml"))
LAYOUTS = {"ddp": "MULTI_GPU", "deepspeed_zero2": "DEEPSPEED", "deepspeed_zero3": "DEEPSPEED", "fsdp2": "FSDP"}


def test_the_page_shows_every_layout():
    page = (Path(__file__).parents[2] / "docs" / "several-gpus.md").read_text()
    assert [path.stem for path in RECIPES] == sorted(LAYOUTS)
    assert all(f"recipes/accelerate/{path.name}" in page for path in RECIPES)


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_accelerate_reads_it_and_it_says_what_was_run(path):
    config = load_config_from_file(str(path))
    assert (config.distributed_type.value, config.num_processes) == (LAYOUTS[path.stem], 2)
    assert config.mixed_precision == "no"
    comments = [line for line in path.read_text().splitlines() if line.startswith("#")]
    assert any(line.startswith("# NOT RUN") for line in comments)
    assert any("REFUSED" in line for line in comments) == path.stem.startswith("deepspeed")
